//! Compiles the contract without protoc: Rust code, the descriptor sets, and the request checks.

mod checks;

use std::{env, error::Error, fs, path::Path, path::PathBuf};

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=assent");
    println!("cargo::rerun-if-changed=google");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let files = proto_files(Path::new("assent"))?;

    // Comments go into the generated code only: the descriptor sets are embedded in every binary.
    let documented = compile(&files, true)?;
    // For the tests, which keep docs/api as the contract is.
    fs::write(out.join("documented.bin"), documented.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .generate_default_stubs(true)
        .codec_path("crate::codec::ContractCodec")
        .compile_fds_with_config(documented.file_descriptor_set(), {
            let mut config = tonic_prost_build::Config::new();
            config.enable_type_names();
            config
        })?;

    // Encoded by the compiler: a trip through prost's own types would lose our options.
    let descriptors = compile(&files, false)?.encode_file_descriptor_set();
    let pool = DescriptorPool::decode(descriptors.as_slice())?;
    fs::write(
        out.join("public_descriptor_set.bin"),
        without_internal_methods(&pool, &descriptors)?,
    )?;
    fs::write(out.join("checks.rs"), checks::generate(&pool)?)?;
    fs::write(out.join("descriptor_set.bin"), descriptors)?;
    Ok(())
}

fn compile(files: &[PathBuf], source_info: bool) -> Result<protox::Compiler, protox::Error> {
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(source_info);
    compiler.open_files(files)?;
    Ok(compiler)
}

fn proto_files(folder: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(proto_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The descriptor set that outside callers may see: the same, without INTERNAL methods.
fn without_internal_methods(
    pool: &DescriptorPool,
    descriptors: &[u8],
) -> Result<Vec<u8>, Box<dyn Error>> {
    let internal = |service: &str, method: &str| -> bool {
        let found = pool
            .get_service_by_name(service)
            .and_then(|service| service.methods().find(|m| m.name() == method));
        found.is_some_and(|method| checks::is_internal(pool, &method))
    };
    let set_type = pool
        .get_message_by_name("google.protobuf.FileDescriptorSet")
        .ok_or("the contract imports google/protobuf/descriptor.proto")?;
    let mut set = DynamicMessage::decode(set_type, descriptors)?;
    for file in items(&mut set, "file") {
        let Some(file) = message(file) else { continue };
        let package = text(file, "package");
        for service in items(file, "service") {
            let Some(service) = message(service) else { continue };
            let name = format!("{package}.{}", text(service, "name"));
            items(service, "method").retain_mut(|method| {
                !message(method).is_some_and(|method| internal(&name, &text(method, "name")))
            });
        }
    }
    Ok(set.encode_to_vec())
}

fn items<'a>(message: &'a mut DynamicMessage, field: &str) -> &'a mut Vec<Value> {
    match message.get_field_by_name_mut(field) {
        Some(Value::List(items)) => items,
        other => panic!("descriptor.proto has a repeated field {field}, found {other:?}"),
    }
}

fn message(value: &mut Value) -> Option<&mut DynamicMessage> {
    value.as_message_mut()
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
