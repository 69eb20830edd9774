//! A store for tests: everything in maps; with an out-of-order window when asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use narthex_model::{Exemplar, FloatHistogram, Labels, Metadata};
use narthex_storage::{AppendError, Appendable, Appender, CommitError, Duplicate, HistogramRef, SeriesRef};
use parking_lot::Mutex;

/// Samples, exemplars and metadata by series.
#[derive(Default)]
pub(crate) struct TestStore {
    pub(crate) data: Arc<Mutex<Data>>,
    /// How far behind `now` a sample may be without being too old, ms; `None`: samples must be newer than their series.
    pub(crate) window: Option<(i64, i64)>,
}

/// What was committed.
#[derive(Default)]
pub(crate) struct Data {
    pub(crate) references: HashMap<Labels, u64>,
    pub(crate) labels: BTreeMap<u64, Labels>,
    pub(crate) samples: BTreeMap<u64, Vec<(i64, f64)>>,
    pub(crate) histograms: BTreeMap<u64, Vec<(i64, FloatHistogram)>>,
    /// Start timestamps and zeros at starts, as they came.
    pub(crate) starts: Vec<(i64, i64)>,
    pub(crate) zeros: Vec<(i64, i64)>,
    pub(crate) metadata: BTreeMap<u64, Vec<Metadata>>,
    pub(crate) exemplars: Vec<(Labels, Exemplar)>,
    pub(crate) batches: usize,
    /// References that were forgotten, as after a truncation of the head.
    pub(crate) forgotten: HashSet<u64>,
    next: u64,
}

impl Data {
    /// The samples of the series with this metric name (and, when given, a label), oldest first.
    pub(crate) fn of(&self, name: &str) -> Vec<(i64, f64)> {
        let found = self.labels.iter().filter(|(_, labels)| labels.metric_name() == name);
        let mut samples: Vec<(i64, f64)> =
            found.flat_map(|(series, _)| self.samples.get(series)).flatten().copied().collect();
        samples.sort_by_key(|(t, _)| *t);
        samples
    }

    /// Forgets a series: its reference is unknown from now on.
    pub(crate) fn forget(&mut self, name: &str) {
        let (references, labels) = (&mut self.references, &self.labels);
        for (series, labels) in labels.iter().filter(|(_, labels)| labels.metric_name() == name) {
            references.remove(labels);
            self.forgotten.insert(*series);
        }
    }
}

impl Appendable for TestStore {
    fn appender(&self) -> Box<dyn Appender> {
        let data = Arc::clone(&self.data);
        Box::new(TestAppender {
            data,
            window: self.window,
            samples: Vec::new(),
            histograms: Vec::new(),
            exemplars: Vec::new(),
        })
    }
}

struct TestAppender {
    data: Arc<Mutex<Data>>,
    window: Option<(i64, i64)>,
    samples: Vec<(u64, i64, f64)>,
    histograms: Vec<(u64, i64, FloatHistogram)>,
    exemplars: Vec<(u64, Exemplar)>,
}

impl Appender for TestAppender {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut data = self.data.lock();
        if let Some(known) = data.references.get(labels) {
            return Ok(SeriesRef(*known));
        }
        data.next += 1;
        let series = data.next;
        data.references.insert(labels.clone(), series);
        data.labels.insert(series, labels.clone());
        Ok(SeriesRef(series))
    }

    fn append(&mut self, series: SeriesRef, t_ms: i64, value: f64) -> Result<(), AppendError> {
        let data = self.data.lock();
        if data.forgotten.contains(&series.0) || !data.labels.contains_key(&series.0) {
            return Err(AppendError::UnknownSeries);
        }
        if let Some((now_ms, window_ms)) = self.window {
            if t_ms < now_ms - window_ms {
                return Err(AppendError::TooOld);
            }
            self.samples.push((series.0, t_ms, value));
            return Ok(());
        }
        match data.samples.get(&series.0).and_then(|s| s.last()) {
            Some((last, _)) if *last > t_ms => return Err(AppendError::OutOfOrder),
            Some((last, v)) if *last == t_ms && v.to_bits() != value.to_bits() => {
                return Err(AppendError::DuplicateTimestamp(Duplicate::UNTOLD));
            }
            Some((last, _)) if *last == t_ms => return Ok(()),
            Some(_) | None => {}
        }
        self.samples.push((series.0, t_ms, value));
        Ok(())
    }

    fn append_with_start(
        &mut self,
        series: SeriesRef,
        start_ms: i64,
        t_ms: i64,
        value: f64,
    ) -> Result<(), AppendError> {
        self.data.lock().starts.push((start_ms, t_ms));
        self.append(series, t_ms, value)
    }

    fn append_start_zero(
        &mut self,
        _: SeriesRef,
        start_ms: i64,
        t_ms: i64,
        _: Option<HistogramRef<'_>>,
    ) -> Result<(), AppendError> {
        self.data.lock().zeros.push((start_ms, t_ms));
        Ok(())
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        t_ms: i64,
        histogram: HistogramRef<'_>,
    ) -> Result<(), AppendError> {
        let histogram = match histogram {
            HistogramRef::Int(h) => h.to_float(),
            HistogramRef::Float(h) => h.clone(),
        };
        // What a real store checks, as far as the cases go.
        let found: f64 = histogram.zero_count
            + histogram.positive_buckets.iter().sum::<f64>()
            + histogram.negative_buckets.iter().sum::<f64>();
        if found != histogram.count {
            let count = histogram.count;
            return Err(AppendError::InvalidHistogram(format!(
                "{found} observations found in buckets, but the Count field is {count}: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)"
            )));
        }
        self.histograms.push((series.0, t_ms, histogram));
        Ok(())
    }

    fn append_exemplar(&mut self, series: SeriesRef, exemplar: &Exemplar) -> Result<(), AppendError> {
        if exemplar.t_ms.is_some_and(|t| t < 0) {
            return Err(AppendError::OutOfOrderExemplar);
        }
        self.exemplars.push((series.0, exemplar.clone()));
        Ok(())
    }

    fn update_metadata(&mut self, series: SeriesRef, metadata: &Metadata) -> Result<(), AppendError> {
        self.data.lock().metadata.entry(series.0).or_default().push(metadata.clone());
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), CommitError> {
        let mut data = self.data.lock();
        for (series, t_ms, value) in self.samples {
            let samples = data.samples.entry(series).or_default();
            // Of several values for one moment in a batch the first one stays.
            if let Err(at) = samples.binary_search_by_key(&t_ms, |(t, _)| *t)
                && (self.window.is_some() || at == samples.len())
            {
                samples.insert(at, (t_ms, value));
            }
        }
        for (series, t_ms, histogram) in self.histograms {
            data.histograms.entry(series).or_default().push((t_ms, histogram));
        }
        for (series, exemplar) in self.exemplars {
            let labels = data.labels[&series].clone();
            data.exemplars.push((labels, exemplar));
        }
        data.batches += 1;
        Ok(())
    }

    fn rollback(self: Box<Self>) {}
}
