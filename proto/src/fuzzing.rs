//! What must hold of requests, whatever bytes come: for the fuzz target, and for a test of few cases.

use prost::{DecodeError, Message};
use prost_reflect::{DynamicMessage, ReflectMessage as _};

use crate::{Checked, FieldErrors, contract, generated::READERS};

/// Reads and checks a message of one type.
pub(crate) type Reader = fn(&[u8]) -> Result<Read, DecodeError>;

/// A message that was read.
pub(crate) struct Read {
    /// As it is written again.
    bytes: Vec<u8>,
    /// What the contract's field rules find.
    bad: FieldErrors,
}

pub(crate) fn read<M: Message + Default + Checked>(bytes: &[u8]) -> Result<Read, DecodeError> {
    let message = M::decode(bytes)?;
    let bad = FieldErrors::of(&message);
    let _ = message.own_subject();
    Ok(Read { bytes: message.encode_to_vec(), bad })
}

/// The most bytes of trailers that clients take, as many have it.
const MOST_METADATA: usize = 8 << 10;

/// The first byte chooses the message, the others are it.
///
/// # Panics
/// When the generated code and the descriptors do not read the same, or an error is too large for
/// clients.
#[allow(clippy::unwrap_used)]
pub fn request(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let (name, read) = READERS[usize::from(*choice) % READERS.len()];
    let descriptor = contract::pool().get_message_by_name(name).unwrap();
    let dynamic = DynamicMessage::decode(descriptor.clone(), bytes);
    let Ok(Read { bytes: written, bad }) = read(bytes) else { return };
    // Where ours can be read, so can the contract's, and says the same but for what is not in it.
    let mut dynamic = dynamic.unwrap();
    clear_unknown(&mut dynamic);
    let again = DynamicMessage::decode(descriptor, written.as_slice()).unwrap();
    assert_eq!(dynamic.encode_to_vec().len(), again.encode_to_vec().len(), "{name}");
    let Err(status) = bad.finish() else { return };
    let answer = status.into_http::<tonic::body::Body>();
    let bytes: usize =
        answer.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    assert!(bytes < MOST_METADATA, "{name}: {bytes} bytes of metadata");
}

/// Takes out what the contract does not know, at any depth.
fn clear_unknown(message: &mut DynamicMessage) {
    let known = message.descriptor().fields().collect::<Vec<_>>();
    let mut clean = DynamicMessage::new(message.descriptor());
    for field in known.iter().filter(|field| message.has_field(field)) {
        let mut value = message.get_field(field).into_owned();
        match &mut value {
            prost_reflect::Value::Message(inner) => clear_unknown(inner),
            prost_reflect::Value::List(items) => {
                for item in items.iter_mut().filter_map(|item| item.as_message_mut()) {
                    clear_unknown(item);
                }
            }
            _ => {}
        }
        clean.set_field(field, value);
    }
    *message = clean;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_are_too_odd_for_a_request(
            choice in any::<u8>(),
            fields in prop::collection::vec((1_u8..12, prop::collection::vec(any::<u8>(), 0..12)), 0..6),
            rest in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            // Fields of a length, which most are, and anything.
            let mut data = vec![choice];
            for (number, content) in fields {
                data.extend([number << 3 | 2, u8::try_from(content.len()).unwrap_or(0)]);
                data.extend(content);
            }
            super::request(&data);
            data.extend(rest);
            super::request(&data);
        }
    }
}
