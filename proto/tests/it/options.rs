use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor, MethodDescriptor};
use proto::{
    PUBLIC_DESCRIPTOR_SET,
    contract::{method, methods, pool},
    options::v1::{Exposure, FieldRule, Format, Idempotency, QuotaClass},
};

fn rpcs() -> Vec<MethodDescriptor> {
    pool().services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

fn field_rule(field: &prost_reflect::FieldDescriptor) -> FieldRule {
    let extension = pool().get_extension_by_name("assent.options.v1.field").unwrap();
    field.options().get_extension(&extension).as_message().unwrap().transcode_to().unwrap()
}

#[test]
fn every_method_says_who_may_call_it_and_how() {
    assert!(methods().count() >= 60, "the contract has shrunk");
    for method in methods() {
        let path = &method.path;
        assert_ne!(method.exposure, Exposure::Unspecified, "{path}: exposure");
        assert!(!method.roles.is_empty(), "{path}: roles");
        assert_ne!(method.idempotency, Idempotency::Unspecified, "{path}: idempotency");
        assert!(!method.default_deadline.is_zero(), "{path}: default_deadline");
        assert_ne!(method.quota_class, QuotaClass::Unspecified, "{path}: quota_class");
    }
}

#[test]
fn every_method_has_a_request_and_a_response_of_its_own() {
    let mut seen = BTreeSet::new();
    for rpc in rpcs() {
        for (message, suffix) in [(rpc.input(), "Request"), (rpc.output(), "Response")] {
            assert_eq!(message.name(), format!("{}{suffix}", rpc.name()));
            assert!(seen.insert(message.full_name().to_owned()), "{} twice", message.full_name());
        }
    }
}

#[test]
fn writes_carry_a_request_id_and_reads_do_not() {
    for rpc in rpcs() {
        let path = format!("/{}/{}", rpc.parent_service().full_name(), rpc.name());
        let is_write = method(&path).unwrap().idempotency == Idempotency::RequestId;
        let request_id = rpc.input().get_field_by_name("request_id");
        assert_eq!(request_id.is_some(), is_write, "{path}");
        if let Some(field) = request_id {
            assert_eq!(field.kind(), Kind::String, "{path}");
            assert_eq!(field_rule(&field).format(), Format::RequestId, "{path}");
        }
    }
}

/// The path to a contact identifier within `message`, if there is one at any depth.
fn contact_identifier(message: &MessageDescriptor, seen: &mut BTreeSet<String>) -> Option<String> {
    if !seen.insert(message.full_name().to_owned()) {
        return None;
    }
    message.fields().find_map(|field| {
        let name = format!("{}.{}", message.name(), field.name());
        if field_rule(&field).contact_identifier {
            return Some(name);
        }
        match field.kind() {
            Kind::Message(inner) => {
                contact_identifier(&inner, seen).map(|rest| format!("{name} -> {rest}"))
            }
            _ => None,
        }
    })
}

#[test]
fn no_response_can_carry_a_contact_identifier() {
    for rpc in rpcs() {
        let found = contact_identifier(&rpc.output(), &mut BTreeSet::new());
        assert_eq!(found, None, "{}", rpc.full_name());
    }
}

#[test]
fn the_search_for_contact_identifiers_finds_those_that_requests_carry() {
    let carriers: BTreeSet<String> = rpcs()
        .iter()
        .filter(|rpc| contact_identifier(&rpc.input(), &mut BTreeSet::new()).is_some())
        .map(|rpc| rpc.full_name().to_owned())
        .collect();
    let expected = [
        "assent.audience.v1.AudienceService.AppendUpload",
        "assent.audience.v1.DirectoryService.PutIdentifiers",
        "assent.gateway.v1.AccountService.RegisterAccount",
        "assent.suggest.v1.ContactService.SyncContacts",
        "assent.suggest.v1.GraphService.PutIdentifiers",
    ];
    assert_eq!(carriers, expected.map(str::to_owned).into());
}

#[test]
fn the_public_descriptors_are_all_but_the_internal_methods() {
    let public = DescriptorPool::decode(PUBLIC_DESCRIPTOR_SET).unwrap();
    let mut internal = 0;
    for rpc in rpcs() {
        let path = format!("/{}/{}", rpc.parent_service().full_name(), rpc.name());
        let service = public.get_service_by_name(rpc.parent_service().full_name()).unwrap();
        let visible = service.methods().any(|method| method.name() == rpc.name());
        let is_public = method(&path).unwrap().exposure == Exposure::Public;
        internal += usize::from(!is_public);
        assert_eq!(visible, is_public, "{path}");
    }
    assert_eq!(internal, 3, "AcknowledgeErasure and two ExportSubjectData");
}

#[test]
fn the_content_of_messages_has_no_place_in_the_contract() {
    for message in pool().all_messages().filter(|m| m.full_name().starts_with("assent.")) {
        for field in message.fields() {
            let banned = ["body", "content", "message", "message_text", "attachment"];
            assert!(!banned.contains(&field.name()), "{}", field.full_name());
        }
    }
}
