//! The identifiers of an account that is registered: from a file, or from the command line.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use proto::types::v1::{Identifier, IdentifierKind, identifier::Value};

use crate::exit::Error;

/// The most bytes of a file with identifiers: an account has at most 32 of them.
const LARGEST: u64 = 1 << 16;

/// By what a person can be found, as the app has verified it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Identifiers")]
pub(super) struct Identifiers {
    /// A file with one a line: `phone +49 30 901820`, `email ann@example.org`, `external-id 7`. `-`
    /// reads standard input. What is on the command line, other users of the machine can see.
    #[arg(long = "identifiers", value_name = "FILE")]
    file: Option<PathBuf>,
    /// A phone number; can be repeated.
    #[arg(long, value_name = "NUMBER")]
    phone: Vec<String>,
    /// An email address; can be repeated.
    #[arg(long, value_name = "ADDRESS")]
    email: Vec<String>,
    /// The platform's own id of the person; can be repeated.
    #[arg(long, value_name = "ID")]
    external_id: Vec<String>,
}

impl Identifiers {
    /// All of them, with where each was given.
    pub(super) fn read(&self) -> Result<Vec<(String, Identifier)>, Error> {
        let flags = [
            ("--phone", IdentifierKind::Phone, &self.phone),
            ("--email", IdentifierKind::Email, &self.email),
            ("--external-id", IdentifierKind::ExternalId, &self.external_id),
        ];
        let mut all = Vec::new();
        for (flag, kind, values) in flags {
            for (value, number) in values.iter().zip(1..) {
                all.push((format!("{flag} {number}"), identifier(kind, value)));
            }
        }
        if let Some(file) = &self.file {
            all.extend(lines(&text(file)?)?);
        }
        Ok(all)
    }
}

fn identifier(kind: IdentifierKind, value: &str) -> Identifier {
    Identifier { kind: kind.into(), value: Some(Value::Raw(value.to_owned())) }
}

fn text(file: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        io::stdin().take(LARGEST + 1).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|open| open.take(LARGEST + 1).read_to_string(&mut text))
    };
    read.map_err(|error| Error::unreadable(file, &error))?;
    if text.len() as u64 > LARGEST {
        let what = format!("{} has more than the identifiers of one account", file.display());
        return Err(Error::input(what));
    }
    Ok(text)
}

/// The identifiers in a text, or every line that has none. Never repeats what a line says.
fn lines(text: &str) -> Result<Vec<(String, Identifier)>, Error> {
    let (mut all, mut faults) = (Vec::new(), Vec::new());
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        let at = format!("line {number}");
        let kind = match line.split_once(char::is_whitespace) {
            _ if line.is_empty() => continue,
            Some(("phone", value)) => (IdentifierKind::Phone, value),
            Some(("email", value)) => (IdentifierKind::Email, value),
            Some(("external-id", value)) => (IdentifierKind::ExternalId, value),
            _ => {
                faults.push(at);
                continue;
            }
        };
        all.push((at, identifier(kind.0, kind.1.trim())));
    }
    if faults.is_empty() {
        return Ok(all);
    }
    let error = Error::input("the file with identifiers has lines that are none")
        .with_next("each line is `phone NUMBER`, `email ADDRESS` or `external-id ID`");
    Err(faults.into_iter().fold(error, |error, at| error.with_fault(at, "not KIND VALUE")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_line_is_one_and_every_bad_line_is_told() {
        let read = lines("\u{feff}phone +49 30 901820\r\n\n  email  ann@example.org\n").unwrap();
        assert_eq!(
            read[0],
            ("line 1".to_owned(), identifier(IdentifierKind::Phone, "+49 30 901820"))
        );
        assert_eq!(
            read[1],
            ("line 3".to_owned(), identifier(IdentifierKind::Email, "ann@example.org"))
        );
        let error = lines("phone\nphone 1\n+4930901820\n").unwrap_err().to_string();
        assert!(error.contains("line 1:") && error.contains("line 3:"), "{error}");
        assert!(!error.contains("line 2") && !error.contains("4930"), "{error}");
    }
}
