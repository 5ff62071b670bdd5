//! A thousand accounts that try numbers for a month, each within its quota, confirm not one of a
//! person with the default setting: whatever they are shown is what they would be shown if the
//! numbers belonged to nobody.

use std::time::Duration;

use proto::{
    errors::v1::Reason,
    status,
    suggest::v1::{Discoverability, Registration, SyncContactsRequest},
    types::v1::{Identifier, IdentifierKind},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use service_kit::{
    clock::{Clock, UnixMillis},
    store::Synchronous,
};

use crate::world::{World, hashed};

const ACCOUNTS: usize = 1_000;
/// New contacts of one account at once, and in 30 days once more; one of them is a fellow.
const QUOTA: usize = 40;
/// Those whose numbers are tried, each by some 76 accounts.
const PEOPLE: usize = 1_000;
const SEED: u64 = 20_261_123;

fn number(name: &str) -> Identifier {
    hashed(IdentifierKind::Phone, name)
}

fn account(n: usize) -> String {
    format!("account-{n}")
}

/// The numbers that are tried belong to people who know each other, or to nobody: the same people
/// have others.
async fn start(belong: bool) -> World {
    let clock = Clock::manual(UnixMillis::new(1_800_000_000_000));
    let world = World::on_sqlite_with(clock, |config| {
        config.store.synchronous = Synchronous::Normal;
        config.contacts.burst = QUOTA as u64;
    });
    let world = world.await;
    let people: Vec<_> = (0..PEOPLE).map(|n| format!("person-{n}")).collect();
    let accounts: Vec<_> = (0..ACCOUNTS).map(account).collect();
    for (names, belong) in [(&people, belong), (&accounts, true)] {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        world.agreed(&names);
        let registration = |name: &&str| Registration {
            subject_id: (*name).to_owned(),
            identifiers: vec![number(&if belong {
                (*name).to_owned()
            } else {
                format!("another of {name}")
            })],
            default_region: String::new(),
        };
        world.register(names.iter().map(registration).collect()).await.unwrap();
        let next = |n: usize| [1, 7].map(|step| (names[n], names[(n + step) % names.len()]));
        let pairs: Vec<_> = (0..names.len()).flat_map(next).collect();
        world.connect(&pairs).await.unwrap();
    }
    world
}

/// What the accounts are told, but for the tokens.
async fn sweep(world: &World) -> Vec<String> {
    let (mut told, mut random) = (Vec::new(), StdRng::seed_from_u64(SEED));
    for day in [0, 29, 30] {
        for n in 0..ACCOUNTS {
            // Fellows hold each other's numbers: they have something to see.
            let mut added = vec![number(&account(n ^ 1))];
            while added.len() < QUOTA {
                let person = random.random_range(0..PEOPLE);
                added.push(number(&format!("person-{person}")));
            }
            // All of them try within the quota, and some once more beyond it.
            if day == 29 && n % 50 != 0 {
                continue;
            }
            let name = account(n);
            let user = world.user(&name);
            let answer = user.sync(vec![SyncContactsRequest { added, ..user.full(&[]) }]).await;
            told.push(match answer {
                Ok(answer) => format!("{} accepted", answer.accepted),
                Err(refused) => {
                    assert_eq!(status::reason(&refused), Some(Reason::QuotaExceeded));
                    refused.message().to_owned()
                }
            });
        }
        world.clock.advance(Duration::from_hours(if day == 0 { 29 * 24 } else { 24 }));
    }
    told
}

async fn shown(world: &World) -> Vec<Vec<u8>> {
    let mut shown = Vec::new();
    for n in 0..ACCOUNTS {
        shown.push(world.user(&account(n)).bytes().await);
    }
    shown
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_accounts_confirm_nobody_in_a_month() {
    let (real, nobody) = tokio::join!(start(true), start(false));
    let (told, told_nobody) = tokio::join!(sweep(&real), sweep(&nobody));
    assert!(told == told_nobody);
    let accepted = told.iter().filter(|told| told.ends_with("accepted")).count();
    assert!(accepted >= 2 * ACCOUNTS && accepted < told.len(), "{accepted} of {}", told.len());
    let (seen, seen_nobody) = tokio::join!(shown(&real), shown(&nobody));
    assert!(seen.iter().all(|shown| !shown.is_empty()));
    let confirmed = seen.iter().zip(&seen_nobody).filter(|(real, nobody)| real != nobody);
    assert_eq!(confirmed.count(), 0);
    // Else this proves nothing: who is open to everyone is confirmed.
    for world in [&real, &nobody] {
        for n in 0..20 {
            world.user(&format!("person-{n}")).settings(Discoverability::Everyone, true).await;
        }
    }
    let (seen, seen_nobody) = tokio::join!(shown(&real), shown(&nobody));
    let confirmed = seen.iter().zip(&seen_nobody).filter(|(real, nobody)| real != nobody);
    assert!(confirmed.count() > 100);
}
