//! How long a decision takes: a figure to look at, not a test that can fail on a busy machine.

use std::{hint::black_box, time::Instant};

use super::*;

/// `cargo test --release -p consent-svc -- --ignored --nocapture how_long_a_decision_takes`
#[test]
#[ignore = "prints a figure"]
fn how_long_a_decision_takes() {
    const ROUNDS: u32 = 1_000_000;
    let mut spec = spec();
    spec.purposes.push(purpose("social.usage_metrics", Mechanism::OptOut));
    spec.purposes.push(purpose("social.friend_suggestions", Mechanism::OptOut));
    let mut european = spec.clone();
    european.jurisdictions = vec![Jurisdiction::new("EU")];
    let policies = Policies::new(1, vec![policy(1, "out", 1, spec), policy(2, "in", 1, european)]);
    let [version, _] = policies.versions() else { return };
    let choices = version.offers().filter(|offer| offer.purpose().choosable());
    let choices: Vec<(u16, bool)> = choices.map(|offer| (place(offer.index), true)).collect();
    let mut decided = subject("US-CA");
    let (by, guardian, evidence) = (Decider::Adult, None, evidence());
    let policy = version.policy.number;
    let content = EventContent::DecisionRecorded { policy, choices, by, guardian, evidence };
    decided.apply(&policies, &content, day(1), day(1));
    let mut silent = subject("US-CA");
    silent.apply(&policies, &EventContent::NoticeServed { policy, notice: 0 }, day(1), day(1));
    let others = [&decided, &decided];
    let people = [
        ("decided", Person::alone(&decided)),
        ("pending", Person::alone(&silent)),
        ("three accounts", Person { subject: Some(&decided), linked: &others }),
    ];
    for (who, person) in people {
        for id in [SHARE, ADS] {
            let started = Instant::now();
            for _ in 0..ROUNDS {
                black_box(decide(&policies, black_box(person), black_box(id), day(2)));
            }
            let each = started.elapsed().as_nanos() / u128::from(ROUNDS);
            println!("{who}, {id}: {each} ns");
        }
    }
}
