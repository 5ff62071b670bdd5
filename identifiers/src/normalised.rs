use std::{borrow::Cow, fmt};

use crate::{
    Digest, Kind, MAX_RAW_BYTES, Profile, Region, Rejection, email::Email, external_id,
    phone::Phone,
};

/// An identifier as one profile writes it. It hides itself from `Debug`: reading it takes [`expose`](Self::expose).
#[derive(Clone, PartialEq, Eq)]
pub struct Normalised(String);

impl Normalised {
    /// The text itself, for showing a sender what their own row became. It must not be logged or stored.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its SHA-256.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl fmt::Debug for Normalised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Normalised(hidden)")
    }
}

/// Checks `raw` and writes it as `profile` prescribes.
///
/// `default_region` is used for phones without a country code and ignored otherwise. White space around the value is
/// never part of it.
pub fn normalise(
    kind: Kind,
    profile: Profile,
    raw: &str,
    default_region: Option<Region>,
) -> Result<Normalised, Rejection> {
    Ok(Normalised(Checked::parse(kind, raw, default_region)?.form(profile).into_owned()))
}

/// The digest of one raw row of a list that follows `profile`.
pub fn digest(
    kind: Kind,
    profile: Profile,
    raw: &str,
    default_region: Option<Region>,
) -> Result<Digest, Rejection> {
    Ok(Digest::of(&Checked::parse(kind, raw, default_region)?.form(profile)))
}

/// The digests under which a registered identifier must be found: one for each distinct form that the profiles give
/// it, at most one per profile, in the order of [`Profile::ALL`].
pub fn registered_digests(
    kind: Kind,
    raw: &str,
    default_region: Option<Region>,
) -> Result<Vec<Digest>, Rejection> {
    Ok(Checked::parse(kind, raw, default_region)?.digests())
}

/// As [`registered_digests`], with the digest of the range that a phone number is in: its E.164 form, with the plus sign,
/// without the last four digits. Whoever holds it can try ranges against it: it is to be keyed, as the others are.
pub fn registered(
    kind: Kind,
    raw: &str,
    default_region: Option<Region>,
) -> Result<(Vec<Digest>, Option<Digest>), Rejection> {
    let checked = Checked::parse(kind, raw, default_region)?;
    let range = match &checked {
        Checked::Phone(phone) => phone.range().map(Digest::of),
        Checked::Email(_) | Checked::ExternalId(_) => None,
    };
    Ok((checked.digests(), range))
}

/// A value that is one of its kind; only the profile's way of writing it is still open.
enum Checked<'a> {
    Email(Email),
    Phone(Phone),
    ExternalId(&'a str),
}

impl<'a> Checked<'a> {
    fn parse(kind: Kind, raw: &'a str, default_region: Option<Region>) -> Result<Self, Rejection> {
        if raw.len() > MAX_RAW_BYTES {
            return Err(Rejection::TooLong);
        }
        let trimmed = raw.trim();
        if trimmed.is_empty() {
            return Err(Rejection::Empty);
        }
        Ok(match kind {
            Kind::Email => Self::Email(Email::parse(trimmed)?),
            Kind::Phone => Self::Phone(Phone::parse(trimmed, default_region)?),
            Kind::ExternalId => Self::ExternalId(external_id::check(trimmed)?),
        })
    }

    fn digests(&self) -> Vec<Digest> {
        let mut digests = Vec::with_capacity(Profile::ALL.len());
        for profile in Profile::ALL {
            let digest = Digest::of(&self.form(profile));
            if !digests.contains(&digest) {
                digests.push(digest);
            }
        }
        digests
    }

    fn form(&self, profile: Profile) -> Cow<'_, str> {
        match self {
            Self::Email(email) => email.form(profile),
            Self::Phone(phone) => Cow::Borrowed(phone.form(profile)),
            Self::ExternalId(id) => Cow::Borrowed(id),
        }
    }
}
