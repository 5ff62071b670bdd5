//! What holds for any policies, any history and any instant; here, how these are made.

mod answers;
pub(crate) mod fold;
mod linked;
mod monotone;

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

/// Up to four versions of two policies, some of them retired or drafts.
pub(crate) fn any_policies() -> impl Strategy<Value = Policies> {
    let one = (any_spec(), any::<bool>(), 0_u8..10, -80_i64..60);
    prop::collection::vec(one, 1..5).prop_map(|parts| {
        let numbered = (1_u32..).zip(parts);
        let made = numbered.map(|(number, (spec, first, fate, published))| {
            let id = if first { "one" } else { "two" };
            let known = policy(number, id, number, spec);
            let published_at = Some(day(published));
            match fate {
                0 => Policy { state: PolicyState::Draft, published_at: None, ..known },
                1 | 2 => {
                    let retired_at = Some(day(published + 30));
                    Policy { state: PolicyState::Retired, published_at, retired_at, ..known }
                }
                _ => Policy { published_at, ..known },
            }
        });
        Policies::new(1, made.collect())
    })
}

/// Something that happens to a subject, on some day.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Serve(usize),
    /// A version, choices, how many days ago, and whether the guardian decides, if there is one.
    Choose(usize, [bool; 4], i64, bool),
    Withdraw(usize, usize),
    Object(bool),
    Move(&'static str),
    ComeOfAge(bool),
    Guardian(Option<&'static str>),
    Link(Vec<&'static str>),
    Wards(Vec<&'static str>),
    Erase,
}

/// Days and what happened on them, in order.
pub(crate) type History = Vec<(i64, Step)>;

fn step() -> impl Strategy<Value = Step> {
    let choose = (0_usize..4, any::<[bool; 4]>(), 0_i64..60, any::<bool>());
    prop_oneof![
        2 => (0_usize..4).prop_map(Step::Serve),
        4 => choose.prop_map(|(v, c, d, g)| Step::Choose(v, c, d, g)),
        1 => (0_usize..4, 0_usize..4).prop_map(|(v, i)| Step::Withdraw(v, i)),
        1 => any::<bool>().prop_map(Step::Object),
        1 => prop::sample::select(PLACES.to_vec()).prop_map(Step::Move),
        1 => prop::bool::weighted(0.7).prop_map(Step::ComeOfAge),
        1 => prop::sample::select(vec![None, Some("mother"), Some("father")]).prop_map(Step::Guardian),
    ]
}

/// As [`step`], and everything else that can be recorded.
fn any_step() -> impl Strategy<Value = Step> {
    let ids = || prop::sample::subsequence(vec!["a", "b", "c"], 0..=3);
    prop_oneof![
        12 => step(),
        1 => ids().prop_map(Step::Link),
        1 => ids().prop_map(Step::Wards),
        1 => Just(Step::Erase),
    ]
}

const PLACES: [&str; 4] = ["DE", "DE-BY", "FR", "US"];

fn history() -> impl Strategy<Value = History> {
    history_of(step(), 0..8)
}

/// A history in which anything occurs.
pub(crate) fn any_history() -> impl Strategy<Value = History> {
    history_of(any_step(), 0..14)
}

fn history_of(
    step: impl Strategy<Value = Step>,
    length: std::ops::Range<usize>,
) -> impl Strategy<Value = History> {
    prop::collection::vec((-60_i64..120, step), length).prop_map(|mut steps| {
        steps.sort_by_key(|(at, _)| *at);
        steps
    })
}

/// The subject that a history leaves.
fn play(policies: &Policies, steps: &[(i64, Step)]) -> Subject {
    let mut subject = subject("DE");
    for (at, step) in steps {
        apply(policies, &mut subject, step, day(*at));
    }
    subject
}

fn apply(policies: &Policies, subject: &mut Subject, step: &Step, now: Moment) {
    let (content, occurred_at) = recorded(policies, subject, step, now);
    subject.apply(policies, &content, occurred_at, now);
}

/// The event that is recorded of a step, and when it occurred.
pub(crate) fn recorded(
    policies: &Policies,
    subject: &Subject,
    step: &Step,
    now: Moment,
) -> (EventContent, Moment) {
    let version = |at: usize| &policies.versions()[at % policies.versions().len()];
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    let attributes = subject.attributes.clone();
    let content = match step {
        Step::Serve(at) => {
            EventContent::NoticeServed { policy: version(*at).policy.number, notice: 0 }
        }
        Step::Choose(at, choices, ago, guardian) => {
            let choosable = version(*at).offers().filter(|offer| offer.purpose().choosable());
            let choices = choosable.map(|offer| (place(offer.index), choices[offer.index]));
            let by = match (subject.is_adult(), *guardian && subject.guardian.is_some()) {
                (true, _) => Decider::Adult,
                (false, true) => Decider::Guardian,
                (false, false) => Decider::Child,
            };
            let content = EventContent::DecisionRecorded {
                policy: version(*at).policy.number,
                choices: choices.collect(),
                by,
                guardian: subject.guardian.clone().filter(|_| by == Decider::Guardian),
                evidence: evidence(),
            };
            return (content, Moment::from_millis(now.millis() - ago * DAY));
        }
        Step::Withdraw(at, index) => {
            let policy = &version(*at).policy;
            let index = place(index % policy.spec.purposes.len());
            EventContent::Withdrawn { purposes: vec![(policy.number, index)] }
        }
        Step::Object(objects) => EventContent::ObjectionSignalSet { objects: *objects },
        Step::Move(to) => {
            let jurisdiction = Jurisdiction::new(*to);
            EventContent::SubjectPut(Attributes { jurisdiction, ..attributes })
        }
        Step::ComeOfAge(adult) => {
            let age_band = if *adult { AgeBand::Adult } else { AgeBand::UnderAge };
            EventContent::SubjectPut(Attributes { age_band, ..attributes })
        }
        Step::Guardian(guardian) => {
            EventContent::GuardianSet { guardian: guardian.map(str::to_owned) }
        }
        Step::Link(with) if with.is_empty() => EventContent::Unlinked { with: Vec::new() },
        Step::Link(with) => EventContent::Linked { with: ids(with) },
        Step::Wards(wards) => EventContent::WardsSet { wards: ids(wards) },
        Step::Erase => EventContent::Erased,
    };
    (content, now)
}

/// Every instant at which anything could happen, and the milliseconds around it: sums of the
/// instants and spans that occur.
fn instants(policies: &Policies, subjects: &[&Subject]) -> Vec<Moment> {
    let specs = || policies.versions().iter().map(|version| &version.policy.spec);
    let asked = subjects.iter().flat_map(|subject| &subject.asked);
    let choices = subjects.iter().flat_map(|subject| &subject.choices);
    let starts = specs().map(|spec| spec.effective_at);
    let starts = starts
        .chain(asked.flat_map(|a| [a.served, a.accepted.unwrap_or(a.served)]))
        .chain(choices.map(|choice| choice.at));
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

/// As [`instants`], from `now` on.
fn instants_from(now: Moment, policies: &Policies, subjects: &[&Subject]) -> Vec<Moment> {
    let later = instants(policies, subjects).into_iter().filter(|at| *at > now);
    [now].into_iter().chain(later).collect()
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, ..ProptestConfig::default() }
}

/// The answer for a subject without linked accounts.
fn alone(policies: &Policies, subject: &Subject, id: &str, at: Moment) -> Decision {
    decide(policies, Person::alone(subject), id, at)
}

/// Whether two answers and their reasons are the same, whatever their deadlines.
fn same(a: &Decision, b: &Decision) -> bool {
    (a.granted, a.reason) == (b.granted, b.reason)
}
