//! Commands that ask a running suite: where it is, and as whom.

use std::{error::Error as _, fs::File, io, io::Read, path::PathBuf, sync::Arc, time::Duration};

use proto::{errors::v1::Reason, options::v1::Role, status::reason};
use service_kit::{
    auth::{Caller, Issuer},
    client::{ClientConfig, channel},
    clock::Clock,
};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use tonic_types::StatusExt;

use crate::{data::Data, exit::Error};

/// Signed anew for each call, so that a command can go on for days.
const TOKEN_LIFETIME: Duration = Duration::from_mins(5);
/// The environment variable with a token.
const TOKEN: &str = "ASSENT_TOKEN";
/// The most bytes of a file with a token: more than a gateway accepts.
const LARGEST_TOKEN: u64 = 1 << 16;

/// How to reach a suite that runs.
///
/// A token is read from the environment or a file, never from the command line: other users of the
/// machine can see that.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The gateway, as `assent serve` prints it; `https://` for TLS.
    #[arg(
        long,
        env = "ASSENT_ENDPOINT",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    endpoint: String,
    /// A PEM file with the authorities that its certificate is checked against; without one, the
    /// public web's.
    #[arg(long, env = "ASSENT_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A file with the token to call it with, before that in `ASSENT_TOKEN`. Without either, the
    /// development key in --data signs one.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The directory of that suite, where its development key is.
    #[arg(long, value_name = "DIR", default_value = "assent-data")]
    data: PathBuf,
}

/// A connection as one caller, made when it is first used.
#[derive(Debug)]
pub(crate) struct Client {
    channel: Channel,
    endpoint: String,
    bearer: Bearer,
    /// What a token must say to do this: `the role ADMIN`.
    needs: String,
}

/// A connection on which every call carries a token.
pub(crate) type Session = InterceptedService<Channel, Bearer>;

/// Adds a token to every call.
#[derive(Clone)]
pub(crate) enum Bearer {
    /// The one that was given.
    Given(MetadataValue<Ascii>),
    /// A new one each time, signed by the development key.
    Development(Arc<(Issuer, Caller)>),
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = match self {
            Self::Given(value) => value.clone(),
            Self::Development(signer) => {
                let (issuer, caller) = signer.as_ref();
                header(&issuer.issue(caller, Clock::system().now(), TOKEN_LIFETIME))
                    .ok_or_else(|| Status::internal("a signed token is not text"))?
            }
        };
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer")
    }
}

fn header(token: &str) -> Option<MetadataValue<Ascii>> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Connection {
    /// Calls as a person's own app.
    pub(crate) fn as_user(&self, subject_id: &str) -> Result<Client, Error> {
        check_subject_id(subject_id)?;
        self.open(Caller::user(subject_id), format!("the role USER and the subject {subject_id}"))
    }

    /// Calls as a business of this legal owner.
    pub(crate) fn as_business(&self, business_id: &str, owner_id: &str) -> Result<Client, Error> {
        let needs = format!("the role BUSINESS and the business {business_id}");
        self.open(Caller::business(business_id, owner_id), needs)
    }

    /// Calls as the platform's back end.
    pub(crate) fn as_app(&self) -> Result<Client, Error> {
        self.open(Caller::named(Role::App, "back-end"), "the role APP".to_owned())
    }

    /// Calls as an operator.
    pub(crate) fn as_admin(&self) -> Result<Client, Error> {
        self.open(Caller::named(Role::Admin, "operator"), "the role ADMIN".to_owned())
    }

    /// Asks what everybody may ask.
    pub(crate) fn as_anybody(&self) -> Result<Client, Error> {
        self.open(Caller::named(Role::Admin, "operator"), "any role".to_owned())
    }

    /// Where it leads.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn open(&self, caller: Caller, needs: String) -> Result<Client, Error> {
        let bearer = match self.token()? {
            Some(token) => Bearer::Given(header(&token).ok_or_else(|| {
                Error::not_allowed("what was given as a token is none: it has more than one line")
            })?),
            None => Bearer::Development(Arc::new((self.development_issuer()?, caller))),
        };
        if let Some(file) = &self.ca_file {
            File::open(file).map_err(|error| Error::unreadable(file, &error))?;
        }
        let config = ClientConfig {
            endpoint: self.endpoint.clone(),
            ca_file: self.ca_file.clone(),
            ..ClientConfig::default()
        };
        let channel = channel(&config).map_err(|error| {
            Error::input(error.to_string()).with_next("correct --endpoint or --ca-file")
        })?;
        Ok(Client { channel, endpoint: self.endpoint.clone(), bearer, needs })
    }

    /// The token that was given, if one was.
    fn token(&self) -> Result<Option<String>, Error> {
        let token = match &self.token_file {
            Some(file) => {
                let mut text = String::new();
                let read = File::open(file)
                    .and_then(|file| file.take(LARGEST_TOKEN).read_to_string(&mut text));
                read.map_err(|error| Error::unreadable(file, &error))?;
                text
            }
            None => std::env::var(TOKEN).unwrap_or_default(),
        };
        let token = token.trim();
        if token.is_empty() && self.token_file.is_some() {
            return Err(Error::not_allowed("there is no token in the file given as --token-file"));
        }
        Ok((!token.is_empty()).then(|| token.to_owned()))
    }

    fn development_issuer(&self) -> Result<Issuer, Error> {
        // Nothing is made here: a key of our own would be refused.
        if !self.data.join(Data::DEVELOPMENT_KEY).exists() {
            let data = self.data.display();
            let what =
                format!("no token was given, and no suite has its development key in {data}");
            return Err(Error::not_allowed(what).with_next(
                "run `assent serve`, or say with --data where its directory is; for another \
                 gateway, give a token in ASSENT_TOKEN or --token-file",
            ));
        }
        Ok(Data::open(&self.data)?.development_issuer()?)
    }
}

