//! Services behind the gateway, as small as the contract lets them be. What they do is told by
//! the request; what they notice is told to the test.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use futures::{Stream, StreamExt as _, stream};
use proto::{
    FieldErrors,
    audience::v1::{
        self as audience, AppendUploadRequest, AppendUploadResponse,
        audience_service_server::{AudienceService, AudienceServiceServer},
        directory_service_server::{DirectoryService, DirectoryServiceServer},
    },
    consent::v1::{
        CheckRequest, CheckResponse, EraseSubjectRequest, EraseSubjectResponse, Erasure,
        ErasureFollower, ExportSubjectRequest, ExportSubjectResponse, GetErasureRequest,
        GetErasureResponse, PutSubjectRequest, PutSubjectResponse, Subject, WatchChangesRequest,
        WatchChangesResponse,
        consent_service_server::{ConsentService, ConsentServiceServer},
    },
    errors::v1::Reason,
    status,
    suggest::v1::{
        self as suggest, SyncContactsRequest, SyncContactsResponse,
        contact_service_server::{ContactService, ContactServiceServer},
        graph_service_server::{GraphService, GraphServiceServer},
    },
    types::v1::{
        ExportRecord, Identifier, Rejection, RejectionReason, StorageStatus, identifier::Value,
    },
};
use tokio::sync::{Notify, Semaphore, mpsc};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap, service::Routes};
use tonic_types::ErrorDetails;

/// What a service behind the gateway noticed.
#[derive(Debug)]
pub(crate) enum Event {
    /// A unary call came, with this metadata.
    Called(MetadataMap),
    /// A handler, or the stream that it answered with, was dropped before its end.
    Dropped,
}

/// What the services keep of accounts: of registrations, each under its own name.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Directory {
    /// Identifiers by service and subject.
    pub stored: HashMap<(&'static str, String), Vec<Identifier>>,
    /// Answers by service and request id.
    pub answered: HashMap<(&'static str, String), (StorageStatus, Vec<Rejection>)>,
    /// Subjects whose consent is in force.
    pub granted: HashSet<String>,
    /// What `PutSubject` was sent, by request id.
    pub subjects: HashMap<String, PutSubjectRequest>,
    /// Who was erased, and by which requests: each once.
    pub erased: HashMap<String, Vec<String>>,
}

/// Every service of the contract that the tests call.
#[derive(Clone)]
pub(crate) struct Stub {
    pub directory: Arc<Mutex<Directory>>,
    /// Lets the handlers that wait for it go on.
    pub gate: Arc<Semaphore>,
    /// Told when everything was answered and the end waits for the gate.
    pub waiting: Arc<Notify>,
    /// Messages that `WatchChanges` has made, and `AppendUpload` taken.
    pub made: Arc<AtomicUsize>,
    pub taken: Arc<AtomicUsize>,
    /// Calls of `WatchChanges` by the other end of the connection.
    pub peers: Arc<Mutex<HashMap<SocketAddr, usize>>>,
    events: mpsc::UnboundedSender<Event>,
}

struct OnDrop(mpsc::UnboundedSender<Event>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        // The test may be over.
        let _ = self.0.send(Event::Dropped);
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Stub {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (events, noticed) = mpsc::unbounded_channel();
        let stub = Self {
            directory: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
            waiting: Arc::default(),
            made: Arc::default(),
            taken: Arc::default(),
            peers: Arc::default(),
            events,
        };
        (stub, noticed)
    }

    /// All services, and health that says SERVING for each.
    pub(crate) async fn routes(&self) -> Routes {
        let (health, health_server) = tonic_health::server::health_reporter();
        let names = proto::contract::methods().map(|method| method.service.clone());
        let names: HashSet<String> = names.collect();
        for name in names {
            health.set_service_status(name, tonic_health::ServingStatus::Serving).await;
        }
        Routes::new(health_server)
            .add_service(ConsentServiceServer::new(self.clone()))
            .add_service(AudienceServiceServer::new(self.clone()))
            .add_service(DirectoryServiceServer::new(self.clone()))
            .add_service(ContactServiceServer::new(self.clone()))
            .add_service(GraphServiceServer::new(self.clone()))
    }

    fn notice(&self, event: Event) {
        let _ = self.events.send(event);
    }

    fn register(
        &self,
        service: &'static str,
        request_id: &str,
        subject: &str,
        identifiers: &[Identifier],
    ) -> (StorageStatus, Vec<Rejection>) {
        let mut directory = self.directory.lock().unwrap();
        let key = (service, request_id.to_owned());
        if let Some(answer) = directory.answered.get(&key) {
            return answer.clone();
        }
        let is_empty = |one: &Identifier| one.value == Some(Value::Raw(String::new()));
        let rejections = (0u32..)
            .zip(identifiers)
            .filter(|(_, one)| is_empty(one))
            .map(|(index, _)| Rejection { index, reason: RejectionReason::Empty.into() })
            .collect();
        let status = if directory.granted.contains(subject) {
            directory.stored.insert((service, subject.to_owned()), identifiers.to_vec());
            StorageStatus::Stored
        } else {
            StorageStatus::AwaitingConsent
        };
        directory.answered.insert(key, (status, rejections));
        directory.answered[&(service, request_id.to_owned())].clone()
    }
}

impl Stub {
    /// What comes after the answers of `PutIdentifiers`: nothing, sooner or later.
    fn ending<T: Send + 'static>(self) -> impl Stream<Item = Result<T, Status>> + Send {
        let ending = async move {
            let waits = ("audience", "waits".to_owned());
            if self.directory.lock().unwrap().stored.contains_key(&waits) {
                let _noticed = OnDrop(self.events.clone());
                self.waiting.notify_one();
                self.gate.acquire().await.unwrap().forget();
            }
            stream::empty()
        };
        stream::once(ending).flatten()
    }
}

