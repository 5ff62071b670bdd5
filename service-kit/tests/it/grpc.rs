//! What handlers get from the kit.

use proto::{
    consent::v1::{CheckRequest, ListEventsRequest, ListPoliciesRequest, WithdrawRequest},
    errors::v1::Reason,
    options::v1::Role,
    suggest::v1::ReportSpamRequest,
};
use service_kit::{
    auth::Caller,
    grpc::{PageTokens, open, open_message, request_digest},
};
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::rehearsal::reason;

fn events_of(subject: &str) -> ListEventsRequest {
    ListEventsRequest { subject_id: subject.to_owned(), ..ListEventsRequest::default() }
}

fn request<T>(caller: &Caller, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller.clone());
    request
}

#[test]
fn an_end_user_reaches_its_own_data_and_no_other() {
    let user = Caller::user("u-1");
    let (caller, message, bad) = open(request(&user, events_of("u-1"))).unwrap();
    assert_eq!((caller, message.subject_id.as_str()), (user.clone(), "u-1"));
    assert!(bad.is_empty());
    for other in ["u-2", "U-1", "u-1 ", "u-1\0"] {
        let refused = open(request(&user, events_of(other))).unwrap_err();
        assert_eq!(reason(&refused), Reason::NotOwnData, "{other:?}");
        let refused = open_message(&user, events_of(other)).unwrap_err();
        assert_eq!(reason(&refused), Reason::NotOwnData, "{other:?}");
    }
    // Nobody's data: a field that is missing, which is said as such.
    let (_, _, bad) = open(request(&user, events_of(""))).unwrap();
    assert_eq!(reason(&bad.finish().unwrap_err()), Reason::FieldsInvalid);
}

#[test]
fn a_user_that_stands_for_nobody_reaches_nothing() {
    let nobody = Caller::named(Role::User, "nobody");
    let refused = open(request(&nobody, events_of("nobody"))).unwrap_err();
    assert_eq!(reason(&refused), Reason::NotOwnData);
}

#[test]
fn other_roles_name_any_subject() {
    for role in [Role::App, Role::Admin, Role::Service, Role::AdServer] {
        open(request(&Caller::named(role, "x"), events_of("u-2"))).unwrap();
    }
}

#[test]
fn a_request_that_passed_no_authentication_is_refused() {
    let refused = open(Request::new(events_of("u-1"))).unwrap_err();
    assert_eq!(reason(&refused), Reason::TokenMissing);
}

#[test]
fn every_bad_field_is_named_together_with_the_handlers_findings() {
    let app = Caller::named(Role::App, "x");
    let (_, _, mut bad) = open(request(&app, WithdrawRequest::default())).unwrap();
    bad.add("purpose_ids", "found by the handler");
    let details = bad.finish().unwrap_err().get_details_bad_request().unwrap();
    let fields: Vec<_> = details.field_violations.iter().map(|bad| bad.field.as_str()).collect();
    for field in ["subject_id", "request_id", "purpose_ids"] {
        assert!(fields.contains(&field), "{fields:?}");
    }
}

#[test]
fn the_digest_knows_what_a_request_asks_for_and_nothing_else() {
    let report = |request_id: &str, reported: &str| {
        let (request_id, reported_subject_id) = (request_id.to_owned(), reported.to_owned());
        request_digest(&ReportSpamRequest { request_id, reported_subject_id })
    };
    assert_eq!(report("r-1", "u-1"), report("r-2", "u-1"));
    assert_ne!(report("r-1", "u-1"), report("r-1", "u-2"));

    let page = |subject: &str, page_size: u32, token: &str| {
        request_digest(&ListEventsRequest {
            page_size,
            page_token: token.into(),
            ..events_of(subject)
        })
    };
    assert_eq!(page("u-1", 0, ""), page("u-1", 50, "token"));
    assert_ne!(page("u-1", 0, ""), page("u-2", 0, ""));
    // The same bytes, asked of different methods.
    assert_ne!(
        request_digest(&CheckRequest::default()),
        request_digest(&ListPoliciesRequest::default())
    );
}

#[test]
fn a_page_token_continues_the_list_that_gave_it() {
    let (tokens, replica) = (PageTokens::new(b"secret"), PageTokens::new(b"secret"));
    let arguments = request_digest(&events_of("u-1"));
    for cursor in [&b""[..], b"\0\xff", &[7; 300]] {
        let token = tokens.seal("ListEvents", &arguments, cursor);
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        let opened = replica.open("ListEvents", &arguments, &token).unwrap();
        assert_eq!(opened.as_deref(), Some(cursor));
    }
    assert_eq!(tokens.open("ListEvents", &arguments, "").unwrap(), None);
}

#[test]
fn a_page_token_is_good_for_nothing_else() {
    let tokens = PageTokens::new(b"secret");
    let arguments = request_digest(&events_of("u-1"));
    let token = tokens.seal("ListEvents", &arguments, b"cursor");
    let refused = |tokens: &PageTokens, method: &str, arguments: &[u8; 32], token: &str| {
        let status = tokens.open(method, arguments, token).unwrap_err();
        assert_eq!(reason(&status), Reason::PageTokenInvalid);
        assert_eq!(status.code(), Code::InvalidArgument);
        let field = &status.get_details_bad_request().unwrap().field_violations[0].field;
        assert_eq!(field, "page_token");
    };
    refused(&tokens, "ListPolicies", &arguments, &token);
    refused(&tokens, "ListEvents", &request_digest(&events_of("u-2")), &token);
    refused(&PageTokens::new(b"other"), "ListEvents", &arguments, &token);
    // Every single character counts, and so do those that are missing or too many.
    for index in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        refused(&tokens, "ListEvents", &arguments, std::str::from_utf8(&changed).unwrap());
        refused(&tokens, "ListEvents", &arguments, &token[index + 1..].to_owned().replace("", "x"));
    }
    let (half, padded) = (token[..20].to_owned(), format!("{token}="));
    for broken in ["x", "!", "💥", &half, &padded] {
        refused(&tokens, "ListEvents", &arguments, broken);
    }
    // A method's name does not run into what follows it.
    let long = tokens.seal("ListEventsX", &arguments, b"");
    refused(&tokens, "ListEvents", &arguments, &long);
}
