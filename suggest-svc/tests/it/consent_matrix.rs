//! Viewer, candidate and mutual connections, each with any state of either consent, against an
//! oracle that knows nothing but the rules.

use std::collections::BTreeMap;

use futures::StreamExt;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    engine::Engine,
    on_both_stores,
    society::{Odds, Rule, Shown, Society, State, Who, names},
    village,
    world::World,
};

const ENGINE: Odds = Odds {
    people: (4, 8),
    connected: 0.5,
    uploaded: 0.4,
    blocked: 0.03,
    transfer: 0.85,
    suggestions: 0.75,
    settings: 0.4,
};
/// Draws of everybody's states in one society.
const DRAWS: u64 = 25;
const SOCIETIES: u64 = 4_000;

/// How often each wrong oracle disagrees with what is shown.
#[derive(Default)]
struct Controls(BTreeMap<String, u64>);

impl Controls {
    fn take(&mut self, society: &Society, viewer: Who, shown: &BTreeMap<Who, Shown>) {
        for rule in Rule::WRONG {
            let disagrees = !society.agrees_with(viewer, shown, rule);
            *self.0.entry(format!("{rule:?}")).or_default() += u64::from(disagrees);
        }
    }

    fn finish(&self) {
        for (rule, disagreed) in &self.0 {
            assert!(*disagreed > 0, "with {rule} the oracle agrees too: nothing was proved");
        }
    }
}

#[test]
fn a_list_is_what_the_states_of_all_involved_allow() {
    let (mut cases, mut shown_to, mut controls) = (0_u64, 0_u64, Controls::default());
    let mut states: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..SOCIETIES {
        let mut society = Society::draw(seed, ENGINE);
        let rng = &mut StdRng::seed_from_u64(!seed);
        let mut engine = Engine::following(&society);
        for draw in 0..DRAWS {
            society.redraw_states(rng, ENGINE);
            for (who, person) in society.people.iter().enumerate() {
                // A yes that is not so any more may not have been heard of yet; a no is.
                let heard = person.suggestions == State::Granted || rng.random_bool(0.5);
                engine.consent(who, person.transfer, heard);
            }
            let viewer = rng.random_range(0..society.len());
            let agreed = |who: Who| society.people[who].suggestions == State::Granted;
            let shown = engine.shown(viewer, agreed);
            let is_right = society.agrees_with(viewer, &shown, Rule::Right);
            let expected = || society.expected(viewer, Rule::Right);
            assert!(
                is_right,
                "seed {seed}, draw {draw}: {viewer} is shown {shown:?}, not {:?}: {society:?}",
                expected()
            );
            cases += 1;
            shown_to += u64::from(!shown.is_empty());
            if draw == 0 {
                controls.take(&society, viewer, &shown);
                for person in &society.people {
                    *states.entry(format!("{:?}", person.suggestions)).or_default() += 1;
                }
            }
        }
    }
    println!(
        "consent matrix, engine: {cases} cases agree with the oracle, {shown_to} of them with \
         somebody shown; people of the first draws: {states:?}"
    );
    println!("consent matrix, engine, control: wrong oracles disagree in {:?}", controls.0);
    assert!(cases >= 100_000 && shown_to > cases / 4, "{cases}, {shown_to}");
    controls.finish();
}

/// Cases of the service, each in a society of its own.
const CALLED: u64 = 300;
const SERVICE: Odds = Odds { people: (4, 6), uploaded: 0.3, suggestions: 0.8, ..ENGINE };

async fn a_list_is_what_the_states_of_all_involved_allow_when_it_is_asked_for(world: World) {
    let draw = |seed| {
        let society = Society::draw(seed, SERVICE);
        let names = names(&format!("case{seed}"), society.len());
        (seed, society, names)
    };
    let cases: Vec<_> = (0..CALLED).map(draw).collect();
    let societies: Vec<_> =
        cases.iter().map(|(_, society, names)| (society, names.as_slice())).collect();
    for some in societies.chunks(100) {
        village::settle(&world, some).await;
    }
    village::change_minds(&world, &societies).await;
    let lists = cases.iter().map(|(seed, society, names)| {
        let world = &world;
        async move {
            let viewer = StdRng::seed_from_u64(!seed).random_range(0..society.len());
            let user = world.user(names[viewer].as_str());
            (viewer, village::shown(&user, names).await)
        }
    });
    let lists: Vec<_> = futures::stream::iter(lists).buffered(8).collect().await;
    let (mut shown_to, mut controls) = (0, Controls::default());
    for ((seed, society, _), (viewer, shown)) in cases.iter().zip(&lists) {
        let expected = society.expected(*viewer, Rule::Right);
        let is_right = society.agrees_with(*viewer, shown, Rule::Right);
        assert!(
            is_right,
            "seed {seed}: {viewer} is shown {shown:?}, not {expected:?}: {society:?}"
        );
        shown_to += usize::from(!shown.is_empty());
        controls.take(society, *viewer, shown);
    }
    println!(
        "consent matrix, service: {} cases agree with the oracle, {shown_to} of them with \
         somebody shown; control: wrong oracles disagree in {:?}",
        lists.len(),
        controls.0
    );
    controls.finish();
}

on_both_stores! {
    a_list_is_what_the_states_of_all_involved_allow_when_it_is_asked_for,
}
