//! `check config FILE…` and `check web-config FILE…`.

use std::path::Path;
use std::process::ExitCode;

use narthex_config::{CheckOptions, check_config_file};
use narthex_net::server::Guard;

use super::Given;
use super::table::{Argument, Command, Flag, Kind};

/// The lookback that `--lint=too-long-scrape-interval` compares with.
const DEFAULT_LOOKBACK_MS: i64 = 300_000;

/// The exit status of a lint that `--lint-fatal` makes an error.
const LINT: u8 = 3;

/// The group.
pub(super) const COMMAND: Command = Command::group(
    "check",
    "Check the resources for validity.",
    &[
        Command::new("config", "Check if the config files are valid or not.", config)
            .with(&[
                Flag::new("syntax-only", Kind::Bool, "", "Only check the config file syntax, ignoring file and content validation referenced in the config."),
                Flag::new("lint", Kind::Text, "duplicate-rules", "Linting checks to apply to the rules/scrape configs specified in the config: all, duplicate-rules, none, too-long-scrape-interval; separated by commas."),
                Flag::new("lint-fatal", Kind::Bool, "", "Make lint errors exit with exit code 3."),
                Flag::new("agent", Kind::Bool, "", "Check config file for Prometheus in Agent mode."),
            ])
            .taking(&[Argument::required("config-files", "The config files to check.").many()]),
        Command::new("web-config", "Check if the web config files are valid or not.", web_config)
            .taking(&[Argument::required("web-config-files", "The config files to check.").many()]),
    ],
);

fn web_config(program: &str, given: &Given) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for file in given.arguments("web-config-files") {
        match Guard::open(Path::new(file)) {
            // COMPAT: promtool says all of it there.
            Ok(_) => eprintln!("{file} SUCCESS"),
            Err(error) => {
                // promtool's own words are a contract; ours tell file, line and column beside.
                let reason = if program == "promtool" { error.as_prometheus() } else { error.to_string() };
                eprintln!("{file} FAILED: {reason}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn config(program: &str, given: &Given) -> ExitCode {
    let lints_intervals =
        given.flag("lint").split(',').any(|l| matches!(l, "all" | "too-long-scrape-interval"));
    let options = CheckOptions {
        agent: given.on("agent"),
        syntax_only: given.on("syntax-only"),
        // promtool's own words are a contract; ours tell file, line and column beside.
        places: program != "promtool",
        lint_lookback_ms: if lints_intervals { DEFAULT_LOOKBACK_MS } else { 0 },
    };
    let (mut failed, mut lint_failed) = (false, false);
    for file in given.arguments("config-files") {
        let report = check_config_file(file, options);
        print!("{}", report.stdout);
        eprint!("{}", report.stderr);
        failed |= report.failed;
        lint_failed |= report.lint_failed;
    }
    match (failed, lint_failed && given.on("lint-fatal")) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(LINT),
        (false, false) => ExitCode::SUCCESS,
    }
}
