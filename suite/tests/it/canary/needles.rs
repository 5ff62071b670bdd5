//! Contact identifiers that nobody has, and what must not be found of them anywhere.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};
use bytes::Bytes;
use identifiers::{Kind, Profile, Region, normalise};

/// An identifier in several spellings, as people and lists write it.
pub(crate) struct Canary {
    pub(crate) kind: Kind,
    pub(crate) spellings: &'static [&'static str],
}

const fn canary(kind: Kind, spellings: &'static [&'static str]) -> Canary {
    Canary { kind, spellings }
}

/// For numbers without a country code.
pub(crate) const REGION: &str = "DE";

/// Of people who are registered.
pub(crate) const KNOWN: [Canary; 5] = [
    canary(Kind::Phone, &["+49 1512 3456789", "01512 3456789", "  0049 (1512) 345-6789 "]),
    canary(Kind::Phone, &["+1 201 555 0163", " (001) 201.555.0163"]),
    canary(Kind::Email, &["Canary.Vogel+tag@GMail.com", " canary.vogel@gmail.com  "]),
    canary(Kind::Email, &["Zwei.Canary@GoogleMail.com", "zwei.canary+list@googlemail.com\t"]),
    canary(Kind::ExternalId, &["Kd-Canary/0815 A", " Kd-Canary/0815 A  "]),
];

/// Of people whom nobody has registered.
pub(crate) const STRANGERS: [Canary; 2] = [
    canary(Kind::Phone, &["+44 20 7946 0958", "+442079460958"]),
    canary(Kind::Email, &["Canary-Fremd@Example.org", "canary-fremd@example.org "]),
];

/// What is no identifier of its kind.
pub(crate) const INVALID: [Canary; 4] = [
    canary(Kind::Phone, &["+49 1512 34567 90123 456", "+1 555 0199 77 canary", "canary@in.phone"]),
    canary(Kind::Email, &["canary.broken@@example.org", "canary.no.domain@", "+49 1512 7654321"]),
    canary(Kind::Email, &[LONG]),
    canary(Kind::ExternalId, &[LONG]),
];

/// Longer than an address or an external id may be.
const LONG: &str = "canary.long.canary.long.canary.long.canary.long.canary.long.canary.long.\
    canary.long.canary.long.canary.long.canary.long.canary.long.canary.long.canary.long.canary.\
    long.canary.long.canary.long.canary.long.canary.long.canary.long.canary.long@canary.long.\
    example.org";

/// Not sent as identifiers, but put where the search looks, to see it find them.
pub(crate) const CONTROLS: [Canary; 2] = [
    canary(Kind::Phone, &["+49 30 901820 77"]),
    canary(Kind::Email, &["Control.Bird+x@GMail.com"]),
];

/// Every canary that is sent.
pub(crate) fn sent() -> impl Iterator<Item = &'static Canary> {
    KNOWN.iter().chain(&STRANGERS).chain(&INVALID)
}

impl Canary {
    /// The distinct digests under which the profiles know it; none of what is not one of its kind.
    pub(crate) fn digests(&self) -> Vec<[u8; 32]> {
        let digests: BTreeSet<_> = self.normalised().map(|text| digest(&text)).collect();
        digests.into_iter().collect()
    }

    fn normalised(&self) -> impl Iterator<Item = String> {
        let region = REGION.parse::<Region>().ok();
        self.spellings.iter().flat_map(move |raw| {
            Profile::ALL.into_iter().filter_map(move |profile| {
                let text = normalise(self.kind, profile, raw, region).ok()?;
                Some(text.expose().to_owned())
            })
        })
    }

    /// The texts that tell who it is: as written, as normalised, and parts that do just as well.
    fn texts(&self) -> BTreeSet<String> {
        let mut texts: BTreeSet<String> = self.normalised().collect();
        for raw in self.spellings {
            texts.insert(raw.trim().to_owned());
            let digits: String = raw.chars().filter(char::is_ascii_digit).collect();
            if self.kind == Kind::Phone && digits.len() >= 8 {
                texts.insert(digits.trim_start_matches('0').to_owned());
                texts.insert(digits);
            }
        }
        let of_mailboxes: Vec<_> =
            texts.iter().filter_map(|text| Some(text.split_once('@')?.0.to_owned())).collect();
        // Shorter ones are parts of other words.
        texts.extend(of_mailboxes.into_iter().filter(|mailbox| mailbox.len() >= 10));
        texts
    }
}

pub(crate) fn digest(normalised: &str) -> [u8; 32] {
    let region = None;
    // An external id is normalised already.
    *identifiers::digest(Kind::ExternalId, Profile::Meta, normalised, region).unwrap().as_bytes()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// A digest in every form in which it is written; of each, its name.
fn written(digest: [u8; 32]) -> Vec<(&'static str, Vec<u8>)> {
    let hex = hex::encode(digest);
    let padded = BASE64_STANDARD.encode(digest);
    let url_safe = BASE64_URL_SAFE.encode(digest);
    let debug = format!("{:?}", Bytes::copy_from_slice(&digest));
    let debug = debug.trim_start_matches("b\"").trim_end_matches('"').to_owned();
    vec![
        ("32 bytes", digest.to_vec()),
        ("lower-case hex", hex.clone().into_bytes()),
        ("upper-case hex", hex.to_uppercase().into_bytes()),
        ("base64 of hex", BASE64_STANDARD.encode(&hex).into_bytes()),
        // Padding adds nothing to what is looked for.
        ("base64", padded.trim_end_matches('=').into()),
        ("url-safe base64", url_safe.trim_end_matches('=').into()),
        // As derived `Debug` would log them: a list of numbers, text with escapes, the same in JSON.
        ("numbers", format!("{digest:?}").trim_matches(['[', ']']).into()),
        ("escapes", debug.clone().into_bytes()),
        ("escapes in JSON", debug.replace('\\', "\\\\").into_bytes()),
    ]
}

/// What is looked for.
pub(crate) struct Needles {
    /// What each is, and its bytes.
    pub(crate) all: Vec<(String, Vec<u8>)>,
    automaton: AhoCorasick,
}

impl Needles {
    pub(crate) fn of<'a>(canaries: impl IntoIterator<Item = &'a Canary>) -> Self {
        let mut all = BTreeSet::new();
        for canary in canaries {
            for text in canary.texts() {
                all.insert((format!("{text:?}"), text.into_bytes()));
            }
            for text in canary.normalised() {
                let forms = written(digest(&text)).into_iter();
                all.extend(forms.map(|(form, bytes)| (format!("{form} of {text:?}"), bytes)));
            }
        }
        let all: Vec<_> = all.into_iter().collect();
        // Whatever the case of letters: no harm where it matters, since these are long.
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(all.iter().map(|(_, bytes)| bytes))
            .unwrap();
        Self { all, automaton }
    }

    /// Which of them are in `bytes`: its index in `all`, and where.
    pub(crate) fn within(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let found = self.automaton.find_overlapping_iter(bytes);
        found.map(|found| (found.pattern().as_usize(), found.start())).collect()
    }
}
