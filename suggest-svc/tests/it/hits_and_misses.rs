//! A sync of which every contact is somebody cannot be told from one of which none is: not by status
//! or answer, not by what is stored, and not by time.

use std::time::{Duration, Instant};

use prost::Message as _;
use proto::{
    suggest::v1::{Registration, SyncContactsRequest, SyncContactsResponse},
    types::v1::{Identifier, IdentifierKind},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use service_kit::{
    clock::{Clock, UnixMillis},
    store::Synchronous,
};

use crate::world::{User, World, hashed};

/// Syncs of each class.
const SYNCS: usize = 10_000;
/// Syncs of each class where there is a difference.
const CONTROLS: usize = 1_000;
/// Contacts of a sync.
const CONTACTS: usize = 100;
/// Those who are found, and as many digests that nobody has.
const PEOPLE: usize = 1_000;
/// Accounts that sync in turns.
const ACCOUNTS: usize = 20;
const SEED: u64 = 20_261_123;

fn number(name: &str) -> Identifier {
    hashed(IdentifierKind::Phone, name)
}

/// Contacts by class: digests that find somebody, and as many that do not.
struct Contacts([Vec<Identifier>; 2]);

impl Contacts {
    fn new() -> Self {
        // Twice, so that contacts may begin with any of them.
        let names = |class| (0..2 * PEOPLE).map(move |n| format!("{class}-{}", n % PEOPLE));
        Self(["miss", "hit"].map(|class| names(class).map(|name| number(&name)).collect()))
    }

    fn draw(&self, hit: bool, many: usize, random: &mut StdRng) -> Vec<Identifier> {
        let first = random.random_range(0..PEOPLE);
        self.0[usize::from(hit)][first..first + many].to_vec()
    }
}

async fn start() -> World {
    let clock = Clock::manual(UnixMillis::new(1_800_000_000_000));
    let world = World::on_sqlite_with(clock, |config| {
        // The disk is not to hide what the work takes.
        config.store.synchronous = Synchronous::Normal;
        config.contacts.max_per_sync = 1_000;
        config.contacts.burst = 10_000;
    });
    let world = world.await;
    let names: Vec<_> = (0..PEOPLE).map(|n| format!("hit-{n}")).collect();
    let accounts: Vec<_> = (0..ACCOUNTS).map(account).collect();
    for names in [&names, &accounts] {
        world.agreed(&names.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let registration = |name: &String| Registration {
        subject_id: name.clone(),
        identifiers: vec![number(name)],
        default_region: String::new(),
    };
    world.register(names.iter().map(registration).collect()).await.unwrap();
    world
}

fn account(n: usize) -> String {
    format!("account-{n}")
}

/// How long the answer took, which says of the contacts what anybody could say who has only them.
async fn sync(user: &User<'_>, added: Vec<Identifier>) -> Duration {
    let accepted = u32::try_from(added.len()).unwrap();
    let request = SyncContactsRequest { added, ..user.full(&[]) };
    let began = Instant::now();
    let answer = user.sync(vec![request]).await.unwrap();
    let taken = began.elapsed();
    assert_eq!(answer.sync_token.len(), 22);
    let told = SyncContactsResponse { sync_token: String::new(), ..answer };
    let expected = SyncContactsResponse { accepted, ..SyncContactsResponse::default() };
    assert_eq!(told.encode_to_vec(), expected.encode_to_vec());
    taken
}

/// How often a time of the second class is longer than one of the first, equal ones counting
/// half: the area under the curve of the classifier that goes by time (Mann and Whitney, 1947).
fn auc(classes: &[Vec<Duration>; 2]) -> f64 {
    let all = classes.iter().zip([false, true]);
    let mut all: Vec<_> =
        all.flat_map(|(times, second)| times.iter().map(move |time| (*time, second))).collect();
    all.sort_unstable();
    let (mut firsts, mut twice) = (0_usize, 0_usize);
    for same in all.chunk_by(|(a, _), (b, _)| a == b) {
        let seconds = same.iter().filter(|(_, second)| *second).count();
        twice += seconds * (2 * firsts + same.len() - seconds);
        firsts += same.len() - seconds;
    }
    as_float(twice) / 2.0 / as_float(classes[0].len()) / as_float(classes[1].len())
}

/// The standard deviation of an AUC if nothing tells the classes apart.
fn deviation(each: usize) -> f64 {
    (as_float(2 * each + 1) / (12.0 * as_float(each * each))).sqrt()
}

/// Far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn as_float(number: usize) -> f64 {
    number as f64
}

/// As many of each class, in an order that is drawn: whatever else the machine does, it does to
/// both alike.
fn shuffled(each: usize, random: &mut StdRng) -> Vec<bool> {
    let mut order: Vec<_> = (0..2 * each).map(|n| n % 2 == 1).collect();
    for n in (1..order.len()).rev() {
        order.swap(n, random.random_range(0..=n));
    }
    order
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncs_of_hits_and_of_misses_cannot_be_told_apart() {
    let world = start().await;
    let (contacts, mut random) = (Contacts::new(), StdRng::seed_from_u64(SEED));
    let accounts: Vec<_> = (0..ACCOUNTS).map(account).collect();
    // All that will come is known first, so that no sync has more new ones than another.
    for account in &accounts {
        for class in &contacts.0 {
            sync(&world.user(account), class[..PEOPLE].to_vec()).await;
        }
    }
    let mut classes = [Vec::new(), Vec::new()];
    for hit in shuffled(SYNCS, &mut random) {
        let account = &accounts[random.random_range(0..ACCOUNTS)];
        let added = contacts.draw(hit, CONTACTS, &mut random);
        classes[usize::from(hit)].push(sync(&world.user(account), added).await);
    }
    let by_time = auc(&classes);

    // What is stored has one shape.
    for (column, table) in
        [("entries", "address_book"), ("recent", "uploaded"), ("older", "uploaded")]
    {
        let sizes = format!("SELECT DISTINCT length({column}) FROM {table}");
        assert_eq!(world.stolen::<i32>(&sizes).await.len(), 1, "{table}");
    }
    let shapes = "SELECT DISTINCT length(response) FROM request WHERE caller LIKE 'ROLE_USER%'";
    assert_eq!(world.stolen::<i32>(shapes).await.len(), 2, "those of 1,000 contacts and of 100");

    // Half as many contacts again do show.
    let mut classes = [Vec::new(), Vec::new()];
    for more in shuffled(CONTROLS, &mut random) {
        let account = &accounts[random.random_range(0..ACCOUNTS)];
        let many = if more { CONTACTS + CONTACTS / 2 } else { CONTACTS };
        let added = contacts.draw(false, many, &mut random);
        classes[usize::from(more)].push(sync(&world.user(account), added).await);
    }
    let control = auc(&classes);
    println!(
        "SyncContacts, {SYNCS} each: AUC {by_time:.4} (standard error {:.4}); half as many \
         contacts again: {control:.4}",
        deviation(SYNCS)
    );
    assert!((0.48..=0.52).contains(&by_time), "{by_time}");
    assert!(control > 0.52 + 3.0 * deviation(CONTROLS), "{control}");
}

/// That an answer comes at the same time however different the work is shown where time is moved
/// by hand (`pace`), and how little it differs above; here, that answers are held back by a real
/// clock, whoever is found, and refusals as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncs_are_held_back_whoever_is_found() {
    let world = World::on_sqlite_with(Clock::system(), |config| config.contacts.burst = 4).await;
    world.people(&["ann", "bob", "cec"]).await;
    let ann = world.user("ann");
    for people in [["bob", "cec"], ["no-one", "nobody"]] {
        let began = Instant::now();
        ann.uploads(&people).await;
        assert!(began.elapsed() >= Duration::from_millis(100), "{people:?}");
    }
    let began = Instant::now();
    ann.sync(vec![ann.full(&["else"])]).await.unwrap_err();
    assert!(began.elapsed() >= Duration::from_millis(100));
}
