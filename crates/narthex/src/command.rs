//! The commands beside the server: a tree of tables, the words that choose one, and its run.
//!
//! Holds: the tree ([`TREE`]), reading words against it (`parse`), its help texts (`help`), and a file for each command.
//! Under the name `promtool` the same commands answer, and nothing is a flag of the server.
//! Facts: promtool of release 3.14: names, flags, texts, exit statuses; `conformance/inventories/promtool-commands.tsv`.

mod check;
mod help;
mod parse;
mod remote_write;
mod table;
#[cfg(test)]
mod tests;
mod tsdb;

use std::process::ExitCode;

pub(crate) use parse::Given;
use parse::Parsed;
use table::{Command, Flag, Kind};

/// The exit status of a command line that makes no sense.
const WRONG_USE: u8 = 1;

/// Flags of every command.
const EVERYWHERE: &[Flag] = &[
    Flag::new("experimental", Kind::Bool, "", "Enable experimental commands."),
    Flag::new("enable-feature", Kind::Texts, "", "Comma separated feature names to enable."),
];

/// All commands.
const TREE: Command = Command::group(
    "",
    "Commands beside the server.",
    &[check::COMMAND, tsdb::COMMAND, remote_write::COMMAND],
)
.with(EVERYWHERE);

/// Commands of promtool that are not there yet: they deserve another answer than a misspelt one.
const NOT_YET: &[&str] =
    &["query", "debug", "push", "test", "promql", "health", "ready", "rules", "metrics", "service-discovery"];

/// Runs the words after the program's name when they are a command; `None` when they are flags of the server.
#[must_use]
pub(crate) fn run(program: &str, words: &[String]) -> Option<ExitCode> {
    let is_command = words.first().is_some_and(|word| !word.starts_with('-'));
    if program != "promtool" && !is_command {
        return None;
    }
    Some(match parse::parse(&TREE, words) {
        Ok(Parsed::Run(command, given)) => command(program, &given),
        Ok(Parsed::Version) => {
            print!("{}", crate::version::text(program));
            ExitCode::SUCCESS
        }
        Ok(Parsed::Help(path)) => {
            print!("{}", help::of(program, &path));
            ExitCode::SUCCESS
        }
        Err(reason) => {
            if words.is_empty() {
                eprint!("{}", help::of(program, &[&TREE]));
            } else {
                eprintln!("{program}: error: {reason}, try --help");
            }
            ExitCode::from(WRONG_USE)
        }
    })
}

/// One line for each command below the top, for the server's own help.
#[must_use]
pub(crate) fn overview(program: &str) -> String {
    help::commands(program, &[&TREE])
}

/// The exit status for a command's result; the reason goes to standard error.
fn finish(result: Result<(), impl std::error::Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", crate::parts::chain(&error));
            ExitCode::FAILURE
        }
    }
}
