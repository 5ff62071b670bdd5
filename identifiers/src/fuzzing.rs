//! What must hold of identifiers, whatever they are: for the fuzz targets (`scripts/fuzz`), and for
//! tests of few cases. In no other build.

use crate::{
    Digest, Kind, MAX_RAW_BYTES, Profile, Region, digest, normalise, numbering_plan,
    phone::library_e164, registered, registered_digests,
};

const REGIONS: [&str; 12] =
    ["US", "DE", "GB", "IT", "AR", "MX", "BR", "SG", "CI", "SM", "KZ", "GG"];

/// The first byte chooses the kind and the region, the others are the raw text.
///
/// # Panics
/// When profiles disagree on what is accepted, a normal form is not its own, or lists do not find
/// what is registered.
#[allow(clippy::unwrap_used)]
pub fn identifier(data: &[u8]) {
    let Some((choice, raw)) = data.split_first() else { return };
    let Ok(raw) = std::str::from_utf8(raw) else { return };
    let kind = Kind::ALL[usize::from(*choice) % 3];
    let region = REGIONS.get(usize::from(*choice) / 3).map(|code| code.parse().unwrap());
    let found = registered_digests(kind, raw, region);
    assert_eq!(found.is_ok(), registered(kind, raw, region).is_ok());
    for profile in Profile::ALL {
        let normalised = normalise(kind, profile, raw, region);
        assert_eq!(normalised.as_ref().err(), found.as_ref().err());
        let (Ok(once), Ok(found)) = (normalised, &found) else { continue };
        assert!(raw.len() <= MAX_RAW_BYTES && once.expose().len() <= 256);
        assert!(found.contains(&once.digest()), "a list of this profile does not find it");
        assert!(digest(kind, profile, raw, region).unwrap() == once.digest());
        // Meta's numbers have no plus sign of their own.
        let bare = kind == Kind::Phone && !once.expose().starts_with('+');
        let again = if bare { format!("+{}", once.expose()) } else { once.expose().to_owned() };
        let twice = normalise(kind, profile, &again, region).unwrap();
        assert!(twice.expose() == once.expose(), "the normal form is not its own");
    }
    if let Ok(digest) = Digest::parse(raw) {
        assert!(Digest::parse(raw.trim()) == Ok(digest));
    }
    let _ = raw.parse::<Region>();
}

/// What is dialled in the region that the first byte chooses, or with a plus sign: each other byte
/// is a digit.
///
/// # Panics
/// When the automaton answers otherwise than the library.
#[allow(clippy::unwrap_used)]
pub fn phone(data: &[u8]) {
    let Some((choice, digits)) = data.split_first() else { return };
    let digit = |byte: &u8| char::from(b'0' + byte.wrapping_sub(b'0') % 10);
    let digits = digits.iter().take(24).map(digit);
    let region: Option<Region> =
        REGIONS.get(usize::from(*choice) % 24).map(|code| code.parse().unwrap());
    let plus = if region.is_some() { None } else { Some('+') };
    let dialled: String = plus.into_iter().chain(digits).collect();
    if dialled.len() <= 1 {
        return;
    }
    let region = region.map(Region::plan);
    if let Some(ours) = numbering_plan::e164(&dialled, region) {
        assert_eq!(ours, library_e164(&dialled, region), "{dialled} in {region:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_identifier_is_too_odd(
            choice in any::<u8>(),
            raw in prop_oneof![
                "\\PC{0,40}",
                "[A-Za-z0-9._İΣ+-]{0,12}@[A-Za-z0-9.éΣ-]{0,12}(gmail\\.com|\\.[a-z]{2,3})?",
                "[+＋]?[0-9٠-٩ ()./-]{0,26}",
                "[A-Za-z0-9+/_-]{43}=?",
            ],
        ) {
            super::identifier(&[&[choice], raw.as_bytes()].concat());
        }

        #[test]
        fn the_automaton_answers_as_the_library(data in prop::collection::vec(any::<u8>(), 1..22)) {
            super::phone(&data);
        }
    }
}
