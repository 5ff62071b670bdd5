//! What is wrong with a request is told to its sender, by the same code and reason always, and
//! before it costs a service anything.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use prost::Message as _;
use proto::{errors::v1::Reason, options::v1::Role, status};
use serde_json::{Value, json};
use service_kit::{
    auth::{Caller, Issuer},
    clock::{Clock, UnixMillis},
};
use tonic::Status;

use crate::{
    passing_through::check,
    raw::{APPEND, CHECK, message},
    services::Event,
    world::{PATIENCE, World, app, business},
};

const REGISTER: &str = "/assent.gateway.v1.AccountService/RegisterAccount";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// A request by hand.
struct Ask {
    method: Method,
    path: &'static str,
    headers: HeaderMap,
    /// In pieces, each a frame of HTTP/2.
    body: Vec<Vec<u8>>,
}

impl Ask {
    /// A good call of `path`.
    fn of(world: &World, path: &'static str, caller: &Caller) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("te", HeaderValue::from_static("trailers"));
        headers.insert("authorization", world.keys.bearer(caller));
        let body = vec![message(&check("anna").encode_to_vec())];
        Self { method: Method::POST, path, headers, body }
    }

    fn checking(world: &World) -> Self {
        Self::of(world, CHECK, &app())
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::try_from(value).unwrap());
        self
    }

    fn token(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    fn saying(mut self, body: &[&[u8]]) -> Self {
        self.body = body.iter().map(|piece| piece.to_vec()).collect();
        self
    }

    /// The headers of the answer, and its status wherever it stands.
    async fn answer(self, world: &World) -> (HeaderMap, Status) {
        let uri = format!("http://{}{}", world.gateway.address(), self.path);
        let mut request = Request::builder().method(self.method).uri(uri);
        *request.headers_mut().unwrap() = self.headers;
        let frames =
            self.body.into_iter().map(|piece| Ok::<_, Status>(Frame::data(Bytes::from(piece))));
        let request = request.body(StreamBody::new(futures::stream::iter(frames))).unwrap();
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let answer = async {
            let answer = client.request(request).await.unwrap();
            let headers = answer.headers().clone();
            let body = answer.into_body().collect().await.unwrap();
            let trailers = body.trailers().cloned().unwrap_or_default();
            let status = Status::from_header_map(&headers);
            let status = status.or_else(|| Status::from_header_map(&trailers));
            (headers, status.expect("a status"))
        };
        tokio::time::timeout(PATIENCE, answer).await.unwrap()
    }
}

/// Asserts that the request is refused with this reason, and the code that the contract gives it.
async fn assert_refused(world: &World, what: &str, ask: Ask, reason: Reason) -> HeaderMap {
    let (headers, told) = ask.answer(world).await;
    assert_eq!(status::reason(&told), Some(reason), "{what}: {told:?}");
    assert_eq!(told.code(), status::code(reason), "{what}: {told:?}");
    assert_eq!(headers["x-request-id"].len(), 32, "{what}");
    headers
}

fn part(json: &Value) -> String {
    BASE64.encode(json.to_string())
}

/// A token of the world's own key with claims that its issuer would not write.
fn signed(world: &World, header: &Value, claims: &Value) -> String {
    let issuer = world.keys.issuer();
    let text = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_ed_pem(issuer.to_pem().as_bytes()).unwrap();
    let signature = jsonwebtoken::crypto::sign(text.as_bytes(), &key, Algorithm::EdDSA).unwrap();
    format!("{text}.{signature}")
}

