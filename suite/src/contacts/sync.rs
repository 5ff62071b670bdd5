//! `assent contacts sync`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use futures::stream;
use identifiers::{Digest, Kind};
use proto::{
    errors::v1::Reason,
    status::reason,
    suggest::v1::{SyncContactsRequest, SyncContactsResponse, SyncMode},
    types::v1::Identifier,
};
use serde_json::json;

use super::{
    Asked,
    book::{Book, Books, Contact},
};
use crate::{
    client::Connection,
    exit::Error,
    output::{Output, counted, note, plain, say},
    people::{Fault, Prepared, Reading, Reject, Rejects, Row, Source, StateArguments, Told},
    request::RequestId,
};

const EXAMPLES: &str = "\
Examples:
  assent contacts sync contacts.vcf ann --region DE
  assent contacts sync contacts.vcf ann --region DE --delta    what changed
  assent contacts sync google.csv ann --region DE --rejects refused.csv";

/// Sends a person's address book (vCard or CSV), whole or what changed.
///
/// Numbers and addresses are normalised and hashed on this machine; only digests are sent. The answer
/// is the same whoever of them is here.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The address book; `-` is standard input.
    file: PathBuf,
    /// Whose.
    subject: String,
    /// Send only what was added or removed since the last time, as this machine remembers it.
    #[arg(long, conflicts_with = "raw")]
    delta: bool,
    #[command(flatten)]
    request_id: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    state: StateArguments,
    #[command(flatten)]
    connection: Connection,
}

/// What is looked for in an address book.
const KINDS: &[Kind] = &[Kind::Email, Kind::Phone];
/// The most contacts of an address book, many times what the service takes: what is held of them in
/// memory is bounded by it.
const MAX_CONTACTS: usize = 500_000;
/// The most contacts of a message.
const MESSAGE: usize = 5_000;

/// Sends it.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let Arguments { file, subject, reading, state, connection, .. } = arguments;
    let mut asked = Asked::open(connection, subject)?;
    let books = Books::open(state, connection, subject)?;
    let mut read = Read::list(arguments)?;
    if read.to_send.is_empty() {
        let what = format!("{}: nothing in it can be sent", file.display());
        let next = "to forget all contacts: `assent contacts delete SUBJECT`";
        let refused = read.rejects.told()?.first();
        let error = refused.fold(Error::input(what), |error, (at, why)| error.with_fault(at, why));
        return Err(error.with_next(next));
    }
    let profile = reading.hashing().profile().as_str_name();
    let mut changes = arguments.changes(&read, &books, profile);
    let mut answer = arguments.send(&mut asked, &changes).await;
    if let (Err(status), Some(_)) = (&answer, &changes.since)
        && reason(status) == Some(Reason::SyncTokenUnknown)
    {
        note("the service does not go on from the last sync: sending everything");
        changes = Changes::everything(&read);
        answer = arguments.send(&mut asked, &changes).await;
    }
    let answer = answer.map_err(|status| asked.told(&status))?.into_inner();
    read.note_refused(&answer, &changes)?;
    if reading.hashing().raw {
        // What of it was taken is not known here.
        books.clear();
    } else {
        let contacts = read.contacts();
        let token = answer.sync_token.clone();
        books.sent(Book { token, profile: profile.to_owned(), contacts })?;
    }
    let notes = std::mem::take(&mut read.notes);
    let told = read.rejects.told()?;
    let report = Report { answer: &answer, changes: &changes, rows: read.rows, told, notes };
    report.print(file, arguments.output)
}

impl Arguments {
    /// What is to be sent.
    fn changes(&self, read: &Read, books: &Books, profile: &str) -> Changes {
        if !self.delta {
            return Changes::everything(read);
        }
        let Some(last) = books.last() else {
            note("nothing is known here of an earlier sync: sending everything");
            return Changes::everything(read);
        };
        if last.profile != profile {
            note("the last sync was hashed by other rules: sending everything");
            return Changes::everything(read);
        }
        let now = read.contacts();
        let is_new = |one: &usize| {
            read.to_send[*one].contact().is_some_and(|contact| !last.contacts.contains(&contact))
        };
        let added = (0..read.to_send.len()).filter(is_new).collect();
        let removed = last.contacts.difference(&now).copied().collect();
        let added = read.identifiers(added);
        Changes { since: Some(last.token), added, removed }
    }

    async fn send(
        &self,
        asked: &mut Asked,
        changes: &Changes,
    ) -> Result<tonic::Response<SyncContactsResponse>, tonic::Status> {
        let hashing = self.reading.hashing();
        let mode = if changes.since.is_some() { SyncMode::Delta } else { SyncMode::Full };
        // One that was refused and is sent anew is another.
        let request_id = match mode {
            SyncMode::Full if self.delta => format!("{}-full", self.request_id.get()),
            _ => self.request_id.get(),
        };
        let message = SyncContactsRequest {
            request_id,
            mode: mode.into(),
            sync_token: changes.since.clone().unwrap_or_default(),
            profile: hashing.profile().into(),
            default_region: hashing.default_region(),
            ..SyncContactsRequest::default()
        };
        let added = changes.added.chunks(MESSAGE).map(|added| SyncContactsRequest {
            added: added.iter().map(|(_, identifier)| identifier.clone()).collect(),
            ..message.clone()
        });
        let removed = changes.removed.chunks(MESSAGE).map(|removed| SyncContactsRequest {
            removed: removed.iter().map(|contact| contact.identifier()).collect(),
            ..message.clone()
        });
        let mut messages: Vec<_> = added.chain(removed).collect();
        if messages.is_empty() {
            messages.push(message);
        }
        asked.api.sync_contacts(stream::iter(messages)).await
    }
}

