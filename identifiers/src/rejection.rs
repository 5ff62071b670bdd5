use thiserror::Error;

/// Why a row was refused. It names the reason and never carries the value, so it may be shown and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Rejection {
    /// Nothing but white space.
    #[error("the value is empty")]
    Empty,
    /// More text than any identifier of its kind can have.
    #[error("the value is too long for its kind")]
    TooLong,
    /// A pre-hashed value of a length that neither hex nor base64 gives 32 bytes: another hash function's output,
    /// a value cut short, or one that was not hashed.
    #[error("the value does not have the length of a SHA-256 digest in hex or base64")]
    WrongLength,
    /// A pre-hashed value of the right length that is not written in hex or base64.
    #[error("the value is neither hex nor base64")]
    NotADigest,
    /// The SHA-256 of nothing: the sender hashed an empty cell.
    #[error("the value is the SHA-256 digest of empty text")]
    HashOfEmpty,
    /// Text in hex that was encoded once more: the sender encoded the letters of the digest and not its bytes.
    #[error("the value is an encoded digest that was encoded again")]
    HashOfHash,
    /// Not one local part, one `@` and one usable domain.
    #[error("the value is not an email address")]
    NotAnEmail,
    /// Not digits and phone punctuation, or a country code that nobody has.
    #[error("the value is not a phone number")]
    NotAPhoneNumber,
    /// A national phone number, and no region to read it in.
    #[error("the phone number has no country code and no default region was given")]
    RegionNeeded,
    /// A phone number that its region's numbering plan does not contain.
    #[error("the phone number is not valid in its region")]
    InvalidForRegion,
    /// An external id with a line break or another control character in it.
    #[error("the value contains a control character")]
    ControlCharacter,
}
