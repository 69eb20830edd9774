//! Reading words against the tree of commands.
//!
//! Always true of [`Given`]: every value has the form of its kind and every required one is there, so its getters cannot fail.
//! COMPAT: what kingpin accepts and says: `--name=value`, `--name value`, `-rq`, `--no-name`, `--` before arguments, flags and
//! arguments in any order; a value behind `=` of a switch is an argument of its own.

use std::collections::HashMap;

use super::NOT_YET;
use super::table::{Argument, Command, Flag, Kind, Run};
use super::tsdb::parse_go_duration;
use narthex_model::{parse_go_float, quote_go};

/// What words ask for.
pub(super) enum Parsed {
    /// A command.
    Run(Run, Given),
    /// The help of the last of these, below the others.
    Help(Vec<&'static Command>),
    /// `--version`
    Version,
}

/// The values of a command's flags and arguments.
#[derive(Debug, Default)]
pub(crate) struct Given {
    flags: HashMap<&'static str, Vec<String>>,
    arguments: HashMap<&'static str, Vec<String>>,
}

/// What is wrong with a command line, in kingpin's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WordError {
    #[error("unknown long flag '--{0}'")]
    UnknownLong(String),
    #[error("unknown short flag '-{0}'")]
    UnknownShort(char),
    #[error("expected argument for flag '--{0}'")]
    NoValue(&'static str),
    #[error("flag '{0}' cannot be repeated")]
    Repeated(&'static str),
    #[error("{0}")]
    BadValue(String),
    #[error("unexpected {0}")]
    Unexpected(String),
    #[error("must select a subcommand{}", if .0.is_empty() { String::new() } else { format!(" of '{}'", .0) })]
    NoCommand(String),
    #[error("expected command but got {}", quote_go(.0))]
    NotACommand(String),
    #[error("command '{0}' is not there yet; 'check', 'tsdb' and 'remote-write' are")]
    NotYet(String),
    #[error("required flag(s) '--{}' not provided", .0.join("', '--"))]
    MissingFlags(Vec<&'static str>),
    #[error("required argument '{0}' not provided")]
    MissingArgument(&'static str),
}

impl Given {
    /// The text of a flag; `""` when it is neither given nor has a default.
    pub(super) fn flag(&self, name: &str) -> &str {
        self.flags.get(name).and_then(|v| v.first()).map_or("", |v| v)
    }

    /// The values of a flag that may be repeated.
    pub(super) fn flags(&self, name: &str) -> &[String] {
        self.flags.get(name).map_or(&[], |v| v)
    }

    /// A switch.
    pub(super) fn on(&self, name: &str) -> bool {
        self.flag(name) == "true"
    }

    /// A number.
    pub(super) fn int(&self, name: &str) -> i64 {
        parse_int(self.flag(name)).expect("the parser checked the number")
    }

    /// A number; 0 when the command has no such flag.
    pub(super) fn count_or_zero(&self, name: &str) -> i64 {
        parse_int(self.flag(name)).unwrap_or(0)
    }

    /// A duration in ms; 0 when there is none.
    pub(super) fn duration_ms(&self, name: &str) -> i64 {
        parse_go_duration(self.flag(name)).map_or(0, |ns| ns / 1_000_000)
    }

    /// An argument; `""` when it was left out and has no default.
    pub(super) fn argument(&self, name: &str) -> &str {
        self.arguments.get(name).and_then(|v| v.first()).map_or("", |v| v)
    }

    /// An argument that takes many words.
    pub(super) fn arguments(&self, name: &str) -> &[String] {
        self.arguments.get(name).map_or(&[], |v| v)
    }
}

/// Words on their way.
struct Reader<'a> {
    words: std::slice::Iter<'a, String>,
    /// From the root to the command at hand.
    path: Vec<&'static Command>,
    given: Given,
    loose: Vec<String>,
    help: bool,
    version: bool,
    only_arguments: bool,
}

/// Reads the words after the program's name.
pub(super) fn parse(root: &'static Command, words: &[String]) -> Result<Parsed, WordError> {
    let mut reader = Reader {
        words: words.iter(),
        path: vec![root],
        given: Given::default(),
        loose: Vec::new(),
        help: false,
        version: false,
        only_arguments: false,
    };
    while let Some(word) = reader.words.next() {
        reader.word(word)?;
    }
    reader.finish()
}

impl Reader<'_> {
    fn word(&mut self, word: &str) -> Result<(), WordError> {
        if self.only_arguments || word == "-" || !word.starts_with('-') {
            return self.plain(word);
        }
        match word.strip_prefix("--") {
            Some("") => self.only_arguments = true,
            Some(long) => return self.long(long),
            None => return self.short(&word[1..]),
        }
        Ok(())
    }

    /// A word that chooses a command or is an argument.
    fn plain(&mut self, word: &str) -> Result<(), WordError> {
        let here = self.here();
        if here.below.is_empty() {
            self.loose.push(word.to_owned());
            return Ok(());
        }
        if word == "help" && self.path.len() == 1 {
            self.help = true;
            return Ok(());
        }
        match here.below.iter().find(|c| c.name == word) {
            Some(command) => self.path.push(command),
            None if NOT_YET.contains(&word) => return Err(WordError::NotYet(self.command_line(word))),
            None => return Err(WordError::NotACommand(word.to_owned())),
        }
        Ok(())
    }

    fn here(&self) -> &'static Command {
        self.path.last().expect("the root is always there")
    }

    /// The command at hand and the next plain word, for a message.
    fn command_line(&self, word: &str) -> String {
        let above = self.path.iter().map(|c| c.name).filter(|n| !n.is_empty());
        let next = self.words.as_slice().first().map(String::as_str).filter(|w| !w.starts_with('-'));
        let next = if self.path.len() == 1 { next } else { None };
        above.chain([word]).chain(next).collect::<Vec<_>>().join(" ")
    }

    fn long(&mut self, long: &str) -> Result<(), WordError> {
        let (name, inline) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        match name {
            "help" | "help-long" | "help-man" => return self.switch(inline, |r| r.help = true),
            "version" => return self.switch(inline, |r| r.version = true),
            _ => {}
        }
        if let Some(flag) = self.find(|f| f.name == name) {
            return match flag.kind {
                Kind::Bool => self.switch(inline, |r| r.given.set(flag, "true")),
                _ => self.value(flag, inline),
            };
        }
        let positive = name.strip_prefix("no-");
        match self.find(|f| f.kind == Kind::Bool && Some(f.name) == positive) {
            Some(flag) => self.switch(inline, |r| r.given.set(flag, "false")),
            None => Err(WordError::UnknownLong(name.to_owned())),
        }
    }

    fn short(&mut self, letters: &str) -> Result<(), WordError> {
        for (at, letter) in letters.char_indices() {
            if letter == 'h' {
                self.help = true;
                continue;
            }
            let flag = self.find(|f| f.short == Some(letter)).ok_or(WordError::UnknownShort(letter))?;
            if flag.kind != Kind::Bool {
                let rest = &letters[at + letter.len_utf8()..];
                return self.value(flag, Some(rest).filter(|r| !r.is_empty()));
            }
            self.given.set(flag, "true");
        }
        Ok(())
    }

    fn switch(&mut self, inline: Option<&str>, set: impl FnOnce(&mut Self)) -> Result<(), WordError> {
        set(self);
        inline.map_or(Ok(()), |word| self.plain(word))
    }

    fn value(&mut self, flag: &'static Flag, inline: Option<&str>) -> Result<(), WordError> {
        let value = match inline {
            Some(value) => value,
            None => {
                let next = self.words.as_slice().first().filter(|w| *w == "-" || !w.starts_with('-'));
                let next = next.ok_or(WordError::NoValue(flag.name))?;
                self.words.next();
                next
            }
        };
        check(flag.kind, value).map_err(WordError::BadValue)?;
        let many = matches!(flag.kind, Kind::Texts | Kind::Pairs);
        if !many && self.given.flags.contains_key(flag.name) {
            return Err(WordError::Repeated(flag.name));
        }
        self.given.flags.entry(flag.name).or_default().push(value.to_owned());
        Ok(())
    }

    fn find(&self, is: impl Fn(&Flag) -> bool) -> Option<&'static Flag> {
        self.path.iter().rev().flat_map(|c| c.flags).find(|f| is(f))
    }

