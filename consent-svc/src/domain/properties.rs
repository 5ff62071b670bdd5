//! What holds for any policies, any history and any instant.

use proptest::prelude::*;

use super::{sample::*, *};

const IDS: [&str; 4] = ["messenger.share_phone", "social.ads", "social.messages", "social.spam"];

fn mechanism() -> impl Strategy<Value = Mechanism> {
    prop_oneof![
        1 => Just(Mechanism::OptIn),
        3 => Just(Mechanism::OptOut),
        1 => Just(Mechanism::NoticeOnly)
    ]
}

/// Purposes that require one another upwards only, as in a policy that could be published.
fn purposes() -> impl Strategy<Value = Vec<Purpose>> {
    let one = (mechanism(), prop::option::of(1_i64..60), any::<[bool; 4]>());
    (prop::collection::vec(one, 4), 1_usize..=4).prop_map(|(parts, count)| {
        let made = parts.into_iter().enumerate().map(|(at, (mechanism, lifetime, requires))| {
            let requires = (0..at).filter(|other| requires[*other] || *other == 0);
            Purpose {
                requires: requires.map(|other| IDS[other].to_owned()).collect(),
                consent_lifetime: lifetime.map(Span::from_days),
                ..purpose(IDS[at], mechanism)
            }
        });
        made.take(count).collect()
    })
}

fn any_spec() -> impl Strategy<Value = Spec> {
    let windows = (-40_i64..40, 1_i64..40, 1_i64..40);
    let code = prop::sample::select(vec!["DE", "DE-BY", "EU", "US"]);
    (purposes(), windows, code, any::<[bool; 5]>()).prop_map(|(purposes, windows, code, flags)| {
        let pick = |at: usize| flags[at];
        Spec {
            purposes,
            effective_at: day(windows.0),
            accept_within: Span::from_days(windows.1),
            change_within: Span::from_days(windows.2),
            jurisdictions: vec![Jurisdiction::new(code)],
            regime: if pick(0) { ConsentRegime::OptIn } else { ConsentRegime::OptOut },
            on_lapse: if pick(1) { OnLapse::Default } else { OnLapse::Deny },
            after_window: if pick(2) { AfterWindow::Closed } else { AfterWindow::WithdrawAlways },
            refusal_reversible: pick(3),
            applies_to: if pick(4) { AppliesTo::AllSubjects } else { AppliesTo::ExistingSubjects },
            ..spec()
        }
    })
}

/// Up to four versions of two policies, some of them retired.
fn any_policies() -> impl Strategy<Value = Policies> {
    let one = (any_spec(), any::<bool>(), 0_u8..5);
    prop::collection::vec(one, 1..5).prop_map(|parts| {
        let numbered = (1_u32..).zip(parts);
        let made = numbered.map(|(number, (spec, first, retired))| Policy {
            state: if retired == 0 { PolicyState::Retired } else { PolicyState::Published },
            ..policy(number, if first { "one" } else { "two" }, number, spec)
        });
        Policies::new(1, made.collect())
    })
}

#[derive(Debug, Clone)]
enum Step {
    Serve(usize),
    Choose(usize, [bool; 4], i64),
    Withdraw(usize, usize),
    Object(bool),
    Move(&'static str),
    ComeOfAge(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0_usize..4).prop_map(Step::Serve),
        3 => (0_usize..4, any::<[bool; 4]>(), 0_i64..60).prop_map(|(v, c, d)| Step::Choose(v, c, d)),
        1 => (0_usize..4, 0_usize..4).prop_map(|(v, i)| Step::Withdraw(v, i)),
        1 => any::<bool>().prop_map(Step::Object),
        1 => prop::sample::select(vec!["DE", "DE-BY", "FR", "US"]).prop_map(Step::Move),
        1 => prop::bool::weighted(0.8).prop_map(Step::ComeOfAge),
    ]
}

fn play(policies: &Policies, steps: &[(i64, Step)]) -> Subject {
    let mut subject = subject("DE");
    for (at, step) in steps {
        apply(policies, &mut subject, step, day(*at));
    }
    subject
}

