//! The sampling allocator under a whole process: what lives is found under the function that asked for it, and nothing is mixed up.
#![allow(clippy::unwrap_used, reason = "tests")]

use narthex_profile::{Kind, Profile, SAMPLE_BYTES, Sampled, Symbols, heap, start_heap_samples};

#[global_allocator]
static ALLOCATOR: Sampled<std::alloc::System> = Sampled::new(std::alloc::System);

/// The four values of all stacks that go through a function of this name.
fn values(profile: &Profile, symbols: &Symbols, function: &str) -> [i64; 4] {
    let mut sums = [0; 4];
    for row in &profile.rows {
        if row.stack.iter().any(|a| symbols.name(*a).is_some_and(|name| name.contains(function))) {
            sums.iter_mut().zip(&row.values).for_each(|(sum, value)| *sum += value);
        }
    }
    sums
}

#[inline(never)]
#[expect(clippy::vec_box, reason = "each shall be an allocation of its own")]
fn keeps_many_small_boxes(n: usize) -> Vec<Box<[u8; 2000]>> {
    (0..n).map(|i| Box::new([i as u8; 2000])).collect()
}

#[inline(never)]
fn grows_and_shrinks(rounds: usize) -> u64 {
    let mut sum = 0_u64;
    for round in 0..rounds {
        let mut list: Vec<u64> = Vec::new();
        (0..5_000).for_each(|i| list.push(i + round as u64));
        list.truncate(100);
        list.shrink_to_fit();
        let zeros = vec![0_u8; 70_000];
        sum += list.iter().sum::<u64>() + zeros.iter().step_by(997).map(|b| u64::from(*b)).sum::<u64>();
        assert_eq!(list[99], 99 + round as u64);
    }
    sum
}

#[test]
fn live_memory_is_found_under_the_function_that_asked_for_it() {
    const BOXES: usize = 100_000;
    let symbols = Symbols::of_this_process();
    assert!(heap(Kind::Heap).rows.is_empty(), "nothing is sampled before it is switched on");
    start_heap_samples();
    // Uses up what this thread counts while nothing is sampled.
    drop(vec![1_u8; 16 << 20]);

    let before = heap(Kind::Heap);
    let boxes = keeps_many_small_boxes(BOXES);
    let [_, _, objects, bytes] = values(&heap(Kind::Heap), &symbols, "keeps_many_small_boxes");
    let expected = (BOXES * 2000) as f64;
    // Some 95 samples: within 6 standard deviations.
    assert!((bytes as f64 / expected - 1.0).abs() < 0.6, "{bytes} bytes of {expected}");
    assert!(objects as f64 > BOXES as f64 * 0.4 && (objects as f64) < BOXES as f64 * 1.6, "{objects}");
    assert!(boxes.iter().enumerate().all(|(i, b)| b.iter().step_by(499).all(|byte| *byte == i as u8)));

    // Some are given back by another thread.
    std::thread::spawn(move || drop(boxes)).join().unwrap();
    let after = heap(Kind::Allocs);
    let [allocated, _, objects, bytes] = values(&after, &symbols, "keeps_many_small_boxes");
    assert!(allocated > 0 && (objects, bytes) == (0, 0), "{allocated} {objects} {bytes}");

    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(|| grows_and_shrinks(2_000))).collect();
    let sums: Vec<u64> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert!(sums.windows(2).all(|w| w[0] == w[1]));
    let [_, allocated, _, bytes] = values(&heap(Kind::Heap), &symbols, "grows_and_shrinks");
    assert_eq!(bytes, 0, "all went back");
    let expected = (4 * 2_000 * (70_000 + 8 * 16_384)) as f64;
    assert!((allocated as f64 / expected - 1.0).abs() < 0.2, "{allocated} of {expected}");

    let difference = heap(Kind::Heap).since(&before);
    assert!(values(&difference, &symbols, "grows_and_shrinks")[1] > SAMPLE_BYTES as i64);
}
