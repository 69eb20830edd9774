//! A storage that writes down what it is told, refuses what it is told to refuse, and can forget its series.

use std::collections::HashMap;
use std::sync::Arc;

use narthex_model::{Exemplar, Labels, Metadata};
use narthex_storage::{AppendError, Appendable, Appender, CommitError, HistogramRef, SeriesRef};
use parking_lot::Mutex;

#[derive(Default)]
pub(in crate::receive) struct State {
    pub(in crate::receive) series: HashMap<Labels, SeriesRef>,
    names: HashMap<SeriesRef, Labels>,
    next: u64,
    /// Lines of committed batches.
    pub(in crate::receive) committed: Vec<String>,
    pub(in crate::receive) resolved: usize,
    pub(in crate::receive) rolled_back: usize,
    /// The error for a float of this value.
    pub(in crate::receive) refuse: Option<(f64, AppendError)>,
    pub(in crate::receive) fail_commit: bool,
}

/// See the module's words.
#[derive(Clone, Default)]
pub(in crate::receive) struct Double(pub(in crate::receive) Arc<Mutex<State>>);

impl Double {
    /// Drops all series; their references become unknown.
    pub(in crate::receive) fn forget_series(&self) {
        let mut state = self.0.lock();
        state.series.clear();
        state.names.clear();
    }

    /// What was committed since the last call.
    pub(in crate::receive) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().committed)
    }
}

impl Appendable for Double {
    fn appender(&self) -> Box<dyn Appender> {
        Box::new(Notes { double: self.clone(), lines: Vec::new() })
    }
}

struct Notes {
    double: Double,
    lines: Vec<String>,
}

impl Notes {
    fn note(&mut self, series: SeriesRef, what: &str) -> Result<(), AppendError> {
        let state = self.double.0.lock();
        let labels = state.names.get(&series).ok_or(AppendError::UnknownSeries)?;
        self.lines.push(format!("{labels} {what}"));
        Ok(())
    }
}

impl Notes {
    fn note_start(&mut self, start_ms: i64) {
        if let Some(line) = self.lines.last_mut().filter(|_| start_ms != 0) {
            line.push_str(&format!(" since {start_ms}"));
        }
    }
}

impl Appender for Notes {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let mut guard = self.double.0.lock();
        let state = &mut *guard;
        state.resolved += 1;
        if let Some(known) = state.series.get(labels) {
            return Ok(*known);
        }
        state.next += 1;
        let series = SeriesRef(state.next);
        state.series.insert(labels.clone(), series);
        state.names.insert(series, labels.clone());
        Ok(series)
    }

    fn append(&mut self, series: SeriesRef, t_ms: i64, value: f64) -> Result<(), AppendError> {
        let refuse = self.double.0.lock().refuse.clone();
        match refuse {
            Some((refused, error)) if refused == value => Err(error),
            _ => self.note(series, &format!("{value}@{t_ms}")),
        }
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        t_ms: i64,
        h: HistogramRef<'_>,
    ) -> Result<(), AppendError> {
        match h {
            HistogramRef::Int(h) if h.count == 99 => Err(AppendError::InvalidHistogram("why".to_owned())),
            HistogramRef::Int(h) => self.note(series, &format!("int {}/{}@{t_ms}", h.count, h.schema)),
            HistogramRef::Float(h) => self.note(series, &format!("float {}/{}@{t_ms}", h.count, h.schema)),
        }
    }

    fn append_exemplar(&mut self, series: SeriesRef, exemplar: &Exemplar) -> Result<(), AppendError> {
        if exemplar.value < 0.0 {
            return Err(AppendError::OutOfOrderExemplar);
        }
        let t_ms = exemplar.t_ms.expect("the receiver sets it");
        self.note(series, &format!("# {} {}@{t_ms}", exemplar.labels, exemplar.value))
    }

    fn append_with_start(
        &mut self,
        series: SeriesRef,
        start_ms: i64,
        t_ms: i64,
        value: f64,
    ) -> Result<(), AppendError> {
        self.append(series, t_ms, value)?;
        self.note_start(start_ms);
        Ok(())
    }

    fn append_histogram_with_start(
        &mut self,
        series: SeriesRef,
        start_ms: i64,
        t_ms: i64,
        h: HistogramRef<'_>,
    ) -> Result<(), AppendError> {
        self.append_histogram(series, t_ms, h)?;
        self.note_start(start_ms);
        Ok(())
    }

    fn append_start_zero(
        &mut self,
        series: SeriesRef,
        start_ms: i64,
        t_ms: i64,
        like: Option<HistogramRef<'_>>,
    ) -> Result<(), AppendError> {
        let kind = if like.is_some() { "histogram" } else { "float" };
        self.note(series, &format!("zero {kind} {start_ms} before {t_ms}"))
    }

    fn update_metadata(&mut self, series: SeriesRef, metadata: &Metadata) -> Result<(), AppendError> {
        if metadata.help == "refused" || metadata.help.len() > 4096 {
            return Err(AppendError::Unavailable("no metadata".to_owned()));
        }
        let Metadata { kind, unit, help } = metadata;
        self.note(series, &format!("is {kind} in {unit:?}: {help}"))
    }

    fn commit(self: Box<Self>) -> Result<(), CommitError> {
        let mut state = self.double.0.lock();
        if state.fail_commit {
            return Err(CommitError::Wal(std::io::Error::other("disk full")));
        }
        state.committed.extend(self.lines);
        Ok(())
    }

    fn rollback(self: Box<Self>) {
        self.double.0.lock().rolled_back += 1;
    }
}
