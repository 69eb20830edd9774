//! The `.test` language: data, queries and what they must answer, as text.
//!
//! Road in: [`Script::parse`], then [`Script::run`] with an engine made from [`engine_options`]; each `eval` gives one
//! [`Outcome`]. The storage is in memory ([`MemoryStorage`]). Rule unit tests may use the storage and the comparison as well.
//! Facts: `conformance/promql/README.md`. An instant eval is repeated as described there: with `@` at other times, and as
//! the middle step of a range query (`script/variants.rs`).

mod compare;
mod histograms;
mod memory;
mod parse;
mod run;
mod variants;

use narthex_model::{Labels, Regex};

use crate::engine::{Engine, EngineOptions, Features};
use crate::parser::ParseOptions;
use crate::series_desc::SeriesValue;

pub use memory::MemoryStorage;
pub use run::Outcome;

/// A parsed script.
#[derive(Clone, Debug)]
pub struct Script {
    commands: Vec<Command>,
}

/// Why a text is not a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

#[derive(Clone, Debug)]
enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
    /// Something that cannot be loaded yet; the evals after it are run all the same.
    Broken(ScriptError),
}

/// Series to add to the storage.
#[derive(Clone, Debug)]
struct Load {
    step_ms: i64,
    /// Whether classic histograms are also loaded as native ones with custom buckets.
    with_native: bool,
    series: Vec<LoadedSeries>,
}

#[derive(Clone, Debug)]
struct LoadedSeries {
    labels: Labels,
    values: Vec<SeriesValue>,
    /// How far each sample's start lies from it, ms; empty when no line gave any.
    starts: Vec<Option<i64>>,
}

/// One query and what it must answer.
#[derive(Clone, Debug)]
struct Eval {
    /// The line of the `eval`, from 1.
    line: usize,
    query: String,
    times: EvalTimes,
    expect: Expect,
    rows: Vec<ExpectedRow>,
    /// An expected row that cannot be built yet.
    broken: Option<ScriptError>,
}

/// When a query is evaluated; all ms.
#[derive(Clone, Copy, Debug, PartialEq)]
enum EvalTimes {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

#[derive(Clone, Debug)]
struct ExpectedRow {
    labels: Labels,
    values: Vec<SeriesValue>,
}

/// What is expected beside the rows.
#[derive(Clone, Debug, Default)]
struct Expect {
    fail: Option<TextRule>,
    warn: Vec<TextRule>,
    info: Vec<TextRule>,
    no_warn: bool,
    no_info: bool,
    ordered: bool,
    string: Option<String>,
    scalar: Option<f64>,
    /// The times of the points of a range vector: first, last, distance.
    range_vector: Option<(i64, i64, i64)>,
}

/// What a text must be.
#[derive(Clone, Debug)]
enum TextRule {
    Any,
    Equal(String),
    Contains(Box<Regex>),
}

impl TextRule {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Equal(expected) => expected == text,
            Self::Contains(regex) => regex.is_match(text),
        }
    }
}

/// The settings that scripts assume.
#[must_use]
pub fn engine_options() -> EngineOptions {
    EngineOptions {
        lookback_ms: 300_000,
        max_samples: 10_000,
        default_subquery_step_ms: 60_000,
        features: Features {
            parse: ParseOptions::all(),
            delayed_name_removal: true,
            type_and_unit_labels: false,
            use_start_timestamps: true,
            per_step_stats: false,
        },
        ..EngineOptions::default()
    }
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// The first line that is no part of the language. A series that cannot be built is no error here, but fails to load.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        parse::parse(text)
    }

    /// Runs the script from an empty storage; one outcome an `eval`, in order.
    #[must_use]
    pub fn run(&self, engine: &Engine) -> Vec<Outcome> {
        run::run(self, engine)
    }
}
