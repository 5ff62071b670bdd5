//! What is printed, and how it is computed.

use bench::{
    report::{Figure, Report, Unit},
    rounds::{Pair, Ratio, in_turns, median},
};

#[test]
fn a_figure_is_one_line_of_four_words() {
    let line = |value, unit| Figure { name: "empty-vs-bare", value, unit }.to_string();
    assert_eq!(line(0.912_34, Unit::Ratio), "FIGURE empty-vs-bare 0.912 ratio");
    assert_eq!(line(23_456.7, Unit::PerSecond), "FIGURE empty-vs-bare 23457 1/s");
    assert_eq!(line(0.5, Unit::Milliseconds), "FIGURE empty-vs-bare 0.500 ms");
    assert_eq!(line(12.34, Unit::Microseconds), "FIGURE empty-vs-bare 12.3 us");
}

#[test]
fn a_figure_without_a_value_makes_the_run_invalid() {
    let mut report = Report::default();
    report.figure("fine", 1.0, Unit::Ratio);
    assert!(report.complaints().is_empty());
    report.figure("divided-by-nothing", f64::NAN, Unit::Ratio);
    assert_eq!(report.complaints(), ["divided-by-nothing has no value"]);
}

#[test]
fn ratios_are_of_medians_and_spread_over_rounds() {
    let pair = Pair { baseline: vec![100.0, 200.0, 50.0], candidate: vec![80.0, 100.0, 60.0] };
    let ratio = Ratio::of(&pair);
    assert_eq!(ratio, Ratio { of_medians: 0.8, least: 0.5, most: 1.2 });
    assert_eq!(ratio.to_string(), "0.800 (rounds 0.500 to 1.200)");
    assert!((median(&[4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < f64::EPSILON);
}

#[tokio::test]
async fn turns_alternate() {
    let order = std::cell::RefCell::new(String::new());
    let turn = async |side: char, round: u64| {
        order.borrow_mut().push(side);
        Ok(round)
    };
    let pair =
        in_turns(3, async |round| turn('A', round).await, async |round| turn('B', round).await);
    let pair = pair.await.unwrap();
    assert_eq!(*order.borrow(), "ABABAB");
    assert_eq!((pair.baseline, pair.candidate), (vec![0, 1, 2], vec![0, 1, 2]));
}