/// What is sent.
struct Changes {
    /// The token of the sync since which it changed; nothing: it is everything.
    since: Option<String>,
    /// Contacts, each with its place in the list.
    added: Vec<(usize, Identifier)>,
    removed: Vec<Contact>,
}

impl Changes {
    fn everything(read: &Read) -> Self {
        let added = read.identifiers((0..read.to_send.len()).collect());
        Self { since: None, added, removed: Vec::new() }
    }
}

/// An address book, read.
struct Read {
    rows: u64,
    /// Each contact once, in the order of the list.
    to_send: Vec<ToSend>,
    rejects: Rejects,
    columns: std::sync::Arc<[String]>,
    notes: Vec<String>,
}

struct ToSend {
    what: What,
    row: u64,
    column: u16,
}

enum What {
    Digest(Contact),
    Clear(Kind, String),
}

impl ToSend {
    fn contact(&self) -> Option<Contact> {
        match &self.what {
            What::Digest(contact) => Some(*contact),
            What::Clear(..) => None,
        }
    }
}

impl Read {
    fn list(arguments: &Arguments) -> Result<Self, Error> {
        let Arguments { file, reading, .. } = arguments;
        let source = Source::open(file)?;
        reading.check_rejects(&source)?;
        let unreadable = |error| Error::from(error).while_doing(file.display());
        let mut rows = reading.open(source, KINDS).map_err(unreadable)?;
        let hashing = reading.hashing();
        let mut read = Self {
            rows: 0,
            to_send: Vec::new(),
            rejects: Rejects::open(reading.rejects_file())?,
            columns: rows.columns(),
            notes: Vec::new(),
        };
        let mut seen = BTreeSet::new();
        let mut row = Row::default();
        while rows.next(&mut row).map_err(unreadable)? {
            read.rows += 1;
            for (column, fault) in &row.faults {
                read.reject(row.number, *column, *fault)?;
            }
            for value in row.values() {
                let column = value.column;
                let what = match hashing.prepare(value) {
                    Ok(Prepared::Digest(kind, digest)) => {
                        let contact = Contact(kind, *Digest::as_bytes(&digest));
                        if !seen.insert(contact) {
                            continue;
                        }
                        What::Digest(contact)
                    }
                    Ok(Prepared::Clear(kind, text)) => What::Clear(kind, text),
                    Err(why) => {
                        read.reject(row.number, Some(column), why.into())?;
                        continue;
                    }
                };
                read.to_send.push(ToSend { what, row: row.number, column });
            }
            if read.to_send.len() > MAX_CONTACTS {
                let what = format!("{}: more than {MAX_CONTACTS} contacts", file.display());
                return Err(Error::input(what).with_next("is it an address book?"));
            }
        }
        read.notes = rows.notes();
        Ok(read)
    }

    fn reject(&mut self, row: u64, column: Option<u16>, fault: Fault) -> Result<(), Error> {
        self.rejects.add(&Reject { row, column, fault }, &self.columns)
    }

    /// All that is hashed.
    fn contacts(&self) -> BTreeSet<Contact> {
        self.to_send.iter().filter_map(ToSend::contact).collect()
    }

    fn identifiers(&self, places: Vec<usize>) -> Vec<(usize, Identifier)> {
        let identifier = |place: usize| {
            let identifier = match &self.to_send[place].what {
                What::Digest(contact) => contact.identifier(),
                What::Clear(kind, text) => Prepared::Clear(*kind, text.clone()).identifier(),
            };
            (place, identifier)
        };
        places.into_iter().map(identifier).collect()
    }

    /// Notes what the service refused: of what was added, since that was sent first.
    fn note_refused(
        &mut self,
        answer: &SyncContactsResponse,
        changes: &Changes,
    ) -> Result<(), Error> {
        for rejection in &answer.rejections {
            let place = usize::try_from(rejection.index).ok().and_then(|at| changes.added.get(at));
            if let Some(&(place, _)) = place {
                let ToSend { row, column, .. } = self.to_send[place];
                self.reject(row, Some(column), Fault::Service(rejection.reason()))?;
            }
        }
        Ok(())
    }
}

/// What became of it.
struct Report<'a> {
    answer: &'a SyncContactsResponse,
    changes: &'a Changes,
    rows: u64,
    told: &'a Told,
    notes: Vec<String>,
}

impl Report<'_> {
    fn print(&self, file: &Path, output: Output) -> Result<(), Error> {
        let Self { answer, changes, rows, told, notes } = self;
        let (added, removed) = (changes.added.len(), changes.removed.len());
        let is_delta = changes.since.is_some();
        if output.json {
            let document = json!({
                "mode": if is_delta { "SYNC_MODE_DELTA" } else { "SYNC_MODE_FULL" },
                "accepted": answer.accepted,
                "added": added,
                "removed": removed,
                "rows": rows,
                "refused": told.as_json(),
                "notes": notes,
            });
            return say!("{document}");
        }
        say!("list        {}: {}", plain(&file.display().to_string()), counted(*rows, "row"))?;
        for note in notes {
            say!("            {}", plain(note))?;
        }
        if is_delta {
            say!("sent        what changed: {added} added, {removed} removed")?;
        } else {
            say!("sent        everything, {added} in all")?;
        }
        say!("accepted    {}", answer.accepted)?;
        say!("refused     {}", told.count)?;
        for (count, reason) in told.reasons() {
            say!("{count:>11} {reason}")?;
        }
        for (at, why) in told.first() {
            say!("            {}: {why}", plain(&at))?;
        }
        if told.has_more() { say!("            …") } else { Ok(()) }
    }
}
