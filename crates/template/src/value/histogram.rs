//! Native histograms as templates see them: the text, and the fields.
//!
//! Facts: `model/histogram` of Prometheus; buckets print from the lowest to the highest, empty ones are left out, a bracket
//! says whether the bound belongs to the bucket.

use std::sync::Arc;

use narthex_model::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Span, exponential_bound, format_float_general,
};

use super::{Field, IntType, ListValue, StructValue, UintType, Value};

/// `{count:3, sum:10, [-0.001,0.001]:1, (0.5,1]:2}`
pub(crate) fn histogram_text(histogram: &FloatHistogram) -> String {
    let float = format_float_general;
    let mut parts =
        vec![format!("count:{}", float(histogram.count)), format!("sum:{}", float(histogram.sum))];
    let custom = histogram.schema == CUSTOM_BUCKETS_SCHEMA;
    for (index, count) in indexed(&histogram.negative_spans, &histogram.negative_buckets).into_iter().rev() {
        let (lower, upper) = (-bound(histogram, index), -bound(histogram, index.wrapping_sub(1)));
        parts.push(bucket(!custom || index == 0, lower, upper, custom, count));
    }
    if histogram.zero_count != 0.0 {
        let width = histogram.zero_threshold;
        parts.push(bucket(true, -width, width, true, histogram.zero_count));
    }
    for (index, count) in indexed(&histogram.positive_spans, &histogram.positive_buckets) {
        let (lower, upper) = (bound(histogram, index.wrapping_sub(1)), bound(histogram, index));
        parts.push(bucket(custom && index == 0, lower, upper, true, count));
    }
    format!("{{{}}}", parts.join(", "))
}

fn bucket(lower_in: bool, lower: f64, upper: f64, upper_in: bool, count: f64) -> String {
    let (open, close) = (if lower_in { '[' } else { '(' }, if upper_in { ']' } else { ')' });
    let float = format_float_general;
    format!("{open}{},{}{close}:{}", float(lower), float(upper), float(count))
}

/// The buckets that are not empty, with their indexes.
fn indexed(spans: &[Span], counts: &[f64]) -> Vec<(i32, f64)> {
    let mut out = Vec::new();
    let mut counts = counts.iter();
    let mut index = 0_i32;
    for span in spans {
        index = index.wrapping_add(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            if *count != 0.0 {
                out.push((index, *count));
            }
            index = index.wrapping_add(1);
        }
    }
    out
}

fn bound(histogram: &FloatHistogram, index: i32) -> f64 {
    if histogram.schema != CUSTOM_BUCKETS_SCHEMA {
        return exponential_bound(histogram.schema, index);
    }
    match usize::try_from(index) {
        Ok(at) => histogram.custom_values.get(at).copied().unwrap_or(f64::INFINITY),
        Err(_) => f64::NEG_INFINITY,
    }
}

/// The fields by Go's names.
pub(crate) fn histogram_field(histogram: &FloatHistogram, name: &str) -> Option<Value> {
    Some(match name {
        "CounterResetHint" => Value::Uint(hint(histogram.counter_reset_hint), UintType::ResetHint),
        "Schema" => Value::Int(i64::from(histogram.schema), IntType::Int32),
        "ZeroThreshold" => Value::Float(histogram.zero_threshold),
        "ZeroCount" => Value::Float(histogram.zero_count),
        "Count" => Value::Float(histogram.count),
        "Sum" => Value::Float(histogram.sum),
        "PositiveSpans" => spans(&histogram.positive_spans),
        "NegativeSpans" => spans(&histogram.negative_spans),
        "PositiveBuckets" => floats(&histogram.positive_buckets),
        "NegativeBuckets" => floats(&histogram.negative_buckets),
        "CustomValues" => floats(&histogram.custom_values),
        _ => return None,
    })
}

fn hint(hint: CounterResetHint) -> u64 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    }
}

fn floats(values: &[f64]) -> Value {
    let items = values.iter().map(|value| Value::Float(*value)).collect();
    Value::List(Arc::new(ListValue { type_name: "[]float64", items }))
}

fn spans(spans: &[Span]) -> Value {
    let span = |span: &Span| {
        let field = |name, value| Field { name, value, any: false };
        let offset = field("Offset", Value::Int(i64::from(span.offset), IntType::Int32));
        let length = field("Length", Value::Uint(u64::from(span.length), UintType::Uint32));
        Value::Struct(Arc::new(StructValue { type_name: "histogram.Span", fields: vec![offset, length] }))
    };
    let items = spans.iter().map(span).collect();
    Value::List(Arc::new(ListValue { type_name: "[]histogram.Span", items }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_print_in_order_with_their_brackets() {
        let histogram = FloatHistogram {
            count: 3.0,
            sum: 10.0,
            zero_threshold: 0.001,
            zero_count: 1.0,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![2.0, 0.0, 1.5],
            negative_spans: vec![Span { offset: 1, length: 2 }],
            negative_buckets: vec![1.0, 4.0],
            ..FloatHistogram::default()
        };
        let expected = "{count:3, sum:10, [-4,-2):4, [-2,-1):1, [-0.001,0.001]:1, (0.5,1]:2, (2,4]:1.5}";
        assert_eq!(histogram_text(&histogram), expected);
    }

    #[test]
    fn custom_buckets_have_their_own_bounds() {
        let histogram = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 4.0,
            sum: 7.0,
            custom_values: vec![1.0, 2.5],
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 2.0, 1.0],
            ..FloatHistogram::default()
        };
        assert_eq!(histogram_text(&histogram), "{count:4, sum:7, [-Inf,1]:1, (1,2.5]:2, (2.5,+Inf]:1}");
    }
}
