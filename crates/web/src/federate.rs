//! `/federate`: the newest sample of each selected series, in a format that other servers scrape.
//!
//! Facts: Prometheus 3.14; order of the checks, formats and statuses.
//! Always true: memory holds what the storage selected, 12 bytes a series and two or three pieces, however long the answer, all of it
//! charged as what a query holds; what fails after the first [`AT_ONCE`] bytes breaks the connection off. Only the own database is
//! asked, as everywhere where remote reads could go in circles.

mod order;
mod samples;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};
use narthex_exposition::{Offer, Output, negotiate};
use narthex_model::{Matcher, UnixTime};
use narthex_net::server::{Body, Request, Response};
use narthex_promql::parser::parse_metric_selector;
use narthex_storage::QueryError;
use tokio::sync::oneshot;

use self::samples::{Samples, Span};
use crate::answer::{error_text, set_encoding};
use crate::api_error::ApiError;
use crate::encoding::Encoding;
use crate::form::Form;
use crate::outflow::Outflow;
use crate::site::Shared;
use crate::squeeze::Squeezer;

/// The formats of own metrics and federated ones.
///
/// COMPAT: Prometheus offers OpenMetrics for neither, and names of families would differ there.
pub(crate) const OFFERS: [Offer; 4] =
    [Offer::Text, Offer::Protobuf, Offer::ProtobufText, Offer::ProtobufCompact];

/// Bytes that are made before the first is sent: so far an error still has its status.
const AT_ONCE: usize = 1 << 20;
/// Bytes that are handed on together, before compression.
const PIECE: usize = 128 * 1024;
/// Compressed pieces are at least so large.
const LEAST: usize = 16 * 1024;

const FAILED: &str = "unexpected error while answering, see the log";

/// Answers one request.
pub(crate) async fn answer(shared: &Arc<Shared>, request: Request) -> Response {
    if let Some(unavailable) = shared.unless_ready() {
        return unavailable;
    }
    let headers = &request.head.headers;
    let form = Form::parse(request.head.uri.query().unwrap_or(""), "");
    let mut response = match parse_selectors(&form) {
        Ok(selectors) => run(shared, selectors, headers).await,
        Err(reason) => error_text(StatusCode::BAD_REQUEST, &reason),
    };
    if !response.headers().contains_key(header::VARY) {
        set_encoding(response.headers_mut(), Encoding::Identity);
    }
    response
}

fn parse_selectors(form: &Form) -> Result<Vec<Vec<Matcher>>, String> {
    form.check()?;
    let texts = form.values("match[]");
    texts.into_iter().map(|text| parse_metric_selector(text).map_err(|e| e.to_string())).collect()
}

async fn run(shared: &Arc<Shared>, selectors: Vec<Vec<Matcher>>, headers: &HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    let (output, encoding) = (negotiate(accept, &OFFERS), Encoding::accepted(headers));
    let (tell, told) = oneshot::channel();
    let (outflow, body) = Outflow::new();
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || {
        let sender = Sender { output, encoding, outflow, begin: Some((tell, body)) };
        send(&shared, &selectors, sender);
    });
    told.await.unwrap_or_else(|_| error_text(StatusCode::INTERNAL_SERVER_ERROR, FAILED))
}

/// Makes and sends the answer.
fn send(shared: &Shared, selectors: &[Vec<Matcher>], mut sender: Sender) {
    let made = catch_unwind(AssertUnwindSafe(|| make(shared, selectors, &mut sender)));
    let (status, reason) = match made {
        Ok(Ok(())) => return,
        Ok(Err(Failure::Storage(QueryError::NotReady(reason)))) => (StatusCode::SERVICE_UNAVAILABLE, reason),
        Ok(Err(Failure::Storage(error))) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        Ok(Err(Failure::Memory(error))) => {
            let error = ApiError::from(error);
            (error.status(), error.text)
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, FAILED.to_owned()),
    };
    shared.metrics.federation_errors.inc();
    match sender.begin.take() {
        // Who asked may be gone.
        Some((tell, _)) => drop(tell.send(error_text(status, &reason))),
        None => sender.outflow.break_off(),
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Reading failed.
    #[error(transparent)]
    Storage(#[from] QueryError),
    /// There is no room beside what queries hold, or it is more than one query may hold.
    #[error(transparent)]
    Memory(#[from] narthex_promql::engine::QueryError),
}

/// Where the answer goes.
struct Sender {
    output: Output,
    encoding: Encoding,
    outflow: Outflow,
    /// Until the head was sent: where it goes, and the body that the outflow feeds.
    begin: Option<(oneshot::Sender<Response>, Body)>,
}

impl Sender {
    /// Sends all samples, and the head before the first of them. Ends early when the client is gone.
    fn send(&mut self, samples: &mut Samples) -> Result<(), QueryError> {
        let mut squeezer = Squeezer::new(self.encoding);
        let (mut first, mut bytes) = (VecDeque::new(), 0);
        loop {
            let more = samples.fill(PIECE)?;
            let made = samples.take();
            if !made.is_empty() {
                drop(squeezer.push(made));
            }
            if !more {
                squeezer.end();
            }
            while let Some(piece) = squeezer.take_piece(if more { LEAST } else { 1 }) {
                bytes += piece.len();
                first.push_back(piece);
            }
            if !more && self.begin.is_some() {
                self.begin_with(Some(first));
                return Ok(());
            }
            if bytes >= AT_ONCE && !self.begin_with(None) {
                return Ok(());
            }
            if self.begin.is_none() && !first.drain(..).all(|piece| self.outflow.send(piece)) || !more {
                return Ok(());
            }
        }
    }

    /// Sends the head, with the whole body or before one that flows, unless it was sent; whether the client is still there.
    fn begin_with(&mut self, whole: Option<VecDeque<Bytes>>) -> bool {
        let Some((tell, flowing)) = self.begin.take() else { return true };
        let mut response = Response::new(whole.map_or(flowing, Body::Pieces));
        let kind = HeaderValue::from_str(&self.output.content_type()).expect("content types are header text");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        set_encoding(response.headers_mut(), self.encoding);
        tell.send(response).is_ok()
    }
}

fn make(shared: &Shared, selectors: &[Vec<Matcher>], sender: &mut Sender) -> Result<(), Failure> {
    // The site may have begun to stop since it let the request in.
    let Some(services) = shared.services() else {
        return Err(QueryError::NotReady("stopping".to_owned()).into());
    };
    let now_ms = UnixTime::from_system(SystemTime::now()).to_ms();
    let engine = services.desk.engine();
    let span = Span { now_ms, lookback_ms: engine.options().lookback_ms };
    let external = shared.process.external_labels();
    let memory = engine.room();
    memory.charge(AT_ONCE + 3 * PIECE)?;
    let mut samples = Samples::new(&*services.local, selectors, (&external, sender.output), span, &memory)?;
    sender.send(&mut samples)?;
    shared.metrics.federation_warnings.add(samples.warnings() as f64);
    Ok(())
}
