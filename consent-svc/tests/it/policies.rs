//! Drafting, publishing and retiring policies.

use proto::{
    consent::v1::{
        AfterWindow, GetPolicyRequest, LawfulBasis, ListPoliciesRequest, OnLapse, PolicyRef,
        PolicyState, PurposeKind,
    },
    errors::v1::Reason,
};

use crate::harness::*;

on_every_store!(
    the_examples_can_be_published,
    the_life_of_a_version,
    contradictions_are_named_all_at_once,
    a_purpose_means_the_same_for_ever,
    lists_are_paged,
);

async fn the_examples_can_be_published(world: World) {
    let opt_in = world.announce("phone-sharing-opt-in", opt_in()).await;
    world.announce("phone-sharing-opt-out", opt_out()).await;
    world.put("sofie", "AX").await;
    world
        .decide(world.decision("sofie", &opt_in, &crate::harness::opt_in(), &[SHARE]))
        .await
        .unwrap();
    assert!(world.granted("sofie", SHARE).await);
}

async fn the_life_of_a_version(world: World) {
    let mut spec = opt_out();
    let draft = world.draft("sharing", spec.clone()).await.unwrap();
    let one = draft.r#ref.clone().unwrap();
    assert_eq!((one.version, draft.state()), (1, PolicyState::Draft));
    let stored = draft.spec.unwrap();
    assert_eq!(stored.notices[0].sha256, digest(&spec));
    spec.notices = stored.notices.clone();
    assert_eq!(stored, spec, "what was written is what is stored");

    let state = |version| {
        let policy = Some(PolicyRef { version, ..one.clone() });
        let got = world.admin(GetPolicyRequest { policy });
        let mut client = world.policies();
        async move { client.get_policy(got).await.map(|got| got.into_inner().policy.unwrap().state()) }
    };
    assert_eq!(reason(world.retire(one.clone()).await), Reason::PolicyState);
    let published = world.publish(one.clone()).await.unwrap();
    assert_eq!(published.published_at, Some(at(START)));
    assert_eq!(reason(world.publish(one.clone()).await), Reason::PolicyState);
    assert_eq!(state(1).await.unwrap(), PolicyState::Published);
    world.retire(one.clone()).await.unwrap();
    assert_eq!(reason(world.retire(one.clone()).await), Reason::PolicyState);
    assert_eq!(state(1).await.unwrap(), PolicyState::Retired);
    assert_eq!(reason(state(2).await), Reason::PolicyUnknown);

    spec.notices[0].sha256 = vec![1; 32];
    let (why, fields) = violations(world.draft("sharing", spec.clone()).await);
    assert_eq!((why, fields), (Reason::FieldsInvalid, vec!["spec.notices[0].sha256".to_owned()]));
    spec.notices[0].sha256.clear();
    assert_eq!(world.draft("sharing", spec.clone()).await.unwrap().r#ref.unwrap().version, 2);
    assert_eq!(world.draft("another", spec).await.unwrap().r#ref.unwrap().version, 1);
}

async fn contradictions_are_named_all_at_once(world: World) {
    let mut spec = opt_in();
    spec.on_lapse = OnLapse::Default as i32;
    spec.after_window = AfterWindow::Closed as i32;
    spec.accept_within = Some(days(0));
    spec.change_within = Some(days(40_000));
    spec.jurisdictions.push("EU".to_owned());
    spec.notices.push(spec.notices[0].clone());
    spec.purposes[0].consent_lifetime = Some(days(-1));
    spec.purposes[1].requires = vec!["social.nothing".to_owned()];
    spec.purposes[2].requires.push("social.usage_metrics".to_owned());
    spec.purposes[3].requires.push(ADS.to_owned());
    spec.purposes[4].purpose_id = MESSAGES.into();
    spec.purposes[4].texts.retain(|text| text.locale != "de");
    let last = spec.jurisdictions.len() - 1;
    let draft = world.draft("sharing", spec).await.unwrap().r#ref.unwrap();
    let (why, mut fields) = violations(world.publish(draft.clone()).await);
    fields.sort_unstable();
    assert_eq!(why, Reason::PolicyContradictory);
    let mut expected = vec![
        "accept_within".to_owned(),
        "after_window".to_owned(),
        "change_within".to_owned(),
        format!("jurisdictions[{last}]"),
        "notices[2].locale".to_owned(),
        "on_lapse".to_owned(),
        "purposes[0].consent_lifetime".to_owned(),
        "purposes[1].requires".to_owned(),
        "purposes[1].requires[0]".to_owned(),
        "purposes[2].requires".to_owned(),
        "purposes[3].requires".to_owned(),
        "purposes[4].texts".to_owned(),
        "purposes[5].purpose_id".to_owned(),
    ];
    expected.sort_unstable();
    assert_eq!(fields, expected);
    // It is a draft still.
    assert_eq!(reason(world.retire(draft).await), Reason::PolicyState);

    let mut closed = opt_out();
    closed.after_window = AfterWindow::Closed as i32;
    let draft = world.draft("closed", closed).await.unwrap().r#ref.unwrap();
    let (_, fields) = violations(world.publish(draft).await);
    assert_eq!(fields, ["after_window"], "a purpose rests on consent");
}

async fn a_purpose_means_the_same_for_ever(world: World) {
    let first = world.announce("sharing", opt_out()).await;
    world.retire(first).await.unwrap();
    let mut spec = opt_out();
    spec.purposes[1].kind = PurposeKind::Transfer as i32;
    spec.purposes[1].data_categories.push("contacts".to_owned());
    spec.purposes[2].recipients = vec!["Somebody else".to_owned()];
    spec.purposes[2].lawful_basis = LawfulBasis::Contract as i32;
    let publish = async |policy_id: &str| {
        let draft = world.draft(policy_id, spec.clone()).await.unwrap().r#ref.unwrap();
        let (why, mut fields) = violations(world.publish(draft).await);
        assert_eq!(why, Reason::PolicyContradictory);
        fields.sort_unstable();
        fields
    };
    // Another policy may rest on another ground; it may not do another thing.
    let done = ["purposes[1].data_categories", "purposes[1].kind", "purposes[2].recipients"];
    assert_eq!(publish("another").await, done);
    let mut all = done.to_vec();
    all.push("purposes[2].lawful_basis");
    all.sort_unstable();
    assert_eq!(publish("sharing").await, all);
}

async fn lists_are_paged(world: World) {
    for number in 0..5 {
        world.draft(&format!("policy-{number}"), opt_out()).await.unwrap();
    }
    let page = async |page_size, page_token: &str| {
        let message = ListPoliciesRequest { page_size, page_token: page_token.to_owned() };
        world.policies().list_policies(world.admin(message)).await.map(tonic::Response::into_inner)
    };
    let mut ids = Vec::new();
    let mut token = String::new();
    for _ in 0..3 {
        let page = page(2, &token).await.unwrap();
        ids.extend(page.policies.into_iter().map(|policy| policy.r#ref.unwrap().policy_id));
        token = page.next_page_token;
    }
    assert_eq!(ids, ["policy-4", "policy-3", "policy-2", "policy-1", "policy-0"]);
    assert!(token.is_empty());
    assert_eq!(reason(page(2, "not-a-token").await), Reason::PageTokenInvalid);
}
