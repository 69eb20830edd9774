//! What anybody may send to the remote-write receiver, in both protocols and with every option: an answer of the specification,
//! and the same answer from a receiver that knows the series already, unless the first time something was stored.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use narthex_metrics::Registry;
use narthex_model::{Exemplar, Labels, Metadata};
use narthex_remote::receive::{BodyHeaders, ReceiveOptions, Receiver};
use narthex_storage::{AppendError, Appendable, Appender, CommitError, HistogramRef, SeriesRef};

/// Takes everything, and checks what a storage may rely on.
struct Sink;

impl Appendable for Sink {
    fn appender(&self) -> Box<dyn Appender> {
        Box::new(Sink)
    }
}

impl Appender for Sink {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        assert!(!labels.metric_name().is_empty());
        assert!(labels.iter().zip(labels.iter().skip(1)).all(|(a, b)| a.0 < b.0));
        assert!(labels.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()));
        Ok(SeriesRef(labels.stable_hash()))
    }

    fn append(&mut self, _: SeriesRef, t_ms: i64, _: f64) -> Result<(), AppendError> {
        assert!(t_ms <= NOW_MS + 600_000);
        match t_ms {
            1 => Err(AppendError::OutOfOrder),
            _ => Ok(()),
        }
    }

    fn append_histogram(&mut self, _: SeriesRef, t_ms: i64, histogram: HistogramRef<'_>) -> Result<(), AppendError> {
        assert!(t_ms <= NOW_MS + 600_000);
        let (schema, count) = match histogram {
            HistogramRef::Int(h) => (h.schema, h.count as f64),
            HistogramRef::Float(h) => (h.schema, h.count),
        };
        assert!(!(9..=52).contains(&schema));
        if count < 9.0 { Ok(()) } else { Err(AppendError::InvalidHistogram("it is wrong".to_owned())) }
    }

    fn append_exemplar(&mut self, _: SeriesRef, exemplar: &Exemplar) -> Result<(), AppendError> {
        assert!(exemplar.t_ms.is_some_and(|t_ms| t_ms <= NOW_MS + 600_000));
        Ok(())
    }

    fn update_metadata(&mut self, _: SeriesRef, _: &Metadata) -> Result<(), AppendError> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), CommitError> {
        Ok(())
    }

    fn rollback(self: Box<Self>) {}
}

const NOW_MS: i64 = 1_700_000_000_000;

/// A receiver for each combination of options.
static RECEIVERS: LazyLock<Vec<Receiver>> = LazyLock::new(|| {
    let options = (0..8).map(|bits| ReceiveOptions {
        start_zero: bits & 1 != 0,
        type_and_unit_labels: bits & 2 != 0,
        metadata: bits & 4 != 0,
        ..ReceiveOptions::default()
    });
    options.map(|options| Receiver::new(std::sync::Arc::new(Sink), options, &Registry::new())).collect()
});

fuzz_target!(|bytes: &[u8]| {
    let Some((first, message)) = bytes.split_first() else { return };
    let content_type = match first & 8 {
        0 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        _ => "application/x-protobuf",
    };
    let headers = BodyHeaders { content_type, content_encoding: "snappy" };
    let receiver = &RECEIVERS[usize::from(first & 7)];
    let body = match first & 16 {
        0 => snap::raw::Encoder::new().compress_vec(message).expect("small enough"),
        _ => message.to_vec(),
    };
    let answer = receiver.write(headers, &body, NOW_MS);
    assert!(matches!(answer.status.as_u16(), 204 | 400), "{answer:?}");
    assert_eq!(answer.status == 204, answer.message.is_empty());
    assert!(answer.message.len() < 128 << 10);
    assert_eq!(receiver.write(headers, &body, NOW_MS), answer);
});
