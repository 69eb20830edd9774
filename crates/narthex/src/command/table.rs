//! What the tables of commands are made of.

use std::process::ExitCode;

use super::Given;

/// What runs a command: the program's name and what was given.
pub(super) type Run = fn(&str, &Given) -> ExitCode;

/// A command, or a group of commands.
#[derive(Debug)]
pub(super) struct Command {
    /// The word that chooses it; `""` for the root.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) help: &'static str,
    /// Its own flags; those of the groups above are accepted too.
    pub(super) flags: &'static [Flag],
    /// Its arguments, in order.
    pub(super) arguments: &'static [Argument],
    /// The commands of a group.
    pub(super) below: &'static [Command],
    /// `None` for a group.
    pub(super) run: Option<Run>,
}

impl Command {
    /// A command that does something.
    pub(super) const fn new(name: &'static str, help: &'static str, run: Run) -> Self {
        Self { name, help, flags: &[], arguments: &[], below: &[], run: Some(run) }
    }

    /// A group.
    pub(super) const fn group(name: &'static str, help: &'static str, below: &'static [Command]) -> Self {
        Self { name, help, flags: &[], arguments: &[], below, run: None }
    }

    /// With flags.
    pub(super) const fn with(mut self, flags: &'static [Flag]) -> Self {
        self.flags = flags;
        self
    }

    /// With arguments.
    pub(super) const fn taking(mut self, arguments: &'static [Argument]) -> Self {
        self.arguments = arguments;
        self
    }
}

/// What the value of a flag looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// May be repeated.
    Texts,
    /// `KEY=VALUE`, may be repeated.
    Pairs,
    /// `--name`, `--no-name`.
    Bool,
    /// Fits 64 bits.
    Int64,
    /// A number of things; also `1e3`.
    Count,
    /// As Go writes it: `2h`, `1h30m`.
    GoDuration,
    Choice(&'static [&'static str]),
}

/// One flag.
#[derive(Debug)]
pub(super) struct Flag {
    /// Without dashes.
    pub(super) name: &'static str,
    /// One letter that means the same.
    pub(super) short: Option<char>,
    pub(super) kind: Kind,
    /// As text; `""` for none.
    pub(super) default: &'static str,
    pub(super) help: &'static str,
    pub(super) hidden: bool,
    pub(super) required: bool,
}

impl Flag {
    /// A flag by its long name only.
    pub(super) const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self { name, short: None, kind, default, help, hidden: false, required: false }
    }

    /// With a letter.
    pub(super) const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// Left out of the help.
    pub(super) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Must be given.
    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// One argument.
#[derive(Debug)]
pub(super) struct Argument {
    pub(super) name: &'static str,
    /// `None`: must be given; `Some("")`: may be left out.
    pub(super) default: Option<&'static str>,
    /// Takes all words that are left; only the last may.
    pub(super) many: bool,
    pub(super) help: &'static str,
}

impl Argument {
    /// An argument that must be given.
    pub(super) const fn required(name: &'static str, help: &'static str) -> Self {
        Self { name, default: None, many: false, help }
    }

    /// An argument that may be left out.
    pub(super) const fn or(name: &'static str, default: &'static str, help: &'static str) -> Self {
        Self { name, default: Some(default), many: false, help }
    }

    /// Takes all words that are left.
    pub(super) const fn many(mut self) -> Self {
        self.many = true;
        self
    }
}
