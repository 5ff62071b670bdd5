//! Writes `impl Checked` for every message that a request can reach, from the field options.

use std::{collections::BTreeMap, error::Error, fmt::Write};

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, OneofDescriptor, Value,
};

const DEFAULT_MAX_LENGTH: u32 = 1_024;
const DEFAULT_MAX_ITEMS: u32 = 100;
const FIELD_BEHAVIOR_REQUIRED: i32 = 2;
const EXPOSURE_INTERNAL: i32 = 2;

/// Rust code with a `Checked` for each request message and each message inside one.
pub(crate) fn generate(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut reachable = BTreeMap::new();
    for service in pool.services() {
        for method in service.methods() {
            collect(&method.input(), &mut reachable);
        }
    }
    let mut code = String::new();
    for message in reachable.values() {
        write_impl(pool, message, &mut code)?;
    }
    // Every request by its name, so that none can be forgotten where they are read from any bytes.
    writeln!(code, "#[cfg(any(test, fuzzing))]")?;
    writeln!(code, "pub(crate) const READERS: &[(&str, crate::fuzzing::Reader)] = &[")?;
    for message in reachable.values() {
        let (name, path) = (message.full_name(), rust_path(message));
        writeln!(code, "    ({name:?}, crate::fuzzing::read::<{path}>),")?;
    }
    writeln!(code, "];")?;
    Ok(code)
}

/// Whether the method's options keep it from outside callers.
pub(crate) fn is_internal(pool: &DescriptorPool, method: &MethodDescriptor) -> bool {
    option(pool, &method.options(), "assent.options.v1.method")
        .and_then(|rule| Some(rule.as_message()?.get_field_by_name("exposure")?.as_enum_number()))
        .flatten()
        == Some(EXPOSURE_INTERNAL)
}

fn option(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<Value> {
    let extension = pool.get_extension_by_name(name)?;
    options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned())
}

fn collect(message: &MessageDescriptor, into: &mut BTreeMap<String, MessageDescriptor>) {
    if message.full_name().starts_with("google.")
        || into.insert(message.full_name().to_owned(), message.clone()).is_some()
    {
        return;
    }
    for field in message.fields() {
        if let Kind::Message(inner) = field.kind() {
            collect(&inner, into);
        }
    }
}

struct Rule {
    required: bool,
    format: i32,
    min_length: u32,
    max_length: u32,
    max_items: u32,
    own_subject: bool,
}

impl Rule {
    fn of(pool: &DescriptorPool, field: &FieldDescriptor) -> Self {
        let behavior = option(pool, &field.options(), "google.api.field_behavior");
        let required = behavior.is_some_and(|behavior| {
            behavior.as_list().is_some_and(|list| {
                list.iter().any(|item| item.as_enum_number() == Some(FIELD_BEHAVIOR_REQUIRED))
            })
        });
        let rule = option(pool, &field.options(), "assent.options.v1.field");
        let get = |name: &str| -> Option<Value> {
            Some(rule.as_ref()?.as_message()?.get_field_by_name(name)?.into_owned())
        };
        let number = |name: &str, default: u32| {
            get(name).and_then(|value| value.as_u32()).filter(|n| *n > 0).unwrap_or(default)
        };
        Self {
            required,
            format: get("format").and_then(|value| value.as_enum_number()).unwrap_or(0),
            min_length: number("min_length", 0),
            max_length: number("max_length", DEFAULT_MAX_LENGTH),
            max_items: number("max_items", DEFAULT_MAX_ITEMS),
            own_subject: get("own_subject").and_then(|value| value.as_bool()).unwrap_or(false),
        }
    }
}

fn write_impl(
    pool: &DescriptorPool,
    message: &MessageDescriptor,
    code: &mut String,
) -> Result<(), Box<dyn Error>> {
    let mut body = String::new();
    let mut own_subject = None;
    for field in message.fields() {
        let in_oneof = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
        if in_oneof || field.is_map() {
            continue;
        }
        let rule = Rule::of(pool, &field);
        let name = field.name();
        if rule.own_subject {
            own_subject = Some(name.to_owned());
        }
        let optional = field.supports_presence() && !matches!(field.kind(), Kind::Message(_));
        if optional {
            let check = field_check(&field, &rule, "value")?;
            if !check.is_empty() {
                writeln!(body, "        if let Some(value) = &self.{name} {{\n{check}        }}")?;
            }
        } else {
            body += &field_check(&field, &rule, &format!("self.{name}"))?;
        }
    }
    for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        body += &oneof_check(pool, message, &oneof)?;
    }
    let (at, bad) = if body.is_empty() { ("_at", "_bad") } else { ("at", "bad") };
    writeln!(code, "impl Checked for {} {{", rust_path(message))?;
    writeln!(code, "    fn check(&self, {at}: &At<'_>, {bad}: &mut FieldErrors) {{\n{body}    }}")?;
    if let Some(field) = own_subject {
        writeln!(code, "    fn own_subject(&self) -> Option<&str> {{ Some(&self.{field}) }}")?;
    }
    writeln!(code, "}}\n")?;
    Ok(())
}

