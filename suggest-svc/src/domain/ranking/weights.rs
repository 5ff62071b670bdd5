//! The model's weights and the file they come from.

use serde_json::Value;

use super::FEATURES;

/// The weights with which the service is shipped: see docs/benchmarks.md for how they were fitted.
const SHIPPED: &str = include_str!("weights.json");

/// The most that a weight may be, either way. Features are logarithms of numbers below 2^53.
const MOST: f64 = 100.0;

/// What each feature counts: see [`super`] for the formula.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// w₁, of ln tRA.
    pub allocation: f64,
    /// w₂, of the logarithm of the number of mutual connections.
    pub mutuals: f64,
    /// w₃, of the logarithm of the candidate's degree.
    pub degree: f64,
    /// w₄, of the logarithm of how many people either is adjacent to.
    pub union: f64,
    /// w₅, of the logarithm of the share of the candidate's neighbours who are not mutual.
    pub strangers: f64,
    /// w₆, of the share of the candidate's neighbours who are mutual.
    pub share: f64,
    /// What a candidate with fewer mutual connections than the minimum has in place of all that.
    pub no_mutuals: f64,
    /// What a contact adds that holds the viewer's number, too.
    pub reciprocal_contact: f64,
    /// What any other contact adds.
    pub one_way_contact: f64,
    /// What is taken off of somebody who was shown too often. Not below 0.
    pub shown_too_often: f64,
    /// What is taken off, at the most, of somebody who is there through the same mutual
    /// connections as those before, when a list is put in its final order. Not below 0.
    pub repetition: f64,
}

/// A file of weights that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WeightsInvalid {
    /// Not an object of JSON.
    #[error("not an object of JSON: {0}")]
    Json(String),
    /// A weight is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// There is no such weight.
    #[error("`{0}` is not a weight")]
    Unknown(String),
    /// A weight is not a number, or not one that makes sense.
    #[error("`{0}` must be a number from {1} to 100")]
    Range(&'static str, i8),
}

impl Weights {
    /// The names in the file, in the order of [`Weights::values`].
    const NAMES: [&str; 11] = [
        "allocation",
        "mutuals",
        "degree",
        "union",
        "strangers",
        "share",
        "no_mutuals",
        "reciprocal_contact",
        "one_way_contact",
        "shown_too_often",
        "repetition",
    ];

    /// Reads a file's text: an object of JSON with every weight and nothing else.
    pub fn parse(text: &str) -> Result<Self, WeightsInvalid> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| WeightsInvalid::Json(error.to_string()))?;
        let Value::Object(fields) = value else {
            return Err(WeightsInvalid::Json("something else".to_owned()));
        };
        if let Some(name) = fields.keys().find(|name| !Self::NAMES.contains(&name.as_str())) {
            return Err(WeightsInvalid::Unknown(name.clone()));
        }
        let mut values = [0.0; Self::NAMES.len()];
        for (value, name) in values.iter_mut().zip(Self::NAMES) {
            let field = fields.get(name).ok_or(WeightsInvalid::Missing(name))?;
            let is_discount = ["shown_too_often", "repetition"].contains(&name);
            let least = if is_discount { 0.0 } else { -MOST };
            let number = field.as_f64().filter(|number| (least..=MOST).contains(number));
            *value =
                number.ok_or(WeightsInvalid::Range(name, if is_discount { 0 } else { -100 }))?;
        }
        Ok(Self::of(values))
    }

    /// As a file's text.
    pub fn to_json(&self) -> String {
        let lines: Vec<_> = Self::NAMES
            .iter()
            .zip(self.values())
            .map(|(name, value)| format!("  \"{name}\": {value:?}"))
            .collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    /// The weights that are fitted, in the order of [`super::Evidence::features`].
    pub fn fitted(&self) -> [f64; FEATURES] {
        [self.allocation, self.mutuals, self.degree, self.union, self.strangers, self.share]
    }

    /// The same with other fitted weights.
    #[must_use]
    pub fn with_fitted(self, fitted: [f64; FEATURES]) -> Self {
        let [allocation, mutuals, degree, union, strangers, share] = fitted;
        Self { allocation, mutuals, degree, union, strangers, share, ..self }
    }

    fn of(values: [f64; 11]) -> Self {
        let [allocation, mutuals, degree, union, strangers, share, rest @ ..] = values;
        let [no_mutuals, reciprocal_contact, one_way_contact, shown_too_often, repetition] = rest;
        Self {
            allocation,
            mutuals,
            degree,
            union,
            strangers,
            share,
            no_mutuals,
            reciprocal_contact,
            one_way_contact,
            shown_too_often,
            repetition,
        }
    }

    fn values(&self) -> [f64; 11] {
        let [allocation, mutuals, degree, union, strangers, share] = self.fitted();
        [
            allocation,
            mutuals,
            degree,
            union,
            strangers,
            share,
            self.no_mutuals,
            self.reciprocal_contact,
            self.one_way_contact,
            self.shown_too_often,
            self.repetition,
        ]
    }
}

impl Default for Weights {
    /// Those that are shipped.
    fn default() -> Self {
        // Unwrap safety: a test reads the same text.
        #[allow(clippy::unwrap_used)]
        Self::parse(SHIPPED).unwrap()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_shipped_weights_are_readable_and_survive_being_written() {
        let shipped = Weights::parse(SHIPPED).unwrap();
        assert_eq!(Weights::parse(&shipped.to_json()), Ok(shipped));
    }

    #[test]
    fn a_bad_file_is_refused_with_the_name_of_the_field() {
        let with = |name: &str, value: Option<Value>| {
            let mut file: Value = serde_json::from_str(SHIPPED).unwrap();
            let fields = file.as_object_mut().unwrap();
            match value {
                Some(value) => fields.insert(name.to_owned(), value),
                None => fields.remove(name),
            };
            Weights::parse(&file.to_string()).unwrap_err().to_string()
        };
        for name in Weights::NAMES {
            let named = format!("`{name}`");
            for value in [None, Some("one".into()), Some(Value::Null), Some(1e9.into())] {
                assert!(with(name, value.clone()).contains(&named), "{name} {value:?}");
            }
        }
        assert!(with("repetition", Some((-0.1).into())).contains("`repetition`"));
        assert!(with("recency", Some(0.5.into())).contains("`recency`"));
        for text in ["", "[]", "{\"allocation\": NaN}"] {
            assert!(matches!(Weights::parse(text), Err(WeightsInvalid::Json(_))), "{text}");
        }
    }
}