/// As the services say it, of the first of a list.
fn bad_region() -> Status {
    let mut bad = FieldErrors::default();
    bad.add("registrations[0].default_region", "no region");
    bad.finish().unwrap_err()
}

/// The parts of an export, each with one record, which counts them.
fn exported(of: &str, parts: usize) -> Vec<Vec<ExportRecord>> {
    let record = |part: usize| ExportRecord { category: format!("{of}.{part}"), ..<_>::default() };
    (0..parts).map(|part| vec![record(part)]).collect()
}

/// An answer in parts, one by one.
fn in_parts<T: Send + 'static>(
    parts: Vec<Vec<ExportRecord>>,
    part: fn(Vec<ExportRecord>) -> T,
) -> Response<Answers<T>> {
    Response::new(stream::iter(parts).map(move |records| Ok(part(records))).boxed())
}

fn erasure(subject_id: &str) -> Erasure {
    let follower = |name: &str| ErasureFollower { follower: name.to_owned(), ..<_>::default() };
    Erasure {
        subject_id: subject_id.to_owned(),
        followers: ["audience-svc", "suggest-svc"].map(follower).to_vec(),
        ..Default::default()
    }
}

/// The error with which `fails` is answered: details of two kinds, and metadata.
pub(crate) fn rich_error() -> Status {
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation("subject_id", "is \"quoted\", \u{fc}ber 100 %");
    let mut error =
        status::with_details(Reason::SubjectUnknown, "no such subject: \u{1f600}\n100 %", details);
    error.metadata_mut().insert("x-trailer", "from behind".parse().unwrap());
    error
}

