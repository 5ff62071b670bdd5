//! What the contract's files say of their own.

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FileDescriptor, MessageDescriptor, ServiceDescriptor,
};

/// The comment on what is at this place of a file, as one paragraph.
pub(super) fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref().unwrap();
    let location = info.location.iter().find(|location| location.path == path);
    let text = location.and_then(|location| location.leading_comments.as_deref());
    text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Everything of ours in the contract, with its comment.
pub(super) fn all(pool: &DescriptorPool) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for service in ours(pool.services(), ServiceDescriptor::parent_file) {
        let file = service.parent_file();
        all.push((service.full_name().to_owned(), comment(&file, service.path())));
        for method in service.methods() {
            all.push((method.full_name().to_owned(), comment(&file, method.path())));
        }
    }
    for message in ours(pool.all_messages(), MessageDescriptor::parent_file) {
        let file = message.parent_file();
        all.push((message.full_name().to_owned(), comment(&file, message.path())));
        for field in message.fields() {
            all.push((field.full_name().to_owned(), comment(&file, field.path())));
        }
    }
    for kind in ours(pool.all_enums(), EnumDescriptor::parent_file) {
        let file = kind.parent_file();
        all.push((kind.full_name().to_owned(), comment(&file, kind.path())));
        for value in kind.values() {
            all.push((value.full_name().to_owned(), comment(&file, value.path())));
        }
    }
    all
}

/// Those of Assent's own packages, not of what they import.
pub(super) fn ours<T>(
    all: impl Iterator<Item = T>,
    file: impl Fn(&T) -> FileDescriptor,
) -> impl Iterator<Item = T> {
    all.filter(move |one| file(one).package_name().starts_with("assent."))
}
