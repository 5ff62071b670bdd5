//! Every command does what it says, in both forms: a table for people, the contract's JSON for
//! machines.

use serde_json::json;

use super::Terminal;

/// Publishes the example policy as `phone-sharing`.
fn publish(terminal: &Terminal) {
    let policy = include_str!("../../../../consent-svc/policies/example-opt-in.json");
    terminal.write("phone-sharing.json", policy);
    terminal.done("policy publish phone-sharing.json");
}

#[test]
fn policies_are_published_listed_shown_and_retired() {
    let terminal = Terminal::start();
    assert!(terminal.done("policy list").contains("assent policy publish"));
    assert!(terminal.json("policy list").is_empty());
    publish(&terminal);
    let next =
        terminal.json("policy publish phone-sharing.json --effective-at 2030-01-01T00:00:00Z");
    assert_eq!(next[0]["ref"], json!({"policyId": "phone-sharing", "version": 2}));
    assert_eq!(next[0]["state"], "POLICY_STATE_PUBLISHED");
    assert_eq!(next[0]["spec"]["effectiveAt"], "2030-01-01T00:00:00Z");

    let listed = terminal.done("policy list");
    let rows: Vec<Vec<&str>> =
        listed.lines().map(|line| line.split_whitespace().take(4).collect()).collect();
    assert_eq!(rows[0], ["POLICY", "VERSION", "STATE", "EFFECTIVE"]);
    assert_eq!(rows[1], ["phone-sharing", "2", "published", "2030-01-01T00:00:00Z"]);
    assert_eq!(rows[2][..3], ["phone-sharing", "1", "published"]);
    assert_eq!(terminal.json("policy list").len(), 2);

    let shown = terminal.done("policy show phone-sharing --version 1");
    for said in [
        "phone-sharing version 1, published: Sharing phone numbers with Social (opt-in)",
        "  where      EU, IS, LI, NO, GB, CH, BR, IN (opt in)",
        "  to accept  within 30 days; then: deny",
        "Notice (de, SHA-256 ",
        "social.ads (use, opt in, consent)",
        "  requires   messenger.share_phone",
        "  de         Werbung: Social nutzt",
    ] {
        assert!(shown.contains(said), "{said}:\n{shown}");
    }
    let newest = terminal.json("policy show phone-sharing");
    assert_eq!(newest[0]["ref"]["version"], 2);
    // What is shown can be published again, and as TOML.
    terminal.write("again.json", newest[0]["spec"].to_string());
    assert_eq!(terminal.run("policy publish again.json --id phone-sharing").code, 0);

    let several = terminal.run("policy retire phone-sharing");
    assert_eq!(several.code, 3);
    assert!(several.err.contains("--version"), "{}", several.err);
    terminal.done("policy retire phone-sharing --version 3");
    let retired = terminal.json("policy retire phone-sharing --version 2");
    assert_eq!(retired[0]["state"], "POLICY_STATE_RETIRED");
    // One is left: it need not be said which.
    assert!(terminal.done("policy retire phone-sharing").contains("version 1 is retired"));
    assert_eq!(terminal.run("policy retire phone-sharing").code, 5);
}

#[test]
fn a_policy_written_as_toml_is_published() {
    let terminal = Terminal::start();
    let toml = r#"
        title = "Counting"
        jurisdictions = ["DE"]
        regime = "CONSENT_REGIME_OPT_IN"
        effective_at = "2026-01-01T00:00:00Z"
        accept_within = "86400s"
        change_within = "86400s"
        on_lapse = "ON_LAPSE_DENY"
        after_window = "AFTER_WINDOW_WITHDRAW_ALWAYS"
        applies_to = "APPLIES_TO_ALL_SUBJECTS"
        [[notices]]
        locale = "en"
        text = "May we?"
        [[purposes]]
        purpose_id = "app.move"
        kind = "PURPOSE_KIND_TRANSFER"
        mechanism = "MECHANISM_OPT_IN"
        lawful_basis = "LAWFUL_BASIS_CONSENT"
        data_categories = ["phone number"]
        recipients = ["App, Inc."]
        texts = [{ locale = "en", title = "Move \u202ederever", text = "It moves." }]
    "#;
    terminal.write("counting.toml", toml);
    assert!(
        terminal.done("policy publish counting.toml").contains("counting version 1 is published")
    );
    terminal.done("account register ann --jurisdiction DE");
    // What others wrote neither turns nor colours the terminal's text.
    let shown = terminal.done("consent show ann");
    assert!(shown.contains("Move \u{fffd}derever"), "{shown}");
    let name = "re\u{1b}[31md\nfile";
    let told = super::ran(terminal.command().args(["consent", "verify", name]));
    assert!(told.out.starts_with("re\u{fffd}[31md\u{fffd}file: NOT TO BE TRUSTED\n"), "{told:?}");
    let told = super::ran(terminal.command().args(["policy", "publish", name]));
    assert!(told.err.contains("cannot read re\u{fffd}[31md\u{fffd}file: no such"), "{told:?}");
}

