//! Samples that the store refused one by one: counted, told once a scrape.

use narthex_storage::AppendError;

use crate::error::ScrapeError;
use crate::metrics::ScrapeMetrics;

/// Samples that the store refused one by one.
#[derive(Default)]
pub(super) struct Refused {
    out_of_order: u64,
    pub(super) duplicate: u64,
    pub(super) out_of_bounds: u64,
    pub(super) exemplars_out_of_order: u64,
}

impl Refused {
    pub(super) fn publish(&self, metrics: &ScrapeMetrics) {
        let told = [
            (self.out_of_order, &metrics.out_of_order, "Error on ingesting out-of-order samples"),
            (
                self.duplicate,
                &metrics.duplicate,
                "Error on ingesting samples with different value but same timestamp",
            ),
            (
                self.out_of_bounds,
                &metrics.out_of_bounds,
                "Error on ingesting samples that are too old or are too far into the future",
            ),
            (
                self.exemplars_out_of_order,
                &metrics.exemplar_out_of_order,
                "Error on ingesting out-of-order exemplars",
            ),
        ];
        for (count, counter, text) in told {
            if count > 0 {
                counter.add(count as f64);
                tracing::warn!(num_dropped = count, "{text}");
            }
        }
    }

    /// Counts a refusal that concerns one sample only; any other ends the scrape.
    pub(super) fn count(&mut self, error: AppendError) -> Result<(), ScrapeError> {
        match error {
            AppendError::OutOfOrder => self.out_of_order += 1,
            AppendError::DuplicateTimestamp(_) => self.duplicate += 1,
            AppendError::OutOfBounds => self.out_of_bounds += 1,
            AppendError::InvalidHistogram(text) => return Err(ScrapeError::Histogram(text)),
            // COMPAT: too old for the out-of-order window is not among the excused (case om-suite/timestamps).
            other => return Err(other.into()),
        }
        Ok(())
    }
}
