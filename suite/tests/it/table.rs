//! Every method, called on its service directly and from the contract alone: no token,
//! a wrong role, and each REQUIRED field missing, get the error that the contract promises.

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value, prost::Message,
};
use proto::{
    contract::{Method, methods, pool},
    errors::v1::Reason,
    options::v1::{FieldRule, Format, Role},
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetail, StatusExt};

use crate::{
    bad_input::put_business,
    raw::{call_once, first_answer},
    support::{Suite, connect},
};

pub(crate) const ROLES: [Role; 6] =
    [Role::User, Role::Business, Role::App, Role::AdServer, Role::Admin, Role::Service];

#[tokio::test(flavor = "multi_thread")]
async fn every_method_keeps_its_promises_about_errors() {
    let data = tempfile::tempdir().unwrap();
    let suite = Suite::start(data.path());
    put_business(&suite).await;
    let mut cleared_fields = 0;
    for method in methods() {
        let channel = connect(suite.service(owner(method))).await;
        let path = method.path.as_str();
        let sample = sample(&request_type(method));
        let ask = |role: Option<Role>, message: &DynamicMessage| {
            let token = role.map(|role| suite.token(role_name(role)).to_owned());
            let (channel, message) = (channel.clone(), message.encode_to_vec());
            async move {
                if method.server_streaming && !method.client_streaming {
                    first_answer(&channel, path, token.as_deref(), message).await
                } else {
                    call_once(&channel, path, token.as_deref(), message).await
                }
            }
        };
        let role = ROLES.into_iter().find(|role| method.roles.contains(*role));
        if let Err(error) = ask(role, &sample).await {
            assert_one_error_info(path, &error);
            assert_ne!(error.code(), Code::Unimplemented, "{path}");
        }
        let error = ask(None, &sample).await.unwrap_err();
        assert_error(path, &error, Code::Unauthenticated, Reason::TokenMissing);
        for role in ROLES.into_iter().filter(|role| !method.roles.contains(*role)) {
            let error = ask(Some(role), &sample).await.unwrap_err();
            assert_error(path, &error, Code::PermissionDenied, Reason::RoleNotAllowed);
        }
        for field in required_fields(&sample) {
            let mut incomplete = sample.clone();
            incomplete.clear_field(&field);
            let error = ask(role, &incomplete).await.unwrap_err();
            let reason = Reason::FieldsInvalid;
            assert_error(
                &format!("{path} without {}", field.name()),
                &error,
                Code::InvalidArgument,
                reason,
            );
            let named = error.get_details_bad_request().unwrap().field_violations;
            let named: Vec<_> = named.iter().map(|violation| violation.field.as_str()).collect();
            assert!(named.contains(&field.name()), "{path} without {}: {named:?}", field.name());
            cleared_fields += 1;
        }
    }
    assert!(cleared_fields > 40, "only {cleared_fields} fields were tried");
}

/// Which service of the suite owns a method.
pub(crate) fn owner(method: &Method) -> &'static str {
    match method.package() {
        "assent.consent.v1" => "consent-svc",
        "assent.audience.v1" => "audience-svc",
        "assent.suggest.v1" => "suggest-svc",
        "assent.gateway.v1" => "gateway",
        other => panic!("{other}: a package without a service"),
    }
}

fn role_name(role: Role) -> &'static str {
    role.as_str_name().strip_prefix("ROLE_").unwrap()
}

pub(crate) fn request_type(method: &Method) -> MessageDescriptor {
    let service = pool().get_service_by_name(&method.service).unwrap();
    service.methods().find(|rpc| rpc.name() == method.name).unwrap().input()
}

pub(crate) fn response_type(method: &Method) -> MessageDescriptor {
    let service = pool().get_service_by_name(&method.service).unwrap();
    service.methods().find(|rpc| rpc.name() == method.name).unwrap().output()
}

pub(crate) fn rule(field: &FieldDescriptor) -> FieldRule {
    let extension = pool().get_extension_by_name("assent.options.v1.field").unwrap();
    field.options().get_extension(&extension).as_message().unwrap().transcode_to().unwrap()
}

fn is_required(field: &FieldDescriptor) -> bool {
    let extension = pool().get_extension_by_name("google.api.field_behavior").unwrap();
    let behavior = field.options().get_extension(&extension).into_owned();
    behavior.as_list().unwrap().iter().any(|value| value.as_enum_number() == Some(2))
}

fn required_fields(message: &DynamicMessage) -> Vec<FieldDescriptor> {
    message.descriptor().fields().filter(is_required).collect()
}

/// A message that breaks no rule: every REQUIRED field is there, with a value of its format.
pub(crate) fn sample(of: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(of.clone());
    for field in of.fields().filter(is_required) {
        let value = sample_value(&field);
        message.set_field(&field, if field.is_list() { Value::List(vec![value]) } else { value });
    }
    message
}

fn sample_value(field: &FieldDescriptor) -> Value {
    let rule = rule(field);
    match field.kind() {
        Kind::String => Value::String(
            match rule.format() {
                Format::SubjectId => "example-person",
                Format::PurposeId => "social.ads",
                Format::Jurisdiction | Format::Region => "DE",
                Format::Locale => "en",
                Format::Day => "2026-01-31",
                _ => "sample",
            }
            .to_owned(),
        ),
        Kind::Bytes => Value::Bytes(vec![7; rule.min_length.max(1) as usize].into()),
        Kind::Bool => Value::Bool(true),
        Kind::Uint32 => Value::U32(1),
        Kind::Enum(_) => Value::EnumNumber(1),
        Kind::Message(inner) if inner.full_name().starts_with("google.protobuf.") => {
            let mut time = DynamicMessage::new(inner);
            time.set_field_by_name("seconds", Value::I64(86_400 * 30));
            Value::Message(time)
        }
        Kind::Message(inner) => Value::Message(sample(&inner)),
        other => panic!("{}: no sample for {other:?}", field.full_name()),
    }
}

#[track_caller]
fn assert_error(what: &str, error: &Status, code: Code, reason: Reason) {
    assert_eq!(error.code(), code, "{what}: {error:?}");
    assert_eq!(assert_one_error_info(what, error), reason, "{what}: {error:?}");
}

/// Every error carries exactly one `ErrorInfo`, of ours, with a reason of the contract.
#[track_caller]
fn assert_one_error_info(what: &str, error: &Status) -> Reason {
    let details = error.get_error_details_vec();
    let infos: Vec<_> = details
        .iter()
        .filter_map(|detail| match detail {
            ErrorDetail::ErrorInfo(info) => Some(info),
            _ => None,
        })
        .collect();
    assert_eq!(infos.len(), 1, "{what}: {error:?}");
    assert_eq!(infos[0].domain, "assent", "{what}");
    Reason::from_str_name(&infos[0].reason).unwrap_or_else(|| panic!("{what}: {}", infos[0].reason))
}
