//! Profiles of the running server, read as `go tool pprof` reads them: they are valid, tell something, and name our functions.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use prost::Message as _;

use crate::harness::{Narthex, SOON, scraping};
use crate::process::{free_port, wait};

/// What we look at of `profile.proto`.
#[derive(Clone, PartialEq, prost::Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<Pair>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Pair>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(int64, tag = "12")]
    period: i64,
}

/// A type and its unit, or a function's number and name.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Pair {
    #[prost(int64, tag = "1")]
    first: i64,
    #[prost(int64, tag = "2")]
    second: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
}

impl Profile {
    fn fetch(server: &Narthex, path: &str) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        write!(stream, "GET /debug/pprof/{path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let split = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..split].to_vec()).unwrap().to_lowercase();
        let name = path.split('?').next().unwrap();
        assert!(head.starts_with("http/1.0 200") || head.starts_with("http/1.1 200"), "{path}: {head}");
        assert!(head.contains("content-type: application/octet-stream"), "{path}: {head}");
        assert!(head.contains(&format!("attachment; filename=\"{name}")), "{path}: {head}");
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&answer[split + 4..]).read_to_end(&mut plain).unwrap();
        let profile = Self::decode(&plain[..]).unwrap();
        profile.check(path);
        profile
    }

    /// What `pprof` refuses a profile for.
    fn check(&self, path: &str) {
        assert_eq!(self.string_table[0], "", "{path}");
        let ids = |n: usize| (1..=n as u64).collect::<Vec<_>>();
        assert_eq!(
            self.location.iter().map(|l| l.id).collect::<Vec<_>>(),
            ids(self.location.len()),
            "{path}"
        );
        assert_eq!(self.mapping.iter().map(|m| m.id).collect::<Vec<_>>(), ids(self.mapping.len()), "{path}");
        for sample in &self.sample {
            assert_eq!(sample.value.len(), self.sample_type.len(), "{path}");
            assert!(
                sample.location_id.iter().all(|id| self.location.get(*id as usize - 1).is_some()),
                "{path}"
            );
        }
        assert!(self.location.iter().all(|l| l.mapping_id as usize <= self.mapping.len()), "{path}");
        let own = &self.string_table[self.mapping[0].filename as usize];
        assert!(own.ends_with("/narthex"), "{path}: the program comes first, not {own}");
    }

    /// Of each function that is under way in any sample the sum of the values at `nth`.
    fn by_function(&self, nth: usize) -> HashMap<&str, i64> {
        let mut sums = HashMap::new();
        for sample in &self.sample {
            let locations = sample.location_id.iter().map(|id| &self.location[*id as usize - 1]);
            let functions =
                locations.filter_map(|l| self.function.get(l.line.first()?.function_id as usize - 1));
            for name in functions.map(|f| self.string_table[f.second as usize].as_str()) {
                *sums.entry(name).or_insert(0) += sample.value[nth];
            }
        }
        sums
    }

    fn total(&self, nth: usize) -> i64 {
        self.sample.iter().map(|sample| sample.value[nth]).sum()
    }
}

#[test]
fn profiles_name_what_the_server_does() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let server = Narthex::start_on(folder.path(), &scraping(port), &[], port);
    wait("a scrape", SOON, || server.query("up"));

    // Somebody asks all the time meanwhile.
    let enough = AtomicBool::new(false);
    let cpu = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !enough.load(Ordering::Relaxed) {
                server.query("sum by (__name__) (rate({__name__=~\".+\"}[5m]))");
            }
        });
        let cpu = wait("samples", SOON, || {
            let profile = Profile::fetch(&server, "profile?seconds=1");
            (profile.total(0) > 5).then_some(profile)
        });
        enough.store(true, Ordering::Relaxed);
        cpu
    });
    assert!(cpu.duration_nanos >= 1_000_000_000);
    assert_eq!((cpu.period, cpu.total(1)), (10_000_000, cpu.total(0) * 10_000_000));
    let functions = cpu.by_function(0);
    let own: i64 = functions.iter().filter(|(name, _)| name.contains("narthex")).map(|(_, n)| n).sum();
    assert!(cpu.total(0) > 0 && own > 0, "{functions:?}");

    let heap = Profile::fetch(&server, "heap");
    assert_eq!((heap.period, heap.sample_type.len()), (2 << 20, 4));
    assert!(heap.total(1) >= heap.total(3), "{} bytes in use", heap.total(3));
    wait("samples of allocations", SOON, || {
        server.query("sum by (__name__) (rate({__name__=~\".+\"}[5m]))");
        let allocs = Profile::fetch(&server, "allocs");
        let is_ours = |(name, bytes): (&&str, &i64)| name.contains("narthex") && *bytes > 0;
        (allocs.total(1) > 0 && allocs.by_function(1).iter().any(is_ours)).then_some(())
    });
    drop(Profile::fetch(&server, "heap?seconds=1"));

    let threads = Profile::fetch(&server, "goroutine");
    assert!(threads.total(0) > 3 && threads.by_function(0).keys().any(|name| name.contains("tokio")));
    assert_eq!(Profile::fetch(&server, "threadcreate").total(0), threads.total(0));
    assert!(Profile::fetch(&server, "fgprof?seconds=1").total(1) > 1_000_000_000, "all threads together");
    for empty in ["block", "mutex"] {
        assert!(Profile::fetch(&server, empty).sample.is_empty());
    }
}

#[test]
fn the_command_line_and_texts_for_people_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Narthex::start(folder.path(), crate::harness::EMPTY, &["--web.page-title=a b"]);
    let (status, words) = server.get("/debug/pprof/cmdline");
    let words: Vec<&str> = words.split('\0').collect();
    assert!(
        status == 200 && words[0].ends_with("narthex") && words.contains(&"--web.page-title=a b"),
        "{words:?}"
    );
    let (status, page) = server.get("/debug/pprof/");
    assert!(status == 200 && page.contains("goroutine?debug=1"), "{page}");
    let (status, text) = server.get("/debug/pprof/heap?debug=1");
    assert!(status == 200 && text.contains("inuse_space/bytes"), "{text}");
}
