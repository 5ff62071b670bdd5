use std::borrow::Cow;

use crate::{Profile, Rejection, invisible::is_invisible_mark};

/// Longest address, in bytes (RFC 5321's path limit less its angle brackets).
const MAX_ADDRESS: usize = 254;
/// Longest local part, in bytes (RFC 5321, 4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// Longest domain label, in characters (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;

/// An address that passed the checks, lower-cased, in the form before any profile's own rules.
///
/// Lower-casing is Unicode's default, locale-free conversion, as in the `toLowerCase` and `lower` of the languages that
/// lists are usually prepared in; for ASCII it is the only possible one. No Unicode normalisation and no Punycode
/// conversion follows, because no platform asks for them: an internationalised domain and its `xn--` form stay two
/// addresses.
pub(crate) struct Email {
    address: String,
    at: usize,
}

impl Email {
    /// Checks `trimmed`, which has no white space at its ends and is not empty.
    pub(crate) fn parse(trimmed: &str) -> Result<Self, Rejection> {
        if trimmed.len() > MAX_ADDRESS {
            return Err(Rejection::TooLong);
        }
        // Checked after lower-casing, which can lengthen text: what comes out must itself be accepted.
        let address = trimmed.to_lowercase();
        let (local, domain) = address.split_once('@').ok_or(Rejection::NotAnEmail)?;
        if address.len() > MAX_ADDRESS || local.len() > MAX_LOCAL {
            return Err(Rejection::TooLong);
        }
        if !is_local_part(local) || !is_domain(domain) {
            return Err(Rejection::NotAnEmail);
        }
        // A mailbox whose name is nothing but what Gmail ignores does not exist, whoever reads the list.
        if Profile::ALL.iter().any(|profile| profile.folds_local_part(domain))
            && folded(local).next().is_none()
        {
            return Err(Rejection::NotAnEmail);
        }
        let at = local.len();
        Ok(Self { address, at })
    }

    /// The address as `profile` writes it.
    pub(crate) fn form(&self, profile: Profile) -> Cow<'_, str> {
        let (local, rest) = self.address.split_at(self.at);
        if profile.folds_local_part(&rest[1..]) {
            Cow::Owned(folded(local).chain(rest.chars()).collect())
        } else {
            Cow::Borrowed(&self.address)
        }
    }
}

/// The local part without its dots, and without the first plus sign and what follows it.
fn folded(local: &str) -> impl Iterator<Item = char> {
    local.chars().take_while(|&c| c != '+').filter(|&c| c != '.')
}

/// Stray dots are let through: some carriers' addresses have them, whatever RFC 5322 says. Quoted local parts are not:
/// in a customer list, quotes and angle brackets are the remains of another format.
fn is_local_part(local: &str) -> bool {
    !local.is_empty() && local.chars().all(|c| is_visible(c) && !"\"(),:;<>@[\\]".contains(c))
}

fn is_domain(domain: &str) -> bool {
    let top = domain.rsplit('.').next().unwrap_or_default();
    domain.contains('.')
        && domain.split('.').all(is_label)
        && top.chars().nth(1).is_some()
        && !top.bytes().all(|b| b.is_ascii_digit())
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().count() <= MAX_LABEL
        && label
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || (!c.is_ascii() && is_visible(c)))
}

/// What a reader sees. An address with anything else inside looks like another address and would never match it;
/// U+FFFD is what is left of a file that was read in the wrong encoding.
fn is_visible(c: char) -> bool {
    !c.is_whitespace()
        && !c.is_control()
        && !is_invisible_mark(c)
        && c != char::REPLACEMENT_CHARACTER
}