#[tonic::async_trait]
impl ConsentService for Stub {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        self.notice(Event::Called(request.metadata().clone()));
        match request.get_ref().subject_id.as_str() {
            "fails" => Err(rich_error()),
            "hangs" => {
                let _noticed = OnDrop(self.events.clone());
                std::future::pending().await
            }
            _ => {
                let mut answer = Response::new(CheckResponse { revision: 7, ..Default::default() });
                answer.metadata_mut().insert("x-header", "from behind".parse().unwrap());
                Ok(answer)
            }
        }
    }

    async fn put_subject(
        &self,
        request: Request<PutSubjectRequest>,
    ) -> Result<Response<PutSubjectResponse>, Status> {
        self.notice(Event::Called(request.metadata().clone()));
        let put = request.into_inner();
        let subject = Subject { subject_id: put.subject_id.clone(), ..Default::default() };
        self.directory.lock().unwrap().subjects.insert(put.request_id.clone(), put);
        Ok(Response::new(PutSubjectResponse { subject: Some(subject) }))
    }

    /// Erases whom it has; the same request twice once.
    async fn erase_subject(
        &self,
        request: Request<EraseSubjectRequest>,
    ) -> Result<Response<EraseSubjectResponse>, Status> {
        self.notice(Event::Called(request.metadata().clone()));
        let EraseSubjectRequest { request_id, subject_id } = request.into_inner();
        let mut directory = self.directory.lock().unwrap();
        if !directory.subjects.values().any(|put| put.subject_id == subject_id) {
            return Err(rich_error());
        }
        let erasure = Some(erasure(&subject_id));
        let by = directory.erased.entry(subject_id).or_default();
        if !by.contains(&request_id) {
            by.push(request_id);
        }
        Ok(Response::new(EraseSubjectResponse { erasure }))
    }

    async fn get_erasure(
        &self,
        request: Request<GetErasureRequest>,
    ) -> Result<Response<GetErasureResponse>, Status> {
        self.notice(Event::Called(request.metadata().clone()));
        let subject_id = &request.get_ref().subject_id;
        let is_erased = self.directory.lock().unwrap().erased.contains_key(subject_id);
        let erasure = is_erased.then(|| erasure(subject_id)).ok_or_else(rich_error)?;
        Ok(Response::new(GetErasureResponse { erasure: Some(erasure) }))
    }

    /// Three parts; of `fails`, an error.
    async fn export_subject(
        &self,
        request: Request<ExportSubjectRequest>,
    ) -> Result<Response<Answers<ExportSubjectResponse>>, Status> {
        self.notice(Event::Called(request.metadata().clone()));
        if request.get_ref().subject_id == "fails" {
            return Err(rich_error());
        }
        Ok(in_parts(exported("consent", 3), |records| ExportSubjectResponse { records }))
    }

    /// By cursor: `three` messages and then an error; `endless` messages of 64 KiB; else one
    /// message and then silence.
    async fn watch_changes(
        &self,
        request: Request<WatchChangesRequest>,
    ) -> Result<Response<Answers<WatchChangesResponse>>, Status> {
        if let Some(peer) = request.remote_addr() {
            *self.peers.lock().unwrap().entry(peer).or_default() += 1;
        }
        let message =
            |cursor: &[u8]| WatchChangesResponse { cursor: cursor.to_vec(), ..Default::default() };
        let dropped = OnDrop(self.events.clone());
        let answers: Answers<_> = match request.get_ref().cursor.as_slice() {
            b"three" => {
                let three = [b"1", b"2", b"3"].map(|cursor| Ok(message(cursor)));
                stream::iter(three.into_iter().chain([Err(rich_error())])).boxed()
            }
            b"endless" => {
                let made = self.made.clone();
                stream::repeat_with(move || {
                    made.fetch_add(1, SeqCst);
                    Ok(message(&vec![0; 64 << 10]))
                })
                .boxed()
            }
            _ => {
                let one = stream::iter([Ok(message(b"1"))]).chain(stream::pending());
                one.inspect(move |_| _ = &dropped).boxed()
            }
        };
        Ok(Response::new(answers))
    }
}

#[tonic::async_trait]
impl ContactService for Stub {
    /// Counts what came, once all of it has.
    async fn sync_contacts(
        &self,
        request: Request<Streaming<SyncContactsRequest>>,
    ) -> Result<Response<SyncContactsResponse>, Status> {
        let mut input = request.into_inner();
        let mut accepted = 0;
        let mut last = String::new();
        while let Some(message) = input.message().await? {
            accepted += u32::try_from(message.added.len()).unwrap();
            last = message.request_id;
        }
        Ok(Response::new(SyncContactsResponse { accepted, sync_token: last, rejections: vec![] }))
    }
}

