//! The `narthex` program: flags, wiring, the order of start and stop, and the commands beside the server.
//!
//! Road in: `main` reads the command line, `run` lives the server's life, `shutdown` is the way back. What follows the
//! configuration stands in `parts`; `process`, `storage` and `targets` show the parts to the web side.
//! What this crate does not do: scrape, store, query or answer anything itself.
#![forbid(unsafe_code)]

mod command;
mod external_url;
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
use narthex_profile::Sampled;

/// Gives memory back to the system under churn and keeps small objects of one size together. The server takes samples for
/// `/debug/pprof/heap`; the commands do not.
#[global_allocator]
static ALLOCATOR: Sampled<mimalloc::MiMalloc> = Sampled::new(mimalloc::MiMalloc);

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
        Ok(Parsed::Run(flags)) => {
            narthex_profile::start_heap_samples();
            run::run(&flags)
        }
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
