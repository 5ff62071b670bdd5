//! Running a search and saying what came out.

use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::config::{Config, LARGE};
use crate::mutant::Mutant;
use crate::protocol::{EVENT, Event, NO_INVERSION, NO_STALE_YES, Protocol};

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The scenario searched.
    pub config: &'static str,
    /// What was taken out of the protocol.
    pub mutant: Option<Mutant>,
    /// States generated, repetitions included.
    pub states: usize,
    /// Different states.
    pub unique_states: usize,
    /// Steps to the farthest state.
    pub depth: usize,
    /// The broken promise. `None`: every reachable state was visited and none breaks one.
    pub violated: Option<&'static str>,
    /// The steps to the broken promise or to the awaited event; empty when there is none.
    pub path: Vec<String>,
    /// How long the search took.
    pub elapsed: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mutant {
            Some(mutant) => write!(f, "{} without its part ({mutant:?}): ", self.config)?,
            None => write!(f, "{}: ", self.config)?,
        }
        write!(
            f,
            "{} states, {} different, depth {}, {:.1} s: ",
            self.states,
            self.unique_states,
            self.depth,
            self.elapsed.as_secs_f64()
        )?;
        match self.violated {
            Some(promise) => write!(f, "\"{promise}\" broken after {} steps", self.path.len()),
            None => write!(f, "no promise broken"),
        }
    }
}

/// Searches a scenario to its end, or to the first broken promise.
pub fn run(config: &Config, mutant: Option<Mutant>) -> Report {
    Search { mutant, ..Search::of(config) }.run()
}

/// Searches a scenario of the unmutated protocol for the first occurrence of an event. The path is empty if it cannot
/// happen.
pub fn reach(config: &Config, event: Event) -> Report {
    Search { awaited: Some(event), ..Search::of(config) }.run()
}

/// Searches every large scenario to its end, one after the other as the iterator is asked for the next. Together they
/// take minutes and gigabytes.
pub fn check_large(threads: usize) -> impl Iterator<Item = Report> {
    LARGE.iter().map(move |config| Search { threads, ..Search::of(config) }.run())
}

/// A search with all that can be chosen about it.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The scenario.
    pub config: Config,
    /// What is taken out of the protocol.
    pub mutant: Option<Mutant>,
    /// Ends at the first occurrence of this event.
    pub awaited: Option<Event>,
    /// Visits one representative of states that no future can tell apart. Otherwise all: for comparison.
    pub reduced: bool,
    /// Threads to search with. With one the path found is among the shortest.
    pub threads: usize,
}

impl Search {
    /// The unmutated protocol, on one thread.
    pub fn of(config: &Config) -> Search {
        Search { config: *config, mutant: None, awaited: None, reduced: true, threads: 1 }
    }

    /// Searches.
    pub fn run(self) -> Report {
        let Search { config, mutant, awaited, reduced, threads } = self;
        let begun = Instant::now();
        let protocol = Protocol { config, mutant, awaited, reduced };
        let checker =
            protocol.checker().threads(threads).finish_when(HasDiscoveries::Any).spawn_bfs().join();
        let mut discoveries = checker.discoveries();
        let violated = [NO_STALE_YES, NO_INVERSION]
            .into_iter()
            .find(|promise| discoveries.contains_key(promise));
        let path = discoveries
            .remove(violated.unwrap_or(EVENT))
            .map(|path| path.into_actions().iter().map(|step| format!("{step:?}")).collect())
            .unwrap_or_default();
        Report {
            config: config.name,
            mutant,
            states: checker.state_count(),
            unique_states: checker.unique_state_count(),
            depth: checker.max_depth(),
            violated,
            path,
            elapsed: begun.elapsed(),
        }
    }
}
