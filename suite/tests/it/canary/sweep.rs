//! Every field of every method, by reflection: a canary where it does not belong.

use std::time::Duration;

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value,
    prost::{Message, bytes::Bytes},
};
use proto::{
    contract::{Method, methods},
    options::v1::{Exposure, Format, Role},
};
use service_kit::{
    auth::{Caller, Issuer},
    clock::Clock,
};
use tonic::Code;

use super::{
    calls::Client,
    needles::{KNOWN, sent},
};
use crate::table::{ROLES, request_type, rule, sample};

/// Texts that are kept as they are written, and ids by which a caller names something: what a
/// contract can do against identifiers in these is to say that they do not belong there. The
/// controls are in one of them.
const KEPT: [&str; 20] = [
    "CreateAudienceRequest.description",
    "CreateAudienceRequest.display_name",
    "CreatePolicyRequest.policy_id",
    "Evidence.client",
    "Evidence.method",
    "Notice.text",
    "PolicySpec.title",
    "Purpose.data_categories",
    "Purpose.receiving_app",
    "Purpose.recipients",
    "PurposeText.text",
    "PurposeText.title",
    "PutBusinessRequest.business_id",
    "PutBusinessRequest.display_name",
    "PutBusinessRequest.owner_id",
    "PutSubjectRequest.apps",
    "RegisterAccountRequest.apps",
    "UpdateAudienceRequest.description",
    "UpdateAudienceRequest.display_name",
    "AcknowledgeErasureRequest.follower",
];

/// How deep messages are looked into: expressions have no end.
const DEPTH: usize = 4;

/// More than any message may have.
const MAX_MESSAGE: usize = 8 << 20;

/// Calls every method with a canary in each of its fields, one at a time, and with tokens that
/// carry one. `direct` calls the services themselves, for methods that the gateway does not have.
/// Answers how many calls were made.
pub(super) async fn sweep(edge: &Client, direct: impl AsyncFn(&Method) -> Client) -> usize {
    let mut calls = 0;
    for method in methods() {
        let inner = match method.exposure {
            Exposure::Internal => Some(direct(method).await),
            _ => None,
        };
        let client = inner.as_ref().unwrap_or(edge);
        let role = ROLES.into_iter().find(|role| method.roles.contains(*role)).unwrap();
        // Of the story, so that its calls get far; nobody's else.
        let who = match role {
            Role::Business => Caller::business("canary-shop", "canary-ltd"),
            role => caller(role, "example-person"),
        };
        let token = client.token(&who);
        let input = request_type(method);
        for path in fields(&input, DEPTH) {
            let field = path.last().unwrap();
            for value in values(field) {
                let mut request = sample(&input);
                if let Some(id) = input.get_field_by_name("request_id") {
                    request.set_field(&id, Value::String(client.request_id()));
                }
                put(&mut request, &path, value);
                let messages = vec![request.encode_to_vec()];
                let answer = client.send(&method.path, Some(&token), messages).await;
                if let Err(status) = answer {
                    let unexpected = [Code::Internal, Code::Unavailable, Code::Unknown];
                    let at = format!("{} with {}", method.path, field.full_name());
                    assert!(!unexpected.contains(&status.code()), "{at}: {status:?}");
                }
                calls += 1;
            }
        }
        let request = sample(&input).encode_to_vec();
        for token in odd_tokens(client, role) {
            let messages = vec![request.clone()];
            // Refused or not: what counts is that it is found nowhere.
            let _ = client.send(&method.path, Some(&token), messages).await;
            calls += 1;
        }
        calls += torn(client, method, &token).await;
        if let Some(inner) = inner {
            edge.heard.borrow_mut().extend(inner.heard.take());
        }
    }
    let token = edge.token(&Caller::business("canary-shop", "canary-ltd"));
    let too_large = KNOWN[0].spellings[0].repeat(MAX_MESSAGE / 16);
    let path = "/assent.audience.v1.AudienceService/AppendUpload";
    let error = edge.send(path, Some(&token), vec![too_large.into()]).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error:?}");
    for path in ["/assent.consent.v1.ConsentService/canary.vogel@gmail.com", "/+4915123456789/x"] {
        let error = edge.send(path, None, vec![Vec::new()]).await.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented, "{error:?}");
        calls += 1;
    }
    calls
}

