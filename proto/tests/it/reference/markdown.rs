//! The pages.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor,
};
use proto::{
    contract,
    options::v1::{Exposure, FieldRule, Format, Idempotency, Role},
};

use super::comments::{comment, ours};

const ROLES: [Role; 6] =
    [Role::User, Role::Business, Role::App, Role::AdServer, Role::Admin, Role::Service];
const REQUIRED: i32 = 2;

/// Every page, by the name of its file.
pub(super) fn pages(pool: &DescriptorPool) -> BTreeMap<String, String> {
    let packages: BTreeSet<String> = ours(pool.files(), FileDescriptor::clone)
        .map(|file| file.package_name().to_owned())
        .collect();
    let mut pages: BTreeMap<String, String> =
        packages.iter().map(|package| (page(package), package_page(pool, package))).collect();
    pages.insert("README.md".to_owned(), index(pool, &packages));
    pages
}

/// `assent.consent.v1` → `consent.md`.
fn page(package: &str) -> String {
    format!("{}.md", package.split('.').nth(1).unwrap())
}

/// What a heading is called in a link to it.
pub(super) fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn index(pool: &DescriptorPool, packages: &BTreeSet<String>) -> String {
    let mut text = "\
# API reference

Made from [the contract](../../proto) by `proto/tests/it/reference`, which fails when the two differ. How to make a client:
[clients.md](../clients.md). Each page has a package: its services, then its messages and enums in alphabetical order.

What holds everywhere:

- **Who may call** is said by roles, which come from the caller's token ([options](options.md#role)). A USER reaches only the
  subject that its token names: fields marked \"own subject\".
- **What a request may hold**: beside what is said of a field, a string has at most 1,024 characters and a repeated field at most
  100 items, a value of an enum is one of those listed, and formats are [these](options.md#format). A request that breaks any rule gets
  INVALID_ARGUMENT with REASON_FIELDS_INVALID, and every field that is wrong by name.
- **Writes** (request id): sent again with the same `request_id` and content they have no further effect and get the same answer.
- **Errors** carry one [reason](errors.md#reason). Any call may get those without a domain of their own (1 to 20); those of policies
  and people (100 and up) come from consent-svc, those of audiences (200 and up) from audience-svc, those of suggestions (300 and up)
  from suggest-svc.
- **Deadline**: what a call may take when its caller does not say.

"
    .to_owned();
    for package in packages {
        let page = page(package);
        writeln!(text, "## {package}\n").unwrap();
        let services = services(pool, package);
        if services.is_empty() {
            writeln!(text, "[{page}]({page}): messages and enums alone.\n").unwrap();
        }
        for service in services {
            let said = comment(&service.parent_file(), service.path());
            writeln!(text, "[{0}]({page}#{1}): {said}\n", service.name(), anchor(service.name()))
                .unwrap();
            writeln!(text, "| method | who | |\n|---|---|---|").unwrap();
            for method in service.methods() {
                let heading = heading(&method);
                let said = comment(&service.parent_file(), method.path());
                let (link, who) = (anchor(&heading), who(&method));
                writeln!(text, "| [{}]({page}#{link}) | {who} | {} |", method.name(), first(&said))
                    .unwrap();
            }
            text.push('\n');
        }
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// The first sentence.
fn first(text: &str) -> &str {
    let end = text.find(". ").map_or(text.len(), |at| at + 1);
    &text[..end]
}

fn services(pool: &DescriptorPool, package: &str) -> Vec<ServiceDescriptor> {
    pool.services().filter(|service| service.package_name() == package).collect()
}

fn package_page(pool: &DescriptorPool, package: &str) -> String {
    let mut text =
        format!("# {package}\n\n[All packages](README.md), and what holds for all of them.\n");
    for service in services(pool, package) {
        let said = comment(&service.parent_file(), service.path());
        write!(text, "\n## {}\n\n{said}\n", service.name()).unwrap();
        for method in service.methods() {
            text += &method_section(&method);
        }
    }
    let mut messages: Vec<_> =
        pool.all_messages().filter(|message| message.package_name() == package).collect();
    messages.sort_by(|a, b| a.name().cmp(b.name()));
    if !messages.is_empty() {
        text += "\n## Messages\n";
    }
    for message in messages {
        text += &message_section(pool, &message);
    }
    let mut enums: Vec<_> =
        pool.all_enums().filter(|kind| kind.package_name() == package).collect();
    enums.sort_by(|a, b| a.name().cmp(b.name()));
    if !enums.is_empty() {
        text += "\n## Enums\n";
    }
    for kind in enums {
        text += &enum_section(&kind);
    }
    text
}

fn heading(method: &MethodDescriptor) -> String {
    format!("{}.{}", method.parent_service().name(), method.name())
}

fn rule(method: &MethodDescriptor) -> &'static contract::Method {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    contract::method(&path).unwrap()
}

fn who(method: &MethodDescriptor) -> String {
    let rule = rule(method);
    let names: Vec<&str> = ROLES
        .into_iter()
        .filter(|role| rule.roles.contains(*role))
        .map(|role| role.as_str_name().trim_start_matches("ROLE_"))
        .collect();
    let inside = if rule.exposure == Exposure::Internal { " (inside only)" } else { "" };
    format!("{}{inside}", names.join(", "))
}

fn method_section(method: &MethodDescriptor) -> String {
    let rule = rule(method);
    let said = comment(&method.parent_service().parent_file(), method.path());
    let stream = |streams: bool| if streams { "stream of " } else { "" };
    let twice = match rule.idempotency {
        Idempotency::ReadOnly => "read only",
        Idempotency::RequestId => "write, request id",
        Idempotency::Unspecified => unreachable!("refused by another test"),
    };
    let quota = rule.quota_class.as_str_name().trim_start_matches("QUOTA_CLASS_");
    format!(
        "\n### {}\n\n{said}\n\n\
         | | |\n|---|---|\n| request | {}{} |\n| response | {}{} |\n| who | {} |\n| kind | {twice} |\n\
         | deadline | {} s |\n| [quota](../quotas.md) | {quota} |\n",
        heading(method),
        stream(method.is_client_streaming()),
        link(method.input().full_name(), method.parent_service().package_name()),
        stream(method.is_server_streaming()),
        link(method.output().full_name(), method.parent_service().package_name()),
        who(method),
        rule.default_deadline.as_secs_f64(),
    )
}

fn message_section(pool: &DescriptorPool, message: &MessageDescriptor) -> String {
    let file = message.parent_file();
    let mut text = format!("\n### {}\n\n{}\n", message.name(), comment(&file, message.path()));
    if message.fields().len() == 0 {
        return text;
    }
    text += "\n| field | type | |\n|---|---|---|\n";
    for field in message.fields() {
        let mut said = comment(&file, field.path());
        let rules = rules(pool, &field);
        if !rules.is_empty() {
            write!(said, " *{}.*", rules.join("; ")).unwrap();
        }
        if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
            write!(said, " *One of `{}`.*", oneof.name()).unwrap();
        }
        let repeated = if field.is_list() { "repeated " } else { "" };
        let kind = kind(&field);
        writeln!(
            text,
            "| `{}` = {} | {repeated}{kind} | {} |",
            field.name(),
            field.number(),
            cell(&said)
        )
        .unwrap();
    }
    text
}

fn kind(field: &FieldDescriptor) -> String {
    let package = field.parent_message().package_name().to_owned();
    match field.kind() {
        Kind::Message(inner) => link(inner.full_name(), &package),
        Kind::Enum(inner) => link(inner.full_name(), &package),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

/// A type by its name, as a link where it is ours.
fn link(full_name: &str, from: &str) -> String {
    let (package, name) = full_name.rsplit_once('.').unwrap();
    match package {
        _ if !package.starts_with("assent.") => format!("`{full_name}`"),
        _ if package == from => format!("[{name}](#{})", anchor(name)),
        _ => format!("[{name}]({}#{})", page(package), anchor(name)),
    }
}

/// What the contract says a field may hold.
fn rules(pool: &DescriptorPool, field: &FieldDescriptor) -> Vec<String> {
    let options = field.options();
    let extension = |name| pool.get_extension_by_name(name).unwrap();
    let behavior = options.get_extension(&extension("google.api.field_behavior")).into_owned();
    let rule = options.get_extension(&extension("assent.options.v1.field")).into_owned();
    let rule: FieldRule = rule.as_message().unwrap().transcode_to().unwrap();
    let unit = if field.kind() == Kind::Bytes { "bytes" } else { "characters" };
    let mut rules = Vec::new();
    let mut say = |when: bool, what: String| rules.extend(when.then_some(what));
    let required = behavior.as_list().unwrap().iter().any(|b| b.as_enum_number() == Some(REQUIRED));
    say(required, "Required".to_owned());
    let format = rule.format();
    let name = format.as_str_name().trim_start_matches("FORMAT_");
    say(format != Format::Unspecified, format!("format {name}"));
    let (least, most) = (rule.min_length, rule.max_length);
    let exact = least > 0 && least == most;
    say(exact, format!("exactly {least} {unit}"));
    say(!exact && least > 0, format!("at least {least} {unit}"));
    say(!exact && most > 0, format!("at most {most} {unit}"));
    say(rule.max_items > 0, format!("at most {} items", rule.max_items));
    say(rule.own_subject, "own subject".to_owned());
    say(rule.contact_identifier, "contact identifier: never in a response".to_owned());
    rules
}

fn enum_section(kind: &EnumDescriptor) -> String {
    let file = kind.parent_file();
    let said = comment(&file, kind.path());
    let mut text = format!("\n### {}\n\n{said}\n\n| value | |\n|---|---|\n", kind.name());
    for value in kind.values() {
        let said = cell(&comment(&file, value.path()));
        writeln!(text, "| `{}` = {} | {said} |", value.name(), value.number()).unwrap();
    }
    text
}

/// As it can stand in a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
