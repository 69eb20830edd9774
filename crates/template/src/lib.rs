//! Go's templates as alerts and consoles use them, and Prometheus' functions for them.
//!
//! Road in: [`Template::parse`] and [`Template::expand`] for texts (alert labels and annotations, URLs), [`HtmlTemplate`] for
//! console pages. A template is parsed once and may run many times, on many threads.
//! Inside: `syntax` makes a tree of the text, `exec` runs it over `value`, `print` is Go's `fmt`, `functions` and `methods`
//! are what templates can call, `html` makes the output of pages safe.
//! What this crate does not do: any I/O, and any query (the caller answers them, see [`Query`]). It knows no zone but UTC, no
//! complex numbers and no functions as values. Where Go would hang or die, [`Limits`] end the run with an error.
#![forbid(unsafe_code)]

mod context;
mod error;
mod exec;
mod functions;
mod html;
mod limits;
mod methods;
mod metrics;
mod percent;
mod print;
mod set;
mod syntax;
mod template;
mod value;

pub use context::{Context, MissingKey, NoQueries, Query, QuerySample, SampleValue};
pub use error::{ExecError, ParseError, TemplateError};
pub use functions::function_names;
pub use limits::Limits;
pub use metrics::ExpansionMetrics;
pub use template::{AlertData, ConsoleData, HtmlTemplate, Template};
pub use value::{Field, GoTime, IntType, ListValue, MapValue, StructValue, Text, UintType, Value};
