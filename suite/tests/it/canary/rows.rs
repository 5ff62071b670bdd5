//! Canaries as they stand in requests.

use serde_json::{Value, json};

use super::needles::{CONTROLS, Canary, Needles, base64};

/// The most characters of a description.
const DESCRIPTION: usize = 1_000;

/// A canary in clear and hashed, in every form that is accepted, and in some that are not.
fn every_way(canary: &Canary) -> Vec<Value> {
    let kind = canary.kind.tag();
    let mut ways: Vec<_> =
        canary.spellings.iter().map(|raw| json!({"kind": kind, "raw": raw})).collect();
    for digest in canary.digests() {
        let hex = hex::encode(digest);
        ways.push(json!({"kind": kind, "sha256": base64(&digest)}));
        ways.push(json!({"kind": kind, "sha256": base64(&digest[..31])}));
        let padded = base64(&digest);
        let texts = [
            hex.to_uppercase(),
            padded.replace('+', "-").replace('/', "_"),
            padded.trim_end_matches('=').to_owned(),
            base64(hex.as_bytes()),
            format!(" {hex}"),
            format!("{hex}0"),
        ];
        ways.extend(
            texts
                .into_iter()
                .chain([padded])
                .map(|text| json!({"kind": kind, "sha256_text": text})),
        );
    }
    ways
}

/// All of them in every way.
pub(super) fn ways<'a>(canaries: impl IntoIterator<Item = &'a Canary>) -> Vec<Value> {
    canaries.into_iter().flat_map(every_way).collect()
}

/// The controls, as text that a business may write about its audiences, which is kept as it is.
pub(super) fn descriptions() -> Vec<String> {
    let mut descriptions = vec![String::new()];
    for (_, needle) in Needles::of(&CONTROLS).all {
        let Ok(text) = String::from_utf8(needle) else { continue };
        if descriptions.last().unwrap().len() + text.len() > DESCRIPTION {
            descriptions.push(String::new());
        }
        let last = descriptions.last_mut().unwrap();
        *last += &text;
        *last += " ";
    }
    descriptions
}
