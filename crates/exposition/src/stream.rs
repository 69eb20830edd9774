//! Samples on their way out: families one after the other in any of the formats, taken away piece by piece.
//!
//! Holds: which format can show what, and the frame of a family in each. Must not know: where samples come from.
//! Always true: memory stays near [`LONGEST`] between two calls of [`FamilyStream::take`], however long a family is: a protobuf
//! message has its length before it, so a long family becomes several messages of the same name, which readers take for one.
//! Facts: what Prometheus' `/federate` answers.

use narthex_model::{CUSTOM_BUCKETS_SCHEMA, EscapingScheme, FloatHistogram, MetricType, escape_name};

use crate::negotiate::{Offer, Output};
use crate::protobuf::message::Words;
use crate::protobuf::write::{Measured, classic_buckets, push_head, push_sample, push_varint};
use crate::write::{Number, Sample, Writer};

/// Bytes after which a protobuf message ends and the family goes on in another.
const LONGEST: usize = 1 << 20;

/// Writes families whose samples come one by one.
#[derive(Debug)]
pub struct FamilyStream {
    escaping: EscapingScheme,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Lines(Writer),
    Messages(Messages),
    Words { words: Words, open: bool },
}

/// Delimited messages.
#[derive(Debug, Default)]
struct Messages {
    /// Those that are finished.
    out: Vec<u8>,
    /// Name and type of the current family.
    head: Vec<u8>,
    /// Its samples.
    samples: Vec<u8>,
}

impl Messages {
    fn end_family(&mut self) {
        if self.samples.is_empty() {
            return;
        }
        push_varint(&mut self.out, (self.head.len() + self.samples.len()) as u64);
        self.out.extend_from_slice(&self.head);
        self.out.append(&mut self.samples);
    }
}

impl FamilyStream {
    /// An empty stream of a format.
    #[must_use]
    pub fn new(output: Output) -> Self {
        let words = |compact| Form::Words { words: Words::new(compact), open: false };
        let form = match output.offer {
            Offer::Text | Offer::OpenMetrics1 | Offer::OpenMetrics0 => Form::Lines(Writer::new(output)),
            Offer::Protobuf => Form::Messages(Messages::default()),
            Offer::ProtobufText => words(false),
            Offer::ProtobufCompact => words(true),
        };
        Self { escaping: output.escaping, form }
    }

    /// Whether the format can show a histogram: text knows only those with custom bounds, which it shows as classic ones.
    #[must_use]
    pub fn can_show(&self, histogram: &FloatHistogram) -> bool {
        !matches!(self.form, Form::Lines(_)) || histogram.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Begins a family, in which samples must follow.
    pub fn family(&mut self, name: &str, kind: MetricType) {
        match &mut self.form {
            Form::Lines(writer) => writer.family(name, None, kind),
            Form::Messages(messages) => {
                messages.end_family();
                messages.head.clear();
                push_head(&mut messages.head, &escape_name(name, self.escaping), None, kind);
            }
            Form::Words { words, open } => {
                if std::mem::replace(open, true) {
                    words.end();
                }
                push_head(words, &escape_name(name, self.escaping), None, kind);
            }
        }
    }

    /// Adds a float to a family of unknown type. `labels` are without the metric name, in the order in which they are written.
    pub fn float(&mut self, labels: &[(&str, &str)], value: f64, t_ms: i64) {
        match &mut self.form {
            Form::Lines(writer) => {
                writer.sample(&Sample { t_ms: Some(t_ms), ..Sample::plain(labels, value) });
            }
            _ => self.message(labels, Measured::Untyped(value), t_ms),
        }
    }

    /// Adds a histogram that the format can show to a family of histograms.
    pub fn histogram(&mut self, labels: &[(&str, &str)], histogram: &FloatHistogram, t_ms: i64) {
        match &mut self.form {
            Form::Lines(writer) => push_classic(writer, labels, histogram, t_ms),
            _ => self.message(labels, Measured::Histogram(histogram), t_ms),
        }
    }

    fn message(&mut self, labels: &[(&str, &str)], measured: Measured<'_>, t_ms: i64) {
        match &mut self.form {
            Form::Lines(_) => {}
            Form::Messages(messages) => {
                push_sample(&mut messages.samples, labels, self.escaping, measured, t_ms);
                if messages.samples.len() >= LONGEST {
                    messages.end_family();
                }
            }
            Form::Words { words, .. } => push_sample(words, labels, self.escaping, measured, t_ms),
        }
    }

    /// How many bytes [`Self::take`] would give.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Lines(writer) => writer.text().len(),
            Form::Messages(messages) => messages.out.len(),
            Form::Words { words, .. } => words.out.len(),
        }
    }

    /// Whether it would give none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes out what is finished.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        match &mut self.form {
            Form::Lines(writer) => writer.take().into_bytes(),
            Form::Messages(messages) => std::mem::take(&mut messages.out),
            Form::Words { words, .. } => std::mem::take(&mut words.out).into_bytes(),
        }
    }

    /// Ends the last family. Nothing may be added afterwards.
    pub fn end(&mut self) {
        match &mut self.form {
            Form::Lines(writer) => writer.end(),
            Form::Messages(messages) => messages.end_family(),
            Form::Words { words, open } => {
                if std::mem::take(open) {
                    words.end();
                }
            }
        }
    }
}

