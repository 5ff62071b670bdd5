//! The library's answer for most numbers, many times sooner than the library gives it.
//!
//! The library runs a dozen regular expressions on a number, and up to two hundred where regions
//! share a calling code. Here all expressions of one calling code, taken from the library's own
//! metadata, are one automaton, and a number is walked through it once.
//!
//! The steps are those of libphonenumber's `parse`, `isValidNumber` and E.164 `format`, for text
//! that is nothing but digits. Whatever needs more than these steps is left to the library; the
//! tests hold everything else against it.

#[cfg(test)]
mod tests;

use std::{ops::RangeInclusive, sync::OnceLock};

use regex_automata::{
    Anchored, Input, MatchError, MatchKind,
    dfa::{Automaton, StartKind, dense},
    util::{primitives::StateID, start, syntax},
};
use rlibphonenumber::{PHONE_NUMBER_UTIL, Region, interfaces::AsOriginal};

use crate::Rejection;

type Dfa = dense::DFA<Vec<u32>>;

/// Most digits of a country calling code (ITU-T E.164, 6.2.1).
const MAX_CODE_DIGITS: usize = 3;
/// Fewest and most digits of a national number that the library reads.
const NATIONAL_DIGITS: RangeInclusive<usize> = 2..=17;
/// Most leading zeros that the library writes again.
const MAX_LEADING_ZEROS: usize = 10;

/// `dialled` in E.164 with its plus sign, or why it is not valid; nothing where only the library
/// can tell. `dialled` is fewer than 64 digits, with a plus sign before them or without one;
/// without it, they are dialled in `region`.
pub(crate) fn e164(dialled: &str, region: Option<Region>) -> Option<Result<String, Rejection>> {
    let Some(digits) = dialled.strip_prefix('+') else {
        return dialled_in(region?, dialled);
    };
    if digits.len() < MAX_CODE_DIGITS || digits.starts_with('0') {
        return None;
    }
    // No calling code begins with another one.
    let (plan, rest) = (1..=MAX_CODE_DIGITS).find_map(|length| {
        let (code, rest) = digits.split_at_checked(length)?;
        Some((Plan::of(code.parse().ok()?)?, rest))
    })?;
    plan.e164(plan.regions.first()?, rest)
}

fn dialled_in(region: Region, digits: &str) -> Option<Result<String, Rejection>> {
    let code = PHONE_NUMBER_UTIL.get_country_code_for_region(region)?;
    let plan = Plan::of(usize::try_from(code).ok()?)?;
    let home = plan.regions.iter().find(|home| home.region == region)?;
    if digits.len() < *NATIONAL_DIGITS.start() || end_of(&home.abroad, digits).ok()?.is_some() {
        return None;
    }
    // A calling code without its plus sign, where the number would be none of the region's with it.
    if let Some(rest) = digits.strip_prefix(&plan.code) {
        let rest = plan.without_trunk(home, rest)?;
        if home.is_too_long(digits.len())
            || (!plan.has_shape(home, digits) && plan.has_shape(home, rest))
        {
            return plan.e164(plan.regions.first()?, rest);
        }
    }
    plan.e164(home, digits)
}

/// The numbers of one country calling code.
struct Plan {
    code: String,
    /// The regions that share it, in the order in which the library tries them; the first stands
    /// for all of them.
    regions: Vec<Home>,
    numbers: Dfa,
    start: StateID,
    /// What it means that `numbers` matched, by pattern.
    meanings: Vec<Meaning>,
}

/// How one region reads what is dialled there.
struct Home {
    region: Region,
    /// Its bit among the regions of the calling code.
    bit: u32,
    /// What dials a number abroad.
    abroad: Dfa,
    /// What is dialled before a national number.
    trunk: Dfa,
    /// Whether the trunk prefix may stand for other digits rather than for none.
    rewrites: bool,
    /// Lengths of its national numbers.
    possible: u64,
    /// Lengths of what is dialled without an area code.
    local: u64,
}

