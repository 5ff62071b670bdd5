//! The generated people of the demonstration: the same for the same seed and size.

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// How many other people each one is connected with before chance rewires some: a small world in
/// the sense of Watts & Strogatz (1998).
const NEIGHBOURS: usize = 4;
const REWIRED: f64 = 0.15;

/// What a person will do when asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Agrees to everything.
    AgreeToAll,
    /// Unchecks the box for ads and agrees to the rest.
    UncheckAds,
    /// Refuses everything.
    Refuse,
    /// Lets the time to answer pass.
    Silent,
}

/// A person with an account.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) subject_id: String,
    /// In international format.
    pub(crate) phone: String,
    pub(crate) email: String,
    /// `DE`, where silence is a no, or `US`, where it may become a yes.
    pub(crate) jurisdiction: &'static str,
    pub(crate) plan: Plan,
}

impl Person {
    /// Whether the person's ads may draw on their data once the time to answer has passed.
    pub(crate) fn ends_up_granting_ads(&self) -> bool {
        match self.plan {
            Plan::AgreeToAll => true,
            Plan::UncheckAds | Plan::Refuse => false,
            Plan::Silent => self.jurisdiction == "US",
        }
    }

    /// Whether the person's data may move to the other app once the time to answer has passed.
    pub(crate) fn ends_up_granting_transfer(&self) -> bool {
        self.ends_up_granting_ads() || self.plan == Plan::UncheckAds
    }
}

/// Everybody, and who knows whom.
#[derive(Debug)]
pub(crate) struct Population {
    pub(crate) people: Vec<Person>,
    /// Indexes into `people`, each pair once, the lower index first.
    pub(crate) connections: Vec<(usize, usize)>,
}

impl Population {
    pub(crate) fn generate(size: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let people: Vec<_> = (0..size).map(|index| person(index, seed, &mut rng)).collect();
        let mut connections = Vec::with_capacity(size * NEIGHBOURS);
        for index in 0..size {
            for step in 1..=NEIGHBOURS {
                let near = (index + step) % size;
                let other = if rng.random_bool(REWIRED) { rng.random_range(0..size) } else { near };
                if other != index {
                    connections.push((index.min(other), index.max(other)));
                }
            }
        }
        connections.sort_unstable();
        connections.dedup();
        Self { people, connections }
    }

    /// A customer list as a business would export it: most of its customers have an account, some
    /// are unknown here, some rows are malformed, some stand there twice.
    pub(crate) fn customer_list(&self, rows: usize, seed: u64) -> CustomerList {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x000c_a701);
        let mut customers: Vec<usize> = (0..self.people.len()).collect();
        customers.shuffle(&mut rng);
        let mut customers = customers.into_iter();
        let mut list = CustomerList::default();
        while list.rows.len() < rows {
            let row = match rng.random_range(0..100) {
                0..4 => {
                    list.malformed += 1;
                    malformed(&mut rng)
                }
                // Not first in a batch: duplicates are counted within one.
                4..7 if !list.rows.len().is_multiple_of(super::business::BATCH_ROWS) => {
                    let Some(previous) = list.rows.last().filter(|_| list.last_is_valid) else {
                        continue;
                    };
                    list.duplicate += 1;
                    previous.clone()
                }
                7..75 => match customers.next() {
                    Some(customer) => {
                        list.customers.push(customer);
                        known(&self.people[customer], &mut rng)
                    }
                    None => unknown(list.rows.len()),
                },
                _ => unknown(list.rows.len()),
            };
            list.last_is_valid = !row.is_malformed;
            list.rows.push(row);
        }
        list
    }
}

/// A customer list and what is true of it.
#[derive(Debug, Default)]
pub(crate) struct CustomerList {
    pub(crate) rows: Vec<Row>,
    /// Who of the population is in it, each once.
    pub(crate) customers: Vec<usize>,
    pub(crate) malformed: u64,
    pub(crate) duplicate: u64,
    last_is_valid: bool,
}

/// A row of a customer list: one of the two is empty.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) email: String,
    pub(crate) phone: String,
    is_malformed: bool,
}

impl Row {
    fn email(email: impl Into<String>) -> Self {
        Self { email: email.into(), phone: String::new(), is_malformed: false }
    }

    fn phone(phone: impl Into<String>) -> Self {
        Self { email: String::new(), phone: phone.into(), is_malformed: false }
    }
}

fn person(index: usize, seed: u64, rng: &mut ChaCha8Rng) -> Person {
    let european = rng.random_bool(0.5);
    // A number for each index, spread by a step that shares no factor with the range.
    let number = (seed % 1_000 * 104_729 + index as u64) * 7_919;
    let phone = if european {
        format!("+49151{:08}", number % 100_000_000)
    } else {
        format!("+1201{:07}", 2_000_000 + number % 7_000_000)
    };
    let plan = match rng.random_range(0..100) {
        0..55 => Plan::AgreeToAll,
        55..72 => Plan::UncheckAds,
        72..84 => Plan::Refuse,
        _ => Plan::Silent,
    };
    Person {
        subject_id: format!("person-{seed}-{index:07}"),
        phone,
        email: format!("person.{seed}.{index}@example.com"),
        jurisdiction: if european { "DE" } else { "US" },
        plan,
    }
}

/// As people type it: spaces, capitals, national format.
fn known(person: &Person, rng: &mut ChaCha8Rng) -> Row {
    if rng.random_bool(0.5) {
        let email = &person.email;
        return Row::email(if rng.random_bool(0.3) {
            format!(" {} ", email.to_uppercase())
        } else {
            email.clone()
        });
    }
    Row::phone(match person.phone.strip_prefix("+49") {
        Some(national) if rng.random_bool(0.5) => format!("0{} {}", &national[..3], &national[3..]),
        _ => person.phone.clone(),
    })
}

fn unknown(row: usize) -> Row {
    Row::email(format!("stranger.{row}@example.org"))
}

fn malformed(rng: &mut ChaCha8Rng) -> Row {
    let row = match rng.random_range(0..3) {
        0 => Row::email("not an address"),
        1 => Row::phone("12"),
        _ => Row::email("nobody@"),
    };
    Row { is_malformed: true, ..row }
}