fn apply(policies: &Policies, subject: &mut Subject, step: &Step, now: Moment) {
    let version = |at: usize| &policies.versions()[at % policies.versions().len()];
    match step {
        Step::Serve(at) => drop(subject.serve(version(*at).policy.number, now)),
        Step::Choose(at, choices, ago) => {
            let version = version(*at);
            let choosable = version.offers().filter(|offer| offer.purpose().choosable());
            let made: Vec<(u16, bool)> =
                choosable.map(|offer| (place(offer.index), choices[offer.index])).collect();
            let at = Moment::from_millis(now.millis() - ago * DAY);
            subject.choose(policies, version, made, at, now);
        }
        Step::Withdraw(at, index) => {
            let version = version(*at);
            let index = index % version.policy.spec.purposes.len();
            let index = place(index);
            subject.withdraw(policies, version.policy.number, index, now);
        }
        Step::Object(objects) => drop(subject.set_objection(*objects, now)),
        Step::Move(to) => {
            let attributes = subject.attributes.clone();
            subject.put(Attributes { jurisdiction: Jurisdiction::new(*to), ..attributes });
        }
        Step::ComeOfAge(adult) => {
            let age_band = if *adult { AgeBand::Adult } else { AgeBand::UnderAge };
            let attributes = subject.attributes.clone();
            subject.put(Attributes { age_band, ..attributes });
        }
    }
}

fn history() -> impl Strategy<Value = Vec<(i64, Step)>> {
    history_of(0..8)
}

