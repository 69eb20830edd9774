//! Between the stored form of a histogram (spans) and the one to calculate with (indexes), and its text.

use narthex_model::{CounterResetHint, FloatHistogram, Span, format_float_general};

use super::{Count, Native, Side};

impl From<&FloatHistogram> for Native {
    fn from(h: &FloatHistogram) -> Self {
        Self {
            hint: h.counter_reset_hint,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            zero: Count::of(h.zero_count),
            count: Count::of(h.count),
            sum: Count::of(h.sum),
            positive: indexed(&h.positive_spans, &h.positive_buckets),
            negative: indexed(&h.negative_spans, &h.negative_buckets),
            bounds: h.custom_values.clone(),
        }
    }
}

fn indexed(spans: &[Span], buckets: &[f64]) -> Side {
    let mut side = Side::with_capacity(buckets.len());
    let mut counts = buckets.iter();
    let mut index = 0i32;
    for span in spans {
        index = index.wrapping_add(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            side.push((index, Count::of(*count)));
            index = index.wrapping_add(1);
        }
    }
    side
}

fn spans_of(side: &Side) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0i32;
    for (index, _) in side {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(Span { offset: index.wrapping_sub(next), length: 1 }),
        }
        next = index.wrapping_add(1);
    }
    (spans, side.iter().map(|(_, count)| count.value).collect())
}

impl Native {
    /// The form in which histograms are stored and handed out. What rounding lost is left out: settle first.
    pub(crate) fn pack(&self) -> FloatHistogram {
        let (positive_spans, positive_buckets) = spans_of(&self.positive);
        let (negative_spans, negative_buckets) = spans_of(&self.negative);
        FloatHistogram {
            counter_reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero.value,
            count: self.count.value,
            sum: self.sum.value,
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            custom_values: self.bounds.clone(),
        }
    }

    /// An empty histogram in the layout of another.
    pub(crate) fn empty_like(other: &Self) -> Self {
        Self {
            hint: CounterResetHint::Unknown,
            schema: other.schema,
            zero_threshold: 0.0,
            zero: Count::default(),
            count: Count::default(),
            sum: Count::default(),
            positive: Vec::new(),
            negative: Vec::new(),
            bounds: other.bounds.clone(),
        }
    }

    /// Equal in every bit; what is known about resets does not count.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let same = |a: Count, b: Count| a.value.to_bits() == b.value.to_bits();
        let sides = |a: &Side, b: &Side| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
        };
        self.schema == other.schema
            && self.zero_threshold == other.zero_threshold
            && same(self.zero, other.zero)
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && self.bounds == other.bounds
            && sides(&self.positive, &other.positive)
            && sides(&self.negative, &other.negative)
    }

    /// `{count:…, sum:…, (lower,upper]:count, …}`, as `count_values` labels it.
    pub(crate) fn text(&self) -> String {
        let number = format_float_general;
        let mut text = format!("{{count:{}, sum:{}", number(self.count.value), number(self.sum.value));
        let mut push = |open: char, lower: f64, upper: f64, close: char, count: f64| {
            let (lower, upper, count) = (number(lower), number(upper), number(count));
            text.push_str(&format!(", {open}{lower},{upper}{close}:{count}"));
        };
        for bucket in self.negative.iter().rev().filter(|b| b.1.value != 0.0) {
            let b = self.negative_bucket(bucket);
            push('[', b.lower, b.upper, ')', b.count);
        }
        if self.zero.value != 0.0 {
            push('[', -self.zero_threshold, self.zero_threshold, ']', self.zero.value);
        }
        for bucket in self.positive.iter().filter(|b| b.1.value != 0.0) {
            let b = self.positive_bucket(bucket);
            let open = if self.has_custom_buckets() && bucket.0 == 0 { '[' } else { '(' };
            push(open, b.lower, b.upper, ']', b.count);
        }
        text.push('}');
        text
    }
}
