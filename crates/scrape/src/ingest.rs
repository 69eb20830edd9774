//! From a body to a batch: the hot path of scraping.
//!
//! PERF: a line that is where it was costs the parser's scan of value and line end, a compare with the cached bytes, and one
//! `append`: no hash, no label, no allocation. Bench: `cargo bench -p narthex-scrape --bench ingest`.
//! Always true: the batch is only filled here, the caller commits or rolls back; after an error the cache knows what it knew before.

mod filling;
pub(crate) mod line;
mod refused;
mod start_synthesis;

use std::borrow::Cow;

use narthex_config::ScrapeConfig;
use narthex_exposition::{
    CustomEntry, CustomHistograms, Dialect, Entry, Format, HistogramOptions, Parser, ProtoEntry, ProtoParser,
    choose_format,
};
use narthex_model::Labels;
use narthex_storage::{Appender, SeriesRef};

use crate::error::ScrapeError;
use crate::metadata_cache::{MetadataCache, MetadataPass};
use crate::metrics::ScrapeMetrics;
use crate::options::ScrapeOptions;
use crate::series_cache::{Hint, Pass, SeriesCache};
use filling::Filling;
use line::{CustomLine, HistogramLimits, ProtoLine, TextLine};
use start_synthesis::StartSynthesis;

/// Samples may be this far in the future.
pub(crate) const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;

/// What the automatic series tell of a scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) scraped: u64,
    pub(crate) post_relabeling: u64,
    pub(crate) series_added: u64,
}

/// What is fixed for one scrape.
pub(crate) struct Scrape<'a> {
    pub(crate) config: &'a ScrapeConfig,
    pub(crate) fallback: Option<Format>,
    pub(crate) public: &'a Labels,
    pub(crate) metrics: &'a ScrapeMetrics,
    /// The timestamp of samples without one, ms.
    pub(crate) at_ms: i64,
    /// The clock, ms: bounds timestamps of the target.
    pub(crate) now_ms: i64,
    pub(crate) options: &'a ScrapeOptions,
    pub(crate) histograms: HistogramOptions,
    pub(crate) limits: HistogramLimits,
}

/// What a target keeps from scrape to scrape.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) series: SeriesCache,
    pub(crate) metadata: MetadataCache,
    /// There with the feature only.
    starts: Option<Box<StartSynthesis>>,
    /// Of the last body: the bytes of its lines mean nothing in another format.
    format: Option<Format>,
}

