//! A receiver of remote write 1.0, and of 2.0 when told so, that keeps what it takes and can be made to misbehave.

mod v2;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use narthex_model::Labels;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::net::TcpListener;

use super::feed::Samples;
use crate::wire::tests::{TimeSeries, WriteRequest};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    Accept,
    /// Answers with this status, and a `Retry-After` if there is one.
    Status(u16, Option<&'static str>),
    /// Closes each connection.
    Close,
    /// Never answers.
    Hang,
    /// Never answers a request with a series that has this label value.
    HangWith(&'static str),
    /// Takes the request and never says so.
    TakeAndHang,
    /// Takes the request and says so after this time.
    TakeSlowly(std::time::Duration),
    /// 400 for every request with a sample that is older than the newest of its series, or has another value: Prometheus, when it
    /// takes nothing out of order. Nothing of the request is stored.
    InOrder,
    /// 400 for every request with a series that has this label value, as Prometheus refuses a batch for one sample.
    Refuse(&'static str),
    /// 400 for every request with a series whose `n` is a multiple of this.
    RefuseMultiples(u64),
    /// The same until it has accepted a request; then 503 for all.
    RefuseMultiplesThenFail(u64),
}

/// What the receiver makes of 2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// 415.
    V1,
    /// It does not look at the content type, finds nothing in the message that it knows, and accepts it.
    V1Blind,
    /// It does not look at the content type and cannot read the message: 400.
    V1Strict,
    /// It takes it. What can be stored of a request is stored, the answer is 400 when something cannot.
    V2,
}

#[derive(Default)]
pub(crate) struct Taken {
    /// Requests in 2.0, whatever became of them.
    pub(crate) in_v2: usize,
    /// What came in 2.0 and was stored.
    pub(crate) series_v2: Vec<v2::Stored>,
    pub(crate) samples: Samples,
    pub(crate) series: Vec<TimeSeries>,
    pub(crate) metadata: Vec<String>,
    /// Samples that came before others of their series that are older, and are not sent again.
    pub(crate) disorder: Vec<String>,
    /// Label sets and times of histograms.
    pub(crate) histograms: BTreeSet<(String, i64)>,
    /// Samples that came again.
    pub(crate) doubles: usize,
    /// Histograms that came again.
    pub(crate) histogram_doubles: usize,
}

pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    mode: Mutex<Mode>,
    speaks: Mutex<Speaks>,
    taken: Mutex<Taken>,
    requests: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
}

impl Receiver {
    pub(crate) async fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            mode: Mutex::new(mode),
            speaks: Mutex::new(Speaks::V1),
            taken: Mutex::default(),
            requests: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            most_in_flight: AtomicUsize::new(0),
        });
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/api/v1/write", self.address)
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.shared.mode.lock() = mode;
    }

    pub(crate) fn speak(&self, speaks: Speaks) {
        *self.shared.speaks.lock() = speaks;
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn most_in_flight(&self) -> usize {
        self.shared.most_in_flight.load(Ordering::SeqCst)
    }

    pub(crate) fn taken<T>(&self, look: impl FnOnce(&Taken) -> T) -> T {
        look(&self.shared.taken.lock())
    }

    /// Whether every sample is here; says so when one came out of order.
    pub(crate) fn has_all(&self, written: &Samples) -> bool {
        self.taken(|taken| {
            assert!(taken.disorder.is_empty(), "{:?}", &taken.disorder[..taken.disorder.len().min(5)]);
            written.iter().all(|(series, samples)| {
                let got = taken.samples.get(series).map_or(&[][..], |got| got);
                got.len() >= samples.len() && samples.iter().all(|sample| got.binary_search(sample).is_ok())
            })
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.taken(|taken| taken.samples.values().map(Vec::len).sum())
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&shared)));
            // A connection that the sender gave up is not the receiver's fault.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let now = shared.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
    shared.most_in_flight.fetch_max(now, Ordering::SeqCst);
    let done = decide(request, &shared).await;
    shared.in_flight.fetch_sub(1, Ordering::SeqCst);
    done
}

