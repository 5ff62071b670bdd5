//! `assent audience upload`: a file of customers becomes an audience.

mod chunks;
mod ledger;
mod patience;
mod report;
mod sending;

use std::path::PathBuf;

use identifiers::Kind;
use indicatif::ProgressBar;
use proto::{
    audience::v1::{
        AbortUploadRequest, CommitUploadRequest, CommitUploadResponse, CreateUploadRequest,
        GetUploadRequest, UploadMode, UploadState,
    },
    errors::v1::Reason,
    status::reason,
};
use tonic::{Code, Status};

use self::{
    chunks::Reader,
    ledger::{Ledger, Saved},
    patience::Patience,
    report::Report,
    sending::{NotSent, Sending},
};
use super::{AsBusiness, Asked};
use crate::{
    exit::Error,
    output::{Output, note, progress},
    people::{ReadError, Reading, Source, StateArguments, StateFile},
};

const EXAMPLES: &str = "\
Examples:
  assent audience upload customers.csv aud_01 --may-use-list --region DE
  assent audience upload new.csv aud_01 --may-use-list --mode replace
  assent audience upload list.csv aud_01 --may-use-list --rejects refused.csv
  assent audience upload crm.csv aud_01 --may-use-list --column email=\"Mail 2\"
  zcat huge.csv.gz | assent audience upload - aud_01 --may-use-list

Run the same command again after a cut: it goes on where it was, and nothing
counts twice.
What a list should look like: docs/customer-lists.md";

/// Uploads a list of customers (CSV or vCard) to an audience.
///
/// Identifiers are normalised and hashed on this machine; only digests are sent. Rows that hold none,
/// or none that is right, are refused by their number with the reason, and the others uploaded. The
/// list takes effect as a whole at the end; until then the old one serves.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The list; `-` is standard input, which cannot be gone on with after a cut.
    file: PathBuf,
    /// The audience, by its id.
    audience: String,
    /// The business declares that it may use this list for this.
    #[arg(long, required = true)]
    may_use_list: bool,
    /// What the rows do to the audience: they are added to it, removed from it, or become it.
    #[arg(long, value_enum, value_name = "HOW", default_value = "add")]
    mode: Mode,
    /// Only check: the service counts what is right and stores nothing.
    #[arg(long)]
    check: bool,
    /// Begin anew, though an upload of this list was cut before.
    #[arg(long)]
    restart: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    state: StateArguments,
    #[command(flatten)]
    business: AsBusiness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    Add,
    Remove,
    Replace,
}

impl Mode {
    fn wire(self) -> UploadMode {
        match self {
            Self::Add => UploadMode::Add,
            Self::Remove => UploadMode::Remove,
            Self::Replace => UploadMode::Replace,
        }
    }
}

/// Uploads it.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let source = Source::open(&arguments.file)?;
    let state = arguments.state(&source)?;
    let mut upload = Upload { arguments, asked: arguments.business.open()?, notes: Vec::new() };
    let saved = match upload.before(state.as_ref()).await? {
        Before::Committed(saved) => {
            let committed = upload.commit(&saved).await?;
            upload.report(&saved, &committed)?;
            state.into_iter().for_each(StateFile::remove);
            return Ok(());
        }
        Before::Open(saved) => saved,
        Before::Nothing => Saved::new(),
    };
    upload.send(source, state, saved).await
}

/// How an upload of this list stands that was cut before.
enum Before {
    /// There is none that can be gone on with.
    Nothing,
    /// It takes batches.
    Open(Saved),
    /// It was applied; only the answer did not come.
    Committed(Saved),
}

struct Upload<'a> {
    arguments: &'a Arguments,
    asked: Asked,
    /// What to know of how the list was read.
    notes: Vec<String>,
}

