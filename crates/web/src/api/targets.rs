//! Targets, what was dropped, and the metadata they expose.

use std::collections::BTreeMap;

use narthex_model::{Labels, Metadata, UnixTime, quote_go};
use narthex_promql::parser::parse_metric_selector;
use narthex_relabel::{RelabelConfig, trace};

use super::Call;
use super::status::push_time;
use crate::answer::{ApiResult, PLAIN};
use crate::api_error::ApiError;
use crate::form::Form;
use crate::global_url::global_url;
use crate::json::JsonOut;
use crate::param::parse_go_int;
use crate::services::{ActiveTarget, DroppedTarget, PoolConfig, Services, TargetMetadata};
use crate::site::SiteOptions;

/// Go's zero time, for what has not happened yet.
const ZERO_TIME: UnixTime = UnixTime { secs: -62_135_596_800, nanos: 0 };

/// `/api/v1/scrape_pools`
pub(super) fn pools(services: &Services, out: &mut JsonOut) -> ApiResult {
    out.raw("{\"scrapePools\":");
    out.strings(services.targets.pools());
    out.raw("}");
    PLAIN
}

/// The parameter `scrapePool`.
fn named_pool(form: &Form) -> Result<&str, ApiError> {
    match form.value("scrapePool") {
        "" => Err(ApiError::bad_data("no scrapePool parameter provided")),
        pool => Ok(pool),
    }
}

fn config_of(services: &Services, pool: &str) -> Result<PoolConfig, ApiError> {
    services.targets.pool_config(pool).ok_or_else(|| {
        let quoted = quote_go(pool);
        ApiError::bad_data(format!("error retrieving scrape config: scrape pool {quoted} not found"))
    })
}

/// `/api/v1/scrape_pools/config`
pub(super) fn pool_config(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let config = config_of(services, named_pool(&call.form)?)?;
    out.raw("{").member("yaml", true).html_safe(&config.yaml).raw("}");
    PLAIN
}

/// `/api/v1/targets/relabel_steps`
pub(super) fn relabel_steps(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let pool = named_pool(&call.form)?;
    let labels = match call.form.value("labels") {
        "" => return Err(ApiError::bad_data("no labels parameter provided")),
        text => parse_labels(text).map_err(|e| ApiError::bad_data(format!("error parsing labels: {e}")))?,
    };
    let config = config_of(services, pool)?;
    let steps = trace(&labels, &config.relabel);
    out.raw("{").member("steps", true).list(
        config.relabel.iter().zip(steps),
        |out, (rule, (after, kept))| {
            push_rule(out.raw("{").member("rule", true), rule);
            out.member("output", false).labels(&after);
            out.member("keep", false).bool(kept).raw("}");
        },
    );
    out.raw("}");
    PLAIN
}

/// A JSON object of strings.
fn parse_labels(text: &str) -> Result<Labels, serde_json::Error> {
    Ok(Labels::from_pairs(serde_json::from_str::<BTreeMap<String, String>>(text)?))
}

/// COMPAT: what is empty is left out, but for the three members that a rule always has.
fn push_rule(out: &mut JsonOut, rule: &RelabelConfig) {
    out.raw("{");
    if !rule.source_labels.is_empty() {
        out.member("source_labels", true).strings(&rule.source_labels);
        out.raw(",");
    }
    out.member("separator", true).html_safe(&rule.separator);
    out.member("regex", false).html_safe(rule.regex.as_ref().map_or("(.*)", |regex| regex.as_str()));
    if rule.modulus != 0 {
        out.member("modulus", false).raw(&rule.modulus.to_string());
    }
    if !rule.target_label.is_empty() {
        out.member("target_label", false).html_safe(&rule.target_label);
    }
    out.member("replacement", false).html_safe(&rule.replacement);
    out.member("action", false).html_safe(rule.action.as_str()).raw("}");
}

/// `/api/v1/targets`
pub(super) fn targets(
    options: &SiteOptions,
    services: &Services,
    call: &Call,
    out: &mut JsonOut,
) -> ApiResult {
    let state = call.form.url_value("state").to_lowercase();
    let pool = Some(call.form.url_value("scrapePool")).filter(|p| !p.is_empty());
    let shows = |kind: &str| matches!(&*state, "" | "any") || state == kind;
    let (active, dropped, counts) = (shows("active"), shows("dropped"), shows("dropped"));
    let service = &services.targets;
    let active = if active { service.active(pool) } else { Vec::new() };
    let dropped = if dropped { service.dropped(pool) } else { Vec::new() };
    out.raw("{\"activeTargets\":");
    out.list(&active, |out, target| push_active(out, target, options));
    out.raw(",\"droppedTargets\":");
    out.list(&dropped, push_dropped);
    out.raw(",\"droppedTargetCounts\":");
    if counts {
        out.raw("{");
        for (i, (pool, count)) in service.dropped_counts().iter().enumerate() {
            out.raw(if i == 0 { "" } else { "," }).html_safe(pool).raw(":");
            out.int(i64::try_from(*count).unwrap_or(i64::MAX));
        }
        out.raw("}");
    } else {
        out.raw("null");
    }
    out.raw("}");
    PLAIN
}

