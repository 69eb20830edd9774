//! `</` and `>/`: what of a histogram lies below or above a value.

use super::{Bounded, Native};

/// Which part stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    Below,
    Above,
}

/// What stays of a bucket: how many observations, and the value that stands for each.
struct Kept {
    count: f64,
    middle: f64,
}

impl Native {
    /// Drops what lies on the other side of `at`. Count and sum are estimated anew when anything was dropped.
    pub(crate) fn trim(&mut self, at: f64, keep: Keep) {
        let custom = self.has_custom_buckets();
        let (mut count, mut sum, mut changed) = (0.0, 0.0, false);
        let mut sides = [std::mem::take(&mut self.positive), std::mem::take(&mut self.negative)];
        let mut has = [false, false];
        for (side, is_positive) in [(0, true), (1, false)] {
            for bucket in sides[side].iter_mut().filter(|b| b.1.value != 0.0) {
                has[side] = true;
                let b = if is_positive { self.positive_bucket(bucket) } else { self.negative_bucket(bucket) };
                let kept = trim_bucket(&b, at, keep, is_positive, custom);
                count += kept.count;
                sum += kept.middle * kept.count;
                changed |= kept.count != bucket.1.value;
                bucket.1.value = kept.count;
            }
        }
        [self.positive, self.negative] = sides;
        if self.zero.value > 0.0 {
            let kept = self.trim_zero(at, keep, has);
            changed |= kept.count != self.zero.value;
            self.zero.value = kept.count;
            count += kept.count;
            sum += kept.middle * kept.count;
        }
        if changed {
            self.count.value = count;
            self.sum.value = sum;
            self.compact();
        }
    }

    fn trim_zero(&self, at: f64, keep: Keep, [positive, negative]: [bool; 2]) -> Kept {
        let lower = if positive && !negative { 0.0 } else { -self.zero_threshold };
        let upper = if negative && !positive { 0.0 } else { self.zero_threshold };
        let all = Kept { count: self.zero.value, middle: (lower + upper) / 2.0 };
        let none = Kept { count: 0.0, middle: 0.0 };
        match keep {
            Keep::Below if at <= lower => none,
            Keep::Below if at >= upper => all,
            Keep::Below => {
                Kept { count: self.zero.value * ((at - lower) / (upper - lower)), middle: (lower + at) / 2.0 }
            }
            Keep::Above if at <= lower => all,
            Keep::Above if at >= upper => none,
            Keep::Above => {
                Kept { count: self.zero.value * ((upper - at) / (upper - lower)), middle: (at + upper) / 2.0 }
            }
        }
    }
}

fn trim_bucket(b: &Bounded, at: f64, keep: Keep, is_positive: bool, custom: bool) -> Kept {
    let (all, some) = match keep {
        Keep::Below => (b.upper <= at, b.lower < at),
        Keep::Above => (b.lower >= at, b.upper > at),
    };
    if all {
        return Kept { count: b.count, middle: middle(b.lower, b.upper, is_positive, custom) };
    }
    if !some {
        return Kept { count: 0.0, middle: 0.0 };
    }
    if b.lower == f64::NEG_INFINITY || b.upper == f64::INFINITY {
        return trim_open(b, at, keep);
    }
    let below = if at <= b.lower {
        0.0
    } else if at >= b.upper {
        b.count
    } else {
        b.count * b.part_below(at, custom)
    };
    match keep {
        Keep::Below => Kept { count: below, middle: middle(b.lower, at, is_positive, custom) },
        Keep::Above => Kept { count: b.count - below, middle: middle(at, b.upper, is_positive, custom) },
    }
}

/// A bucket with an open end: its observations are taken to lie between 0 and its other end, or at that end.
fn trim_open(b: &Bounded, at: f64, keep: Keep) -> Kept {
    let finite = |x: f64| if x.is_infinite() { 0.0 } else { x };
    let kept = |count, middle| Kept { count, middle };
    if b.lower == f64::NEG_INFINITY {
        return match keep {
            Keep::Below if at >= b.upper => kept(b.count, 0.0),
            Keep::Below if at > 0.0 && b.upper > 0.0 && b.upper != f64::INFINITY => {
                kept(b.count * at / b.upper, at / 2.0)
            }
            Keep::Below if b.upper <= 0.0 => kept(b.count, at),
            Keep::Above if at <= b.lower => kept(b.count, 0.0),
            Keep::Above if at >= 0.0 && b.upper > at && b.upper != f64::INFINITY => {
                kept(b.count * (1.0 - at / b.upper), (at + b.upper) / 2.0)
            }
            Keep::Below | Keep::Above => kept(0.0, finite(b.upper)),
        };
    }
    match keep {
        Keep::Above if at >= b.lower => kept(b.count, at),
        Keep::Below | Keep::Above => kept(0.0, finite(b.lower)),
    }
}

/// The value that stands for the observations between two bounds.
fn middle(lower: f64, upper: f64, is_positive: bool, linear: bool) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) => {
            if upper > 0.0 {
                upper / 2.0
            } else {
                upper
            }
        }
        (false, true) => lower,
        (false, false) if linear => (lower + upper) / 2.0,
        (false, false) => {
            let mean = (lower * upper).abs().sqrt();
            if is_positive { mean } else { -mean }
        }
    }
}
