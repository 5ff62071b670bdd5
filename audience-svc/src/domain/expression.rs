//! People in terms of audiences: parsed, put into one canonical form, and evaluated.

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// How deep expressions may be nested.
pub(super) const MAX_DEPTH: usize = 4;

/// The most audiences that one expression may name.
pub(super) const MAX_TERMS: usize = 1_000;

/// A term of an expression.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// The members of an audience.
    Audience(String),
    /// The people of an expression.
    Nested(Box<Expression>),
}

/// People in all of `intersect`, in some of `include` (where there are any), in none of `exclude`.
/// Terms stand in canonical order, so that two ways of writing the same share one release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expression {
    include: Vec<Term>,
    intersect: Vec<Term>,
    exclude: Vec<Term>,
}

/// By how much, at most, the count of an expression depends on the answer to one question: is this
/// person there, did they agree, is this identifier theirs, or another's, are these two one person?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sensitivity {
    /// By one.
    One,
    /// By two: for two people it may decide alike, that both count or that neither does.
    Two,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ExpressionInvalid {
    /// Nobody is asked for: neither `include` nor `intersect` has a term.
    #[error("an expression needs a term in include or intersect")]
    Empty,
    /// A term is neither an audience nor an expression.
    #[error("a term names neither an audience nor an expression")]
    TermEmpty,
    /// Too many levels.
    #[error("expressions may be nested 4 deep")]
    TooDeep,
    /// The same audience stands there more than once.
    #[error("an audience is named twice")]
    NamedTwice,
    /// Too many audiences.
    #[error("more than 1000 audiences are named")]
    TooLarge,
}

impl Expression {
    /// The members of one audience.
    pub fn of_audience(audience_id: impl Into<String>) -> Self {
        let audience = Term::Audience(audience_id.into());
        Self { include: Vec::new(), intersect: vec![audience], exclude: Vec::new() }
    }

    /// An expression of terms that are themselves canonical.
    pub fn new(
        mut include: Vec<Term>,
        mut intersect: Vec<Term>,
        mut exclude: Vec<Term>,
    ) -> Result<Self, ExpressionInvalid> {
        if include.is_empty() && intersect.is_empty() {
            return Err(ExpressionInvalid::Empty);
        }
        // In some of one is in all of one.
        if include.len() == 1 {
            intersect.append(&mut include);
        }
        for terms in [&mut include, &mut intersect, &mut exclude] {
            for term in terms.iter_mut() {
                term.unwrap_single();
            }
            terms.sort();
        }
        let expression = Self { include, intersect, exclude };
        if expression.depth() > MAX_DEPTH {
            return Err(ExpressionInvalid::TooDeep);
        }
        expression.audiences()?;
        Ok(expression)
    }

    fn depth(&self) -> usize {
        let nested = self.terms().map(|term| match term {
            Term::Audience(_) => 0,
            Term::Nested(expression) => expression.depth(),
        });
        1 + nested.max().unwrap_or(0)
    }

    fn terms(&self) -> impl Iterator<Item = &Term> {
        self.include.iter().chain(&self.intersect).chain(&self.exclude)
    }

    /// Every audience that it names.
    pub fn audiences(&self) -> Result<BTreeSet<&str>, ExpressionInvalid> {
        let mut named = BTreeSet::new();
        self.name_into(&mut named)?;
        if named.len() > MAX_TERMS {
            return Err(ExpressionInvalid::TooLarge);
        }
        Ok(named)
    }

