//! The scenarios that are searched: who writes, who checks, and what may go wrong.
//!
//! One scenario with everything in it has more states than any machine holds. Each of these leaves out what its
//! promise does not rest on, all are built of the same transitions, and each is searched to its end. Time, failovers,
//! renewals and checks are unlimited in all of them; only the writes are counted.

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The subject says yes.
    Grant(u8),
    /// The subject says no.
    Withdraw(u8),
    /// The two subjects become linked.
    Link,
    /// They are linked no longer.
    Unlink,
    /// A policy is published that refuses everybody.
    Publish,
}

/// A write of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What it changes.
    pub change: Change,
    /// The process that runs it, whose knowledge of the row it shares.
    pub process: u8,
}

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Config {
    /// As printed.
    pub name: &'static str,
    /// Writes, each begun at any time and run once.
    pub writes: &'static [Planned],
    /// Checks in flight at once. Each starts again and again.
    pub checks: u8,
    /// Subjects, all granted at first.
    pub subjects: u8,
    /// The subjects are linked at first.
    pub linked: bool,
    /// Replicas that hold leases; 0 where the row never moves, so that every lease is always valid.
    pub replicas: u8,
    /// The row is read for a renewal in one step and the reply looked at in a later one.
    pub slow_renewals: bool,
    /// W in ticks: also how long a lease lasts on the slowest clock allowed.
    pub wait: u8,
    /// Cache generations that somebody still refers to at once.
    pub generations: u8,
    /// Redis nodes: 1 keeps its identity for ever, 2 fail over in every way.
    pub nodes: u8,
    /// Keys may vanish at any time.
    pub evictions: bool,
    /// The database may crash and lose what was committed asynchronously.
    pub crashes: bool,
    /// Checks may share database reads.
    pub sharing: bool,
    /// Acknowledgement is a step of its own, and a check is bound only by what was acknowledged or answered before it
    /// started. Otherwise it is bound by what was committed, which asks for more with less state.
    pub literal: bool,
}

const BASE: Config = Config {
    name: "",
    writes: &[],
    checks: 2,
    subjects: 1,
    linked: false,
    replicas: 0,
    slow_renewals: false,
    wait: 2,
    generations: 1,
    nodes: 1,
    evictions: false,
    crashes: false,
    sharing: false,
    literal: false,
};

const fn write(change: Change, process: u8) -> Planned {
    Planned { change, process }
}

/// Fences, nonces and fills, on a Redis that never fails.
pub const FILLS: Config = Config {
    name: "fills",
    writes: &[
        write(Change::Withdraw(0), 0),
        write(Change::Grant(0), 0),
        write(Change::Withdraw(0), 0),
    ],
    evictions: true,
    ..BASE
};

/// The same, promises taken by the letter.
pub const LITERAL: Config = Config {
    name: "literal",
    writes: &[write(Change::Withdraw(0), 0), write(Change::Grant(0), 0)],
    literal: true,
    ..BASE
};

/// A database that crashes and forgets fences, and the clearing of fences.
pub const CRASHES: Config = Config {
    name: "crashes",
    writes: &[write(Change::Withdraw(0), 0), write(Change::Withdraw(0), 0)],
    crashes: true,
    ..BASE
};

/// Shared database reads.
pub const SHARING: Config = Config {
    name: "sharing",
    writes: &[write(Change::Withdraw(0), 0), write(Change::Withdraw(0), 0)],
    checks: 3,
    sharing: true,
    ..BASE
};

/// Leases, W, BYPASS and new generations.
pub const LEASES: Config = Config {
    name: "leases",
    writes: &[write(Change::Withdraw(0), 0), write(Change::Withdraw(0), 1)],
    checks: 1,
    replicas: 1,
    slow_renewals: true,
    generations: 3,
    ..BASE
};

/// Redis restarted from an old dump, failed over to a stale replica, demoted and promoted back.
pub const FAILOVER: Config = Config {
    name: "failover",
    writes: &[write(Change::Withdraw(0), 0)],
    checks: 1,
    replicas: 1,
    wait: 1,
    generations: 3,
    nodes: 2,
    ..BASE
};

/// Two linked subjects, withdrawn while links come and go.
pub const LINKED: Config = Config {
    name: "linked",
    writes: &[write(Change::Withdraw(0), 0), write(Change::Link, 0), write(Change::Unlink, 0)],
    checks: 1,
    subjects: 2,
    ..BASE
};

/// A policy published beside a withdrawal.
pub const PUBLISHING: Config = Config {
    name: "publishing",
    writes: &[write(Change::Publish, 0), write(Change::Withdraw(0), 1)],
    checks: 1,
    replicas: 1,
    wait: 1,
    generations: 3,
    ..BASE
};

/// Small enough for every run of the tests; each catches its mutants.
pub const SMALL: [Config; 8] =
    [FILLS, LITERAL, CRASHES, SHARING, LEASES, FAILOVER, LINKED, PUBLISHING];

/// The same scenarios with more of everything, and one in which everything meets.
pub const LARGE: [Config; 10] = [
    Config {
        name: "fills, large",
        writes: &[
            write(Change::Withdraw(0), 0),
            write(Change::Grant(0), 0),
            write(Change::Withdraw(0), 0),
            write(Change::Grant(0), 0),
        ],
        checks: 4,
        ..FILLS
    },
    Config { name: "literal, large", writes: FILLS.writes, checks: 3, evictions: true, ..LITERAL },
    Config { name: "crashes, large", writes: FILLS.writes, checks: 3, ..CRASHES },
    Config { name: "sharing, large", writes: FILLS.writes, ..SHARING },
    Config { name: "leases, two replicas", replicas: 2, ..LEASES },
    Config { name: "leases, longer", wait: 3, generations: 4, ..LEASES },
    Config { name: "failover, large", writes: LEASES.writes, wait: 2, ..FAILOVER },
    Config {
        name: "linked, large",
        writes: &[
            write(Change::Withdraw(0), 0),
            write(Change::Withdraw(1), 0),
            write(Change::Link, 0),
            write(Change::Unlink, 0),
        ],
        linked: true,
        checks: 3,
        ..LINKED
    },
    Config {
        name: "publishing, large",
        writes: &[
            write(Change::Publish, 0),
            write(Change::Withdraw(0), 1),
            write(Change::Grant(0), 1),
        ],
        checks: 2,
        wait: 2,
        ..PUBLISHING
    },
    Config {
        name: "everything",
        writes: &[write(Change::Withdraw(0), 0), write(Change::Link, 1)],
        subjects: 2,
        generations: 2,
        ..FAILOVER
    },
];
