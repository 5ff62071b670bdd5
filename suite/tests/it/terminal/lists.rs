//! `assent audience`: customer lists from files.

use std::{
    fmt::Write as _,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use identifiers::{Kind, Profile};
use proto::audience::v1::{
    ExplainAudiencesRequest, transparency_service_client::TransparencyServiceClient,
};
use serde_json::{Value, json};
use tonic::Request;

use super::{Ran, Terminal, ran, wire::Wire};
use crate::{
    bad_input::put_business,
    people::{register, subject_id},
    support::{Process, connect},
};

/// A suite in which the business is known, and its terminal.
async fn terminal() -> Terminal {
    let terminal = Terminal::start();
    put_business(&terminal.suite).await;
    terminal
}

fn email(person: u32) -> String {
    format!("person.{person}@example.com")
}

fn phone(person: u32) -> String {
    format!("+4915112{person:06}")
}

fn digest(text: &str, kind: Kind) -> [u8; 32] {
    *identifiers::digest(kind, Profile::Meta, text, None).unwrap().as_bytes()
}

fn email_digest(person: u32) -> [u8; 32] {
    digest(&email(person), Kind::Email)
}

fn create(terminal: &Terminal, name: &str) -> String {
    let audience = terminal.json(&format!("audience create {name} --source user")).remove(0);
    audience["audienceId"].as_str().unwrap().to_owned()
}

fn upload(terminal: &Terminal, file: &Path, audience: &str, more: &str) -> Command {
    let mut command = terminal.command();
    command.args(["audience", "upload"]).arg(file).args([audience, "--may-use-list", "--json"]);
    command.args(more.split_whitespace());
    command
}

#[track_caller]
fn uploaded(command: &mut Command) -> Value {
    let ran = ran(command);
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

/// Who of so many people is in a list of the business, as each of them is told. A list of any size
/// is: to the ad server a small one looks empty.
async fn listed(terminal: &Terminal, people: u32) -> Vec<u32> {
    let channel = connect(terminal.suite.gateway()).await;
    let asked = (0..people).map(|person| {
        let token = terminal.done(&format!("token --role user --subject {}", subject_id(person)));
        let mut request = Request::new(ExplainAudiencesRequest {});
        let bearer = format!("Bearer {}", token.trim()).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let mut client = TransparencyServiceClient::new(channel.clone());
        async move {
            let answer = client.explain_audiences(request).await.unwrap().into_inner();
            (person, !answer.explanations.is_empty())
        }
    });
    let asked: Vec<_> = stream::iter(asked).buffered(16).collect().await;
    asked.into_iter().filter_map(|(person, is_listed)| is_listed.then_some(person)).collect()
}

/// The same; then the audience is ended.
async fn listed_once(terminal: &Terminal, audience: &str, people: u32) -> Vec<u32> {
    let found = listed(terminal, people).await;
    terminal.done(&format!("audience delete {audience}"));
    found
}

/// A list of the first `listed` people: every third by phone only, all others by email.
fn list(listed: u32) -> String {
    let row = |person: u32| {
        let (email, phone) = match person % 3 {
            0 => (String::new(), phone(person)),
            1 => (email(person), String::new()),
            _ => (email(person), phone(person)),
        };
        format!("\"Person, {person}\",{email},{phone}\n")
    };
    format!("name,email,phone\n{}", (0..listed).map(row).collect::<String>())
}

fn utf_16(text: &str, to_bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(to_bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_a_list_has_the_outcome_of_the_plain_one() {
    let terminal = terminal().await;
    register(&terminal.suite, 12, email_digest).await;
    let plain = list(6);
    let crlf = plain.replace('\n', "\r\n");
    // Outside of the names, whose commas stay.
    let with = |delimiter: &str| {
        let names = plain.replace("\"Person, ", "\"Person_");
        names.replace(',', delimiter).replace("\"Person_", "\"Person, ")
    };
    let local = plain.replace("+49151", "0151");
    let cards = (0..6).map(|person| {
        let phone = match person % 3 {
            1 => String::new(),
            _ => format!("item1.TEL;VALUE=uri;TYPE=\"cell,home\":tel:{}\r\n", phone(person)),
        };
        let email = match person % 3 {
            0 => String::new(),
            _ => format!("EMAIL;TYPE=work:person.{person}@exam\r\n ple.com\r\n"),
        };
        format!("BEGIN:VCARD\r\nVERSION:4.0\r\nFN:{person}\r\n{phone}{email}END:VCARD\r\n")
    });
    let forms: Vec<(&str, Vec<u8>, &str)> = vec![
        ("plain.csv", plain.clone().into(), ""),
        ("mark-and-crlf.csv", format!("\u{feff}{crlf}").into(), ""),
        ("semicolons.csv", with(";").into(), ""),
        ("tabs.tsv", with("\t").into(), ""),
        ("sep.csv", format!("sep=|\n{}", with("|")).into(), ""),
        ("utf-16le.csv", utf_16(&crlf, u16::to_le_bytes), ""),
        ("utf-16be.csv", utf_16(&plain, u16::to_be_bytes), ""),
        ("1252.csv", [b"Notiz \xfc,".as_slice(), plain.as_bytes()].concat(), "TWO"),
        ("newlines.csv", plain.replace("Person, ", "Person\r\n\"\"of\n\"\" ").into(), ""),
        ("no-header.csv", plain.split_once('\n').unwrap().1.into(), ""),
        (
            "numbered.csv",
            plain.split_once('\n').unwrap().1.into(),
            "--no-header --column email=2 --column phone=3",
        ),
        ("german.csv", plain.replace("email,phone", "E-Mail-Adresse,Handy").into(), ""),
        (
            "mapped.csv",
            plain.replace("email,phone", "a,b").into(),
            "--column email=a --column phone=B",
        ),
        ("local.csv", local.into(), "--region DE"),
        ("google.csv", plain.clone().into(), "--profile google"),
        ("raw.csv", plain.clone().into(), "--raw"),
        ("cards.vcf", cards.collect::<String>().into(), ""),
    ];
    for (name, mut content, mut more) in forms {
        if more == "TWO" {
            // The word that is no UTF-8 is in a column of its own.
            let rows = String::from_utf8(content.split_off("Notiz ü,".len() - 1)).unwrap();
            let rows = rows.replace('\n', "\nM\u{fc}ller,");
            let rows = rows.strip_suffix("M\u{fc}ller,").unwrap();
            let latin = |c: char| u8::try_from(u32::from(c)).unwrap();
            content.extend(rows.chars().map(latin));
            more = "";
        }
        let file = terminal.write(name, content);
        let audience = create(&terminal, name);
        let report = uploaded(&mut upload(&terminal, &file, &audience, more));
        let told = json!([report["rows"], report["sent"], report["refused"]["count"]]);
        let sent = json!({ "email": 4, "phone": 4, "external_id": 0 });
        assert_eq!(told, json!([6, sent, 0]), "{name}: {report}");
        assert_eq!(report["upload"]["rowsInvalid"], "0", "{name}: {report}");
        assert_eq!(report["upload"]["state"], "UPLOAD_STATE_COMMITTED");
        assert_eq!(listed_once(&terminal, &audience, 12).await, [1, 2, 4, 5], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_added_removed_and_replaced() {
    let terminal = terminal().await;
    register(&terminal.suite, 6, email_digest).await;
    let audience = create(&terminal, "changing");
    let one = |person: u32| format!("email\n{}\n", email(person));
    let change = |content: String, more: &str| {
        let file = terminal.write("list.csv", content);
        uploaded(&mut upload(&terminal, &file, &audience, more))
    };
    change(list(6), "");
    change(one(1), "--mode remove");
    let checked = change(one(0), "--mode replace --check");
    assert_eq!(checked["upload"]["state"], "UPLOAD_STATE_COMMITTED");
    assert_eq!(listed(&terminal, 6).await, [2, 4, 5], "checking stores nothing");
    change(one(0), "");
    assert_eq!(listed(&terminal, 6).await, [0, 2, 4, 5]);
    change(one(3), "--mode replace");
    assert_eq!(listed(&terminal, 6).await, [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refused_row_is_told_with_its_number_and_none_of_its_values() {
    let terminal = terminal().await;
    let audience = create(&terminal, "faulty");
    let list = "name,email,phone\n\
                Ann,ann@example.com,+4915112000001\n\
                Bob,bob(at)secret.example,\n\
                \"Eve\nthe second\",,0049 30 1234567\n\
                Dan,,\n\
                ,,\n\
                Fay,fay@example.com,+4999999999999999,more\n\
                Gil,gil@example.com,call me\n";
    let file = terminal.write("list.csv", list);
    let ran = ran(&mut upload(&terminal, &file, &audience, "--rejects refused.csv"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let expected = [
        (3, "email", "the value is not an email address"),
        (
            4,
            "phone",
            "the phone number does not begin with + and no --region was given to read it in",
        ),
        (5, "", "nothing by which a person can be found"),
        (7, "", "more values than the header has columns"),
        (8, "phone", "the value is not a phone number"),
    ];
    let rejects = terminal.directory.path().join("refused.csv");
    let written = std::fs::read_to_string(&rejects).unwrap();
    let rows = expected.map(|(row, column, reason)| format!("{row},{column},{reason}\n"));
    assert_eq!(written, format!("row,column,reason\n{}", rows.concat()));
    assert_eq!(std::fs::metadata(&rejects).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(report["refused"]["count"], 5);
    assert_eq!(report["refused"]["first"].as_array().unwrap().len(), 5);
    let counts = json!([report["rows"], report["blankRows"], report["sent"]["email"]]);
    assert_eq!(counts, json!([7, 1, 2]), "{report}");

    let table = terminal.run(&format!("audience upload list.csv {audience} --may-use-list"));
    assert_eq!(table.code, 0, "{table:?}");
    for shown in [
        "row 4, phone: the phone number does not begin with +",
        "row 7: more values",
        "refused     5",
    ] {
        assert!(table.out.contains(shown), "{}", table.out);
    }
    for told in [&ran.out, &ran.err, &table.out, &table.err, &written] {
        for value in ["secret", "1234567", "99999", "call me", "ann@", "15112"] {
            assert!(!told.contains(value), "{value} in {told}");
        }
    }

    let many: String = (0..400).map(|_| "nobody\n").collect();
    let file = terminal.write("many.csv", format!("email\nann@example.com\n{many}"));
    let report = uploaded(&mut upload(&terminal, &file, &audience, "--rejects refused.csv"));
    assert_eq!(report["refused"]["first"].as_array().unwrap().len(), 10);
    assert_eq!(report["refused"]["count"], 400);
    assert_eq!(std::fs::read_to_string(&rejects).unwrap().lines().count(), 401);
    // Left to the service, the same rows are refused; it names no more than a hundred.
    let raw = uploaded(&mut upload(&terminal, &file, &audience, "--raw --rejects refused.csv"));
    assert_eq!(raw["refused"]["count"], 400, "{raw}");
    assert_eq!(raw["refused"]["first"][0]["row"], 3);
    assert_eq!(std::fs::read_to_string(&rejects).unwrap().lines().count(), 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_identifier_leaves_the_machine_in_clear() {
    let terminal = terminal().await;
    let wire = Wire::to(terminal.suite.gateway());
    let audience = create(&terminal, "secret");
    let file = terminal.write("list.csv", list(300));
    let needles: Vec<_> = (0..300).flat_map(|person| [email(person), phone(person)]).collect();
    let found = |more: &str| {
        let command = &mut upload(&terminal, &file, &audience, more);
        uploaded(command.env("ASSENT_ENDPOINT", wire.url()));
        let seen = wire.take_seen();
        let is_in = |needle: &[u8]| seen.windows(needle.len()).any(|bytes| bytes == needle);
        // Without the plus sign too.
        let clear = needles.iter().filter(|one| is_in(one.trim_start_matches('+').as_bytes()));
        let digests = (0..300).filter(|person| is_in(&email_digest(*person)));
        (clear.count(), digests.count())
    };
    // Frames may cut one in two.
    let (clear, digests) = found("");
    assert!(clear == 0 && digests > 190, "{clear} in clear, {digests} digests");
    let (clear, digests) = found("--raw");
    assert!(clear > 390 && digests == 0, "{clear} in clear, {digests} digests");
}

/// What of a report does not depend on when and where.
fn outcome(report: &Value) -> Value {
    let mut upload = report["upload"].clone();
    for own in ["uploadId", "audienceId", "createdAt", "expiresAt"] {
        upload.as_object_mut().unwrap().remove(own);
    }
    json!([upload, report["rows"], report["blankRows"], report["sent"], report["refused"]])
}

/// The one file of an upload that can be gone on with.
fn remembered(terminal: &Terminal) -> Option<Value> {
    let files = std::fs::read_dir(terminal.state()).ok()?;
    let mut paths = files.map(|file| file.unwrap().path());
    let path = paths.find(|path| path.extension().is_some_and(|end| end == "json"))?;
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_mins(1);
    while !done() {
        assert!(Instant::now() < give_up, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

const ROWS: u32 = 60_000;

/// A long list, with rows in it that are refused: `ROWS` email addresses, and the phone numbers of
/// every tenth.
fn long_list() -> String {
    let mut list = "email,phone\n".to_owned();
    for person in 0..ROWS {
        let phone = if person % 10 == 0 { phone(person) } else { String::new() };
        let email = if person % 1_000 == 7 { "nobody".to_owned() } else { email(person) };
        writeln!(list, "{email},{phone}").unwrap();
    }
    list
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_killed_goes_on_where_it_was_and_ends_as_one_that_was_not() {
    let terminal = terminal().await;
    register(&terminal.suite, 40, |person| email_digest(person * 1_500)).await;
    let wire = Wire::to(terminal.suite.gateway());
    let file = terminal.write("list.csv", long_list());
    let command = |audience: &str, rejects: &str| {
        let mut command = upload(&terminal, &file, audience, &format!("--rejects {rejects}"));
        command.env("ASSENT_ENDPOINT", wire.url());
        command
    };
    let whole = create(&terminal, "whole");
    let undisturbed = uploaded(&mut command(&whole, "whole.csv"));
    let all = wire.take_seen().len();
    assert_eq!(undisturbed["sent"], json!({ "email": 59_940, "phone": 6_000, "external_id": 0 }));
    let everybody = listed_once(&terminal, &whole, 40).await;
    assert_eq!(everybody.len(), 40);

    // Before anything, while it is opened, in the midst of it, and when all but the end was sent.
    for stops_after in [0, 1_000, all / 2, all - 2_000] {
        let audience = create(&terminal, "cut");
        wire.take_seen();
        wire.stop_after(stops_after);
        let mut cut = Process::spawn(command(&audience, "cut.csv").stdout(Stdio::piped()));
        until("nothing was sent", || wire.seen() > stops_after);
        if stops_after >= all / 2 {
            let acknowledged = || {
                remembered(&terminal)
                    .is_some_and(|one| one["progress"]["batches"].as_u64().unwrap() >= 2)
            };
            until("nothing was acknowledged", acknowledged);
        }
        cut.kill();
        wire.stop_after(usize::MAX);
        wire.take_seen();
        let before = remembered(&terminal);
        let ran = ran(&mut command(&audience, "cut.csv"));
        assert_eq!(ran.code, 0, "{stops_after}: {ran:?}");
        let resumed: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(outcome(&resumed), outcome(&undisturbed), "{stops_after}");
        let rejects = |name| std::fs::read(terminal.directory.path().join(name)).unwrap();
        assert_eq!(rejects("cut.csv"), rejects("whole.csv"), "{stops_after}");
        assert_eq!(listed_once(&terminal, &audience, 40).await, everybody, "{stops_after}");
        if stops_after >= all / 2 {
            assert!(ran.err.contains("going on with the upload that was cut"), "{}", ran.err);
            let acknowledged = before.unwrap()["progress"]["batches"].as_u64().unwrap();
            let sent = wire.take_seen().len();
            assert!(
                sent < all - usize::try_from(acknowledged).unwrap() * 250_000,
                "{sent} of {all}"
            );
        }
        assert_eq!(remembered(&terminal), None, "what is over is forgotten");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_last_answer_was_lost_is_not_done_twice() {
    let terminal = terminal().await;
    let wire = Wire::to(terminal.suite.gateway());
    let file = terminal.write("list.csv", list(30));
    let audience = create(&terminal, "once");
    let command = || {
        let mut command = upload(&terminal, &file, &audience, "");
        command.env("ASSENT_ENDPOINT", wire.url());
        command
    };
    // The list is applied, and nobody is there to hear it.
    let mut child = command().stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(141));
    wire.take_seen();
    let again = uploaded(&mut command());
    assert_eq!(again["sent"]["email"], 20);
    assert!(wire.take_seen().len() < 4_000, "the list was sent again");
    assert_eq!(remembered(&terminal), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_has_changed_is_uploaded_anew() {
    let terminal = terminal().await;
    let wire = Wire::to(terminal.suite.gateway());
    let audience = create(&terminal, "changed");
    let file = terminal.write("list.csv", long_list());
    let command = |more: &str| {
        let mut command = upload(&terminal, &file, &audience, more);
        command.env("ASSENT_ENDPOINT", wire.url());
        command
    };
    wire.stop_after(1_000_000);
    let mut cut = Process::spawn(command("").stdout(Stdio::piped()));
    until("nothing was sent", || wire.seen() > 1_000_000);
    // Two at the same time would be one too many.
    let second = ran(&mut command(""));
    assert_eq!(second.code, 6, "{second:?}");
    cut.kill();
    wire.stop_after(usize::MAX);
    let asked = uploaded(&mut command("--restart"));
    assert_eq!(asked["upload"]["batchesReceived"], 7);
    terminal.write("list.csv", list(3));
    let changed = ran(&mut command(""));
    assert!(changed.code == 0 && !changed.err.contains("going on"), "{changed:?}");
    let report: Value = serde_json::from_str(&changed.out).unwrap();
    assert_eq!(report["upload"]["rowsReceived"], "4");
}

/// A list without an end, through a pipe: memory stays as it is, and so with a row without an end.
#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_whatever_the_size_of_a_list() {
    const MOST: u64 = 100 << 20;
    let terminal = terminal().await;
    let audience = create(&terminal, "large");
    let begin = || {
        let mut command = upload(&terminal, Path::new("-"), &audience, "");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut child = begin();
    let mut list = child.stdin.take().unwrap();
    let filler = "x".repeat(3_000);
    list.write_all(b"notes,email\n").unwrap();
    for person in 0..100_000 {
        writeln!(list, "{filler},{}", email(person)).unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    drop(list);
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak = line.trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024;
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["upload"]["rowsReceived"], "100000");
    println!("300 MB through a pipe: {} MB resident at the most", peak >> 20);
    assert!(peak < MOST, "{peak}");

    let mut child = begin();
    let mut list = child.stdin.take().unwrap();
    list.write_all(b"notes,email\n,ann@example.com\n\"").unwrap();
    // Until the other end is closed: it does not wait for the end.
    while list.write_all(filler.as_bytes()).is_ok() {}
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("-: row 3 is longer than 1048576 bytes"), "{told}");
}

#[track_caller]
fn fails(ran: &Ran, code: i32, told: &[&str]) {
    assert_eq!(ran.code, code, "{ran:?}");
    assert_eq!(ran.out, "");
    for text in told {
        assert!(ran.err.contains(text), "{text:?} in {}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_uploaded_is_told_with_what_to_do_next() {
    let terminal = terminal().await;
    let audience = create(&terminal, "none");
    let upload = |name: &str, content: &[u8], more: &str| {
        terminal.write(name, content);
        terminal.run(&format!("audience upload {name} {audience} --may-use-list {more}"))
    };
    fails(&upload("empty.csv", b"\n", ""), 3, &["empty.csv: it is empty"]);
    fails(&upload("book.xlsx", b"PK\x03\x04", ""), 3, &["spreadsheet", "save it as CSV"]);
    fails(&upload("list.gz", b"\x1f\x8b\x08", ""), 3, &["compressed", "unpack"]);
    let unknown = upload("list.csv", b"name,mail of her\nAnn,ann@example.com\n", "");
    fails(&unknown, 3, &["column 2: mail of her", "--column email=HEADER"]);
    let unknown = upload("list.csv", b"name,e\nAnn,a@b.example\n", "--column email=f");
    fails(&unknown, 3, &["no column \"f\"", "column 2: e"]);
    let nobody = upload("list.csv", b"email\nnobody\n", "");
    fails(&nobody, 3, &["nothing in it can be sent", "row 2, email: the value is not an email"]);
    let cut = upload("book.vcf", b"BEGIN:VCARD\nTEL:+4915112000001\n", "");
    fails(&cut, 3, &["card 1 is cut off", "export it again"]);
    let own = upload("list.csv", b"email\nann@example.com\n", "--rejects list.csv");
    fails(&own, 2, &["would be overwritten"]);
    fails(&upload("list.csv", b"email\na@b.example\n", "--column fax=1"), 2, &["email, phone"]);
    fails(&upload("list.csv", b"email\na@b.example\n", "--region XX"), 2, &["ISO 3166"]);
    assert_eq!(remembered(&terminal), None);

    fails(&terminal.run("audience upload absent.csv x --may-use-list"), 3, &["absent.csv"]);
    fails(&terminal.run("audience upload list.csv x"), 2, &["--may-use-list"]);
    let missing = terminal.run("audience upload list.csv aud_0 --may-use-list");
    fails(&missing, 5, &["no such audience", "assent audience list"]);
    let unknown = terminal.run("audience list --business another-business");
    fails(&unknown, 5, &["no such business", "assent audience business"]);
    let down = ran(terminal.command().env("ASSENT_ENDPOINT", "http://127.0.0.1:1").args([
        "audience",
        "upload",
        "list.csv",
        &audience,
        "--may-use-list",
    ]));
    fails(&down, 6, &["does not answer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn audiences_are_made_shown_sized_and_ended() {
    let terminal = Terminal::start();
    let known = "audience business example-business --owner example-owner --name Bakery";
    assert_eq!(terminal.done(known), "Bakery (example-business) is known.\n");
    assert_eq!(
        terminal.done("audience list"),
        "No audience yet: `assent audience create` makes one.\n"
    );
    let made = terminal.done("audience create readers --source both --days 30");
    let audience = made.split_whitespace().next().unwrap();
    for shown in [
        "readers",
        "state      empty",
        "each stays for 30 days",
        "next       assent audience upload FILE aud-",
    ] {
        assert!(made.contains(shown), "{made}");
    }
    assert_eq!(terminal.done(&format!("audience show {audience}")), made);
    let shown = terminal.json(&format!("audience show {audience}"));
    assert_eq!(shown[0]["membershipLifetime"], "2592000s");
    let listed = terminal.json("audience list");
    assert_eq!(listed[0]["audienceId"], audience);
    assert!(terminal.done("audience list").contains(audience));

    terminal.write("list.csv", list(9));
    terminal.done(&format!("audience upload list.csv {audience} --may-use-list"));
    let size = terminal.done(&format!("audience estimate {audience}"));
    assert!(size.starts_with("below "), "{size}");
    let other = create(&terminal, "other");
    let both = terminal.json(&format!("audience estimate {audience} --not {other}"));
    assert_eq!(both[0]["belowMinimum"], true);
    let twice = terminal.run(&format!("audience estimate {audience} {audience}"));
    assert_eq!(twice.code, 3, "{twice:?}");

    let ended = terminal.done(&format!("audience delete {audience}"));
    assert_eq!(ended, format!("{audience} is ended.\n"));
    assert_eq!(terminal.run(&format!("audience show {audience}")).code, 5);
}
