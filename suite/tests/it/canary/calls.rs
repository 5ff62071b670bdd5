//! Calls of any method, as JSON; all that comes back is kept.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    time::Duration,
};

use futures::{StreamExt, stream};
use prost_reflect::{DynamicMessage, prost::Message};
use proto::contract::{Method, methods};
use serde_json::Value;
use service_kit::{
    auth::{Caller, Issuer},
    clock::Clock,
};
use tonic::{Request, Status, client::Grpc, metadata::MetadataMap, transport::Channel};

use crate::{
    raw::Bytes,
    support::connect,
    table::{request_type, response_type},
};

/// Longer than the test.
const TOKEN_LIFETIME: Duration = Duration::from_hours(1);

/// Somebody at a server, and what was heard there.
pub(crate) struct Client {
    channel: Channel,
    pub(crate) issuer: Issuer,
    /// Put into the metadata of every call.
    pub(crate) metadata: MetadataMap,
    requests: Cell<u32>,
    /// The paths of methods that did what they were asked.
    pub(crate) answered: RefCell<BTreeSet<String>>,
    /// Every message, status and header that came back.
    pub(crate) heard: RefCell<Vec<u8>>,
}

impl Client {
    pub(crate) async fn new(url: &str, issuer: Issuer, metadata: MetadataMap) -> Self {
        Self {
            channel: connect(url).await,
            issuer,
            metadata,
            requests: Cell::default(),
            answered: RefCell::default(),
            heard: RefCell::default(),
        }
    }

    /// An id that no other request has.
    pub(crate) fn request_id(&self) -> String {
        self.requests.set(self.requests.get() + 1);
        format!("request-{}", self.requests.get())
    }

    pub(crate) fn token(&self, caller: &Caller) -> String {
        self.issuer.issue(caller, Clock::system().now(), TOKEN_LIFETIME)
    }

    /// Calls `method`, given as `Service/Method`, which answers with one message.
    pub(crate) async fn ask(&self, method: &str, caller: &Caller, request: Value) -> Value {
        let mut answers = self.stream(method, caller, vec![request]).await;
        answers.pop().unwrap_or_default()
    }

    /// Calls a method with some messages: its answers. Where the messages have a `request_id`, they
    /// get one.
    pub(crate) async fn stream(
        &self,
        name: &str,
        caller: &Caller,
        requests: Vec<Value>,
    ) -> Vec<Value> {
        let method = method(name);
        let input = request_type(method);
        let requests = requests.into_iter().map(|mut request| {
            if input.get_field_by_name("request_id").is_some() {
                let fields = request.as_object_mut().unwrap();
                fields.entry("request_id").or_insert_with(|| self.request_id().into());
            }
            let message = DynamicMessage::deserialize(input.clone(), request);
            message.unwrap_or_else(|error| panic!("{name}: {error}")).encode_to_vec()
        });
        let token = self.token(caller);
        match self.send(&method.path, Some(&token), requests.collect()).await {
            Ok(answers) => {
                self.answered.borrow_mut().insert(method.path.clone());
                let output = response_type(method);
                let read = |answer: Vec<u8>| {
                    let answer = DynamicMessage::decode(output.clone(), answer.as_slice()).unwrap();
                    serde_json::to_value(answer).unwrap()
                };
                answers.into_iter().map(read).collect()
            }
            Err(status) => panic!("{name}: {status:?}"),
        }
    }

    /// Sends messages as they are. Of a feed, which has no end, only the first answer is awaited.
    pub(crate) async fn send(
        &self,
        path: &str,
        token: Option<&str>,
        messages: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, Status> {
        let answers = self.answers(path, token, messages).await;
        let mut heard = self.heard.borrow_mut();
        match &answers {
            Ok(answers) => heard.extend(answers.concat()),
            Err(status) => {
                heard.extend(format!("{status:?}").into_bytes());
                heard.extend(status.details());
            }
        }
        answers
    }

    async fn answers(
        &self,
        path: &str,
        token: Option<&str>,
        messages: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, Status> {
        let mut request = Request::new(stream::iter(messages));
        *request.metadata_mut() = self.metadata.clone();
        if let Some(token) = token {
            let bearer = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", bearer);
        }
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let response = grpc.streaming(request, path.parse().unwrap(), Bytes).await?;
        let headers = format!("{:?}", response.metadata());
        self.heard.borrow_mut().extend(headers.into_bytes());
        let mut incoming = response.into_inner();
        let mut answers = Vec::new();
        while let Some(answer) = incoming.next().await {
            answers.push(answer?);
            if path.ends_with("/WatchChanges") {
                return Ok(answers);
            }
        }
        let trailers = format!("{:?}", incoming.trailers().await?);
        self.heard.borrow_mut().extend(trailers.into_bytes());
        Ok(answers)
    }
}

/// The method of this name: `Service/Method`.
pub(crate) fn method(name: &str) -> &'static Method {
    let name = format!(".{name}");
    methods().find(|method| method.path.ends_with(&name)).unwrap()
}
