//! What goes wrong is told with what to do next, and each kind has its exit code.

use std::{io::Write, net::TcpListener, process::Stdio, time::Duration};

use prost_types::Timestamp;
use proto::{
    consent::v1::{Erasure, ErasureFollower},
    errors::v1::Reason,
    gateway::v1::{ExportAccountResponse, GetErasureResponse},
    status,
    types::v1::ExportRecord,
};
use service_kit::{
    auth::{Caller, Issuer},
    clock::Clock,
};
use tonic::Status;

use super::{
    Ran, Terminal, ran,
    stub::{Script, answers, serve},
};
use crate::support::assent;

/// The code, and that each of these was said.
#[track_caller]
fn assert_told(ran: &Ran, code: i32, said: &[&str]) {
    assert_eq!(ran.code, code, "{ran:?}");
    assert!(ran.err.starts_with("assent: ") || code == 2, "{ran:?}");
    for text in said {
        assert!(ran.err.contains(text), "{text}: {}", ran.err);
    }
    for text in ["os error", "transport error", "Status {", "panicked", "status:"] {
        assert!(!ran.err.contains(text), "{text}: {}", ran.err);
    }
}

/// Runs commands with a token of this role.
fn as_whom(terminal: &Terminal, role: &str) -> impl Fn(&str) -> Ran {
    with_token(terminal, terminal.done(&format!("token --role {role}")))
}

fn with_token(terminal: &Terminal, token: String) -> impl Fn(&str) -> Ran {
    move |arguments| {
        let mut command = terminal.command();
        ran(command.args(arguments.split_whitespace()).env("ASSENT_TOKEN", token.trim()))
    }
}

#[test]
fn a_time_that_is_none_is_told_with_how_one_is_written() {
    for command in [
        "policy publish p.json --effective-at tomorrow",
        "consent show ann --as-of tomorrow",
        "account register ann --jurisdiction DE --created-at tomorrow",
    ] {
        let ran = ran(assent().args(command.split_whitespace()));
        assert_told(&ran, 2, &["'tomorrow'", "a time is written as 2027-01-31T12:00:00Z"]);
    }
}

#[test]
fn who_may_not_and_what_is_not_there_is_told() {
    let terminal = Terminal::start();
    let bob = as_whom(&terminal, "user --subject bob");
    assert_told(&bob("consent show ann"), 4, &["REASON_NOT_OWN_DATA", "the subject ann"]);
    assert_told(&bob("account register bob --jurisdiction DE"), 4, &["the role APP"]);
    assert_told(&bob("match-keys progress"), 4, &["the role ADMIN"]);
    let key = terminal.directory.path().join("assent-data/development-key.pem");
    let yesterday = Clock::system().now().minus(Duration::from_hours(24));
    let old = Issuer::development(&key).unwrap();
    let old = old.issue(&Caller::user("bob"), yesterday, Duration::from_hours(1));
    assert_told(&with_token(&terminal, old)("policy list"), 4, &["the token has expired"]);
    assert_told(&terminal.run("consent show ann"), 5, &["no such subject"]);
    assert_told(&terminal.run("policy show none"), 5, &["`assent policy list`"]);
    assert_told(&terminal.run("policy show none --version 3"), 5, &["no such policy version"]);
    assert_told(&terminal.run("consent show +49301234567"), 3, &["no subject id"]);
    assert_told(&terminal.run("token --role user --subject +49301234567"), 3, &["no subject id"]);
    let wrong = terminal.run("account register ann --jurisdiction Nowhere --app +49301");
    assert_told(&wrong, 3, &["jurisdiction: ", "apps[0]: "]);
    let wrong = terminal.run("account register ann --jurisdiction DE --region X");
    assert_told(&wrong, 2, &["ISO 3166"]);
    let taken = terminal.suite.gateway().trim_start_matches("http://");
    let second = terminal.run(&format!("serve --data another --address {taken}"));
    assert_told(&second, 1, &["serving on 127", "choose another --address"]);
    // The key of another suite.
    let other = tempfile::tempdir().unwrap();
    assert!(
        assent()
            .args(["token", "--role", "app", "--data"])
            .arg(other.path())
            .status()
            .unwrap()
            .success()
    );
    let mut command = terminal.command();
    let refused = ran(command.args(["policy", "list", "--data"]).arg(other.path()));
    assert_told(&refused, 4, &["--data must be the directory of the suite"]);
    // A suite without TLS is not trusted when TLS is asked for.
    let secured = terminal.suite.gateway().replace("http:", "https:");
    assert_told(&terminal.run(&format!("policy list --endpoint {secured}")), 4, &["--ca-file"]);
}