    fn finish(mut self) -> Result<Parsed, WordError> {
        if self.help {
            return Ok(Parsed::Help(self.path));
        }
        if self.version {
            return Ok(Parsed::Version);
        }
        let Some(run) = self.here().run else {
            let names: Vec<&str> = self.path.iter().map(|c| c.name).filter(|n| !n.is_empty()).collect();
            return Err(WordError::NoCommand(names.join(" ")));
        };
        self.fill_flags()?;
        let arguments = self.here().arguments;
        self.given.fill_arguments(arguments, self.loose)?;
        Ok(Parsed::Run(run, self.given))
    }

    fn fill_flags(&mut self) -> Result<(), WordError> {
        let flags = || self.path.iter().flat_map(|c| c.flags);
        let absent: Vec<&Flag> = flags().filter(|f| !self.given.flags.contains_key(f.name)).collect();
        let missing: Vec<&'static str> = absent.iter().filter(|f| f.required).map(|f| f.name).collect();
        if !missing.is_empty() {
            return Err(WordError::MissingFlags(missing));
        }
        let defaults: Vec<_> = absent.iter().filter(|f| !f.default.is_empty()).collect();
        for flag in defaults {
            self.given.flags.insert(flag.name, vec![flag.default.to_owned()]);
        }
        Ok(())
    }
}

