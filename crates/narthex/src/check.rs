//! `narthex check config FILE…`, which is also `promtool check config`.

use std::path::Path;
use std::process::ExitCode;

use narthex_config::Config;

/// Runs the words after the program's name when they are a command; `None` when they are flags of the server.
#[must_use]
pub(crate) fn run(program: &str, words: &[String]) -> Option<ExitCode> {
    let promtool = program == "promtool";
    let first = words.first().map(String::as_str);
    match (first, words.get(1).map(String::as_str)) {
        (Some("check"), Some("config")) => Some(check_config(&words[2..])),
        (Some("--version"), _) if promtool => {
            print!("{}", crate::version::text(program));
            Some(ExitCode::SUCCESS)
        }
        (Some(word), _) if promtool || !word.starts_with('-') => {
            let command: Vec<&str> =
                words.iter().map(String::as_str).take_while(|w| !w.starts_with('-')).collect();
            eprintln!(
                "{program}: error: command {:?} is not there yet; 'check config FILE...' is",
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

fn check_config(files: &[String]) -> ExitCode {
    let files: Vec<&String> = files.iter().filter(|f| !f.starts_with("--")).collect();
    if files.is_empty() {
        eprintln!("error: required argument 'config-files' not provided");
        return ExitCode::from(3);
    }
    let mut failed = false;
    for file in files {
        println!("Checking {file}");
        match Config::load_file(Path::new(file)) {
            Ok(_) => println!(" SUCCESS: {file} is valid prometheus config file syntax\n"),
            Err(errors) => {
                eprintln!("  FAILED: {errors}");
                failed = true;
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
