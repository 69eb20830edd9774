//! The receiver in process: over a storage that only takes notes, and over the real database.

mod answers;
mod database;
pub(super) mod double;
mod message;

use prost::Message as _;

use super::{BodyHeaders, ReceiveOptions, Receiver, WriteResponse};
pub(super) use crate::wire::tests::{
    Count, Exemplar, Label, Sample, TimeSeries, WireHistogram, WriteRequest,
};

/// The wall clock of these tests, ms.
pub(super) const NOW_MS: i64 = 1_700_000_000_000;
const HEADERS: BodyHeaders<'static> =
    BodyHeaders { content_type: "application/x-protobuf", content_encoding: "snappy" };

pub(super) fn label(name: &str, value: &str) -> Label {
    Label { name: name.to_owned(), value: value.to_owned() }
}

pub(super) fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
    TimeSeries {
        labels: labels.iter().map(|(n, v)| label(n, v)).collect(),
        samples: samples.iter().map(|&(timestamp, value)| Sample { value, timestamp }).collect(),
        ..TimeSeries::default()
    }
}

pub(super) fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).expect("small enough")
}

pub(super) fn send_bytes(receiver: &Receiver, message: &[u8]) -> WriteResponse {
    receiver.write(HEADERS, &snappy(message), NOW_MS)
}

pub(super) fn send(receiver: &Receiver, timeseries: Vec<TimeSeries>) -> WriteResponse {
    send_bytes(receiver, &WriteRequest { timeseries, metadata: Vec::new() }.encode_to_vec())
}

/// An answer as `204` or `400 why`.
pub(super) fn shown(response: &WriteResponse) -> String {
    format!("{} {}", response.status.as_u16(), response.message).trim_end().to_owned()
}
