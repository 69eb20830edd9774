//! Catching up after an outage: log → lanes → requests → a receiver in another process that only reads.
//!
//! Data: 100,000 series with ten labels, scrapes of 1,000 series, values a third constant, a third counters, a third noise. Queue
//! settings are the defaults. Run: `cargo bench -p narthex-remote --bench catch_up [samples]`; without `--bench` it runs tiny, as a
//! test. Prints samples/s and CPU µs a sample of the sender alone, bytes on the wire, and a checksum (samples sent).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use narthex_config::{RemoteWriteConfig, Url};
use narthex_metrics::{Registry, Value};
use narthex_model::Labels;
use narthex_remote::{RemoteWrite, RemoteWriteOptions};
use narthex_storage::SeriesRef;
use narthex_wal::record::{RefSample, encode_samples, encode_series};
use narthex_wal::{Compression, WalMetrics, WalOptions, Writer};

const SCRAPE: usize = 1_000;

fn labels(n: usize) -> Labels {
    let (target, series) = (n / SCRAPE, n % SCRAPE);
    Labels::from_pairs([
        ("__name__", format!("bench_metric_{}_total", series % 100).as_str()),
        ("instance", &format!("10.0.{}.{}:9100", target / 250, target % 250)),
        ("job", "node"),
        ("cluster", "eu-west-1-production"),
        ("namespace", "monitoring"),
        ("pod", &format!("node-exporter-{target:05}")),
        ("device", &format!("dev{}", series / 100)),
        ("mode", "system"),
        ("service", "node-exporter"),
        ("team", "infrastructure"),
    ])
}

fn fill(writer: &mut Writer, series: usize, samples: usize) {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut record = Vec::new();
    for target in 0..series / SCRAPE {
        let sets: Vec<_> =
            (target * SCRAPE..(target + 1) * SCRAPE).map(|n| (SeriesRef(n as u64 + 1), labels(n))).collect();
        record.clear();
        encode_series(sets.iter().map(|(series, labels)| (*series, labels)), &mut record);
        writer.log(&[&record]).expect("the disk takes it");
    }
    for round in 0..samples / series {
        for target in 0..series / SCRAPE {
            let sample = |i: usize| RefSample {
                series: SeriesRef((target * SCRAPE + i) as u64 + 1),
                t_ms: 1_795_310_700_000 + round as i64 * 15_000,
                start_ms: 0,
                value: match i % 3 {
                    0 => (i % 7) as f64,
                    1 => (i * 100 + round * (i % 50)) as f64,
                    _ => 1e6 * rng.f64(),
                },
            };
            let batch: Vec<_> = (0..SCRAPE).map(sample).collect();
            record.clear();
            encode_samples(&batch, &mut record);
            writer.log(&[&record]).expect("the disk takes it");
        }
    }
}

/// Reads requests and answers 204, a thread per connection, until the parent is gone.
fn receive() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("it is bound").port());
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || answer(stream));
    }
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut input = BufReader::with_capacity(1 << 18, stream);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if input.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        body.resize(length, 0);
        input.read_exact(&mut body)?;
        out.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    }
}

fn start_receiver() -> (Child, u16) {
    let program = std::env::current_exe().expect("this program");
    let mut child =
        Command::new(program).arg("receive").stdout(Stdio::piped()).spawn().expect("a second process");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is piped"))
        .read_line(&mut line)
        .expect("it prints its port");
    (child, line.trim().parse().expect("a port"))
}

/// CPU time of this process, seconds.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("the name ends").split(' ').collect();
    let ticks: u64 = fields[11..13].iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn metric(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let found = families.iter().find(|family| family.name == name).and_then(|family| family.metrics.first());
    match found.map(|metric| &metric.value) {
        Some(Value::Number(value)) => *value,
        _ => 0.0,
    }
}

async fn ship(dir: &std::path::Path, writer: &mut Writer, port: u16, series: usize, samples: usize) {
    let registry = Registry::new();
    let options = RemoteWriteOptions {
        data_dir: dir.to_owned(),
        tip: writer.tip(),
        flush_deadline: Duration::from_secs(600),
        backlog: None,
        live: None,
        metadata: None,
    };
    let remote = RemoteWrite::new(options, &registry);
    let url = format!("http://127.0.0.1:{port}/api/v1/write");
    let config = RemoteWriteConfig { url: Url::parse(&url).ok(), ..RemoteWriteConfig::default() };
    // The endpoint gets its cursor before the samples are there, and then dies.
    remote.apply_config(std::slice::from_ref(&config), &Labels::empty()).await.expect("a cursor");
    drop(remote);
    fill(writer, series, samples);
    let options = RemoteWriteOptions {
        data_dir: dir.to_owned(),
        tip: writer.tip(),
        flush_deadline: Duration::from_secs(600),
        backlog: None,
        live: None,
        metadata: None,
    };
    let remote = RemoteWrite::new(options, &registry);
    let (started, cpu) = (Instant::now(), cpu_s());
    remote.apply_config(&[config], &Labels::empty()).await.expect("the cursor is there");
    let sent = "prometheus_remote_storage_samples_total";
    let mut top_mib = 0;
    while metric(&registry, sent) < samples as f64 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        top_mib = top_mib.max(resident_mib());
    }
    let (s, cpu) = (started.elapsed().as_secs_f64(), cpu_s() - cpu);
    remote.stop().await;
    println!(
        "catch-up: {:.0} samples/s, {:.3} CPU µs a sample, {:.1} bytes a sample on the wire, {top_mib} MiB resident, \
         {:.0} places; checksum {}",
        samples as f64 / s,
        cpu * 1e6 / samples as f64,
        metric(&registry, "prometheus_remote_storage_bytes_total") / samples as f64,
        metric(&registry, "prometheus_remote_storage_shards"),
        metric(&registry, sent),
    );
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("receive") {
        return receive();
    }
    let full = std::env::args().any(|arg| arg == "--bench");
    let asked = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let samples: usize = asked.unwrap_or(if full { 10_000_000 } else { 20_000 });
    let series = if full || asked.is_some() { 100_000 } else { 2_000 };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let metrics = WalMetrics::for_wal(&Registry::new(), Compression::Snappy);
    let mut writer =
        Writer::open(&dir.path().join("wal"), WalOptions::default(), metrics).expect("it is empty");
    let (mut child, port) = start_receiver();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(ship(dir.path(), &mut writer, port, series, samples));
    let _ = child.kill();
    let _ = child.wait();
}