impl Scrape<'_> {
    /// Appends the samples of `body`. Series that ended are added to `stale`: after a good body those that are not in it any
    /// more, after a bad one all.
    pub(crate) fn ingest(
        &self,
        body: &[u8],
        content_type: &str,
        memory: &mut Memory,
        appender: &mut dyn Appender,
        (hint, stale): (&mut Hint, &mut Vec<SeriesRef>),
    ) -> (Counts, Result<(), ScrapeError>) {
        let format = match self.format(content_type) {
            Ok(format) => format,
            Err(error) => {
                memory.series.end_all(stale);
                return (Counts::default(), Err(error));
            }
        };
        if memory.format.replace(format).is_some_and(|before| before != format) {
            memory.series.relearn();
        }
        let starts = match self.options.synthesize_starts {
            true => Some(&mut **memory.starts.get_or_insert_default()),
            false => None,
        };
        let mut filling = Filling::new(self, appender, starts);
        let mut pass = memory.series.pass(hint);
        let mut families = memory.metadata.pass();
        let mut outcome = match format.dialect() {
            Some(dialect) if self.histograms.to_custom => {
                self.custom(body, dialect, &mut filling, &mut pass, &mut families)
            }
            Some(dialect) => self.text(body, dialect, &mut filling, &mut pass, &mut families),
            None => self.protobuf(body, &mut filling, &mut pass, &mut families),
        };
        // What was read of a bad body is still the newest word on its families.
        families.finish(outcome.is_ok());
        if filling.over_limit {
            self.metrics.exceeded_sample_limit.inc();
            outcome = outcome.and(Err(ScrapeError::SampleLimit));
        }
        if filling.over_buckets {
            self.metrics.exceeded_bucket_limit.inc();
            outcome = outcome.and(Err(ScrapeError::BucketLimit));
        }
        match outcome {
            Ok(()) => {
                filling.starts.iter_mut().for_each(|starts| starts.finish());
                pass.finish(stale);
            }
            Err(_) => pass.abandon(stale),
        }
        stale.append(&mut filling.moved);
        filling.refused.publish(self.metrics);
        (filling.counts, outcome)
    }

    fn format(&self, content_type: &str) -> Result<Format, ScrapeError> {
        let (format, warning) = choose_format(content_type, self.fallback)?;
        if let Some(warning) = warning {
            tracing::debug!(content_type, %warning, "Invalid content type on scrape, using fallback setting.");
        }
        Ok(format)
    }

    fn parser<'b>(&self, body: &'b [u8], dialect: Dialect) -> Parser<'b> {
        let parser = Parser::new(body, dialect);
        if self.options.parses_starts() { parser.without_created_series() } else { parser }
    }

    fn text(
        &self,
        body: &[u8],
        dialect: Dialect,
        filling: &mut Filling<'_>,
        pass: &mut Pass<'_>,
        families: &mut MetadataPass<'_>,
    ) -> Result<(), ScrapeError> {
        let type_and_unit = self.options.type_and_unit_labels;
        let mut parser = self.parser(body, dialect);
        while let Some(entry) = parser.next_like(pass.hint())? {
            match &entry {
                Entry::Series(series) => {
                    let mut line = TextLine { series, parser: &mut parser, type_and_unit };
                    filling.series(&mut line, pass, families)?;
                }
                entry => families.note(entry),
            }
        }
        Ok(())
    }

    /// Text whose classic histograms become native ones.
    fn custom(
        &self,
        body: &[u8],
        dialect: Dialect,
        filling: &mut Filling<'_>,
        pass: &mut Pass<'_>,
        families: &mut MetadataPass<'_>,
    ) -> Result<(), ScrapeError> {
        let type_and_unit = self.options.type_and_unit_labels;
        let (parser, starts) = (self.parser(body, dialect), self.options.parses_starts());
        let mut histograms = CustomHistograms::new(parser, self.histograms.classic, starts);
        while let Some(entry) = histograms.next_like(pass.hint())? {
            match entry {
                CustomEntry::Histogram => {
                    let mut line = CustomLine { histograms: &mut histograms, type_and_unit };
                    filling.series(&mut line, pass, families)?;
                }
                CustomEntry::Text(Entry::Series(series)) => {
                    let mut line = TextLine { series: &series, parser: histograms.text(), type_and_unit };
                    filling.series(&mut line, pass, families)?;
                }
                CustomEntry::Text(entry) => families.note(&entry),
            }
        }
        Ok(())
    }

    fn protobuf(
        &self,
        body: &[u8],
        filling: &mut Filling<'_>,
        pass: &mut Pass<'_>,
        families: &mut MetadataPass<'_>,
    ) -> Result<(), ScrapeError> {
        let type_and_unit = self.options.type_and_unit_labels;
        let (mut parser, mut key) = (ProtoParser::new(body, self.histograms), Vec::new());
        while let Some(entry) = parser.next_like(pass.hint())? {
            if entry == ProtoEntry::Family {
                note_family(&parser, families);
                continue;
            }
            let histogram = entry == ProtoEntry::Histogram;
            let mut line = ProtoLine { parser: &mut parser, key: &mut key, histogram, type_and_unit };
            filling.series(&mut line, pass, families)?;
        }
        Ok(())
    }
}

fn note_family(parser: &ProtoParser<'_>, families: &mut MetadataPass<'_>) {
    let (name, unit) = (parser.name(), parser.unit());
    families.note(&Entry::Help { name, text: Cow::Borrowed(parser.help()) });
    if !unit.is_empty() {
        families.note(&Entry::Unit { name, unit });
    }
    families.note(&Entry::Type { name, kind: parser.kind() });
}

#[cfg(test)]
mod tests;
