//! The remote-write receiver and the server of remote reads as the web side sees them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use narthex_model::UnixTime;
use narthex_remote::read::{Answer, ReadServer};
use narthex_remote::receive::{BodyHeaders, Receiver, Written};
use narthex_web::{ReadAnswer, ReadService, WriteAnswer, WriteService};

/// Hands requests to the receiver.
pub(crate) struct Writes(pub(crate) Receiver);

impl WriteService for Writes {
    fn write(&self, headers: &HeaderMap, body: &Bytes) -> WriteAnswer {
        let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
        let of_body =
            BodyHeaders { content_encoding: text(CONTENT_ENCODING), content_type: text(CONTENT_TYPE) };
        let now_ms = UnixTime::from_system(SystemTime::now()).to_ms();
        let answer = self.0.write(of_body, body, now_ms);
        let headers = answer.written.map(written_headers).unwrap_or_default();
        WriteAnswer { status: answer.status, headers, text: answer.message }
    }
}

/// What a sender of protocol 2.0 is told beside the status.
fn written_headers(written: Written) -> Vec<(&'static str, String)> {
    vec![
        ("x-prometheus-remote-write-samples-written", written.samples.to_string()),
        ("x-prometheus-remote-write-histograms-written", written.histograms.to_string()),
        ("x-prometheus-remote-write-exemplars-written", written.exemplars.to_string()),
    ]
}

/// Hands reads to their server.
pub(crate) struct Reads(pub(crate) Arc<ReadServer>);

impl ReadService for Reads {
    fn enter(&self) -> Pin<Box<dyn Future<Output = Box<dyn Send>> + Send + '_>> {
        Box::pin(async { Box::new(self.0.enter().await) as Box<dyn Send> })
    }

    fn read(&self, body: &[u8], send: &mut dyn FnMut(Bytes) -> bool) -> ReadAnswer {
        match self.0.read(body, send) {
            Answer::Samples(message) => ReadAnswer::Samples(message),
            Answer::Streamed => ReadAnswer::Streamed,
            Answer::Refused(status, reason) => ReadAnswer::Refused(status, reason),
        }
    }
}
