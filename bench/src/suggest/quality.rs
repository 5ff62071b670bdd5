//! `bench suggest quality`: how many hidden edges are found again.

use std::{collections::HashMap, fs, path::PathBuf};

use suggest_svc::domain::ranking::Weights;

use super::{
    QualityOptions, baselines,
    fit::{Choice, fit},
    graph::{Edge, Edges, Engine},
    split::{Quality, Split, by_scores},
};
use crate::{
    Result,
    report::{Report, Unit},
};

/// How far down a hidden person is looked for in the shipped ranker's list; further down counts
/// as not at all.
const LOOKED_THROUGH: usize = 100;

/// The names of figures, which never change: recall, hits, reciprocal rank.
const FIGURES: [(&str, [&str; 3]); 5] = [
    ("cn", ["cn-recall-at-10", "cn-hits-at-10", "cn-mrr"]),
    ("jaccard", ["jaccard-recall-at-10", "jaccard-hits-at-10", "jaccard-mrr"]),
    ("aa", ["aa-recall-at-10", "aa-hits-at-10", "aa-mrr"]),
    ("ra", ["ra-recall-at-10", "ra-hits-at-10", "ra-mrr"]),
    ("tra", ["tra-recall-at-10", "tra-hits-at-10", "tra-mrr"]),
];

pub(super) fn measure(options: &QualityOptions, report: &mut Report) -> Result<()> {
    let edges = Edges::read(&options.edges)?;
    let (people, top) = (edges.names.len(), usize::from(options.top));
    let split = Split::new(people, &edges.pairs, options.hide, options.seed, options.users);
    eprintln!(
        "{people} people, {} edges, {} of them hidden; lists of {} people",
        edges.pairs.len(),
        edges.pairs.len() - split.left.len(),
        split.users.len()
    );
    if split.users.is_empty() {
        return Err("nobody has an edge to hide".into());
    }
    let weights = match &options.weights {
        Some(path) if options.fit => fitted(&edges.names, &split.left, options, path)?,
        Some(path) => read_weights(path)?,
        None => Weights::default(),
    };
    let numbers: HashMap<&str, u32> = edges.names.iter().map(String::as_str).zip(0..).collect();
    let mut engine = Engine::new(&edges.names, &split.left, weights);
    let shipped = Quality::of(&split, top, |user| {
        let name = &edges.names[user as usize];
        let mut list = engine.list(name, top);
        let further = engine.list(name, LOOKED_THROUGH);
        list.extend(
            further
                .into_iter()
                .filter(|one| {
                    !list[..top.min(list.len())].iter().any(|first| first.subject == one.subject)
                })
                .collect::<Vec<_>>(),
        );
        list.iter().map(|one| numbers[one.subject.as_str()]).collect()
    });
    print(report, ["recall-at-10", "hits-at-10", "mrr"], shipped);
    for ((name, ranker), (_, figures)) in baselines::ALL.iter().zip(FIGURES) {
        let quality = Quality::of(&split, top, |user| {
            by_scores(&split.graph, user, &ranker(&split.graph, user), options.seed)
        });
        print(report, figures, quality);
        let is_beaten = shipped.recall >= quality.recall
            && shipped.hits >= quality.hits
            && shipped.reciprocal_rank >= quality.reciprocal_rank;
        eprintln!(
            "{name:8} {}",
            if is_beaten { "reached by the shipped ranker" } else { "NOT reached" }
        );
    }
    if top != 10 {
        report.invalid(format!("lists had {top} people and not 10"));
    }
    Ok(())
}

fn print(report: &mut Report, names: [&'static str; 3], quality: Quality) {
    let Quality { recall, hits, reciprocal_rank } = quality;
    for (name, value) in names.into_iter().zip([recall, hits, reciprocal_rank]) {
        report.figure(name, value, Unit::Ratio);
    }
}

pub(super) fn read_weights(path: &PathBuf) -> Result<Weights> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Weights::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

/// Weights fitted on edges hidden once more among those that are left: what is measured later is
/// nowhere in it. They are written to the file.
fn fitted(
    names: &[String],
    left: &[Edge],
    options: &QualityOptions,
    path: &PathBuf,
) -> Result<Weights> {
    let nested = Split::new(names.len(), left, options.hide, options.seed ^ 1, usize::MAX);
    let mut engine = Engine::new(names, &nested.left, Weights::default());
    let mut choices = Vec::new();
    for user in &nested.users {
        let hidden = &nested.hidden[*user as usize];
        let evidence = engine.evidence(&names[*user as usize]);
        let is_hidden = |name: &str| hidden.iter().any(|hidden| names[*hidden as usize] == name);
        let chosen = evidence.iter().enumerate().filter(|(_, (who, _))| is_hidden(who.as_str()));
        let chosen = chosen.map(|(place, _)| place).collect();
        let candidates = evidence.iter().map(|(_, features)| *features).collect();
        choices.push(Choice { candidates, chosen });
    }
    choices.retain(Choice::tells);
    if choices.is_empty() {
        return Err("no hidden edge is among the candidates: nothing to fit to".into());
    }
    let fitted = fit(&choices).map(|weight| (weight * 1e4).round() / 1e4);
    let weights = Weights::default().with_fitted(fitted);
    eprintln!("fitted to {} people: {:?}", choices.len(), weights.fitted());
    let text = weights.to_json();
    fs::write(path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    // What a service would read.
    Ok(Weights::parse(&text)?)
}
