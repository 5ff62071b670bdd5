//! gRPC-Web, as a browser speaks it.

use std::{collections::HashMap, net::SocketAddr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use gateway::{Gateway, GatewayConfig, Upstreams, WebConfig};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use prost::Message as _;
use proto::{
    consent::v1::{
        CheckResponse, WatchChangesRequest, WatchChangesResponse,
        consent_service_client::ConsentServiceClient,
    },
    errors::v1::Reason,
};
use service_kit::{
    boot::Process,
    clock::Clock,
    config::{Config, ServerConfig},
    test_util::TestKeys,
};
use tonic::{Code, Status};

use crate::{
    passing_through::check,
    raw::{CHECK, WATCH, message},
    services::{Event, rich_error},
    world::{PATIENCE, World, app, assert_error, upstream},
};

const ORIGIN: &str = "https://app.example.com";
const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text";

async fn world() -> World {
    allowing(&[ORIGIN, "https://admin.example.com:8443"]).await
}

async fn allowing(origins: &[&str]) -> World {
    let allowed_origins = origins.iter().map(|&origin| origin.to_owned()).collect();
    World::start_with(|config| config.service.web = WebConfig { allowed_origins }).await
}

/// A page in a browser.
struct Page {
    client: Client<HttpConnector, Full<Bytes>>,
    gateway: SocketAddr,
    origin: &'static str,
    /// As the page's library speaks.
    kind: &'static str,
}

impl Page {
    fn of(world: &World, http2: bool, kind: &'static str) -> Self {
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
        Self { client, gateway: world.gateway.address(), origin: ORIGIN, kind }
    }

    /// A page for each version of HTTP and each form.
    fn all(world: &World) -> [Self; 4] {
        [(false, BINARY), (false, TEXT), (true, BINARY), (true, TEXT)]
            .map(|(http2, kind)| Self::of(world, http2, kind))
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let uri = format!("http://{}{path}", self.gateway);
        Request::builder().method(method).uri(uri).header("origin", self.origin)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let sent = tokio::time::timeout(PATIENCE, self.client.request(request));
        sent.await.unwrap().unwrap()
    }

    /// What the browser asks before it lets the page call.
    async fn preflight(&self) -> HeaderMap {
        let request = self
            .request(Method::OPTIONS, CHECK)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type,x-grpc-web");
        let answer = self.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.headers().clone()
    }

    async fn call(
        &self,
        path: &str,
        bearer: Option<HeaderValue>,
        message: Vec<u8>,
    ) -> Response<Incoming> {
        let mut request = self
            .request(Method::POST, path)
            .header("content-type", self.kind)
            .header("accept", self.kind)
            .header("x-grpc-web", "1")
            .header("x-user-agent", "grpc-web-javascript/0.1");
        if let Some(bearer) = bearer {
            request = request.header("authorization", bearer);
        }
        let body =
            if self.kind == TEXT { BASE64_STANDARD.encode(message).into_bytes() } else { message };
        let answer = self.send(request.body(Full::from(body)).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer
    }

    /// The messages of an answer, and the trailers at the end of its body.
    async fn read(&self, answer: Response<Incoming>) -> (Vec<Vec<u8>>, HeaderMap) {
        let kind = answer.headers()["content-type"].to_str().unwrap();
        assert!(kind.starts_with(self.kind), "{kind}");
        let body = answer.into_body().collect().await.unwrap();
        assert!(body.trailers().is_none(), "browsers do not see them");
        read_frames(&self.bytes(&body.to_bytes()))
    }

    fn bytes(&self, body: &[u8]) -> Vec<u8> {
        if self.kind != TEXT {
            return body.to_vec();
        }
        // Each piece is padded by itself.
        body.chunks(4).flat_map(|four| BASE64_STANDARD.decode(four).unwrap()).collect()
    }
}

fn read_frames(mut bytes: &[u8]) -> (Vec<Vec<u8>>, HeaderMap) {
    let mut messages = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(5) {
        let length = u32::from_be_bytes(head[1..5].try_into().unwrap()) as usize;
        let (content, rest) = rest.split_at(length);
        if head[0] == 0x80 {
            assert!(rest.is_empty(), "trailers are last");
            let text = std::str::from_utf8(content).unwrap();
            let lines = text.split_terminator("\r\n").map(|line| line.split_once(':').unwrap());
            let trailers = lines.map(|(name, value)| {
                assert_eq!(name, name.to_lowercase());
                (name.parse::<HeaderName>().unwrap(), value.trim().parse().unwrap())
            });
            return (messages, trailers.collect());
        }
        assert_eq!(head[0], 0);
        messages.push(content.to_vec());
        bytes = rest;
    }
    (messages, HeaderMap::new())
}

fn status(headers: &HeaderMap) -> Status {
    Status::from_header_map(headers).expect("a status")
}

/// The comma-separated names in a header.
fn names(headers: &HeaderMap, header: &str) -> Vec<String> {
    let text = headers[header].to_str().unwrap().to_lowercase();
    let mut names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
    names.sort();
    names
}

/// Asserts what the browser must be told for the page to see the answer.
#[track_caller]
fn assert_shown(headers: &HeaderMap) {
    assert_eq!(headers["access-control-allow-origin"], ORIGIN);
    assert!(!headers.contains_key("access-control-allow-credentials"));
    let exposed = ["grpc-message", "grpc-status", "grpc-status-details-bin", "x-request-id"];
    assert_eq!(names(headers, "access-control-expose-headers"), exposed);
    assert!(names(headers, "vary").contains(&"origin".to_owned()));
    assert_eq!(headers["x-request-id"].len(), 32);
}

#[tokio::test]
async fn a_page_calls_and_is_answered_in_either_form_over_either_version() {
    let world = world().await;
    for page in Page::all(&world) {
        let bearer = Some(world.keys.bearer(&app()));
        let answer = page.call(CHECK, bearer, message(&check("anna").encode_to_vec())).await;
        assert_shown(answer.headers());
        let (messages, trailers) = page.read(answer).await;
        let [message] = &messages[..] else { panic!("{messages:?}") };
        assert_eq!(CheckResponse::decode(&message[..]).unwrap().revision, 7);
        assert_eq!(status(&trailers).code(), Code::Ok);
    }
}

fn watch(cursor: &[u8]) -> Vec<u8> {
    let watch = WatchChangesRequest { cursor: cursor.to_vec(), ..Default::default() };
    message(&watch.encode_to_vec())
}

#[tokio::test]
async fn a_stream_of_answers_comes_with_the_error_at_its_end() {
    let world = world().await;
    for page in Page::all(&world) {
        let bearer = Some(world.keys.bearer(&app()));
        let answer = page.call(WATCH, bearer, watch(b"three")).await;
        assert_shown(answer.headers());
        let (messages, trailers) = page.read(answer).await;
        let cursors = messages.iter().map(|one| WatchChangesResponse::decode(&one[..]).unwrap());
        let cursors: Vec<_> = cursors.map(|one| one.cursor).collect();
        assert_eq!(cursors, [b"1", b"2", b"3"]);
        let (told, sent) = (status(&trailers), rich_error());
        assert_error(&told, Code::NotFound, Reason::SubjectUnknown);
        assert_eq!((told.message(), told.details()), (sent.message(), sent.details()));
    }
}

#[tokio::test]
async fn a_stream_comes_as_it_is_made_and_ends_when_the_page_leaves() {
    let mut world = world().await;
    for page in Page::all(&world) {
        let bearer = Some(world.keys.bearer(&app()));
        let answer = page.call(WATCH, bearer, watch(b"")).await;
        let mut body = answer.into_body();
        let first = tokio::time::timeout(PATIENCE, body.frame()).await.unwrap().unwrap().unwrap();
        let (messages, _) = read_frames(&page.bytes(&first.into_data().unwrap()));
        assert_eq!(WatchChangesResponse::decode(&messages[0][..]).unwrap().cursor, b"1");
        drop((body, page));
        assert!(matches!(world.noticed().await, Event::Dropped));
    }
}

#[tokio::test]
async fn an_error_comes_with_its_details_in_headers_that_the_page_may_see() {
    let world = world().await;
    for page in Page::all(&world) {
        let bearer = Some(world.keys.bearer(&app()));
        let answer = page.call(CHECK, bearer, message(&check("fails").encode_to_vec())).await;
        assert_shown(answer.headers());
        let (told, sent) = (status(answer.headers()), rich_error());
        assert_error(&told, Code::NotFound, Reason::SubjectUnknown);
        assert_eq!((told.message(), told.details()), (sent.message(), sent.details()));
        assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}

#[tokio::test]
async fn errors_of_every_layer_are_grpc_web_too() {
    let world = world().await;
    let unknown = "/assent.consent.v1.ConsentService/NoSuchMethod";
    let whole = message(&check("anna").encode_to_vec());
    for page in Page::all(&world) {
        let bearer = || Some(world.keys.bearer(&app()));
        let business = || Some(world.keys.bearer(&crate::world::business()));
        for (path, bearer, body, reason) in [
            (unknown, bearer(), whole.clone(), Reason::MethodUnknown),
            (CHECK, None, whole.clone(), Reason::TokenMissing),
            (CHECK, business(), whole.clone(), Reason::RoleNotAllowed),
            (CHECK, bearer(), vec![], Reason::MessageMalformed),
            (CHECK, bearer(), whole[..7].to_vec(), Reason::MessageMalformed),
            (CHECK, bearer(), vec![0, 255, 255, 255, 255], Reason::MessageTooLarge),
        ] {
            let answer = page.call(path, bearer, body).await;
            assert_shown(answer.headers());
            let told = status(answer.headers());
            assert_error(&told, proto::status::code(reason), reason);
        }
    }
}

#[tokio::test]
async fn a_text_that_is_not_base64_is_the_pages_fault() {
    let world = world().await;
    for http2 in [false, true] {
        let page = Page::of(&world, http2, TEXT);
        for text in ["AAAAAA!!", "AAAAA"] {
            let request = page
                .request(Method::POST, CHECK)
                .header("content-type", TEXT)
                .header("authorization", world.keys.bearer(&app()))
                .body(Full::from(text))
                .unwrap();
            let told = status(page.send(request).await.headers());
            assert_error(&told, Code::InvalidArgument, Reason::MessageMalformed);
        }
    }
}

#[tokio::test]
async fn a_preflight_is_answered_without_a_token() {
    let world = world().await;
    for page in Page::all(&world) {
        let headers = page.preflight().await;
        assert_eq!(headers["access-control-allow-origin"], ORIGIN);
        assert_eq!(names(&headers, "access-control-allow-methods"), ["post"]);
        let allowed =
            ["authorization", "content-type", "grpc-timeout", "x-grpc-web", "x-user-agent"];
        assert_eq!(names(&headers, "access-control-allow-headers"), allowed);
        assert_eq!(headers["access-control-max-age"], "7200");
        assert!(!headers.contains_key("access-control-allow-credentials"));
        assert!(names(&headers, "vary").contains(&"origin".to_owned()));
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_not_let_through() {
    let world = world().await;
    for mut page in Page::all(&world) {
        for foreign in [
            "https://evil.example",
            "null",
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com.evil.example",
        ] {
            page.origin = foreign;
            let headers = page.preflight().await;
            assert!(!headers.contains_key("access-control-allow-origin"), "{foreign}");
        }
        page.origin = "https://admin.example.com:8443";
        let headers = page.preflight().await;
        assert_eq!(headers["access-control-allow-origin"], page.origin);
    }
}

#[tokio::test]
async fn any_origin_may_be_allowed() {
    let world = allowing(&["*"]).await;
    let page = Page::of(&world, false, BINARY);
    let headers = page.preflight().await;
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert!(!headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test]
async fn what_is_neither_grpc_web_nor_http_2_is_not_served() {
    let world = world().await;
    let page = Page::of(&world, false, BINARY);
    for (method, kind, refused) in [
        (Method::POST, "application/grpc", StatusCode::BAD_REQUEST),
        (Method::POST, "application/json", StatusCode::BAD_REQUEST),
        (Method::GET, "text/html", StatusCode::BAD_REQUEST),
        (Method::GET, BINARY, StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let request = page
            .request(method, CHECK)
            .header("content-type", kind)
            .header("authorization", world.keys.bearer(&app()))
            .body(Full::from(message(&check("anna").encode_to_vec())))
            .unwrap();
        assert_eq!(page.send(request).await.status(), refused, "{kind}");
    }
}

#[tokio::test]
async fn plain_grpc_goes_past_it() {
    let world = world().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let answer = client.check(world.by(&app(), check("anna"))).await.unwrap();
    let headers: HashMap<_, _> =
        answer.metadata().as_ref().iter().map(|(name, value)| (name.as_str(), value)).collect();
    assert!(
        !headers.contains_key("vary") && !headers.contains_key("access-control-expose-headers")
    );
}

#[tokio::test]
async fn without_origins_it_is_not_spoken() {
    let world = World::start().await;
    let page = Page::of(&world, true, BINARY);
    let bearer = Some(world.keys.bearer(&app()));
    let answer = page.call(CHECK, bearer, message(&check("anna").encode_to_vec())).await;
    let told = status(answer.headers());
    assert_error(&told, Code::InvalidArgument, Reason::MessageMalformed);
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    assert!(!page.preflight().await.contains_key("access-control-allow-origin"));
    let page = Page::of(&world, false, BINARY);
    let request = page.request(Method::OPTIONS, CHECK).body(Full::default()).unwrap();
    assert!(page.client.request(request).await.is_err(), "HTTP/1.1 is spoken");
}

/// The error with which the gateway stops when these origins are allowed.
async fn refused(origins: &[&str]) -> String {
    let good = upstream(&["http://127.0.0.1:1".to_owned()]);
    let upstreams = Upstreams { consent: good.clone(), audience: good.clone(), suggest: good };
    let web = WebConfig { allowed_origins: origins.iter().map(ToString::to_string).collect() };
    let keys = TestKeys::new();
    let service = GatewayConfig { upstreams, web, ..GatewayConfig::default() };
    let config = Config {
        server: ServerConfig::loopback(),
        auth: keys.auth_config(),
        ..Config::new(service)
    };
    let gateway = Process::quiet(Clock::system()).serve::<Gateway>(config).await.unwrap();
    gateway.stopped().await.unwrap_err().to_string()
}

#[tokio::test]
async fn origins_that_would_never_match_are_all_named() {
    let told = refused(&["app.example.com", ORIGIN, "https://admin.example.com/"]).await;
    assert!(told.starts_with("web.allowed_origins: "), "{told}");
    assert!(told.contains("\"app.example.com\"") && told.contains("admin.example.com/"), "{told}");
    assert!(!told.contains(&format!("{ORIGIN:?}")), "{told}");
    let told = refused(&[ORIGIN, "*"]).await;
    assert!(told.contains("stands alone"), "{told}");
}
