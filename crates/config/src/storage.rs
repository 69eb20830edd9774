//! The `storage` section: what of the TSDB may change at a reload.

use crate::decode::Check;
use crate::section::section;

section! {
    /// Storage settings that a reload may change.
    pub struct StorageConfig("config.StorageConfig") {
        /// The TSDB. Always `Some` after loading.
        tsdb: Option<TsdbConfig> = None => "tsdb" omit Maybe<TsdbConfig>,
        /// Exemplar storage; `None`: not configured, the default size holds.
        exemplars: Option<ExemplarsConfig> = None => "exemplars" omit Maybe<ExemplarsConfig>,
    }
}

section! {
    /// The TSDB.
    pub struct TsdbConfig("config.plain") {
        /// COMPAT: the window below once more, under the name that Prometheus shows (and reads, to overwrite it) beside it.
        shown_window_ms: i64 = 0 => "outofordertimewindow" show Int64,
        /// How old a sample may be compared with the newest and still be stored; 0: samples must come in order.
        out_of_order_time_window_ms: i64 = 0 => "out_of_order_time_window" omit Duration,
        /// The share of stale series in the head, in `[0, 1]`, that starts a compaction of them; 0: never.
        stale_series_compaction_threshold: f64 = 0.0 => "stale_series_compaction_threshold" omit Float,
        /// Encodings of new chunks.
        chunk_encoding: ChunkEncodingConfig = ChunkEncodingConfig::default() => "chunk_encoding" omit Object<ChunkEncodingConfig>,
        /// What is kept; always `Some` after loading.
        retention: Option<RetentionConfig> = None => "retention" omit Maybe<RetentionConfig>,
    }
}

section! {
    /// Encodings of new chunks.
    pub struct ChunkEncodingConfig("config.ChunkEncodingConfig") {
        /// `xor`, `xor2`, or empty: as the feature flag says.
        floats: String = String::new() => "floats" omit Text,
    }
}

section! {
    /// What is kept. 0 means that the limit is not set here.
    pub struct RetentionConfig("config.plain") {
        /// How long.
        time_ms: i64 = 0 => "time" omit Duration,
        /// How many bytes of blocks.
        size_bytes: i64 = 0 => "size" omit Size,
        /// What share of the disk, in `[0, 100]`.
        percentage: f64 = 0.0 => "percentage" omit Float,
    }
}

section! {
    /// Exemplar storage.
    pub struct ExemplarsConfig("config.ExemplarsConfig") {
        /// How many exemplars are kept in memory; 0 or less: none.
        max_exemplars: i64 = 0 => "max_exemplars" omit Int64,
    }
}

impl Check for StorageConfig {}
impl Check for ChunkEncodingConfig {}
impl Check for ExemplarsConfig {}

impl Check for TsdbConfig {
    fn verify(&mut self) -> Result<(), String> {
        if !matches!(self.chunk_encoding.floats.as_str(), "" | "xor" | "xor2") {
            let found = narthex_model::quote_go(&self.chunk_encoding.floats);
            let rule = "must be 'xor' or 'xor2', or the field must be omitted entirely";
            return Err(format!("'storage.tsdb.chunk_encoding.floats' {rule}, got {found}"));
        }
        self.shown_window_ms = self.out_of_order_time_window_ms;
        Ok(())
    }
}

impl Check for RetentionConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.size_bytes < 0 {
            let found = crate::size::format_size(self.size_bytes);
            return Err(format!(
                "'storage.tsdb.retention.size' must be greater than or equal to 0, got {found}"
            ));
        }
        if !(0.0..=100.0).contains(&self.percentage) && !self.percentage.is_nan() {
            let found = narthex_model::format_float_general(self.percentage);
            return Err(format!(
                "'storage.tsdb.retention.percentage' must be in the range [0, 100], got {found}"
            ));
        }
        Ok(())
    }
}
