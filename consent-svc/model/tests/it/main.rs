//! The protocol keeps its promises in every small scenario, and every mutant breaks one.

use consent_model::{
    CRASHES, Event, FAILOVER, FILLS, LEASES, LINKED, LITERAL, Mutant, PUBLISHING, SHARING, SMALL,
    Search, reach, run,
};

#[test]
fn the_protocol_keeps_its_promises_in_every_state() {
    for config in &SMALL {
        let report = run(config, None);
        println!("{report}");
        assert_eq!(report.violated, None, "{:#?}", report.path);
    }
}

#[test]
fn every_mutant_breaks_a_promise() {
    for mutant in Mutant::ALL {
        let report = run(mutant.caught_by(), Some(mutant));
        println!("{report}");
        assert!(report.violated.is_some(), "{mutant:?} survives {}", report.config);
    }
}

/// The letter of the promises catches what their stronger form catches.
#[test]
fn mutants_of_fences_and_nonces_break_the_promises_by_the_letter() {
    for mutant in [Mutant::NoFence, Mutant::NoNonce, Mutant::UnconditionalTx2, Mutant::NoDelete] {
        let report = run(&LITERAL, Some(mutant));
        println!("{report}");
        assert!(report.violated.is_some(), "{mutant:?}");
    }
}

#[test]
fn what_the_promises_are_about_happens() {
    let happens = [
        (&FILLS, &[Event::Hit, Event::Fill, Event::Discard, Event::StartOver][..]),
        (&LITERAL, &[Event::Hit, Event::Fill, Event::Discard, Event::StartOver]),
        (&CRASHES, &[Event::FenceLost, Event::Hit, Event::StartOver]),
        (&SHARING, &[Event::Share, Event::Hit, Event::Discard]),
        (
            &LEASES,
            &[
                Event::HitUnderOldGeneration,
                Event::BypassEntered,
                Event::BypassLeft,
                Event::StartOver,
            ],
        ),
        (
            &FAILOVER,
            &[Event::WithdrawnWithoutRedis, Event::Hit, Event::BypassEntered, Event::BypassLeft],
        ),
        (&LINKED, &[Event::WithdrawnLinked, Event::Hit, Event::StartOver]),
        (&PUBLISHING, &[Event::Published, Event::Hit, Event::BypassLeft, Event::StartOver]),
    ];
    for (config, events) in happens {
        for event in events {
            assert!(
                !reach(config, *event).path.is_empty(),
                "{event:?} cannot happen in {}",
                config.name
            );
        }
    }
}

/// Searching representatives finds a broken promise where searching everything does, and nowhere else.
#[test]
fn the_reductions_hide_nothing() {
    for config in [&FILLS, &LITERAL, &CRASHES, &LINKED, &PUBLISHING, &FAILOVER] {
        let mutants =
            Mutant::ALL.into_iter().filter(|mutant| mutant.caught_by().name == config.name);
        // Following connections, too, is too much for a search of everything in a test.
        let mutants = mutants.filter(|mutant| {
            !matches!(mutant, Mutant::IdentityNotVerified | Mutant::IdentityAtConnect)
        });
        for mutant in [None].into_iter().chain(mutants.map(Some)) {
            let reduced = Search { mutant, ..Search::of(config) }.run();
            let whole = Search { mutant, reduced: false, ..Search::of(config) }.run();
            println!("{whole}");
            assert!(reduced.unique_states <= whole.unique_states);
            assert_eq!(
                reduced.violated.is_some(),
                whole.violated.is_some(),
                "{mutant:?}: {:#?}",
                whole.path
            );
        }
    }
}
