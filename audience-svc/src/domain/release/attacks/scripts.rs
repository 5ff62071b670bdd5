//! What a business does to learn a yes or no about one person. It knows, and controls, everything
//! else: everybody who is not the target is a padding of its own. Each uses up k fresh releases.

use super::{
    Business,
    Identifier::{self, Email, External, Phone},
    Mode, Surface,
};
use crate::domain::{Expression, Term};

const SHOP: Business = "owner/shop";
const TARGET: u32 = 0;
const OTHER: u32 = 1;

/// Enough that no answer is "below", and that one person more carries it over a step of the weak
/// releaser.
const MANY: u32 = 1_504;

/// Registers paddings.
fn crowd(service: &mut dyn Surface, people: u32) {
    for n in 0..people {
        service.register(&[External(n)]);
    }
}

fn paddings(people: u32) -> impl Iterator<Item = Identifier> {
    (0..people).map(External)
}

fn list(id: &str) -> Term {
    Term::Audience(id.to_owned())
}

fn but(list_id: &str, other: &str) -> Term {
    let but = Expression::new(vec![], vec![list(list_id)], vec![list(other)]);
    Term::Nested(Box::new(but.unwrap()))
}

/// Names of lists that nobody is in, in k combinations, as many as there may be releases: what is
/// written with another combination is another expression of the same people.
fn nobodies(service: &mut dyn Surface, k: u32) -> impl Iterator<Item = Vec<Term>> + use<> {
    let names = move || (0..=k.ilog2()).map(|n| format!("nobody-{n}"));
    for name in names() {
        service.commit(SHOP, &name, Mode::Add, vec![]);
    }
    (0..k).map(move |bits| {
        names()
            .enumerate()
            .filter(|(n, _)| bits >> n & 1 == 1)
            .map(|(_, name)| list(&name))
            .collect()
    })
}

/// Are this email and this phone one person's? Both stand on one list.
pub(super) fn link_on_one_list(service: &mut dyn Surface, k: u32, one: bool) {
    email_and_phone(service, one);
    crowd(service, MANY - 1);
    for _ in 0..k {
        let rows = paddings(MANY - 1).chain([Email(TARGET), Phone(TARGET)]).collect();
        service.commit(SHOP, "all", Mode::Replace, rows);
    }
}

/// The same, from those who are in one of two lists and not in both: two people count twice, one
/// person not at all.
pub(super) fn link_by_difference(service: &mut dyn Surface, k: u32, one: bool) {
    email_and_phone(service, one);
    crowd(service, MANY - 1);
    service.commit(SHOP, "paddings", Mode::Add, paddings(MANY - 1).collect());
    for (name, row) in [("a", Email(TARGET)), ("b", Phone(TARGET))] {
        service.commit(SHOP, name, Mode::Add, vec![row]);
        service.commit(SHOP, &format!("{name}-again"), Mode::Add, vec![row]);
    }
    for nobody in nobodies(service, k) {
        let mut include = vec![but("a", "b"), but("b-again", "a-again"), list("paddings")];
        include.extend(nobody);
        service.estimate(SHOP, &Expression::new(include, vec![], vec![]).unwrap());
    }
}

/// Is this phone of the person with the one email, or of that with the other? Counted are the one
/// with it, and the other without.
pub(super) fn attribution_by_difference(service: &mut dyn Surface, k: u32, other: bool) {
    service.register(if other { &[Email(TARGET)] } else { &[Email(TARGET), Phone(TARGET)] });
    service.register(if other { &[Email(OTHER), Phone(TARGET)] } else { &[Email(OTHER)] });
    crowd(service, MANY - 1);
    service.commit(SHOP, "paddings", Mode::Add, paddings(MANY - 1).collect());
    for (name, row) in [
        ("one", Email(TARGET)),
        ("phone", Phone(TARGET)),
        ("other", Email(OTHER)),
        ("phone-again", Phone(TARGET)),
    ] {
        service.commit(SHOP, name, Mode::Add, vec![row]);
    }
    let one = Expression::new(vec![], vec![list("one"), list("phone")], vec![]).unwrap();
    for nobody in nobodies(service, k) {
        let mut include = vec![list("paddings"), but("other", "phone-again")];
        include.push(Term::Nested(Box::new(one.clone())));
        include.extend(nobody);
        service.estimate(SHOP, &Expression::new(include, vec![], vec![]).unwrap());
    }
}

fn email_and_phone(service: &mut dyn Surface, one: bool) {
    if one {
        service.register(&[Email(TARGET), Phone(TARGET)]);
    } else {
        service.register(&[Email(TARGET)]);
        service.register(&[Phone(TARGET)]);
    }
}

/// Is this person there? Their row stands among the same paddings every time.
pub(super) fn membership(service: &mut dyn Surface, k: u32, there: bool) {
    target_if(service, there);
    crowd(service, MANY);
    for _ in 0..k {
        service.commit(SHOP, "all", Mode::Replace, paddings(MANY).chain([Email(TARGET)]).collect());
    }
}

