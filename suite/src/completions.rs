//! `assent completions`: the commands and options, as a shell wants to know them.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::{exit::Error, output::say};

const EXAMPLES: &str = "\
Examples:
  assent completions bash > ~/.local/share/bash-completion/completions/assent
  assent completions zsh > ~/.zfunc/_assent        (a directory of $fpath)
  assent completions fish > ~/.config/fish/completions/assent.fish";

/// Prints a script with which a shell completes the commands and options of this program.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Which shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints it.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    // Not to standard output at once: clap panics when that is closed.
    let mut script = Vec::new();
    generate(arguments.shell, &mut crate::Cli::command(), "assent", &mut script);
    say!("{}", String::from_utf8_lossy(&script).trim_end())
}
