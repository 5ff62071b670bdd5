//! Jurisdictions: countries, their parts, and groups of countries.

use serde::{Deserialize, Serialize};

/// ISO 3166-1 alpha-2 (`DE`), ISO 3166-2 (`US-CA`), or a group of countries (`EU`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Jurisdiction(String);

/// How closely a policy's jurisdiction fits a subject's: greater is more specific.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Specificity {
    /// A group of which the country is a member; of two groups, the smaller one is the greater.
    Group(std::cmp::Reverse<usize>),
    /// The country.
    Country,
    /// The very part of the country.
    Part,
}

impl Jurisdiction {
    /// From text that the contract's format check has passed; any other text is a jurisdiction
    /// that nothing else covers.
    pub fn new(code: impl Into<String>) -> Self {
        Self(code.into())
    }

    /// The code.
    pub fn code(&self) -> &str {
        &self.0
    }

    /// The country of which this is a part; nothing, if it is not a part of one.
    pub(crate) fn country(&self) -> Option<&str> {
        self.0.split_once('-').map(|(country, _)| country)
    }

    /// Whether the law there says that silence is a no: where the GDPR applies (the EEA) or its copy
    /// in the law of the United Kingdom; Recital 32 of either. Of other places the author of a
    /// policy knows better than a list that grows old.
    pub(crate) fn silence_is_a_no(&self) -> bool {
        self.covering().any(|(_, code)| matches!(code, "EU" | "EEA" | "GB"))
    }

    /// Every code that covers this jurisdiction, most specific first: itself if it is a part, its
    /// country, and the groups of which that country is a member.
    pub(crate) fn covering(&self) -> impl Iterator<Item = (Specificity, &str)> {
        let (country, part) = match self.country() {
            Some(country) => (country, Some((Specificity::Part, self.code()))),
            None => (self.code(), None),
        };
        let groups = GROUPS.iter().enumerate().filter(move |(_, (_, members))| {
            members.iter().any(|countries| countries.contains(&country))
        });
        part.into_iter().chain([(Specificity::Country, country)]).chain(
            groups.map(|(at, (group, _))| (Specificity::Group(std::cmp::Reverse(at)), *group)),
        )
    }
}

/// The countries in a group; none, if the code is not a group's.
pub(crate) fn members(group: &str) -> impl Iterator<Item = &str> {
    let groups = GROUPS.iter().filter(move |(code, _)| *code == group);
    groups.flat_map(|(_, members)| members.iter().copied().flatten().copied())
}

/// The groups and their members, smaller groups first.
const GROUPS: [(&str, &[&[&str]]); 2] =
    [("EU", &[EU_MEMBERS, EU_TERRITORIES]), ("EEA", &[EU_MEMBERS, EU_TERRITORIES, EFTA_IN_EEA])];

/// The member states of the European Union (Art. 52(1) TEU) since 1 February 2020.
const EU_MEMBERS: &[&str] = &[
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT",
    "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// Parts of member states that have country codes of their own and where Union law applies
/// (Art. 355(1) and (4) TFEU): Åland, French Guiana, Guadeloupe, Saint-Martin, Martinique,
/// Réunion, Mayotte.
const EU_TERRITORIES: &[&str] = &["AX", "GF", "GP", "MF", "MQ", "RE", "YT"];

/// The other parties to the Agreement on the European Economic Area.
const EFTA_IN_EEA: &[&str] = &["IS", "LI", "NO"];

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(of: &str) -> Vec<String> {
        Jurisdiction::new(of).covering().map(|(_, code)| code.to_owned()).collect()
    }

    #[test]
    fn a_part_is_covered_by_itself_its_country_and_the_countrys_groups_in_that_order() {
        assert_eq!(codes("DE-BY"), ["DE-BY", "DE", "EU", "EEA"]);
        assert_eq!(codes("US-CA"), ["US-CA", "US"]);
        assert_eq!(codes("NO"), ["NO", "EEA"]);
        assert_eq!(codes("GB"), ["GB"]);
        assert_eq!(codes("RE"), ["RE", "EU", "EEA"]);
        assert_eq!(codes("EU"), ["EU"]);
    }

    #[test]
    fn specificity_falls_along_that_order() {
        let subject = Jurisdiction::new("FR-75");
        let ranks: Vec<_> = subject.covering().map(|(rank, _)| rank).collect();
        assert!(ranks.windows(2).all(|pair| pair[0] > pair[1]), "{ranks:?}");
    }

    #[test]
    fn silence_is_a_no_where_the_gdpr_applies_and_in_its_british_copy() {
        for code in ["EU", "EEA", "DE", "DE-BY", "RE", "NO", "LI", "GB", "GB-SCT"] {
            assert!(Jurisdiction::new(code).silence_is_a_no(), "{code}");
        }
        for code in ["US", "US-CA", "CH", "BR", "AU", "", "-"] {
            assert!(!Jurisdiction::new(code).silence_is_a_no(), "{code}");
        }
    }

    #[test]
    fn no_text_is_too_odd() {
        for odd in ["", "-", "--", "ß-", "EU-EU"] {
            assert!(!codes(odd).is_empty());
        }
    }
}
