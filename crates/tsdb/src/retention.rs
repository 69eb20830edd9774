//! Which blocks are too old or too many.
//!
//! Pure: sizes, times and limits in, numbers out. Must not know: files.
//! Facts: Prometheus `tsdb/db.go`, `BeyondTimeRetention` and `BeyondSizeRetention`: time counts back from the end of the newest
//! block, not from now; of a size that is over, blocks go from the oldest on until it fits.

/// What retention looks at of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// End of its range, ms, exclusive.
    pub(crate) max_ms: i64,
    /// Bytes of its files.
    pub(crate) size_bytes: u64,
}

/// Blocks that must go, by their number in the list that was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// They end too long before the newest.
    pub(crate) time: Vec<usize>,
    /// There is no room for them.
    pub(crate) size: Vec<usize>,
}

/// Looks at blocks in any order. `time_ms` and `most_bytes` are limits, 0 for none; `other_bytes` is what lies in the data
/// directory beside blocks and counts too.
pub(crate) fn beyond(blocks: &[Kept], time_ms: i64, most_bytes: u64, other_bytes: u64) -> Beyond {
    let mut newest_first: Vec<usize> = (0..blocks.len()).collect();
    newest_first.sort_by_key(|at| std::cmp::Reverse(blocks[*at].max_ms));
    let Some(newest) = newest_first.first() else { return Beyond::default() };
    let newest_ms = blocks[*newest].max_ms;
    let too_old = |at: &usize| time_ms > 0 && newest_ms.saturating_sub(blocks[*at].max_ms) >= time_ms;
    let mut bytes = other_bytes;
    let mut too_much = |at: &usize| {
        bytes = bytes.saturating_add(blocks[*at].size_bytes);
        most_bytes > 0 && bytes > most_bytes
    };
    let first_old = newest_first.iter().position(too_old).unwrap_or(blocks.len());
    let first_over = newest_first.iter().position(&mut too_much).unwrap_or(blocks.len());
    Beyond { time: newest_first[first_old..].to_vec(), size: newest_first[first_over..].to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of 100 bytes that end at these times.
    fn blocks(ends: &[i64]) -> Vec<Kept> {
        ends.iter().map(|max_ms| Kept { max_ms: *max_ms, size_bytes: 100 }).collect()
    }

    #[track_caller]
    fn check_beyond(ends: &[i64], (time_ms, most, other): (i64, u64, u64), time: &[usize], size: &[usize]) {
        let got = beyond(&blocks(ends), time_ms, most, other);
        assert_eq!(got, Beyond { time: time.to_vec(), size: size.to_vec() });
    }

    #[test]
    fn time_counts_back_from_the_newest_block() {
        check_beyond(&[], (10, 1, 5), &[], &[]);
        check_beyond(&[10, 20, 30], (0, 0, 1000), &[], &[]);
        check_beyond(&[10, 20, 30], (11, 0, 0), &[0], &[]);
        check_beyond(&[10, 20, 30], (10, 0, 0), &[1, 0], &[]);
        check_beyond(&[30, 10, 20], (15, 0, 0), &[1], &[]);
        check_beyond(&[10], (1, 0, 0), &[], &[]);
    }

    #[test]
    fn the_oldest_go_until_the_rest_fits() {
        check_beyond(&[10, 20, 30], (0, 300, 0), &[], &[]);
        check_beyond(&[10, 20, 30], (0, 299, 0), &[], &[0]);
        check_beyond(&[10, 20, 30], (0, 300, 1), &[], &[0]);
        check_beyond(&[10, 20, 30], (0, 150, 0), &[], &[1, 0]);
        check_beyond(&[10, 20, 30], (0, 100, 1), &[], &[2, 1, 0]);
        check_beyond(&[10, 20, 30], (10, 299, u64::MAX), &[1, 0], &[2, 1, 0]);
    }
}