fn push_active(out: &mut JsonOut, target: &ActiveTarget, options: &SiteOptions) {
    out.raw("{\"discoveredLabels\":").labels(&target.discovered);
    out.raw(",\"labels\":").labels(&target.labels);
    out.member("scrapePool", false).html_safe(&target.pool);
    out.member("scrapeUrl", false).html_safe(&target.url);
    out.member("globalUrl", false).html_safe(&global_url(&target.url, options));
    out.member("lastError", false).html_safe(&target.last_error);
    out.member("lastScrape", false);
    push_time(out, target.last_scrape.unwrap_or(ZERO_TIME));
    out.member("lastScrapeDuration", false).number(target.last_duration_s);
    out.member("health", false).html_safe(target.health.as_str());
    out.member("scrapeInterval", false).html_safe(&target.interval);
    out.member("scrapeTimeout", false).html_safe(&target.timeout).raw("}");
}

fn push_dropped(out: &mut JsonOut, target: &DroppedTarget) {
    out.raw("{\"discoveredLabels\":").labels(&target.discovered);
    out.member("scrapePool", false).html_safe(&target.pool).raw("}");
}

/// A limit where absent and negative mean none.
fn number(form: &Form, name: &str) -> Result<Option<usize>, ApiError> {
    match form.value(name) {
        "" => Ok(None),
        text => {
            let number =
                parse_go_int(text).map_err(|_| ApiError::bad_data(format!("{name} must be a number")))?;
            Ok(usize::try_from(number).ok())
        }
    }
}

/// The metric asked for, if any.
fn metric(form: &Form) -> Option<&str> {
    Some(form.value("metric")).filter(|m| !m.is_empty())
}

/// `/api/v1/targets/metadata`
pub(super) fn target_metadata(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let limit = number(&call.form, "limit")?.unwrap_or(usize::MAX);
    let matchers = match call.form.value("match_target") {
        "" => Vec::new(),
        text => parse_metric_selector(text).map_err(|e| ApiError::invalid_parameter("match_target", e))?,
    };
    let metric = metric(&call.form);
    let wanted = |entry: &TargetMetadata| matchers.iter().all(|m| m.matches(entry.target.value(&m.name)));
    let all = services.targets.metadata(metric);
    let found = within_limit(all.into_iter().filter(wanted), limit);
    out.list(&found, |out, entry| {
        out.raw("{\"target\":").labels(&entry.target);
        if metric.is_none() {
            out.member("metric", false).html_safe(&entry.family);
        }
        push_metadata(out.raw(","), &entry.metadata);
        out.raw("}");
    });
    PLAIN
}

/// COMPAT: the limit is looked at before each target, and a target's families are given out together.
fn within_limit(entries: impl Iterator<Item = TargetMetadata>, limit: usize) -> Vec<TargetMetadata> {
    let mut found: Vec<TargetMetadata> = Vec::new();
    for entry in entries {
        let same_target = found.last().is_some_and(|last| last.target == entry.target);
        if found.len() >= limit && !same_target {
            break;
        }
        found.push(entry);
    }
    found
}

/// `"type":…,"help":…,"unit":…`
fn push_metadata(out: &mut JsonOut, metadata: &Metadata) {
    out.member("type", true).html_safe(metadata.kind.as_str());
    out.member("help", false).html_safe(&metadata.help);
    out.member("unit", false).html_safe(&metadata.unit);
}

/// `/api/v1/metadata`: the distinct metadata of each family.
pub(super) fn metadata(services: &Services, call: &Call, out: &mut JsonOut) -> ApiResult {
    let limit = number(&call.form, "limit")?.unwrap_or(usize::MAX);
    let per_metric = number(&call.form, "limit_per_metric")?.filter(|n| *n > 0).unwrap_or(usize::MAX);
    let mut families: BTreeMap<String, Vec<Metadata>> = BTreeMap::new();
    for entry in services.targets.metadata(metric(&call.form)) {
        let of_family = families.entry(entry.family).or_default();
        if of_family.len() < per_metric && !of_family.contains(&entry.metadata) {
            of_family.push(entry.metadata);
        }
    }
    out.raw("{");
    for (i, (family, all)) in families.iter().take(limit).enumerate() {
        out.raw(if i == 0 { "" } else { "," }).html_safe(family).raw(":");
        out.list(all, |out, metadata| {
            push_metadata(out.raw("{"), metadata);
            out.raw("}");
        });
    }
    out.raw("}");
    PLAIN
}
