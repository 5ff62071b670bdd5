//! What is kept of a match key.

use identifiers::MatchKey;

/// Bits of a key that choose its segment.
const SEGMENT_BITS: u32 = 6;

/// How many segments there are: what is merged, replaced and written at once.
pub(super) const SEGMENTS: usize = 1 << SEGMENT_BITS;

/// How many blocks a segment has. Segment and block are a key's first 16 bits.
pub(super) const BLOCKS: usize = 1 << (16 - SEGMENT_BITS);

/// The first 80 bits of a match key. They sort as keys do.
///
/// Keys are uniform, as they come out of HMAC-SHA-256. So a key that is not among n others has a
/// prefix of theirs with a probability of at most n / 2^80: 8.3e-16 for 10^9. Two keys with one
/// prefix are one key here: it finds whom either was set to last, and nobody when either was
/// removed last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Prefix(u128);

impl Prefix {
    #[inline]
    pub(super) const fn of(key: &MatchKey) -> Self {
        Self(u128::from_be_bytes(*key.as_bytes()) >> 48)
    }

    /// Of its parts.
    #[inline]
    pub(super) const fn new(segment: usize, block: usize, fingerprint: u64) -> Self {
        Self(((segment * BLOCKS + block) as u128) << 64 | fingerprint as u128)
    }

    /// Bits 0 to 5: its segment.
    #[inline]
    pub(super) const fn segment(self) -> usize {
        (self.0 >> (80 - SEGMENT_BITS)) as usize
    }

    /// Bits 6 to 15: its block in its segment.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "16 bits are left")]
    pub(super) const fn block(self) -> usize {
        (self.0 >> 64) as usize % BLOCKS
    }

    /// Bits 16 to 79: what tells it from others of its block.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    pub(super) const fn fingerprint(self) -> u64 {
        self.0 as u64
    }
}

/// A prefix and an ordinal, in 112 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(u128);

impl Entry {
    /// Bytes of an entry in a file.
    pub(super) const BYTES: usize = 14;

    /// None: its upper 16 bits are set.
    pub(super) const NONE: Self = Self(u128::MAX);

    #[inline]
    pub(super) const fn new(prefix: Prefix, ordinal: u32) -> Self {
        Self(prefix.0 << 32 | ordinal as u128)
    }

    #[inline]
    pub(super) const fn prefix(self) -> Prefix {
        Prefix(self.0 >> 32)
    }

    /// Who is found by it; [`NOBODY`](crate::domain::NOBODY) where it stands for a removal.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower 32 bits are wanted")]
    pub(super) const fn ordinal(self) -> u32 {
        self.0 as u32
    }

    /// Big-endian, so that entries in a file sort as their keys do.
    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let [_, _, bytes @ ..] = self.0.to_be_bytes();
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let mut wide = [0; 16];
        wide[2..].copy_from_slice(&bytes);
        Self(u128::from_be_bytes(wide))
    }
}
