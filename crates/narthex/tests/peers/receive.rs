//! Receiving: what a real Prometheus sends by both protocols, and vmagent by 1.0, lies in our data directory as it lies in theirs.
//! Sending: what we send by both protocols lies at a real Prometheus, and at ourselves, as it lies here.
//!
//! Compared are all samples that the sender has, over the API, with exemplars; and whole data directories, as the real promtool dumps them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::{Server, encode, free_port, get, narthex, peer, wait};
use crate::protobuf::{exemplars, exporter};
use crate::{dump, target};

const V1: &str = "prometheus.WriteRequest";
const V2: &str = "io.prometheus.write.v2.Request";
const RECEIVER: &str = "--web.enable-remote-write-receiver";
const PATIENCE: Duration = Duration::from_secs(60);

fn start_receiver(binary: &Path, folder: &Path, more: &[&str]) -> Server {
    let flags: Vec<&str> = [RECEIVER].iter().chain(more).copied().collect();
    Server::prometheus(binary, folder, "global: {scrape_interval: 1h}\n", free_port(), &flags)
}

/// Waits until a query finds a value of at least `least`.
#[track_caller]
fn wait_for(server: &Server, query: &str, least: f64) {
    wait(query, PATIENCE, || {
        let data = server.api(&format!("/api/v1/query?query={}", encode(query)));
        let value: f64 = data["result"][0]["value"][1].as_str()?.parse().ok()?;
        (value >= least).then_some(())
    });
}

/// Both hold the same samples of all series; says how many.
#[track_caller]
fn check_same(promtool: &Path, ours: &Path, theirs: &Path) -> usize {
    let (ours, theirs) = (dump::dump(promtool, ours), dump::dump(promtool, theirs));
    for (what, lost) in [("lost", dump::missing(&theirs, &ours)), ("made up", dump::missing(&ours, &theirs))]
    {
        assert!(lost.is_empty(), "{} samples {what}, first {:?}", lost.len(), &lost[..lost.len().min(3)]);
    }
    dump::count(&ours)
}

/// Floats, native histograms of both kinds, custom buckets, exemplars.
#[test]
fn prometheus_sends_protocol_2_and_all_of_it_is_here() {
    let Some(prometheus) = peer("prometheus") else { return };
    check_all_arrives(&prometheus, &narthex(), V2, &["proto", "custom"]);
}

#[test]
fn protocol_2_is_sent_to_prometheus_and_all_of_it_is_there() {
    let Some(prometheus) = peer("prometheus") else { return };
    check_all_arrives(&narthex(), &prometheus, V2, &["proto", "custom"]);
}

#[test]
fn protocol_2_is_sent_to_ourselves_and_all_of_it_is_there() {
    check_all_arrives(&narthex(), &narthex(), V2, &["proto", "custom"]);
}

/// The same without custom buckets, which this protocol cannot say.
#[test]
fn prometheus_sends_protocol_1_and_all_of_it_is_here() {
    let Some(prometheus) = peer("prometheus") else { return };
    check_all_arrives(&prometheus, &narthex(), V1, &["proto"]);
}

/// The sender's own storage says what must be there.
#[track_caller]
fn check_all_arrives(from: &Path, to: &Path, message: &str, jobs: &[&str]) {
    let Some(script) = exporter() else { return };
    const FEATURES: &str = "--enable-feature=exemplar-storage,native-histograms,metadata-wal-records";
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let args = [script.display().to_string(), "--port".to_owned(), port.to_string()];
    let _exporter = Server::start(Path::new("python3"), &args, port, folder.path().join("exporter.log"));
    wait("the exporter", PATIENCE, || get(port, "/elsewhere").ok());
    let accepted = format!("--web.remote-write-receiver.accepted-protobuf-messages={message}");
    let (sending, receiving) = (folder.path().join("sender"), folder.path().join("receiver"));
    let receiver = start_receiver(to, &receiving, &[FEATURES, &accepted]);
    let mut config = "global: {scrape_interval: 1s}\nscrape_configs:\n".to_owned();
    for job in jobs {
        let convert = *job == "custom";
        config += &format!(
            "- {{job_name: {job}, metrics_path: /2/{job}, convert_classic_histograms_to_nhcb: {convert}, \
             static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}\n"
        );
    }
    let remote = format!(
        "remote_write:\n- url: http://127.0.0.1:{}/api/v1/write\n  protobuf_message: {message}\n  \
         send_native_histograms: true\n  send_exemplars: true\n",
        receiver.port
    );
    let sender = Server::prometheus(from, &sending, &format!("{config}{remote}"), free_port(), &[FEATURES]);
    wait_for(&receiver, "min(count_over_time(up[10m]))", 8.0);
    for job in jobs {
        let (ours, theirs) = (exemplars(&receiver, job), exemplars(&sender, job));
        assert!(!theirs.is_empty(), "{job} has no exemplars");
        assert_eq!(ours, theirs, "exemplars of {job}");
    }
    // Without targets nothing more comes, so both must soon hold the same.
    let (global, _) = config.split_once("scrape_configs").unwrap();
    std::fs::write(sending.join("config.yml"), format!("{global}{remote}")).unwrap();
    sender.signal("HUP");
    let samples = wait_for_the_same(&receiver, &sender);
    let log = receiver.log_text();
    assert!(!log.contains("Error handling remote write request"), "{log}");
    println!("{samples} samples sent as {message}, all there");
}