/// Messages that cannot be read, with canaries before and after the place where they break.
async fn torn(client: &Client, method: &Method, token: &str) -> usize {
    let canaries: Vec<u8> =
        sent().flat_map(|canary| canary.spellings.concat().into_bytes()).collect();
    // Field 1, as text that says that it is longer; and as text that is not UTF-8.
    let too_short = [&[0x0a, 0xff, 0x7f], canaries.as_slice()].concat();
    let mut not_text = vec![0x0a, 40, 0xff];
    not_text.extend(&canaries[..39]);
    for message in [too_short, not_text] {
        let _ = client.send(&method.path, Some(token), vec![message]).await;
    }
    2
}

fn caller(role: Role, name: &str) -> Caller {
    match role {
        Role::User => Caller::user(name),
        Role::Business => Caller::business(name, name),
        role => Caller::named(role, name),
    }
}

/// Tokens of nobody: what should be a token, one that names a canary, and one of an unknown key.
fn odd_tokens(client: &Client, role: Role) -> Vec<String> {
    let mut tokens = vec!["canary.vogel+tag@gmail.com".to_owned()];
    for name in ["+4915123456789", "Canary.Vogel+tag@GMail.com", "12015550163"] {
        tokens.push(client.token(&caller(role, name)));
        let unknown = Issuer::generate().with_key_id(name);
        let now = Clock::system().now();
        let lifetime = Duration::from_mins(1);
        tokens.push(unknown.issue(&caller(role, name), now, lifetime));
    }
    tokens
}

/// The ways to every text and every sequence of bytes in a message.
fn fields(of: &MessageDescriptor, depth: usize) -> Vec<Vec<FieldDescriptor>> {
    let mut paths = Vec::new();
    for field in of.fields() {
        match field.kind() {
            Kind::String | Kind::Bytes => paths.push(vec![field]),
            Kind::Message(inner) if depth > 0 && inner.full_name().starts_with("assent.") => {
                let below = fields(&inner, depth - 1).into_iter();
                paths.extend(below.map(|path| [vec![field.clone()], path].concat()));
            }
            _ => {}
        }
    }
    paths
}

/// Puts a value at the end of a way, into messages that break no rule otherwise.
fn put(message: &mut DynamicMessage, path: &[FieldDescriptor], value: Value) {
    let (field, rest) = path.split_first().unwrap();
    let value = match (field.kind(), rest) {
        (_, []) => value,
        (Kind::Message(inner), rest) => {
            let mut inner = sample(&inner);
            put(&mut inner, rest, value);
            Value::Message(inner)
        }
        (other, _) => panic!("{other:?} has no fields"),
    };
    message.set_field(field, if field.is_list() { Value::List(vec![value]) } else { value });
}

/// What is put into a field: of everything that can be put there, what must not be kept.
fn values(field: &FieldDescriptor) -> Vec<Value> {
    let name = field.full_name().rsplit('.').take(2).collect::<Vec<_>>();
    let kept = KEPT.contains(&format!("{}.{}", name[1], name[0]).as_str());
    let rule = rule(field);
    // One of a phone number and one of an address: the story has them all.
    let digests = || [0, 2].into_iter().filter_map(|canary| KNOWN[canary].digests().pop());
    if field.kind() == Kind::Bytes {
        return digests().map(|digest| Value::Bytes(Bytes::copy_from_slice(&digest))).collect();
    }
    let mut texts: Vec<String> = Vec::new();
    // Each format but that of free text refuses these.
    if !kept || rule.format() != Format::Unspecified {
        texts.extend(["+4915123456789", "Canary.Vogel+tag@GMail.com"].map(str::to_owned));
    }
    // No format refuses digits or hexadecimal digits as the id of something that there is not.
    let names_itself = [Format::SubjectId, Format::RequestId].contains(&rule.format());
    if !kept && !names_itself {
        texts.extend(KNOWN.iter().map(|canary| canary.spellings[0].to_owned()));
        texts.push("4915123456789".to_owned());
        texts.extend(digests().map(hex::encode));
    }
    if rule.format() == Format::SubjectId {
        // Looks like a phone number, and is refused.
        texts.push("4915123456789".to_owned());
    }
    texts.into_iter().map(Value::String).collect()
}