#[tokio::test]
async fn tokens_that_let_nobody_in() {
    let mut world = World::start().await;
    let now = Clock::system().now();
    let seconds = |at: UnixMillis| at.get().div_euclid(1000);
    let hour = Duration::from_hours(1);
    let issuer = world.keys.issuer();
    let claims = |more: Value| {
        let mut claims =
            json!({ "aud": "assent", "sub": "x", "role": "APP", "exp": seconds(now.plus(hour)) });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    let header = json!({ "alg": "EdDSA", "kid": issuer.key_id() });
    let own = |more: Value| signed(&world, &header, &claims(more));
    let none = json!({ "alg": "none", "kid": issuer.key_id() });
    let hmac = {
        let set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
        let public = BASE64.decode(set["keys"][0]["x"].as_str().unwrap()).unwrap();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(issuer.key_id().to_owned());
        encode(&header, &claims(json!({})), &EncodingKey::from_secret(&public)).unwrap()
    };
    let stranger = Issuer::generate();
    let good = own(json!({}));
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    let ask = |token: &str| Ask::checking(&world).token(token);
    let (invalid, expired) = (Reason::TokenInvalid, Reason::TokenExpired);
    let cases = [
        ("expired", ask(&own(json!({ "exp": seconds(now) - 3600 }))), expired),
        ("not yet valid", ask(&own(json!({ "nbf": seconds(now) + 1800 }))), expired),
        ("for another audience", ask(&own(json!({ "aud": "elsewhere" }))), invalid),
        ("for no audience", ask(&own(json!({ "aud": [] }))), invalid),
        ("of no role", ask(&own(json!({ "role": "GOD" }))), invalid),
        ("alg none", ask(&format!("{}.{}.", part(&none), part(&claims(json!({}))))), invalid),
        ("without its signature", ask(&format!("{unsigned}.")), invalid),
        ("HS256 with the public key", ask(&hmac), invalid),
        ("of an unknown key", ask(&stranger.issue(&app(), now, hour)), invalid),
        (
            "of another key under a known id",
            ask(&stranger.with_key_id(issuer.key_id()).issue(&app(), now, hour)),
            invalid,
        ),
        ("of 9 KiB", ask(&"x".repeat(9 << 10)), invalid),
        ("of 9 KiB, signed", ask(&own(json!({ "more": "x".repeat(6 << 10) }))), invalid),
        ("no JWT", ask("secret"), invalid),
        ("an empty one", Ask::checking(&world).with("authorization", "Bearer "), invalid),
        ("an empty header", Ask::checking(&world).with("authorization", ""), invalid),
        ("another scheme", Ask::checking(&world).with("authorization", "Basic eDp5"), invalid),
    ];
    for (what, ask, reason) in cases {
        assert_refused(&world, what, ask, reason).await;
    }
    let mut two = Ask::checking(&world);
    two.headers.append("authorization", world.keys.bearer(&app()));
    assert_refused(&world, "two tokens", two, invalid).await;
    let mut nobody = Ask::checking(&world);
    nobody.headers.remove("authorization");
    assert_refused(&world, "no token", nobody, Reason::TokenMissing).await;
    assert!(world.events.try_recv().is_err(), "a service was called");
    // The one that the others are made from is let in.
    let (_, told) = Ask::checking(&world).token(&good).answer(&world).await;
    assert_eq!(told.code(), tonic::Code::Ok, "{told:?}");
}

#[tokio::test]
async fn methods_that_are_not_there() {
    let world = World::start().await;
    let service = Caller::named(Role::Service, "audience-svc");
    for path in [
        "/assent.consent.v1.ConsentService/NoSuchMethod",
        "/assent.consent.v1.ConsentService/check",
        "/assent.consent.v1.ConsentService/Check/",
        "/assent.consent.v1.ConsentService//Check",
        "/assent.consent.v1.ConsentService/Check%20",
        "/assent.consent.v1.consentservice/Check",
        "/assent.consent.v2.ConsentService/Check",
        "/ConsentService/Check",
        "/assent.audience.v1.DirectoryService/ExportSubjectData",
        "/assent.consent.v1.ConsentService/AcknowledgeErasure",
        "/../assent.consent.v1.ConsentService/Check",
        "/",
    ] {
        let ask = Ask::of(&world, path, &service);
        assert_refused(&world, path, ask, Reason::MethodUnknown).await;
    }
}

#[tokio::test]
async fn requests_that_are_not_grpc() {
    let mut world = World::start().await;
    for path in [CHECK, REGISTER] {
        for kind in
            ["", "text/html", "application/json", "application/grpc-web", "application/grpcx"]
        {
            let ask = Ask::of(&world, path, &app()).with("content-type", kind);
            assert_refused(&world, kind, ask, Reason::MessageMalformed).await;
        }
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS, Method::HEAD] {
            let mut ask = Ask::of(&world, path, &app());
            ask.method = method.clone();
            assert_refused(&world, method.as_str(), ask, Reason::MessageMalformed).await;
        }
        let mut untyped = Ask::of(&world, path, &app());
        untyped.headers.remove("content-type");
        assert_refused(&world, "no content type", untyped, Reason::MessageMalformed).await;
    }
    assert!(world.events.try_recv().is_err(), "a service was called");
}

#[tokio::test]
async fn compressed_messages() {
    let mut world = World::start().await;
    // 10 MiB of zeros in gzip would be 10 KiB: what comes is not even looked at.
    let bomb = [&[1, 0, 0, 0x28, 0][..], &[0x1F; 0x2800]].concat();
    for path in [CHECK, REGISTER] {
        for encoding in ["gzip", "deflate", "zstd", "br", "identity, gzip", ""] {
            let ask =
                Ask::of(&world, path, &app()).with("grpc-encoding", encoding).saying(&[&bomb]);
            let headers =
                assert_refused(&world, encoding, ask, Reason::CompressionUnsupported).await;
            assert_eq!(headers["grpc-accept-encoding"], "identity", "{encoding}");
        }
        for encoding in [None, Some("identity")] {
            let mut ask = Ask::of(&world, path, &app()).saying(&[&bomb]);
            if let Some(encoding) = encoding {
                ask = ask.with("grpc-encoding", encoding);
            }
            assert_refused(&world, "flagged", ask, Reason::MessageMalformed).await;
        }
    }
    assert!(world.events.try_recv().is_err(), "a service was called");
    let (_, told) = Ask::checking(&world).with("grpc-encoding", "identity").answer(&world).await;
    assert_eq!(told.code(), tonic::Code::Ok, "{told:?}");
}

