//! What flags and configuration mean for the storage.
//!
//! Always true: what a reload may change stands in [`runtime_options`] and comes from the configuration alone, into which
//! the flags of retention go as a default.
//! Facts: Prometheus 3.14, `cmd/prometheus/main.go`: bounds, defaults, words.

use std::path::PathBuf;
use std::time::Duration;

use narthex_config::{Config, RetentionConfig, format_size};
use narthex_model::format_duration_ms;
use narthex_tsdb::{DbOptions, FloatEncoding, Retention, RuntimeOptions};
use narthex_wal::{Compression, WalOptions};

use crate::features;
use crate::flags::Flags;
use crate::settings::{SettingsError, duration};

/// How long data is kept when nobody says anything.
const DEFAULT_RETENTION_MS: i64 = 15 * 24 * 3_600_000;
/// Sizes that a WAL segment may have.
const WAL_SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 10 << 20..=256 << 20;
/// The smallest file of a block's chunks.
const MIN_CHUNK_SEGMENT_BYTES: u64 = 1 << 20;
/// Most exemplars when the configuration does not say.
const DEFAULT_EXEMPLARS: i64 = 100_000;
/// Percent of the head's range by which a compaction may be put off, when the flag makes no sense.
const DEFAULT_DELAY_PERCENT: u32 = 10;

/// What is kept unless the configuration has a section for it.
#[must_use]
pub(crate) fn default_retention(flags: &Flags) -> RetentionConfig {
    let time_ms = flags.duration_ms("storage.tsdb.retention.time");
    let size_bytes = i64::try_from(flags.bytes("storage.tsdb.retention.size")).unwrap_or(i64::MAX);
    let time_ms = if time_ms == 0 && size_bytes == 0 { DEFAULT_RETENTION_MS } else { time_ms };
    RetentionConfig { time_ms, size_bytes, percentage: 0.0 }
}

/// How the storage is opened.
///
/// # Errors
/// Values that make no sense, in Prometheus' words.
pub(crate) fn db_options(flags: &Flags, config: &Config) -> Result<DbOptions, SettingsError> {
    let reload_interval = duration(flags, "storage.tsdb.block-reload-interval");
    Ok(DbOptions {
        wal: wal_options(flags)?,
        min_block_duration_ms: flags.duration_ms("storage.tsdb.min-block-duration"),
        max_block_duration_ms: flags.duration_ms("storage.tsdb.max-block-duration"),
        max_block_chunk_segment_bytes: chunk_segment_bytes(flags)?,
        samples_per_chunk: u32::try_from(flags.int("storage.tsdb.samples-per-chunk")).unwrap_or(0),
        start_timestamps: features::on(flags, "st-storage"),
        memory_snapshot_on_shutdown: features::on(flags, "memory-snapshot-on-shutdown"),
        histogram_start_chunks: features::on(flags, "histograms-st-encoding"),
        runtime: runtime_options(flags, config)?,
        block_reload_interval: reload_interval.max(Duration::from_secs(1)),
        overlapping_compaction: flags.bool("storage.tsdb.allow-overlapping-compaction"),
        compaction_delay_max_percent: delay_percent(flags),
        delay_compact_file: Some(flags.text("storage.tsdb.delay-compact-file.path"))
            .filter(|path| !path.is_empty())
            .map(PathBuf::from),
        quarantine_at_start: flags.bool("storage.tsdb.quarantine-corrupt-blocks"),
        quarantine_when_read: true,
        no_lockfile: flags.bool("storage.tsdb.no-lockfile"),
        ..DbOptions::default()
    })
}

fn wal_options(flags: &Flags) -> Result<WalOptions, SettingsError> {
    let defaults = WalOptions::default();
    let compression =
        match (flags.bool("storage.tsdb.wal-compression"), flags.text("storage.tsdb.wal-compression-type")) {
            (false, _) => Compression::None,
            (true, "zstd") => Compression::Zstd,
            (true, _) => Compression::Snappy,
        };
    let segment_size_bytes = match flags.bytes("storage.tsdb.wal-segment-size") {
        0 => defaults.segment_size_bytes,
        bytes if WAL_SEGMENT_BYTES.contains(&bytes) => bytes,
        _ => return Err(SettingsError::WalSegmentSize),
    };
    let sync_interval = duration(flags, "storage.tsdb.wal-sync-interval");
    Ok(WalOptions { segment_size_bytes, compression, sync_interval })
}

