//! `narthex check config FILE…` and `check web-config FILE…`, which are also those of promtool.

use std::process::ExitCode;

use narthex_config::{CheckOptions, check_config_file, check_web_config};

/// The lookback that `--lint=too-long-scrape-interval` compares with.
const DEFAULT_LOOKBACK_MS: i64 = 300_000;

/// The exit status of a command line that makes no sense.
const WRONG_USE: u8 = 1;
/// The exit status of a lint that `--lint-fatal` makes an error.
const LINT: u8 = 3;

const COMMANDS: &str = "
Commands:
  check config [--agent] [--syntax-only] [--lint=all] [--lint-fatal] FILE...
        Say whether configuration files are valid, and if not, what is wrong and where.
  check web-config FILE...
        The same for files of --web.config.file.

Other commands of promtool are not there yet.
";

/// Runs the words after the program's name when they are a command; `None` when they are flags of the server.
#[must_use]
pub(crate) fn run(program: &str, words: &[String]) -> Option<ExitCode> {
    let promtool = program == "promtool";
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let asks_help = words.iter().any(|w| matches!(*w, "-h" | "--help" | "--help-long"));
    Some(match words.as_slice() {
        ["check" | "help", ..] if asks_help || words[0] == "help" => help(program),
        ["check", "config", files @ ..] => check_config(program, files, !promtool),
        ["check", "web-config", files @ ..] => check_web_configs(program, files),
        ["check"] => wrong_use(program, "must select a subcommand of 'check'"),
        ["--version", ..] if promtool => {
            print!("{}", crate::version::text(program));
            ExitCode::SUCCESS
        }
        _ if promtool && asks_help => help(program),
        [] if promtool => {
            eprint!("usage: {program} <command> [<args> ...]\n{COMMANDS}");
            ExitCode::from(WRONG_USE)
        }
        [word, ..] if promtool || !word.starts_with('-') => not_there(program, &words),
        _ => return None,
    })
}

fn help(program: &str) -> ExitCode {
    print!("usage: {program} <command> [<args> ...]\n{COMMANDS}");
    ExitCode::SUCCESS
}

fn wrong_use(program: &str, reason: &str) -> ExitCode {
    eprintln!("{program}: error: {reason}, try --help");
    ExitCode::from(WRONG_USE)
}

/// Names the command with the words that may be its own: at most two, no flags, no files.
fn not_there(program: &str, words: &[&str]) -> ExitCode {
    let command: Vec<&str> = words.iter().copied().take_while(|w| !w.starts_with('-')).take(2).collect();
    let reason = format!(
        "command '{}' is not there yet; 'check config FILE...' and 'check web-config FILE...' are",
        command.join(" ")
    );
    wrong_use(program, &reason)
}

fn check_web_configs(program: &str, files: &[&str]) -> ExitCode {
    if files.is_empty() {
        return wrong_use(program, "required argument 'web-config-files' not provided");
    }
    let mut code = ExitCode::SUCCESS;
    for &file in files {
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

/// With `places`, what is wrong is told with file, line and column.
fn check_config(program: &str, words: &[&str], places: bool) -> ExitCode {
    let mut options = CheckOptions { places, ..CheckOptions::default() };
    let mut lint_fatal = false;
    let mut files = Vec::new();
    for word in words {
        match *word {
            "--agent" => options.agent = true,
            "--syntax-only" => options.syntax_only = true,
            "--lint-fatal" => lint_fatal = true,
            "--lint=all" | "--lint=too-long-scrape-interval" => {
                options.lint_lookback_ms = DEFAULT_LOOKBACK_MS;
            }
            flag if flag.starts_with("--lint=") => {}
            flag if flag.starts_with('-') => {
                let known = "--agent, --syntax-only, --lint=all, --lint-fatal";
                return wrong_use(program, &format!("unknown long flag '{flag}'; known: {known}"));
            }
            file => files.push(file),
        }
    }
    if files.is_empty() {
        return wrong_use(program, "required argument 'config-files' not provided");
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
        (false, true) => ExitCode::from(LINT),
        (false, false) => ExitCode::SUCCESS,
    }
}
