//! What a query gives: a scalar, a string, an instant vector or a matrix.
//!
//! Always true: the series of a matrix are sorted by labels when they come from the engine; points rise in time; a series
//! has at least one point. Points stand in columns, which encoders take as they are; iterators hand them out one by one.

use std::sync::Arc;

use narthex_model::{FloatHistogram, Labels};

use super::memory::labels_bytes;
use super::row::histogram_weight;
use super::steps::{Mask, Steps};

/// The value of a query.
#[derive(Clone, Debug)]
pub enum Value {
    /// One float.
    Scalar {
        /// The evaluation time, ms.
        t_ms: i64,
        /// The value.
        value: f64,
    },
    /// A text.
    String {
        /// The evaluation time, ms.
        t_ms: i64,
        /// The text.
        value: String,
    },
    /// At most one sample a series, all at one time.
    Vector(Vector),
    /// Samples over time.
    Matrix(Matrix),
}

impl Value {
    /// The API's word for the type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Scalar { .. } => "scalar",
            Self::String { .. } => "string",
            Self::Vector(_) => "vector",
            Self::Matrix(_) => "matrix",
        }
    }
}

/// The bytes that a value points to, unused capacity included. Histograms count as if nobody else held them.
impl Value {
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Scalar { .. } => 0,
            Self::String { value, .. } => value.capacity(),
            Self::Vector(vector) => {
                let place = size_of::<VectorSample>() * vector.samples.capacity();
                place
                    + vector
                        .samples
                        .iter()
                        .map(|s| labels_bytes(&s.labels) + s.point.heap_bytes())
                        .sum::<usize>()
            }
            Self::Matrix(matrix) => {
                let place = size_of::<MatrixSeries>() * matrix.series.capacity();
                place + matrix.series.iter().map(MatrixSeries::heap_bytes).sum::<usize>()
            }
        }
    }
}

/// The value of one sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Point {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

impl Point {
    fn heap_bytes(&self) -> usize {
        match self {
            Self::Float(_) => 0,
            Self::Histogram(h) => 16 * histogram_weight(h),
        }
    }
}

/// One sample of an instant vector.
#[derive(Clone, Debug)]
pub struct VectorSample {
    /// The series.
    pub labels: Labels,
    /// The value.
    pub point: Point,
}

/// An instant vector; in the order of evaluation (that of `sort`, `topk` and the like where the query has them).
#[derive(Clone, Debug, Default)]
pub struct Vector {
    /// The evaluation time, ms.
    pub t_ms: i64,
    /// The samples.
    pub samples: Vec<VectorSample>,
}

/// Series with their points.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    /// The series.
    pub series: Vec<MatrixSeries>,
}

/// One series of a matrix.
#[derive(Clone, Debug)]
pub struct MatrixSeries {
    /// Its labels.
    pub labels: Labels,
    pub(crate) floats: Floats,
    pub(crate) histograms: Vec<(i64, Arc<FloatHistogram>)>,
}

/// The float points of a series: on the steps of the query, or as they were stored.
#[derive(Clone, Debug)]
pub(crate) enum Floats {
    Steps { steps: Steps, values: Vec<f64>, present: Mask },
    Stored { t_ms: Vec<i64>, values: Vec<f64> },
}

/// The float points of a series as the engine has them, for encoders.
#[derive(Clone, Copy, Debug)]
pub enum FloatColumns<'a> {
    /// On the steps of the query.
    Steps {
        /// The times.
        steps: Steps,
        /// One a step.
        values: &'a [f64],
        /// The steps at which there is a point; the values of the others mean nothing.
        present: &'a Mask,
    },
    /// As they were stored.
    Stored {
        /// The times, ms, rising.
        t_ms: &'a [i64],
        /// One a time.
        values: &'a [f64],
    },
}

impl FloatColumns<'_> {
    /// The length of the columns: places, not points.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Steps { values, .. } | Self::Stored { values, .. } => values.len(),
        }
    }

    /// Whether there are no places.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl MatrixSeries {
    /// The columns of the float points.
    #[must_use]
    pub fn float_columns(&self) -> FloatColumns<'_> {
        match &self.floats {
            Floats::Steps { steps, values, present } => {
                FloatColumns::Steps { steps: *steps, values, present }
            }
            Floats::Stored { t_ms, values } => FloatColumns::Stored { t_ms, values },
        }
    }

    /// The float points, `(ms, value)`, in order of time.
    #[must_use]
    pub fn floats(&self) -> FloatPoints<'_> {
        match &self.floats {
            Floats::Steps { steps, values, present } => {
                FloatPoints { at: 0, times: Times::Steps(steps, present), values }
            }
            Floats::Stored { t_ms, values } => FloatPoints { at: 0, times: Times::Stored(t_ms), values },
        }
    }

    /// How many float points there are.
    #[must_use]
    pub fn float_count(&self) -> usize {
        match &self.floats {
            Floats::Steps { present, .. } => present.count(),
            Floats::Stored { t_ms, .. } => t_ms.len(),
        }
    }

    /// The histogram points, `(ms, histogram)`, in order of time.
    #[must_use]
    pub fn histograms(&self) -> &[(i64, Arc<FloatHistogram>)] {
        &self.histograms
    }

    fn heap_bytes(&self) -> usize {
        let floats = match &self.floats {
            Floats::Steps { values, present, .. } => 8 * values.capacity() + present.heap_bytes(),
            Floats::Stored { t_ms, values } => 8 * (t_ms.capacity() + values.capacity()),
        };
        let histograms = self.histograms.iter().map(|(_, h)| 16 + 16 * histogram_weight(h)).sum::<usize>();
        floats + histograms + labels_bytes(&self.labels)
    }

    /// A series with points on steps, for tests and for sources that are no query.
    ///
    /// # Panics
    /// When there is not one value a step.
    #[must_use]
    pub fn on_steps(labels: Labels, steps: Steps, values: Vec<f64>, present: Mask) -> Self {
        assert_eq!(values.len(), steps.count, "a series on steps has one value a step");
        Self { labels, floats: Floats::Steps { steps, values, present }, histograms: Vec::new() }
    }

    /// A series with stored points, for tests and for sources that are no query.
    #[must_use]
    pub fn from_points(labels: Labels, t_ms: Vec<i64>, values: Vec<f64>) -> Self {
        Self { labels, floats: Floats::Stored { t_ms, values }, histograms: Vec::new() }
    }

    /// A series of histograms alone, `(ms, histogram)` in order of time, for tests and for sources that are no query.
    #[must_use]
    pub fn from_histograms(labels: Labels, histograms: Vec<(i64, Arc<FloatHistogram>)>) -> Self {
        Self { histograms, ..Self::from_points(labels, Vec::new(), Vec::new()) }
    }
}

/// Walks the float points of a [`MatrixSeries`].
#[derive(Clone, Debug)]
pub struct FloatPoints<'a> {
    at: usize,
    times: Times<'a>,
    values: &'a [f64],
}

#[derive(Clone, Debug)]
enum Times<'a> {
    Steps(&'a Steps, &'a Mask),
    Stored(&'a [i64]),
}

impl Iterator for FloatPoints<'_> {
    type Item = (i64, f64);

    #[inline]
    fn next(&mut self) -> Option<(i64, f64)> {
        while self.at < self.values.len() {
            let at = self.at;
            self.at += 1;
            match &self.times {
                Times::Steps(steps, present) if present.get(at) => {
                    return Some((steps.at(at), self.values[at]));
                }
                Times::Steps(..) => {}
                Times::Stored(t_ms) => return Some((t_ms[at], self.values[at])),
            }
        }
        None
    }
}
