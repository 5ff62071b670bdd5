//! From an identifier as it was sent to the match keys that stand for it.

use identifiers::{
    Digest, Kind, MatchKey, MatchKeySecret, Region, Rejection, registered, registered_digests,
};

/// A range of 10,000 phone numbers, as a keyed number that says nothing of which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range(pub i64);

/// An identifier as it was sent.
#[derive(Clone, Copy)]
pub enum Given<'a> {
    /// In clear.
    Raw(&'a str),
    /// Its SHA-256.
    Digest(&'a [u8]),
    /// Its SHA-256 as text.
    DigestText(&'a str),
    /// Not at all.
    Nothing,
}

/// Why an identifier was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The kind is missing.
    KindUnknown,
    /// The value is no such identifier.
    Value(Rejection),
}

/// The keys under which an identifier is found, and the digest of the range that it is in, if it is
/// a phone number in clear: nobody knows that of another.
pub fn registered_keys(
    secret: &MatchKeySecret,
    kind: Option<Kind>,
    given: Given<'_>,
    region: Option<Region>,
) -> Result<(Vec<MatchKey>, Option<Digest>), Refusal> {
    let (Some(kind), Given::Raw(text)) = (kind, given) else {
        return Ok((match_keys(secret, kind, given, region)?, None));
    };
    let (digests, range) = registered(kind, text, region).map_err(Refusal::Value)?;
    Ok((digests.iter().map(|digest| secret.match_key(kind, digest)).collect(), range))
}

/// The keys under which an identifier is found, or is looked for: one for each form that the
/// normalisation profiles give an identifier sent in clear, the one that was sent otherwise.
pub fn match_keys(
    secret: &MatchKeySecret,
    kind: Option<Kind>,
    given: Given<'_>,
    region: Option<Region>,
) -> Result<Vec<MatchKey>, Refusal> {
    let kind = kind.ok_or(Refusal::KindUnknown)?;
    let digests = match given {
        Given::Raw(text) => registered_digests(kind, text, region),
        Given::Digest(bytes) => one(digest(bytes)),
        Given::DigestText(text) => one(Digest::parse(text)),
        Given::Nothing => Err(Rejection::Empty),
    };
    let digests = digests.map_err(Refusal::Value)?;
    Ok(digests.iter().map(|digest| secret.match_key(kind, digest)).collect())
}

fn digest(bytes: &[u8]) -> Result<Digest, Rejection> {
    if bytes.is_empty() {
        return Err(Rejection::Empty);
    }
    Digest::from_bytes(bytes.try_into().map_err(|_| Rejection::WrongLength)?)
}

fn one(digest: Result<Digest, Rejection>) -> Result<Vec<Digest>, Rejection> {
    digest.map(|digest| vec![digest])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn secret() -> MatchKeySecret {
        MatchKeySecret::new(1, &[7; 32]).unwrap()
    }

    #[test]
    fn a_number_is_found_however_it_was_written_or_hashed() {
        let region = Some("DE".parse().unwrap());
        let keys = |given| match_keys(&secret(), Some(Kind::Phone), given, region).unwrap();
        let national = keys(Given::Raw("030 901820"));
        assert_eq!(national, keys(Given::Raw("+49 30 901820")));
        let form =
            identifiers::digest(Kind::Phone, identifiers::Profile::Google, "030901820", region);
        let hashed = keys(Given::Digest(form.unwrap().as_bytes()));
        assert!(national.contains(&hashed[0]));
    }

    #[test]
    fn what_is_registered_has_the_same_keys_and_a_range_when_it_is_a_number_in_clear() {
        let region = Some("DE".parse().unwrap());
        let phone = Some(Kind::Phone);
        let both = |kind, given| {
            let (keys, range) = registered_keys(&secret(), kind, given, region).unwrap();
            assert_eq!(keys, match_keys(&secret(), kind, given, region).unwrap());
            range
        };
        assert!(both(phone, Given::Raw("030 901820")).is_some());
        assert!(both(phone, Given::Digest(&[1; 32])).is_none());
        assert!(both(Some(Kind::Email), Given::Raw("ann@example.org")).is_none());
        let refused = registered_keys(&secret(), phone, Given::Raw("030 1"), None);
        assert_eq!(refused.unwrap_err(), Refusal::Value(Rejection::RegionNeeded));
        let refused = registered_keys(&secret(), None, Given::Raw("030 1"), None);
        assert_eq!(refused.unwrap_err(), Refusal::KindUnknown);
    }

    #[test]
    fn what_is_no_identifier_is_refused_with_its_reason() {
        let refusal = |kind, given| match_keys(&secret(), kind, given, None).unwrap_err();
        let phone = Some(Kind::Phone);
        assert_eq!(refusal(None, Given::Raw("x")), Refusal::KindUnknown);
        assert_eq!(refusal(phone, Given::Nothing), Refusal::Value(Rejection::Empty));
        assert_eq!(refusal(phone, Given::Digest(&[])), Refusal::Value(Rejection::Empty));
        assert_eq!(refusal(phone, Given::Digest(&[1; 31])), Refusal::Value(Rejection::WrongLength));
        assert_eq!(refusal(phone, Given::Raw("030 1")), Refusal::Value(Rejection::RegionNeeded));
    }
}
