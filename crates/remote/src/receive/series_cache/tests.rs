//! What the cache promises: known series are found, stale ones leave, memory stays within its bound.

use super::*;

fn key(cache: &SeriesCache, n: u64) -> Key {
    cache.key(&n.to_le_bytes().repeat(9))
}

fn filled(max: usize, series: u64, now: Epoch) -> SeriesCache {
    let cache = SeriesCache::new(max);
    (1..=series).for_each(|n| cache.insert(key(&cache, n), SeriesRef(n), now));
    cache
}

#[test]
fn what_was_inserted_is_found_and_nothing_else() {
    let now = Epoch::at(0);
    let cache = filled(1 << 20, 20_000, now);
    assert_eq!(cache.len(), 20_000);
    for n in 1..=20_000 {
        assert_eq!(cache.get(key(&cache, n), now), Some(SeriesRef(n)));
    }
    assert!((20_001..40_000).all(|n| cache.get(key(&cache, n), now).is_none()));
    cache.insert(key(&cache, 7), SeriesRef(70), now);
    assert_eq!(cache.get(key(&cache, 7), now), Some(SeriesRef(70)));
    assert_eq!(cache.len(), 20_000);
}

#[test]
fn a_series_costs_at_most_forty_bytes() {
    for series in [20_000, 30_000, 50_000] {
        let bytes = filled(1 << 20, series, Epoch::at(0)).size_bytes();
        assert!(bytes <= 40 * series as usize, "{bytes} bytes for {series} series");
    }
}

#[test]
fn unused_series_leave_and_used_ones_stay() {
    let cache = filled(1 << 20, 1000, Epoch::at(0));
    for epoch in 1..600 {
        let now = Epoch::at(epoch * EPOCH_MS);
        for n in 1..=500 {
            assert_eq!(cache.get(key(&cache, n), now), Some(SeriesRef(n)), "epoch {epoch}");
        }
    }
    assert_eq!(cache.len(), 500);
}

#[test]
fn a_full_cache_stays_at_its_bound_and_still_takes_new_series() {
    let now = Epoch::at(0);
    let cache = filled(1000, 5000, now);
    assert!(cache.len() <= 1000, "{}", cache.len());
    let late = (4001..=5000).filter(|n| cache.get(key(&cache, *n), now).is_some()).count();
    assert!(late > 200, "{late} of the last 1000");
    for n in 1..=5000 {
        assert!(cache.get(key(&cache, n), now).is_none_or(|series| series == SeriesRef(n)));
    }
}

#[test]
fn keys_differ_for_texts_that_differ_only_in_length() {
    let cache = SeriesCache::new(1);
    let mut keys: Vec<_> =
        (0..2000).map(|len| cache.key(&vec![b'a'; len])).map(|k| (k.low, k.high)).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 2000);
}
