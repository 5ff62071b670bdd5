//! `assent contacts`: address books from files.

use std::os::unix::fs::PermissionsExt;

use identifiers::{Kind, Profile};
use serde_json::{Value, json};

use super::{Ran, Terminal, ran, wire::Wire};
use crate::people::{register, subject_id};

/// A suite in which a few people have agreed to everything, and its terminal.
async fn terminal() -> Terminal {
    let terminal = Terminal::start();
    register(&terminal.suite, 3, |person| digest(Kind::Email, &format!("{person}@example.com")))
        .await;
    terminal
}

fn digest(kind: Kind, text: &str) -> [u8; 32] {
    *identifiers::digest(kind, Profile::Meta, text, None).unwrap().as_bytes()
}

fn phone(contact: u32) -> String {
    format!("+4915112{contact:06}")
}

fn card(contact: u32) -> String {
    format!(
        "BEGIN:VCARD\nVERSION:3.0\nFN:{contact}\nTEL;TYPE=CELL:{}\n\
         EMAIL:c{contact}@example.com\nEND:VCARD\n",
        phone(contact)
    )
}

fn sync(terminal: &Terminal, more: &str) -> Value {
    let subject = subject_id(0);
    terminal.json(&format!("contacts sync book.vcf {subject} {more}")).remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_book_is_sent_as_a_whole_and_then_by_what_changed() {
    let terminal = terminal().await;
    let wire = Wire::to(terminal.suite.gateway());
    let sync = |book: &str, more: &str| {
        terminal.write("book.vcf", book);
        let mut command = terminal.command();
        command.args(["contacts", "sync", "book.vcf", &subject_id(0), "--json"]);
        command.args(more.split_whitespace()).env("ASSENT_ENDPOINT", wire.url());
        let ran = ran(&mut command);
        assert_eq!(ran.code, 0, "{ran:?}");
        let seen = wire.take_seen();
        let is_in = |needle: &[u8]| seen.windows(needle.len()).any(|bytes| bytes == needle);
        let sent = (0..4).filter(|contact| is_in(&digest(Kind::Phone, &phone(*contact))));
        assert!(!is_in(phone(1).trim_start_matches('+').as_bytes()) && !is_in(b"c1@example.com"));
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        (report, sent.collect::<Vec<_>>(), ran.err)
    };
    let counts = |report: &Value| {
        json!([report["mode"], report["accepted"], report["added"], report["removed"]])
    };
    let (full, delta) = ("SYNC_MODE_FULL", "SYNC_MODE_DELTA");
    let (first, sent, told) = sync(&[card(0), card(1), card(1)].concat(), "--delta");
    assert_eq!(counts(&first), json!([full, 4, 4, 0]));
    assert_eq!(sent, [0, 1]);
    assert!(told.contains("nothing is known here of an earlier sync"), "{told}");

    let (changed, sent, told) = sync(&[card(1), card(2)].concat(), "--delta");
    assert_eq!(counts(&changed), json!([delta, 4, 2, 2]));
    assert_eq!((sent, told.as_str()), (vec![0, 2], ""));
    let (same, sent, _) = sync(&[card(2), card(1)].concat(), "--delta");
    assert_eq!(counts(&same), json!([delta, 0, 0, 0]));
    assert_eq!(sent, [0; 0]);

    // The same person on another machine: this one's token is no longer the latest.
    let elsewhere = terminal.directory.path().join("elsewhere");
    let (other, ..) = sync(&card(3), &format!("--state {}", elsewhere.display()));
    assert_eq!(counts(&other), json!([full, 2, 2, 0]));
    let (again, sent, told) = sync(&[card(1), card(2)].concat(), "--delta");
    assert_eq!(counts(&again), json!([full, 4, 4, 0]));
    assert_eq!(sent, [1, 2]);
    assert!(told.contains("the service does not go on from the last sync"), "{told}");
    // From there it goes on as ever.
    let (last, sent, _) = sync(&card(1), "--delta");
    assert_eq!((counts(&last), sent), (json!([delta, 2, 0, 2]), vec![2]));
    // Hashed by other rules, all of them are others.
    let (other, ..) = sync(&card(1), "--delta --profile google");
    assert_eq!(counts(&other), json!([full, 2, 2, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_of_an_address_book_is_digests_for_its_owner_only() {
    let terminal = terminal().await;
    terminal.write("book.vcf", card(1));
    sync(&terminal, "");
    let files = || {
        let files = std::fs::read_dir(terminal.state()).unwrap();
        files.map(|file| file.unwrap().path()).collect::<Vec<_>>()
    };
    let written = files();
    let book = written.iter().find(|path| path.extension().is_some_and(|end| end == "json"));
    let text = std::fs::read_to_string(book.unwrap()).unwrap();
    assert!(!text.contains("15112") && !text.contains('@') && !text.contains("listed-person"));
    let hex = hex::encode(digest(Kind::Phone, &phone(1)));
    assert!(text.contains(&hex));
    for path in [terminal.state(), book.unwrap().clone()] {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
    }
    terminal.done(&format!("contacts delete {}", subject_id(0)));
    assert_eq!(files(), Vec::<std::path::PathBuf>::new());
    // What the service has forgotten is not gone on from.
    assert_eq!(sync(&terminal, "--delta")["mode"], "SYNC_MODE_FULL");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_an_address_book_has_the_outcome_of_the_plain_one() {
    let terminal = terminal().await;
    let plain = [card(1), card(2)].concat();
    let google = "Name,E-mail 1 - Type,E-mail 1 - Value,Phone 1 - Type,Phone 1 - Value\n\
                  1,*,c1@example.com,Mobile,0151 12000001\n\
                  2,*,c2@example.com,Mobile,0151 12000002\n";
    let forms = [
        ("plain", plain.clone()),
        ("crlf", plain.replace('\n', "\r\n")),
        (
            "2.1",
            plain.replace("3.0", "2.1").replace("TYPE=CELL:+49", "CELL;QUOTED-PRINTABLE:=2B4=\n9"),
        ),
        ("4.0", plain.replace("TEL;", "x.TEL;VALUE=uri;").replace(":+49", ":tel:+49-")),
        ("google", google.to_owned()),
    ];
    terminal.write("book.vcf", &plain);
    sync(&terminal, "");
    for (name, book) in forms {
        terminal.write("book.vcf", book);
        let report = sync(&terminal, "--delta --region DE");
        let told = json!([report["added"], report["removed"], report["refused"]["count"]]);
        assert_eq!(told, json!([0, 0, 0]), "{name}: {report}");
        assert_eq!(sync(&terminal, "--region DE --raw")["accepted"], 4, "{name}");
        assert_eq!(sync(&terminal, "--region DE")["accepted"], 4, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_contacts_are_told_by_their_card() {
    let terminal = terminal().await;
    let book =
        format!("{}BEGIN:VCARD\nFN:x\nTEL:123\nEND:VCARD\nBEGIN:VCARD\nEND:VCARD\n", card(1));
    terminal.write("book.vcf", &book);
    let report = sync(&terminal, "--region DE --rejects refused.csv");
    let written = std::fs::read_to_string(terminal.directory.path().join("refused.csv")).unwrap();
    assert_eq!(
        written,
        "row,column,reason\n2,TEL,the phone number is not valid in its region\n\
         3,,nothing by which a person can be found\n"
    );
    assert_eq!((&report["refused"]["count"], &report["accepted"]), (&json!(2), &json!(2)));
    let raw = sync(&terminal, "--region DE --raw --rejects refused.csv");
    assert_eq!(raw["refused"]["first"][1]["row"], 2, "{raw}");
    let table = terminal.done(&format!("contacts sync book.vcf {} --region DE", subject_id(0)));
    for shown in
        ["sent        everything, 2 in all", "accepted    2", "row 2, TEL: the phone number"]
    {
        assert!(table.contains(shown), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_synced_is_told_with_what_to_do_next() {
    let terminal = terminal().await;
    let fails = |ran: &Ran, code: i32, told: &[&str]| {
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(told.iter().all(|text| ran.err.contains(text)), "{}", ran.err);
    };
    terminal.write("book.vcf", card(1));
    let stranger = terminal.run("contacts sync book.vcf nobody-knows");
    fails(&stranger, 3, &["no consent to the transfer", "assent consent show"]);
    terminal.write("cut.vcf", &card(1)[..40]);
    let cut = terminal.run(&format!("contacts sync cut.vcf {}", subject_id(0)));
    fails(&cut, 3, &["card 1 is cut off"]);
    terminal.write("empty.vcf", "BEGIN:VCARD\nFN:x\nEND:VCARD\n");
    let nobody = terminal.run(&format!("contacts sync empty.vcf {}", subject_id(0)));
    fails(&nobody, 3, &["row 1: nothing by which", "assent contacts delete"]);
    fails(&terminal.run("contacts sync book.vcf +4915112000001"), 3, &["no subject id"]);
    fails(&terminal.run("contacts sync book.vcf a --delta --raw"), 2, &["--raw"]);
    let many: String = (0..5_001).map(card).collect();
    terminal.write("many.vcf", many);
    let many = terminal.run(&format!("contacts sync many.vcf {}", subject_id(1)));
    fails(&many, 6, &["new ones fit now"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_shown_and_set() {
    let terminal = terminal().await;
    let subject = subject_id(0);
    let shown = terminal.done(&format!("contacts settings show {subject}"));
    assert!(shown.contains("found by            people whose number or address the person has"));
    let set = terminal.json(&format!("contacts settings set {subject} --found-by nobody"));
    assert_eq!(set[0]["discoverability"], "DISCOVERABILITY_NOBODY");
    let mutual = set[0]["mayBeMutualConnection"].as_bool().unwrap();
    let other = if mutual { "no" } else { "yes" };
    let set = terminal.json(&format!("contacts settings set {subject} --mutual {other}"));
    assert_eq!(
        set[0],
        json!({
            "discoverability": "DISCOVERABILITY_NOBODY", "mayBeMutualConnection": !mutual,
        })
    );
    assert_eq!(terminal.json(&format!("contacts settings show {subject}")), set);
    let nothing = terminal.run(&format!("contacts settings set {subject}"));
    assert_eq!(nothing.code, 2, "{nothing:?}");
}