/// Is this person there? Their row stands among 991 to 1,000 paddings, others every time.
pub(super) fn membership_with_fresh_paddings(service: &mut dyn Surface, k: u32, there: bool) {
    target_if(service, there);
    crowd(service, 2_000);
    for n in 0..k {
        let fresh = (n..n + 991 + n % 10).map(External);
        service.commit(
            SHOP,
            &format!("list-{n}"),
            Mode::Add,
            fresh.chain([Email(TARGET)]).collect(),
        );
    }
}

/// Is this person there? They would make a list of 999 large enough.
pub(super) fn membership_at_the_minimum(service: &mut dyn Surface, k: u32, there: bool) {
    target_if(service, there);
    crowd(service, 999);
    for _ in 0..k {
        service.commit(SHOP, "all", Mode::Replace, paddings(999).chain([Email(TARGET)]).collect());
    }
}

fn target_if(service: &mut dyn Surface, there: bool) {
    if there {
        service.register(&[Email(TARGET)]);
    }
}

/// Has the person with this email that phone? They are in a and, if so, in b; asked are a without
/// b, and a with b, in turns.
pub(super) fn attribute_by_exclusion(service: &mut dyn Surface, k: u32, so: bool) {
    let identifiers = [Email(TARGET), Phone(TARGET)];
    service.register(&identifiers[..if so { 2 } else { 1 }]);
    crowd(service, 2 * MANY);
    let (alone, shared) = (paddings(MANY), (MANY..2 * MANY - 1).map(External));
    let a = alone.chain(shared.clone()).chain([Email(TARGET)]);
    service.commit(SHOP, "a", Mode::Add, a.collect());
    service.commit(SHOP, "b", Mode::Add, shared.chain([Phone(TARGET)]).collect());
    let both = || vec![list("a")];
    for (n, nobody) in nobodies(service, k).enumerate() {
        let expression = if n % 2 == 0 {
            Expression::new(vec![], both(), [vec![list("b")], nobody].concat())
        } else {
            Expression::new(vec![], [both(), vec![list("b")]].concat(), nobody)
        };
        service.estimate(SHOP, &expression.unwrap());
    }
}

/// Does a list grow when this row is added?
pub(super) fn delta_of_an_add(service: &mut dyn Surface, k: u32, there: bool) {
    target_if(service, there);
    crowd(service, MANY);
    service.commit(SHOP, "all", Mode::Add, paddings(MANY).collect());
    for _ in 1..k {
        service.commit(SHOP, "all", Mode::Add, vec![Email(TARGET)]);
    }
}

/// Does a list shrink when this row is removed?
pub(super) fn delta_of_a_remove(service: &mut dyn Surface, k: u32, there: bool) {
    target_if(service, there);
    crowd(service, MANY);
    for _ in 1..k {
        service.commit(SHOP, "all", Mode::Add, paddings(MANY).chain([Email(TARGET)]).collect());
    }
    service.commit(SHOP, "all", Mode::Remove, vec![Email(TARGET)]);
}

/// Does a list grow when it is replaced by one that has this row, too?
pub(super) fn delta_of_a_replace(service: &mut dyn Surface, k: u32, there: bool) {
    target_if(service, there);
    crowd(service, MANY);
    service.commit(SHOP, "all", Mode::Replace, paddings(MANY).collect());
    for _ in 1..k {
        service.commit(SHOP, "all", Mode::Replace, paddings(MANY).chain([Email(TARGET)]).collect());
    }
}

/// Did this person withdraw? Everything is asked before and after.
pub(super) fn consent_asked_again(service: &mut dyn Surface, k: u32, withdrew: bool) {
    let target = service.register(&[Email(TARGET)]);
    crowd(service, MANY);
    service.commit(SHOP, "all", Mode::Add, paddings(MANY).chain([Email(TARGET)]).collect());
    let expressions: Vec<_> = nobodies(service, k)
        .map(|nobody| Expression::new(vec![], vec![list("all")], nobody).unwrap())
        .collect();
    for expression in &expressions {
        service.estimate(SHOP, expression);
    }
    if withdrew {
        service.withdraw(target);
    }
    for expression in &expressions {
        service.estimate(SHOP, expression);
    }
}

/// Did this person withdraw? The list is committed anew, which draws anew.
pub(super) fn consent_committed_anew(service: &mut dyn Surface, k: u32, withdrew: bool) {
    let target = service.register(&[Email(TARGET)]);
    crowd(service, MANY);
    if withdrew {
        service.withdraw(target);
    }
    for _ in 0..k {
        service.commit(SHOP, "all", Mode::Replace, paddings(MANY).chain([Email(TARGET)]).collect());
    }
}

/// Is this person there? Four businesses of one owner ask, each as much as it can.
pub(super) fn budget_split_over_businesses(service: &mut dyn Surface, k: u32, there: bool) {
    target_if(service, there);
    crowd(service, MANY);
    for _ in 0..k {
        for business in ["owner/shop", "owner/club", "owner/bank", "owner/farm"] {
            let rows = paddings(MANY).chain([Email(TARGET)]).collect();
            service.commit(business, "all", Mode::Replace, rows);
        }
    }
}
