//! How a list is read, as the command line says it.

use std::path::{Path, PathBuf};

use identifiers::{Kind, Profile, Region};

use super::{
    Hashing, ReadError, Rows,
    row::{ColumnChoice, Options},
    source::Source,
};
use crate::exit::Error;

/// How a list is read.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "The list")]
pub(crate) struct Reading {
    /// Which column holds what, where its header does not tell: KIND is email, phone or external_id,
    /// HEADER the header or the number of the column. May be given several times; nothing else is
    /// read then.
    #[arg(long = "column", value_name = "KIND=HEADER")]
    columns: Vec<ColumnChoice>,
    /// The first row is already somebody. Seen without this where it holds an email address or a
    /// phone number.
    #[arg(long)]
    no_header: bool,
    /// The country of phone numbers without a country code, as in DE.
    #[arg(long, value_name = "COUNTRY")]
    region: Option<Region>,
    /// The rules by which identifiers are normalised before they are hashed: meta, google or uid2.
    #[arg(long, value_name = "RULES", default_value = "meta", value_parser = profile)]
    profile: Profile,
    /// Send identifiers in clear; the service normalises, hashes and forgets them. Without it only
    /// digests leave this machine.
    #[arg(long)]
    raw: bool,
    /// A file for every row that is refused: its number, column and reason, as CSV. Never a value.
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
}

fn profile(name: &str) -> Result<Profile, String> {
    Profile::from_name(name).ok_or_else(|| "one of meta, google, uid2".to_owned())
}

impl Reading {
    /// How the list's values become digests.
    pub(crate) fn hashing(&self) -> Hashing {
        Hashing { profile: self.profile, region: self.region, raw: self.raw }
    }

    /// Opens a list in which people of these kinds are looked for.
    pub(crate) fn open(&self, source: Source, kinds: &'static [Kind]) -> Result<Rows, ReadError> {
        let options = Options {
            columns: self.columns.clone(),
            no_header: self.no_header,
            kinds,
            region: self.region,
        };
        Rows::open(source.bytes, &options)
    }

    /// Where refused rows are noted.
    pub(crate) fn rejects_file(&self) -> Option<&Path> {
        self.rejects.as_deref()
    }

    /// Refuses to write them over the list itself.
    pub(crate) fn check_rejects(&self, source: &Source) -> Result<(), Error> {
        if let (Some(rejects), Some((list, _))) = (&self.rejects, &source.file)
            && rejects.canonicalize().is_ok_and(|rejects| rejects == *list)
        {
            return Err(Error::usage("--rejects is the list itself: it would be overwritten"));
        }
        Ok(())
    }

    /// Whatever of this decides what is sent of a list.
    pub(crate) fn identity(&self) -> String {
        let Self { columns, no_header, region, profile, raw, rejects: _ } = self;
        format!("{columns:?} {no_header} {region:?} {profile} {raw}")
    }
}
