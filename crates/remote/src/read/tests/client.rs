//! The client against a server that does what it is told: merged results, what is asked and what is not, failures as warnings.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use narthex_config::Config;
use narthex_model::Matcher;
use narthex_storage::fan_out::FanOut;
use narthex_storage::{Queryable, SampleBatch, SelectHints, Wanted};

use super::*;

/// What the server at the other end answers.
type Reaction = dyn Fn(WireRequest) -> Option<Vec<u8>> + Send + Sync;

/// Serves each connection on a thread of its own; `None` hangs until the client goes. Gives the port.
fn serve(react: Arc<Reaction>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let react = Arc::clone(&react);
            std::thread::spawn(move || answer(stream.unwrap(), &*react));
        }
    });
    port
}

fn answer(mut stream: TcpStream, react: &Reaction) {
    let mut request = Vec::new();
    let (head_len, body_len) = loop {
        let mut more = [0; 4096];
        let len = stream.read(&mut more).unwrap();
        assert!(len > 0, "the client sends a request");
        request.extend_from_slice(&more[..len]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let lower = text[..end].to_ascii_lowercase();
        let line = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        assert!(lower.contains("x-prometheus-remote-read-version: 0.1.0") && lower.contains("x-own: yes"));
        let len: usize = line.parse().unwrap();
        let head = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        if request.len() >= head + len {
            break (head, len);
        }
    };
    let body = snap::raw::Decoder::new().decompress_vec(&request[head_len..head_len + body_len]).unwrap();
    match react(WireRequest::decode(&*body).unwrap()) {
        // A client that went is what some tests are about.
        Some(answer) => drop(stream.write_all(&answer)),
        None => drop(stream.read(&mut [0; 1])),
    }
}

fn http(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// Passes requests on to our own server, with one form of answer or the other.
fn passing_on(server: ReadServer, form: i32) -> Arc<Reaction> {
    Arc::new(move |mut request: WireRequest| {
        assert_eq!(request.accepted, [CHUNKS, SAMPLES]);
        request.accepted = vec![form];
        let (answer, frames) = ask(&server, &snappy(&request.encode_to_vec()));
        Some(match answer {
            Answer::Samples(message) => http("200 OK", "application/x-protobuf", &message),
            Answer::Streamed => {
                let kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
                http("200 OK", kind, &frames)
            }
            Answer::Refused(status, reason) => {
                http(status.as_str(), "text/plain", format!("{reason}\n").as_bytes())
            }
        })
    })
}

/// A local database and what is asked beside it.
struct Setup {
    queried: FanOut,
    stores: ReadStores,
    start_ms: Arc<AtomicI64>,
    _runtime: tokio::runtime::Runtime,
}

impl Setup {
    fn new(local: Arc<Db>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let start_ms = Arc::new(AtomicI64::new(0));
        let told = Arc::clone(&start_ms);
        let local_start: LocalStart = Arc::new(move || told.load(Ordering::Relaxed));
        let stores = ReadStores::new(local_start, runtime.handle().clone(), &Registry::new());
        Self { queried: FanOut::new(local), stores, start_ms, _runtime: runtime }
    }

    fn configure(&self, port: u16, more: &str) {
        let yaml = format!(
            "global: {{external_labels: {{region: eu}}}}\n\
             remote_read: [{{url: 'http://127.0.0.1:{port}/r', headers: {{x-own: 'yes'}}, {more}}}]"
        );
        let config = Config::parse(&yaml, "x.yml").unwrap();
        let stores = self.stores.stores(&config.remote_read, &config.global.external_labels).unwrap();
        self.queried.set_distant(stores);
    }

    /// Samples and warnings.
    fn select(&self, range: (i64, i64), matchers: &[Matcher]) -> (Plain, Vec<String>) {
        let querier = self.queried.querier(range.0, range.1).unwrap();
        let hints = SelectHints { start_ms: range.0, end_ms: range.1, ..SelectHints::default() };
        let set = querier.select(&hints, matchers).unwrap();
        let mut plain = Plain::new();
        for at in 0..set.len() {
            let mut batch = SampleBatch::default();
            set.read(at, range.0, range.1, &mut batch).unwrap();
            let samples = plain.entry(set.labels(at).to_string()).or_default();
            samples.extend(batch.t_ms.iter().zip(&batch.values).map(|(t, value)| (*t, float_text(*value))));
            let histograms = batch.histogram_t_ms.iter().zip(&batch.histograms);
            samples.extend(histograms.map(|(t, h)| (*t, float_histogram_text(h))));
            let mut chunks = Vec::new();
            set.chunks(at, range.0, range.1, &mut chunks).unwrap();
            let mut times = Vec::new();
            narthex_chunks::merge_chunks(chunks, range, |chunk| {
                for_each(chunk.encoding.try_into().unwrap(), &chunk.bytes, range, |s| times.push(s.t_ms))
                    .unwrap();
            })
            .unwrap();
            assert!(times.iter().eq(samples.keys()), "chunks hold the same samples");
        }
        (plain, set.warnings())
    }
}

/// As a query sees it: every histogram as floats.
fn as_read(plain: &Plain) -> Plain {
    let text = |text: &String| match text.strip_prefix("int ") {
        None => text.clone(),
        // Each histogram of `database` has one bucket, which holds all of its count.
        Some(rest) => {
            let count: u64 = rest.split(' ').nth(1).unwrap().parse().unwrap();
            float_histogram_text(&histogram(count).to_float())
        }
    };
    let read = |samples: &BTreeMap<i64, String>| samples.iter().map(|(t, v)| (*t, text(v))).collect();
    plain.iter().map(|(labels, samples)| (labels.clone(), read(samples))).collect()
}

fn named() -> [Matcher; 1] {
    [Matcher::equal("__name__", "m")]
}

#[test]
fn local_and_distant_samples_become_one_series_each() {
    let (near, far) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (local, near_plain) = database(near.path(), 10);
    let (distant, far_plain) = database(far.path(), 11);
    let setup = Setup::new(local);
    for form in [CHUNKS, SAMPLES] {
        let server = ReadServer::new(Arc::clone(&distant) as _, LIMITS, &Registry::new());
        server.set_external_labels(&Labels::from_pairs([("region", "eu")]));
        setup.configure(serve(passing_on(server, form)), "read_recent: true");
        for range in [(0, i64::MAX), (1_050_500, 1_100_000)] {
            let (found, warnings) = setup.select(range, &named());
            assert_eq!(warnings, [""; 0]);
            let (near, far) = (as_read(&within(&near_plain, range)), as_read(&within(&far_plain, range)));
            assert!(
                found.keys().eq(near.keys().chain(far.keys()).collect::<std::collections::BTreeSet<_>>())
            );
            for (labels, samples) in &found {
                let of = |plain: &Plain| plain.get(labels).cloned().unwrap_or_default();
                let (near, far) = (of(&near), of(&far));
                let times: std::collections::BTreeSet<i64> = near.keys().chain(far.keys()).copied().collect();
                assert!(samples.keys().copied().eq(times));
                for (t, value) in samples {
                    assert!(near.get(t) == Some(value) || far.get(t) == Some(value), "{t}: {value}");
                }
            }
        }
    }
}

#[test]
fn what_the_local_store_has_and_what_is_not_required_is_not_asked() {
    let near = tempfile::tempdir().unwrap();
    let setup = Setup::new(Db::open(near.path(), DbOptions::default(), &Registry::new()).unwrap());
    setup.start_ms.store(1000, Ordering::Relaxed);
    let (tell, asked) = mpsc::channel();
    let port = serve(Arc::new(move |request: WireRequest| {
        let query = &request.queries[0];
        let matchers = query.matchers.iter().map(|m| format!("{}{}{}", m.name, m.kind, m.value));
        tell.send((query.start_ms, query.end_ms, matchers.collect::<Vec<_>>().join(" "))).unwrap();
        Some(http("200 OK", "application/x-protobuf", &snappy(&[0x0a, 0])))
    }));
    let check = |range, matchers: &[Matcher], expected: Option<(i64, i64, &str)>| {
        assert_eq!(setup.select(range, matchers), (Plain::new(), Vec::new()));
        let asked = asked.try_recv().ok();
        assert_eq!(asked.as_ref().map(|(from, to, text)| (*from, *to, &**text)), expected, "{range:?}");
    };
    setup.configure(port, "read_recent: false");
    check((1001, 2000), &named(), None);
    check((1000, 2000), &named(), Some((1000, 1000, "__name__0m region0eu")));
    check((0, 500), &named(), Some((0, 500, "__name__0m region0eu")));
    let own = [Matcher::new(narthex_model::MatchOp::Regex, "region", "e.*").unwrap()];
    check((0, 500), &own, Some((0, 500, "region2e.*")));
    setup.configure(port, "read_recent: true, required_matchers: {job: x}, filter_external_labels: false");
    check((5000, 6000), &named(), None);
    let required = [Matcher::equal("job", "x"), Matcher::equal("a", "b")];
    check((5000, 6000), &required, Some((5000, 6000, "job0x a0b")));
    let querier = setup.queried.querier(0, 1).unwrap();
    assert_eq!(querier.label_values("a", &[], 0).unwrap(), [""; 0]);
    assert_eq!(querier.warnings(), ["not implemented"]);
}

#[test]
fn failures_are_warnings_and_leave_the_local_samples() {
    let near = tempfile::tempdir().unwrap();
    let (local, plain) = database(near.path(), 12);
    let setup = Setup::new(local);
    let streamed = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    for (answer, expected) in [
        (
            http("503 Service Unavailable", "text/plain", b"not now\n"),
            "returned http status 503 Service Unavailable: not now",
        ),
        (http("200 OK", "text/html", b"hello"), "remote_read: unsupported content type: text/html"),
        (
            http("200 OK", "application/x-protobuf", b"hello"),
            "remote_read: error reading response: snappy: corrupt input",
        ),
        (
            http("200 OK", streamed, b"hello"),
            "remote_read: chunkedReader: message size exceeded the limit 99 bytes; got: 104 bytes",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab".to_vec(),
            "remote_read: unsupported content type: ",
        ),
        (
            format!("HTTP/1.1 200 OK\r\nContent-Type: {streamed}\r\nContent-Length: 9\r\n\r\nab")
                .into_bytes(),
            "remote_read: error reading response. HTTP status code: 200 OK: ",
        ),
    ] {
        let port = serve(Arc::new(move |_| Some(answer.clone())));
        setup.configure(port, "read_recent: true, chunked_read_limit: 99");
        let (found, warnings) = setup.select((0, i64::MAX), &named());
        assert_eq!(found, as_read(&plain));
        assert!(warnings.len() == 1 && warnings[0].contains(expected), "{warnings:?} is not {expected}");
    }
    setup.configure(1, "read_recent: true");
    let (found, warnings) = setup.select((0, i64::MAX), &named());
    assert_eq!(found, as_read(&plain));
    assert!(
        warnings[0].starts_with("remote_read: error sending request: Post \"http://127.0.0.1:1/r\": "),
        "{warnings:?}"
    );
}

/// Half of an endpoint's series would make sums and ratios wrong without anybody noticing.
#[test]
fn a_query_sees_all_of_an_endpoint_or_nothing() {
    let near = tempfile::tempdir().unwrap();
    let setup = Setup::new(Db::open(near.path(), DbOptions::default(), &Registry::new()).unwrap());
    let far = tempfile::tempdir().unwrap();
    let server = ReadServer::new(database(far.path(), 13).0, LIMITS, &Registry::new());
    let pass = passing_on(server, CHUNKS);
    let requests = AtomicUsize::new(0);
    setup.configure(
        serve(Arc::new(move |mut request: WireRequest| {
            requests.fetch_add(1, Ordering::Relaxed);
            request.queries[0].matchers.retain(|matcher| matcher.name != "region");
            let fails = request.queries[0].matchers.iter().any(|matcher| matcher.value == "fails");
            if fails { Some(http("500 No", "text/plain", b"no")) } else { pass(request) }
        })),
        "read_recent: true",
    );
    let querier = setup.queried.querier(0, i64::MAX).unwrap();
    let select =
        |value: &str| querier.select(&SelectHints::default(), &[Matcher::equal("__name__", value)]).unwrap();
    let (good, bad) = (select("m"), select("fails"));
    assert_eq!((good.len(), bad.len()), (0, 0));
    assert_eq!((good.warnings().len(), bad.warnings().len()), (0, 1));
    drop((good, bad));
    let (found, warnings) = setup.select((0, i64::MAX), &named());
    assert_eq!((found.len(), warnings.len()), (6, 0), "the next query asks anew");
}

#[test]
fn who_is_no_longer_wanted_does_not_wait_and_the_timeout_counts() {
    let near = tempfile::tempdir().unwrap();
    let setup = Setup::new(Db::open(near.path(), DbOptions::default(), &Registry::new()).unwrap());
    let port = serve(Arc::new(|_| None));
    setup.configure(port, "read_recent: true, remote_timeout: 1h");
    let began = Instant::now();
    let querier = setup.queried.querier(0, 1).unwrap();
    let wanted = Wanted::while_true(move || began.elapsed() < Duration::from_millis(150));
    let set = querier.select(&SelectHints { wanted, ..SelectHints::default() }, &named()).unwrap();
    assert_eq!(set.len(), 0);
    assert_eq!(set.warnings(), ["remote_read: the query was called off"]);
    setup.configure(port, "read_recent: true, remote_timeout: 100ms");
    let (_, warnings) = setup.select((0, 1), &named());
    assert!(warnings[0].contains("deadline exceeded"), "{warnings:?}");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn entries_that_are_the_same_are_refused() {
    let near = tempfile::tempdir().unwrap();
    let setup = Setup::new(Db::open(near.path(), DbOptions::default(), &Registry::new()).unwrap());
    let stores = |yaml: &str| {
        let config = Config::parse(yaml, "x.yml").unwrap();
        let stores = setup.stores.stores(&config.remote_read, &Labels::empty());
        stores.map(|stores| stores.len()).map_err(|error| error.to_string())
    };
    assert_eq!(stores("remote_read: [{url: 'http://a'}, {url: 'http://a', read_recent: true}]"), Ok(2));
    let duplicate = "duplicate remote read configs are not allowed, found duplicate for URL: http://a";
    assert_eq!(stores("remote_read: [{url: 'http://a'}, {url: 'http://a'}]"), Err(duplicate.to_owned()));
}
