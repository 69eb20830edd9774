//! The command line: Prometheus' flags by their names.
//!
//! Holds: the table of flags (`table`), reading a command line against it (`parse`) and typed access to the values.
//! Always true of [`Flags`]: every value has the form of its kind, so the typed getters cannot fail.
//! Facts: `--name=value`, `--name value`, `--bool`, `--no-bool` as kingpin reads them; its error texts.

mod help;
mod parse;
mod table;
#[cfg(test)]
mod tests;

use narthex_model::{format_duration_ms, parse_duration_ms, parse_go_float};

pub(crate) use help::help;
pub(crate) use parse::{Parsed, parse};
use table::FLAGS;

/// One line of the table.
#[derive(Debug)]
struct Flag {
    /// Without the dashes.
    name: &'static str,
    kind: Kind,
    /// As text; lists are joined by commas.
    default: &'static str,
    help: &'static str,
    hidden: bool,
    mode: Mode,
}

/// What the value of a flag looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// May be repeated; each adds one.
    List,
    /// A list of remote-write messages, each once.
    Messages,
    Bool,
    Int,
    Float,
    Duration,
    Bytes,
    /// A size, or `auto`.
    Budget,
    Choice(&'static [&'static str]),
}

/// In which mode a flag may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Both,
    Server,
    Agent,
}

/// The values of all flags.
#[derive(Clone, Debug)]
pub(crate) struct Flags {
    /// In the order of the table; more than one only for lists.
    values: Vec<Vec<String>>,
    /// Which were on the command line.
    given: Vec<bool>,
}

impl Flags {
    fn index(name: &str) -> usize {
        FLAGS.iter().position(|f| f.name == name).unwrap_or_else(|| panic!("the table has no flag {name}"))
    }

    /// The text of a flag.
    ///
    /// # Panics
    /// Like all getters, when the table has no such flag.
    #[must_use]
    pub(crate) fn text(&self, name: &str) -> &str {
        self.values[Self::index(name)].first().map_or("", |v| v)
    }

    /// The values of a list.
    #[must_use]
    pub(crate) fn list(&self, name: &str) -> &[String] {
        &self.values[Self::index(name)]
    }

    /// A switch.
    #[must_use]
    pub(crate) fn bool(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    /// A whole number.
    #[must_use]
    pub(crate) fn int(&self, name: &str) -> i64 {
        parse_int(self.text(name)).expect("the parser checked the number")
    }

    /// A duration in milliseconds.
    #[must_use]
    pub(crate) fn duration_ms(&self, name: &str) -> i64 {
        parse_duration_ms(self.text(name)).expect("the parser checked the duration")
    }

    /// A size in bytes.
    #[must_use]
    pub(crate) fn bytes(&self, name: &str) -> u64 {
        parse_bytes(self.text(name)).expect("the parser checked the size")
    }

    /// A size in bytes, or `None` for `auto`.
    #[must_use]
    pub(crate) fn budget(&self, name: &str) -> Option<u64> {
        (self.text(name) != "auto").then(|| self.bytes(name))
    }

    /// Changes the value of a flag, for defaults that depend on others.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.values[Self::index(name)] = vec![value];
    }

    /// The names of the flags that the command line gave.
    pub(crate) fn given(&self) -> impl Iterator<Item = &'static str> {
        FLAGS.iter().zip(&self.given).filter_map(|(flag, given)| given.then_some(flag.name))
    }

    /// The feature names of `--enable-feature`.
    pub(crate) fn features(&self) -> impl Iterator<Item = &str> {
        self.list("enable-feature").iter().flat_map(|list| list.split(',')).filter(|name| !name.is_empty())
    }

    /// Name and value of each flag as `/api/v1/status/flags` shows them, by name.
    #[must_use]
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let show = |(flag, values): (&Flag, &Vec<String>)| {
            let value = match flag.kind {
                Kind::Duration => {
                    values.first().and_then(|v| parse_duration_ms(v).ok()).map(format_duration_ms)
                }
                _ => None,
            };
            (flag.name.to_owned(), value.unwrap_or_else(|| values.join(",")))
        };
        let mut pairs: Vec<_> = FLAGS.iter().zip(&self.values).map(show).collect();
        pairs.sort_unstable();
        pairs
    }
}

/// A whole number, also in the form `5e7`.
fn parse_int(text: &str) -> Option<i64> {
    let float = || parse_go_float(text).filter(|v| v.fract() == 0.0 && v.abs() < 9e18).map(|v| v as i64);
    text.parse().ok().or_else(float)
}

/// A size such as `512MB`: powers of 1024, with or without the `i`; several units may follow each other.
fn parse_bytes(text: &str) -> Option<u64> {
    const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total = 0.0f64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let prefix = unit.strip_suffix('B')?;
        let power = UNITS.iter().position(|u| *u == prefix.strip_suffix('i').unwrap_or(prefix))?;
        total += number.parse::<f64>().ok()? * 1024f64.powi(i32::try_from(power).ok()?);
        rest = after;
    }
    (digits_given(text) && total < u64::MAX as f64).then_some(total as u64)
}

fn digits_given(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
}