/// Waits until both show the same samples, and says how many; else what it is that only one of them has.
#[track_caller]
fn wait_for_the_same(receiver: &Server, sender: &Server) -> usize {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (got, want) = (everything(receiver), everything(sender));
        if !want.is_empty() && got == want {
            return want.values().map(Vec::len).sum();
        }
        let differing = want.keys().chain(got.keys()).find(|series| got.get(*series) != want.get(*series));
        let of = |all: &BTreeMap<String, Vec<String>>| differing.map(|series| all.get(series).cloned());
        let (got, want) = (of(&got), of(&want));
        assert!(
            Instant::now() < deadline,
            "{differing:?} is not the same: received\n{got:?}\nsent\n{want:?}\n{}",
            sender.log_text()
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Every sample of every series, floats and histograms, with its time. The encoding of the sender has no `-0`.
fn everything(server: &Server) -> BTreeMap<String, Vec<String>> {
    let data = server.api(&format!("/api/v1/query?query={}", encode("{__name__!=\"\"}[10m]")));
    let series = data["result"].as_array().unwrap().iter().map(|series| {
        let kinds = ["values", "histograms"].into_iter().filter_map(|kind| series[kind].as_array());
        let shown = kinds.flatten().map(|sample| sample.to_string().replace("\"-0\"", "\"0\""));
        (series["metric"].to_string(), shown.collect())
    });
    series.collect()
}

/// vmagent sends zstd first, and falls back to snappy where that is not taken: at the real Prometheus, not here.
#[test]
fn vmagent_sends_protocol_1_and_all_of_it_is_here() {
    let (Some(prometheus), Some(promtool), Some(vmagent)) =
        (peer("prometheus"), peer("promtool"), peer("vmagent"))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (our_folder, their_folder) = (folder.path().join("ours"), folder.path().join("theirs"));
    let ours = start_receiver(&narthex(), &our_folder, &[]);
    let theirs = start_receiver(&prometheus, &their_folder, &[]);
    let (file, port) = (folder.path().join("scrape.yml"), free_port());
    let target = target::start(100);
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- {{job_name: shipped, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}\n"
    );
    std::fs::write(&file, config).unwrap();
    let mut args = vec![
        format!("-promscrape.config={}", file.display()),
        format!("-httpListenAddr=127.0.0.1:{port}"),
        format!("-remoteWrite.tmpDataPath={}", folder.path().join("vmagent").display()),
    ];
    args.extend(
        [&ours, &theirs].map(|s| format!("-remoteWrite.url=http://127.0.0.1:{}/api/v1/write", s.port)),
    );
    let mut agent = Server::start(&vmagent, &args, port, folder.path().join("vmagent.log"));
    for server in [&ours, &theirs] {
        wait_for(server, "min(count_over_time(shipped[10m]))", 8.0);
    }
    assert!(agent.terminate().success(), "{}", agent.log_text());
    let log = ours.log_text();
    assert!(!log.contains("Error handling remote write request"), "{log}");
    let count = |server: &Server| {
        let data = server.api("/api/v1/query?query=sum(count_over_time(shipped%5B10m%5D))");
        data["result"][0]["value"][1].as_str().unwrap_or_default().to_owned()
    };
    wait("the same in both", PATIENCE, || (count(&ours) == count(&theirs)).then_some(()));
    assert!(ours.stop().success() && theirs.stop().success());
    let samples = check_same(&promtool, &our_folder.join("data"), &their_folder.join("data"));
    println!("{samples} samples sent by vmagent, all here");
}