fn history_of(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(i64, Step)>> {
    prop::collection::vec((-60_i64..120, step()), length).prop_map(|mut steps| {
        steps.sort_by_key(|(at, _)| *at);
        steps
    })
}

/// Every choice that a step makes, dated as the subject dates it.
fn choices_made(policies: &Policies, subject: &Subject, step: &Step, now: Moment) -> Vec<Choice> {
    let version = |at: usize| &policies.versions()[at % policies.versions().len()];
    let of_age = subject.attributes.age_band == AgeBand::Adult;
    let last = subject.after_all_choices(now);
    match step {
        Step::Choose(at, choices, ago) => {
            let policy = version(*at).policy.number;
            let dated = Moment::from_millis(now.millis() - ago * DAY);
            let choosable = version(*at).offers().filter(|offer| offer.purpose().choosable());
            let made = choosable.map(|offer| {
                let yes = choices[offer.index];
                let (stance, at) =
                    if yes { (Stance::Granted, dated) } else { (Stance::Refused, last) };
                (place(offer.index), stance, at)
            });
            made.map(|(index, stance, at)| Choice { policy, index, stance, at, of_age }).collect()
        }
        Step::Withdraw(at, index) => {
            let policy = &version(*at).policy;
            let index = place(index % policy.spec.purposes.len());
            let stance = Stance::Withdrawn;
            vec![Choice { policy: policy.number, index, stance, at: last, of_age }]
        }
        Step::Serve(_) | Step::Object(_) | Step::Move(_) | Step::ComeOfAge(_) => vec![],
    }
}

/// Every instant at which anything could happen, and the milliseconds around it: sums of the
/// instants and spans that occur.
fn instants(policies: &Policies, subject: &Subject) -> Vec<Moment> {
    let specs = || policies.versions().iter().map(|version| &version.policy.spec);
    let starts = specs().map(|spec| spec.effective_at);
    let starts = starts
        .chain(subject.asked.iter().flat_map(|a| [a.served, a.accepted.unwrap_or(a.served)]))
        .chain(subject.choices.iter().map(|choice| choice.at));
    let starts: Vec<Moment> = starts.collect();
    let lifetimes = || specs().flat_map(|s| &s.purposes).filter_map(|p| p.consent_lifetime);
    let windows = || specs().flat_map(|s| [s.accept_within, s.change_within, Span::from_millis(0)]);
    let mut all: Vec<i64> = Vec::new();
    for start in starts {
        for window in windows() {
            let one = start.plus(window);
            all.push(one.millis());
            all.extend(lifetimes().map(|lifetime| one.plus(lifetime).millis()));
        }
    }
    let mut all: Vec<i64> = all.into_iter().flat_map(|at| [at - 1, at, at + 1]).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(Moment::from_millis).collect()
}

/// A no that a yes followed is still there for a yes of before it that arrives last.
#[test]
fn a_yes_of_before_a_no_counts_for_nothing_under_any_policy() {
    let policies = Policies::new(1, vec![policy(1, "one", 1, spec()), policy(2, "two", 2, spec())]);
    let mut subject = subject("US");
    apply(&policies, &mut subject, &Step::Choose(0, [false; 4], 0), day(10));
    apply(&policies, &mut subject, &Step::Choose(0, [true; 4], 0), day(11));
    apply(&policies, &mut subject, &Step::Choose(1, [true; 4], 5), day(12));
    assert!(!decide(&policies, Some(&subject), IDS[0], day(12)).granted);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// An answer holds exactly until its `valid_until`: brute force over every instant at which
    /// anything could happen finds the same answer before it and another one at it.
    #[test]
    fn valid_until_is_exact(policies in any_policies(), steps in history()) {
        let subject = play(&policies, &steps);
        let instants = instants(&policies, &subject);
        for id in IDS {
            let answers: Vec<Decision> =
                instants.iter().map(|at| decide(&policies, Some(&subject), id, *at)).collect();
            for (at, answer) in answers.iter().enumerate() {
                let same = |other: &Decision| (other.granted, other.reason) == (answer.granted, answer.reason);
                let next = (at + 1..answers.len()).find(|later| !same(&answers[*later]));
                prop_assert_eq!(answer.valid_until, next.map(|later| instants[later]), "{} at {:?}: {:?}", id, instants[at], answer);
            }
        }
    }

    /// A withdrawal turns no denied purpose into a granted one, neither its own nor another, now
    /// or later.
    #[test]
    fn a_withdrawal_grants_nothing(
        policies in any_policies(), steps in history(), which in 0_usize..4, index in 0_usize..4,
    ) {
        let before = play(&policies, &steps);
        let mut after = before.clone();
        let now = day(120);
        apply(&policies, &mut after, &Step::Withdraw(which, index), now);
        for at in instants(&policies, &before).into_iter().filter(|at| *at >= now).chain([now]) {
            for id in IDS {
                let (was, is) = (decide(&policies, Some(&before), id, at), decide(&policies, Some(&after), id, at));
                prop_assert!(was.granted || !is.granted, "{} at {:?}: {:?} -> {:?}", id, at, was, is);
            }
        }
    }

    /// What was withdrawn stays denied whatever the clock, the place or the policies say, until
    /// the person chooses again.
    #[test]
    fn a_withdrawn_purpose_is_denied_from_then_on(
        policies in any_policies(), steps in history(), index in 0_usize..4, to in 0_usize..4,
    ) {
        let mut subject = play(&policies, &steps);
        let now = day(120);
        apply(&policies, &mut subject, &Step::Withdraw(0, index), now);
        let id = &policies.versions()[0].policy.spec.purposes;
        let id = &id[index % id.len()].id;
        let places = ["DE", "DE-BY", "FR", "US"];
        apply(&policies, &mut subject, &Step::Move(places[to]), now);
        for at in instants(&policies, &subject).into_iter().filter(|at| *at >= now).chain([now]) {
            prop_assert!(!decide(&policies, Some(&subject), id, at).granted);
        }
    }

    /// A choice dated before a withdrawal does not undo it, in whichever order they arrive.
    #[test]
    fn an_older_choice_does_not_undo_a_withdrawal(
        policies in any_policies(), steps in history(), which in 0_usize..4, yes in any::<[bool; 4]>(),
    ) {
        let mut subject = play(&policies, &steps);
        let ids: Vec<String> = policies.versions()[which % policies.versions().len()]
            .policy.spec.purposes.iter().map(|purpose| purpose.id.clone()).collect();
        for index in 0..ids.len() {
            apply(&policies, &mut subject, &Step::Withdraw(which, index), day(120));
        }
        apply(&policies, &mut subject, &Step::Choose(which, yes, 3), day(121));
        for id in &ids {
            prop_assert!(!decide(&policies, Some(&subject), id, day(121)).granted);
        }
    }

    /// What was refused is denied from then on, whatever date the refusal bears.
    #[test]
    fn a_refused_purpose_is_denied_from_then_on(
        policies in any_policies(), steps in history(), yes in any::<[bool; 4]>(), ago in 0_i64..200,
    ) {
        let mut subject = play(&policies, &steps);
        apply(&policies, &mut subject, &Step::Choose(0, yes, ago), day(120));
        let refused = policies.versions()[0].offers().filter(|o| o.purpose().choosable() && !yes[o.index]);
        for id in refused.map(|offer| &offer.purpose().id) {
            for at in instants(&policies, &subject).into_iter().filter(|at| *at >= day(120)).chain([day(120)]) {
                prop_assert!(!decide(&policies, Some(&subject), id, at).granted);
            }
        }
    }

    /// In whatever order decisions arrive, a subject keeps a number of choices that the policies
    /// bound, and they give every answer that all choices ever made would give, now and later.
    #[test]
    fn few_choices_are_kept_and_they_say_it_all(policies in any_policies(), steps in history_of(0..12)) {
        let mut subject = subject("DE");
        let mut all: Vec<Choice> = Vec::new();
        for (number, (at, step)) in steps.iter().enumerate() {
            let now = day(*at);
            for choice in choices_made(&policies, &subject, step, now) {
                all.insert(all.partition_point(|known| known.at <= choice.at), choice);
            }
            apply(&policies, &mut subject, step, now);
            for slot in policies.slots() {
                let kept = subject.choices.iter().filter(|c| policies.slot_at(c.policy, c.index) == Some(slot));
                let versions = policies.versions().iter().filter(|v| v.offers().any(|o| o.slot() == slot));
                // The last no, and a yes to each version.
                prop_assert!(kept.count() <= 1 + versions.count());
            }
            // Every history ends somewhere: the answers are compared there only.
            if number + 1 < steps.len() {
                continue;
            }
            let complete = Subject { choices: all.clone(), ..subject.clone() };
            for at in instants(&policies, &complete).into_iter().filter(|at| *at >= now).chain([now]) {
                for id in IDS {
                    let (kept, complete) = (decide(&policies, Some(&subject), id, at), decide(&policies, Some(&complete), id, at));
                    prop_assert_eq!(kept, complete, "{} at {:?}", id, at);
                }
                for slot in policies.slots() {
                    prop_assert_eq!(change(&policies, &subject, slot, at), change(&policies, &complete, slot, at));
                }
            }
        }
    }

    /// A purpose is granted only if everything that it requires is.
    #[test]
    fn prerequisites_hold(policies in any_policies(), steps in history()) {
        let subject = play(&policies, &steps);
        for at in instants(&policies, &subject) {
            for slot in policies.slots() {
                let (offer, _) = policies.deciding(slot, &subject.attributes.jurisdiction, at);
                let Some(purpose) = offer.map(|offer| offer.purpose()) else { continue };
                if decide(&policies, Some(&subject), &purpose.id, at).granted {
                    for id in &purpose.requires {
                        prop_assert!(decide(&policies, Some(&subject), id, at).granted);
                    }
                }
            }
        }
    }

    /// Any instants, any spans, any order of events: an answer, and one that is in the future.
    #[test]
    fn extremes_have_answers(
        mut spec in any_spec(),
        times in any::<[i64; 5]>(),
        spans in any::<[i64; 3]>(),
        chosen in any::<[bool; 4]>(),
    ) {
        let extreme = |at: i64| match at % 5 { 0 => i64::MIN, 1 => i64::MAX, _ => at };
        spec.effective_at = Moment::from_millis(extreme(times[0]));
        spec.accept_within = Span::from_millis(extreme(spans[0]));
        spec.change_within = Span::from_millis(extreme(spans[1]));
        for purpose in &mut spec.purposes {
            purpose.consent_lifetime = Some(Span::from_millis(extreme(spans[2])));
        }
        spec.jurisdictions = vec![Jurisdiction::new("DE")];
        let policies = policies(vec![spec]);
        let mut subject = subject("DE");
        let served = Moment::from_millis(extreme(times[1]));
        subject.serve(PolicyNumber(1), served);
        let now = Moment::from_millis(extreme(times[2]));
        for step in [false, true] {
            for id in IDS {
                let answer = decide(&policies, Some(&subject), id, now);
                prop_assert!(answer.valid_until.is_none_or(|until| until > now));
                if let Some(slot) = policies.slot(id) {
                    change(&policies, &subject, slot, now);
                }
            }
            if !step {
                let made = (0_u16..).zip(chosen).take(policies.versions()[0].policy.spec.purposes.len());
                let at = Moment::from_millis(extreme(times[3]));
                subject.choose(&policies, &policies.versions()[0], made, at, Moment::from_millis(extreme(times[4])));
                subject.withdraw(&policies, PolicyNumber(1), 0, now);
            }
        }
    }

    /// What may be changed is changed, and what may not is not: a change that is permitted gives
    /// the answer that was asked for, unless a rule other than the person's choice stands against it.
    #[test]
    fn the_way_out_never_closes_where_silence_is_a_no(policies in any_policies(), steps in history()) {
        let subject = play(&policies, &steps);
        for at in instants(&policies, &subject) {
            for slot in policies.slots() {
                let (Some(offer), _) = policies.deciding(slot, &subject.attributes.jurisdiction, at) else { continue };
                if offer.version.policy.spec.regime == ConsentRegime::OptIn && offer.purpose().choosable() {
                    let granted = decide(&policies, Some(&subject), &offer.purpose().id, at).granted;
                    prop_assert!(!granted || change(&policies, &subject, slot, at).permits(false, true));
                }
            }
        }
    }
}
