//! The traits between engines and services: who writes samples, who reads series, and how several sources become one.
//!
//! Road in: `Appendable` to write, `Queryable` to read. A batch written through one `Appender` is seen whole or not at all.
//! Reading is by handle: a `SeriesSet` is a sorted list of series, each decoded on demand into a reused `SampleBatch`, so
//! that a query can split the series over threads and hold one batch a thread. [`merge`] reads several stores as one,
//! [`fan_out`] asks distant ones beside them. Who passes samples on takes them as `StoredChunk`s, or follows the log and borrows
//! labels from `LiveSeries`.
//! What this crate does not do: know any one engine, HTTP, or PromQL.
#![forbid(unsafe_code)]

mod append;
mod chunk;
pub mod fan_out;
mod label_sets;
mod live;
pub mod merge;
mod query;
mod windows;

pub use append::{AppendError, Appendable, Appender, CommitError, Duplicate, HistogramRef, SeriesRef};
pub use chunk::StoredChunk;
pub use label_sets::{LabelSets, ListedLabelSets};
pub use live::{FoundSeries, LabelsVisitor, LentLabels, LentVisitor, LiveSeries, NumberedTexts};
pub use query::{Querier, QueryError, Queryable, SampleBatch, SelectHints, SeriesSet, Wanted};
pub use windows::Windows;