#[test]
fn a_person_decides_is_checked_and_withdraws() {
    let terminal = Terminal::start();
    publish(&terminal);
    let made = terminal.json(
        "account register ann --jurisdiction DE --app messenger --app social --phone +49301234567",
    );
    let awaiting = "STORAGE_STATUS_AWAITING_CONSENT";
    assert_eq!(
        made[0],
        json!({"consent": "STORAGE_STATUS_STORED", "audience": awaiting, "suggest": awaiting,
               "rejections": []})
    );
    let shown = terminal.done("consent show ann");
    assert!(shown.starts_with("ann: jurisdiction DE, adult, apps messenger social, revision 1\n"));
    assert!(
        shown.contains("social.ads                       no      notice not served"),
        "{shown}"
    );

    // Every purpose that was not chosen is named, and those that cannot be.
    let partly =
        terminal.run("consent decide ann --grant social.ads --refuse social.ads --grant a.b");
    assert_eq!(partly.code, 3);
    for said in [
        "messenger.share_phone: not chosen",
        "social.fight_spam: not chosen",
        "social.ads: chosen more than once",
        "a.b: nothing to choose there",
        "next: --grant or --refuse",
    ] {
        assert!(partly.err.contains(said), "{said}:\n{}", partly.err);
    }
    assert_eq!(terminal.json("consent history ann").len(), 1);
    assert_eq!(terminal.run("consent decide ann --others grant --locale fr").code, 3);

    let decided = terminal
        .run("consent decide ann --grant messenger.share_phone --grant social.ads --others refuse");
    assert_eq!(decided.code, 0, "{decided:?}");
    assert!(decided.err.contains("Messenger is part of the same company"), "the notice is shown");
    assert!(decided.out.contains("social.ads                       yes     explicit"));
    let check = |purpose: &str, code, said: &str| {
        let ran = terminal.run(&format!("consent check ann {purpose}"));
        assert_eq!((ran.code, ran.out.trim()), (code, said), "{purpose}");
    };
    check("social.ads", 0, "GRANTED (explicit)");
    check("social.fight_spam", 7, "DENIED (explicit)");
    let asked = terminal.run("consent check ann social.fight_spam --json");
    let asked: serde_json::Value = serde_json::from_str(&asked.out).unwrap();
    assert_eq!(asked["outcome"], "OUTCOME_DENIED");
    let before = terminal.json("consent show ann")[0]["evaluatedAt"].as_str().unwrap().to_owned();

    let withdrawn = terminal.json("consent withdraw ann social.ads --request-id w1");
    assert_eq!(withdrawn[0]["revision"], "3");
    // The same again is the same.
    assert_eq!(terminal.json("consent withdraw ann social.ads --request-id w1"), withdrawn);
    check("social.ads", 7, "DENIED (withdrawn)");
    let then = terminal.done(&format!("consent show ann --as-of {before}"));
    assert!(then.contains("social.ads                       yes"), "{then}");

    let history = terminal.done("consent history ann");
    let first: Vec<&str> =
        history.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(first[..3], ["#", "1", "2"]);
    assert!(history.contains("withdrawn          phone-sharing v1  -"), "{history}");
    let events = terminal.json("consent history ann");
    assert_eq!(events.len(), 3);
    assert_eq!(events[2]["eventId"], withdrawn[0]["eventId"]);

    // Receipts: of the latest event, and of one that is named.
    terminal.done("consent keys --out keys.json");
    terminal.done("consent receipt ann --out latest.json");
    let event = events[1]["eventId"].as_str().unwrap();
    terminal.write("second.json", terminal.done(&format!("consent receipt ann {event}")));
    let told = terminal.done("consent verify second.json latest.json --keys keys.json");
    assert!(told.contains("no longer   Ads (social.ads)"), "{told}");
    assert!(told.contains("The receipts of ann, events 2 to 3, follow one another."), "{told}");
    assert_eq!(terminal.run("consent receipt ann 9-nothing").code, 5);
}