/// What it says of a number of one of these lengths that it matched a pattern.
#[derive(Clone, Copy)]
struct Meaning {
    role: Role,
    /// The region's bit.
    region: u32,
    lengths: u64,
}

#[derive(Clone, Copy)]
enum Role {
    /// It has the shape of all numbers of the region.
    General,
    /// It is of a type that the region has: mobile, toll-free, …
    Type,
    /// It begins with digits that only this region has.
    Leading,
}

/// What all patterns say of a national number: the bits of the regions.
#[derive(Default)]
struct Matches {
    /// That it has their general shape, whatever its length.
    shape: u32,
    general: u32,
    typed: u32,
    leading: u32,
}

impl Matches {
    /// Valid in the first region that claims it, by its leading digits or by a type it has there.
    fn are_valid(&self) -> bool {
        let valid = self.general & self.typed;
        let claimed = self.leading | valid;
        let first = claimed & claimed.wrapping_neg();
        valid & first != 0
    }
}

impl Home {
    fn is_possible(&self, length: usize) -> bool {
        has(self.possible & !self.local, length)
    }

    fn is_too_long(&self, length: usize) -> bool {
        self.possible != 0 && self.possible >> length == 0 && !has(self.local, length)
    }
}

impl Plan {
    /// The plan of a calling code, made when it is first asked for: 12 ms for the longest.
    fn of(code: usize) -> Option<&'static Self> {
        static PLANS: [OnceLock<Option<Box<Plan>>>; 1000] = [const { OnceLock::new() }; 1000];
        PLANS.get(code)?.get_or_init(|| Plan::new(code).map(Box::new)).as_deref()
    }

    fn new(code: usize) -> Option<Self> {
        let code = i32::try_from(code).ok()?;
        let library = PHONE_NUMBER_UTIL.as_original();
        let (mut regions, mut meanings, mut patterns) = (Vec::new(), Vec::new(), Vec::new());
        for region in PHONE_NUMBER_UTIL.get_regions_for_country_calling_code(code)? {
            let plan = library.get_metadata_for_region_or_calling_code(code, region)?;
            let bit = 1_u32.checked_shl(u32::try_from(regions.len()).ok()?)?;
            let types = [
                &plan.premium_rate,
                &plan.toll_free,
                &plan.shared_cost,
                &plan.voip,
                &plan.personal_number,
                &plan.pager,
                &plan.uan,
                &plan.voicemail,
                &plan.fixed_line,
                &plan.mobile,
            ];
            let types = types.map(|shape| (Role::Type, shape));
            for (role, shape) in types.into_iter().chain([(Role::General, &plan.general_desc)]) {
                if let Some(pattern) = &shape.national_number_pattern().pattern_base {
                    let lengths = &shape.original.possible_length;
                    let lengths = if lengths.is_empty() { u64::MAX } else { bits(lengths) };
                    meanings.push(Meaning { role, region: bit, lengths });
                    patterns.push(pattern.clone());
                }
            }
            if let Some(pattern) = &plan.leading_digits().pattern_base {
                meanings.push(Meaning { role: Role::Leading, region: bit, lengths: u64::MAX });
                patterns.push(pattern.strip_suffix('$')?.to_owned() + "[0-9]*$");
            }
            let general = &plan.general_desc.original;
            regions.push(Home {
                region,
                bit,
                abroad: prefix(plan.international_prefix().pattern_base.as_ref())?,
                trunk: prefix(plan.national_prefix_for_parsing().pattern_base.as_ref())?,
                rewrites: !plan.original.national_prefix_transform_rule().is_empty(),
                possible: bits(&general.possible_length),
                local: bits(&general.possible_length_local_only),
            });
        }
        let numbers = compile(&patterns, MatchKind::All)?;
        let start = numbers.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;
        Some(Self { code: code.to_string(), regions, numbers, start, meanings })
    }

    /// `digits`, which follow the calling code or are dialled in `home`.
    fn e164(&self, home: &Home, digits: &str) -> Option<Result<String, Rejection>> {
        let stripped = self.without_trunk(home, digits)?;
        // The library also strips what stays too long; but that is too long either way.
        let national = if home.is_possible(stripped.len()) { stripped } else { digits };
        if national.bytes().take_while(|&digit| digit == b'0').count() > MAX_LEADING_ZEROS {
            return None;
        }
        let is_valid =
            NATIONAL_DIGITS.contains(&national.len()) && self.matches(national).are_valid();
        Some(if is_valid {
            Ok(["+", &self.code, national].concat())
        } else {
            Err(Rejection::InvalidForRegion)
        })
    }

    /// `digits` without their trunk prefix, unless only with it they have the region's shape.
    fn without_trunk<'a>(&self, home: &Home, digits: &'a str) -> Option<&'a str> {
        let stripped = match end_of(&home.trunk, digits).ok()? {
            None | Some(0) => return Some(digits),
            Some(_) if home.rewrites && is_rewritten(home.region, digits)? => return None,
            Some(end) => &digits[end..],
        };
        let only_with_it = self.has_shape(home, digits) && !self.has_shape(home, stripped);
        Some(if only_with_it { digits } else { stripped })
    }

    fn has_shape(&self, home: &Home, digits: &str) -> bool {
        self.matches(digits).shape & home.bit != 0
    }

    fn matches(&self, national: &str) -> Matches {
        let mut matches = Matches::default();
        let mut state = self.start;
        for digit in national.bytes() {
            state = self.numbers.next_state(state, digit);
            if self.numbers.is_dead_state(state) {
                return matches;
            }
        }
        state = self.numbers.next_eoi_state(state);
        if !self.numbers.is_match_state(state) {
            return matches;
        }
        for index in 0..self.numbers.match_len(state) {
            let pattern = self.numbers.match_pattern(state, index);
            let Meaning { role, region, lengths } = self.meanings[pattern.as_usize()];
            let of_length = if has(lengths, national.len()) { region } else { 0 };
            match role {
                Role::General => {
                    matches.shape |= region;
                    matches.general |= of_length;
                }
                Role::Type => matches.typed |= of_length,
                Role::Leading => matches.leading |= of_length,
            }
        }
        matches
    }
}

