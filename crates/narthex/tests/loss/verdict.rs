//! The verdict over a run: what the sender committed beside what arrived, as a table.

use std::collections::BTreeMap;
use std::fmt;

/// Samples by the name of their series, ordered by time in ms; a staleness marker is some NaN.
pub(crate) type Samples = BTreeMap<String, Vec<(i64, f64)>>;

/// A number of faults, with the words of the first few.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) number: u64,
    first: Vec<String>,
}

impl Faults {
    pub(crate) fn note(&mut self, words: impl FnOnce() -> String) {
        self.note_all(1, words);
    }

    /// Notes many of one kind.
    pub(crate) fn note_all(&mut self, number: u64, words: impl FnOnce() -> String) {
        self.number += number;
        if self.first.len() < 5 {
            self.first.push(words());
        }
    }
}

/// What only a receiver of ours can see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    /// Samples that came first after a later one of their series.
    pub(crate) reordered: Faults,
    /// Requests for a series which went back in time within a life, behind one of which the sender had been told.
    pub(crate) overtaken: Faults,
    /// Samples that came again with another value.
    pub(crate) changed: Faults,
    /// Samples that came again though the sender had been told.
    pub(crate) unexcused: Faults,
    /// Samples that came again after a `kill -9`.
    pub(crate) again_after_kill: u64,
    /// Samples that came again where the database, from which they were sent, meets the log again.
    pub(crate) again_where_met: u64,
    /// Samples that came again because their answer was withheld: they were in doubt.
    pub(crate) again_untold: u64,
}

/// What differs between sender and receiver.
#[derive(Clone, Debug, Default)]
pub(crate) struct Difference {
    pub(crate) series: usize,
    pub(crate) committed: u64,
    pub(crate) arrived: u64,
    pub(crate) missing: Faults,
    /// Arrived, but the sender does not have them: its storage lost them, or they never were.
    pub(crate) made_up: Faults,
    pub(crate) other_value: Faults,
    /// Values of one series that do not rise with time, though the target's do.
    pub(crate) not_rising: Faults,
    /// Missing of series that some configurations of the run dropped: no fault.
    pub(crate) dropped: u64,
}

/// Compares; values that are this much apart, relative to their size, count as equal. `dropped` is the metric that some
/// configurations of the run dropped.
pub(crate) fn compare(
    committed: &Samples,
    arrived: &Samples,
    tolerance: f64,
    dropped: Option<&str>,
) -> Difference {
    let dropped = dropped.map(|metric| format!("__name__=\"{metric}\""));
    let is_dropped = |series: &str| dropped.as_ref().is_some_and(|dropped| series.contains(dropped));
    let mut found = Difference { series: committed.len(), ..Difference::default() };
    for (series, samples) in committed {
        let others = arrived.get(series).map_or(&[][..], Vec::as_slice);
        found.committed += samples.len() as u64;
        for (t_ms, value) in samples {
            match others.binary_search_by_key(t_ms, |(t, _)| *t) {
                Ok(at) if is_same(*value, others[at].1, tolerance) => {}
                Ok(at) => found.other_value.note(|| format!("{series} {t_ms}: {value} is {}", others[at].1)),
                Err(_) if is_dropped(series) => found.dropped += 1,
                Err(_) => found.missing.note(|| format!("{series} {t_ms} {value}")),
            }
        }
    }
    for (series, samples) in arrived {
        let others = committed.get(series).map_or(&[][..], Vec::as_slice);
        found.arrived += samples.len() as u64;
        for (t_ms, value) in samples {
            if others.binary_search_by_key(t_ms, |(t, _)| *t).is_err() {
                found.made_up.note(|| format!("{series} {t_ms} {value}"));
            }
        }
        let counts: Vec<f64> = samples.iter().map(|(_, value)| *value).filter(|v| !v.is_nan()).collect();
        if series.contains("\"loss_") && !counts.is_sorted_by(|a, b| a < b) {
            found.not_rising.note(|| series.clone());
        }
    }
    found
}

fn is_same(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= tolerance * a.abs()
}

/// What happened in a run, and what came of it.
pub(crate) struct Report {
    /// What the run was: receiver, protocol, how to repeat it.
    pub(crate) title: String,
    /// How often what was done.
    pub(crate) done: BTreeMap<String, u64>,
    pub(crate) difference: Difference,
    /// Of a receiver of ours.
    pub(crate) counts: Option<Counts>,
}

impl Report {
    fn faults(&self) -> Vec<(&'static str, &Faults)> {
        let d = &self.difference;
        let mut faults = vec![
            ("missing", &d.missing),
            ("with another value", &d.other_value),
            ("not at the sender", &d.made_up),
            ("series whose values fall", &d.not_rising),
        ];
        if let Some(c) = &self.counts {
            faults.extend([
                ("reordered", &c.reordered),
                ("overtaken", &c.overtaken),
                ("changed", &c.changed),
                ("duplicates without excuse", &c.unexcused),
            ]);
        }
        faults
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.faults().iter().all(|(_, faults)| faults.number == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for (what, number) in &self.done {
            writeln!(f, "  {what:<44} {number:>12}")?;
        }
        let d = &self.difference;
        writeln!(f, "  {:<44} {:>12}", "series at the sender", d.series)?;
        writeln!(f, "  {:<44} {:>12}", "samples at the sender", d.committed)?;
        writeln!(f, "  {:<44} {:>12}", "samples at the receiver", d.arrived)?;
        writeln!(f, "  {:<44} {:>12}", "samples dropped by relabeling", d.dropped)?;
        if let Some(c) = &self.counts {
            writeln!(f, "  {:<44} {:>12}", "requests taken", c.requests)?;
            writeln!(f, "  {:<44} {:>12}", "duplicates after a kill", c.again_after_kill)?;
            writeln!(f, "  {:<44} {:>12}", "duplicates where the log is met again", c.again_where_met)?;
            writeln!(f, "  {:<44} {:>12}", "duplicates in doubt: an answer withheld", c.again_untold)?;
        }
        for (what, faults) in self.faults() {
            let mark = if faults.number > 0 { "FAULT " } else { "" };
            writeln!(f, "  {:<44} {:>12}", format!("{mark}{what}"), faults.number)?;
            faults.first.iter().try_for_each(|words| writeln!(f, "      {words}"))?;
        }
        Ok(())
    }
}
