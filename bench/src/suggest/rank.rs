//! `bench suggest rank`: lists for people of a graph of one's own, from the engine of the service.

use std::{
    fs,
    io::{self, Write as _},
};

use suggest_svc::domain::ranking::Weights;

use super::{
    RankOptions,
    graph::{Edges, Engine},
    quality::read_weights,
};
use crate::Result;

pub(super) fn print(options: &RankOptions) -> Result<()> {
    let edges = Edges::read(&options.edges)?;
    let users = fs::read_to_string(&options.users)
        .map_err(|error| format!("{}: {error}", options.users.display()))?;
    let weights = options.weights.as_ref().map_or_else(|| Ok(Weights::default()), read_weights)?;
    let mut engine = Engine::new(&edges.names, &edges.pairs, weights);
    let mut out = io::BufWriter::new(io::stdout().lock());
    for user in users.lines().map(str::trim).filter(|user| !user.is_empty()) {
        let list = engine.list(user, usize::from(options.top));
        for (one, place) in list.iter().zip(1..) {
            writeln!(out, "{user}\t{place}\t{}\t{:.6}", one.subject, one.rank.score)?;
        }
    }
    Ok(out.flush()?)
}
