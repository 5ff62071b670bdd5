//! What may be decided and changed, when, and what is refused.

use proto::{
    consent::v1::{AfterWindow, ChangeOption, Choice, GetConsentRequest, LawfulBasis, Mechanism},
    errors::v1::Reason,
};

use crate::harness::*;

on_every_store!(
    the_story,
    in_opt_in_jurisdictions_the_way_out_never_closes,
    where_it_is_closed_it_is_closed,
    everything_wrong_with_a_decision_is_named_at_once,
    policies_that_do_not_ask,
    a_withdrawal_is_not_undone_by_an_older_choice,
    an_acknowledged_refusal_is_denied_however_it_is_dated,
    a_decision_is_not_dated_before_its_policy_was_published,
    a_childs_choice_does_not_become_an_adults,
    history_is_chained,
);

/// Existing users get 30 days to agree and may uncheck boxes before agreeing; for 30 days after
/// agreeing they can still change it in settings.
async fn the_story(world: World) {
    let mut spec = opt_out();
    spec.refusal_reversible = false;
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("ines", "US").await;
    world.serve_notice("ines", &policy, &spec).await.unwrap();
    assert_eq!(world.option("ines", ADS).await, (ChangeOption::Any, Some(START + 30 * DAY)));

    // On day 20 she agrees, and unchecks ads.
    world.advance_to(START + 20 * DAY);
    let all: Vec<&str> = spec.purposes.iter().map(|purpose| purpose.purpose_id.as_str()).collect();
    let but_ads: Vec<&str> = all.iter().copied().filter(|id| *id != ADS).collect();
    world.decide(world.decision("ines", &policy, &spec, &but_ads)).await.unwrap();
    assert!(!world.granted("ines", ADS).await && world.granted("ines", MESSAGES).await);

    // Until day 50 she can change it, either way; changing it does not begin the time anew.
    let end = START + 50 * DAY;
    assert_eq!(world.option("ines", ADS).await, (ChangeOption::Any, Some(end)));
    world.advance_to(end - 1);
    world.decide(world.decision("ines", &policy, &spec, &all)).await.unwrap();
    assert!(world.granted("ines", ADS).await);
    world.decide(world.decision("ines", &policy, &spec, &but_ads)).await.unwrap();
    assert!(!world.granted("ines", ADS).await);

    // Then a no stays a no, and a yes can only be withdrawn.
    world.advance_to(end);
    assert_eq!(world.option("ines", ADS).await, (ChangeOption::None, None));
    assert_eq!(world.option("ines", MESSAGES).await, (ChangeOption::Withdraw, None));
    let too_late = world.decide(world.decision("ines", &policy, &spec, &all)).await;
    assert_eq!(
        violations(too_late),
        (Reason::DecisionClosed, vec!["choices[2].purpose_id".into()])
    );
    // Repeating what is so already is no change.
    world.decide(world.decision("ines", &policy, &spec, &but_ads)).await.unwrap();
    world.withdraw("ines", &[MESSAGES]).await.unwrap();
    assert!(!world.granted("ines", MESSAGES).await);
    let again = world.decide(world.decision("ines", &policy, &spec, &but_ads)).await;
    assert_eq!(reason(again), Reason::DecisionClosed);
}

