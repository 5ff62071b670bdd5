//! How likely an account is to be a spammer's, from what is known of it in the graph.
//!
//! Five signals, each between 0 and 1, are ones that the literature finds to tell spammers and
//! fake accounts (*Sybils*) from people: low *reciprocity* of links (Gomes and others,
//! "Comparative graph theoretical characterization of networks of spam and legitimate email",
//! CEAS 2005), *invitation frequency* and the *accepted ratio* of what an account starts (Yang and
//! others, "Uncovering social network Sybils in the wild", IMC 2011), and *negative feedback*
//! (blocks and reports) against the volume it is about.
//!
//! | signal | what is measured | 0 up to | 1 from | weight |
//! |---|---|---|---|---|
//! | one-sided contacts | people whose number the account has who do not have its own | 100 | 2,000 | 0.4 |
//! | low reciprocity | their share of all whose number it has, at least | 0.70 | 0.95 | 0.4 |
//! | blocked | share of the people reached who block it, at least | 0.01 | 0.15 | 0.6 |
//! | reported | share of the people reached who reported it, at least | 0.01 | 0.15 | 0.7 |
//! | burst | connections of the last day | 50 | 500 | 0.3 |
//!
//! Between the two ends a signal is linear. "At least" is the lower end of the 95 % score interval
//! of a proportion (Wilson, "Probable inference, the law of succession, and statistical
//! inference", Journal of the American Statistical Association 22, 1927), so that few observations
//! say little; and [`UNSEEN`] people are taken to have been reached without complaint by everybody.
//! People whose number an account has are not taken for reached by that: whoever uploads many would
//! have fewer complaints for each.
//!
//! The score is a *noisy-or* (Pearl, "Probabilistic Reasoning in Intelligent Systems", 1988):
//! `1 − Π (1 − weight · signal)`. No signal alone comes above 0.7, and neither an unusual address
//! book alone (a doctor's) nor a burst alone (a wedding) above 0.65: it takes complaints of both
//! kinds, or complaints and something else. The thresholds were chosen by hand, not fitted: there
//! is no public data set of address books, blocks and reports. They are to be reviewed on a platform's
//! own labels.

/// How many people everybody is taken to have reached without complaint, so that three blocks do
/// not condemn an account that knows nobody yet.
pub const UNSEEN: u32 = 20;

/// 95 %, one side of two.
const Z: f64 = 1.96;

/// Below this a signal is not worth naming.
const NAMED_FROM: f64 = 0.05;

/// What is counted of an account: people who agreed to that, and nobody else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signals {
    /// Of how many people it has the number.
    pub contacts: u32,
    /// How many of those have its number.
    pub returned: u32,
    /// Connections of the last day.
    pub new_connections: u32,
    /// How many people it reached: those it is adjacent to in the graph, and those who complained.
    pub reached: u32,
    /// How many block it.
    pub blocked: u32,
    /// How many reported it.
    pub reported: u32,
}

/// What speaks for a spammer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpamReason {
    /// Has the number of many who do not have its own.
    OneSidedContacts,
    /// Few of those whose number it has have its own.
    LowReciprocity,
    /// Blocked by many for its volume.
    Blocked,
    /// Reported by many for its volume.
    Reported,
    /// Many new connections at once.
    Burst,
}

/// How likely it is, and why.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Risk {
    /// 0 (none) to 1.
    pub score: f64,
    /// What speaks for it, strongest first.
    pub reasons: Vec<SpamReason>,
}

impl Signals {
    /// Without anything that depends on whom the account uploaded and who did not upload it.
    ///
    /// By this it is decided whether the account is suggested to others: by the whole score, somebody
    /// could see from their suggestions whether an account has their number.
    #[must_use]
    pub fn without_uploads(self) -> Self {
        Self { contacts: 0, returned: 0, ..self }
    }
}

/// The risk of an account.
pub fn risk(signals: &Signals) -> Risk {
    let one_sided = signals.contacts.saturating_sub(signals.returned);
    let unreturned = at_least(one_sided, signals.contacts);
    let volume = signals.reached.saturating_add(UNSEEN);
    let complaints = |people: u32| ramp(at_least(people, volume), 0.01, 0.15);
    let mut strengths = [
        (SpamReason::OneSidedContacts, 0.4 * ramp(f64::from(one_sided), 100.0, 2_000.0)),
        (SpamReason::LowReciprocity, 0.4 * ramp(unreturned, 0.70, 0.95)),
        (SpamReason::Blocked, 0.6 * complaints(signals.blocked)),
        (SpamReason::Reported, 0.7 * complaints(signals.reported)),
        (SpamReason::Burst, 0.3 * ramp(f64::from(signals.new_connections), 50.0, 500.0)),
    ];
    let score = 1.0 - strengths.iter().map(|(_, strength)| 1.0 - strength).product::<f64>();
    // Stable: what is equally strong keeps the order above.
    strengths.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let named = strengths.iter().filter(|(_, strength)| *strength >= NAMED_FROM);
    Risk { score, reasons: named.map(|(reason, _)| *reason).collect() }
}

