//! How a command ends: exit codes that mean something, and errors that say what to do next.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use crate::output::plain;

/// How a command ended when nothing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// What was asked for was done.
    Done,
    /// It was asked, and the answer is no: DENIED, or not finished yet.
    No,
}

/// Under the help of every command.
pub(crate) const CODES: &str = "\
Exit codes:
  0    done
  1    failed, for a reason that is not yours
  2    wrong usage of the command line
  3    what was given has faults, or does not fit what is there
  4    not allowed: no token, or not one for this
  5    not found
  6    passing: try again later
  7    asked, and the answer is no (DENIED, not finished yet)
  141  whoever read the output closed it";

/// Why a command did not do what was asked of it. One exit code each.
#[derive(Debug)]
pub(crate) enum Error {
    /// For a reason of this machine's or the suite's. 1.
    Failed(Told),
    /// The command line contradicts itself, where clap cannot see it. 2.
    Usage(Told),
    /// What was given has faults, or does not fit what is there. 3.
    Input(Told),
    /// No token, or not one for this. 4.
    NotAllowed(Told),
    /// There is no such thing. 5.
    NotFound(Told),
    /// The same may succeed later. 6.
    Passing(Told),
    /// Standard output was closed by whoever read it: nobody wants to know more. 141, as the shell
    /// says of a program that SIGPIPE ended.
    OutputClosed,
}

/// What a person at the terminal is told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What happened.
    pub(crate) what: String,
    /// Every fault: the field, row or file, and what is wrong with it.
    pub(crate) faults: Vec<(String, String)>,
    /// What to do next.
    pub(crate) next: Option<String>,
}

macro_rules! constructors {
    ($($name:ident: $variant:ident, $doc:literal);* $(;)?) => {$(
        #[doc = $doc]
        #[allow(dead_code)] // one for each exit code
        pub(crate) fn $name(what: impl Into<String>) -> Self {
            Self::$variant(Told { what: what.into(), ..Told::default() })
        }
    )*};
}

impl Error {
    constructors! {
        failed: Failed, "[`Error::Failed`], because of this.";
        usage: Usage, "[`Error::Usage`], because of this.";
        input: Input, "[`Error::Input`], because of this.";
        not_allowed: NotAllowed, "[`Error::NotAllowed`], because of this.";
        not_found: NotFound, "[`Error::NotFound`], because of this.";
        passing: Passing, "[`Error::Passing`], because of this.";
    }

    /// A file that was named and cannot be read.
    pub(crate) fn unreadable(file: &std::path::Path, error: &io::Error) -> Self {
        Self::input(format!("cannot read {}: {}", file.display(), reason(error)))
    }

    /// A file that cannot be written.
    pub(crate) fn unwritable(file: &std::path::Path, error: &io::Error) -> Self {
        Self::failed(format!("cannot write {}: {}", file.display(), reason(error)))
    }

    /// Says what to do next, unless that was said already.
    #[must_use]
    pub(crate) fn with_next(mut self, next: impl Into<String>) -> Self {
        if let Some(told) = self.told_mut() {
            told.next.get_or_insert_with(|| next.into());
        }
        self
    }

    /// Adds a fault: where, and what is wrong there.
    #[must_use]
    pub(crate) fn with_fault(mut self, at: impl Into<String>, why: impl Into<String>) -> Self {
        if let Some(told) = self.told_mut() {
            told.faults.push((at.into(), why.into()));
        }
        self
    }

    /// Says of faults in this message where they are in the file that it was made from.
    #[must_use]
    pub(crate) fn within(mut self, message: &str) -> Self {
        for (at, _) in self.told_mut().into_iter().flat_map(|told| &mut told.faults) {
            if let Some(inside) = at.strip_prefix(message) {
                *at = inside.trim_start_matches('.').to_owned();
            }
        }
        self
    }

    /// Says first what was being done.
    #[must_use]
    pub(crate) fn while_doing(mut self, what: impl fmt::Display) -> Self {
        if let Some(told) = self.told_mut() {
            told.what = format!("{what}: {}", told.what);
        }
        self
    }

    /// Tells whoever is at the terminal, on standard error.
    pub(crate) fn report(&self) {
        let text = self.to_string();
        if !text.is_empty() {
            // Nobody is left to be told if that fails too.
            let _ = writeln!(io::stderr(), "assent: {text}");
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Input(_) => 3,
            Self::NotAllowed(_) => 4,
            Self::NotFound(_) => 5,
            Self::Passing(_) => 6,
            Self::OutputClosed => 141,
        }
    }

    fn told(&self) -> Option<&Told> {
        match self {
            Self::Failed(told)
            | Self::Usage(told)
            | Self::Input(told)
            | Self::NotAllowed(told)
            | Self::NotFound(told)
            | Self::Passing(told) => Some(told),
            Self::OutputClosed => None,
        }
    }

    fn told_mut(&mut self) -> Option<&mut Told> {
        match self {
            Self::Failed(told)
            | Self::Usage(told)
            | Self::Input(told)
            | Self::NotAllowed(told)
            | Self::NotFound(told)
            | Self::Passing(told) => Some(told),
            Self::OutputClosed => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Told { what, faults, next }) = self.told() else { return Ok(()) };
        f.write_str(&plain(what))?;
        for (at, why) in faults {
            write!(f, "\n  {}: {}", plain(at), plain(why))?;
        }
        next.as_ref().map_or(Ok(()), |next| write!(f, "\n  next: {}", plain(next)))
    }
}

impl std::error::Error for Error {}

/// Of what is not a command's own business (files of the data directory, a suite that does not
/// start): its text, with what led to it.
impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        error.downcast().unwrap_or_else(|other: anyhow::Error| Self::failed(format!("{other:#}")))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::No => Self::from(7),
        }
    }
}

impl From<&Error> for ExitCode {
    fn from(error: &Error) -> Self {
        Self::from(error.code())
    }
}

/// Why a file cannot be read or written, without the number of the system's error.
fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::InvalidData {
        return "it is no text in UTF-8".to_owned();
    }
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
