//! The help of a command or a group, laid out as kingpin does.

use super::table::{Argument, Command, Flag, Kind};

/// Where lines end.
const WIDTH: usize = 80;
/// A first column wider than this gets a line of its own.
const WIDEST: usize = 30;

/// The help of the last command of `path`; the others are the groups above it.
#[must_use]
pub(super) fn of(program: &str, path: &[&'static Command]) -> String {
    let here = path.last().expect("a path holds at least the root");
    let mut text =
        format!("usage: {}\n\n{}\n\n\nFlags:\n", usage(program, path), filled(here.help, WIDTH, ""));
    let mut rows = vec![
        ("-h, --[no-]help".to_owned(), "Show context-sensitive help (also try --help-long and --help-man)."),
        ("    --[no-]version".to_owned(), "Show application version."),
    ];
    rows.extend(path.iter().flat_map(|c| c.flags).filter(|f| !f.hidden).map(|f| (flag_head(f), f.help)));
    push_rows(&mut text, &rows);
    if !here.arguments.is_empty() {
        text.push_str("\nArgs:\n");
        let rows: Vec<_> = here.arguments.iter().map(|a| (argument_head(a), a.help)).collect();
        push_rows(&mut text, &rows);
    }
    if !here.below.is_empty() {
        text.push_str(if path.len() == 1 { "\nCommands:\n" } else { "\nSubcommands:\n" });
        text.push_str(&commands("", path));
    }
    text.push('\n');
    text
}

/// All commands below the last of `path`: the usage of each, and what it does.
#[must_use]
pub(super) fn commands(program: &str, path: &[&'static Command]) -> String {
    let here = path.last().expect("a path holds at least the root");
    let mut text = String::new();
    for command in here.below {
        let path = [path, &[command]].concat();
        if command.below.is_empty() {
            text.push_str(&format!(
                "{}\n    {}\n\n",
                usage(program, &path),
                filled(command.help, WIDTH - 4, "    ")
            ));
        } else {
            text.push_str(&commands(program, &path));
        }
    }
    text
}

fn usage(program: &str, path: &[&'static Command]) -> String {
    let here = path.last().expect("a path holds at least the root");
    let names = [program].into_iter().chain(path.iter().map(|c| c.name)).filter(|n| !n.is_empty());
    let mut words: Vec<String> = names.map(str::to_owned).collect();
    if here.run.is_none() {
        words.push("<command> [<args> ...]".to_owned());
        return words.join(" ");
    }
    let required = here.flags.iter().filter(|f| f.required);
    words.extend(required.map(|f| format!("--{}={}", f.name, f.name.to_uppercase())));
    words.push("[<flags>]".to_owned());
    words.extend(here.arguments.iter().map(argument_head));
    words.join(" ")
}

fn flag_head(flag: &Flag) -> String {
    let short = flag.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    let placeholder = flag.name.to_uppercase();
    let value = match (flag.kind, flag.default) {
        (Kind::Bool, _) => return format!("{short}--[no-]{}", flag.name),
        (Kind::Texts, "") => " ...".to_owned(),
        (Kind::Pairs, "") => format!("{placeholder} ..."),
        (Kind::Texts | Kind::Pairs, default) => format!("{default} ..."),
        (_, "") => placeholder,
        (Kind::Text, default) => format!("\"{default}\""),
        (_, default) => default.to_owned(),
    };
    format!("{short}--{}={value}", flag.name)
}

fn argument_head(argument: &Argument) -> String {
    let many = if argument.many { "..." } else { "" };
    let name = format!("<{}>{many}", argument.name);
    if argument.default.is_some() { format!("[{name}]") } else { name }
}

/// Two columns.
fn push_rows(text: &mut String, rows: &[(String, &str)]) {
    let column = rows.iter().map(|(head, _)| head.len()).filter(|len| *len < WIDEST).max().unwrap_or(0);
    let offset = " ".repeat(column + 4);
    for (head, help) in rows {
        text.push_str(&format!("  {head:<column$}  "));
        if head.len() >= WIDEST {
            text.push_str(&format!("\n{offset}"));
        }
        text.push_str(&filled(help, WIDTH - column - 4, &offset));
        text.push('\n');
    }
}

/// `text` broken into lines of at most `width` bytes; those after the first begin with `indent`.
fn filled(text: &str, width: usize, indent: &str) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        if column > 0 && column + 1 + word.len() > width {
            out.push('\n');
            out.push_str(indent);
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out
}
