//! The policies of the story that works as shipped: a messenger shares phone numbers with its
//! parent social network. One for jurisdictions where silence is a no, one for the others.

use prost_reflect::DynamicMessage;
use proto::consent::v1::PolicySpec;

/// The files, by policy id.
const FILES: [(&str, &str); 2] = [
    ("phone-sharing-opt-in", include_str!("../policies/example-opt-in.json")),
    ("phone-sharing-opt-out", include_str!("../policies/example-opt-out.json")),
];

/// The example policies: their ids, and contents to create them with. `effective_at` is left out
/// of the files, since it is for whoever announces a policy to set.
pub fn example_policies() -> Vec<(String, PolicySpec)> {
    let read = |(id, text): &(&str, &str)| ((*id).to_owned(), parse(text));
    FILES.iter().map(read).collect()
}

fn parse(text: &str) -> PolicySpec {
    let spec = proto::contract::pool().get_message_by_name("assent.consent.v1.PolicySpec");
    let mut json = serde_json::Deserializer::from_str(text);
    let read = spec.and_then(|spec| DynamicMessage::deserialize(spec, &mut json).ok());
    // Unwrap safety: the files are part of the program, and a test reads and publishes them.
    #[allow(clippy::expect_used)]
    read.and_then(|message| message.transcode_to().ok()).expect("the example policies read")
}
