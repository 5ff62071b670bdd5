//! One property of a vCard: `item1.TEL;TYPE=cell:+49 30 1234567`.

use std::borrow::Cow;

use encoding_rs::Encoding;

use super::row::decode;

/// A property, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Property<'a> {
    /// Its name, without the group before it: in the case it was written in.
    pub(super) name: &'a [u8],
    /// Whether its value is written in quoted-printable.
    pub(super) is_quoted_printable: bool,
    charset: Option<&'a [u8]>,
    value: &'a [u8],
}

impl<'a> Property<'a> {
    /// Takes a line apart; nothing where it is no property.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        // A quote that is never closed is none.
        let colon = outside_quotes(line, b':').or_else(|| line.iter().position(|b| *b == b':'))?;
        let (head, value) = (&line[..colon], &line[colon + 1..]);
        let mut parts = split_outside_quotes(head);
        let name = parts.next()?.trim_ascii();
        let name = name.rsplit(|byte| *byte == b'.').next()?;
        let mut property = Self { name, is_quoted_printable: false, charset: None, value };
        for parameter in parts {
            let (key, value) = match parameter.iter().position(|byte| *byte == b'=') {
                Some(equals) => (&parameter[..equals], &parameter[equals + 1..]),
                // vCard 2.1: a bare value.
                None => (&b""[..], parameter),
            };
            let (key, value) = (key.trim_ascii(), value.trim_ascii());
            property.is_quoted_printable |= value.eq_ignore_ascii_case(b"QUOTED-PRINTABLE");
            if key.eq_ignore_ascii_case(b"CHARSET") {
                property.charset = Some(value);
            }
        }
        Some(property)
    }

    /// Whether this is its name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Its value, as it is written.
    pub(super) fn value(&self) -> &'a [u8] {
        self.value
    }

    /// Its value as text, and whether that was in no Unicode encoding though nothing says so.
    pub(super) fn text(&self) -> (String, bool) {
        let bytes = if self.is_quoted_printable {
            Cow::Owned(unquoted(self.value))
        } else {
            Cow::Borrowed(self.value)
        };
        let named = self.charset.and_then(Encoding::for_label);
        let (text, guessed) = match named {
            Some(encoding) if encoding != encoding_rs::UTF_8 => {
                (encoding.decode_without_bom_handling(&bytes).0.into_owned(), false)
            }
            _ => match decode(&bytes) {
                Ok(text) => (text.into_owned(), false),
                Err(text) => (text, true),
            },
        };
        (unescaped(&text), guessed)
    }
}

/// Whether a line, as far as it has come, goes on after a `=` at its end.
pub(super) fn continues(line: &[u8]) -> bool {
    Property::parse(line).is_some_and(|property| property.is_quoted_printable)
}

/// The phone number in a value: of `tel:+49-30-1234567`, what comes after the scheme.
pub(super) fn number(value: &str) -> Cow<'_, str> {
    let Some(uri) = without_scheme(value, "tel:") else { return Cow::Borrowed(value.trim()) };
    let uri = percent_decoded(uri);
    let mut parts = uri.split(';');
    let number = parts.next().unwrap_or_default();
    for parameter in parts {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        // A local number of somewhere: the country code is in the context.
        if key.eq_ignore_ascii_case("phone-context") && value.starts_with('+') {
            return Cow::Owned(format!("{value}{number}"));
        }
        // Without its extension it would be somebody else's.
        if key.eq_ignore_ascii_case("ext") {
            return Cow::Owned(format!("{number} ext {value}"));
        }
    }
    Cow::Owned(number.to_owned())
}

/// The email address in a value: of `mailto:a@example.com`, what comes after the scheme.
pub(super) fn address(value: &str) -> Cow<'_, str> {
    match without_scheme(value, "mailto:") {
        Some(uri) => Cow::Owned(percent_decoded(uri.split('?').next().unwrap_or_default())),
        None => Cow::Borrowed(value.trim()),
    }
}

fn without_scheme<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let value = value.trim();
    let begin = value.get(..scheme.len())?;
    begin.eq_ignore_ascii_case(scheme).then(|| &value[scheme.len()..])
}

fn outside_quotes(line: &[u8], wanted: u8) -> Option<usize> {
    let mut is_quoted = false;
    line.iter().position(|byte| {
        is_quoted ^= *byte == b'"';
        !is_quoted && *byte == wanted
    })
}

fn split_outside_quotes(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    head.split(move |byte| {
        is_quoted ^= *byte == b'"';
        !is_quoted && *byte == b';'
    })
}

/// Quoted-printable (RFC 2045, 6.7) of one line. What is no escape stands for itself.
fn unquoted(value: &[u8]) -> Vec<u8> {
    escapes(value, b'=')
}

fn percent_decoded(uri: &str) -> String {
    String::from_utf8_lossy(&escapes(uri.as_bytes(), b'%')).into_owned()
}

/// Bytes in which `mark` and two hexadecimal digits stand for one byte.
fn escapes(value: &[u8], mark: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        rest = after;
        let escaped = after
            .first_chunk::<2>()
            .and_then(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        match escaped.filter(|_| *first == mark) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => bytes.push(*first),
        }
    }
    bytes
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Text without vCard's backslashes.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some('n' | 'N')) => {
                plain.push('\n');
                chars.next();
            }
            ('\\', Some(escaped @ ('\\' | ',' | ';' | ':'))) => {
                plain.push(escaped);
                chars.next();
            }
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> String {
        Property::parse(line.as_bytes()).map(|property| property.text().0).unwrap_or_default()
    }

    #[test]
    fn properties_are_taken_apart() {
        let property = Property::parse(b"item1.TEL;type=\"a:b;c\";TYPE=cell:+49 30").unwrap();
        assert!(property.is("tel") && !property.is("item1"));
        assert_eq!(property.value(), b"+49 30");
        assert_eq!(Property::parse(b"no property"), None);
        assert_eq!(text("EMAIL;X=\"never closed:a@b.example"), "a@b.example");
        assert_eq!(text("EMAIL;QUOTED-PRINTABLE:a=40b.exa=6Dple=ZZ"), "a@b.example=ZZ");
        assert_eq!(text("NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET=ISO-8859-1:M=FCller"), "Müller");
        assert_eq!(text(r"EMAIL:a\,b\;c\\d\ne\x"), "a,b;c\\d\ne\\x");
    }

    #[test]
    fn numbers_and_addresses_are_found_in_uris() {
        assert_eq!(number("tel:+49-30-1234567"), "+49-30-1234567");
        assert_eq!(number(" TEL:030-1234567;phone-context=+49"), "+49030-1234567");
        assert_eq!(number("tel:%2B4930;isub=1"), "+4930");
        assert_eq!(number("tel:+4930;ext=12"), "+4930 ext 12");
        assert_eq!(number(" +49 30 "), "+49 30");
        assert_eq!(address("mailto:a@b.example?subject=x"), "a@b.example");
        assert_eq!(address("a@b.example"), "a@b.example");
    }
}