impl Given {
    fn set(&mut self, flag: &'static Flag, value: &str) {
        self.flags.insert(flag.name, vec![value.to_owned()]);
    }

    fn fill_arguments(
        &mut self,
        arguments: &'static [Argument],
        words: Vec<String>,
    ) -> Result<(), WordError> {
        let mut words = words.into_iter();
        for argument in arguments {
            let values: Vec<String> =
                if argument.many { words.by_ref().collect() } else { words.next().into_iter().collect() };
            match (values.is_empty(), argument.default) {
                (true, None) => return Err(WordError::MissingArgument(argument.name)),
                (true, Some(default)) => drop(self.arguments.insert(argument.name, vec![default.to_owned()])),
                (false, _) => drop(self.arguments.insert(argument.name, values)),
            }
        }
        words.next().map_or(Ok(()), |word| Err(WordError::Unexpected(word)))
    }
}

/// A whole number, also in the form `1e3`.
fn parse_int(text: &str) -> Option<i64> {
    let float = || parse_go_float(text).filter(|v| v.fract() == 0.0 && v.abs() < 9e18).map(|v| v as i64);
    text.parse().ok().or_else(float)
}

/// Whether a value has the form of its kind; the reason in Go's words.
fn check(kind: Kind, value: &str) -> Result<(), String> {
    match kind {
        Kind::Text | Kind::Texts | Kind::Bool => Ok(()),
        Kind::Pairs if value.contains('=') => Ok(()),
        Kind::Pairs => Err(format!("expected KEY=VALUE got '{value}'")),
        Kind::Int64 => match value.parse::<i64>() {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("strconv.ParseInt: parsing {}: invalid syntax", quote_go(value))),
        },
        Kind::Count if parse_int(value).is_some() => Ok(()),
        Kind::Count => Err(format!("strconv.ParseFloat: parsing {}: invalid syntax", quote_go(value))),
        Kind::GoDuration => parse_go_duration(value).map(drop),
        Kind::Choice(choices) if choices.contains(&value) => Ok(()),
        Kind::Choice(choices) => {
            Err(format!("enum value must be one of {}, got '{value}'", choices.join(",")))
        }
    }
}
