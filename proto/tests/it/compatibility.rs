//! The golden descriptor set is the contract as last accepted. A change to the contract is accepted
//! with `make contract-accept`; until 1.0 that may be an incompatible one, told in CHANGELOG.md.

use std::{collections::BTreeMap, fs, path::PathBuf};

use prost::Message;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
};
use proto::DESCRIPTOR_SET;

fn golden_file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/contract.binpb")
}

/// What clients rely on: the name of each thing → what must stay as it is.
fn promises(set: &FileDescriptorSet) -> BTreeMap<String, String> {
    let mut promises = BTreeMap::new();
    for file in &set.file {
        let package = file.package();
        file.message_type.iter().for_each(|m| of_message(package, m, &mut promises));
        file.enum_type.iter().for_each(|e| of_enum(package, e, &mut promises));
        file.service.iter().for_each(|s| of_service(package, s, &mut promises));
    }
    promises
}

fn of_message(parent: &str, message: &DescriptorProto, promises: &mut BTreeMap<String, String>) {
    let name = format!("{parent}.{}", message.name());
    promises.insert(name.clone(), "message".to_owned());
    for field in &message.field {
        let oneof = field
            .oneof_index
            .map(|index| message.oneof_decl[index.cast_unsigned() as usize].name());
        promises.insert(
            format!("{name}.{}", field.name()),
            format!(
                "field {} {:?} {:?} {} in {oneof:?}",
                field.number(),
                field.label(),
                field.r#type(),
                field.type_name()
            ),
        );
    }
    message.nested_type.iter().for_each(|inner| of_message(&name, inner, promises));
    message.enum_type.iter().for_each(|inner| of_enum(&name, inner, promises));
}

fn of_enum(parent: &str, kind: &EnumDescriptorProto, promises: &mut BTreeMap<String, String>) {
    let name = format!("{parent}.{}", kind.name());
    promises.insert(name.clone(), "enum".to_owned());
    for value in &kind.value {
        promises.insert(format!("{name}.{}", value.name()), format!("value {}", value.number()));
    }
}

fn of_service(
    parent: &str,
    service: &ServiceDescriptorProto,
    promises: &mut BTreeMap<String, String>,
) {
    let name = format!("{parent}.{}", service.name());
    promises.insert(name.clone(), "service".to_owned());
    for method in &service.method {
        promises.insert(
            format!("{name}.{}", method.name()),
            format!(
                "method {} ({}) returns {} ({})",
                method.input_type(),
                method.client_streaming(),
                method.output_type(),
                method.server_streaming()
            ),
        );
    }
}

/// What `current` no longer keeps of what `golden` promised.
fn broken(golden: &FileDescriptorSet, current: &FileDescriptorSet) -> Vec<String> {
    let now = promises(current);
    let kept = |name: &str, was: &str| now.get(name).is_some_and(|is| is == was);
    let missing = promises(golden).into_iter().filter(|(name, was)| !kept(name, was));
    missing
        .map(|(name, was)| match now.get(&name) {
            None => format!("{name} is gone (was: {was})"),
            Some(is) => format!("{name} was {was}, is {is}"),
        })
        .collect()
}

fn current() -> FileDescriptorSet {
    FileDescriptorSet::decode(DESCRIPTOR_SET).unwrap()
}

#[test]
fn nothing_was_removed_renumbered_renamed_or_retyped() {
    if std::env::var_os("ASSENT_ACCEPT_CONTRACT").is_some() {
        fs::write(golden_file(), DESCRIPTOR_SET).unwrap();
    }
    let golden = FileDescriptorSet::decode(fs::read(golden_file()).unwrap().as_slice()).unwrap();
    let broken = broken(&golden, &current());
    assert!(broken.is_empty(), "incompatible with the golden contract:\n{}", broken.join("\n"));
    let accepted = promises(&golden) == promises(&current());
    assert!(accepted, "the contract has grown: accept it with `make contract-accept`");
}

#[test]
fn the_check_notices_every_kind_of_incompatible_change() {
    type Change = fn(&mut FileDescriptorSet);
    let changes: [(&str, Change); 10] = [
        ("field removed", |set| drop(message(set).field.remove(0))),
        ("field renumbered", |set| message(set).field[0].number = Some(99)),
        ("field renamed", |set| message(set).field[0].name = Some("other".to_owned())),
        ("field retyped", |set| message(set).field[0].r#type = Some(3)),
        ("field repeated", |set| message(set).field[0].label = Some(3)),
        ("message removed", |set| drop(file(set).message_type.remove(0))),
        ("value renumbered", |set| file(set).enum_type[0].value[1].number = Some(99)),
        ("value removed", |set| drop(file(set).enum_type[0].value.pop())),
        ("method removed", |set| drop(service(set).method.remove(0))),
        ("method streams", |set| service(set).method[0].server_streaming = Some(true)),
    ];
    for (what, change) in changes {
        let mut now = current();
        change(&mut now);
        assert!(!broken(&current(), &now).is_empty(), "{what}: not noticed");
    }
    let mut grown = current();
    let mut field = message(&mut grown).field[0].clone();
    (field.name, field.number) = (Some("more".to_owned()), Some(99));
    message(&mut grown).field.push(field);
    assert_eq!(broken(&current(), &grown), [""; 0], "growing is compatible");
}

fn file(set: &mut FileDescriptorSet) -> &mut prost_types::FileDescriptorProto {
    let name = "assent/consent/v1/policy.proto";
    set.file.iter_mut().find(|file| file.name() == name).unwrap()
}

fn message(set: &mut FileDescriptorSet) -> &mut DescriptorProto {
    &mut file(set).message_type[0]
}

fn service(set: &mut FileDescriptorSet) -> &mut ServiceDescriptorProto {
    &mut file(set).service[0]
}
