//! The service as a business sees it: people and their identifiers, lists, expressions, releases
//! that are kept, a budget. Small, but counting, keys, releases and budget are the real ones.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use roaring::RoaringBitmap;
use service_kit::clock::UnixMillis;

use super::{super::MaskedCount, Business, Identifier, Mode, Releaser, Surface};
use crate::domain::{Budget, Exhausted, Expression};

/// Between one question and the next.
pub(super) const BETWEEN: Duration = Duration::from_mins(1);

#[derive(Default)]
struct Audience {
    version: u64,
    members: RoaringBitmap,
}

pub(super) struct Service<'r> {
    releaser: &'r dyn Releaser,
    now: UnixMillis,
    /// Who has an identifier.
    directory: HashMap<Identifier, u32>,
    people: u32,
    agreed: RoaringBitmap,
    audiences: BTreeMap<(Business, String), Audience>,
    kept: BTreeMap<(Business, [u8; 32]), usize>,
    spent: BTreeMap<&'static str, Vec<UnixMillis>>,
    /// The counts that releases were drawn of.
    pub(super) drawn: Vec<MaskedCount>,
    /// What every question led to: which of those releases, or none.
    pub(super) answers: Vec<Result<usize, Exhausted>>,
}

impl<'r> Service<'r> {
    pub(super) fn new(releaser: &'r dyn Releaser) -> Self {
        Self {
            releaser,
            now: UnixMillis::new(0),
            directory: HashMap::new(),
            people: 0,
            agreed: RoaringBitmap::new(),
            audiences: BTreeMap::new(),
            kept: BTreeMap::new(),
            spent: BTreeMap::new(),
            drawn: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Asks for the size of every list when the budget has come back. It shows what commits did that
    /// got no release. Gives the lists, and which release each has then.
    pub(super) fn ask_after_renewal(&mut self) -> Vec<(Business, String, usize)> {
        self.now = self.now.plus(Budget::WINDOW);
        let lists: Vec<_> = self.audiences.keys().cloned().collect();
        let ask = |(business, list): (Business, String)| {
            let release = self.release(business, &Expression::of_audience(&*list)).unwrap();
            (business, list, release)
        };
        lists.into_iter().map(ask).collect()
    }

    fn release(&mut self, business: Business, expression: &Expression) -> Result<usize, Exhausted> {
        let own = self.audiences.iter().filter(|((of, _), _)| *of == business);
        let versions = own.clone().map(|((_, id), list)| (id.clone(), list.version)).collect();
        let key = (business, expression.release_key(&versions));
        if self.releaser.keeps()
            && let Some(release) = self.kept.get(&key)
        {
            return Ok(*release);
        }
        let spent = self.spent.entry(self.releaser.payer(business)).or_default();
        self.releaser.allows(self.now, spent)?;
        spent.push(self.now);
        let members = own.map(|((_, id), list)| (id.clone(), list.members.clone())).collect();
        let mut count = MaskedCount::of(expression);
        count.add((expression.evaluate(&members) & &self.agreed).len());
        self.drawn.push(count);
        self.kept.insert(key, self.drawn.len() - 1);
        Ok(self.drawn.len() - 1)
    }
}

impl Surface for Service<'_> {
    fn register(&mut self, identifiers: &[Identifier]) -> u32 {
        let ordinal = self.people;
        self.people += 1;
        self.agreed.insert(ordinal);
        self.directory.extend(identifiers.iter().map(|identifier| (*identifier, ordinal)));
        ordinal
    }

    fn withdraw(&mut self, person: u32) {
        self.agreed.remove(person);
    }

    fn commit(&mut self, business: Business, list: &str, mode: Mode, rows: Vec<Identifier>) {
        let found = rows.iter().filter_map(|row| self.directory.get(row).copied()).collect();
        let audience = self.audiences.entry((business, list.to_owned())).or_default();
        audience.version += 1;
        match mode {
            Mode::Add => audience.members |= found,
            Mode::Remove => audience.members -= found,
            Mode::Replace => audience.members = found,
        }
        self.estimate(business, &Expression::of_audience(list));
    }

    fn estimate(&mut self, business: Business, expression: &Expression) {
        self.now = self.now.plus(BETWEEN);
        let answer = self.release(business, expression);
        self.answers.push(answer);
    }
}