/// Whether the trunk prefix of `digits` stands for other digits: for those that it captures.
fn is_rewritten(region: Region, digits: &str) -> Option<bool> {
    let plan = PHONE_NUMBER_UTIL.as_original().get_metadata_for_region(region)?;
    let trunk = plan.national_prefix_for_parsing().anchor_start().ok()??;
    Some(trunk.captures(digits)?.get(1).is_some())
}

/// Lengths as a set, a bit each. The library's -1 stands for no length.
fn bits(lengths: &[i32]) -> u64 {
    let lengths = lengths.iter().filter_map(|&length| u32::try_from(length).ok());
    lengths.filter_map(|length| 1_u64.checked_shl(length)).fold(0, |all, bit| all | bit)
}

fn has(lengths: u64, length: usize) -> bool {
    (lengths >> length) & 1 == 1
}

/// The automaton of a prefix. Without a pattern it never matches.
fn prefix(pattern: Option<&String>) -> Option<Dfa> {
    let prefixes = match pattern {
        Some(pattern) => vec![pattern.strip_suffix('$')?],
        None => Vec::new(),
    };
    compile(&prefixes, MatchKind::LeftmostFirst)
}

/// Where the prefix that `digits` begin with ends, if they begin with it.
fn end_of(prefix: &Dfa, digits: &str) -> Result<Option<usize>, MatchError> {
    let found = prefix.try_search_fwd(&Input::new(digits).anchored(Anchored::Yes))?;
    Ok(found.map(|found| found.offset()))
}

fn compile(patterns: &[impl AsRef<str>], matches: MatchKind) -> Option<Dfa> {
    let config = dense::Config::new().start_kind(StartKind::Anchored).match_kind(matches);
    let syntax = syntax::Config::new().unicode(false).utf8(false);
    dense::Builder::new().configure(config).syntax(syntax).build_many(patterns).ok()
}
