//! `assent consent`: for the people whose consent it is.

mod statement;
mod verify;

use crate::exit::{Error, Exit};

/// What people can do about their own consent.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Verify(verify::Arguments),
}

/// Does it.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Error> {
    match &arguments.command {
        Command::Verify(arguments) => verify::run(arguments).map(|()| Exit::Done),
    }
}
