//! What it costs to read a body: split into lines, check name and labels, parse the value.
//!
//! Isolates the parser: no cache, no series look-up. Data: generated, 6,000 lines of some 215 bytes as exporters of containers,
//! HTTP servers and machines write them. `hinted` passes the raw bytes of the same line of an earlier body, as a scrape does.
//! The baseline splits each line at its last blank and parses the number, without checking anything.
//! `protobuf`: the same series as delimited messages; `cold` builds the key of each series, as a scrape does for one that is not
//! where it was.
//! Run: `cargo bench -p narthex-exposition --bench parse`. Without `--bench` it runs once, as a test.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use narthex_exposition::{
    Dialect, Entry, HistogramOptions, Parser, ProtoEntry, ProtoParser, decode_key, decode_labels,
};
use narthex_model::{LabelsBuilder, MetricType};

/// A body of some `families * 250` lines. `turn` moves the values but not the labels.
fn body(families: usize, turn: u64, open_metrics: bool) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(9);
    let mut out = String::new();
    for family in 0..families {
        let suffix = if open_metrics { "" } else { "_total" };
        let name = [
            "container_cpu_usage_seconds",
            "container_network_receive_bytes",
            "http_server_requests",
            "node_disk_io",
        ][family % 4];
        writeln!(out, "# HELP {name}_{family}{suffix} Generated.\n# TYPE {name}_{family}{suffix} counter")
            .expect("a string");
        for line in 0..250 {
            let (hash, number) = (random.u64(..), random.u64(0..100_000_000));
            write!(out, "{name}_{family}_total{{").expect("a string");
            match family % 4 {
                0 | 1 => write!(
                    out,
                    "container=\"app-{}\",id=\"/kubepods/burstable/pod{hash:016x}/{:016x}\",image=\"platform/app:v1.{}\",\
                     namespace=\"team-{}\",pod=\"app-{:09x}-{:05x}\"",
                    line % 17, hash.rotate_left(9), line % 9, line % 5, hash >> 28, hash & 0xfffff
                ),
                2 => write!(
                    out,
                    "service=\"checkout-{:05x}\",handler=\"/api/v1/orders/{line}\",method=\"POST\",status=\"{}\",\
                     region=\"eu-west-{}\",le=\"{}\",instance_id=\"i-{hash:016x}\",version=\"2026.11.{}\",zone=\"zone-{}\"",
                    hash & 0xfffff, 200 + line % 5, line % 3, [0.005, 0.25, 1.0, 10.0][line % 4], line % 28, line % 3
                ),
                _ => write!(out, "device=\"/dev/nvme{}n1p{}\",mountpoint=\"/var/lib/data/{:x}\"", line % 8, line % 4, hash >> 40),
            }
            .expect("a string");
            let value = number + turn * 17;
            match line % 4 {
                0 => writeln!(out, "}} {value}"),
                1 => writeln!(out, "}} {}.{:02}", value / 100, value % 100),
                2 => writeln!(out, "}} {:e}", value as f64 / 1e3),
                _ => writeln!(out, "}} {}", value as f64 / 7.0),
            }
            .expect("a string");
        }
    }
    if open_metrics {
        out.push_str("# EOF\n");
    }
    out.into_bytes()
}

/// Reads a body: how many samples, and a checksum over their values and raw bytes.
fn read(body: &[u8], dialect: Dialect, hints: &[&[u8]]) -> (usize, u64) {
    let mut parser = Parser::new(body, dialect);
    let (mut count, mut sum) = (0, 0u64);
    while let Some(entry) =
        parser.next_like(hints.get(count).copied().unwrap_or_default()).expect("the body is well formed")
    {
        if let Entry::Series(series) = entry {
            count += 1;
            sum = sum.rotate_left(5) ^ series.value.to_bits() ^ series.raw.len() as u64;
        }
    }
    (count, sum)
}

/// The raw bytes of each series, as a scrape keeps them.
fn raws(body: &[u8], dialect: Dialect) -> Vec<&[u8]> {
    let mut parser = Parser::new(body, dialect);
    let mut raws = Vec::new();
    while let Some(entry) = parser.next().expect("the body is well formed") {
        if let Entry::Series(series) = entry {
            raws.push(series.raw);
        }
    }
    raws
}

/// Decodes the labels of each series, as a scrape does for new ones.
fn decode(raws: &[&[u8]], dialect: Dialect) -> (usize, u64) {
    let mut sum = 0u64;
    let mut builder = LabelsBuilder::new();
    for raw in raws {
        builder.clear();
        decode_labels(raw, dialect, MetricType::Counter, &mut builder).expect("the labels are fine");
        sum = sum.rotate_left(5)
            ^ builder.iter().map(|(n, v)| n.len() as u64 * 31 + v.len() as u64).sum::<u64>();
    }
    (raws.len(), sum)
}

fn baseline(body: &[u8]) -> (usize, u64) {
    let text = std::str::from_utf8(body).expect("the body is text");
    let (mut count, mut sum) = (0, 0u64);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (raw, value) = line.rsplit_once(' ').expect("a line has a value");
        let value: f64 = value.parse().expect("a number");
        count += 1;
        sum = sum.rotate_left(5) ^ value.to_bits() ^ raw.len() as u64;
    }
    (count, sum)
}

/// The time of the fastest run in nanoseconds, which other programs on the machine disturbed least, with what it returned.
fn measure(rounds: usize, run: impl Fn() -> (usize, u64)) -> (f64, (usize, u64)) {
    let mut times = Vec::with_capacity(rounds);
    let mut result = (0, 0);
    for _ in 0..rounds {
        let start = Instant::now();
        result = black_box(run());
        times.push(start.elapsed().as_nanos() as f64);
    }
    times.sort_by(f64::total_cmp);
    (times[0], result)
}

