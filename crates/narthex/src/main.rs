//! The `narthex` program: flags, wiring, the order of start and stop, and the commands beside the server.
//!
//! Road in: `main` reads the command line, `run` lives the server's life, `shutdown` is the way back. What follows the
//! configuration stands in `parts`; `process`, `storage` and `targets` show the parts to the web side.
//! What this crate does not do: scrape, store, query or answer anything itself.
#![forbid(unsafe_code)]

mod command;
mod features;
mod flags;
mod limits;
mod logging;
mod memory;
mod notices;
mod parts;
mod process;
mod procfs;
mod queries;
mod receiver;
mod reload;
mod remote;
mod run;
mod settings;
mod shutdown;
mod storage;
mod storage_settings;
mod targets;
mod version;

use std::process::ExitCode;

use flags::Parsed;

/// Gives memory back to the system under churn and keeps small objects of one size together.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut words = std::env::args();
    let path = words.next().unwrap_or_default();
    let program =
        std::path::Path::new(&path).file_name().map_or("narthex".into(), std::ffi::OsStr::to_string_lossy);
    let words: Vec<String> = words.collect();
    if let Some(code) = command::run(&program, &words) {
        return code;
    }
    match flags::parse(words) {
        Ok(Parsed::Run(flags)) => run::run(&flags),
        Ok(Parsed::Version) => {
            print!("{}", version::text(&program));
            ExitCode::SUCCESS
        }
        Ok(Parsed::Help { long }) => {
            print!("{}", flags::help(&program, long));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprint!("{}", error.text(&program));
            ExitCode::from(error.exit_code())
        }
    }
}