impl Upload<'_> {
    /// Finds the upload that was cut.
    async fn before(&mut self, state: Option<&StateFile>) -> Result<Before, Error> {
        let Some(mut saved) = state.and_then(StateFile::read::<Saved>) else {
            return Ok(Before::Nothing);
        };
        if saved.upload_id.is_empty() {
            // Its opening was asked for; asked for again, it is the same one.
            return Ok(if self.arguments.restart { Before::Nothing } else { Before::Open(saved) });
        }
        if self.arguments.restart {
            self.abort(&saved).await;
            return Ok(Before::Nothing);
        }
        let which = GetUploadRequest { upload_id: saved.upload_id.clone() };
        let found = match self.asked.api.get_upload(which).await {
            Ok(found) => self.asked.present(found.into_inner().upload)?,
            Err(status) if status.code() == Code::NotFound => {
                note("the upload that was cut is not there any more: beginning anew");
                return Ok(Before::Nothing);
            }
            Err(status) => return Err(self.asked.told(&status)),
        };
        match found.state() {
            UploadState::Open => {
                let known = saved.progress.batches;
                let lost = found.missing_batches.iter().any(|missing| *missing < known);
                if lost || found.batches_received < known {
                    // It was set back to a copy.
                    saved.progress = ledger::Progress::default();
                }
                note(format_args!(
                    "going on with the upload that was cut: {} rows of the list are done",
                    saved.progress.counts.rows
                ));
                Ok(Before::Open(saved))
            }
            UploadState::Committed => Ok(Before::Committed(saved)),
            UploadState::Aborted | UploadState::Expired | UploadState::Unspecified => {
                note("the upload that was cut has ended: beginning anew");
                Ok(Before::Nothing)
            }
        }
    }

    /// Sends the list and applies it.
    async fn send(
        &mut self,
        source: Source,
        state: Option<StateFile>,
        saved: Saved,
    ) -> Result<(), Error> {
        let Arguments { reading, file, .. } = self.arguments;
        let (read, size) = (source.read.clone(), source.size());
        reading.check_rejects(&source)?;
        // Whatever is wrong with its beginning is found before an upload is opened for it.
        let rows = reading.open(source, &Kind::ALL).map_err(|error| self.unreadable(error))?;
        let mut ledger = Ledger::open(saved, state, reading.rejects_file())?;
        if ledger.saved.upload_id.is_empty() {
            ledger.save()?;
            ledger.saved.upload_id = self.create(&ledger.saved.nonce).await?;
        }
        ledger.save()?;
        let done = &ledger.saved.progress;
        let mut reader = Reader::start(rows, reading.hashing(), done.counts.rows, done.batches);
        let bar =
            size.map_or_else(ProgressBar::hidden, |size| progress("uploading", size, "bytes"));
        let sending = Sending {
            asked: &mut self.asked,
            ledger: &mut ledger,
            reader: &mut reader,
            bar: &bar,
            read: &read,
        };
        let sent = sending.run().await;
        bar.finish_and_clear();
        match sent {
            Ok(()) => self.notes = reader.finish(),
            Err(NotSent::Error(error)) => return Err(error),
            Err(NotSent::Status(status)) => return Err(self.not_sent(&status)),
            Err(NotSent::Read(ReadError::Io(error))) => {
                return Err(self.unreadable(error.into()).with_next(GO_ON));
            }
            Err(NotSent::Read(error)) => {
                self.abort(&ledger.saved).await;
                ledger.forget();
                return Err(self.unreadable(error));
            }
        }
        if ledger.saved.progress.batches == 0 {
            self.abort(&ledger.saved).await;
            ledger.forget();
            let what = format!("{}: nothing in it can be sent", file.display());
            let refused = ledger.saved.progress.rejects.first();
            return Err(
                refused.fold(Error::input(what), |error, (at, why)| error.with_fault(at, why))
            );
        }
        let committed = self.commit(&ledger.saved).await?;
        self.report(&ledger.saved, &committed)?;
        ledger.forget();
        Ok(())
    }

    /// Opens an upload; its id.
    async fn create(&mut self, nonce: &str) -> Result<String, Error> {
        let Arguments { audience, mode, may_use_list, check, reading, .. } = self.arguments;
        let hashing = reading.hashing();
        let request = CreateUploadRequest {
            request_id: format!("{nonce}-open"),
            audience_id: audience.clone(),
            mode: mode.wire().into(),
            profile: hashing.profile().into(),
            default_region: hashing.default_region(),
            may_use_list: *may_use_list,
            validate_only: *check,
        };
        let created = self.asked.api.create_upload(request).await;
        let created = created.map_err(|status| self.asked.told(&status))?.into_inner();
        Ok(self.asked.present(created.upload)?.upload_id)
    }

    /// Applies it, or hears again that it was applied.
    async fn commit(&mut self, saved: &Saved) -> Result<CommitUploadResponse, Error> {
        let request = CommitUploadRequest {
            request_id: format!("{}-commit", saved.nonce),
            upload_id: saved.upload_id.clone(),
            batch_count: saved.progress.batches,
        };
        let mut patience = Patience::new();
        loop {
            match self.asked.api.commit_upload(request.clone()).await {
                Ok(committed) => return Ok(committed.into_inner()),
                Err(status) if patience.wait(&status).await => {}
                Err(status) => return Err(self.not_sent(&status)),
            }
        }
    }

    /// Drops an upload. If that fails, it ends by itself when nothing comes.
    async fn abort(&mut self, saved: &Saved) {
        let request = AbortUploadRequest {
            request_id: format!("{}-abort", saved.nonce),
            upload_id: saved.upload_id.clone(),
        };
        let _ = self.asked.api.abort_upload(request).await;
    }

    fn report(&self, saved: &Saved, committed: &CommitUploadResponse) -> Result<(), Error> {
        let Arguments { file, reading, output, check, .. } = self.arguments;
        let report = Report {
            file,
            progress: &saved.progress,
            committed,
            notes: &self.notes,
            rejects_file: reading.rejects_file(),
            is_check: *check,
        };
        report.print(*output)
    }

    fn unreadable(&self, error: ReadError) -> Error {
        Error::from(error).while_doing(self.arguments.file.display())
    }

    fn not_sent(&self, status: &Status) -> Error {
        let mut error = self.asked.told(status);
        if let Error::Passing(told) = &mut error {
            let next = if self.arguments.is_repeatable() { GO_ON } else { "upload the list again" };
            told.next = Some(next.to_owned());
        }
        match reason(status) {
            Some(Reason::BatchConflict) => error.with_next(
                "the list is not what it was when its upload was cut: begin anew with --restart",
            ),
            Some(Reason::UploadState | Reason::BatchMissing) => {
                error.with_next("begin anew with --restart")
            }
            _ => error,
        }
    }
}

const GO_ON: &str = "run the same command again: it goes on where it was cut";

impl Arguments {
    fn is_repeatable(&self) -> bool {
        self.file.is_file()
    }

    /// Where it is remembered how far an upload of this list, to this audience, in this way, has
    /// come. Of a pipe nothing is: it cannot be read again.
    fn state(&self, source: &Source) -> Result<Option<StateFile>, Error> {
        let Some(file) = source.identity()? else { return Ok(None) };
        let how = format!("{:?} {}", self.mode, self.check);
        let AsBusiness { business, owner, connection } = &self.business;
        let names = [
            connection.endpoint(),
            business,
            owner,
            &self.audience,
            &how,
            &self.reading.identity(),
            &file,
        ];
        self.state.open("upload", &names).map(Some)
    }
}
