//! Reading the file and the environment.

use std::{fs, io, path::Path, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};
use toml::{Table, Value};

use super::Config;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}: {why}, at byte {at}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong. Not the line itself, which may hold a secret.
        why: String,
        /// Where, counted from 0.
        at: usize,
    },
    /// Keys that mean nothing here, all of them.
    #[error("unknown keys: {}", .0.join(", "))]
    UnknownKeys(Vec<String>),
    /// Values of the wrong type or out of range.
    #[error("{}", .0.join("; "))]
    Values(Vec<String>),
}

/// The configuration of the service `name`: defaults, overlaid by `file`, overlaid by `env`
/// (`ASSENT_<SERVICE>__<KEY>__<SUB>`).
///
/// A variable for a key whose default is text is taken as it is; for any other key it is read as
/// a TOML value (`8`, `true`, `["a", "b"]`) if it is one, else as text.
pub fn load<S>(
    name: &str,
    file: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Config<S>, ConfigError>
where
    S: DeserializeOwned + Serialize + Default,
{
    let mut given = file.map(read).transpose()?.unwrap_or_default();
    // Of the defaults only the types matter: what cannot be written as TOML has none to tell.
    let defaults = Table::try_from(Config::<S>::default()).unwrap_or_default();
    let prefix = env_prefix(name);
    for (variable, text) in env {
        if let Some(keys) = variable.strip_prefix(&prefix) {
            let path: Vec<String> = keys.split("__").map(str::to_lowercase).collect();
            set(&mut given, &defaults, &path, text);
        }
    }
    typed(given)
}

/// `ASSENT_CONSENT__` for `consent-svc`.
fn env_prefix(name: &str) -> String {
    let name = name.strip_suffix("-svc").unwrap_or(name);
    format!("ASSENT_{}__", name.to_uppercase().replace('-', "_"))
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
    text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        why: error.message().to_owned(),
        at: error.span().map_or(0, |span| span.start),
    })
}

fn set(into: &mut Table, defaults: &Table, path: &[String], text: String) {
    let [key, rest @ ..] = path else { return };
    if rest.is_empty() {
        let is_text = defaults.get(key).is_some_and(Value::is_str);
        let parsed = if is_text { None } else { value(&text) };
        into.insert(key.clone(), parsed.unwrap_or(Value::String(text)));
        return;
    }
    let empty = Table::new();
    let defaults = defaults.get(key).and_then(Value::as_table).unwrap_or(&empty);
    let inner = into.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
    if !inner.is_table() {
        *inner = Value::Table(Table::new());
    }
    if let Value::Table(inner) = inner {
        set(inner, defaults, rest, text);
    }
}

fn value(text: &str) -> Option<Value> {
    format!("value = {text}").parse::<Table>().ok()?.remove("value")
}

fn typed<S: DeserializeOwned>(mut given: Table) -> Result<Config<S>, ConfigError> {
    let mut unknown = Vec::new();
    let mut wrong = Vec::new();
    let server = part("server", take(&mut given, "server"), &mut unknown, &mut wrong);
    let auth = part("auth", take(&mut given, "auth"), &mut unknown, &mut wrong);
    let telemetry = part("telemetry", take(&mut given, "telemetry"), &mut unknown, &mut wrong);
    let service = part("", Value::Table(given), &mut unknown, &mut wrong);
    if !unknown.is_empty() {
        return Err(ConfigError::UnknownKeys(unknown));
    }
    match (server, auth, telemetry, service) {
        (Some(server), Some(auth), Some(telemetry), Some(service)) => {
            Ok(Config { server, auth, telemetry, service })
        }
        _ => Err(ConfigError::Values(wrong)),
    }
}

fn take(given: &mut Table, key: &str) -> Value {
    given.remove(key).unwrap_or_else(|| Value::Table(Table::new()))
}

fn part<T: DeserializeOwned>(
    name: &str,
    given: Value,
    unknown: &mut Vec<String>,
    wrong: &mut Vec<String>,
) -> Option<T> {
    let parsed = serde_ignored::deserialize(given, |path| {
        unknown.push(format!("{name}{}", dotted(&path)).trim_start_matches('.').to_owned());
    });
    parsed.map_err(|error: toml::de::Error| wrong.push(describe(name, &error))).ok()
}

fn describe(name: &str, error: &toml::de::Error) -> String {
    let text = error.to_string().trim().replace('\n', " ");
    if name.is_empty() { text } else { format!("{name}: {text}") }
}

/// The path of a key, each part with a dot before it.
fn dotted(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}.{index}", dotted(parent)),
        Path::Map { parent, key } => format!("{}.{key}", dotted(parent)),
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => dotted(parent),
    }
}
