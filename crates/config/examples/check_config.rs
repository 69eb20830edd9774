//! `promtool check config` without the rule files, to run recorded cases against this crate alone.
//!
//! Run: `check_config check config [--syntax-only] [--agent] [--places] FILE…`

use std::process::ExitCode;

use narthex_config::{CheckOptions, check_config_file};

fn main() -> ExitCode {
    let mut options = CheckOptions::default();
    let mut failed = false;
    for arg in std::env::args().skip(3) {
        match arg.as_str() {
            "--syntax-only" => options.syntax_only = true,
            "--agent" => options.agent = true,
            "--places" => options.places = true,
            file => {
                let report = check_config_file(file, options);
                print!("{}", report.stdout);
                eprint!("{}", report.stderr);
                failed |= report.failed;
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
