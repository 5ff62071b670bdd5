//! What an address book had when it was last sent: digests, on this machine, so that only what
//! changed is sent the next time.

use std::collections::BTreeSet;

use identifiers::Kind;
use proto::types::v1::{Identifier, identifier::Value};
use serde::{Deserialize, Serialize};

use crate::{
    client::Connection,
    exit::Error,
    people::{StateArguments, StateFile, wire},
};

/// Bytes of a digest.
const DIGEST: usize = 32;

/// One contact: a kind and the digest of an identifier. Without `Debug`: who holds it can try numbers
/// against it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Contact(pub(super) Kind, pub(super) [u8; DIGEST]);

impl Contact {
    pub(super) fn identifier(self) -> Identifier {
        let Self(kind, digest) = self;
        Identifier { kind: wire(kind).into(), value: Some(Value::Sha256(digest.to_vec())) }
    }
}

/// An address book as it was sent.
pub(super) struct Book {
    /// For the next sync.
    pub(super) token: String,
    /// The rules by which its digests were made.
    pub(super) profile: String,
    pub(super) contacts: BTreeSet<Contact>,
}

/// [`Book`] as it is written: `phone:` and 64 hexadecimal digits.
#[derive(Serialize, Deserialize)]
struct Written {
    token: String,
    profile: String,
    contacts: Vec<String>,
}

/// Where the address book of one person at one gateway is remembered.
pub(super) struct Books(StateFile);

impl Books {
    pub(super) fn open(
        state: &StateArguments,
        connection: &Connection,
        subject: &str,
    ) -> Result<Self, Error> {
        state.open("contacts", &[connection.endpoint(), subject]).map(Self)
    }

    /// What was sent last; nothing where that is not known.
    pub(super) fn last(&self) -> Option<Book> {
        let Written { token, profile, contacts } = self.0.read()?;
        let contact = |text: String| {
            let (kind, digest) = text.split_once(':')?;
            let digest = hex::decode(digest).ok()?.try_into().ok()?;
            Some(Contact(Kind::from_name(kind)?, digest))
        };
        let contacts = contacts.into_iter().map(contact).collect::<Option<_>>()?;
        Some(Book { token, profile, contacts })
    }

    /// This was sent.
    pub(super) fn sent(&self, book: Book) -> Result<(), Error> {
        let Book { token, profile, contacts } = book;
        let contacts =
            contacts.iter().map(|Contact(kind, digest)| format!("{kind}:{}", hex::encode(digest)));
        self.0.write(&Written { token, profile, contacts: contacts.collect() })
    }

    /// What was sent last is not known, or is no more.
    pub(super) fn clear(&self) {
        self.0.clear();
    }

    pub(super) fn forget(self) {
        self.0.remove();
    }
}