#[test]
fn a_policy_file_with_faults_is_told_with_each() {
    let terminal = Terminal::start();
    let example = include_str!("../../../../consent-svc/policies/example-opt-in.json");
    let publish = |name: &str, text: &str| {
        terminal.write(name, text);
        terminal.run(&format!("policy publish {name}"))
    };
    let misspelt = example.replacen("\"mechanism\"", "\"mechanims\"", 1);
    let line = misspelt.lines().position(|line| line.contains("mechanims")).unwrap() + 1;
    let told = publish("a.json", &misspelt);
    assert_told(&told, 3, &["a.json is not a policy", &format!("line {line}: "), "mechanims"]);
    assert_told(&publish("b.toml", "title = 1\n[[purposes]"), 3, &["b.toml", "line 2: "]);
    assert_told(&publish("c.json", ""), 3, &["line 1: "]);
    // The service names every field, as it stands in the file.
    let wrong =
        example.replacen("social.ads", "Social Ads", 1).replacen("\"en\"", "\"english!\"", 1);
    let told = publish("d.json", &wrong);
    assert_told(&told, 3, &["\n  notices[0].locale: ", "\n  purposes[2].purpose_id: ", "d.json"]);
    let contradictory = example.replacen("ON_LAPSE_DENY", "ON_LAPSE_DEFAULT", 1);
    let told = publish("e.json", &contradictory);
    assert_told(&told, 3, &["stored as a draft", "\n  on_lapse: ", "correct the file"]);
    assert_told(&terminal.run("policy publish absent.json"), 3, &["cannot read absent.json"]);
    assert_told(&terminal.run("policy publish ."), 3, &["is a directory"]);
}

