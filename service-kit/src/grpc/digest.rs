//! Telling whether two requests ask for the same.

use prost::{
    Message, Name,
    encoding::{DecodeContext, decode_key, skip_field},
};
use proto::contract;
use sha2::{Digest, Sha256};

/// The fields in which two sendings of the same request may differ.
const OF_ONE_SENDING: [&str; 3] = ["request_id", "page_token", "page_size"];

/// SHA-256 of what a request asks for: its type and its fields, in the contract's encoding,
/// without `request_id`, `page_token` and `page_size`. The same request sent again has the same
/// digest, also from a later version of the contract that only adds fields.
pub fn request_digest<M: Message + Name>(message: &M) -> [u8; 32] {
    let name = M::full_name();
    let descriptor = contract::pool().get_message_by_name(&name);
    let number = |field: &str| Some(descriptor.as_ref()?.get_field_by_name(field)?.number());
    let left_out = OF_ONE_SENDING.map(number);

    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    hash.update([0]);
    let encoded = message.encode_to_vec();
    let mut rest = encoded.as_slice();
    while !rest.is_empty() {
        let field = rest;
        let skipped = decode_key(&mut rest).and_then(|(number, wire_type)| {
            skip_field(wire_type, number, &mut rest, DecodeContext::default()).map(|()| number)
        });
        // Our own encoding always reads back; were it not so, all the rest would count.
        let number = skipped.ok().unwrap_or_else(|| {
            rest = &[];
            0
        });
        if !left_out.contains(&Some(number)) {
            hash.update(&field[..field.len() - rest.len()]);
        }
    }
    hash.finalize().into()
}
