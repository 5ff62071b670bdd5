//! The checks that the generated `impl Checked`s call.

use crate::{At, FieldErrors, options::v1::Format};

/// A string: present if required, within its lengths (in characters), and of its format.
pub(crate) fn text(
    at: &At<'_>,
    value: &str,
    required: bool,
    format: i32,
    min_length: usize,
    max_length: usize,
    bad: &mut FieldErrors,
) {
    if value.is_empty() {
        if required {
            bad.add(at, "required");
        }
        return;
    }
    // A character is at most four bytes: a hostile length is refused without counting it out.
    let too_long = value.len() > max_length.saturating_mul(4) || value.chars().count() > max_length;
    if too_long {
        bad.add(at, format!("longer than {max_length} characters"));
    } else if value.chars().count() < min_length {
        bad.add(at, format!("shorter than {min_length} characters"));
    } else if let Err(why) = has_format(value, Format::try_from(format).unwrap_or_default()) {
        bad.add(at, why);
    }
}

/// A bytes field: present if required, and within its lengths.
pub(crate) fn bytes(
    at: &At<'_>,
    value: &[u8],
    required: bool,
    min_length: usize,
    max_length: usize,
    bad: &mut FieldErrors,
) {
    if value.is_empty() {
        if required {
            bad.add(at, "required");
        }
    } else if value.len() > max_length {
        bad.add(at, format!("longer than {max_length} bytes"));
    } else if value.len() < min_length {
        bad.add(at, format!("shorter than {min_length} bytes"));
    }
}

/// An enum field: a value that the contract knows, and not the zero value if required.
pub(crate) fn choice(at: &At<'_>, known: bool, value: i32, required: bool, bad: &mut FieldErrors) {
    if !known {
        bad.add(at, format!("unknown value {value}"));
    } else if required && value == 0 {
        bad.add(at, "required");
    }
}

/// A repeated field: some items if required, and not too many.
pub(crate) fn items(
    at: &At<'_>,
    name: &'static str,
    count: usize,
    required: bool,
    max_items: usize,
    bad: &mut FieldErrors,
) {
    if required && count == 0 {
        bad.add(at.field(name), "required");
    } else if count > max_items {
        bad.add(at.field(name), format!("{count} items, more than {max_items}"));
    }
}

/// A field that is either there or not.
pub(crate) fn present(at: &At<'_>, name: &'static str, is_present: bool, bad: &mut FieldErrors) {
    if !is_present {
        bad.add(at.field(name), "required");
    }
}

/// Whether a text has the syntax of a subject id, for what names a subject outside a message (a
/// token's `sub`).
pub fn is_subject_id(text: &str) -> bool {
    !text.is_empty() && has_format(text, Format::SubjectId).is_ok()
}

fn has_format(value: &str, format: Format) -> Result<(), &'static str> {
    let bytes = value.as_bytes();
    match format {
        Format::Unspecified => {
            let control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
            require(!value.contains(control), "control characters are not allowed")
        }
        Format::SubjectId => {
            require(
                value.len() <= 128 && bytes.iter().all(|byte| is_id_byte(*byte)),
                "not 1-128 characters of [A-Za-z0-9._~-]",
            )?;
            require(
                !looks_like_phone(bytes),
                "looks like a phone number: subject ids are opaque, use another id",
            )
        }
        Format::RequestId | Format::ResourceId => require(
            value.len() <= 64 && bytes.iter().all(|byte| is_id_byte(*byte)),
            "not 1-64 characters of [A-Za-z0-9._~-]",
        ),
        Format::PurposeId => require(
            value.split_once('.').is_some_and(|(group, name)| is_name(group) && is_name(name)),
            "not <group>.<name> in lower case, as in messenger.share_phone",
        ),
        Format::Jurisdiction => {
            let (country, part) = value.split_once('-').unwrap_or((value, "X"));
            let group = value == "EEA";
            require(
                group
                    || is_upper(country)
                        && country.len() == 2
                        && (1..=3).contains(&part.len())
                        && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()),
                "not a jurisdiction, as in DE, US-CA, EU or EEA",
            )
        }
        Format::Region => require(
            value.len() == 2 && is_upper(value),
            "not an ISO 3166-1 alpha-2 region, as in DE",
        ),
        Format::Locale => require(
            value.len() <= 35
                && value.split('-').enumerate().all(|(index, tag)| {
                    let letters_only = index > 0 || tag.bytes().all(|b| b.is_ascii_alphabetic());
                    let shortest = if index == 0 { 2 } else { 1 };
                    (shortest..=8).contains(&tag.len())
                        && letters_only
                        && tag.bytes().all(|b| b.is_ascii_alphanumeric())
                }),
            "not a BCP 47 language tag, as in de or pt-BR",
        ),
        Format::Day => require(is_day(value), "not a day, as in 2026-03-31"),
    }
}

fn require(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-')
}

/// 7–15 digits (ITU-T E.164 allows no more) and nothing but punctuation between them.
fn looks_like_phone(id: &[u8]) -> bool {
    let digits = id.iter().filter(|byte| byte.is_ascii_digit()).count();
    (7..=15).contains(&digits) && !id.iter().any(u8::is_ascii_alphabetic)
}

fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_upper(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn is_day(text: &str) -> bool {
    let number = |range: std::ops::Range<usize>| -> Option<u32> {
        let part = text.get(range)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let dashes = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    let (Some(year), Some(month), Some(day), true) =
        (number(0..4), number(5..7), number(8..10), dashes)
    else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        1..=12 => 31,
        _ => 0,
    };
    year > 0 && (1..=days).contains(&day)
}
