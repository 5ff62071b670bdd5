//! docs/api is the contract as it is now: one page a package, made of the descriptors and their
//! comments. `ASSENT_ACCEPT_DOCS=1 cargo test -p proto --test it reference` writes it anew.

mod comments;
mod markdown;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use prost_reflect::DescriptorPool;

/// The contract with its comments.
fn documented() -> DescriptorPool {
    DescriptorPool::decode(include_bytes!(concat!(env!("OUT_DIR"), "/documented.bin")).as_slice())
        .unwrap()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/api")
}

#[test]
fn the_reference_says_what_the_contract_says() {
    let pages = markdown::pages(&documented());
    if std::env::var_os("ASSENT_ACCEPT_DOCS").is_some() {
        fs::create_dir_all(folder()).unwrap();
        for (name, text) in &pages {
            fs::write(folder().join(name), text).unwrap();
        }
    }
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let found: BTreeMap<String, String> = files
        .map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(file).unwrap())
        })
        .collect();
    let differ: BTreeSet<&String> = pages
        .keys()
        .chain(found.keys())
        .filter(|name| pages.get(*name) != found.get(*name))
        .collect();
    assert!(
        differ.is_empty(),
        "docs/api differs from the contract in {differ:?}: \
         ASSENT_ACCEPT_DOCS=1 cargo test -p proto --test it reference"
    );
}

/// Everything that a client meets has a word said about it.
#[test]
fn everything_in_the_contract_has_a_comment() {
    let pool = documented();
    let silent: Vec<String> = comments::all(&pool)
        .into_iter()
        .filter(|(_, comment)| comment.is_empty())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(silent, [""; 0]);
    assert!(comments::all(&pool).len() > 800, "found {}", comments::all(&pool).len());
}

#[test]
fn every_link_of_the_reference_leads_somewhere() {
    let pages = markdown::pages(&documented());
    let anchors: BTreeSet<String> = pages
        .iter()
        .flat_map(|(page, text)| {
            text.lines().filter_map(move |line| {
                let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
                Some(format!("{page}#{}", markdown::anchor(heading)))
            })
        })
        .collect();
    let mut links = 0;
    for (page, text) in &pages {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = match target.strip_prefix('#') {
                Some(anchor) => format!("{page}#{anchor}"),
                None => target.to_owned(),
            };
            let there = anchors.contains(&target)
                || pages.contains_key(&target)
                || target.starts_with("../") && folder().join(&target).exists();
            assert!(there, "{page} links to {target}");
            links += 1;
        }
    }
    assert!(links > 400, "{links} links");
}
