//! Order, completeness and the cursor, against a plain model: random reading, taking and acknowledging.

use std::collections::BTreeMap;

use super::*;
use crate::source::Other;

fn at(offset: u64) -> WalPosition {
    WalPosition { segment: 1, offset }
}

/// Pushes one block of samples, `(lane, slot)` each, with rising timestamps.
fn push_block(lanes: &mut Lanes, content: &[(u16, u32)], end: WalPosition, clock: &mut i64) {
    let block = lanes.begin_block();
    for (lane, slot) in content {
        *clock += 1;
        lanes.push(
            *lane,
            Entry { slot: *slot, block, t_ms: *clock, value: 0.0, start_ms: 0 },
            Instant::now(),
        );
    }
    lanes.end_log_block(end);
}

#[test]
fn every_sample_leaves_once_and_in_order_of_its_series() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut lanes = Lanes::new(Cursor::at(Mark::live(at(0))));
        let (mut pushed, mut clock, mut offset) = (0, 0, 0);
        let mut flying: Vec<Load> = Vec::new();
        let mut last: BTreeMap<u32, i64> = BTreeMap::new();
        let mut delivered = 0;
        for step in 0..300 {
            if step < 200 && rng.bool() {
                let count = rng.usize(0..60);
                // The slot fixes the lane.
                let content: Vec<_> =
                    (0..count).map(|_| rng.u32(0..40)).map(|slot| (slot as u16 % 7, slot)).collect();
                offset += 10;
                push_block(&mut lanes, &content, at(offset), &mut clock);
                pushed += count;
            }
            if rng.bool() && flying.len() < 4 {
                let load = lanes.take(rng.usize(1..80));
                let busy: Vec<_> =
                    flying.iter().flat_map(|l| l.lanes.iter().map(|(lane, _)| *lane)).collect();
                assert!(
                    load.lanes.iter().all(|(lane, _)| !busy.contains(lane)),
                    "seed {seed}: a lane is in one load"
                );
                for entry in &load.samples {
                    let before = last.insert(entry.slot, entry.t_ms).unwrap_or(0);
                    assert!(before < entry.t_ms, "seed {seed}: series {} in order", entry.slot);
                }
                flying.push(load);
            }
            if !flying.is_empty() && (rng.bool() || step >= 200) {
                let load = flying.swap_remove(rng.usize(..flying.len()));
                delivered += load.len();
                lanes.acknowledge(&load, Instant::now());
            }
            let in_flight: usize = flying.iter().map(Load::len).sum();
            assert_eq!(lanes.waiting() + in_flight + delivered, pushed, "seed {seed}");
        }
        while lanes.waiting() > 0 || !flying.is_empty() {
            let load = flying.pop().unwrap_or_else(|| lanes.take(50));
            lanes.acknowledge(&load, Instant::now());
        }
        assert_eq!(lanes.cursor().min(), at(offset), "seed {seed}: all was acknowledged");
    }
}

#[test]
fn the_cursor_never_passes_a_sample_that_was_not_acknowledged() {
    for seed in 0..200 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut lanes = Lanes::new(Cursor::at(Mark::live(at(0))));
        let (mut clock, mut offset) = (0, 0);
        // Record position of each sample that is not acknowledged yet, by its timestamp.
        let mut open: BTreeMap<i64, (u16, u64)> = BTreeMap::new();
        let mut flying: Vec<Load> = Vec::new();
        for _ in 0..200 {
            match rng.u8(0..3) {
                0 => {
                    let content: Vec<_> =
                        (0..rng.usize(0..50)).map(|_| (rng.u16(0..5), rng.u32(0..9))).collect();
                    let first = clock;
                    push_block(&mut lanes, &content, at(offset + 10), &mut clock);
                    let new =
                        content.iter().zip(first + 1..).map(|((lane, _), t_ms)| (t_ms, (*lane, offset)));
                    open.extend(new);
                    offset += 10;
                }
                1 => flying.push(lanes.take(rng.usize(1..30))),
                _ => {
                    if let Some(load) = flying.pop() {
                        for entry in &load.samples {
                            open.remove(&entry.t_ms);
                        }
                        lanes.acknowledge(&load, Instant::now());
                    }
                }
            }
            let cursor = lanes.cursor().clone();
            for (lane, record) in open.values() {
                assert!(cursor.lanes[usize::from(*lane)].log <= pack(at(*record)), "seed {seed}");
            }
        }
    }
}

