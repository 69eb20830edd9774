//! Answers the queries of others.
//!
//! Road in: [`ReadServer::enter`] (a place among those that may read), then [`ReadServer::read`].
//! COMPAT: statuses and texts are Prometheus': 400 for a request that cannot be decoded and for too many samples, 500 for all else,
//! matchers included.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use narthex_metrics::{Gauge, Registry};
use narthex_model::{Labels, Matcher};
use narthex_storage::{Queryable, SelectHints, SeriesSet};
use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::request::{Query, Request, RequestError, ResponseType};
use super::samples::{Samples, SamplesError};
use super::stream::{Stream, StreamError};

/// The limits of remote reads.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// Most samples that one query may answer when these are not streamed; 0 for no limit.
    pub max_samples: u64,
    /// Most reads at a time; 0 for no limit.
    pub max_concurrent: usize,
    /// About the largest frame of a stream, bytes.
    pub max_frame_bytes: i64,
}

/// What a request is answered with.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// All samples: a compressed message.
    Samples(Vec<u8>),
    /// All is in the frames that were sent, of which there may be none.
    Streamed,
    /// A status and its reason. Frames that were sent before must not pass for the whole answer.
    Refused(StatusCode, String),
}

/// Answers remote reads. May be called from several threads at once.
pub struct ReadServer {
    storage: Arc<dyn Queryable>,
    options: ReadOptions,
    places: Option<Arc<Semaphore>>,
    queries: Gauge,
    /// Replaced by a reload.
    external: RwLock<Labels>,
}

/// A place among those that may read; given back when dropped.
pub struct Permit {
    queries: Gauge,
    _place: Option<OwnedSemaphorePermit>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.queries.dec();
    }
}

impl ReadServer {
    /// A server over a storage, without external labels.
    #[must_use]
    pub fn new(storage: Arc<dyn Queryable>, options: ReadOptions, registry: &Registry) -> Self {
        let queries = registry.gauge(
            "prometheus_remote_read_handler_queries",
            "The current number of remote read queries that are either in execution or queued on the handler.",
        );
        let most = options.max_concurrent.min(Semaphore::MAX_PERMITS);
        let places = (most > 0).then(|| Arc::new(Semaphore::new(most)));
        Self { storage, options, places, queries, external: RwLock::new(Labels::empty()) }
    }

    /// From now on series get these labels, and queries for them find series without.
    pub fn set_external_labels(&self, labels: &Labels) {
        *self.external.write() = labels.clone();
    }

    /// Waits for a place. Who does not wait to the end takes none.
    pub async fn enter(&self) -> Permit {
        self.queries.inc();
        let mut permit = Permit { queries: self.queries.clone(), _place: None };
        if let Some(places) = &self.places {
            permit._place = Arc::clone(places).acquire_owned().await.ok();
        }
        permit
    }

    /// Answers one request. Frames go to `send`, which may block and says `false` when nobody wants more. Reads from disk: never
    /// call it on a thread of the network.
    #[must_use]
    pub fn read(&self, body: &[u8], send: &mut dyn FnMut(Bytes) -> bool) -> Answer {
        let external = self.external.read().clone();
        let answered =
            Request::decode(body).map_err(ReadError::Decode).and_then(|request| match request.response {
                ResponseType::Samples => self.samples(&request, &external).map(Answer::Samples),
                ResponseType::Chunks => self.chunks(&request, &external, send).map(|()| Answer::Streamed),
            });
        answered.unwrap_or_else(|error| {
            tracing::warn!(err = %error, "Error handling remote read request");
            Answer::Refused(error.status(), error.to_string())
        })
    }

    fn samples(&self, request: &Request, external: &Labels) -> Result<Vec<u8>, ReadError> {
        let mut message = Vec::new();
        for query in request.queries() {
            let query = query?;
            // COMPAT: as the storage has them, which for streams is not enough.
            let set = self.select(&query, external, true)?;
            let samples = Samples {
                limit: self.options.max_samples,
                external,
                range: query.range,
                labels_only: query.labels_only,
            };
            samples.put_result(&*set, &mut message)?;
            log_warnings(&*set);
        }
        snap::raw::Encoder::new()
            .compress_vec(&message)
            .map_err(|_| ReadError::Samples(SamplesError::TooLarge))
    }

    fn chunks(
        &self,
        request: &Request,
        external: &Labels,
        send: &mut dyn FnMut(Bytes) -> bool,
    ) -> Result<(), ReadError> {
        for (number, query) in request.queries().enumerate() {
            let query = query?;
            let set = self.select(&query, external, false)?;
            let mut stream = Stream {
                query: number,
                external,
                range: query.range,
                labels_only: query.labels_only,
                max_bytes: self.options.max_frame_bytes,
                send: &mut *send,
            };
            stream.put_set(&*set)?;
            log_warnings(&*set);
        }
        Ok(())
    }

    fn select(
        &self,
        query: &Query,
        external: &Labels,
        any_order: bool,
    ) -> Result<Box<dyn SeriesSet>, ReadError> {
        let matchers: Result<Vec<Matcher>, RequestError> =
            query.matchers.iter().map(|matcher| matcher.matcher(external)).collect();
        let matchers = matchers?;
        let (mint_ms, maxt_ms) = query.range;
        let hints = SelectHints {
            start_ms: mint_ms,
            end_ms: maxt_ms,
            function: if query.labels_only { "series" } else { "" },
            any_order,
            ..SelectHints::default()
        };
        // COMPAT: without any matcher nothing is meant.
        if mint_ms > maxt_ms || matchers.is_empty() {
            return Ok(Box::new(Nothing));
        }
        let querier = self.storage.querier(mint_ms, maxt_ms).map_err(SamplesError::Query)?;
        Ok(querier.select(&hints, &matchers).map_err(SamplesError::Query)?)
    }
}

fn log_warnings(set: &dyn SeriesSet) {
    for warning in set.warnings() {
        tracing::warn!(err = warning, "Warnings on remote read query");
    }
}

/// What a range that ends before it begins holds, and what no matcher selects.
struct Nothing;

impl SeriesSet for Nothing {
    fn len(&self) -> usize {
        0
    }

    fn labels(&self, _: usize) -> Labels {
        Labels::empty()
    }

    fn read(
        &self,
        _: usize,
        _: i64,
        _: i64,
        _: &mut narthex_storage::SampleBatch,
    ) -> Result<(), narthex_storage::QueryError> {
        Ok(())
    }
}

/// Why a request is not answered with samples.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Decode(RequestError),
    #[error(transparent)]
    Query(#[from] RequestError),
    #[error(transparent)]
    Samples(#[from] SamplesError),
    #[error(transparent)]
    Stream(#[from] StreamError),
}

impl ReadError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Decode(_) | Self::Samples(SamplesError::Limit(_) | SamplesError::TooLarge) => {
                StatusCode::BAD_REQUEST
            }
            Self::Query(_)
            | Self::Samples(SamplesError::Query(_) | SamplesError::Chunk(_))
            | Self::Stream(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
