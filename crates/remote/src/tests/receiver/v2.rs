//! The receiver's way with 2.0: that of Prometheus, which stores what it can and refuses what is older than the newest.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use narthex_model::Labels;
use prost::Message as _;

use super::{Mode, Taken};
use crate::receive::v2::tests::wire::{Request, TimeSeries};

pub(super) const CONTENT_TYPE: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

/// A series of a request that was stored, by its labels.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) labels: String,
    pub(crate) series: TimeSeries,
    /// Type, help and unit.
    pub(crate) metadata: Option<(i32, String, String)>,
}

pub(super) fn take(body: &[u8], taken: &mut Taken, mode: Mode) -> Response<Full<Bytes>> {
    let request = Request::decode(&*snap::raw::Decoder::new().decompress_vec(body).unwrap()).unwrap();
    let text = |number: u32| request.symbols[number as usize].clone();
    let (mut written, mut refused) = ([0; 3], String::new());
    for series in &request.timeseries {
        let pairs: Vec<_> = series.labels_refs.chunks(2).map(|pair| (text(pair[0]), text(pair[1]))).collect();
        let labels = Labels::from_pairs(pairs.iter().map(|(name, value)| (name, value)));
        let number = labels.get("n").and_then(|n| n.parse::<u64>().ok());
        if let (Mode::RefuseMultiples(of), Some(n)) = (mode, number)
            && n % of == 0
        {
            refused = format!("series {labels} is not welcome");
            continue;
        }
        if series.samples.is_empty() && series.histograms.is_empty() {
            refused = format!("series {labels} has no samples");
            continue;
        }
        let known = taken.samples.entry(labels.to_string()).or_default();
        for sample in &series.samples {
            let new = (sample.timestamp, sample.value.to_bits());
            match known.last() {
                Some(last) if *last == new => written[0] += 1,
                Some(last) if last.0 >= new.0 => refused = format!("out of order sample of {labels}"),
                _ => {
                    written[0] += 1;
                    known.push(new);
                }
            }
        }
        written[1] += series.histograms.len();
        written[2] += series.exemplars.len();
        let metadata = series.metadata.map(|m| (m.kind, text(m.help_ref), text(m.unit_ref)));
        taken.series_v2.push(Stored { labels: labels.to_string(), series: series.clone(), metadata });
    }
    let [samples, histograms, exemplars] = written.map(|count| count.to_string());
    Response::builder()
        .status(if refused.is_empty() { 204 } else { 400 })
        .header("x-prometheus-remote-write-samples-written", samples)
        .header("x-prometheus-remote-write-histograms-written", histograms)
        .header("x-prometheus-remote-write-exemplars-written", exemplars)
        .body(Full::from(refused))
        .unwrap()
}
