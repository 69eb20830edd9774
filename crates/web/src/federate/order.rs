//! In which order series are federated: by metric name, under one name by their labels, each series once.
//!
//! Cost: 12 bytes a series, and one label set of each selection at a time. Must not know: samples.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use narthex_model::{Labels, METRIC_NAME};
use narthex_storage::SeriesSet;

/// Where a series is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The same for all series of one metric name.
    pub(crate) name: u32,
    /// The selection.
    pub(crate) set: u32,
    /// Its position there.
    pub(crate) at: u32,
}

/// Metric names in the order in which they were met.
#[derive(Default)]
struct Names {
    numbers: HashMap<String, u32>,
    last: Option<(String, u32)>,
    /// Whether each new name was above all before it.
    rise: bool,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some((last, number)) = &self.last
            && last == name
        {
            return *number;
        }
        let next = self.numbers.len() as u32;
        let number = *self.numbers.entry(name.to_owned()).or_insert(next);
        self.rise &= self.last.as_ref().is_none_or(|(last, _)| **last < *name);
        self.last = Some((name.to_owned(), number));
        number
    }
}

/// The order of all series that have a name.
pub(crate) fn order(sets: &[Box<dyn SeriesSet>]) -> Vec<Place> {
    let mut names = Names { rise: true, ..Names::default() };
    let mut places = Vec::new();
    let mut add = |set: usize, at: usize, name: &str| {
        if !name.is_empty() {
            places.push(Place { name: names.number(name), set: set as u32, at: at as u32 });
        }
    };
    match sets {
        [one] => {
            let wanted = [METRIC_NAME.to_owned()];
            (0..one.len()).for_each(|at| add(0, at, one.labels_named(at, &wanted).value(METRIC_NAME)));
        }
        many => merge(many, |set, at, labels| add(set, at, labels.value(METRIC_NAME))),
    }
    // Labels sort before the name when they begin with a capital letter, so names may come back.
    if !names.rise {
        let mut sorted: Vec<(&str, u32)> = names.numbers.iter().map(|(n, number)| (&**n, *number)).collect();
        sorted.sort_unstable();
        let mut rank = vec![0; sorted.len()];
        for (at, (_, number)) in sorted.into_iter().enumerate() {
            rank[number as usize] = at;
        }
        places.sort_by_key(|place| rank[place.name as usize]);
    }
    places
}

/// Gives out the series of sorted sets in their order; of equal ones the first set's.
fn merge(sets: &[Box<dyn SeriesSet>], mut give: impl FnMut(usize, usize, &Labels)) {
    let mut heads: BinaryHeap<Reverse<(Labels, usize, usize)>> = BinaryHeap::new();
    let push = |heads: &mut BinaryHeap<_>, set: usize, at: usize| {
        if at < sets[set].len() {
            heads.push(Reverse((sets[set].labels(at), set, at)));
        }
    };
    (0..sets.len()).for_each(|set| push(&mut heads, set, 0));
    let mut last: Option<Labels> = None;
    while let Some(Reverse((labels, set, at))) = heads.pop() {
        push(&mut heads, set, at + 1);
        if last.as_ref() != Some(&labels) {
            give(set, at, &labels);
            last = Some(labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_storage::{QueryError, SampleBatch};

    struct Set(Vec<Labels>);

    impl SeriesSet for Set {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn labels(&self, at: usize) -> Labels {
            self.0[at].clone()
        }
        fn read(&self, _: usize, _: i64, _: i64, _: &mut SampleBatch) -> Result<(), QueryError> {
            Ok(())
        }
    }

    /// `name label=value` for each series of each set.
    #[track_caller]
    fn check(sets: &[&[(&str, &str, &str)]], expected: &[(usize, usize)]) {
        let of = |series: &[(&str, &str, &str)]| {
            let labels = |(name, label, value): &(&str, &str, &str)| {
                Labels::from_pairs(
                    [(METRIC_NAME, *name), (*label, *value)].into_iter().filter(|p| !p.1.is_empty()),
                )
            };
            let mut all: Vec<Labels> = series.iter().map(labels).collect();
            all.sort();
            Box::new(Set(all)) as Box<dyn SeriesSet>
        };
        let sets: Vec<_> = sets.iter().map(|series| of(series)).collect();
        let got: Vec<_> = order(&sets).iter().map(|p| (p.set as usize, p.at as usize)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn series_of_several_selections_come_once_and_in_order() {
        check(&[], &[]);
        check(&[&[("a", "x", "1"), ("b", "x", "1")]], &[(0, 0), (0, 1)]);
        check(
            &[&[("b", "x", "1"), ("d", "x", "1")], &[("a", "x", "1"), ("b", "x", "1"), ("c", "x", "1")]],
            &[(1, 0), (0, 0), (1, 2), (0, 1)],
        );
    }

    #[test]
    fn names_stay_together_when_other_labels_sort_before_them() {
        // In label order: {A=1, b}, {A=2, a}, {a}, {c}: `A` sorts before `__name__`.
        check(
            &[&[("b", "A", "1"), ("a", "A", "2"), ("a", "x", "1"), ("c", "x", "1")]],
            &[(0, 1), (0, 2), (0, 0), (0, 3)],
        );
    }

    #[test]
    fn series_without_a_name_are_left_out() {
        check(&[&[("", "x", "1"), ("a", "x", "1")]], &[(0, 0)]);
    }
}
