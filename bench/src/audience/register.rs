//! Registration of identifiers, durable, against PostgreSQL's own copying of the same rows.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures::stream;
use proto::{
    audience::v1::{
        PutIdentifiersRequest, Registration, directory_service_client::DirectoryServiceClient,
    },
    options::v1::Role,
    types::v1::{Identifier, IdentifierKind, identifier::Value},
};
use service_kit::auth::Caller;
use tokio::task::block_in_place;

use super::{Options, people, stage::Stage};
use crate::{
    Result,
    consent::stage::id,
    report::{Report, Unit},
    svc::request_id,
};

/// People of one message: the most.
const BATCH: usize = 1_000;
/// How often both sides have their turn; the median counts.
const ROUNDS: usize = 5;

/// Registers people who agreed, each with a phone number and an address; then PostgreSQL copies the
/// rows that this made into a table with the same indexes.
pub(super) async fn measure(
    options: &Options,
    stage: &mut Stage,
    report: &mut Report,
) -> Result<()> {
    let each = options.register / ROUNDS;
    stage.consent.seed(each * ROUNDS).await?;
    stage.consent.fill_all().await?;
    let psql = Psql { stage };
    psql.run("CREATE TABLE copied (LIKE directory_subject INCLUDING ALL)")?;
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let (from, until) = (round * each, (round + 1) * each);
        let registered = register(stage, from, until).await?;
        let copied = psql.copy(from, until)?;
        let ratio = copied.as_secs_f64() / registered.as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // far below 2^53
        let rate = |took: Duration| each as f64 / took.as_secs_f64();
        eprintln!(
            "{:.0} people registered a second, {:.0} copied: {ratio:.3}",
            rate(registered),
            rate(copied)
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    report.figure("register-vs-copy", ratios[ROUNDS / 2], Unit::Ratio);
    Ok(())
}

/// Registers some people over one stream; says how long it took until all was acknowledged.
async fn register(stage: &Stage, from: usize, until: usize) -> Result<Duration> {
    let messages: Vec<PutIdentifiersRequest> = (from..until)
        .step_by(BATCH)
        .map(|first| PutIdentifiersRequest {
            request_id: request_id("register"),
            verified: true,
            registrations: (first..until.min(first + BATCH)).map(registration).collect(),
        })
        .collect();
    let mut client = DirectoryServiceClient::new(stage.channel().await?);
    let begun = Instant::now();
    let app = Caller::named(Role::App, "bench");
    let call = stage.call(&app, stream::iter(messages))?;
    let mut answers = client.put_identifiers(call).await?.into_inner();
    let mut stored = 0;
    while let Some(answer) = answers.message().await? {
        let is_stored = proto::types::v1::StorageStatus::Stored as i32;
        stored += answer.results.iter().filter(|result| result.status == is_stored).count();
    }
    let took = begun.elapsed();
    if stored == until - from { Ok(took) } else { Err(format!("only {stored} are stored").into()) }
}

fn registration(person: usize) -> Registration {
    let identifier =
        |kind: IdentifierKind, raw| Identifier { kind: kind.into(), value: Some(Value::Raw(raw)) };
    Registration {
        subject_id: id(person),
        identifiers: vec![
            identifier(IdentifierKind::Phone, people::phone(person)),
            identifier(IdentifierKind::Email, people::email(person)),
        ],
        default_region: String::new(),
    }
}

/// The service's database, asked with psql.
struct Psql<'a> {
    stage: &'a Stage,
}

impl Psql<'_> {
    fn run(&self, text: &str) -> Result<Vec<u8>> {
        self.fed(text, &[])
    }

    fn fed(&self, text: &str, input: &[u8]) -> Result<Vec<u8>> {
        let programs = self.stage.consent.engines()?.postgres.programs();
        let mut command = Command::new(programs.join("psql"));
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text]);
        command.arg(&self.stage.url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        block_in_place(|| {
            let mut child = command.spawn()?;
            child.stdin.take().ok_or("no standard input")?.write_all(input)?;
            let output = child.wait_with_output()?;
            if output.status.success() { Ok(output.stdout) } else { Err(text.into()) }
        })
    }

    /// Copies the rows of some people, in the order in which they were written; says how long it
    /// took. What it copies is read before.
    fn copy(&self, from: usize, until: usize) -> Result<Duration> {
        let rows = self.run(&format!(
            "COPY (SELECT * FROM directory_subject WHERE ordinal >= {from} AND ordinal < {until} \
             ORDER BY ordinal) TO STDOUT (FORMAT binary)"
        ))?;
        let begun = Instant::now();
        self.fed("COPY copied FROM STDIN (FORMAT binary)", &rows)?;
        Ok(begun.elapsed())
    }
}