/// 0 up to `from`, 1 from `to` on, linear between.
fn ramp(value: f64, from: f64, to: f64) -> f64 {
    ((value - from) / (to - from)).clamp(0.0, 1.0)
}

/// The lower end of Wilson's score interval for `some` of `all`; 0 for none of none.
fn at_least(some: u32, all: u32) -> f64 {
    if all == 0 {
        return 0.0;
    }
    let n = f64::from(all);
    let share = f64::from(some.min(all)) / n;
    let centre = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((centre - spread) / (1.0 + Z * Z / n)).max(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signals() -> impl Strategy<Value = Signals> {
        let n = || 0u32..5_000;
        (n(), n(), n(), n(), n(), n()).prop_map(
            |(contacts, returned, new_connections, reached, blocked, reported)| Signals {
                contacts,
                returned: returned.min(contacts),
                new_connections,
                reached: reached + blocked + reported,
                blocked,
                reported,
            },
        )
    }

    proptest! {
        #[test]
        fn the_score_is_a_probability_and_its_reasons_are_there(signals in signals()) {
            let risk = risk(&signals);
            prop_assert!((0.0..=1.0).contains(&risk.score));
            prop_assert!(risk.score > 0.04 || risk.reasons.is_empty());
        }

        #[test]
        fn more_of_what_speaks_for_a_spammer_never_lowers_the_score(signals in signals()) {
            let before = risk(&signals).score;
            for more in [
                Signals { blocked: signals.blocked + 1, ..signals },
                Signals { reported: signals.reported + 1, ..signals },
                Signals { new_connections: signals.new_connections + 1, ..signals },
                Signals { returned: signals.returned.saturating_sub(1), ..signals },
            ] {
                prop_assert!(risk(&more).score >= before - 1e-9);
            }
            let wider = Signals { reached: signals.reached + 1_000, ..signals };
            prop_assert!(risk(&wider).score <= before + 1e-9);
        }

        #[test]
        fn whom_an_account_uploaded_is_nothing_to_others(
            signals in signals(),
            contacts in 0u32..5_000,
        ) {
            let other = Signals { contacts, returned: 0, ..signals };
            prop_assert_eq!(risk(&signals.without_uploads()), risk(&other.without_uploads()));
            prop_assert!(risk(&signals.without_uploads()).score <= risk(&signals).score + 1e-9);
        }
    }

    #[test]
    fn nothing_known_is_no_risk_and_few_observations_are_little() {
        assert_eq!(risk(&Signals::default()), Risk::default());
        let new =
            Signals { contacts: 5, blocked: 1, reported: 1, reached: 2, ..Signals::default() };
        assert!(risk(&new).score < 0.05, "{}", risk(&new).score);
    }

    #[test]
    fn no_signal_alone_is_a_high_risk() {
        let book = Signals { contacts: 5_000, ..Signals::default() };
        assert!((risk(&book).score - 0.64).abs() < 1e-9);
        let wedding = Signals { new_connections: 1_000, reached: 1_000, ..Signals::default() };
        assert!((risk(&wedding).score - 0.3).abs() < 1e-9);
        let reported = Signals { reported: 500, reached: 500, ..Signals::default() };
        assert!((risk(&reported).score - 0.7).abs() < 1e-9);
        assert_eq!(risk(&reported).reasons, [SpamReason::Reported]);
    }

    #[test]
    fn reasons_come_strongest_first() {
        let all = Signals {
            contacts: 3_000,
            new_connections: 600,
            reached: 100,
            blocked: 60,
            reported: 60,
            ..Signals::default()
        };
        let reasons = risk(&all).reasons;
        assert_eq!(reasons[..2], [SpamReason::Reported, SpamReason::Blocked]);
        assert_eq!((reasons.len(), reasons[4]), (5, SpamReason::Burst));
        assert!(risk(&all).score > 0.95);
    }

    #[test]
    fn wilsons_lower_end_is_that_of_the_tables() {
        // 10 of 100: 0.0552; 0 of 10: 0; 10 of 10: 0.7225.
        assert!((at_least(10, 100) - 0.0552).abs() < 1e-4);
        assert!(at_least(0, 10).abs() < 1e-9 && at_least(0, 0).abs() < 1e-9);
        assert!((at_least(10, 10) - 0.7225).abs() < 1e-4);
    }

    #[test]
    fn a_celebrity_is_blocked_by_many_and_no_risk() {
        let celebrity =
            Signals { reached: 50_000, blocked: 1_000, reported: 300, ..Signals::default() };
        assert!(risk(&celebrity).score < 0.1, "{}", risk(&celebrity).score);
    }
}
