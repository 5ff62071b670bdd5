//! Who may find a person, and through whom.

/// Who may find a person by a number or address that they have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Discoverability {
    /// Everyone who has it.
    Everyone,
    /// Only people whose number or address the person also has.
    #[default]
    Reciprocal,
    /// Nobody. The person's contacts then make no edge of the graph either: whether they hold
    /// somebody's number could otherwise be read off what that somebody is suggested.
    Nobody,
}

/// A person's own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Who may find the person.
    pub discoverability: Discoverability,
    /// Whether the person may be the mutual connection between two others.
    pub may_be_mutual: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { discoverability: Discoverability::default(), may_be_mutual: true }
    }
}
