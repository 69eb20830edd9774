//! The text of `--help`.

use super::{FLAGS, Flag, Kind};

/// Column of the explanations, and the width of the whole.
const INDENT: usize = 33;
const WIDTH: usize = 100;

/// All flags with their defaults and meanings; hidden ones only in the long form.
#[must_use]
pub(crate) fn help(program: &str, long: bool) -> String {
    let mut text = format!(
        "usage: {program} [<flags>]\n\nNarthex, a monitoring system and time series database that takes the place of Prometheus\n\n\nFlags:\n"
    );
    push(&mut text, "  -h, --[no-]help", "Show this help (also try --help-long).");
    push(&mut text, "      --[no-]version", "Show the version.");
    for flag in FLAGS.iter().filter(|f| long || !f.hidden) {
        push(&mut text, &format!("      {}", head(flag)), &meaning(flag));
    }
    text.push_str("\nCommands (--help behind one tells more):\n");
    text.push_str(&crate::command::overview(program));
    text
}

fn head(flag: &Flag) -> String {
    match (flag.kind, flag.default) {
        (Kind::Bool, _) => format!("--[no-]{}", flag.name),
        (Kind::List | Kind::Messages, default) => format!("--{}={default} ...", flag.name),
        (Kind::Text, default) => format!("--{}=\"{default}\"", flag.name),
        (_, default) => format!("--{}={default}", flag.name),
    }
}

fn meaning(flag: &Flag) -> String {
    let choices = match flag.kind {
        Kind::Choice(choices) => format!(" One of: [{}].", choices.join(", ")),
        _ => String::new(),
    };
    let mode = match flag.mode {
        super::Mode::Both => "",
        super::Mode::Server => " Use with server mode only.",
        super::Mode::Agent => " Use with agent mode only.",
    };
    format!("{}.{choices}{mode}", flag.help)
}

/// One flag: its name, and its meaning broken into lines beside or below it.
fn push(text: &mut String, head: &str, meaning: &str) {
    text.push_str(head);
    let mut column = head.len();
    if column + 2 > INDENT {
        text.push_str("  \n");
        column = 0;
    }
    text.push_str(&" ".repeat(INDENT - column));
    column = INDENT;
    for word in meaning.split(' ') {
        if column > INDENT && column + 1 + word.len() > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(INDENT));
            column = INDENT;
        } else if column > INDENT {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.len();
    }
    text.push('\n');
}