fn chunk_segment_bytes(flags: &Flags) -> Result<u64, SettingsError> {
    match flags.bytes("storage.tsdb.max-block-chunk-segment-size") {
        bytes if bytes != 0 && bytes < MIN_CHUNK_SEGMENT_BYTES => Err(SettingsError::ChunkSegmentSize),
        bytes => Ok(bytes),
    }
}

fn delay_percent(flags: &Flags) -> Option<u32> {
    let given = flags.int("storage.tsdb.delayed-compaction.max-percent");
    let sensible = u32::try_from(given).ok().filter(|percent| (1..=100).contains(percent));
    features::on(flags, "delayed-compaction").then(|| sensible.unwrap_or(DEFAULT_DELAY_PERCENT))
}

/// What a reload changes.
///
/// # Errors
/// Chunks without start timestamps where these are to be stored.
pub(crate) fn runtime_options(flags: &Flags, config: &Config) -> Result<RuntimeOptions, SettingsError> {
    let tsdb = config.storage.tsdb.clone().unwrap_or_default();
    let given = tsdb.retention.unwrap_or_default();
    let xor2 = match &*tsdb.chunk_encoding.floats {
        "" => features::on(flags, "xor2-encoding"),
        name => name == "xor2",
    };
    if features::on(flags, "st-storage") && !xor2 {
        return Err(SettingsError::StartTimestampsInXor);
    }
    Ok(RuntimeOptions {
        out_of_order_window_ms: tsdb.out_of_order_time_window_ms.max(0),
        max_exemplars: if features::on(flags, "exemplar-storage") { max_exemplars(config) } else { 0 },
        float_chunks: if xor2 { FloatEncoding::Xor2 } else { FloatEncoding::Xor },
        retention: Retention {
            time_ms: given.time_ms,
            size_bytes: u64::try_from(given.size_bytes).unwrap_or(0),
            percentage: given.percentage,
        },
        stale_series_compaction_threshold: tsdb.stale_series_compaction_threshold,
    })
}

fn max_exemplars(config: &Config) -> usize {
    let wanted = config.storage.exemplars.as_ref().map_or(DEFAULT_EXEMPLARS, |e| e.max_exemplars);
    usize::try_from(wanted).unwrap_or(0)
}

