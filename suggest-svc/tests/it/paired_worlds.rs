//! Pairs of worlds that differ in one thing: whether v uploaded u. Where v's setting does not let u
//! find v, nobody but v can tell them apart by any answer.

use futures::StreamExt;
use prost::Message;
use proto::suggest::v1::{
    DismissSuggestionRequest, ExplainSuggestionRequest, GetContactSettingsRequest,
    ListBlockedRequest, ListSuggestionsResponse,
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use suggest_svc::domain::{Discoverability, Subject, listing::Listed};
use tonic::{Response, Status};

use crate::{
    engine::Engine,
    on_both_stores,
    society::{Odds, Society, State, Who, names},
    village,
    world::{User, World},
};

const TRIALS: u64 = 10_000;
const ENGINE: Odds = Odds {
    people: (6, 12),
    connected: 0.3,
    uploaded: 0.35,
    blocked: 0.03,
    transfer: 0.92,
    suggestions: 0.9,
    settings: 0.6,
};
/// Smaller ones, for each of their words is a call.
const SERVICE: Odds = Odds { people: (6, 8), settings: 0.4, ..ENGINE };

/// Why v is not revealed to u.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Because {
    NobodyFindsThem,
    TheirNumberIsNotKnown,
    OneBlocksTheOther,
}

/// A society in which v, who is here, has not uploaded u.
#[derive(Debug, Clone)]
struct Pair {
    without: Society,
    v: Who,
    u: Who,
}

impl Pair {
    /// v is not revealed to u, because of that.
    fn hidden(seed: u64, odds: Odds) -> (Self, Because) {
        let (mut pair, mut rng) = Self::draw(seed, odds);
        let Self { without, v, u } = &mut pair;
        let why =
            [Because::NobodyFindsThem, Because::TheirNumberIsNotKnown, Because::OneBlocksTheOther];
        let why = why[rng.random_range(0..3)];
        match why {
            Because::NobodyFindsThem => {
                without.people[*v].settings.discoverability = Discoverability::Nobody;
            }
            Because::TheirNumberIsNotKnown => {
                without.people[*u].book.remove(v);
            }
            Because::OneBlocksTheOther => {
                let block = if rng.random_bool(0.5) { (*u, *v) } else { (*v, *u) };
                without.blocks.insert(block);
            }
        }
        assert!(!pair.without.reveals(pair.v, pair.u));
        (pair, why)
    }

    /// v is revealed to u, both have agreed to everything and are not connected.
    fn revealed(seed: u64, odds: Odds) -> Self {
        let (mut pair, mut rng) = Self::draw(seed, odds);
        let Self { without, v, u } = &mut pair;
        let (v, u) = (*v, *u);
        for person in [u, v] {
            without.people[person].transfer = State::Granted;
            without.people[person].suggestions = State::Granted;
        }
        if without.found_by(v) == Discoverability::Nobody {
            let found_by = [Discoverability::Everyone, Discoverability::Reciprocal];
            without.people[v].settings.discoverability = *found_by.choose(&mut rng).unwrap();
        }
        without.people[u].book.insert(v);
        without.connected.remove(&(u.min(v), u.max(v)));
        without.blocks.retain(|block| *block != (u, v) && *block != (v, u));
        assert!(pair.without.reveals(v, u));
        pair
    }

    fn draw(seed: u64, odds: Odds) -> (Self, StdRng) {
        let mut without = Society::draw(seed, odds);
        let mut rng = StdRng::seed_from_u64(!seed);
        let v = rng.random_range(0..without.len());
        let u = (v + rng.random_range(1..without.len())) % without.len();
        without.people[v].transfer = State::Granted;
        without.people[v].book.remove(&u);
        (Self { without, v, u }, rng)
    }

    fn with(&self) -> Society {
        let mut with = self.without.clone();
        with.people[self.v].book.insert(self.u);
        with
    }

    /// Everybody but v.
    fn others(&self) -> impl Iterator<Item = Who> + use<> {
        let v = self.v;
        (0..self.without.len()).filter(move |who| *who != v)
    }

    /// What everybody but v is shown, scores and all.
    fn lists(&self, engine: &mut Engine) -> Vec<Vec<Listed>> {
        let agreed = |who: Who| self.without.people[who].suggestions == State::Granted;
        self.others().map(|viewer| engine.list(viewer, agreed)).collect()
    }

    /// What everybody but v is shown in either world.
    fn apart(&self) -> [Vec<Vec<Listed>>; 2] {
        let mut engine = Engine::following(&self.without);
        let without = self.lists(&mut engine);
        engine.upload(self.v, &self.with());
        [without, self.lists(&mut engine)]
    }
}

