//! `narthex check config FILE…` and `check web-config FILE…`, which are also those of promtool.

use std::process::ExitCode;

use narthex_config::{CheckOptions, check_config_file, check_web_config};

/// The lookback that `--lint=too-long-scrape-interval` compares with.
const DEFAULT_LOOKBACK_MS: i64 = 300_000;

/// Runs the words after the program's name when they are a command; `None` when they are flags of the server.
#[must_use]
pub(crate) fn run(program: &str, words: &[String]) -> Option<ExitCode> {
    let promtool = program == "promtool";
    let first = words.first().map(String::as_str);
    match (first, words.get(1).map(String::as_str)) {
        (Some("check"), Some("config")) => Some(check_config(&words[2..], !promtool)),
        (Some("check"), Some("web-config")) => Some(check_web_configs(&words[2..])),
        (Some("--version"), _) if promtool => {
            print!("{}", crate::version::text(program));
            Some(ExitCode::SUCCESS)
        }
        (Some(word), _) if promtool || !word.starts_with('-') => {
            let command: Vec<&str> =
                words.iter().map(String::as_str).take_while(|w| !w.starts_with('-')).collect();
            eprintln!(
                "{program}: error: command {:?} is not there yet; 'check config FILE...' and 'check web-config FILE...' are",
                command.join(" ")
            );
            Some(ExitCode::from(3))
        }
        (None, _) if promtool => {
            eprintln!("{program}: error: say what to do, for example: {program} check config prometheus.yml");
            Some(ExitCode::from(3))
        }
        _ => None,
    }
}

fn check_web_configs(files: &[String]) -> ExitCode {
    if files.is_empty() {
        eprintln!("error: required argument 'web-config-files' not provided, try --help");
        return ExitCode::from(3);
    }
    let mut code = ExitCode::SUCCESS;
    for file in files {
        match check_web_config(file) {
            Ok(_) => println!("{file} SUCCESS"),
            Err(reason) => {
                eprintln!("{file} FAILED: {reason}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// The options of `check config` that change nothing when no lint is asked for, and those that do.
fn check_config(words: &[String], places: bool) -> ExitCode {
    let mut options = CheckOptions { places, ..CheckOptions::default() };
    let mut lint_fatal = false;
    let mut files = Vec::new();
    for word in words {
        match word.as_str() {
            "--agent" => options.agent = true,
            "--syntax-only" => options.syntax_only = true,
            "--lint-fatal" => lint_fatal = true,
            "--lint=all" | "--lint=too-long-scrape-interval" => {
                options.lint_lookback_ms = DEFAULT_LOOKBACK_MS;
            }
            flag if flag.starts_with("--lint=") => {}
            flag if flag.starts_with('-') => {
                eprintln!(
                    "error: unknown long flag '{flag}'; known: --agent --syntax-only --lint=all --lint-fatal"
                );
                return ExitCode::from(3);
            }
            file => files.push(file),
        }
    }
    if files.is_empty() {
        eprintln!("error: required argument 'config-files' not provided, try --help");
        return ExitCode::from(3);
    }
    let (mut failed, mut lint_failed) = (false, false);
    for file in files {
        let report = check_config_file(file, options);
        print!("{}", report.stdout);
        eprint!("{}", report.stderr);
        failed |= report.failed;
        lint_failed |= report.lint_failed;
    }
    match (failed, lint_failed && lint_fatal) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(3),
        (false, false) => ExitCode::SUCCESS,
    }
}
