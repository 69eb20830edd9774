//! The exposition formats: Prometheus text 0.0.4 and 1.0.0, OpenMetrics 1.0 text.
//!
//! Road in: [`choose_format`] for the content type of an answer, then [`Parser`], which yields [`Entry`] values that borrow the
//! body; [`decode_labels`] for a series that is not known yet. The way out: [`negotiate`], then [`Writer`].
//! What this crate does not do: keep anything between two bodies, know about series references, or talk HTTP.
//! Facts: OpenMetrics 1.0; Prometheus' exposition formats page; behaviour on odd input as release 3.14 shows it.
#![forbid(unsafe_code)]

mod entry;
mod error;
mod format;
mod labels;
mod negotiate;
mod parser;
mod quote;
mod write;

pub use entry::{Entry, RawExemplar, Series};
pub use error::ParseError;
pub use format::{ContentTypeError, Format, choose_format};
pub use labels::{LabelError, decode_exemplar, decode_labels, open_metrics_float};
pub use negotiate::{Offer, Output, negotiate};
pub use parser::{Dialect, Parser};
pub use write::{Number, Sample, Writer, write_families};
