//! Who gets in, and what of the caller's word is believed.

use std::collections::HashSet;

use futures::{StreamExt as _, stream};
use http::{HeaderMap, Request as HttpRequest};
use http_body_util::BodyExt as _;
use prost::Message as _;
use proto::{
    audience::v1::{ExportSubjectDataRequest, directory_service_client::DirectoryServiceClient},
    consent::v1::consent_service_client::ConsentServiceClient,
    errors::v1::Reason,
    options::v1::{Exposure, Role},
};
use service_kit::auth::Caller;
use tonic::{Code, Request, body::Body};
use tonic_reflection::pb::{v1, v1alpha};
use tower::ServiceExt as _;

use crate::{
    passing_through::check,
    services::Event,
    world::{World, app, assert_error, business},
};

#[tokio::test]
async fn without_a_token_nothing_is_forwarded() {
    let mut world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let error = client.check(Request::new(check("anna"))).await.unwrap_err();
    assert_error(&error, Code::Unauthenticated, Reason::TokenMissing);
    assert!(world.events.try_recv().is_err(), "the service was called");
}

#[tokio::test]
async fn a_role_that_the_contract_does_not_name_is_refused_here() {
    let mut world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let error = client.check(world.by(&business(), check("anna"))).await.unwrap_err();
    assert_error(&error, Code::PermissionDenied, Reason::RoleNotAllowed);
    assert!(world.events.try_recv().is_err(), "the service was called");
}

/// Every header of the answer to an empty call of this path, but those that differ by call.
async fn answer(world: &World, path: &str, caller: &Caller) -> HeaderMap {
    let request = HttpRequest::post(path)
        .header("content-type", "application/grpc")
        .header("authorization", world.keys.bearer(caller))
        .body(Body::new(http_body_util::Full::new(bytes::Bytes::from_static(&[0; 5]))))
        .unwrap();
    let answer = world.channel.clone().oneshot(request).await.unwrap();
    let (mut parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap();
    assert!(body.trailers().is_none());
    assert!(body.to_bytes().is_empty());
    parts.headers.remove("x-request-id").unwrap();
    parts.headers
}

#[tokio::test]
async fn internal_methods_cannot_be_told_from_ones_that_do_not_exist() {
    let world = World::start().await;
    let service = Caller::named(Role::Service, "audience-svc");
    let unknown = answer(&world, "/assent.consent.v1.ConsentService/NoSuchMethod", &service).await;
    let internal: Vec<_> = proto::contract::methods()
        .filter(|method| method.exposure == Exposure::Internal)
        .map(|method| method.path.as_str())
        .collect();
    assert!(internal.len() >= 3, "{internal:?}");
    for path in internal.into_iter().chain(["/", "/no.such.Service/Method", "/x/y/z"]) {
        assert_eq!(answer(&world, path, &service).await, unknown, "{path}");
    }
    let mut client = DirectoryServiceClient::new(world.channel.clone());
    let request = world.by(&service, ExportSubjectDataRequest { subject_id: "anna".to_owned() });
    let error = client.export_subject_data(request).await.unwrap_err();
    assert_error(&error, Code::Unimplemented, Reason::MethodUnknown);
}

#[tokio::test]
async fn identities_that_a_caller_makes_up_do_not_get_through() {
    let mut world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let mut request = world.by(&app(), check("anna"));
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let forged = [
        ("x-request-id", "forged"),
        ("traceparent", trace),
        ("tracestate", "forged=1"),
        ("baggage", "role=admin"),
        ("x-forwarded-client-cert", "URI=spiffe://assent/consent-svc"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-assent-role", "ADMIN"),
        ("cookie", "session=1"),
        ("x-anything-else", "1"),
    ];
    for (name, value) in forged {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    let answer = client.check(request).await.unwrap();
    let Event::Called(metadata) = world.noticed().await else { panic!("no call came") };
    let headers = metadata.into_headers();
    let names: HashSet<_> = headers.keys().map(http::HeaderName::as_str).collect();
    let known = [
        "authorization",
        "content-type",
        "grpc-timeout",
        "te",
        "traceparent",
        "user-agent",
        "x-request-id",
    ];
    assert_eq!(names, HashSet::from(known));
    assert_ne!(headers["x-request-id"], "forged");
    assert_eq!(headers["x-request-id"], answer.metadata().as_ref()["x-request-id"]);
    let flags = headers["traceparent"].to_str().unwrap().rsplit('-').next().unwrap();
    assert_eq!(flags, "00", "a caller does not decide what is recorded");
    assert_eq!(headers["authorization"].to_str().unwrap().split(' ').next(), Some("Bearer"));
}

#[tokio::test]
async fn two_tokens_are_none() {
    let world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let mut request = world.by(&app(), check("anna"));
    let second = world.keys.bearer(&business()).to_str().unwrap().parse().unwrap();
    request.metadata_mut().append("authorization", second);
    let error = client.check(request).await.unwrap_err();
    assert_error(&error, Code::Unauthenticated, Reason::TokenInvalid);
}

/// The names of the services listed, and the method names of one of them, by reflection v1.
async fn reflected(world: &World, service: &str) -> (Vec<String>, Vec<String>) {
    use v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let ask =
        |message| ServerReflectionRequest { message_request: Some(message), ..Default::default() };
    let requests = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(service.to_owned())),
    ];
    let mut client = ServerReflectionClient::new(world.channel.clone());
    let answers = client.server_reflection_info(stream::iter(requests)).await.unwrap();
    let answers: Vec<_> = answers.into_inner().map(|answer| answer.unwrap()).collect().await;
    let [list, file] = answers.try_into().unwrap();
    let MessageResponse::ListServicesResponse(list) = list.message_response.unwrap() else {
        panic!("no list");
    };
    let MessageResponse::FileDescriptorResponse(files) = file.message_response.unwrap() else {
        panic!("no file");
    };
    let name = service.rsplit('.').next().unwrap();
    let methods = files
        .file_descriptor_proto
        .iter()
        .map(|file| prost_types::FileDescriptorProto::decode(file.as_slice()).unwrap())
        .flat_map(|file| file.service)
        .filter(|service| service.name() == name)
        .flat_map(|service| service.method)
        .map(|method| method.name().to_owned());
    (list.service.into_iter().map(|service| service.name).collect(), methods.collect())
}

#[tokio::test]
async fn reflection_shows_the_public_contract_and_no_more() {
    let world = World::start().await;
    for service in proto::contract::methods().map(|method| method.service.as_str()) {
        let (services, mut methods) = reflected(&world, service).await;
        assert!(services.iter().any(|listed| listed == service), "{services:?}");
        methods.sort();
        let mut public: Vec<_> = proto::contract::methods()
            .filter(|method| method.service == service && method.exposure == Exposure::Public)
            .map(|method| method.name.clone())
            .collect();
        public.sort();
        assert_eq!(methods, public, "{service}");
    }
}

#[tokio::test]
async fn older_tools_find_reflection_too() {
    use v1alpha::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let world = World::start().await;
    let mut client = ServerReflectionClient::new(world.channel.clone());
    let list = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let answers = client.server_reflection_info(stream::iter([list])).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap();
    assert!(matches!(
        answer.message_response,
        Some(MessageResponse::ListServicesResponse(list)) if list.service.len() > 10
    ));
}