async fn decide(
    request: Request<Incoming>,
    shared: &Shared,
) -> Result<Response<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    assert_eq!(request.headers()["content-encoding"], "snappy");
    let is_v2 = request.headers()["content-type"] == v2::CONTENT_TYPE;
    if !is_v2 {
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    }
    let version = if is_v2 { "2.0.0" } else { "0.1.0" };
    assert_eq!(request.headers()["x-prometheus-remote-write-version"], version);
    let body = request.into_body().collect().await?.to_bytes();
    let mode = *shared.mode.lock();
    let speaks = *shared.speaks.lock();
    shared.taken.lock().in_v2 += usize::from(is_v2);
    let status =
        |status: u16, text: &'static str| Response::builder().status(status).body(Full::from(text)).unwrap();
    match speaks {
        _ if !is_v2 => {}
        Speaks::V1 => return Ok(status(415, "only 1.0")),
        Speaks::V1Blind => return Ok(status(204, "")),
        Speaks::V1Strict => return Ok(status(400, "unexpected EOF")),
        Speaks::V2 => {
            if let Mode::Accept | Mode::RefuseMultiples(_) = mode {
                return Ok(v2::take(&body, &mut shared.taken.lock(), mode));
            }
        }
    }
    match mode {
        Mode::Accept => {}
        Mode::Close => return Err("closed on purpose".into()),
        Mode::Hang => return Ok(never().await),
        Mode::TakeAndHang => {
            take(&body, shared);
            return Ok(never().await);
        }
        Mode::TakeSlowly(time) => {
            take(&body, shared);
            tokio::time::sleep(time).await;
            return Ok(status(204, ""));
        }
        Mode::Status(code, after) => {
            let mut answer = status(code, "not now");
            if let Some(after) = after {
                answer.headers_mut().insert("retry-after", after.parse()?);
            }
            return Ok(answer);
        }
        Mode::InOrder => {
            if is_out_of_order(&decode(&body), &shared.taken.lock().samples) {
                return Ok(status(400, "out of order sample"));
            }
        }
        Mode::HangWith(value) if has_value(&body, value) => return Ok(never().await),
        Mode::HangWith(_) => {}
        Mode::Refuse(value) => {
            if has_value(&body, value) {
                return Ok(status(400, "out of order sample"));
            }
        }
        Mode::RefuseMultiples(of) | Mode::RefuseMultiplesThenFail(of) => {
            if has_multiple(&decode(&body), of) {
                return Ok(status(400, "series is not welcome"));
            }
            if let Mode::RefuseMultiplesThenFail(_) = mode {
                *shared.mode.lock() = Mode::Status(503, None);
            }
        }
    }
    // Several requests are here at once, if the sender wants that.
    tokio::task::yield_now().await;
    take(&body, shared);
    Ok(status(204, ""))
}

async fn never() -> Response<Full<Bytes>> {
    std::future::pending::<Infallible>().await;
    unreachable!("pending is for ever")
}

fn decode(body: &[u8]) -> WriteRequest {
    let message = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    WriteRequest::decode(&*message).unwrap()
}

/// Whether a series is in it that has this label value.
fn has_value(body: &[u8], value: &str) -> bool {
    let has = |series: &TimeSeries| series.labels.iter().any(|label| label.value == value);
    decode(body).timeseries.iter().any(has)
}

/// Whether a series is in it whose `n` is a multiple.
fn has_multiple(request: &WriteRequest, of: u64) -> bool {
    let number = |series: &TimeSeries| {
        let n = series.labels.iter().find(|label| label.name == "n")?;
        n.value.parse::<u64>().ok()
    };
    request.timeseries.iter().filter_map(number).any(|n| n % of == 0)
}

fn is_out_of_order(request: &WriteRequest, taken: &Samples) -> bool {
    request.timeseries.iter().any(|series| {
        let labels = Labels::from_pairs(series.labels.iter().map(|l| (&l.name, &l.value))).to_string();
        let mut newest = taken.get(&labels).and_then(|samples| samples.last().copied());
        series.samples.iter().any(|sample| {
            let new = (sample.timestamp, sample.value.to_bits());
            let refused = newest.is_some_and(|newest| newest.0 >= new.0 && newest != new);
            newest = Some(new);
            refused
        })
    })
}

fn take(body: &[u8], shared: &Shared) {
    let request = decode(body);
    let mut taken = shared.taken.lock();
    for series in request.timeseries {
        let labels = Labels::from_pairs(series.labels.iter().map(|l| (&l.name, &l.value))).to_string();
        for sample in &series.samples {
            let new = (sample.timestamp, sample.value.to_bits());
            let known = taken.samples.entry(labels.clone()).or_default();
            match known.last() {
                Some(last) if *last >= new => match known.binary_search(&new) {
                    Ok(_) => taken.doubles += 1,
                    Err(at) => {
                        known.insert(at, new);
                        // A series that says so gets its samples late already.
                        if !labels.contains("late=") {
                            taken.disorder.push(format!("{labels}: {new:?}"));
                        }
                    }
                },
                _ => known.push(new),
            }
        }
        for histogram in &series.histograms {
            let newest = taken.samples.get(&labels).and_then(|samples| samples.last());
            if newest.is_some_and(|(t_ms, _)| *t_ms > histogram.timestamp) {
                taken.disorder.push(format!("{labels}: histogram of {}", histogram.timestamp));
            }
            let is_new = taken.histograms.insert((labels.clone(), histogram.timestamp));
            taken.histogram_doubles += usize::from(!is_new);
        }
        if series.samples.is_empty() {
            taken.series.push(series);
        }
    }
    taken.metadata.extend(request.metadata.into_iter().map(|m| m.family));
}