fn oneof_check(
    pool: &DescriptorPool,
    message: &MessageDescriptor,
    oneof: &OneofDescriptor,
) -> Result<String, Box<dyn Error>> {
    let module = rust_path(message);
    let (module, type_name) = module.rsplit_once("::").ok_or("a message has a package")?;
    let enum_path = format!("{module}::{}::{}", snake(type_name), camel(oneof.name()));
    let mut arms = String::new();
    for field in oneof.fields() {
        let check = field_check(&field, &Rule::of(pool, &field), "value")?;
        let binding = if check.is_empty() { "_" } else { "value" };
        let variant = camel(field.name());
        writeln!(
            arms,
            "            Some({enum_path}::{variant}({binding})) => {{\n{check}            }}"
        )?;
    }
    Ok(format!(
        "        match &self.{} {{\n{arms}            None => {{}}\n        }}\n",
        oneof.name()
    ))
}

/// The statement that checks one field, whose value is the Rust expression `value` (`"value"`
/// itself for a reference bound by a pattern); empty when there is nothing to check.
fn field_check(
    field: &FieldDescriptor,
    rule: &Rule,
    value: &str,
) -> Result<String, Box<dyn Error>> {
    let bound = value == "value";
    let name = field.name();
    let Rule { required, format, min_length, max_length, max_items, .. } = rule;
    if field.cardinality() == Cardinality::Repeated {
        let mut check = format!(
            "        rules::items(at, {name:?}, {value}.len(), {required}, {max_items}, bad);\n"
        );
        let item = match field.kind() {
            Kind::String => Some(format!(
                "rules::text(&at.item({name:?}, index), item, true, {format}, {min_length}, {max_length}, bad)"
            )),
            Kind::Bytes => Some(format!(
                "rules::bytes(&at.item({name:?}, index), item, true, {min_length}, {max_length}, bad)"
            )),
            Kind::Enum(kind) => Some(format!(
                "rules::choice(&at.item({name:?}, index), {}::try_from(*item).is_ok(), *item, true, bad)",
                enum_path(kind.full_name())
            )),
            Kind::Message(inner) if !inner.full_name().starts_with("google.") => {
                Some(format!("item.check(&at.item({name:?}, index), bad)"))
            }
            _ => None,
        };
        if let Some(item) = item {
            writeln!(
                check,
                "        for (index, item) in {value}.iter().enumerate().take({max_items}) {{ {item}; }}"
            )?;
        }
        return Ok(check);
    }
    let reference = if bound { value.to_owned() } else { format!("&{value}") };
    let number = if bound { format!("*{value}") } else { value.to_owned() };
    Ok(match field.kind() {
        Kind::String => format!(
            "        rules::text(&at.field({name:?}), {reference}, {required}, {format}, {min_length}, {max_length}, bad);\n"
        ),
        Kind::Bytes => format!(
            "        rules::bytes(&at.field({name:?}), {reference}, {required}, {min_length}, {max_length}, bad);\n"
        ),
        Kind::Enum(kind) => format!(
            "        rules::choice(&at.field({name:?}), {}::try_from({number}).is_ok(), {number}, {required}, bad);\n",
            enum_path(kind.full_name())
        ),
        Kind::Message(inner) => {
            let mut check = String::new();
            if *required && !bound {
                writeln!(check, "        rules::present(at, {name:?}, {value}.is_some(), bad);")?;
            }
            if !inner.full_name().starts_with("google.") {
                let inner_check = format!("inner.check(&at.field({name:?}), bad)");
                if bound {
                    writeln!(check, "        let inner = {value}; {inner_check};")?;
                } else {
                    writeln!(check, "        if let Some(inner) = &{value} {{ {inner_check}; }}")?;
                }
            }
            check
        }
        Kind::Bool if *required => {
            format!("        rules::present(at, {name:?}, {number}, bad);\n")
        }
        _ if *required => {
            format!("        rules::present(at, {name:?}, {number} != Default::default(), bad);\n")
        }
        _ => String::new(),
    })
}

fn rust_path(message: &MessageDescriptor) -> String {
    enum_path(message.full_name())
}

/// `assent.consent.v1.Policy` → `crate::consent::v1::Policy`. The contract has no nested types.
fn enum_path(full_name: &str) -> String {
    format!("crate::{}", full_name.trim_start_matches("assent.").replace('.', "::"))
}

fn camel(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    name.split('_').filter_map(capital).collect()
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
