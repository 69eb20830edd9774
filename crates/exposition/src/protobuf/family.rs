//! The message `MetricFamily`: what it says of itself, and its metrics one by one.

use narthex_model::MetricType;

use super::key;
use super::wire::{Reader, Wrong};

/// A family that is being read.
#[derive(Debug, Default)]
pub(super) struct Family<'b> {
    pub(super) name: &'b [u8],
    pub(super) help: &'b [u8],
    pub(super) unit: &'b [u8],
    /// The number of the type, as in the body.
    kind: i32,
    /// What the keys of all its series begin with.
    pub(super) prefix: Vec<u8>,
    fields: Reader<'b>,
}

impl<'b> Family<'b> {
    /// Begins a family: reads all but its metrics, and looks that those are there whole.
    pub(super) fn begin(&mut self, bytes: &'b [u8]) -> Result<(), Wrong> {
        (self.name, self.help, self.unit, self.kind) = (b"", b"", b"", 0);
        let mut reader = Reader::new(bytes);
        while let Some(tag) = reader.tag("MetricFamily")? {
            match tag.field {
                1 => self.name = reader.bytes(tag, "Name")?,
                2 => self.help = reader.bytes(tag, "Help")?,
                3 => self.kind = reader.number(tag, "Type")? as i32,
                4 => drop(reader.bytes(tag, "Metric")?),
                5 => self.unit = reader.bytes(tag, "Unit")?,
                _ => reader.skip(tag)?,
            }
        }
        self.fields = Reader::new(bytes);
        key::family_prefix(self.name, self.unit, &mut self.prefix);
        Ok(())
    }

    /// The bytes of the next metric.
    #[inline]
    pub(super) fn next_metric(&mut self) -> Result<Option<&'b [u8]>, Wrong> {
        while let Some(tag) = self.fields.tag("MetricFamily")? {
            if tag.field == 4 {
                return self.fields.bytes(tag, "Metric").map(Some);
            }
            self.fields.skip(tag)?;
        }
        Ok(None)
    }

    /// The type; anything without a meaning is unknown (see [`Family::check`]).
    #[inline]
    pub(super) fn kind(&self) -> MetricType {
        match self.kind {
            0 => MetricType::Counter,
            1 => MetricType::Gauge,
            2 => MetricType::Summary,
            4 => MetricType::Histogram,
            5 => MetricType::GaugeHistogram,
            _ => MetricType::Unknown,
        }
    }

    /// Whether name, help and type can be used.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let name = String::from_utf8_lossy(self.name);
        if self.name.is_empty() || std::str::from_utf8(self.name).is_err() {
            return Err(Wrong::Content(format!("invalid metric name: {name}")));
        }
        let quoted = || narthex_model::quote_go(&name);
        if std::str::from_utf8(self.help).is_err() {
            let help = String::from_utf8_lossy(self.help);
            return Err(Wrong::Content(format!("invalid help for metric {}: {help}", quoted())));
        }
        if std::str::from_utf8(self.unit).is_err() {
            let unit = String::from_utf8_lossy(self.unit);
            return Err(Wrong::Content(format!("invalid unit for metric {}: {unit}", quoted())));
        }
        match self.kind {
            0..=5 => Ok(()),
            other => Err(Wrong::Content(format!("unknown metric type for metric {}: {other}", quoted()))),
        }
    }
}
