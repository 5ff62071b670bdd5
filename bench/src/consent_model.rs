//! `bench consent-model`: the strict cache's protocol, searched as far as it goes. No figure here
//! depends on the machine but the time that it takes.

use clap::Args;
use consent_model::{Mutant, SMALL, check_large, run};

use crate::{
    Result, machine,
    report::{Report, Unit},
};

/// How far to search.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Leave out the large scenarios, which take minutes and some 8 GB
    #[arg(long)]
    pub small: bool,
    /// Threads to search the large scenarios with [default: one a core]
    #[arg(long)]
    pub threads: Option<usize>,
}

/// Searches every scenario, and every mutant in the scenario that must catch it.
pub fn measure(options: &Options) -> Result<Report> {
    let threads = match options.threads {
        Some(threads) => threads.max(1),
        None => std::thread::available_parallelism()?.get(),
    };
    eprintln!("{}; {options:?}", machine::description());
    let mut report = Report::default();
    let (mut caught, mut states, mut different) = (0_u32, 0, 0);
    for mutant in Mutant::ALL {
        let found = run(mutant.caught_by(), Some(mutant));
        eprintln!("{found}");
        match found.violated {
            Some(_) => caught += 1,
            None => report.invalid(format!("{mutant:?} breaks no promise")),
        }
    }
    let large = (!options.small).then(|| check_large(threads));
    for found in SMALL.iter().map(|config| run(config, None)).chain(large.into_iter().flatten()) {
        eprintln!("{found}");
        states += found.states;
        different += found.unique_states;
        if let Some(promise) = found.violated {
            report.invalid(format!("{}: \"{promise}\" is broken: {:#?}", found.config, found.path));
        }
    }
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    let mut figure = |name, value: usize| report.figure(name, value as f64, Unit::Count);
    figure("model-states", states);
    figure("model-different-states", different);
    report.figure("model-mutants-caught", f64::from(caught), Unit::Count);
    Ok(report)
}
