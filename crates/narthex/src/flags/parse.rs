//! Reading a command line against the table.

use narthex_model::{parse_duration_ms, parse_go_float, quote_go};
use narthex_remote::receive::Protocol;

use super::{FLAGS, Flag, Flags, Kind, Mode, parse_bytes, parse_int};

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// To run.
    Run(Box<Flags>),
    /// `--help`; with `--help-long` also the hidden flags.
    Help {
        /// Whether hidden flags are shown.
        long: bool,
    },
    /// `--version`
    Version,
}

/// What is wrong with a command line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlagError {
    /// No such flag.
    #[error("unknown long flag '--{name}'{}", hint(.nearest))]
    Unknown {
        /// As given, without dashes.
        name: String,
        /// The known name that looks most like it.
        nearest: Option<&'static str>,
    },
    /// No such short flag.
    #[error("unknown short flag '-{0}'")]
    UnknownShort(String),
    /// The value is missing.
    #[error("expected argument for flag '--{0}'")]
    NoValue(&'static str),
    /// Given twice, and not a list.
    #[error("flag '{0}' cannot be repeated")]
    Repeated(&'static str),
    /// A word that belongs to no flag.
    #[error("unexpected {0}")]
    Unexpected(String),
    /// The value has the wrong form.
    #[error("{reason} (in --{name})")]
    BadValue {
        /// The flag.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A flag of the agent without `--agent`, or of the server with it.
    #[error("The following flag(s) can {} agent mode: {}", if *.agent { "not be used in" } else { "only be used in" }, list(.names))]
    WrongMode {
        /// Whether this is the agent.
        agent: bool,
        /// The flags.
        names: Vec<&'static str>,
    },
}

impl FlagError {
    /// The exit status that goes with it. COMPAT: 1 for a line that cannot be read, 2 for a value that does not fit, 3 for
    /// flags of the other mode.
    #[must_use]
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Unknown { .. } | Self::UnknownShort(_) | Self::NoValue(_) | Self::Unexpected(_) => 1,
            Self::Repeated(_) | Self::BadValue { .. } => 2,
            Self::WrongMode { .. } => 3,
        }
    }

    /// What is printed to standard error.
    #[must_use]
    pub(crate) fn text(&self, program: &str) -> String {
        match self {
            Self::WrongMode { .. } => format!("{self}\n"),
            _ => format!(
                "Error parsing command line arguments: {self}\n{program}: error: {self}, try --help\n"
            ),
        }
    }
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean '--{name}'?"))
}

fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| quote_go(&format!("--{n}"))).collect();
    format!("[{}]", quoted.join(" "))
}

/// Reads the words after the program's name.
///
/// # Errors
/// See [`FlagError`]; the first mistake counts.
pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Parsed, FlagError> {
    let mut flags = defaults();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match &*word {
            "-h" | "--help" => return Ok(Parsed::Help { long: false }),
            "--help-long" | "--help-man" => return Ok(Parsed::Help { long: true }),
            "--version" => return Ok(Parsed::Version),
            "--no-help" | "--no-version" => continue,
            _ => {}
        }
        let Some(long) = word.strip_prefix("--") else {
            return Err(match word.strip_prefix('-') {
                Some(short) => FlagError::UnknownShort(short.to_owned()),
                None => FlagError::Unexpected(word),
            });
        };
        read_flag(&mut flags, long, &mut words)?;
    }
    check_mode(&flags)?;
    Ok(Parsed::Run(Box::new(flags)))
}

fn defaults() -> Flags {
    let default = |flag: &Flag| match (flag.kind, flag.default) {
        (Kind::List, "") => Vec::new(),
        (Kind::List | Kind::Messages, list) => list.split(',').map(str::to_owned).collect(),
        (_, one) => vec![one.to_owned()],
    };
    Flags { values: FLAGS.iter().map(default).collect(), given: vec![false; FLAGS.len()] }
}

