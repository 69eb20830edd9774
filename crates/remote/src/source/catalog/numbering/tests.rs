//! Numbers against a head that series leave and come back to.

use std::collections::HashMap;
use std::sync::Mutex;

use narthex_storage::{LabelsVisitor, LentVisitor};

use super::*;

/// A head: label sets by reference, and those that had another reference.
#[derive(Default)]
struct Head {
    live: Mutex<HashMap<SeriesRef, Labels>>,
    left: Mutex<Vec<Labels>>,
}

impl Head {
    fn enter(&self, series: u64, name: &str) -> SeriesRef {
        self.live.lock().unwrap().insert(SeriesRef(series), labels(name));
        SeriesRef(series)
    }

    fn leave(&self, series: SeriesRef) {
        let labels = self.live.lock().unwrap().remove(&series).unwrap();
        self.left.lock().unwrap().push(labels);
    }
}

impl LiveSeries for Head {
    fn find(&self, labels: &Labels) -> FoundSeries {
        let live = self.live.lock().unwrap();
        let series = live.iter().find(|(_, its)| *its == labels).map(|(series, _)| *series);
        FoundSeries { series, had_another: self.left.lock().unwrap().contains(labels) }
    }

    fn is_live(&self, series: SeriesRef) -> bool {
        self.live.lock().unwrap().contains_key(&series)
    }

    fn lend_labels(&self, _: &[SeriesRef], _: &mut LentVisitor<'_>) {
        unreachable!("numbers need no labels");
    }

    fn visit_labels(&self, _: &[SeriesRef], _: &mut LabelsVisitor<'_>) {
        unreachable!("numbers need no labels")
    }
}

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)])
}

#[derive(Default)]
struct World {
    head: Head,
    numbering: Numbering,
}

impl World {
    /// Reads a series record of segment 1; gives the number.
    fn read(&mut self, series: SeriesRef, name: &str, is_early: bool) -> u32 {
        let labels = labels(name);
        let named = Named { series, labels: &labels, segment: 1, is_early };
        self.numbering.learn(&named, Some(&self.head));
        self.numbering.place(series).unwrap().number
    }

    fn late(&mut self, series: SeriesRef, name: &str) -> u32 {
        self.read(series, name, false)
    }
}

fn slot_number(series: SeriesRef) -> u32 {
    Owner::Head(series.0 as u32).number()
}

#[test]
fn a_series_of_the_head_goes_by_its_slot_and_keeps_nothing_else() {
    let mut world = World::default();
    let series = world.head.enter(2 << 32 | 5, "a");
    assert_eq!(world.late(series, "a"), slot_number(series));
    assert_eq!(world.numbering.place(series).unwrap().version, 2);
    assert_eq!(world.numbering.place(SeriesRef(5)), None, "another generation of the slot");
    assert!(world.numbering.others.is_empty() && world.numbering.sources.is_empty());
    // The next series in the slot is another one.
    let old = world.numbering.place(series).unwrap();
    world.head.leave(series);
    let next = world.head.enter(3 << 32 | 5, "b");
    assert_eq!(world.late(next, "b"), slot_number(series));
    assert!(!world.numbering.is_current(old) && world.numbering.place(series).is_none());
}

#[test]
fn a_series_that_comes_back_has_a_higher_number_each_time() {
    let mut world = World::default();
    let first = world.head.enter(90, "a");
    let mut numbers = vec![world.late(first, "a")];
    let mut last = first;
    for slot in [3, 70, 4] {
        world.head.leave(last);
        last = world.head.enter(slot, "a");
        numbers.push(world.late(last, "a"));
    }
    // One that came and went before its record was read.
    world.head.leave(last);
    numbers.push(world.late(SeriesRef(60), "a"));
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:x?}");
    assert_eq!(world.late(first, "a"), numbers[0], "a record that is read again changes nothing");
}

#[test]
fn references_of_one_label_set_share_a_number_in_what_is_read_first() {
    let mut world = World::default();
    let live = world.head.enter(7, "a");
    assert_eq!(world.read(SeriesRef(3), "a", true), slot_number(live));
    assert_eq!(world.read(live, "a", true), slot_number(live));
    assert_eq!(world.read(SeriesRef(9), "a", true), slot_number(live));
    let gone = [20, 30].map(|series| world.read(SeriesRef(series), "b", true));
    assert_eq!(gone[0], gone[1]);
    assert!(matches!(world.numbering.source(gone[0]), Some(Source::Own(_))));
    // It comes back: what it had under the early number is older.
    let back = world.head.enter(2, "b");
    assert!(world.late(back, "b") > gone[0]);
}

#[test]
fn a_slot_whose_number_others_share_is_not_given_to_the_next_series_in_it() {
    let mut world = World::default();
    let first = world.head.enter(7, "a");
    assert_eq!(world.read(SeriesRef(3), "a", true), slot_number(first));
    world.head.leave(first);
    let next = world.head.enter(1 << 32 | 7, "b");
    let number = world.late(next, "b");
    assert_ne!(number, slot_number(first));
    assert!(matches!(world.numbering.source(number), Some(Source::Head(series)) if series == next));
}

#[test]
fn references_that_no_head_gives_are_taken_as_they_are() {
    let mut world = World::default();
    let far = world.head.enter(u64::MAX / 3, "a");
    let number = world.late(far, "a");
    assert!(matches!(world.numbering.source(number), Some(Source::Head(series)) if series == far));
    // One reference for two series, as other writers' logs may have it.
    world.head.leave(far);
    let again = world.late(far, "b");
    assert_ne!(again, number);
    assert!(matches!(world.numbering.source(again), Some(Source::Own(_))));
}

#[test]
fn what_left_is_listed_until_its_labels_are_found_and_forgotten_when_nobody_names_it() {
    let mut world = World::default();
    let (stays, leaves) = (world.head.enter(1, "a"), world.head.enter(2, "b"));
    world.late(stays, "a");
    let number = world.late(leaves, "b");
    assert!(world.numbering.left(Some(&world.head)).is_empty());
    world.head.leave(leaves);
    let left = world.numbering.left(Some(&world.head));
    assert_eq!(left.into_iter().collect::<Vec<_>>(), [(leaves, number)]);
    let copy = Series::of_labels(&labels("b"));
    world.numbering.found(FxHashMap::from_iter([(number, copy.clone())]), [number].into_iter());
    assert_eq!((world.numbering.copy(number), world.numbering.is_lost(number)), (Some(&copy), false));
    assert!(world.numbering.left(Some(&world.head)).is_empty());
    world.numbering.retain(|series, _| series == stays);
    assert_eq!(world.numbering.place(leaves), None);
    assert_eq!(world.numbering.copy(number), None);
    assert!(world.numbering.place(stays).is_some());
}
