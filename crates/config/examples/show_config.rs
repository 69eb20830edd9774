//! Prints a configuration file as `/api/v1/status/config` would show it, or what is wrong with it.
//!
//! Run: `cargo run -p narthex-config --example show_config -- prometheus.yml`

use std::path::Path;
use std::process::ExitCode;

use narthex_config::Config;

fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!("usage: show_config FILE");
        return ExitCode::FAILURE;
    };
    match Config::load_file(Path::new(&file)) {
        Ok(config) => {
            print!("{}", config.to_yaml());
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