#[test]
fn no_list_of_the_engine_shows_an_upload_that_is_not_revealed() {
    let (mut alike, mut not_empty, mut by_u, mut causes) =
        (0, 0, 0, std::collections::BTreeMap::new());
    for seed in 0..TRIALS {
        let (pair, why) = Pair::hidden(seed, ENGINE);
        let [without, with] = pair.apart();
        assert_eq!(without, with, "seed {seed}: {pair:?}");
        if seed % 5 == 0 {
            // A replica that starts in the other world, and one in which the upload is deleted.
            let started = pair.lists(&mut Engine::starting(&pair.with()));
            assert_eq!(without, started, "seed {seed}, starting: {pair:?}");
            let mut engine = Engine::following(&pair.with());
            engine.upload(pair.v, &pair.without);
            assert_eq!(without, pair.lists(&mut engine), "seed {seed}, deleted: {pair:?}");
        }
        alike += 1;
        *causes.entry(why).or_insert(0) += 1;
        not_empty += with.iter().filter(|list| !list.is_empty()).count();
        let place = pair.others().position(|who| who == pair.u).unwrap();
        by_u += usize::from(!with[place].is_empty());
    }
    println!(
        "paired worlds, engine: alike in {alike} of {TRIALS} trials {causes:?}; of everybody's \
         lists {not_empty} were not empty, of u's {by_u}"
    );
    assert!(by_u > 4_000 && not_empty > 5 * by_u, "{by_u}, {not_empty}: nothing was compared");
}

#[test]
fn a_list_of_the_engine_shows_an_upload_that_is_revealed() {
    let trials = TRIALS / 10;
    let mut third = 0;
    for seed in 0..trials {
        let pair = Pair::revealed(seed, ENGINE);
        let [without, with] = pair.apart();
        let place = pair.others().position(|who| who == pair.u).unwrap();
        assert_ne!(without[place], with[place], "seed {seed}: {pair:?}");
        third += usize::from((0..with.len()).any(|n| n != place && without[n] != with[n]));
    }
    println!(
        "paired worlds, engine, control: u sees the difference in {trials} of {trials} trials \
         where v is revealed, somebody else too in {third}"
    );
    assert!(third > 0, "edges change what third persons see");
}

/// Trials of the service, and how many of them are in its store at a time.
const CALLED: u64 = 1_000;
const AT_A_TIME: u64 = 50;
/// People whose lists are looked at beside u's.
const THIRD_PERSONS: usize = 3;

/// An answer, byte for byte: of an error its code, text and details.
fn bytes<M: Message>(answer: Result<Response<M>, Status>) -> Vec<u8> {
    match answer {
        Ok(answer) => answer.into_inner().encode_to_vec(),
        Err(status) => {
            let text = format!("{:?} {}", status.code(), status.message());
            [text.as_bytes(), status.details()].concat()
        }
    }
}

async fn list(user: &User<'_>) -> ListSuggestionsResponse {
    user.answer(50).await
}

/// All that u can ask. Of sync tokens, which are random, only the length is compared; suggestion
/// ids are compared as they are.
async fn asked_by(user: &User<'_>, book: &[&str]) -> Vec<(&'static str, Vec<u8>)> {
    let listed = list(user).await;
    let mut answers = vec![("list", listed.encode_to_vec())];
    answers.push(("short list", user.answer(1).await.encode_to_vec()));
    let settings = user.request(GetContactSettingsRequest {});
    answers.push(("settings", bytes(user.contacts().get_contact_settings(settings).await)));
    let blocked = user.request(ListBlockedRequest::default());
    answers.push(("blocked", bytes(user.suggestions().list_blocked(blocked).await)));
    let ids = listed.suggestions.iter().map(|one| one.suggestion_id.as_str());
    for suggestion_id in ids.chain(["made-up"]) {
        let message = ExplainSuggestionRequest { suggestion_id: suggestion_id.to_owned() };
        let answer = user.suggestions().explain_suggestion(user.request(message)).await;
        answers.push(("explanation", bytes(answer)));
    }
    let message = DismissSuggestionRequest {
        request_id: "made-up".to_owned(),
        suggestion_id: "made-up".to_owned(),
    };
    let answer = user.suggestions().dismiss_suggestion(user.request(message)).await;
    answers.push(("dismissal", bytes(answer)));
    let unknown = user.sync(vec![user.delta("unknown", book, &[])]).await.map(Response::new);
    answers.push(("unknown token", bytes(unknown)));
    let synced = user.sync(vec![user.full(book)]).await.map(|mut answer| {
        answer.sync_token = "x".repeat(answer.sync_token.len());
        Response::new(answer)
    });
    answers.push(("sync", bytes(synced)));
    answers
}

/// One trial's people in the service.
struct Trial {
    seed: u64,
    pair: Pair,
    names: Vec<Subject>,
}

impl Trial {
    fn name(&self, who: Who) -> &str {
        self.names[who].as_str()
    }

    fn book(&self, of: Who) -> Vec<&str> {
        self.pair.without.people[of].book.iter().map(|who| self.name(*who)).collect()
    }