async fn in_opt_in_jurisdictions_the_way_out_never_closes(world: World) {
    let spec = opt_in();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("jan", "DE").await;
    world.put("silent", "DE").await;
    world.serve_notice("silent", &policy, &spec).await.unwrap();
    world.decide(world.decision("jan", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    world.advance_to(START + 3_000 * DAY);
    assert!(!world.granted("silent", ADS).await, "silence is not a yes");
    assert!(world.granted("jan", ADS).await);
    assert_eq!(world.option("jan", ADS).await, (ChangeOption::Withdraw, None));
    world.withdraw("jan", &[ADS]).await.unwrap();
    assert!(!world.granted("jan", ADS).await && world.granted("jan", SHARE).await);
    // A refusal is reversible here.
    assert_eq!(world.option("jan", ADS).await, (ChangeOption::Grant, None));
    world.decide(world.decision("jan", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    assert!(world.granted("jan", ADS).await);
}

async fn where_it_is_closed_it_is_closed(world: World) {
    let mut spec = opt_out();
    spec.after_window = AfterWindow::Closed as i32;
    spec.purposes.retain(|purpose| purpose.purpose_id != MESSAGES);
    spec.purposes.last_mut().unwrap().mechanism = Mechanism::NoticeOnly as i32;
    let told = spec.purposes.last().unwrap().purpose_id.clone();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("kim", "US").await;
    // Where there is nothing to choose there is nothing to withdraw, told or not.
    assert_eq!(reason(world.withdraw("kim", &[&told]).await), Reason::DecisionClosed);
    world.decide(world.decision("kim", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    world.advance_to(START + 30 * DAY);
    let closed = world.withdraw("kim", &[SHARE, ADS]).await;
    let fields = vec!["purpose_ids[0]".to_owned(), "purpose_ids[1]".to_owned()];
    assert_eq!(violations(closed), (Reason::DecisionClosed, fields));
    assert!(world.granted("kim", ADS).await);
    assert_eq!(reason(world.withdraw("kim", &[&told]).await), Reason::DecisionClosed);
}

async fn everything_wrong_with_a_decision_is_named_at_once(world: World) {
    let mut spec = opt_out();
    spec.purposes[4].mechanism = Mechanism::NoticeOnly as i32;
    spec.purposes[4].lawful_basis = LawfulBasis::LegitimateInterests as i32;
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("lea", "US").await;
    let good = world.decision("lea", &policy, &spec, &[SHARE]);
    let choice = |id: &str| Choice { purpose_id: id.to_owned(), granted: true };

    let mut bad = good.clone();
    bad.choices = vec![
        choice(SHARE),
        choice(SHARE),
        choice("social.unheard_of"),
        choice("social.fight_spam"),
    ];
    bad.evidence.as_mut().unwrap().notice_sha256 = vec![9; 32];
    bad.evidence.as_mut().unwrap().decided_at = Some(at(START + DAY));
    bad.decided_by = "mother".into();
    let (first, mut fields) = violations(world.decide(bad).await);
    fields.sort_unstable();
    assert_eq!(first, Reason::FieldsInvalid);
    let all = [
        "choices",
        "choices[1].purpose_id",
        "choices[2].purpose_id",
        "choices[3].purpose_id",
        "decided_by",
        "evidence.decided_at",
        "evidence.notice_sha256",
    ];
    assert_eq!(fields, all);

    // Each by itself.
    let mut bad = good.clone();
    bad.choices.push(choice("social.unheard_of"));
    assert_eq!(reason(world.decide(bad).await), Reason::PurposeNotInPolicy);
    let mut bad = good.clone();
    bad.choices.pop();
    assert_eq!(reason(world.decide(bad).await), Reason::PurposeChoiceMissing);
    let mut bad = good.clone();
    bad.evidence.as_mut().unwrap().notice_sha256 = vec![9; 32];
    assert_eq!(reason(world.decide(bad).await), Reason::NoticeUnknown);
    let mut bad = good.clone();
    bad.evidence.as_mut().unwrap().decided_at = Some(at(START + DAY));
    assert_eq!(reason(world.decide(bad).await), Reason::DecisionInFuture);
    let mut bad = good.clone();
    bad.subject_id = "nobody".into();
    assert_eq!(reason(world.decide(bad).await), Reason::SubjectUnknown);
    let mut bad = good.clone();
    bad.policy.as_mut().unwrap().version = 9;
    assert_eq!(reason(world.decide(bad).await), Reason::PolicyUnknown);
    let mut bad = good.clone();
    bad.decided_by = "mother".into();
    assert_eq!(reason(world.decide(bad).await), Reason::RelationInvalid);

    // None of it left a trace.
    assert_eq!(world.events("lea").await.len(), 1);
    world.decide(good).await.unwrap();
    assert_eq!(
        reason(world.withdraw("lea", &["social.unheard_of"]).await),
        Reason::PurposeNotInPolicy
    );
    let as_of = Some(at(START + 1));
    let asked = GetConsentRequest { subject_id: "lea".to_owned(), as_of };
    let refused = violations(world.consent().get_consent(world.app(asked)).await);
    assert_eq!(refused, (Reason::FieldsInvalid, vec!["as_of".to_owned()]));
}

async fn policies_that_do_not_ask(world: World) {
    let spec = opt_out();
    world.put("mia", "US").await;
    world.put("nils", "DE").await;
    let draft = world.draft("sharing", spec.clone()).await.unwrap().r#ref.unwrap();
    let mut refused = Vec::new();
    refused.push(world.decide(world.decision("mia", &draft, &spec, &[])).await);
    world.publish(draft.clone()).await.unwrap();
    refused.push(world.decide(world.decision("nils", &draft, &spec, &[])).await);
    let next = world.announce("sharing", spec.clone()).await;
    refused.push(world.decide(world.decision("mia", &draft, &spec, &[])).await);
    world.retire(next.clone()).await.unwrap();
    refused.push(world.decide(world.decision("mia", &next, &spec, &[])).await);
    let reasons: Vec<Reason> = refused.into_iter().map(reason).collect();
    let not_asked = Reason::PolicyNotApplicable;
    assert_eq!(reasons, [not_asked, not_asked, not_asked, Reason::PolicyRetired]);
    let served = world.serve_notice("mia", &next, &spec).await;
    assert_eq!(reason(served), Reason::PolicyNotApplicable);
    // With the newer one gone, the older asks again.
    world.decide(world.decision("mia", &draft, &spec, &[SHARE])).await.unwrap();
}

async fn a_withdrawal_is_not_undone_by_an_older_choice(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("otto", "US").await;
    world.advance_to(START + DAY);
    // A phone that was offline sends a yes of yesterday after the withdrawal of today.
    world.withdraw("otto", &[ADS]).await.unwrap();
    let mut late = world.decision("otto", &policy, &spec, &[SHARE, ADS]);
    late.evidence.as_mut().unwrap().decided_at = Some(at(START));
    world.decide(late).await.unwrap();
    assert!(!world.granted("otto", ADS).await);
    assert!(world.granted("otto", SHARE).await);
}

async fn an_acknowledged_refusal_is_denied_however_it_is_dated(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("quin", "US").await;
    let noon = START + DAY;
    world.advance_to(noon);
    world.decide(world.decision("quin", &policy, &spec, &[SHARE, ADS, MESSAGES])).await.unwrap();
    world.withdraw("quin", &[MESSAGES]).await.unwrap();
    // Half a minute later a device whose clock is two minutes slow sends a no to ads.
    world.advance_to(noon + 30_000);
    let mut slow = world.decision("quin", &policy, &spec, &[SHARE, MESSAGES]);
    slow.evidence.as_mut().unwrap().decided_at = Some(at(noon - 90_000));
    world.decide(slow).await.unwrap();
    assert!(!world.granted("quin", ADS).await, "what was refused is denied");
    assert!(
        !world.granted("quin", MESSAGES).await,
        "a yes of before the withdrawal undoes nothing"
    );
    assert!(world.granted("quin", SHARE).await);
    // What the device said of the time is kept as evidence.
    let events = world.events("quin").await;
    assert_eq!(events.last().unwrap().occurred_at.map(millis), Some(noon - 90_000));
    // A new yes is the later word again.
    world.decide(world.decision("quin", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    assert!(world.granted("quin", ADS).await);
}

async fn a_decision_is_not_dated_before_its_policy_was_published(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("remo", "US").await;
    world.advance_to(START + DAY);
    let mut early = world.decision("remo", &policy, &spec, &[SHARE]);
    early.evidence.as_mut().unwrap().decided_at = Some(at(START - 1));
    let refused = violations(world.decide(early.clone()).await);
    assert_eq!(refused, (Reason::FieldsInvalid, vec!["evidence.decided_at".to_owned()]));
    early.evidence.as_mut().unwrap().decided_at = Some(at(START));
    world.decide(early).await.unwrap();
}

async fn a_childs_choice_does_not_become_an_adults(world: World) {
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    let mut child = world.person("pia", "US");
    child.age_band = proto::consent::v1::AgeBand::UnderAge as i32;
    world.put_as(child).await;
    world.serve_notice("pia", &policy, &spec).await.unwrap();
    world.decide(world.decision("pia", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    world.advance_to(START + 40 * DAY);
    world.put("pia", "US").await;
    // Neither the child's yes nor the child's silence counts.
    assert!(!world.granted("pia", SHARE).await);
    world.decide(world.decision("pia", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    assert!(world.granted("pia", ADS).await);
}

async fn history_is_chained(mut world: World) {
    use proto::consent::v1::EventKind::*;
    let spec = opt_out();
    let policy = world.announce("sharing", spec.clone()).await;
    world.put("rosa", "US").await;
    world.serve_notice("rosa", &policy, &spec).await.unwrap();
    world.serve_notice("rosa", &policy, &spec).await.unwrap();
    let decided =
        world.decide(world.decision("rosa", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    let withdrawn = world.withdraw("rosa", &[ADS]).await.unwrap();
    world.object("rosa", true).await;
    let events = world.events("rosa").await;
    let kinds: Vec<_> = events.iter().map(proto::consent::v1::Event::kind).collect();
    assert_eq!(kinds, [SubjectPut, NoticeServed, DecisionRecorded, Withdrawn, ObjectionSignalSet]);
    let revisions: Vec<u64> = events.iter().map(|event| event.revision).collect();
    assert_eq!(revisions, [1, 2, 3, 4, 5]);
    assert_eq!((&events[2].event_id, events[2].revision), (&decided.event_id, decided.revision));
    assert_eq!(
        (&events[3].event_id, events[3].revision),
        (&withdrawn.event_id, withdrawn.revision)
    );
    assert_eq!(events[2].policy, Some(policy));
    let yes = events[2].choices.iter().filter(|choice| choice.granted);
    assert_eq!(yes.map(|choice| choice.purpose_id.as_str()).collect::<Vec<_>>(), [SHARE, ADS]);
    assert!(events.iter().all(|event| event.digest.len() == 32));
    // It is all still there after a restart, and so is the answer.
    world.restart().await;
    assert_eq!(world.events("rosa").await, events);
    assert!(!world.granted("rosa", ADS).await);
}
