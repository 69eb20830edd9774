//! Requests of remote write as a receiver reads them: both protocols, as far as the loss tests look.
//!
//! Facts: the specifications of remote write 1.0 and 2.0. Read by prost, which shares nothing with the sender's own writing.

use narthex_model::Labels;
use prost::Message;

/// What a request says about a series. A histogram counts as a sample whose value is its sum.
#[derive(Clone)]
pub(crate) struct Sent {
    /// Labels as text, without those that the sender adds (`site` and `phase`, which reloads change).
    pub(crate) series: String,
    /// Time in ms, value.
    pub(crate) samples: Vec<(i64, f64)>,
    pub(crate) exemplars: Vec<(i64, f64)>,
    pub(crate) histograms: usize,
}

/// The name of a series: what one has in common with its copies at receivers, whatever was added on the way.
pub(crate) fn series<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    Labels::from_pairs(labels.filter(|(name, _)| !matches!(*name, "site" | "phase"))).to_string()
}

/// Reads a request by its `Content-Type`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(content_type: &str, body: &[u8]) -> Result<Vec<Sent>, Box<dyn std::error::Error>> {
    let message = snap::raw::Decoder::new().decompress_vec(body)?;
    if content_type.contains("io.prometheus.write.v2.Request") {
        let request = Request2::decode(&*message)?;
        request.timeseries.iter().map(|series| series.sent(&request.symbols)).collect()
    } else {
        Ok(Request1::decode(&*message)?.timeseries.iter().map(Series1::sent).collect())
    }
}

impl Series1 {
    fn sent(&self) -> Sent {
        let labels = self.labels.iter().map(|label| (&*label.name, &*label.value));
        Sent {
            series: series(labels),
            samples: samples(&self.samples, &self.histograms),
            exemplars: self.exemplars.iter().map(|e| (e.timestamp, e.value)).collect(),
            histograms: self.histograms.len(),
        }
    }
}

impl Series2 {
    fn sent(&self, symbols: &[String]) -> Result<Sent, Box<dyn std::error::Error>> {
        let symbol = |at: &u32| symbols.get(*at as usize).map(String::as_str).ok_or("no such symbol");
        let words: Vec<&str> = self.labels_refs.iter().map(symbol).collect::<Result<_, _>>()?;
        if !words.len().is_multiple_of(2) {
            return Err("a label without a value".into());
        }
        Ok(Sent {
            series: series(words.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            samples: samples(&self.samples, &self.histograms),
            exemplars: self.exemplars.iter().map(|e| (e.timestamp, e.value)).collect(),
            histograms: self.histograms.len(),
        })
    }
}

fn samples(floats: &[Sample], histograms: &[Histogram]) -> Vec<(i64, f64)> {
    let floats = floats.iter().map(|s| (s.timestamp, s.value));
    floats.chain(histograms.iter().map(|h| (h.timestamp, h.sum))).collect()
}

#[derive(Clone, PartialEq, Message)]
struct Request1 {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<Series1>,
}

#[derive(Clone, PartialEq, Message)]
struct Series1 {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<Exemplar>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Request2 {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<Series2>,
}

#[derive(Clone, PartialEq, Message)]
struct Series2 {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<Histogram>,
    #[prost(message, repeated, tag = "4")]
    exemplars: Vec<Exemplar>,
}

/// Of both protocols.
#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// Of both protocols; the labels are not looked at.
#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

/// Of both protocols; the buckets are not looked at.
#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(int64, tag = "15")]
    timestamp: i64,
}