impl Client {
    /// To make calls with.
    pub(crate) fn session(&self) -> Session {
        InterceptedService::new(self.channel.clone(), self.bearer.clone())
    }

    /// What a failed call means for whoever is at the terminal.
    pub(crate) fn told(&self, status: &Status) -> Error {
        let reason = reason(status);
        let faults =
            status.get_details_bad_request().map_or(Vec::new(), |bad| bad.field_violations);
        // Which fields they are stands below.
        let generic = !faults.is_empty() && status.message().starts_with("invalid: ");
        let message = if generic { "the gateway finds faults" } else { status.message() };
        let said = format!("{message} ({})", reason.unwrap_or_default().as_str_name());
        let error = match (status.code(), reason) {
            (_, None) => return self.no_answer(status),
            (Code::Unauthenticated | Code::PermissionDenied, _) => self.not_allowed(&said),
            (Code::NotFound, Some(Reason::SubjectUnknown)) => Error::not_found(said).with_next(
                "`assent account register SUBJECT --jurisdiction PLACE` makes one known",
            ),
            (Code::NotFound, Some(Reason::PolicyUnknown)) => {
                Error::not_found(said).with_next("see `assent policy list`")
            }
            (_, Some(Reason::SubjectErased)) => {
                Error::not_found(said).with_next("its id is never used again: take another")
            }
            (_, Some(Reason::PurposeNotInPolicy)) => {
                Error::input(said).with_next("`assent consent show SUBJECT` shows the purposes")
            }
            (Code::NotFound, _) => Error::not_found(said),
            _ if is_passing(status) => Error::passing(said).with_next(wait(status)),
            (Code::Unimplemented, _) => {
                Error::failed(said).with_next("ask its operator whether it is an older version")
            }
            (Code::Internal | Code::Unknown | Code::DataLoss | Code::Ok, _) => {
                let id = status.metadata().get("x-request-id").and_then(|id| id.to_str().ok());
                let next = format!("tell its operator the request id {}", id.unwrap_or("(none)"));
                Error::failed(format!("{} failed: {said}", self.endpoint)).with_next(next)
            }
            _ => Error::input(said),
        };
        faults.into_iter().fold(error, |error, one| error.with_fault(one.field, one.description))
    }

    fn not_allowed(&self, said: &str) -> Error {
        let next = match &self.bearer {
            Bearer::Given(_) => format!("give a token with {} in ASSENT_TOKEN", self.needs),
            Bearer::Development(_) => "--data must be the directory of the suite that answers at \
                                       --endpoint; for any other, give a token in ASSENT_TOKEN"
                .to_owned(),
        };
        Error::not_allowed(format!("{} refuses: {said}", self.endpoint)).with_next(next)
    }

    /// An error that no service of ours made: what is between here and there.
    fn no_answer(&self, status: &Status) -> Error {
        let endpoint = &self.endpoint;
        match (status.code(), cause(status)) {
            (_, Some(io::ErrorKind::InvalidData)) => Error::not_allowed(format!(
                "{endpoint} is not trusted: its certificate, or that it has none"
            ))
            .with_next("say with --ca-file who vouches for it; http:// if it has no TLS"),
            (Code::Unavailable | Code::Unknown | Code::Cancelled, _) => {
                Error::passing(format!("{endpoint} does not answer"))
                    .with_next("run `assent serve`, or say with --endpoint where it runs")
            }
            _ => Error::failed(format!("{endpoint} answers as no gateway of Assent does"))
                .with_next("see --endpoint"),
        }
    }
}

/// Refuses what is no subject id before it is put into a token, which would be refused as a whole.
pub(crate) fn check_subject_id(subject_id: &str) -> Result<(), Error> {
    let what = "the subject is no subject id: 1 to 128 of A-Z a-z 0-9 . _ ~ -, and nothing that looks \
                like a phone number or an address";
    if proto::is_subject_id(subject_id) { Ok(()) } else { Err(Error::input(what)) }
}

/// Why the connection failed, as far as the system says.
fn cause(status: &Status) -> Option<io::ErrorKind> {
    let (mut source, mut kind) = (status.source(), None);
    while let Some(error) = source {
        source = error.source();
        if let Some(error) = error.downcast_ref::<io::Error>() {
            // The innermost one: the others are around it, and say no more than that it failed.
            kind = Some(error.kind());
            source = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
        }
    }
    kind
}

/// How long the service asks to wait.
fn wait(status: &Status) -> String {
    let after = status.get_details_retry_info().and_then(|info| info.retry_delay);
    match after {
        Some(after) => format!("try again in {} s", after.as_secs_f64().ceil()),
        None => "try again later".to_owned(),
    }
}

/// Whether the same call may succeed a moment later.
pub(crate) fn is_passing(status: &Status) -> bool {
    let passing = matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Cancelled
            | Code::Aborted
    );
    passing && reason(status) != Some(Reason::MessageTooLarge)
}