#[test]
fn without_a_suite_it_is_told_how_to_get_one() {
    let directory = tempfile::tempdir().unwrap();
    let at = |arguments: &[&str], token: &str| {
        let mut command = assent();
        ran(command.current_dir(directory.path()).args(arguments).env("ASSENT_TOKEN", token))
    };
    assert_told(
        &at(&["policy", "list"], ""),
        4,
        &["`assent serve`", "ASSENT_TOKEN", "--token-file"],
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is made");
    let nowhere = ["policy", "list", "--endpoint", "http://127.0.0.1:1"];
    assert_told(
        &at(&nowhere, "sesame"),
        6,
        &["http://127.0.0.1:1 does not answer", "`assent serve`"],
    );
    let wrong = ["policy", "list", "--endpoint", "ftp://example.org"];
    assert_told(&at(&wrong, "sesame"), 3, &["http://HOST:PORT"]);
    assert_told(&at(&["policy", "list", "--ca-file", "none.pem"], "sesame"), 3, &["none.pem"]);
    // Something answers that is no gateway.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let told = at(&["policy", "list", "--endpoint", &url], "sesame");
    assert!([1, 6].contains(&told.code), "{told:?}");
    assert_told(&told, told.code, &["--endpoint"]);
    assert_told(&at(&["policy", "publish"], ""), 2, &["Usage:"]);
    assert_told(&at(&["no-such-command"], ""), 2, &["Usage:"]);
}

#[test]
fn a_token_is_taken_from_the_environment_or_a_file_and_from_nowhere_else() {
    let terminal = Terminal::start();
    let token = terminal.done("token --role admin").trim().to_owned();
    terminal.write("token", format!("{token}\n"));
    terminal.write("two", format!("{token}\n{token}\n"));
    terminal.write("none", " \n");
    terminal.write("binary", [0xff, 0xfe]);
    let at = |arguments: &str, from_environment: &str| {
        let mut command = terminal.command();
        command.args(["policy", "list", "--data", "nowhere"]);
        command.args(arguments.split_whitespace());
        let ran = ran(command.env("ASSENT_TOKEN", from_environment));
        assert!(!ran.out.contains(&token) && !ran.err.contains(&token), "{ran:?}");
        ran
    };
    assert_eq!(at("", &token).code, 0);
    assert_eq!(at("--token-file token", "").code, 0);
    // The file is what was asked for.
    assert_eq!(at("--token-file token", "sesame").code, 0);
    assert_told(&at("", "sesame"), 4, &["REASON_TOKEN_INVALID"]);
    assert_told(&at("--token-file two", ""), 4, &["more than one line"]);
    assert_told(&at("--token-file none", ""), 4, &["no token in the file"]);
    assert_told(&at("--token-file binary", ""), 3, &["cannot read binary"]);
    assert_told(&at("--token-file absent", ""), 3, &["cannot read absent"]);
    assert_eq!(at(&format!("--token {token}"), "").code, 2);
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let terminal = Terminal::start();
    terminal.done("account register ann --jurisdiction DE");
    for arguments in [
        "policy list",
        "consent show ann",
        "consent history ann",
        "account export ann --json",
        "completions bash",
        "token --role admin",
        "match-keys progress",
        "serve --address 127.0.0.1:0 --data other",
    ] {
        let mut command = terminal.command();
        command.args(arguments.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*told), (Some(141), ""), "{arguments}");
    }
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = terminal.command().args(["policy", "list"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}

#[allow(clippy::unnecessary_wraps)] // an answer of the script
fn erasure(complete: bool) -> Result<GetErasureResponse, Status> {
    let at = Timestamp { seconds: 1_767_225_600, nanos: 0 };
    let follower = ErasureFollower {
        follower: "audience-svc".to_owned(),
        acknowledged_at: complete.then_some(at),
    };
    let erasure = Erasure {
        subject_id: "ann".to_owned(),
        requested_at: Some(at),
        followers: vec![follower],
        complete,
    };
    Ok(GetErasureResponse { erasure: Some(erasure) })
}

/// Runs `assent account …` against a gateway with this script.
async fn against(script: Script, arguments: &str, directory: &std::path::Path) -> Ran {
    let (url, serving) = serve(script).await;
    let mut command = assent();
    command.current_dir(directory).env("ASSENT_ENDPOINT", url).env("ASSENT_TOKEN", "sesame");
    command.arg("account").args(arguments.split_whitespace());
    let ran = tokio::task::spawn_blocking(move || ran(&mut command)).await.unwrap();
    serving.abort();
    ran
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_waited_for_while_the_gateway_comes_and_goes() {
    let directory = tempfile::tempdir().unwrap();
    let away = || Err(status::status(Reason::NotServing, "starting"));
    let script = Script {
        erasures: answers([erasure(false), erasure(false), away(), erasure(true)]),
        ..Script::default()
    };
    let ran = against(script, "erase ann --yes --wait", directory.path()).await;
    assert_eq!((ran.code, &*ran.err), (0, ""), "{ran:?}");
    assert!(ran.out.contains("audience-svc  2026-01-01T00:00:00Z"), "{}", ran.out);
    assert!(ran.out.contains("Every service has erased."), "{}", ran.out);
    let script = Script { erasures: answers([erasure(true)]), ..Script::default() };
    assert_eq!(against(script, "erasure ann", directory.path()).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_answers_decides_the_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let internal = || {
        let mut error = status::status(Reason::Internal, "a fault");
        error.metadata_mut().insert("x-request-id", "r-77".parse().unwrap());
        error
    };
    let busy = status::retryable(Reason::QuotaExceeded, "too many", Duration::from_secs(7));
    let cases = [
        (busy, 6, "next: try again in 7 s"),
        (status::status(Reason::DeadlineExceeded, "too late"), 6, "next: try again later"),
        (status::status(Reason::MessageTooLarge, "too large"), 3, "too large"),
        (status::status(Reason::SubjectErased, "erased"), 5, "REASON_SUBJECT_ERASED"),
        (status::status(Reason::RequestIdReused, "reused"), 3, "REASON_REQUEST_ID_REUSED"),
        (status::status(Reason::MethodUnknown, "no such method"), 1, "an older version"),
        (internal(), 1, "the request id r-77"),
    ];
    for (error, code, said) in cases {
        let script = Script { erasures: answers([Err(error)]), ..Script::default() };
        assert_told(&against(script, "erasure ann", directory.path()).await, code, &[said]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_breaks_off_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let record = ExportRecord { category: "consent.event".to_owned(), ..ExportRecord::default() };
    let part = ExportAccountResponse { service: "consent-svc".to_owned(), records: vec![record] };
    let broken = || {
        let error = status::status(Reason::DependencyUnavailable, "audience-svc did not answer");
        Script { export: answers([Ok(part.clone()), Err(error)]), ..Script::default() }
    };
    let said = ["the export broke off", "audience-svc did not answer"];
    assert_told(&against(broken(), "export ann --out a", directory.path()).await, 6, &said);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    let told = against(broken(), "export ann --json", directory.path()).await;
    assert_told(&told, 6, &said);
    assert!(told.out.contains("consent.event"));
    let whole = Script { export: answers([Ok(part.clone())]), ..Script::default() };
    assert_eq!(against(whole, "export ann --out a", directory.path()).await.code, 0);
    assert!(directory.path().join("a").exists());
    let unwritable = Script { export: answers([Ok(part)]), ..Script::default() };
    let told = against(unwritable, "export ann --out no/where/a", directory.path()).await;
    assert_told(&told, 1, &["cannot write no/where/a"]);
}