#[tokio::test]
async fn frames_that_lie() {
    let world = World::start().await;
    let whole = message(&check("anna").encode_to_vec());
    let short = &whole[..whole.len() - 1];
    let (malformed, large) = (Reason::MessageMalformed, Reason::MessageTooLarge);
    let cases: [(&str, &[&[u8]], Reason); 13] = [
        ("no body", &[], malformed),
        ("an empty body", &[b""], malformed),
        ("half a prefix", &[&[0, 0, 0]], malformed),
        ("a prefix and no message", &[&[0, 0, 0, 0, 9]], malformed),
        ("a message cut in the middle", &[short], malformed),
        ("the same in pieces", &[&whole[..3], &whole[3..6], &short[6..]], malformed),
        ("more than one message", &[&whole, &whole], malformed),
        ("more bytes than it says", &[&whole, b"x"], malformed),
        ("flag 2", &[&[2, 0, 0, 0, 0]], malformed),
        ("trailers of gRPC-Web", &[&whole, &[0x80, 0, 0, 0, 0]], malformed),
        ("text", &[b"{\"subjectId\": \"anna\"}"], malformed),
        ("4 GiB", &[&[0, 0xFF, 0xFF, 0xFF, 0xFF]], large),
        ("a byte more than is accepted", &[&[0, 0, 0x40, 0, 1]], large),
    ];
    for path in [CHECK, REGISTER, HEALTH] {
        for (what, body, reason) in cases {
            let ask = Ask::of(&world, path, &app()).saying(body);
            assert_refused(&world, &format!("{path}: {what}"), ask, reason).await;
        }
        let ask = Ask::of(&world, path, &app()).saying(&[&message(&[0xFF; 9])]);
        assert_refused(&world, &format!("{path}: no message"), ask, malformed).await;
    }
    // Whoever needs no token may not make us hold much.
    let ask = Ask::of(&world, HEALTH, &app()).saying(&[&[0, 0, 0, 0x40, 1]]);
    assert_refused(&world, "health at length", ask, large).await;
    // Where any number of messages may come, the first ones may have been answered.
    for (what, bad, reason) in [
        ("flag 2", &[2, 0, 0, 0, 0][..], malformed),
        ("cut", &[0, 0, 0, 0, 9, 1], malformed),
        ("4 GiB", &[0, 0xFF, 0xFF, 0xFF, 0xFF], large),
    ] {
        let ask = Ask::of(&world, APPEND, &business()).saying(&[&message(&[]), &message(&[]), bad]);
        assert_refused(&world, what, ask, reason).await;
    }
    // The connections behind the gateway are as they were.
    let (_, told) = Ask::checking(&world).answer(&world).await;
    assert_eq!(told.code(), tonic::Code::Ok, "{told:?}");
}

/// What the service behind the gateway is told of a call with these headers.
async fn told(world: &mut World, forged: &[(&'static str, &str)]) -> (HeaderMap, HeaderMap) {
    let mut ask = Ask::checking(world);
    for (name, value) in forged {
        ask = ask.with(name, value);
    }
    let (answer, told) = ask.answer(world).await;
    assert_eq!(told.code(), tonic::Code::Ok, "{told:?}");
    let Event::Called(metadata) = world.noticed().await else { panic!("no call came") };
    (answer, metadata.into_headers())
}

#[tokio::test]
async fn headers_that_claim_what_is_not_theirs_to_say() {
    let mut world = World::start().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for flags in ["00", "01", "ff"] {
        let parent = format!("00-{trace}-00f067aa0ba902b7-{flags}");
        let forged = [
            ("x-request-id", "forged"),
            ("traceparent", parent.as_str()),
            ("tracestate", "forged=1"),
            ("baggage", "role=admin"),
            ("x-forwarded-client-cert", "URI=spiffe://assent/consent-svc"),
            ("x-assent-caller", "ADMIN"),
            ("x-assent-role", "ADMIN"),
            ("x-assent-business", "shop"),
            ("grpc-previous-rpc-attempts", "7"),
            ("host", "consent-svc"),
        ];
        let (answer, headers) = told(&mut world, &forged).await;
        for (name, _) in forged {
            let passed = ["x-request-id", "traceparent"].contains(&name);
            assert_eq!(headers.contains_key(name), passed, "{name}");
        }
        assert_eq!(headers["x-request-id"].len(), 32);
        assert_eq!(headers["x-request-id"], answer["x-request-id"]);
        // A trace of its own: a stranger's is not written into.
        let parent = headers["traceparent"].to_str().unwrap();
        assert!(!parent.contains(trace), "{parent}");
        assert_eq!(parent.split('-').nth(1), headers["x-request-id"].to_str().ok());
        assert!(parent.ends_with("-00"), "a caller does not decide what is recorded: {parent}");
    }
}
