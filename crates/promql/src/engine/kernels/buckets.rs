//! Quantiles and fractions of classic histograms.

/// One bucket of a classic histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    /// The `le` label.
    pub upper: f64,
    /// Observations up to `upper`.
    pub count: f64,
}

/// What was changed to make the counts rise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Forced {
    pub lowest: f64,
    pub highest: f64,
    pub max_diff: f64,
}

/// Differences smaller than this share of the counts are rounding, not a fault of the data.
const TOLERANCE: f64 = 1e-12;

/// The φ-quantile, and what had to be repaired for it. Sorts and changes the buckets.
pub(crate) fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Forced>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    sort(buckets);
    if buckets.last().is_none_or(|b| b.upper != f64::INFINITY) {
        return (f64::NAN, None);
    }
    coalesce(buckets);
    let forced = make_rising(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return (f64::NAN, forced);
    }
    (interpolate(q * observations, buckets), forced)
}

fn interpolate(mut rank: f64, buckets: &[Bucket]) -> f64 {
    let last = buckets.len() - 1;
    let at =
        buckets[..last].partition_point(|b| b.count.partial_cmp(&rank).is_none_or(std::cmp::Ordering::is_lt));
    if at == last {
        return buckets[last - 1].upper;
    }
    if at == 0 && buckets[0].upper <= 0.0 {
        return buckets[0].upper;
    }
    let (mut start, end, mut count) = (0.0, buckets[at].upper, buckets[at].count);
    if at > 0 {
        start = buckets[at - 1].upper;
        count -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    start + (end - start) * (rank / count)
}

/// Sorts by upper bound; equal ones keep their order.
pub(crate) fn sort(buckets: &mut [Bucket]) {
    buckets.sort_by(|a, b| a.upper.partial_cmp(&b.upper).unwrap_or(std::cmp::Ordering::Equal));
}

/// Adds up buckets with one upper bound.
fn coalesce(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
}

/// Lifts counts that fall, and levels tiny differences.
fn make_rising(buckets: &mut [Bucket]) -> Option<Forced> {
    let mut forced: Option<Forced> = None;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == before {
            continue;
        }
        if almost_equal(before, count, TOLERANCE) {
            bucket.count = before;
        } else if count < before {
            bucket.count = before;
            let f = forced.get_or_insert(Forced {
                lowest: f64::INFINITY,
                highest: f64::NEG_INFINITY,
                max_diff: 0.0,
            });
            f.lowest = f.lowest.min(bucket.upper);
            f.highest = f.highest.max(bucket.upper);
            f.max_diff = f.max_diff.max(before - count);
        } else {
            before = count;
        }
    }
    forced
}

/// Equal up to a relative error of `epsilon`, as Prometheus' tests and its repair of buckets have it: NaN equals NaN, a
/// staleness marker only another one.
#[must_use]
pub fn almost_equal(a: f64, b: f64, epsilon: f64) -> bool {
    const MIN_NORMAL: f64 = f64::MIN_POSITIVE;
    let stale = (narthex_model::is_stale(a), narthex_model::is_stale(b));
    if stale.0 || stale.1 {
        return stale.0 && stale.1;
    }
    if a.is_nan() && b.is_nan() || a == b {
        return true;
    }
    let (sum, diff) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < MIN_NORMAL {
        return diff < epsilon * MIN_NORMAL;
    }
    diff / sum.min(f64::MAX) < epsilon
}

/// Which part of the observations lies between `lower` and `upper`. Sorts and changes the buckets.
pub(crate) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    sort(buckets);
    if buckets.last().is_none_or(|b| b.upper != f64::INFINITY) {
        return f64::NAN;
    }
    coalesce(buckets);
    let total = buckets[buckets.len() - 1].count;
    if total == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets, total) - rank_of(lower, buckets, total)) / total
}

/// How many observations lie below `value`, at most `total`.
fn rank_of(value: f64, buckets: &[Bucket], total: f64) -> f64 {
    let mut below = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let mut rank = 0.0;
    for bucket in buckets {
        if below >= value {
            return if rank > total { total } else { rank };
        }
        if bucket.upper > value {
            let inside = if below == f64::NEG_INFINITY {
                bucket.count
            } else {
                rank + (bucket.count - rank) * (value - below) / (bucket.upper - below)
            };
            return if inside > total { total } else { inside };
        }
        rank = bucket.count;
        below = bucket.upper;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(of: &[(f64, f64)]) -> Vec<Bucket> {
        of.iter().map(|(upper, count)| Bucket { upper: *upper, count: *count }).collect()
    }

    #[test]
    fn the_quantile_is_interpolated_inside_its_bucket() {
        let of = [(1.0, 2.0), (f64::INFINITY, 10.0), (2.0, 8.0)];
        assert_eq!(quantile(0.5, &mut buckets(&of)), (1.5, None));
        assert_eq!(quantile(0.9, &mut buckets(&of)).0, 2.0, "the last bucket has no upper end");
        assert!(quantile(0.5, &mut buckets(&of[..1])).0.is_nan(), "no +Inf bucket");
    }

    #[test]
    fn falling_counts_are_lifted_and_reported() {
        let of = [(1.0, 5.0), (2.0, 3.0), (f64::INFINITY, 10.0)];
        let (_, forced) = quantile(0.5, &mut buckets(&of));
        assert_eq!(forced, Some(Forced { lowest: 2.0, highest: 2.0, max_diff: 2.0 }));
    }

    #[test]
    fn fractions_add_up_to_one() {
        let of = [(1.0, 2.0), (2.0, 8.0), (f64::INFINITY, 10.0)];
        assert_eq!(fraction(0.0, 1.5, &mut buckets(&of)), 0.5);
        assert_eq!(fraction(f64::NEG_INFINITY, f64::INFINITY, &mut buckets(&of)), 1.0);
    }
}