/// The same series as protobuf: a family for each of the text's, every value a counter.
fn protobuf(text: &[u8]) -> Vec<u8> {
    let mut parser = Parser::new(text, Dialect::Text);
    let (mut out, mut family, mut name) = (Vec::new(), Vec::new(), Vec::new());
    let mut finish = |name: &[u8], family: &mut Vec<u8>| {
        if !family.is_empty() {
            let mut message = Vec::new();
            push_bytes(&mut message, 1, name);
            message.append(family);
            push_varint(&mut out, message.len() as u64);
            out.append(&mut message);
        }
    };
    while let Some(entry) = parser.next().expect("the body is well formed") {
        let Entry::Series(series) = entry else { continue };
        let mut builder = LabelsBuilder::new();
        decode_labels(series.raw, Dialect::Text, parser.kind(), &mut builder).expect("the labels are fine");
        let labels = builder.labels();
        if labels.metric_name().as_bytes() != name {
            finish(&name, &mut family);
            name = labels.metric_name().as_bytes().to_vec();
        }
        let mut metric = Vec::new();
        for (label, value) in labels.iter().filter(|(label, _)| *label != "__name__") {
            let mut pair = Vec::new();
            push_bytes(&mut pair, 1, label.as_bytes());
            push_bytes(&mut pair, 2, value.as_bytes());
            push_bytes(&mut metric, 1, &pair);
        }
        let value = [&[0x09][..], &series.value.to_bits().to_le_bytes()].concat();
        push_bytes(&mut metric, 3, &value);
        push_bytes(&mut family, 4, &metric);
    }
    finish(&name, &mut family);
    out
}

fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn push_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads a protobuf body: how many samples, and a checksum over their values and whether they were as hinted.
fn read_protobuf(body: &[u8], hints: &[Vec<u8>]) -> (usize, u64) {
    let mut parser = ProtoParser::new(body, HistogramOptions::default());
    let (mut count, mut sum, mut key) = (0, 0u64, Vec::new());
    let hint = |count: usize| hints.get(count).map_or(&[][..], Vec::as_slice);
    while let Some(entry) = parser.next_like(hint(count)).expect("the body is well formed") {
        if entry == ProtoEntry::Series {
            // As a scrape does: what is not as expected is looked up by its key.
            if !parser.as_hinted() {
                key.clear();
                parser.push_key(&mut key);
                black_box(&key);
            }
            count += 1;
            sum = sum.rotate_left(5) ^ parser.value().to_bits();
        }
    }
    (count, sum)
}

fn keys(body: &[u8]) -> Vec<Vec<u8>> {
    let mut parser = ProtoParser::new(body, HistogramOptions::default());
    let mut keys = Vec::new();
    while let Some(entry) = parser.next_like(b"").expect("the body is well formed") {
        if entry == ProtoEntry::Series {
            keys.push(Vec::new());
            parser.push_key(keys.last_mut().expect("pushed above"));
        }
    }
    keys
}

fn measure_protobuf(families: usize, rounds: usize) {
    let (before, now) = (protobuf(&body(families, 0, false)), protobuf(&body(families, 1, false)));
    let hints = keys(&before);
    let decode = || {
        let (mut builder, mut sum) = (LabelsBuilder::new(), 0u64);
        for key in &hints {
            builder.clear();
            decode_key(key, false, &mut builder).expect("the labels are fine");
            sum += builder.iter().map(|(n, v)| (n.len() + v.len()) as u64).sum::<u64>();
        }
        (hints.len(), sum)
    };
    let (ns, (count, sum)) = measure(rounds, decode);
    println!("protobuf     labels  {:6.1} ns/series to decode, checksum {sum:016x}", ns / count as f64);
    for (mode, hints) in [("cold", &[][..]), ("hinted", &hints[..])] {
        let (ns, got) = measure(rounds, || read_protobuf(&now, hints));
        println!(
            "protobuf     {mode:7} {:6.0} MB/s {:6.1} ns/series of {} bytes, checksum {:016x}",
            now.len() as f64 * 1e3 / ns,
            ns / got.0 as f64,
            now.len() / got.0,
            got.1
        );
    }
}

fn main() {
    let full = std::env::args().any(|arg| arg == "--bench");
    let (families, rounds) = if full { (24, 101) } else { (4, 1) };
    for (dialect, name) in [(Dialect::Text, "text"), (Dialect::OpenMetrics, "openmetrics")] {
        let open_metrics = dialect == Dialect::OpenMetrics;
        let (before, now) = (body(families, 0, open_metrics), body(families, 1, open_metrics));
        let hints = raws(&before, dialect);
        let (plain_ns, want) = measure(rounds, || baseline(&now));
        let (ns, (count, sum)) = measure(rounds, || decode(&hints, dialect));
        println!("{name:12} labels  {:6.1} ns/series to decode, checksum {sum:016x}", ns / count as f64);
        for (mode, hints) in [("cold", &[][..]), ("hinted", &hints[..])] {
            let (ns, got) = measure(rounds, || read(&now, dialect, hints));
            assert_eq!(got, want, "the parser and the baseline see the same samples");
            println!(
                "{name:12} {mode:7} {:6.0} MB/s {:6.1} ns/line of {} bytes, {:.2}x the baseline's {:.1} ns, checksum {:016x}",
                now.len() as f64 * 1e3 / ns,
                ns / got.0 as f64,
                now.len() / got.0,
                ns / plain_ns,
                plain_ns / got.0 as f64,
                got.1
            );
        }
    }
    measure_protobuf(families, rounds);
}
