//! The messages of `DirectoryService.PutIdentifiers`. While some are stored, the next ones are read
//! and keyed; those are stored together then, since a transaction alone costs as much as many
//! people.

use std::{
    collections::{HashSet, VecDeque},
    mem,
    sync::Arc,
};

use futures::stream;
use proto::{
    FieldErrors,
    audience::v1::{
        PutIdentifiersRequest, PutIdentifiersResponse, Registration, RegistrationResult,
    },
    errors::v1::Reason,
    status,
    types::v1::{Identifier, StorageStatus},
};
use service_kit::{auth::Caller, grpc::open_message};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::{Status, Streaming};
use tracing::Instrument as _;

use super::{identifier, parse, stream::Answers};
use crate::{
    error::Error,
    register::{Keyed, Outcome, Registering},
    service::Service,
};

/// The most identifiers of one person.
const MAX_IDENTIFIERS: usize = 32;

/// How many messages of a stream are ready to be stored, and how many are stored together, at most.
const READY: usize = 8;

/// How many people are stored together, unless one message has more: nobody else can change the
/// directory meanwhile.
const PEOPLE: usize = 4_000;

/// Answers each message when it is stored, in their order.
pub(super) fn register(
    service: Arc<Service>,
    caller: Caller,
    messages: Streaming<PutIdentifiersRequest>,
    shutdown: CancellationToken,
) -> Answers<PutIdentifiersResponse> {
    let (ready, queue) = mpsc::channel(READY);
    let reading = Reading { service: service.clone(), caller, ready };
    let reading = tokio::spawn(reading.read(messages, shutdown).in_current_span());
    let (next, stored) = (None, VecDeque::new());
    let storing =
        Storing { service, queue, reading: AbortOnDropHandle::new(reading), next, stored };
    Box::pin(stream::try_unfold(storing, |mut storing| async move {
        Ok(storing.answer().await?.map(|answer| (answer, storing)))
    }))
}

/// Reads messages and makes them ready.
struct Reading {
    service: Arc<Service>,
    caller: Caller,
    ready: mpsc::Sender<Result<Registering, Status>>,
}

impl Reading {
    async fn read(
        self,
        mut messages: Streaming<PutIdentifiersRequest>,
        shutdown: CancellationToken,
    ) {
        loop {
            let message = tokio::select! {
                message = messages.message() => message,
                () = shutdown.cancelled() => {
                    let text = "the server is stopping; go on with another replica";
                    Err(status::status(Reason::NotServing, text))
                }
            };
            let next = match message {
                Ok(None) => return,
                Ok(Some(message)) => self.keyed(message).await,
                Err(status) => Err(status),
            };
            let ends = next.is_err();
            if self.ready.send(next).await.is_err() || ends {
                return;
            }
        }
    }

    async fn keyed(&self, mut message: PutIdentifiersRequest) -> Result<Registering, Status> {
        let service = &self.service;
        let key = service.request(&self.caller, "put_identifiers", &message.request_id, &message);
        // An identifier with something wrong is refused by its index, not with the whole message.
        let identifiers = message.registrations.iter_mut();
        let identifiers: Vec<Vec<Identifier>> =
            identifiers.map(|one| mem::take(&mut one.identifiers)).collect();
        let (message, mut bad) = open_message(&self.caller, message)?;
        check(&message.registrations, &identifiers, &mut bad);
        let regions: Vec<_> = (0..)
            .zip(&message.registrations)
            .map(|(index, one): (usize, _)| {
                let at = || format!("registrations[{index}].default_region");
                parse::region(at, &one.default_region, &mut bad)
            })
            .collect();
        bad.finish()?;

        let secrets = service.key_secrets();
        let subjects = message.registrations.into_iter().map(|one| one.subject_id);
        let all: Vec<_> = subjects.zip(identifiers).zip(regions).collect();
        let people = Service::compute(move || {
            let keyed = |((subject, identifiers), region): ((String, Vec<Identifier>), _)| {
                Keyed::new(subject, identifiers.iter().map(identifier::row), region, &secrets)
            };
            all.into_iter().map(keyed).collect()
        });
        Ok(Registering { key, people: people.await? })
    }
}