#[test]
fn suggestions_are_listed_explained_dismissed_and_blocked() {
    let terminal = Terminal::start();
    publish(&terminal);
    let people = [("ann", "+49301234567"), ("bob", "+49307654321")];
    for round in ["before", "after"] {
        for (person, phone) in people {
            terminal.write("identifiers", format!("phone {phone}\n"));
            let app = "--jurisdiction DE --app messenger --app social --identifiers identifiers";
            terminal.done(&format!("account register {person} {app}"));
            if round == "before" {
                terminal.done(&format!("consent decide {person} --others grant"));
            }
        }
    }
    assert!(terminal.done("suggest list ann").starts_with("Nobody"));
    assert!(terminal.json("suggest list ann").is_empty());
    super::sync(&terminal, "ann", &[people[1].1]);
    super::sync(&terminal, "bob", &[people[0].1]);
    let listed = terminal.json("suggest list ann");
    assert_eq!(listed[0]["subjectId"], "bob");
    let shown = terminal.done("suggest list ann");
    let row: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], ["bob", "reciprocal", "contact"]);
    let id = listed[0]["suggestionId"].as_str().unwrap();
    let why = terminal.done(&format!("suggest explain ann {id}"));
    assert!(why.contains("Both agreed to: ") && why.contains("social.friend_suggestions"), "{why}");
    assert!(terminal.json(&format!("suggest explain ann {id}"))[0]["text"].is_string());
    // Another's suggestion.
    assert_eq!(terminal.run(&format!("suggest explain bob {id}")).code, 4);
    assert!(terminal.done("suggest explain ann bob").contains("Both agreed to: "));
    assert_eq!(terminal.run("suggest dismiss ann nobody").code, 5);

    assert_eq!(terminal.done("suggest blocked ann"), "Nobody.\n");
    terminal.done("suggest block ann bob");
    assert_eq!(terminal.json("suggest blocked ann"), [json!({"subjectId": "bob"})]);
    assert_eq!(terminal.done("suggest blocked ann"), "bob\n");
    assert!(terminal.json("suggest list bob").is_empty());
    terminal.json("suggest unblock ann bob");
    assert!(terminal.json("suggest blocked ann").is_empty());
    assert_eq!(terminal.json("suggest dismiss ann bob"), [json!({})]);
    assert!(terminal.json("suggest list ann").is_empty());
}

#[test]
fn an_account_is_exported_and_erased() {
    let terminal = Terminal::start();
    publish(&terminal);
    terminal.write("ann.txt", "phone +49301234567\nemail ann@\n");
    let register = "account register ann --jurisdiction DE --app social --identifiers ann.txt";
    let refused = terminal.run(register);
    assert_eq!(refused.code, 3);
    assert!(refused.err.contains("line 2: the value is not an email"), "{}", refused.err);
    assert!(refused.out.contains("consent-svc   stored"), "{}", refused.out);

    let shown = terminal.done("account export ann");
    assert!(shown.contains("consent-svc  consent.subject_put  "), "{shown}");
    let records = terminal.json("account export ann");
    assert_eq!(records[0]["service"], "consent-svc");
    assert_eq!(records[0]["category"], "consent.subject_put");
    assert!(terminal.done("account export ann --out ann.jsonl").contains("are in ann.jsonl"));
    let file = terminal.directory.path().join("ann.jsonl");
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), records.len());

    let unsaid = terminal.run("account erase ann");
    assert_eq!(unsaid.code, 2);
    assert!(unsaid.err.contains("--yes"), "{}", unsaid.err);
    terminal.done("consent show ann");
    assert_eq!(terminal.run("account erasure ann").code, 5);
    let erased = terminal.done("account erase ann --yes");
    assert!(erased.contains(" audience-svc  ") && erased.contains(" suggest-svc   "), "{erased}");
    let far = terminal.run("account erasure ann --json");
    let told: serde_json::Value = serde_json::from_str(&far.out).unwrap();
    assert_eq!(told["subjectId"], "ann");
    // They have so little of her that both may have forgotten it by now.
    assert_eq!(far.code, if told["complete"] == true { 0 } else { 7 }, "{far:?}");
    assert_eq!(terminal.run("consent check ann social.ads").out, "DENIED (erased)\n");
    let gone = terminal.run("consent show ann");
    assert_eq!(gone.code, 5);
    assert!(gone.err.contains("erased"), "{}", gone.err);
}
