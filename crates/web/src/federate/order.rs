//! In which order series are federated: by metric name, under one name by their labels, each series once.
//!
//! Cost: 12 bytes a series, each name once, and one label set of each selection at a time; charged before it is held.
//! Must not know: samples.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use narthex_model::{Labels, METRIC_NAME};
use narthex_promql::engine::{QueryError, ResultMemory};
use narthex_storage::SeriesSet;

/// A name takes this beside its text, its place in a table that grows by doubling included.
const NAME_OVERHEAD: usize = 96;

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
    fn number(&mut self, name: &str, memory: &ResultMemory) -> Result<u32, QueryError> {
        if let Some((last, number)) = &self.last
            && last == name
        {
            return Ok(*number);
        }
        let next = self.numbers.len() as u32;
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => {
                memory.charge(name.len() + NAME_OVERHEAD)?;
                self.numbers.insert(name.to_owned(), next);
                next
            }
        };
        self.rise &= self.last.as_ref().is_none_or(|(last, _)| **last < *name);
        self.last = Some((name.to_owned(), number));
        Ok(number)
    }
}

/// The order of all series that have a name.
///
/// # Errors
/// There is no room for it.
pub(crate) fn order(sets: &[Box<dyn SeriesSet>], memory: &ResultMemory) -> Result<Vec<Place>, QueryError> {
    let mut names = Names { rise: true, ..Names::default() };
    let all: usize = sets.iter().map(|set| set.len()).sum();
    // Sorting by name takes half as much again.
    memory.charge(all * size_of::<Place>() * 3 / 2)?;
    let mut places = Vec::with_capacity(all);
    let mut add = |set: usize, at: usize, name: &str| {
        if !name.is_empty() {
            places.push(Place { name: names.number(name, memory)?, set: set as u32, at: at as u32 });
        }
        Ok(())
    };
    match sets {
        [one] => {
            let wanted = [METRIC_NAME.to_owned()];
            (0..one.len()).try_for_each(|at| add(0, at, one.labels_named(at, &wanted).value(METRIC_NAME)))?;
        }
        many => merge(many, |set, at, labels| add(set, at, labels.value(METRIC_NAME)))?,
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
    Ok(places)
}

/// Gives out the series of sorted sets in their order; of equal ones the first set's.
fn merge(
    sets: &[Box<dyn SeriesSet>],
    mut give: impl FnMut(usize, usize, &Labels) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
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
            give(set, at, &labels)?;
            last = Some(labels);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_promql::engine::{Engine, EngineOptions};
    use narthex_storage::SampleBatch;

    struct Set(Vec<Labels>);

    impl SeriesSet for Set {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn labels(&self, at: usize) -> Labels {
            self.0[at].clone()
        }
        fn read(
            &self,
            _: usize,
            _: i64,
            _: i64,
            _: &mut SampleBatch,
        ) -> Result<(), narthex_storage::QueryError> {
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
        let memory = Engine::new(EngineOptions::default()).room();
        let got: Vec<_> =
            order(&sets, &memory).unwrap().iter().map(|p| (p.set as usize, p.at as usize)).collect();
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
