use std::{fmt, str::FromStr};

use rlibphonenumber::PHONE_NUMBER_UTIL;
use thiserror::Error;

/// A region with a telephone numbering plan, by its ISO 3166-1 alpha-2 code: where a phone number without a country
/// code is taken to belong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(rlibphonenumber::Region);

impl Region {
    /// The region as the phone number library knows it.
    pub(crate) const fn plan(self) -> rlibphonenumber::Region {
        self.0
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    /// Reads a code in either case, for instance `DE` or `de`.
    fn from_str(code: &str) -> Result<Self, UnknownRegion> {
        let region = rlibphonenumber::Region::from_code(code).map_err(|_| UnknownRegion)?;
        // The library reads any two letters; only assigned codes have a numbering plan to parse with.
        match PHONE_NUMBER_UTIL.get_country_code_for_region(region) {
            Some(_) => Ok(Self(region)),
            None => Err(UnknownRegion),
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({self})")
    }
}

/// The text is not the two-letter code of a region with a numbering plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an ISO 3166-1 alpha-2 code of a region with a telephone numbering plan")]
pub struct UnknownRegion;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Region, UnknownRegion};

    #[test]
    fn reads_codes_in_either_case() {
        assert_eq!("de".parse::<Region>().unwrap().to_string(), "DE");
        assert_eq!("DE".parse::<Region>(), "de".parse());
    }

    #[test]
    fn refuses_what_has_no_numbering_plan() {
        for code in ["", "D", "DEU", "49", "001", "ZZ", "QQ", "ÄÖ", " DE"] {
            assert_eq!(code.parse::<Region>(), Err(UnknownRegion), "{code:?}");
        }
    }
}
