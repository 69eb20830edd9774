//! The operators: sources of rows (`select`, `range`, `per_sample`, `repeat`, `relabel`) and what takes in all rows of an input to
//! give new ones (aggregations, joins, sets, sorting, histograms).

pub(crate) mod aggregate;
mod aggregate_histograms;
pub(crate) mod extended;
pub(crate) mod histogram;
pub(crate) mod info;
pub(crate) mod join;
mod join_labels;
pub(crate) mod long_rows;
pub(crate) mod pair_histograms;
mod pairs;
pub(crate) mod per_sample;
pub(crate) mod pick;
pub(crate) mod presence;
pub(crate) mod range;
mod range_histograms;
pub(crate) mod relabel;
pub(crate) mod repeat;
pub(crate) mod select;
pub(crate) mod set;
pub(crate) mod sort;
pub(crate) mod values;
