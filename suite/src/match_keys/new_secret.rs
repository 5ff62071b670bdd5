//! `assent match-keys new-secret`.

use crate::{
    data::Data,
    exit::Error,
    output::{note, say},
};

const EXAMPLES: &str = "\
Examples:
  (umask 077; assent match-keys new-secret > match-key-2)";

/// Prints a new random secret on standard output, and what to do with it on standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {}

const WHAT_TO_DO: &str = r#"
That is the new secret: 32 random bytes as 64 hexadecimal digits. It was not kept anywhere. Put it
where audience-svc alone can read it (`assent match-keys new-secret > match-key-2`, mode 600), and
make it the current one, with the one before it as an older one:

  [match_keys]
  secret = "file:/run/secrets/match-key-2"
  version = 2                                # one more than before

  [[match_keys.older]]
  secret = "file:/run/secrets/match-key-1"   # what `secret` was
  version = 1                                # what `version` was

Roll that out to every replica of audience-svc, then let the app register everybody again
(PutIdentifiers). `assent match-keys progress --watch` shows how far it has come, and what is next."#;

/// Prints it.
pub(super) fn run() -> Result<(), Error> {
    say!("{}", Data::fresh_secret()?)?;
    note(WHAT_TO_DO);
    Ok(())
}
