//! Asks a target for its metrics and reads the body into a lent buffer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use narthex_net::client::{BodyError, Request};
use tokio::time::Instant;

use crate::error::ScrapeError;
use crate::job::Job;
use crate::scratch::{Scratch, ScratchPool};
use crate::target::Target;

const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// A body and what it is said to be.
pub(crate) struct Fetched {
    pub(crate) scratch: Scratch,
    pub(crate) content_type: String,
}

/// Fetches a body, whole and inflated, within the target's timeout.
///
/// PERF: the buffer is taken when the answer begins, so slow targets hold none while they think.
pub(crate) async fn fetch(
    target: &Target,
    job: &Arc<Job>,
    pool: &ScratchPool,
) -> Result<Fetched, ScrapeError> {
    let timeout = Duration::from_millis(target.timeout_ms.unsigned_abs());
    let url = target
        .url
        .as_ref()
        .map_err(|reason| ScrapeError::Url { url: target.url_text.clone(), reason: reason.clone() })?;
    let mut headers = job.headers.clone();
    let seconds = narthex_model::format_float(target.timeout_ms as f64 / 1000.0);
    if let Ok(value) = HeaderValue::from_str(&seconds) {
        headers.insert(TIMEOUT_HEADER, value);
    }
    let request = Request {
        method: Method::GET,
        url,
        headers: &headers,
        body: Bytes::new(),
        deadline: Instant::now() + timeout,
        unix_socket: target.unix_socket.as_deref(),
    };
    let response = job.client.send(&request).await?;
    if response.status != 200 {
        let line = response.status_line();
        response.discard().await;
        return Err(ScrapeError::Status(line));
    }
    let content_type = response.header(header::CONTENT_TYPE).to_owned();
    let mut scratch = pool.take();
    match response.read_decoded(&mut scratch.body, job.body_limit()).await {
        Ok(()) => Ok(Fetched { scratch, content_type }),
        Err(error) => {
            pool.give_back(scratch);
            Err(error.into())
        }
    }
}

/// What `scrape_body_size_bytes` tells of a failed fetch.
pub(crate) fn failed_body_size(error: &ScrapeError) -> f64 {
    match error {
        ScrapeError::Body(BodyError::TooLarge) => -1.0,
        _ => 0.0,
    }
}