/// Reads one flag and, where it needs one, its value from the next word.
fn read_flag(
    flags: &mut Flags,
    long: &str,
    words: &mut impl Iterator<Item = String>,
) -> Result<(), FlagError> {
    let (name, inline) = match long.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (long, None),
    };
    let (at, negated) = find(name)?;
    let flag = &FLAGS[at];
    let value = match (flag.kind, inline) {
        (Kind::Bool, Some(value)) => return Err(FlagError::Unexpected(value)),
        (Kind::Bool, None) => (!negated).to_string(),
        (_, Some(value)) => value,
        // kingpin takes the next word only when it is no flag.
        (_, None) => words.next().filter(|w| !w.starts_with("--")).ok_or(FlagError::NoValue(flag.name))?,
    };
    check(flag.kind, &value).map_err(|reason| FlagError::BadValue { name: flag.name, reason })?;
    if flags.given[at] && !matches!(flag.kind, Kind::List | Kind::Messages) {
        return Err(FlagError::Repeated(flag.name));
    }
    if !flags.given[at] {
        flags.values[at].clear();
    }
    if flag.kind == Kind::Messages && flags.values[at].contains(&value) {
        let given = flags.values[at].join(", ");
        let reason = format!("duplicated {value} flag value, got {given} already");
        return Err(FlagError::BadValue { name: flag.name, reason });
    }
    flags.given[at] = true;
    flags.values[at].push(value);
    Ok(())
}

/// The flag of a name, and whether it was negated.
fn find(name: &str) -> Result<(usize, bool), FlagError> {
    let position = |wanted: &str| FLAGS.iter().position(|f| f.name == wanted);
    if let Some(at) = position(name) {
        return Ok((at, false));
    }
    let positive = name.strip_prefix("no-").and_then(position).filter(|at| FLAGS[*at].kind == Kind::Bool);
    positive
        .map(|at| (at, true))
        .ok_or_else(|| FlagError::Unknown { name: name.to_owned(), nearest: nearest(name) })
}

/// The known name with the fewest edits, when they are few for its length.
fn nearest(name: &str) -> Option<&'static str> {
    let scored = FLAGS.iter().map(|f| (distance(name, f.name), f.name));
    let (edits, found) = scored.min()?;
    (edits <= name.len().max(found.len()) / 3).then_some(found)
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Whether a value has the form of its kind; the reason in Go's words.
fn check(kind: Kind, value: &str) -> Result<(), String> {
    let quoted = || quote_go(value);
    match kind {
        Kind::Text | Kind::List | Kind::Bool => Ok(()),
        Kind::Messages => Protocol::of_message(value).map(drop).map_err(|unknown| unknown.to_string()),
        Kind::Int if parse_int(value).is_some() => Ok(()),
        Kind::Float if parse_go_float(value).is_some() => Ok(()),
        Kind::Int | Kind::Float => Err(format!("strconv.ParseFloat: parsing {}: invalid syntax", quoted())),
        Kind::Duration => parse_duration_ms(value).map(drop).map_err(|e| e.to_string()),
        Kind::Bytes if parse_bytes(value).is_some() => Ok(()),
        Kind::Bytes => Err(format!("units: {} is not a size with a unit (for example 512MB)", quoted())),
        Kind::Budget if value == "auto" || parse_bytes(value).is_some() => Ok(()),
        Kind::Budget => {
            Err(format!("{} is neither \"auto\" nor a size with a unit (for example 2GB)", quoted()))
        }
        Kind::Choice(choices) if choices.contains(&value) => Ok(()),
        Kind::Choice(choices) => {
            Err(format!("enum value must be one of {}, got '{value}'", choices.join(",")))
        }
    }
}

fn check_mode(flags: &Flags) -> Result<(), FlagError> {
    let agent = flags.bool("agent");
    let wrong = if agent { Mode::Server } else { Mode::Agent };
    let given = FLAGS.iter().zip(&flags.given).filter(|(f, given)| **given && f.mode == wrong);
    let names: Vec<_> = given.map(|(f, _)| f.name).collect();
    if names.is_empty() { Ok(()) } else { Err(FlagError::WrongMode { agent, names }) }
}