    /// v's address book with u, or with a stranger in u's place, or without.
    async fn upload(&self, world: &World, with: bool) {
        let mut book = self.book(self.pair.v);
        match (with, self.seed % 2) {
            (true, _) => book.push(self.name(self.pair.u)),
            (false, 0) => book.push("nobody-is-found-by-this"),
            (false, _) => {}
        }
        world.user(self.name(self.pair.v)).uploads(&book).await;
    }

    /// What u and some others are told.
    async fn told(&self, world: &World) -> Vec<(String, Vec<u8>)> {
        let u = self.pair.u;
        let user = world.user(self.name(u));
        let answers = asked_by(&user, &self.book(u)).await.into_iter();
        let mut told: Vec<_> = answers.map(|(what, bytes)| (format!("u, {what}"), bytes)).collect();
        for other in self.pair.others().filter(|who| *who != u).take(THIRD_PERSONS) {
            let name = self.name(other);
            told.push((name.to_owned(), list(&world.user(name)).await.encode_to_vec()));
        }
        told
    }

    /// The same in both worlds, one after the other, in either order.
    async fn both(&self, world: &World) -> [Vec<(String, Vec<u8>)>; 2] {
        let with_first = self.seed % 4 < 2;
        self.upload(world, with_first).await;
        let first = self.told(world).await;
        self.upload(world, !with_first).await;
        [first, self.told(world).await]
    }
}

/// Trials in one store, with people of their own, some at a time: what `check` says of each.
async fn trials<T>(
    world: &World,
    seeds: std::ops::Range<u64>,
    pair: impl Fn(u64) -> Pair,
    check: impl Fn(&Trial, [Vec<(String, Vec<u8>)>; 2]) -> T,
) -> Vec<T> {
    let mut results = Vec::new();
    let seeds: Vec<u64> = seeds.collect();
    for seeds in seeds.chunks(usize::try_from(AT_A_TIME).unwrap()) {
        let trial = |seed: &u64| {
            let pair = pair(*seed);
            let names = names(&format!("trial{seed}"), pair.without.len());
            Trial { seed: *seed, pair, names }
        };
        let some: Vec<Trial> = seeds.iter().map(trial).collect();
        let societies: Vec<_> =
            some.iter().map(|one| (&one.pair.without, one.names.as_slice())).collect();
        village::settle(world, &societies).await;
        let answers = some.iter().map(|one| async move { one.both(world).await });
        let answers: Vec<_> = futures::stream::iter(answers).buffered(8).collect().await;
        results.extend(some.iter().zip(answers).map(|(one, both)| check(one, both)));
    }
    results
}

async fn no_answer_shows_an_upload_that_is_not_revealed(world: World, count: u64) {
    let pair = |seed| Pair::hidden(seed, SERVICE).0;
    let compared = trials(&world, 0..count, pair, |trial, [first, second]| {
        assert_eq!(first, second, "seed {}: {:?}", trial.seed, trial.pair);
        (first.len(), first.iter().filter(|(_, bytes)| !bytes.is_empty()).count())
    });
    let compared = compared.await;
    let sum = |of: fn(&(usize, usize)) -> usize| compared.iter().map(of).sum::<usize>();
    println!(
        "paired worlds, service: alike in {} of {count} trials, {} answers each way, {} of them \
         not empty",
        compared.len(),
        sum(|(all, _)| *all),
        sum(|(_, some)| *some),
    );
}

async fn an_answer_shows_an_upload_that_is_revealed(world: World, count: u64) {
    let pair = |seed| Pair::revealed(seed, SERVICE);
    let differ = trials(&world, 0..count, pair, |trial, [first, second]| {
        assert_ne!(first[0], second[0], "seed {}: {:?}", trial.seed, trial.pair);
        // What is not about suggestions is the same also then.
        let others = ["u, settings", "u, blocked", "u, dismissal", "u, unknown token", "u, sync"];
        let of = |told: &[(String, Vec<u8>)], what: &str| {
            told.iter().find(|(one, _)| one == what).unwrap().1.clone()
        };
        for what in others {
            assert_eq!(of(&first, what), of(&second, what), "seed {}: {what}", trial.seed);
        }
    });
    println!(
        "paired worlds, service, control: u's list differs in {} of {count} trials where v is \
         revealed",
        differ.await.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pairs_cannot_be_told_apart_by_any_answer() {
    let world = World::on_sqlite().await;
    no_answer_shows_an_upload_that_is_not_revealed(world, CALLED).await;
}

async fn fifty_pairs_cannot_be_told_apart_by_any_answer(world: World) {
    no_answer_shows_an_upload_that_is_not_revealed(world, AT_A_TIME).await;
}

async fn fifty_pairs_can_where_the_upload_is_revealed(world: World) {
    an_answer_shows_an_upload_that_is_revealed(world, AT_A_TIME).await;
}

on_both_stores! {
    fifty_pairs_cannot_be_told_apart_by_any_answer,
    fifty_pairs_can_where_the_upload_is_revealed,
}
