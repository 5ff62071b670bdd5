//! What became of a list, told at the end.

use std::{
    fmt::{self, Write as _},
    path::Path,
};

use proto::audience::v1::CommitUploadResponse;
use serde_json::{Value, json};

use super::ledger::Progress;
use crate::{
    audience::size,
    exit::Error,
    output::{self, Output, counted, plain, say},
};
use identifiers::Kind;

/// What became of a list.
pub(super) struct Report<'a> {
    pub(super) file: &'a Path,
    pub(super) progress: &'a Progress,
    pub(super) committed: &'a CommitUploadResponse,
    pub(super) notes: &'a [String],
    pub(super) rejects_file: Option<&'a Path>,
    /// Nothing was to be stored.
    pub(super) is_check: bool,
}

impl Report<'_> {
    pub(super) fn print(&self, output: Output) -> Result<(), Error> {
        if output.json { say!("{}", self.as_json()?) } else { say!("{self}") }
    }

    fn as_json(&self) -> Result<Value, Error> {
        let Progress { counts, rejects, .. } = self.progress;
        let committed = output::json(self.committed)?;
        let sent: serde_json::Map<_, _> =
            self.sent().map(|(kind, count)| (kind.name().to_owned(), count.into())).collect();
        Ok(json!({
            "upload": committed["upload"],
            "audience": committed["audience"],
            "rows": counts.rows,
            "blankRows": counts.blank,
            "sent": sent,
            "refused": rejects.as_json(),
            "notes": self.notes,
        }))
    }

    fn sent(&self) -> impl Iterator<Item = (Kind, u64)> {
        Kind::ALL.into_iter().zip(self.progress.counts.sent)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { counts, rejects, .. } = self.progress;
        let upload = self.committed.upload.clone().unwrap_or_default();
        let audience = self.committed.audience.clone().unwrap_or_default();
        let rows = counted(counts.rows, "row");
        write!(f, "list        {}: {rows}", plain(&self.file.display().to_string()))?;
        if counts.blank > 0 {
            write!(f, ", {} of them blank", counts.blank)?;
        }
        for note in self.notes {
            write!(f, "\n            {}", plain(note))?;
        }
        let mut sent = String::new();
        for (kind, count) in self.sent().filter(|(_, count)| *count > 0) {
            let (one, many) = match kind {
                Kind::Email => ("email address", "email addresses"),
                Kind::Phone => ("phone number", "phone numbers"),
                Kind::ExternalId => ("external id", "external ids"),
            };
            let separator = if sent.is_empty() { "" } else { ", " };
            write!(sent, "{separator}{count} {}", if count == 1 { one } else { many })?;
        }
        write!(f, "\nsent        {sent}")?;
        if upload.rows_duplicate > 0 {
            write!(f, "\nduplicate   {}", upload.rows_duplicate)?;
        }
        write!(f, "\nrefused     {}", rejects.count)?;
        for (count, reason) in rejects.reasons() {
            write!(f, "\n{count:>11} {reason}")?;
        }
        for (at, why) in rejects.first() {
            write!(f, "\n            {}: {why}", plain(&at))?;
        }
        match self.rejects_file {
            Some(file) => write!(f, "\n            all of them: {}", file.display())?,
            None if rejects.has_more() => {
                write!(f, "\n            … (all of them with --rejects FILE)")?;
            }
            None => {}
        }
        write!(f, "\naudience    {}  {}", audience.audience_id, plain(&audience.display_name))?;
        write!(f, "\nsize        {}", size(audience.size.as_ref()))?;
        let upload = if self.is_check {
            "nothing was stored; without --check, it would be".to_owned()
        } else {
            plain(&upload.advice)
        };
        write!(f, "\nupload      {upload}")?;
        write!(f, "\nnext        {}", plain(&audience.advice))
    }
}
