//! The service as a business sees it: people and their identifiers, lists, expressions, releases
//! that are kept, a budget. Small, but counting, keys, releases and budget are the real ones.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use roaring::RoaringBitmap;
use service_kit::clock::UnixMillis;

use super::{super::MaskedCount, Releaser};
use crate::domain::{Exhausted, Expression};

/// An identifier of somebody, of one of three kinds.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Identifier {
    Email(u32),
    Phone(u32),
    External(u32),
}

/// What a commit does with its rows.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    Add,
    Remove,
    Replace,
}

#[derive(Default)]
struct Audience {
    version: u64,
    members: RoaringBitmap,
}

/// The owner is what stands before the slash.
pub(super) type Business = &'static str;

pub(super) struct Service<'r> {
    releaser: &'r dyn Releaser,
    now: UnixMillis,
    /// Who has an identifier.
    directory: HashMap<Identifier, u32>,
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
            agreed: RoaringBitmap::new(),
            audiences: BTreeMap::new(),
            kept: BTreeMap::new(),
            spent: BTreeMap::new(),
            drawn: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Somebody new, who agrees and has these identifiers.
    pub(super) fn register(&mut self, identifiers: &[Identifier]) -> u32 {
        let ordinal = u32::try_from(self.agreed.len()).unwrap();
        self.agreed.insert(ordinal);
        self.directory.extend(identifiers.iter().map(|identifier| (*identifier, ordinal)));
        ordinal
    }

    pub(super) fn withdraw(&mut self, ordinal: u32) {
        self.agreed.remove(ordinal);
    }

    /// Changes a list, which draws a release if the budget has one.
    pub(super) fn commit(
        &mut self,
        business: Business,
        list: &str,
        mode: Mode,
        rows: impl IntoIterator<Item = Identifier>,
    ) {
        let found = rows.into_iter().filter_map(|row| self.directory.get(&row).copied()).collect();
        let audience = self.audiences.entry((business, list.to_owned())).or_default();
        audience.version += 1;
        match mode {
            Mode::Add => audience.members |= found,
            Mode::Remove => audience.members -= found,
            Mode::Replace => audience.members = found,
        }
        self.estimate(business, &Expression::of_audience(list));
    }

    /// Asks for the size of an expression over a business's own lists.
    pub(super) fn estimate(&mut self, business: Business, expression: &Expression) {
        self.now = self.now.plus(Duration::from_mins(1));
        let answer = self.release(business, expression);
        self.answers.push(answer);
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
