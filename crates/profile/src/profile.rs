//! A profile before anything is named: rows of a stack, labels and values.
//!
//! Always true: rows of equal stacks and labels are one; no more rows than [`MAX_ROWS`] are kept, others become one row without a
//! stack.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// Most rows: with full stacks some tens of MB.
const MAX_ROWS: usize = 1 << 16;

/// What a profile tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Where processor time goes.
    Cpu,
    /// What is allocated now, by default.
    Heap,
    /// What was allocated since the start, by default.
    Allocs,
    /// What each thread does now. Go's name: `goroutine`.
    Threads,
    /// How many threads of each name there are. Go's name: `threadcreate`.
    ThreadNames,
    /// Where time passes, threads that wait counted too. Go's name: `fgprof`.
    WallClock,
    /// Waiting for each other; never measured.
    Block,
    /// Holding each other up; never measured.
    Mutex,
}

impl Kind {
    /// The values of a row, each with its unit.
    #[must_use]
    pub fn values(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Cpu => &[("samples", "count"), ("cpu", "nanoseconds")],
            Self::Heap | Self::Allocs => &[
                ("alloc_objects", "count"),
                ("alloc_space", "bytes"),
                ("inuse_objects", "count"),
                ("inuse_space", "bytes"),
            ],
            Self::Threads => &[("goroutine", "count")],
            Self::ThreadNames => &[("threadcreate", "count")],
            Self::WallClock => &[("samples", "count"), ("time", "nanoseconds")],
            Self::Block | Self::Mutex => &[("contentions", "count"), ("delay", "nanoseconds")],
        }
    }

    /// Which of the values is shown unless another is asked for; `""` for the last.
    #[must_use]
    pub(crate) fn default_value(self) -> &'static str {
        match self {
            Self::Heap => "inuse_space",
            Self::Allocs => "alloc_space",
            _ => "",
        }
    }

    /// What lies between two samples.
    #[must_use]
    pub(crate) fn period_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Cpu => ("cpu", "nanoseconds"),
            Self::Heap | Self::Allocs => ("space", "bytes"),
            Self::Threads => ("goroutine", "count"),
            Self::ThreadNames => ("threadcreate", "count"),
            Self::WallClock => ("wallclock", "nanoseconds"),
            Self::Block | Self::Mutex => ("contentions", "count"),
        }
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Addresses, innermost first; may be empty.
    pub stack: Box<[usize]>,
    /// The thread's name, `""` for none.
    pub thread: String,
    /// As many as [`Kind::values`] names.
    pub values: Vec<i64>,
}

/// Rows and what is true for all of them.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What it tells.
    pub kind: Kind,
    /// The rows, in no order.
    pub rows: Vec<Row>,
    /// When it was taken, or begun.
    pub time: SystemTime,
    /// Over how long; zero for a moment.
    pub duration: Duration,
    /// From sample to sample, in the unit of the kind.
    pub period: i64,
    /// What a reader should know.
    pub comments: Vec<String>,
}

impl Profile {
    /// One without rows, taken now.
    #[must_use]
    pub fn new(kind: Kind, period: i64) -> Self {
        let (time, duration) = (SystemTime::now(), Duration::ZERO);
        Self { kind, rows: Vec::new(), time, duration, period, comments: Vec::new() }
    }

    /// What came between `earlier` and this one.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        let mut values: HashMap<(Box<[usize]>, String), Vec<i64>> = HashMap::new();
        let signed = [(earlier.rows.clone(), -1), (std::mem::take(&mut self.rows), 1)];
        for (row, sign) in
            signed.into_iter().flat_map(|(rows, sign)| rows.into_iter().map(move |r| (r, sign)))
        {
            let sums = values.entry((row.stack, row.thread)).or_insert_with(|| vec![0; row.values.len()]);
            sums.iter_mut().zip(row.values).for_each(|(sum, value)| *sum += sign * value);
        }
        values.retain(|_, values| values.iter().any(|v| *v != 0));
        let row = |((stack, thread), values)| Row { stack, thread, values };
        self.rows = values.into_iter().map(row).collect();
        self.duration = self.time.duration_since(earlier.time).unwrap_or_default();
        self.time = earlier.time;
        self
    }
}

/// Stacks that are counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    by_stack: HashMap<(Box<[usize]>, u32), i64>,
}

impl Counts {
    /// Counts a stack of a thread once more.
    pub(crate) fn add(&mut self, thread: u32, stack: &[usize]) {
        let full = self.by_stack.len() >= MAX_ROWS;
        let key = (Box::from(stack), thread);
        if full && !self.by_stack.contains_key(&key) {
            *self.by_stack.entry((Box::from([]), 0)).or_insert(0) += 1;
        } else {
            *self.by_stack.entry(key).or_insert(0) += 1;
        }
    }

    /// The rows, with the values that a count means.
    pub(crate) fn rows(self, name: impl Fn(u32) -> String, values: impl Fn(i64) -> Vec<i64>) -> Vec<Row> {
        let mut rows: HashMap<(Box<[usize]>, String), i64> = HashMap::new();
        for ((stack, thread), count) in self.by_stack {
            *rows.entry((stack, name(thread))).or_insert(0) += count;
        }
        let row = |((stack, thread), count)| Row { stack, thread, values: values(count) };
        rows.into_iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stack: &[usize], thread: &str, values: &[i64]) -> Row {
        Row { stack: stack.into(), thread: thread.to_owned(), values: values.to_vec() }
    }

    #[test]
    fn a_difference_has_what_came_and_what_went() {
        let mut earlier = Profile::new(Kind::Cpu, 1);
        earlier.rows = vec![row(&[1], "a", &[5, 50]), row(&[2], "", &[1, 10]), row(&[3], "", &[7, 70])];
        let mut later = Profile::new(Kind::Cpu, 1);
        later.rows = vec![row(&[1], "a", &[6, 60]), row(&[1], "b", &[2, 20]), row(&[3], "", &[7, 70])];
        let mut rows = later.since(&earlier).rows;
        rows.sort_by_key(|r| (r.stack.clone(), r.thread.clone()));
        assert_eq!(rows, [row(&[1], "a", &[1, 10]), row(&[1], "b", &[2, 20]), row(&[2], "", &[-1, -10])]);
    }

    #[test]
    fn rows_are_bounded_and_none_is_lost() {
        let mut counts = Counts::default();
        (0..MAX_ROWS + 10).for_each(|i| counts.add(1, &[i]));
        counts.add(1, &[0]);
        let rows = counts.rows(|_| String::new(), |n| vec![n]);
        assert_eq!(rows.len(), MAX_ROWS + 1);
        assert_eq!(rows.iter().map(|r| r.values[0]).sum::<i64>(), MAX_ROWS as i64 + 11);
        assert!(rows.iter().any(|r| r.stack.is_empty() && r.values == [10]));
    }
}