    fn name_into<'a>(&'a self, named: &mut BTreeSet<&'a str>) -> Result<(), ExpressionInvalid> {
        for term in self.terms() {
            match term {
                Term::Audience(id) if !named.insert(id) => {
                    return Err(ExpressionInvalid::NamedTwice);
                }
                Term::Audience(_) => {}
                Term::Nested(expression) => expression.name_into(named)?,
            }
        }
        Ok(())
    }

    /// Its terms: include, intersect, exclude.
    pub fn parts(&self) -> [&[Term]; 3] {
        [&self.include, &self.intersect, &self.exclude]
    }

    /// The one audience that it consists of, if that is all.
    pub fn single(&self) -> Option<&str> {
        match (&*self.include, &*self.intersect, &*self.exclude) {
            ([], [Term::Audience(id)], []) => Some(id),
            _ => None,
        }
    }

    /// By what its releases are kept: itself and the versions of its lists, never who is in them.
    pub fn release_key(&self, versions: &BTreeMap<String, u64>) -> [u8; 32] {
        let mut hasher = Sha256::new();
        self.hash_into(versions, &mut hasher);
        hasher.finalize().into()
    }

    fn hash_into(&self, versions: &BTreeMap<String, u64>, hasher: &mut Sha256) {
        for terms in [&self.include, &self.intersect, &self.exclude] {
            hasher.update((terms.len() as u64).to_le_bytes());
            for term in terms {
                match term {
                    Term::Audience(id) => {
                        hasher.update([1]);
                        hasher.update((id.len() as u64).to_le_bytes());
                        hasher.update(id);
                        let version = versions.get(id).copied().unwrap_or(0);
                        hasher.update(version.to_le_bytes());
                    }
                    Term::Nested(expression) => {
                        hasher.update([2]);
                        expression.hash_into(versions, hasher);
                    }
                }
            }
        }
    }

    /// How much its count depends on one question about people.
    ///
    /// One person changes any count by one. Whose an identifier is concerns two people: the one
    /// counts with the identifier's lists, the other without them, or the other way round. Both may
    /// change at once only if these lists let the one in and keep the other out. Lists that are
    /// excluded from all the rest cannot: they keep everybody out. Lists that are excluded from a
    /// part, (a, not b) or (c, not d), can.
    pub(super) fn sensitivity(&self) -> Sensitivity {
        if self.excludes_from_all() { Sensitivity::One } else { Sensitivity::Two }
    }

    /// Whether it is people who are in enough lists of some, and in none of others.
    fn excludes_from_all(&self) -> bool {
        self.intersect.iter().all(|term| term.is_list_or(&Self::excludes_from_all))
            && self.include.iter().all(|term| term.is_list_or(&Self::excludes_nobody))
            && self.exclude.iter().all(|term| term.is_list_or(&Self::is_any_of_lists))
    }

    fn excludes_nobody(&self) -> bool {
        self.exclude.is_empty() && self.terms().all(|term| term.is_list_or(&Self::excludes_nobody))
    }

    fn is_any_of_lists(&self) -> bool {
        self.intersect.is_empty()
            && self.exclude.is_empty()
            && self.include.iter().all(|term| term.is_list_or(&Self::is_any_of_lists))
    }

    /// The people, given the members of each audience; an audience that is not given has none.
    pub fn evaluate(&self, members: &BTreeMap<String, RoaringBitmap>) -> RoaringBitmap {
        let mut people = self.intersect.iter().map(|term| term.evaluate(members));
        let mut result = people.next();
        for other in people {
            result = result.map(|result| result & other);
        }
        if !self.include.is_empty() {
            let mut some = RoaringBitmap::new();
            for term in &self.include {
                some |= term.evaluate(members);
            }
            result = Some(result.map_or(some.clone(), |result| result & &some));
        }
        let mut result = result.unwrap_or_default();
        for term in &self.exclude {
            result -= term.evaluate(members);
        }
        result
    }
}

impl Term {
    /// An expression that is nothing but one term is that term.
    fn unwrap_single(&mut self) {
        if let Self::Nested(expression) = self
            && expression.include.is_empty()
            && expression.exclude.is_empty()
            && expression.intersect.len() == 1
        {
            *self = expression.intersect.remove(0);
        }
    }

    /// Whether it is a list, or an expression that is `so`.
    fn is_list_or(&self, so: &impl Fn(&Expression) -> bool) -> bool {
        match self {
            Self::Audience(_) => true,
            Self::Nested(expression) => so(expression),
        }
    }

