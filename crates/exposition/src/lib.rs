//! The exposition formats: Prometheus text 0.0.4 and 1.0.0, OpenMetrics 1.0 text, the protobuf form.
//!
//! Road in: [`choose_format`] for the content type of an answer, then [`Parser`], which yields [`Entry`] values that borrow the
//! body, and [`decode_labels`] for a series that is not known yet; or [`ProtoParser`] and [`decode_key`]. Classic histograms of
//! text become native ones through [`CustomHistograms`]. The way out: [`negotiate`], then [`Writer`], or
//! [`FamilyStream`] for samples that come one by one.
//! What this crate does not do: keep anything between two bodies, know about series references, or talk HTTP.
//! Facts: OpenMetrics 1.0; Prometheus' exposition formats page; behaviour on odd input as release 3.14 shows it.
#![forbid(unsafe_code)]

mod entry;
mod error;
mod format;
mod labels;
mod native;
mod negotiate;
mod nhcb;
mod parser;
mod protobuf;
mod quote;
mod stream;
mod write;

pub use entry::{Entry, RawExemplar, Series};
pub use error::ParseError;
pub use format::{ContentTypeError, Format, choose_format};
pub use labels::{LabelError, decode_exemplar, decode_labels, open_metrics_float, set_type_and_unit};
pub use native::{HistogramOptions, Native, NativeValue, ShrinkError};
pub use negotiate::{Offer, Output, negotiate};
pub use nhcb::text::{CustomEntry, CustomHistograms};
pub use parser::{Dialect, Parser};
pub use protobuf::{ProtoEntry, ProtoExemplar, ProtoParser, decode_key, empty_labels_of_key};
pub use stream::FamilyStream;
pub use write::{Number, Sample, Writer, write_families};
