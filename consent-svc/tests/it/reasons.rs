//! Every reason that a check can give, and the instant until which it holds.

use proto::{
    consent::v1::{AgeBand, AppliesTo, DecisionReason::*, LawfulBasis, Mechanism},
    errors::v1::Reason,
};

use crate::harness::*;

on_every_store!(every_reason, before_it_takes_effect, the_most_specific_policy_decides);

async fn every_reason(world: World) {
    let mut spec = opt_out();
    spec.applies_to = AppliesTo::ExistingSubjects as i32;
    for purpose in &mut spec.purposes {
        match purpose.purpose_id.as_str() {
            MESSAGES => purpose.consent_lifetime = Some(days(10)),
            "social.fight_spam" => {
                purpose.mechanism = Mechanism::NoticeOnly as i32;
                purpose.lawful_basis = LawfulBasis::LegalObligation as i32;
            }
            _ => {}
        }
    }
    let policy = world.announce("sharing", spec.clone()).await;
    let lapse = START + 30 * DAY;

    // Day 0.
    assert_eq!(world.check("nobody", ADS).await, (false, UnknownSubject, None));
    world.put("abroad", "DE").await;
    assert_eq!(world.check("abroad", ADS).await, (false, NoPolicy, None));
    world.put("silent", "US").await;
    assert_eq!(world.check("silent", "social.never_asked").await, (false, NoPolicy, None));
    assert_eq!(world.check("silent", ADS).await, (false, NoticeNotServed, None));
    assert_eq!(world.serve_notice("silent", &policy, &spec).await.unwrap(), Some(lapse));
    assert_eq!(world.check("silent", ADS).await, (false, WindowPending, Some(lapse)));

    let person = world.person("child", "US");
    let age_band = AgeBand::UnderAge as i32;
    world.put_as(proto::consent::v1::PutSubjectRequest { age_band, ..person }).await;
    assert_eq!(world.check("child", ADS).await, (false, GuardianRequired, None));

    let mut person = world.person("newcomer", "US");
    person.account_created_at = Some(at(START));
    world.put_as(person).await;
    assert_eq!(world.check("newcomer", ADS).await, (false, NotAsked, None));

    let mut person = world.person("elsewhere", "US");
    person.apps = vec!["messenger".to_owned()];
    world.put_as(person).await;
    world.serve_notice("elsewhere", &policy, &spec).await.unwrap();
    assert_eq!(world.check("elsewhere", SHARE).await, (false, NoReceivingAccount, None));

    world.put("chooser", "US").await;
    let yes = [SHARE, "social.friend_suggestions", MESSAGES];
    let answered = world.decide(world.decision("chooser", &policy, &spec, &yes)).await.unwrap();
    assert_eq!(answered.answers.len(), spec.purposes.len());
    assert_eq!(world.check("chooser", SHARE).await, (true, Explicit, None));
    assert_eq!(world.check("chooser", ADS).await, (false, Explicit, None));
    assert_eq!(world.check("chooser", "social.fight_spam").await, (true, NoticeServed, None));
    let expiry = START + 10 * DAY;
    assert_eq!(world.check("chooser", MESSAGES).await, (true, Explicit, Some(expiry)));

    world.put("objector", "US").await;
    world.decide(world.decision("objector", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    world.advance_to(START + 1);
    world.object("objector", true).await;
    assert_eq!(world.check("objector", ADS).await, (false, ObjectionSignal, None));
    // Saying yes in spite of the signal outweighs it, also when the device repeats it.
    world.advance_to(START + 2);
    world.decide(world.decision("objector", &policy, &spec, &[SHARE, ADS])).await.unwrap();
    world.object("objector", true).await;
    assert_eq!(world.check("objector", ADS).await, (true, Explicit, None));

    // The last millisecond of the grant, and the first after it.
    world.advance_to(expiry - 1);
    assert_eq!(world.check("chooser", MESSAGES).await, (true, Explicit, Some(expiry)));
    world.advance_to(expiry);
    assert_eq!(world.check("chooser", MESSAGES).await, (false, Expired, None));

    world.withdraw("chooser", &[SHARE]).await.unwrap();
    assert_eq!(world.check("chooser", SHARE).await, (false, Withdrawn, None));
    let friends = world.check("chooser", "social.friend_suggestions").await;
    assert_eq!(friends, (false, PrerequisiteDenied, None));

    world.advance_to(lapse - 1);
    assert_eq!(world.check("silent", ADS).await, (false, WindowPending, Some(lapse)));
    world.advance_to(lapse);
    assert_eq!(world.check("silent", ADS).await, (true, DefaultAfterLapse, None));
    assert_eq!(world.check("silent", MESSAGES).await, (false, DefaultAfterLapse, None));
    world.object("silent", true).await;
    assert_eq!(world.check("silent", ADS).await, (false, ObjectionSignal, None));
    assert_eq!(world.check("elsewhere", ADS).await, (false, PrerequisiteDenied, None));
}

async fn before_it_takes_effect(world: World) {
    let first = opt_in();
    let old = world.announce("sharing", first.clone()).await;
    world.put("anna", "DE").await;
    world.decide(world.decision("anna", &old, &first, &[SHARE])).await.unwrap();

    // The next version asks one thing more, from day 5 on.
    let mut next = first.clone();
    next.effective_at = Some(at(START + 5 * DAY));
    let mut added = next.purposes[2].clone();
    added.purpose_id = "social.surveys".into();
    next.purposes.push(added);
    let new = world.announce("sharing", next.clone()).await;
    assert_eq!(new.version, 2);

    // The old one goes on deciding; what only the new one asks is not granted yet.
    assert_eq!(world.check("anna", SHARE).await, (true, Explicit, None));
    assert_eq!(world.check("anna", "social.surveys").await, (false, NoticeNotServed, None));
    let accept_until = world.serve_notice("anna", &new, &next).await.unwrap();
    assert_eq!(accept_until, Some(START + 35 * DAY));
    assert_eq!(world.check("anna", "social.surveys").await, (false, WindowPending, accept_until));

    // It can be decided on when it is in effect, and no sooner.
    let yes = [SHARE, "social.surveys"];
    let early = world.decide(world.decision("anna", &new, &next, &yes)).await;
    assert_eq!(reason(early), Reason::PolicyNotEffective);
    world.advance_to(START + 5 * DAY - 1);
    let early = world.decide(world.decision("anna", &new, &next, &yes)).await;
    assert_eq!(reason(early), Reason::PolicyNotEffective);
    world.advance_to(START + 5 * DAY);
    world.decide(world.decision("anna", &new, &next, &yes)).await.unwrap();
    assert_eq!(world.check("anna", "social.surveys").await, (true, Explicit, None));
    assert_eq!(world.check("anna", SHARE).await, (true, Explicit, None));

    // Retired, it decides nothing; the choices stay the person's under the version before.
    world.retire(new).await.unwrap();
    assert_eq!(world.check("anna", "social.surveys").await, (false, NoPolicy, None));
    assert_eq!(world.check("anna", SHARE).await, (true, Explicit, None));
}

async fn the_most_specific_policy_decides(world: World) {
    let spec = opt_in();
    let union = world.announce("union", spec.clone()).await;
    world.put("berliner", "DE-BE").await;
    world.put("parisian", "FR").await;
    for subject in ["berliner", "parisian"] {
        world.decide(world.decision(subject, &union, &spec, &[SHARE])).await.unwrap();
    }
    let mut german = spec.clone();
    german.jurisdictions = vec!["DE".to_owned()];
    let german = world.announce("germany", german).await;
    assert_eq!(world.check("parisian", SHARE).await, (true, Explicit, None));
    // A yes to one policy is none to another.
    assert_eq!(world.check("berliner", SHARE).await, (false, NoticeNotServed, None));
    world.decide(world.decision("berliner", &german, &spec, &[SHARE])).await.unwrap();
    assert_eq!(world.check("berliner", SHARE).await, (true, Explicit, None));
    // A no goes wherever the person goes.
    world.withdraw("berliner", &[SHARE]).await.unwrap();
    world.put("berliner", "FR").await;
    assert_eq!(world.check("berliner", SHARE).await, (false, Withdrawn, None));
}