#[test]
fn a_load_takes_whole_lanes_and_groups_series() {
    let mut lanes = Lanes::new(Cursor::at(Mark::live(at(0))));
    let mut clock = 0;
    for round in 1..=3 {
        push_block(&mut lanes, &[(0, 1), (0, 2), (1, 3), (1, 4)], at(round * 10), &mut clock);
    }
    let load = lanes.take(6);
    assert_eq!(load.samples.iter().map(|entry| entry.slot).collect::<Vec<_>>(), [1, 1, 1, 2, 2, 2]);
    assert_eq!(load.lanes, [(0, Mark::live(at(30)))]);
    assert_eq!(lanes.sendable(100).0, 6);
}

#[test]
fn a_lane_that_does_not_fit_is_cut_between_blocks() {
    let mut lanes = Lanes::new(Cursor::at(Mark::live(at(0))));
    let mut clock = 0;
    for round in 1..=3 {
        push_block(&mut lanes, &[(0, 1), (0, 2)], at(round * 10), &mut clock);
    }
    let load = lanes.take(5);
    assert_eq!((load.len(), load.lanes[0].1), (4, Mark::live(at(20))));
    lanes.acknowledge(&load, Instant::now());
    assert_eq!(lanes.cursor().min(), at(20));
}

/// Staleness markers of histograms are floats.
#[test]
fn a_block_that_is_cut_leaves_no_histogram_behind_the_marker_that_follows_it() {
    let mut lanes = Lanes::new(Cursor::at(Mark::live(at(0))));
    let block = lanes.begin_block();
    for t_ms in 1..=3 {
        let kind = crate::source::OtherKind::Histogram;
        let other = Other { place: None, t_ms, start_ms: 0, at: at(0), kind, encoded: Vec::new().into() };
        for slot in [1, 2] {
            lanes.push_other(0, OtherEntry { slot, block, other: other.clone() }, Instant::now());
        }
    }
    for (slot, t_ms) in [(1, 4), (3, 5), (3, 6), (3, 7), (2, 8)] {
        lanes.push(0, Entry { slot, block, t_ms, value: 0.0, start_ms: 0 }, Instant::now());
    }
    lanes.end_log_block(at(10));
    let load = lanes.take(2);
    assert_eq!(load.samples.iter().map(|entry| entry.slot).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(load.others.iter().map(|entry| entry.slot).collect::<Vec<_>>(), [1, 1, 1]);
    lanes.acknowledge(&load, Instant::now());
    let load = lanes.take(20);
    assert_eq!(load.others.iter().map(|entry| entry.slot).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(load.samples.len(), 3);
}

/// A series may have a number for each block.
#[test]
fn histograms_of_earlier_blocks_go_along_with_a_part_of_a_block() {
    let mut lanes = Lanes::new(Cursor::at(Mark::live(at(0))));
    for (slot, end) in [(1, 10), (2, 20), (3, 30)] {
        let block = lanes.begin_block();
        let kind = crate::source::OtherKind::Histogram;
        let other = Other { place: None, t_ms: 1, start_ms: 0, at: at(0), kind, encoded: Vec::new().into() };
        lanes.push_other(0, OtherEntry { slot, block, other }, Instant::now());
        for t_ms in 2..8 {
            if slot == 2 {
                lanes.push(0, Entry { slot: 9, block, t_ms, value: 0.0, start_ms: 0 }, Instant::now());
            }
        }
        lanes.end_log_block(at(end));
    }
    let load = lanes.take(4);
    assert_eq!(load.samples.len(), 4);
    assert_eq!(load.others.iter().map(|entry| entry.slot).collect::<Vec<_>>(), [1]);
    lanes.acknowledge(&load, Instant::now());
    let load = lanes.take(20);
    assert_eq!(load.others.iter().map(|entry| entry.slot).collect::<Vec<_>>(), [2, 3]);
}
