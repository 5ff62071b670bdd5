use rlibphonenumber::{PHONE_NUMBER_UTIL, ParseError, PhoneNumberFormat};

use crate::{Profile, Region, Rejection, invisible::is_invisible_mark, numbering_plan};

/// Most digits looked at: 15 of E.164, and room for an international prefix and a trunk zero.
const MAX_DIGITS: usize = 24;
/// Most digits of a number with its country code (ITU-T E.164, 6.1).
const MAX_E164_DIGITS: usize = 15;

// rlibphonenumber writes the numbers it parses into trace records. They are compiled out by the `log` feature that the
// workspace sets; a build without it would let a log filter turn them on, so it must not succeed.
const _: () = assert!((log::STATIC_MAX_LEVEL as usize) < (log::LevelFilter::Trace as usize));

/// A number that is valid in its region.
pub(crate) struct Phone {
    /// With its plus sign.
    e164: String,
}

impl Phone {
    /// Checks `trimmed`. A number that starts with a plus sign is read by its own country code; any other is read as
    /// dialled in `default_region`.
    pub(crate) fn parse(trimmed: &str, default_region: Option<Region>) -> Result<Self, Rejection> {
        let dialled = dialled_digits(trimmed)?;
        let region = if dialled.starts_with('+') {
            None
        } else {
            Some(default_region.ok_or(Rejection::RegionNeeded)?.plan())
        };
        let e164 = numbering_plan::e164(&dialled, region)
            .unwrap_or_else(|| library_e164(&dialled, region))?;
        if e164.len() > 1 + MAX_E164_DIGITS {
            return Err(Rejection::InvalidForRegion);
        }
        Ok(Self { e164 })
    }

    /// The number without its last four digits.
    pub(crate) fn range(&self) -> Option<&str> {
        self.e164.get(..self.e164.len().checked_sub(4)?)
    }

    /// The number as `profile` writes it.
    pub(crate) fn form(&self, profile: Profile) -> &str {
        if profile.keeps_plus() { &self.e164 } else { self.e164.trim_start_matches('+') }
    }
}

/// What the library makes of `dialled`: the number in E.164 with its plus sign.
pub(crate) fn library_e164(
    dialled: &str,
    region: Option<rlibphonenumber::Region>,
) -> Result<String, Rejection> {
    let number = PHONE_NUMBER_UTIL.parse(dialled, region).map_err(|error| match error {
        ParseError::InvalidCountryCode | ParseError::NotANumber(_) => Rejection::NotAPhoneNumber,
        ParseError::TooShortAfterIdd | ParseError::TooShortNsn | ParseError::TooLongNsn => {
            Rejection::InvalidForRegion
        }
    })?;
    if !number.is_valid() {
        return Err(Rejection::InvalidForRegion);
    }
    Ok(number.format_as(PhoneNumberFormat::E164).into_owned())
}

/// Reduces a number to what is dialled: an optional plus sign and ASCII digits.
///
/// The library is given nothing else. It would read letters as keypad digits, drop extensions, and take apart `tel:`
/// URIs (where parameters out of order make it panic); none of these is a person's number as a list should hold it.
fn dialled_digits(trimmed: &str) -> Result<String, Rejection> {
    let mut dialled = String::with_capacity(1 + MAX_DIGITS);
    for c in trimmed.chars() {
        if let Some(digit) = decimal_digit(c) {
            if dialled.len() > MAX_DIGITS {
                return Err(Rejection::TooLong);
            }
            dialled.push(digit);
        } else if matches!(c, '+' | '＋') && dialled.is_empty() {
            dialled.push('+');
        } else if !is_punctuation(c) {
            return Err(Rejection::NotAPhoneNumber);
        }
    }
    if dialled.bytes().any(|b| b.is_ascii_digit()) {
        Ok(dialled)
    } else {
        Err(Rejection::NotAPhoneNumber)
    }
}

/// The zeros of the scripts that phone numbers are written in; each script's digits follow its zero in order.
const ZEROS: [char; 17] = [
    '0', '\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}',
    '\u{c66}', '\u{ce6}', '\u{d66}', '\u{e50}', '\u{ed0}', '\u{1040}', '\u{17e0}', '\u{ff10}',
];

fn decimal_digit(c: char) -> Option<char> {
    if c.is_ascii() {
        return c.is_ascii_digit().then_some(c);
    }
    let value = ZEROS
        .iter()
        .find_map(|&zero| u32::from(c).checked_sub(u32::from(zero)).filter(|value| *value < 10))?;
    char::from_digit(value, 10)
}

/// What people put between digits, and the invisible marks that address books copy along with a number.
fn is_punctuation(c: char) -> bool {
    c == '\t'
        || (c.is_whitespace() && !c.is_control())
        || is_invisible_mark(c)
        || matches!(c, '-' | '.' | '/' | '(' | ')' | '[' | ']' | '（' | '）')
        || matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30fc}' | '\u{ff0d}'..='\u{ff0f}')
}
