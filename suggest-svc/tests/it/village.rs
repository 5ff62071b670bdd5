//! Societies as people of a running service, who say everything by its API.

use std::{collections::BTreeMap, time::Duration};

use futures::StreamExt;
use proto::{
    errors::v1::Reason,
    suggest::v1::{Discoverability as Said, MutualCount, SuggestionReason},
};
use suggest_svc::domain::{Discoverability, Settings, Subject};

use crate::{
    society::{Shown, Society, State, Who, Why},
    world::{TRANSFER, USE, User, World, reason, registration},
};

/// Calls in flight at once.
const CALLS: usize = 8;
/// Registrations of one message.
const REGISTRATIONS: usize = 1_000;
/// After what time those consents end that expire.
const SOON: Duration = Duration::from_hours(2);

/// Settles people: they agree to what they agree to at first, the app tells of them, they say all
/// that they have to say. What is withdrawn or expires is still granted afterwards.
pub(crate) async fn settle(world: &World, societies: &[(&Society, &[Subject])]) {
    let people = || {
        let each = |(society, names): &(&Society, &[Subject])| {
            let people = society.people.clone().into_iter().zip(names.to_vec());
            people.collect::<Vec<_>>()
        };
        societies.iter().flat_map(each)
    };
    let until = i64::try_from(SOON.as_millis()).unwrap() + world.clock.now().get();
    for (person, name) in people() {
        for (purpose, state) in [(TRANSFER, person.transfer), (USE, person.suggestions)] {
            match state {
                State::Granted | State::Withdrawn => world.grants.grant(purpose, name.as_str()),
                State::Expired => world.grants.grant_until(purpose, name.as_str(), until),
                State::Refused | State::Pending => {}
            }
        }
    }
    let registrations: Vec<_> =
        people().map(|(_, name)| registration(name.as_str(), &[name.as_str()])).collect();
    for some in registrations.chunks(REGISTRATIONS) {
        world.register(some.to_vec()).await.unwrap();
    }
    let pairs: Vec<(&str, &str)> = societies
        .iter()
        .flat_map(|(society, names)| {
            let named = |(one, other): &(Who, Who)| (names[*one].as_str(), names[*other].as_str());
            society.connected.iter().map(named)
        })
        .collect();
    if !pairs.is_empty() {
        world.connect(&pairs).await.unwrap();
    }
    let words = societies.iter().flat_map(|(society, names)| {
        (0..society.len()).map(move |who| speak(world, society, names, who))
    });
    futures::stream::iter(words).for_each_concurrent(CALLS, |word| word).await;
}

/// What somebody says themselves.
async fn speak(world: &World, society: &Society, names: &[Subject], who: Who) {
    let person = &society.people[who];
    let user = world.user(names[who].as_str());
    if person.settings != Settings::default() {
        set(&user, person.settings).await;
    }
    if !person.book.is_empty() {
        let book: Vec<&str> = person.book.iter().map(|other| names[*other].as_str()).collect();
        let synced = user.sync(vec![user.full(&book)]).await;
        match person.transfer {
            State::Refused | State::Pending => {
                assert_eq!(reason(synced), Reason::ConsentNotGranted)
            }
            _ => drop(synced.unwrap()),
        }
    }
    for (_, blocked) in society.blocks.iter().filter(|(blocker, _)| *blocker == who) {
        user.blocks(names[*blocked].as_str()).await;
    }
}

/// Says who may find somebody, and through whom.
pub(crate) async fn set(user: &User<'_>, settings: Settings) {
    let found_by = match settings.discoverability {
        Discoverability::Everyone => Said::Everyone,
        Discoverability::Reciprocal => Said::Reciprocal,
        Discoverability::Nobody => Said::Nobody,
    };
    user.settings(found_by, settings.may_be_mutual).await;
}

/// Lets happen what happens to consents after people have settled: some are withdrawn, and by a
/// call of their own app the service hears of the transfer; some expire.
pub(crate) async fn change_minds(world: &World, societies: &[(&Society, &[Subject])]) {
    for (society, names) in societies {
        for (person, name) in society.people.iter().zip(*names) {
            if person.suggestions == State::Withdrawn {
                world.grants.deny(USE, name.as_str());
            }
            if person.transfer == State::Withdrawn {
                world.grants.deny(TRANSFER, name.as_str());
                let user = world.user(name.as_str());
                let denied = user.sync(vec![user.full(&["whoever"])]).await;
                assert_eq!(reason(denied), Reason::ConsentNotGranted);
            }
        }
    }
    world.clock.advance(SOON);
}

/// Who of a society is shown to somebody.
pub(crate) async fn shown(user: &User<'_>, names: &[Subject]) -> BTreeMap<Who, Shown> {
    let who = |id: &str| names.iter().position(|name| name.as_str() == id).unwrap();
    let suggestions = user.answer(50).await.suggestions.into_iter();
    let shown = suggestions.map(|one| {
        let why = match one.reason() {
            SuggestionReason::MutualConnections => Why::Mutual,
            SuggestionReason::ReciprocalContact => Why::Reciprocal,
            SuggestionReason::InYourContacts => Why::OneWay,
            _ => Why::Other,
        };
        (who(&one.subject_id), (why, least(one.mutual_connections())))
    });
    shown.collect()
}

/// The least that a range says; 0: nothing is told.
pub(crate) fn least(count: MutualCount) -> u32 {
    match count {
        MutualCount::Unspecified => 0,
        MutualCount::MutualCount3To5 => 3,
        MutualCount::MutualCount6To10 => 6,
        MutualCount::MutualCount11To20 => 11,
        MutualCount::MutualCount21To50 => 21,
        MutualCount::MutualCount51OrMore => 51,
    }
}