    fn evaluate(&self, members: &BTreeMap<String, RoaringBitmap>) -> RoaringBitmap {
        match self {
            Self::Audience(id) => members.get(id).cloned().unwrap_or_default(),
            Self::Nested(expression) => expression.evaluate(members),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn audience(id: &str) -> Term {
        Term::Audience(id.to_owned())
    }

    fn nested(include: Vec<Term>, intersect: Vec<Term>, exclude: Vec<Term>) -> Term {
        Term::Nested(Box::new(Expression::new(include, intersect, exclude).unwrap()))
    }

    #[test]
    fn what_is_written_differently_and_means_the_same_shares_a_release() {
        let versions = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let key = |expression: &Expression| expression.release_key(&versions);
        let plain = Expression::of_audience("a");
        for same in [
            Expression::new(vec![audience("a")], vec![], vec![]).unwrap(),
            Expression::new(vec![nested(vec![audience("a")], vec![], vec![])], vec![], vec![])
                .unwrap(),
        ] {
            assert_eq!(key(&same), key(&plain));
            assert_eq!(same.single(), Some("a"));
        }
        let either = |first, second| {
            Expression::new(vec![audience(first), audience(second)], vec![], vec![]).unwrap()
        };
        assert_eq!(key(&either("a", "b")), key(&either("b", "a")));
        assert_ne!(key(&either("a", "b")), key(&plain));
        let newer = BTreeMap::from([("a".to_owned(), 2)]);
        assert_ne!(plain.release_key(&newer), key(&plain));
    }

    #[test]
    fn evaluates_to_all_some_and_none() {
        let bits = |bits: &[u32]| bits.iter().copied().collect::<RoaringBitmap>();
        let members = BTreeMap::from([
            ("a".to_owned(), bits(&[1, 2, 3])),
            ("b".to_owned(), bits(&[3, 4, 5])),
            ("c".to_owned(), bits(&[1, 3, 5])),
            ("d".to_owned(), bits(&[5])),
        ]);
        let expression = Expression::new(
            vec![audience("a"), audience("b")],
            vec![audience("c")],
            vec![audience("d")],
        );
        assert_eq!(expression.unwrap().evaluate(&members), bits(&[1, 3]));
        let none = Expression::new(vec![], vec![audience("a"), audience("x")], vec![]).unwrap();
        assert!(none.evaluate(&members).is_empty());
    }

    /// Expressions by number: the digits say what stands where. Each list is one of its own.
    struct Numbered {
        number: u32,
        lists: u32,
    }

    impl Numbered {
        fn digit(&mut self) -> u32 {
            let digit = self.number % 3;
            self.number /= 3;
            digit
        }

        /// None: nobody is asked for.
        fn term(&mut self, depth: u32) -> Option<Term> {
            let more = if depth == 0 { 0 } else { self.digit() };
            if more == 0 {
                self.lists += 1;
                return Some(audience(&(self.lists - 1).to_string()));
            }
            let mut places = [vec![], vec![], vec![]];
            for _ in 0..=more {
                places[self.digit() as usize].push(self.term(depth - 1)?);
            }
            let [include, intersect, exclude] = places;
            let expression = Expression::new(include, intersect, exclude).ok()?;
            Some(Term::Nested(Box::new(expression)))
        }
    }

    /// The greatest change that an identifier makes which is one person's or another's. In no other
    /// list, the one is nobody without it: so the change that a link makes is among these.
    fn change_by_an_identifier(expression: &Expression, lists: u32) -> u8 {
        // For every combination of lists one person: the number is the combination.
        let people = 0..1_u32 << lists;
        let on = |list: u32| people.clone().filter(move |person| person >> list & 1 == 1);
        let members = (0..lists).map(|list| (list.to_string(), on(list).collect())).collect();
        let found = expression.evaluate(&members);
        let counts: Vec<_> =
            people.clone().map(|person| u8::from(found.contains(person))).collect();
        let count = |person: u32| counts[person as usize];
        let mut most = 0;
        for (one, other) in people.clone().flat_map(|one| people.clone().map(move |two| (one, two)))
        {
            for with in people.clone() {
                let (ones, others) =
                    (count(one | with) + count(other), count(one) + count(other | with));
                most = most.max(ones.abs_diff(others));
            }
        }
        most
    }

    #[test]
    fn a_question_changes_a_count_by_no_more_than_is_said() {
        let mut reached = [[0; 3]; 2];
        for number in (0..u32::MAX).step_by(300_007) {
            let mut numbered = Numbered { number, lists: 0 };
            if let Some(Term::Nested(expression)) = numbered.term(3)
                && numbered.lists <= 4
            {
                let change = change_by_an_identifier(&expression, numbered.lists);
                let said = expression.sensitivity();
                assert!(change < 2 || said == Sensitivity::Two, "{expression:?}");
                reached[said as usize][usize::from(change)] += 1;
            }
        }
        // There were many of both kinds, and what is said to change by two mostly does.
        let [[_, one, _], [_, low, high]] = reached;
        assert!(one > 500 && high > 100 && low < high, "{reached:?}");
        let but = |list, other| nested(vec![], vec![audience(list)], vec![audience(other)]);
        let either = Expression::new(vec![but("0", "1"), but("2", "3")], vec![], vec![]).unwrap();
        assert_eq!(either.sensitivity(), Sensitivity::Two);
        assert_eq!(change_by_an_identifier(&either, 4), 2);
    }

    #[test]
    fn refuses_what_has_no_meaning() {
        let bad = Expression::new(vec![], vec![], vec![audience("a")]);
        assert_eq!(bad, Err(ExpressionInvalid::Empty));
        let bad = Expression::new(vec![audience("a")], vec![], vec![audience("a")]);
        assert_eq!(bad, Err(ExpressionInvalid::NamedTwice));
        let mut deep = audience("0");
        for level in 1..=MAX_DEPTH {
            let other = audience(&level.to_string());
            let expression = Expression::new(vec![], vec![deep, other], vec![]);
            deep = Term::Nested(Box::new(expression.unwrap()));
        }
        let bad = Expression::new(vec![], vec![deep, audience("top")], vec![]);
        assert_eq!(bad, Err(ExpressionInvalid::TooDeep));
    }
}