/// Stores what is ready.
struct Storing {
    service: Arc<Service>,
    queue: mpsc::Receiver<Result<Registering, Status>>,
    reading: AbortOnDropHandle<()>,
    /// What came after those that were stored together.
    next: Option<Result<Registering, Status>>,
    /// Answers to those that are stored.
    stored: VecDeque<PutIdentifiersResponse>,
}

impl Storing {
    async fn answer(&mut self) -> Result<Option<PutIdentifiersResponse>, Status> {
        if self.stored.is_empty() {
            let first = match self.next.take() {
                Some(next) => Some(next),
                None => self.queue.recv().await,
            };
            let Some(first) = first else {
                // A half of the messages must not pass for all of them.
                let read = (&mut self.reading).await;
                read.map_err(|_| Error::Internal("the reading of a stream panicked"))?;
                return Ok(None);
            };
            let group = self.group(first?);
            self.store(group).await?;
        }
        Ok(self.stored.pop_front())
    }

    /// A message and those after it that are ready and can be stored with it: nobody is named twice,
    /// and no request.
    fn group(&mut self, first: Registering) -> Vec<Registering> {
        let (mut people, mut requests) =
            (first.subjects(), HashSet::from([first.key.request_id.clone()]));
        let mut group = vec![first];
        while group.len() < READY
            && let Ok(next) = self.queue.try_recv()
        {
            match next {
                Ok(next)
                    if people.len() + next.people.len() <= PEOPLE
                        && people.is_disjoint(&next.subjects())
                        && requests.insert(next.key.request_id.clone()) =>
                {
                    people.extend(next.subjects());
                    group.push(next);
                }
                next => {
                    self.next = Some(next);
                    break;
                }
            }
        }
        group
    }

    async fn store(&mut self, group: Vec<Registering>) -> Result<(), Status> {
        let outcomes = match self.service.put_identifiers(&group).await {
            Err(error) if group.len() == 1 => return Err(error.into()),
            // It may be the fault of one of them: those before it are stored, and it is told so.
            Err(_) => Vec::new(),
            Ok(outcomes) => outcomes,
        };
        if outcomes.is_empty() {
            for one in group {
                let alone = std::slice::from_ref(&one);
                match self.service.put_identifiers(alone).await {
                    Ok(outcomes) => self.keep(alone, outcomes),
                    Err(error) => {
                        self.next = Some(Err(error.into()));
                        self.queue.close();
                        return Ok(());
                    }
                }
            }
            return Ok(());
        }
        self.keep(&group, outcomes);
        Ok(())
    }

    fn keep(&mut self, group: &[Registering], outcomes: Vec<Vec<Outcome>>) {
        self.stored.extend(group.iter().zip(outcomes).map(|(one, outcomes)| {
            let results = outcomes.into_iter().map(result).collect();
            PutIdentifiersResponse { request_id: one.key.request_id.clone(), results }
        }));
    }
}

fn check(registrations: &[Registration], identifiers: &[Vec<Identifier>], bad: &mut FieldErrors) {
    let mut named = HashSet::new();
    for (index, (one, identifiers)) in registrations.iter().zip(identifiers).enumerate() {
        if !named.insert(&*one.subject_id) {
            bad.add(format!("registrations[{index}].subject_id"), "named twice");
        }
        if identifiers.len() > MAX_IDENTIFIERS {
            let why = format!("{} items, more than {MAX_IDENTIFIERS}", identifiers.len());
            bad.add(format!("registrations[{index}].identifiers"), why);
        }
    }
}

fn result(outcome: Outcome) -> RegistrationResult {
    let status =
        if outcome.stored { StorageStatus::Stored } else { StorageStatus::AwaitingConsent };
    let rejections = identifier::rejections(outcome.rejections);
    RegistrationResult { status: status.into(), rejections }
}
