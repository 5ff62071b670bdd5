use std::fmt;

/// The rules under which a list was, or is to be, normalised before hashing.
///
/// The ad platforms publish different rules, and a list hashed by one platform's rules matches nothing hashed by
/// another's. A variant is one platform's rules at one [`version`](Self::version); when a platform changes its rules,
/// that is a new variant beside the old one, because lists hashed under the old rules stay in use.
///
/// | | email | phone |
/// |---|---|---|
/// | every profile | trimmed, lower-cased | parsed, validated, E.164 |
/// | `meta` | nothing more | digits only, without the `+` |
/// | `google` | `gmail.com`, `googlemail.com`: dots and plus suffix of the local part removed | with the `+` |
/// | `uid2` | `gmail.com` only: dots and plus suffix of the local part removed | with the `+` |
///
/// External ids are the same under every profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// Meta's "Customer Information Parameters" for the Conversions API and custom audiences, as of January 2026
    /// (developers.facebook.com, `conversions-api/parameters/customer-information-parameters`).
    Meta,
    /// Google's "Format user data" for the Data Manager API, as of July 2026 (developers.google.com,
    /// `data-manager/api/devguides/concepts/formatting`). One departure: Google also deletes white space inside an
    /// address; here such an address is refused, since it is more often two values in one cell than a typing error.
    Google,
    /// UID2's "Normalization and Encoding", as of November 2025 (github.com/IABTechLab/uid2docs,
    /// `docs/getting-started/gs-normalization-encoding.md`).
    Uid2,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 3] = [Self::Meta, Self::Google, Self::Uid2];

    /// Its name on the command line: `meta`, `google` or `uid2`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Google => "google",
            Self::Uid2 => "uid2",
        }
    }

    /// Which of the platform's published sets of rules this is, counted from 1 in the order Assent adopted them.
    pub const fn version(self) -> u16 {
        match self {
            Self::Meta | Self::Google | Self::Uid2 => 1,
        }
    }

    /// The profile of this [`name`](Self::name), exactly as written there.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Whether mail to this (lower-cased) domain ignores dots and plus suffixes, as far as this profile is concerned.
    pub(crate) fn folds_local_part(self, domain: &str) -> bool {
        match self {
            Self::Meta => false,
            Self::Google => matches!(domain, "gmail.com" | "googlemail.com"),
            Self::Uid2 => domain == "gmail.com",
        }
    }

    /// Whether an E.164 number keeps its leading plus sign.
    pub(crate) const fn keeps_plus(self) -> bool {
        match self {
            Self::Meta => false,
            Self::Google | Self::Uid2 => true,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Profile;

    #[test]
    fn names_lead_back_to_their_profile() {
        for profile in Profile::ALL {
            assert_eq!(Profile::from_name(profile.name()), Some(profile));
        }
        assert_eq!(Profile::from_name("META"), None);
    }
}