/// Writes a histogram with custom bounds as lines.
fn push_classic(writer: &mut Writer, labels: &[(&str, &str)], histogram: &FloatHistogram, t_ms: i64) {
    let t_ms = Some(t_ms);
    let infinite = (f64::INFINITY, histogram.count);
    for (bound, below) in classic_buckets(histogram).into_iter().chain([infinite]) {
        let (suffix, bound) = ("_bucket", Some((narthex_model::BUCKET_LABEL, bound)));
        let value = Number::Float(below);
        writer.sample(&Sample { suffix, bound, value, t_ms, ..Sample::plain(labels, 0.0) });
    }
    writer.sample(&Sample { suffix: "_sum", t_ms, ..Sample::plain(labels, histogram.sum) });
    writer.sample(&Sample { suffix: "_count", t_ms, ..Sample::plain(labels, histogram.count) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_model::Span;

    fn output(offer: Offer) -> Output {
        Output { offer, escaping: EscapingScheme::Underscores }
    }

    fn finish(mut stream: FamilyStream) -> Vec<u8> {
        stream.end();
        stream.take()
    }

    fn custom() -> FloatHistogram {
        FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: 9.0,
            sum: 4.5,
            positive_spans: vec![Span { offset: 1, length: 1 }, Span { offset: 1, length: 1 }],
            positive_buckets: vec![2.0, 3.0],
            custom_values: vec![0.5, 1.0, 2.0],
            ..FloatHistogram::default()
        }
    }

    #[test]
    fn text_shows_floats_and_classic_histograms() {
        let mut stream = FamilyStream::new(output(Offer::Text));
        assert!(!stream.can_show(&FloatHistogram::default()) && stream.can_show(&custom()));
        stream.family("a.b", MetricType::Unknown);
        stream.float(&[("x", "1"), ("instance", "")], 2.5, 7);
        stream.family("h", MetricType::Histogram);
        stream.histogram(&[], &custom(), 7);
        let expected = "# TYPE a_b untyped\na_b{x=\"1\",instance=\"\"} 2.5 7\n# TYPE h histogram\n\
            h_bucket{le=\"0.5\"} 0 7\nh_bucket{le=\"1\"} 2 7\nh_bucket{le=\"2\"} 2 7\n\
            h_bucket{le=\"+Inf\"} 9 7\nh_sum 4.5 7\nh_count 9 7\n";
        assert_eq!(String::from_utf8(finish(stream)).unwrap(), expected);
    }

    #[test]
    fn words_end_each_family_with_a_line() {
        let mut stream = FamilyStream::new(output(Offer::ProtobufCompact));
        for name in ["a", "b"] {
            stream.family(name, MetricType::Unknown);
            stream.float(&[("x", "1")], 1.0, 7);
        }
        let of = |name| {
            format!(
                "name:\"{name}\" type:UNTYPED metric:{{label:{{name:\"x\" value:\"1\"}} untyped:{{value:1}} timestamp_ms:7}}\n"
            )
        };
        assert_eq!(String::from_utf8(finish(stream)).unwrap(), of("a") + &of("b"));
        let mut stream = FamilyStream::new(output(Offer::ProtobufText));
        stream.family("a", MetricType::Unknown);
        stream.float(&[], 1.0, 7);
        let expected = "name: \"a\"\ntype: UNTYPED\nmetric: {\n  untyped: {\n    value: 1\n  }\n  timestamp_ms: 7\n}\n\n";
        assert_eq!(String::from_utf8(finish(stream)).unwrap(), expected);
    }

    /// The lengths of delimited messages.
    fn lengths(mut bytes: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (mut length, mut shift) = (0, 0);
            while let Some((byte, rest)) = bytes.split_first() {
                (length, shift, bytes) = (length | usize::from(byte & 0x7f) << shift, shift + 7, rest);
                if byte & 0x80 == 0 {
                    break;
                }
            }
            found.push(length);
            bytes = &bytes[length..];
        }
        found
    }

    #[test]
    fn a_long_family_becomes_several_messages() {
        let mut stream = FamilyStream::new(output(Offer::Protobuf));
        let mut taken = Vec::new();
        stream.family("a", MetricType::Unknown);
        for i in 0..80_000 {
            stream.float(&[("i", &i.to_string())], 1.0, i);
            assert!(stream.len() <= LONGEST + 200);
            if stream.len() >= 100_000 {
                taken.extend(stream.take());
            }
        }
        taken.extend(finish(stream));
        let lengths = lengths(&taken);
        assert!(lengths.len() > 1 && lengths.iter().all(|l| *l <= LONGEST + 200), "{lengths:?}");
    }

    #[test]
    fn nothing_is_nothing_in_each_format() {
        for offer in [Offer::Text, Offer::Protobuf, Offer::ProtobufText, Offer::ProtobufCompact] {
            assert!(finish(FamilyStream::new(output(offer))).is_empty());
        }
    }
}