#[tonic::async_trait]
impl AudienceService for Stub {
    /// Answers each batch as it comes, and at the end how many there were. Of an
    /// upload called `gated` only the first batch is read until the gate opens.
    async fn append_upload(
        &self,
        request: Request<Streaming<AppendUploadRequest>>,
    ) -> Result<Response<Answers<AppendUploadResponse>>, Status> {
        let (sender, answers) = mpsc::channel(1);
        let this = self.clone();
        let mut input = request.into_inner();
        tokio::spawn(async move {
            let mut count = 0;
            loop {
                match input.message().await {
                    Ok(Some(message)) => {
                        this.taken.fetch_add(1, SeqCst);
                        count += 1;
                        if count == 1 && message.upload_id == "gated" {
                            this.gate.acquire().await.unwrap().forget();
                        }
                        let answer = AppendUploadResponse {
                            batch_number: message.batch_number,
                            rows_received: u32::try_from(message.packed_sha256.len()).unwrap(),
                            ..Default::default()
                        };
                        if sender.send(Ok(answer)).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => {
                        let total =
                            AppendUploadResponse { batch_number: count, ..Default::default() };
                        let _ = sender.send(Ok(total)).await;
                        return;
                    }
                    Err(_) => return,
                }
            }
        });
        let answers = stream::unfold(answers, async |mut answers| {
            let answer = answers.recv().await?;
            Some((answer, answers))
        });
        Ok(Response::new(answers.boxed()))
    }
}

#[tonic::async_trait]
impl DirectoryService for Stub {
    /// Nobody's region is `ZZ`. When it has stored `waits`, it ends when the gate opens.
    async fn put_identifiers(
        &self,
        request: Request<Streaming<audience::PutIdentifiersRequest>>,
    ) -> Result<Response<Answers<audience::PutIdentifiersResponse>>, Status> {
        let this = self.clone();
        let answers = request.into_inner().map(move |message| {
            let message = message?;
            let one = &message.registrations[0];
            if one.default_region == "ZZ" {
                return Err(bad_region());
            }
            let id = &message.request_id;
            let (status, rejections) =
                this.register("audience", id, &one.subject_id, &one.identifiers);
            let result = audience::RegistrationResult { status: status.into(), rejections };
            let request_id = message.request_id;
            Ok(audience::PutIdentifiersResponse { request_id, results: vec![result] })
        });
        Ok(Response::new(answers.chain(self.clone().ending()).boxed()))
    }

    /// Two parts; of `endless`, parts of 64 KiB without end; of `forbidden`, nothing for anybody.
    async fn export_subject_data(
        &self,
        request: Request<audience::ExportSubjectDataRequest>,
    ) -> Result<Response<Answers<audience::ExportSubjectDataResponse>>, Status> {
        self.notice(Event::Called(request.metadata().clone()));
        match request.get_ref().subject_id.as_str() {
            "forbidden" => Err(status::status(Reason::TokenInvalid, "signed by nobody")),
            "endless" => {
                let made = self.made.clone();
                let part = move || {
                    made.fetch_add(1, SeqCst);
                    let category = "x".repeat(64 << 10);
                    let records = vec![ExportRecord { category, ..Default::default() }];
                    Ok(audience::ExportSubjectDataResponse { records })
                };
                Ok(Response::new(stream::repeat_with(part).boxed()))
            }
            _ => {
                let part = |records| audience::ExportSubjectDataResponse { records };
                Ok(in_parts(exported("audience", 2), part))
            }
        }
    }
}

#[tonic::async_trait]
impl GraphService for Stub {
    async fn put_identifiers(
        &self,
        request: Request<Streaming<suggest::PutIdentifiersRequest>>,
    ) -> Result<Response<Answers<suggest::PutIdentifiersResponse>>, Status> {
        let this = self.clone();
        let answers = request.into_inner().map(move |message| {
            let message = message?;
            let one = &message.registrations[0];
            let id = &message.request_id;
            let (status, rejections) =
                this.register("suggest", id, &one.subject_id, &one.identifiers);
            let result = suggest::RegistrationResult { status: status.into(), rejections };
            let request_id = message.request_id;
            Ok(suggest::PutIdentifiersResponse { request_id, results: vec![result] })
        });
        Ok(Response::new(answers.boxed()))
    }

    /// One part; of `quiet`, none.
    async fn export_subject_data(
        &self,
        request: Request<suggest::ExportSubjectDataRequest>,
    ) -> Result<Response<Answers<suggest::ExportSubjectDataResponse>>, Status> {
        self.notice(Event::Called(request.metadata().clone()));
        let parts = usize::from(request.get_ref().subject_id != "quiet");
        let part = |records| suggest::ExportSubjectDataResponse { records };
        Ok(in_parts(exported("suggest", parts), part))
    }
}
