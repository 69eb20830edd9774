//! What runs here: configuration, flags, build, runtime, head statistics, replay.

use narthex_model::{UnixTime, push_rfc3339};

use super::Call;
use crate::answer::{ApiResult, PLAIN};
use crate::api_error::ApiError;
use crate::json::JsonOut;
use crate::param::parse_go_int;
use crate::services::{BlockStatus, NamedCount, Notification, Services};
use crate::site::{BuildInfo, Shared};

/// Most entries in each list of the head statistics.
const MAX_TSDB_LIMIT: i64 = 10_000;

/// `/api/v1/status/config`
pub(super) fn config(shared: &Shared, out: &mut JsonOut) -> ApiResult {
    out.raw("{").member("yaml", true).html_safe(&shared.process.config_yaml()).raw("}");
    PLAIN
}

/// `/api/v1/status/runtimeinfo`. The members' names are those of a Go process; threads stand for goroutines.
pub(super) fn runtime(shared: &Shared, out: &mut JsonOut) -> ApiResult {
    let info = shared.process.runtime();
    let now = UnixTime::from_system(std::time::SystemTime::now());
    out.raw("{").member("startTime", true);
    push_time(out, info.start);
    out.member("CWD", false).html_safe(&info.cwd);
    out.member("hostname", false).html_safe(&info.hostname);
    out.member("serverTime", false);
    push_time(out, now);
    out.member("reloadConfigSuccess", false).bool(info.reload_success);
    out.member("lastConfigTime", false);
    push_time(out, info.last_config);
    out.member("corruptionCount", false).int(info.corruptions);
    out.member("goroutineCount", false).int(info.threads);
    out.member("GOMAXPROCS", false).int(info.workers);
    out.member("GOMEMLIMIT", false).int(info.memory_limit);
    out.member("GOGC", false).raw("\"\"").member("GODEBUG", false).raw("\"\"");
    out.member("storageRetention", false).html_safe(&info.retention).raw("}");
    PLAIN
}

/// A time as a JSON string.
pub(super) fn push_time(out: &mut JsonOut, time: UnixTime) {
    out.raw("\"");
    push_rfc3339(out.buffer(), time);
    out.raw("\"");
}

/// `/api/v1/status/buildinfo`
pub(super) fn build(shared: &Shared, out: &mut JsonOut) -> ApiResult {
    push_build(out, &shared.options.build);
    PLAIN
}

fn push_build(out: &mut JsonOut, build: &BuildInfo) {
    out.raw("{").member("version", true).html_safe(&build.version);
    out.member("revision", false).html_safe(&build.revision);
    out.member("branch", false).html_safe(&build.branch);
    out.member("buildUser", false).html_safe(&build.user);
    out.member("buildDate", false).html_safe(&build.date);
    out.member("goVersion", false).html_safe(&build.compiler).raw("}");
}

/// The text of `/version`.
pub(crate) fn version(build: &BuildInfo) -> String {
    let mut out = JsonOut::new(crate::encoding::Encoding::Identity);
    push_build(&mut out, build);
    out.raw("\n");
    std::mem::take(out.buffer())
}

/// `/api/v1/status/flags`
pub(super) fn flags(shared: &Shared, out: &mut JsonOut) -> ApiResult {
    out.raw("{");
    for (i, (name, value)) in shared.options.flags.iter().enumerate() {
        out.member(name, i == 0).html_safe(value);
    }
    out.raw("}");
    PLAIN
}

/// `/api/v1/status/tsdb`
pub(super) fn tsdb(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let limit = match call.form.value("limit") {
        "" => 10,
        text => parse_go_int(text)
            .ok()
            .filter(|n| *n >= 1)
            .ok_or_else(|| ApiError::bad_data("limit must be a positive number"))?,
    };
    if limit > MAX_TSDB_LIMIT {
        return Err(ApiError::bad_data(format!("limit must not exceed {MAX_TSDB_LIMIT}")));
    }
    let status = services.tsdb.status(usize::try_from(limit).unwrap_or(usize::MAX));
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    out.raw("{\"headStats\":{").member("numSeries", true).int(count(status.series));
    out.member("numLabelPairs", false).int(count(status.label_pairs));
    out.member("chunkCount", false).int(status.chunks);
    out.member("minTime", false).int(status.min_ms);
    out.member("maxTime", false).int(status.max_ms).raw("}");
    for (name, list) in [
        ("seriesCountByMetricName", &status.series_by_metric),
        ("labelValueCountByLabelName", &status.values_by_label),
        ("memoryInBytesByLabelName", &status.bytes_by_label),
        ("seriesCountByLabelValuePair", &status.series_by_pair),
    ] {
        out.member(name, false).list(list, push_count);
    }
    out.raw("}");
    PLAIN
}

fn push_count(out: &mut JsonOut, entry: &NamedCount) {
    out.raw("{").member("name", true).html_safe(&entry.name);
    out.member("value", false).int(i64::try_from(entry.value).unwrap_or(i64::MAX)).raw("}");
}

/// `/api/v1/status/tsdb/blocks`
pub(super) fn blocks(services: &Services, out: &mut JsonOut) -> ApiResult {
    out.raw("{").member("blocks", true).list(&services.tsdb.blocks(), push_block);
    out.raw("}");
    PLAIN
}

/// COMPAT: as `meta.json` has it, so empty lists and zero counts are left out.
fn push_block(out: &mut JsonOut, block: &BlockStatus) {
    out.raw("{").member("ulid", true).html_safe(&block.ulid);
    out.member("minTime", false).int(block.min_ms).member("maxTime", false).int(block.max_ms);
    out.member("stats", false).raw("{");
    for (at, (name, count)) in block.counts.iter().filter(|(_, count)| *count > 0).enumerate() {
        out.member(name, at == 0).int(i64::try_from(*count).unwrap_or(i64::MAX));
    }
    out.raw("}").member("compaction", false).raw("{").member("level", true).int(block.level.into());
    if !block.sources.is_empty() {
        out.member("sources", false).strings(&block.sources);
    }
    if block.deletable {
        out.member("deletable", false).bool(true);
    }
    if !block.parents.is_empty() {
        out.member("parents", false).list(&block.parents, |out, (ulid, min_ms, max_ms)| {
            out.raw("{").member("ulid", true).html_safe(ulid);
            out.member("minTime", false).int(*min_ms).member("maxTime", false).int(*max_ms).raw("}");
        });
    }
    if block.failed {
        out.member("failed", false).bool(true);
    }
    if !block.hints.is_empty() {
        out.member("hints", false).strings(&block.hints);
    }
    out.raw("}").member("version", false).int(1).raw("}");
}

/// `/api/v1/status/walreplay`
pub(super) fn wal_replay(shared: &Shared, out: &mut JsonOut) -> ApiResult {
    let replay = shared.process.wal_replay();
    out.raw("{").member("min", true).int(replay.min);
    out.member("max", false).int(replay.max);
    out.member("current", false).int(replay.current).raw("}");
    PLAIN
}

/// `/api/v1/notifications`
pub(super) fn notifications(shared: &Shared, out: &mut JsonOut) -> ApiResult {
    out.list(shared.process.notifications(), |out, notification| push_notification(out, &notification));
    PLAIN
}

pub(crate) fn push_notification(out: &mut JsonOut, notification: &Notification) {
    out.raw("{").member("text", true).html_safe(&notification.text);
    out.member("date", false);
    push_time(out, notification.since);
    out.member("active", false).bool(notification.active).raw("}");
}
