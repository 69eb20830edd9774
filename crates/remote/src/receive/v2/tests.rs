//! The receiver of protocol 2.0 in process: over a storage that only takes notes, and over the real database.

mod answers;
mod database;
mod hostile;
mod message;
pub(crate) mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use narthex_metrics::Registry;
use prost::Message as _;

use super::super::tests::double::Double;
use super::super::tests::{NOW_MS, shown, snappy};
use super::super::{BodyHeaders, ReceiveOptions, Receiver, WriteResponse};
use wire::{Exemplar, Metadata, Request, Sample, TimeSeries, WireHistogram};

const HEADERS: BodyHeaders<'static> = BodyHeaders {
    content_type: "application/x-protobuf;proto=io.prometheus.write.v2.Request",
    content_encoding: "snappy",
};

/// Builds a request the plain way.
struct Builder {
    request: Request,
    numbers: HashMap<String, u32>,
}

impl Builder {
    fn new() -> Self {
        let mut builder = Self { request: Request::default(), numbers: HashMap::new() };
        builder.symbol("");
        builder
    }

    fn symbol(&mut self, text: &str) -> u32 {
        let symbols = &mut self.request.symbols;
        *self.numbers.entry(text.to_owned()).or_insert_with(|| {
            symbols.push(text.to_owned());
            symbols.len() as u32 - 1
        })
    }

    fn refs(&mut self, labels: &[(&str, &str)]) -> Vec<u32> {
        labels.iter().flat_map(|(name, value)| [self.symbol(name), self.symbol(value)]).collect()
    }

    /// Adds a series of floats `(t_ms, value)`.
    fn floats(mut self, labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Self {
        let labels_refs = self.refs(labels);
        let samples = samples
            .iter()
            .map(|&(timestamp, value)| Sample { value, timestamp, start_timestamp: 0 })
            .collect();
        self.request.timeseries.push(TimeSeries { labels_refs, samples, ..TimeSeries::default() });
        self
    }

    /// Changes the last series.
    fn with(mut self, change: impl FnOnce(&mut TimeSeries)) -> Self {
        change(self.request.timeseries.last_mut().expect("a series is there"));
        self
    }

    /// Gives the last series metadata.
    fn metadata(mut self, kind: i32, help: &str, unit: &str) -> Self {
        let metadata = Metadata { kind, help_ref: self.symbol(help), unit_ref: self.symbol(unit) };
        self.with(|series| series.metadata = Some(metadata))
    }

    /// Gives the last series an exemplar.
    fn exemplar(mut self, labels: &[(&str, &str)], value: f64, timestamp: i64) -> Self {
        let labels_refs = self.refs(labels);
        self.with(|series| series.exemplars.push(Exemplar { labels_refs, value, timestamp }))
    }

    /// Gives the last series a histogram.
    fn histogram(self, histogram: WireHistogram) -> Self {
        self.with(|series| series.histograms.push(histogram))
    }

    fn send(self, receiver: &Receiver) -> WriteResponse {
        send_bytes(receiver, &self.request.encode_to_vec())
    }
}

fn send_bytes(receiver: &Receiver, message: &[u8]) -> WriteResponse {
    receiver.write(HEADERS, &snappy(message), NOW_MS)
}

fn receiver_with(options: ReceiveOptions) -> (Receiver, Double, Registry) {
    let (double, registry) = (Double::default(), Registry::new());
    (Receiver::new(Arc::new(double.clone()), options, &registry), double, registry)
}

fn receiver() -> (Receiver, Double, Registry) {
    receiver_with(ReceiveOptions::default())
}

/// What was written, as floats, histograms, exemplars.
fn written(response: &WriteResponse) -> (usize, usize, usize) {
    let written = response.written.expect("2.0 says what was written");
    (written.samples, written.histograms, written.exemplars)
}
