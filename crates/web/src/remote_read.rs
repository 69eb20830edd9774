//! `/api/v1/read`: the place in the queue, the body, and an answer that is one message or a stream of frames.
//!
//! Always true: the status is sent when the first frame is there or the work is done, so that what fails before has its status;
//! what fails later breaks the connection off.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use narthex_net::server::{Body, BodyError, Request, RequestBody, Response};
use tokio::sync::oneshot;

use crate::answer::error_text;
use crate::outflow::Outflow;
use crate::services::{ReadAnswer, ReadService};
use crate::site::Shared;

/// Largest request, bytes; Prometheus' own.
const MAX_BODY: usize = 32 << 20;

const FAILED: &str = "unexpected error while answering, see the log";
const SAMPLES_TYPE: &str = "application/x-protobuf";
const CHUNKS_TYPE: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

/// Answers one request.
pub(crate) async fn answer(shared: &Arc<Shared>, request: Request) -> Response {
    if let Some(unavailable) = shared.unless_ready() {
        return unavailable;
    }
    let Some(reads) = shared.services().map(|services| Arc::clone(&services.reads)) else {
        return error_text(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
    };
    let place = reads.enter().await;
    match read_body(request.body).await {
        Ok(body) => run(reads, place, body).await,
        Err(reason) => error_text(StatusCode::BAD_REQUEST, &reason),
    }
}

async fn read_body(body: RequestBody) -> Result<Bytes, String> {
    body.read(MAX_BODY).await.map_err(|error| match error {
        // COMPAT: Prometheus reads so much and no more, and finds that what it has is cut.
        BodyError::TooLarge { .. } => "snappy: corrupt input".to_owned(),
        other => other.to_string(),
    })
}

async fn run(reads: Arc<dyn ReadService>, place: Box<dyn Send>, body: Bytes) -> Response {
    let (outflow, frames) = Outflow::new();
    let (begun, begin) = oneshot::channel();
    let work = tokio::task::spawn_blocking(move || {
        let mut out = Out { outflow, begun: Some(begun) };
        let read = || reads.read(&body, &mut |frame| out.send(frame));
        // A panic, which is logged where it happens, must not look like the end of the stream.
        let failed = |_| ReadAnswer::Refused(StatusCode::INTERNAL_SERVER_ERROR, FAILED.to_owned());
        let answer = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(failed);
        if matches!(answer, ReadAnswer::Refused(..)) && out.begun.is_none() {
            out.outflow.break_off();
        }
        drop(place);
        answer
    });
    if begin.await.is_ok() {
        return with_type(CHUNKS_TYPE, frames);
    }
    match work.await {
        Ok(ReadAnswer::Samples(message)) => {
            let mut response = with_type(SAMPLES_TYPE, message.into());
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
            response
        }
        Ok(ReadAnswer::Streamed) => with_type(CHUNKS_TYPE, Body::Empty),
        Ok(ReadAnswer::Refused(status, reason)) => error_text(status, &reason),
        Err(_) => error_text(StatusCode::INTERNAL_SERVER_ERROR, FAILED),
    }
}

fn with_type(kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The way to the client.
struct Out {
    outflow: Outflow,
    /// Told at the first frame.
    begun: Option<oneshot::Sender<()>>,
}

impl Out {
    fn send(&mut self, frame: Bytes) -> bool {
        if let Some(begun) = self.begun.take()
            && begun.send(()).is_err()
        {
            return false;
        }
        self.outflow.send(frame)
    }
}
