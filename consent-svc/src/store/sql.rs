//! What the two databases say differently.

use sea_orm::{DbBackend, Value};

/// "is in the list bound as $1". A list is one value, so that a statement is the same for every
/// length and is prepared once. Its elements are ids of the contract's syntax: they hold no commas
/// and no quotes.
pub(super) fn among(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "= ANY(string_to_array($1, ','))",
        _ => "IN (SELECT value FROM json_each($1))",
    }
}

/// A list of ids as that one value.
pub(super) fn list(backend: DbBackend, ids: &[impl AsRef<str>]) -> Value {
    let ids: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
    match backend {
        DbBackend::Postgres => ids.join(",").into(),
        _ => format!("[\"{}\"]", ids.join("\",\"")).into(),
    }
}

/// PostgreSQL: the elements of a list, a row each.
pub(super) fn elements(list: &str) -> String {
    format!("unnest(string_to_array({list}, ','))")
}

/// Now, in Unix milliseconds, when the statement began: what it reads is of then or later.
pub(super) fn now(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "(extract(epoch FROM statement_timestamp()) * 1000)::bigint",
        _ => "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    }
}
