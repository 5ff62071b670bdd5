use std::fmt;

/// What an identifier identifies a person by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An email address.
    Email,
    /// A telephone number.
    Phone,
    /// An id that the business gave its customer.
    ExternalId,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Email, Self::Phone, Self::ExternalId];

    /// The byte that stands for this kind inside a match key.
    ///
    /// It is hashed into every stored key, so it never changes: email 1, phone 2, external id 3. The numbers are those
    /// of the contract's `IdentifierKind`.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Email => 1,
            Self::Phone => 2,
            Self::ExternalId => 3,
        }
    }

    /// The kind whose [`tag`](Self::tag) this is.
    pub const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            1 => Some(Self::Email),
            2 => Some(Self::Phone),
            3 => Some(Self::ExternalId),
            _ => None,
        }
    }

    /// Its name on the command line and in column headings: `email`, `phone` or `external_id`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::ExternalId => "external_id",
        }
    }

    /// The kind of this [`name`](Self::name), exactly as written there.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn tags_are_frozen() {
        assert_eq!(Kind::ALL.map(Kind::tag), [1, 2, 3]);
    }

    #[test]
    fn tags_and_names_lead_back_to_their_kind() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_tag(kind.tag()), Some(kind));
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(Kind::from_tag(0), None);
        assert_eq!(Kind::from_tag(4), None);
        assert_eq!(Kind::from_name("Email"), None);
    }
}
