//! The operators: sources of rows (`select`, `range`, `per_sample`, `repeat`, `relabel`) and what takes in all rows of an input to
//! give new ones (aggregations, joins, sets, sorting, histograms).

pub(crate) mod aggregate;
pub(crate) mod histogram;
pub(crate) mod join;
mod pairs;
pub(crate) mod per_sample;
pub(crate) mod pick;
pub(crate) mod presence;
pub(crate) mod range;
pub(crate) mod relabel;
pub(crate) mod repeat;
pub(crate) mod select;
pub(crate) mod set;
pub(crate) mod sort;
pub(crate) mod values;