/// How long data is kept, for display: `15d`, `15d or 10GiB or 80%`.
#[must_use]
pub(crate) fn retention_text(config: &Config) -> String {
    let given = config.storage.tsdb.as_ref().and_then(|t| t.retention.clone()).unwrap_or_default();
    let parts = [
        (given.time_ms != 0).then(|| format_duration_ms(given.time_ms)),
        (given.size_bytes != 0).then(|| format_size(given.size_bytes)),
        (given.percentage != 0.0)
            .then(|| format!("{}%", narthex_model::format_float_general(given.percentage))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" or ")
}

/// Says in the log what of the settings means something else than it seems to.
pub(crate) fn warn(flags: &Flags, config: &Config) {
    let retention = config.storage.tsdb.as_ref().and_then(|t| t.retention.clone()).unwrap_or_default();
    if retention.percentage > 0.0 && retention.size_bytes > 0 {
        tracing::warn!(
            "storage.tsdb.retention.size is ignored, because storage.tsdb.retention.percentage is specified"
        );
    }
    if duration(flags, "storage.tsdb.block-reload-interval") < Duration::from_secs(1) {
        tracing::warn!(
            "The option --storage.tsdb.block-reload-interval is set to a value less than 1s. Setting it to 1s to avoid overload."
        );
    }
    let percent = flags.int("storage.tsdb.delayed-compaction.max-percent");
    if features::on(flags, "delayed-compaction") && !(1..=100).contains(&percent) {
        tracing::warn!(
            default = DEFAULT_DELAY_PERCENT,
            "The --storage.tsdb.delayed-compaction.max-percent should have a value between 1 and 100. Using default"
        );
    }
    let file = flags.text("storage.tsdb.delay-compact-file.path");
    if !file.is_empty() {
        tracing::info!(
            path = file,
            "Compactions will be delayed for blocks not marked as uploaded in the file tracking uploads"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Parsed, parse};

    fn flags(line: &str) -> Box<Flags> {
        match parse(line.split_whitespace().map(str::to_owned)) {
            Ok(Parsed::Run(flags)) => flags,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn config(yaml: &str) -> Config {
        Config::parse(yaml, "x.yml").unwrap()
    }

    #[track_caller]
    fn check_retention(line: &str, time_ms: i64, size_bytes: i64) {
        let expected = RetentionConfig { time_ms, size_bytes, percentage: 0.0 };
        assert_eq!(default_retention(&flags(line)), expected, "{line}");
    }

    #[test]
    fn data_is_kept_15_days_unless_a_flag_says_otherwise() {
        const DAY_MS: i64 = 86_400_000;
        check_retention("", 15 * DAY_MS, 0);
        check_retention("--storage.tsdb.retention.time=2d", 2 * DAY_MS, 0);
        check_retention("--storage.tsdb.retention.size=1GB", 0, 1 << 30);
        check_retention(
            "--storage.tsdb.retention.time=1d --storage.tsdb.retention.size=1GB",
            DAY_MS,
            1 << 30,
        );
    }

    #[test]
    fn a_reload_changes_what_the_configuration_says() {
        let yaml = "storage: {exemplars: {max_exemplars: 7}, tsdb: {out_of_order_time_window: 1h, \
                    stale_series_compaction_threshold: 0.5, retention: {time: 1d, size: 2GB, percentage: 12.5}}}";
        let config = config(yaml);
        let options = runtime_options(&flags("--enable-feature=exemplar-storage"), &config).unwrap();
        assert_eq!((options.out_of_order_window_ms, options.max_exemplars), (3_600_000, 7));
        assert!((options.stale_series_compaction_threshold - 0.5).abs() < f64::EPSILON);
        let retention = Retention { time_ms: 86_400_000, size_bytes: 2 << 30, percentage: 12.5 };
        assert_eq!(options.retention, retention);
        assert_eq!(runtime_options(&flags(""), &config).unwrap().max_exemplars, 0, "the feature is off");
        assert_eq!(retention_text(&config), "1d or 2GiB or 12.5%");
    }

    #[track_caller]
    fn check_refused(line: &str, yaml: &str, expected: Option<&str>) {
        let refused = db_options(&flags(line), &config(yaml)).err().map(|e| e.to_string());
        assert_eq!(refused.as_deref(), expected, "{line} {yaml}");
    }

    #[test]
    fn values_without_sense_are_refused_in_prometheus_words() {
        let segment = "flag 'storage.tsdb.wal-segment-size' must be set between 10MB and 256MB";
        check_refused("--storage.tsdb.wal-segment-size=1MB", "", Some(segment));
        check_refused("--storage.tsdb.wal-segment-size=10MB", "", None);
        let chunks = "flag 'storage.tsdb.max-block-chunk-segment-size' must be set over 1MB";
        check_refused("--storage.tsdb.max-block-chunk-segment-size=1KB", "", Some(chunks));
        let xor = "float chunk encoding \"xor\" is incompatible with start-timestamp storage; XOR chunks do not store start timestamps, use \"xor2\"";
        check_refused("--enable-feature=st-storage", "", Some(xor));
        check_refused("--enable-feature=st-storage,xor2-encoding", "", None);
        let floats = |name: &str| format!("storage: {{tsdb: {{chunk_encoding: {{floats: {name}}}}}}}");
        check_refused("--enable-feature=st-storage", &floats("xor2"), None);
        check_refused("--enable-feature=st-storage,xor2-encoding", &floats("xor"), Some(xor));
    }

    #[test]
    fn a_delay_needs_its_feature_and_a_percentage_that_makes_sense() {
        let percent =
            |line: &str| db_options(&flags(line), &config("")).unwrap().compaction_delay_max_percent;
        let flag = "--storage.tsdb.delayed-compaction.max-percent";
        assert_eq!(percent(&format!("{flag}=50")), None);
        assert_eq!(percent(&format!("{flag}=50 --enable-feature=delayed-compaction")), Some(50));
        assert_eq!(percent(&format!("{flag}=500 --enable-feature=delayed-compaction")), Some(10));
    }
}
