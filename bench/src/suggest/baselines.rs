//! The rankers that the shipped one is measured beside. Each gives everybody a score for one user.

use super::graph::Plain;

/// A way to score everybody for a user.
pub(super) type Ranker = fn(&Plain, u32) -> Vec<f64>;

/// Their names in figures, and what they are.
pub(super) const ALL: [(&str, Ranker); 5] = [
    ("cn", common_neighbours),
    ("jaccard", jaccard),
    ("aa", adamic_adar),
    ("ra", resource_allocation),
    ("tra", tuned_resource_allocation),
];

/// The sum over mutual connections of what each counts by its degree.
fn over_mutuals(graph: &Plain, user: u32, counts: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut scores = vec![0.0; graph.people()];
    for mutual in graph.neighbours(user) {
        let counts = counts(graph.degree(*mutual));
        for person in graph.neighbours(*mutual) {
            scores[*person as usize] += counts;
        }
    }
    scores
}

/// How many mutual connections.
fn common_neighbours(graph: &Plain, user: u32) -> Vec<f64> {
    over_mutuals(graph, user, |_| 1.0)
}

/// Over how many people either knows.
fn jaccard(graph: &Plain, user: u32) -> Vec<f64> {
    let mut scores = common_neighbours(graph, user);
    for (score, person) in scores.iter_mut().zip(0..) {
        let union = graph.degree(user) + graph.degree(person) - *score;
        *score = if union > 0.0 { *score / union } else { 0.0 };
    }
    scores
}

/// Adamic and Adar, "Friends and neighbors on the Web", Social Networks 25, 2003, 211–230.
fn adamic_adar(graph: &Plain, user: u32) -> Vec<f64> {
    // Whoever is between two others knows two people.
    over_mutuals(graph, user, |degree| 1.0 / degree.max(2.0).ln())
}

/// Zhou, Lü and Zhang, "Predicting missing links via local information", 2009.
fn resource_allocation(graph: &Plain, user: u32) -> Vec<f64> {
    over_mutuals(graph, user, |degree| 1.0 / degree)
}

/// The same with the default exponents of suggest-svc.
fn tuned_resource_allocation(graph: &Plain, user: u32) -> Vec<f64> {
    let mut scores = over_mutuals(graph, user, |degree| degree.powf(-0.75));
    for (score, person) in scores.iter_mut().zip(0..) {
        *score *= graph.degree(person).max(1.0).powf(-0.1);
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_definitions() {
        // 0 and 4 both know 1, who knows 3 people, and 2, who knows 2.
        let graph = Plain::new(6, &[(0, 1), (0, 2), (1, 4), (2, 4), (1, 5)]);
        let expected = [
            2.0,
            1.0,
            1.0 / 3f64.ln() + 1.0 / 2f64.ln(),
            1.0 / 3.0 + 1.0 / 2.0,
            (3f64.powf(-0.75) + 2f64.powf(-0.75)) * 2f64.powf(-0.1),
        ];
        for ((name, ranker), expected) in ALL.iter().zip(expected) {
            assert!((ranker(&graph, 0)[4] - expected).abs() < 1e-12, "{name}");
        }
    }
}
