use std::fmt;

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use sha2::{Digest as _, Sha256};

use crate::{MAX_RAW_BYTES, Rejection};

const HASH_OF_EMPTY: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

const EITHER_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, EITHER_PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, EITHER_PADDING);

/// The SHA-256 of a normalised identifier. Hidden from `Debug`: whoever holds a digest can try numbers against it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(normalised: &str) -> Self {
        Self(Sha256::digest(normalised.as_bytes()).into())
    }

    /// Reads a digest that a list's sender computed: 64 hex digits in either case, or 32 bytes in base64, padded or
    /// not, in the standard or the URL-safe alphabet. White space around it is ignored.
    pub fn parse(text: &str) -> Result<Self, Rejection> {
        if text.len() > MAX_RAW_BYTES {
            return Err(Rejection::WrongLength);
        }
        let text = text.trim().as_bytes();
        match text.len() {
            0 => Err(Rejection::Empty),
            // 64 hex digits are base64 as well, of 48 bytes; nobody means that.
            64 => Self::from_bytes(decode_hex(text).ok_or(Rejection::NotADigest)?),
            43 | 44 => Self::from_bytes(decode_base64(text).ok_or(Rejection::NotADigest)?),
            86 | 88 if decode_base64::<64>(text).is_some_and(|letters| is_hex(&letters)) => {
                Err(Rejection::HashOfHash)
            }
            128 if decode_hex::<64>(text).is_some_and(|letters| is_hex(&letters)) => {
                Err(Rejection::HashOfHash)
            }
            _ => Err(Rejection::WrongLength),
        }
    }

    /// Takes a digest in binary, as the contract carries it.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, Rejection> {
        if bytes == HASH_OF_EMPTY { Err(Rejection::HashOfEmpty) } else { Ok(Self(bytes)) }
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(hidden)")
    }
}

fn is_hex(letters: &[u8]) -> bool {
    letters.iter().all(u8::is_ascii_hexdigit)
}

/// Of `2 * N` digits.
fn decode_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    // No branch a digit: digits are random, and every other one would be mispredicted.
    let value = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => u8::MAX,
    };
    let mut bytes = [0; N];
    let mut all = 0;
    for (byte, pair) in bytes.iter_mut().zip(text.as_chunks::<2>().0) {
        let [high, low] = pair.map(value);
        all |= high | low;
        *byte = high << 4 | low;
    }
    (all < 16).then_some(bytes)
}

fn decode_base64<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let engine = if text.iter().any(|b| matches!(b, b'-' | b'_')) { BASE64_URL } else { BASE64 };
    let mut bytes = [0; N];
    (engine.decode_slice(text, &mut bytes).ok()? == N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::HASH_OF_EMPTY;

    #[test]
    fn the_refused_constant_is_the_hash_of_nothing() {
        assert_eq!(<[u8; 32]>::from(Sha256::digest(b"")), HASH_OF_EMPTY);
    }
}
