//! The table of all paths, and which of them a request means.
//!
//! Facts: `conformance/inventories/http-endpoints.tsv`; the handler names are those of Prometheus' `handler` label.
//! COMPAT: a known path with another method is 405 with an `Allow` header, `OPTIONS` on it answers that header, and a
//! trailing slash too many is a redirect.

use http::{Method, StatusCode};

/// What answers a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Home,
    Page,
    Graph,
    Version,
    Metrics,
    Federate,
    Consoles,
    UserAssets,
    Debug,
    Healthy,
    Ready,
    Reload,
    Quit,
    Query,
    QueryRange,
    QueryExemplars,
    FormatQuery,
    ParseQuery,
    Labels,
    LabelValues,
    Series,
    SearchMetricNames,
    SearchLabelNames,
    SearchLabelValues,
    ScrapePools,
    PoolConfig,
    Targets,
    TargetsMetadata,
    RelabelSteps,
    Metadata,
    Alertmanagers,
    Alerts,
    Rules,
    StatusConfig,
    StatusRuntimeInfo,
    StatusBuildInfo,
    StatusFlags,
    StatusTsdb,
    StatusTsdbBlocks,
    StatusCardinality,
    StatusSelfMetrics,
    RemoteWrite,
    DeadLetters,
    ShowLetters,
    ReplayLetters,
    DropLetters,
    Features,
    QueryExplain,
    RunningQueries,
    CancelQuery,
    StatusWalReplay,
    Notifications,
    LiveNotifications,
    OtlpWrite,
    OpenApi,
    Write,
    Read,
    DeleteSeries,
    CleanTombstones,
    Snapshot,
    GatewayDeleteSeries,
    GatewayCleanTombstones,
    GatewaySnapshot,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Route {
    /// The path below the route prefix; `:name` stands for one segment, `*…` for all the rest.
    pub(crate) pattern: &'static str,
    /// The methods, sorted, `OPTIONS` left out.
    pub(crate) methods: &'static [Method],
    /// What answers.
    pub(crate) endpoint: Endpoint,
}

const GET: &[Method] = &[Method::GET];
const GET_HEAD: &[Method] = &[Method::GET, Method::HEAD];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const POST: &[Method] = &[Method::POST];
const POST_PUT: &[Method] = &[Method::POST, Method::PUT];
const GET_POST_PUT: &[Method] = &[Method::GET, Method::POST, Method::PUT];

const fn route(pattern: &'static str, methods: &'static [Method], endpoint: Endpoint) -> Route {
    Route { pattern, methods, endpoint }
}

/// All paths.
pub(crate) const ROUTES: &[Route] = &[
    route("/", GET, Endpoint::Home),
    route("/query", GET, Endpoint::Page),
    route("/alerts", GET, Endpoint::Page),
    route("/targets", GET, Endpoint::Page),
    route("/rules", GET, Endpoint::Page),
    route("/status", GET, Endpoint::Page),
    route("/tsdb-status", GET, Endpoint::Page),
    route("/flags", GET, Endpoint::Page),
    route("/config", GET, Endpoint::Page),
    route("/service-discovery", GET, Endpoint::Page),
    route("/graph", GET, Endpoint::Graph),
    route("/version", GET, Endpoint::Version),
    route("/metrics", GET, Endpoint::Metrics),
    route("/federate", GET, Endpoint::Federate),
    route("/consoles/*filepath", GET, Endpoint::Consoles),
    route("/user/*filepath", GET, Endpoint::UserAssets),
    route("/debug/*subpath", GET_POST, Endpoint::Debug),
    route("/-/healthy", GET_HEAD, Endpoint::Healthy),
    route("/-/ready", GET_HEAD, Endpoint::Ready),
    route("/-/reload", GET_POST_PUT, Endpoint::Reload),
    route("/-/quit", GET_POST_PUT, Endpoint::Quit),
    route("/api/v1/query", GET_POST, Endpoint::Query),
    route("/api/v1/query_range", GET_POST, Endpoint::QueryRange),
    route("/api/v1/query_explain", GET_POST, Endpoint::QueryExplain),
    route("/api/v1/running_queries", GET, Endpoint::RunningQueries),
    route("/api/v1/running_queries/cancel", POST, Endpoint::CancelQuery),
    route("/api/v1/query_exemplars", GET_POST, Endpoint::QueryExemplars),
    route("/api/v1/format_query", GET_POST, Endpoint::FormatQuery),
    route("/api/v1/parse_query", GET_POST, Endpoint::ParseQuery),
    route("/api/v1/labels", GET_POST, Endpoint::Labels),
    route("/api/v1/label/:name/values", GET, Endpoint::LabelValues),
    route("/api/v1/series", GET_POST, Endpoint::Series),
    route("/api/v1/search/metric_names", GET_POST, Endpoint::SearchMetricNames),
    route("/api/v1/search/label_names", GET_POST, Endpoint::SearchLabelNames),
    route("/api/v1/search/label_values", GET_POST, Endpoint::SearchLabelValues),
    route("/api/v1/scrape_pools", GET, Endpoint::ScrapePools),
    route("/api/v1/scrape_pools/config", GET, Endpoint::PoolConfig),
    route("/api/v1/targets", GET, Endpoint::Targets),
    route("/api/v1/targets/metadata", GET, Endpoint::TargetsMetadata),
    route("/api/v1/targets/relabel_steps", GET, Endpoint::RelabelSteps),
    route("/api/v1/metadata", GET, Endpoint::Metadata),
    route("/api/v1/alertmanagers", GET, Endpoint::Alertmanagers),
    route("/api/v1/alerts", GET, Endpoint::Alerts),
    route("/api/v1/rules", GET, Endpoint::Rules),
    route("/api/v1/status/config", GET, Endpoint::StatusConfig),
    route("/api/v1/status/runtimeinfo", GET, Endpoint::StatusRuntimeInfo),
    route("/api/v1/status/buildinfo", GET, Endpoint::StatusBuildInfo),
    route("/api/v1/status/flags", GET, Endpoint::StatusFlags),
    route("/api/v1/status/tsdb", GET, Endpoint::StatusTsdb),
    route("/api/v1/status/tsdb/blocks", GET, Endpoint::StatusTsdbBlocks),
    route("/api/v1/status/cardinality", GET_POST, Endpoint::StatusCardinality),
    route("/api/v1/status/self_metrics", GET, Endpoint::StatusSelfMetrics),
    route("/api/v1/status/remote_write", GET, Endpoint::RemoteWrite),
    route("/api/v1/status/remote_write/dead_letters", GET, Endpoint::DeadLetters),
    route("/api/v1/status/remote_write/dead_letters/show", GET, Endpoint::ShowLetters),
    route("/api/v1/status/remote_write/dead_letters/replay", POST, Endpoint::ReplayLetters),
    route("/api/v1/status/remote_write/dead_letters/drop", POST, Endpoint::DropLetters),
    route("/api/v1/features", GET, Endpoint::Features),
    route("/api/v1/status/walreplay", GET, Endpoint::StatusWalReplay),
    route("/api/v1/notifications", GET, Endpoint::Notifications),
    route("/api/v1/notifications/live", GET, Endpoint::LiveNotifications),
    route("/api/v1/openapi.yaml", GET, Endpoint::OpenApi),
    route("/api/v1/otlp/v1/metrics", POST, Endpoint::OtlpWrite),
    route("/api/v1/write", POST, Endpoint::Write),
    route("/api/v1/read", POST, Endpoint::Read),
    route("/api/v1/admin/tsdb/delete_series", POST_PUT, Endpoint::DeleteSeries),
    route("/api/v1/admin/tsdb/clean_tombstones", POST_PUT, Endpoint::CleanTombstones),
    route("/api/v1/admin/tsdb/snapshot", POST_PUT, Endpoint::Snapshot),
    route("/api/v2/admin/tsdb/delete_series", POST, Endpoint::GatewayDeleteSeries),
    route("/api/v2/admin/tsdb/clean_tombstones", POST, Endpoint::GatewayCleanTombstones),
    route("/api/v2/admin/tsdb/snapshot", POST, Endpoint::GatewaySnapshot),
];

impl Endpoint {
    /// Whether it can be answered while the log is replayed: it needs no more than blocks, or no data at all.
    #[must_use]
    pub(crate) fn while_replaying(self) -> bool {
        self.reads_samples()
            || matches!(
                self,
                Self::FormatQuery
                    | Self::ParseQuery
                    | Self::StatusConfig
                    | Self::StatusRuntimeInfo
                    | Self::StatusBuildInfo
                    | Self::StatusFlags
                    | Self::StatusTsdbBlocks
                    | Self::Features
                    | Self::RunningQueries
                    | Self::CancelQuery
                    | Self::StatusSelfMetrics
            )
    }

    /// Whether its answer lacks something while the log is replayed.
    #[must_use]
    pub(crate) fn reads_samples(self) -> bool {
        matches!(
            self,
            Self::Query
                | Self::QueryRange
                | Self::QueryExplain
                | Self::Labels
                | Self::LabelValues
                | Self::Series
        )
    }
}

/// What a path means.
#[derive(Debug)]
pub(crate) enum Found {
    /// A line of the table and what stands for `:name` or `*…`.
    Route(&'static Route, Vec<u8>),
    /// Known, but without the slash at its end (or with one), or in other letters.
    Redirect(StatusCode, Vec<u8>),
    /// Known, but not with this method.
    OtherMethods(&'static Route),
    /// `OPTIONS` on any path of the API.
    ApiOptions,
    /// `OPTIONS` elsewhere.
    Options(&'static Route),
    /// Unknown.
    Nothing,
}

/// Where the API begins.
pub(crate) const API: &str = "/api/v1/";

/// Looks a path (below the route prefix, without escapes) up.
pub(crate) fn find(method: &Method, path: &[u8]) -> Found {
    if *method == Method::OPTIONS && path.starts_with(API.as_bytes()) {
        return Found::ApiOptions;
    }
    let Some((route, name)) = match_path(path) else { return find_redirect(method, path) };
    if route.methods.contains(method) {
        Found::Route(route, name.to_vec())
    } else if *method == Method::OPTIONS {
        Found::Options(route)
    } else {
        Found::OtherMethods(route)
    }
}

/// What stands before and behind the variable part of a pattern; `None` when it has none. `true`: that part may hold slashes.
fn around_variable(pattern: &'static str) -> Option<(&'static str, bool, &'static str)> {
    let at = pattern.find([':', '*'])?;
    let (before, variable) = pattern.split_at(at);
    match variable.starts_with('*') {
        true => Some((before, true, "")),
        false => Some((before, false, variable.find('/').map_or("", |end| &variable[end..]))),
    }
}

fn match_path(path: &[u8]) -> Option<(&'static Route, &[u8])> {
    let matches = |route: &'static Route| match around_variable(route.pattern) {
        None => (route.pattern.as_bytes() == path).then_some((route, &path[..0])),
        Some((before, slashes, behind)) => {
            let name = path.strip_prefix(before.as_bytes())?.strip_suffix(behind.as_bytes())?;
            let is_name = slashes || !name.is_empty() && !name.contains(&b'/');
            is_name.then_some((route, name))
        }
    };
    ROUTES.iter().find_map(matches)
}

/// The path as a pattern would have it when only letters differ.
fn in_its_letters(pattern: &'static str, path: &[u8]) -> Option<Vec<u8>> {
    // COMPAT: where the API lies is not looked for in other letters.
    let fixed = if pattern.starts_with(API) { API.len() } else { 0 };
    if path.get(..fixed)? != &pattern.as_bytes()[..fixed] {
        return None;
    }
    let Some((before, slashes, behind)) = around_variable(pattern) else {
        return path.eq_ignore_ascii_case(pattern.as_bytes()).then(|| pattern.as_bytes().to_vec());
    };
    let end = path.len().checked_sub(behind.len()).filter(|end| *end >= before.len())?;
    let name = &path[before.len()..end];
    let is_name = slashes || !name.is_empty() && !name.contains(&b'/');
    let alike = path[..before.len()].eq_ignore_ascii_case(before.as_bytes())
        && path[end..].eq_ignore_ascii_case(behind.as_bytes());
    (is_name && alike).then(|| [before.as_bytes(), name, behind.as_bytes()].concat())
}

/// Where a path leads that is no route, but nearly: with a slash too much or in other letters.
fn find_redirect(method: &Method, path: &[u8]) -> Found {
    if path == b"/api/v1" {
        return Found::Redirect(StatusCode::TEMPORARY_REDIRECT, API.into());
    }
    // Escapes may have hidden what is odd.
    let clean = cleaned(path);
    let path = clean.as_deref().unwrap_or(path);
    let shorter = path.strip_suffix(b"/").unwrap_or(path);
    let known = match_path(shorter).filter(|(route, _)| route.methods.contains(method));
    let longer = [path, b"/"].concat();
    let alike = || {
        let mut routes = ROUTES.iter().filter(|r| r.methods.contains(method));
        // Where files lie there is a page behind the slash.
        let folder =
            |r: &Route| r.pattern.contains('*').then(|| in_its_letters(r.pattern, &longer)).flatten();
        routes.find_map(|r| in_its_letters(r.pattern, shorter).or_else(|| folder(r)))
    };
    let Some(to) = known.map(|_| shorter.to_vec()).or_else(alike) else { return Found::Nothing };
    // COMPAT: other methods are to come again as they are.
    let status = match *method {
        Method::GET => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::TEMPORARY_REDIRECT,
    };
    Found::Redirect(status, to)
}

/// The path without empty, `.` and `..` segments, when it has any: Go redirects there.
pub(crate) fn cleaned(path: &[u8]) -> Option<Vec<u8>> {
    let is_odd = |s: &[u8]| matches!(s, b"" | b"." | b"..");
    let segments: Vec<&[u8]> = path.strip_prefix(b"/").unwrap_or(path).split(|b| *b == b'/').collect();
    let last = segments.len() - 1;
    if !segments.iter().enumerate().any(|(i, s)| is_odd(s) && !(i == last && s.is_empty())) {
        return None;
    }
    let mut clean: Vec<&[u8]> = Vec::new();
    for segment in &segments {
        match *segment {
            b"" | b"." => {}
            b".." => drop(clean.pop()),
            name => clean.push(name),
        }
    }
    let mut path = [&b"/"[..], &clean.join(&b'/')].concat();
    if segments[last].is_empty() && !clean.is_empty() {
        path.push(b'/');
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &Method, path: &str, expected: &str) {
        let got = match find(method, path.as_bytes()) {
            Found::Route(route, name) => format!("{:?} {}", route.endpoint, String::from_utf8_lossy(&name)),
            Found::Redirect(status, to) => format!("{} {}", status.as_u16(), String::from_utf8_lossy(&to)),
            Found::OtherMethods(_) => "405".to_owned(),
            Found::ApiOptions => "cors".to_owned(),
            Found::Options(_) => "options".to_owned(),
            Found::Nothing => "404".to_owned(),
        };
        assert_eq!(got.trim(), expected, "{method} {path}");
    }

    #[test]
    fn paths_and_methods_find_their_endpoint() {
        check(&Method::GET, "/api/v1/query", "Query");
        check(&Method::POST, "/api/v1/query", "Query");
        check(&Method::DELETE, "/api/v1/query", "405");
        check(&Method::HEAD, "/api/v1/labels", "405");
        check(&Method::GET, "/api/v1/label/a b/values", "LabelValues a b");
        check(&Method::GET, "/api/v1/label/values", "404");
        check(&Method::GET, "/consoles/", "Consoles");
        check(&Method::GET, "/consoles/a/B.html", "Consoles a/B.html");
        check(&Method::GET, "/api/v1/label//values", "404");
        check(&Method::GET, "/api/v1/label/a/b/values", "404");
        check(&Method::OPTIONS, "/api/v1/nosuch", "cors");
        check(&Method::OPTIONS, "/metrics", "options");
        check(&Method::GET, "/metrics/", "301 /metrics");
        check(&Method::POST, "/metrics/", "404");
        check(&Method::POST, "/api/v1/query/", "307 /api/v1/query");
        check(&Method::GET, "/Metrics", "301 /metrics");
        check(&Method::GET, "/api/v1/label/A/values/", "301 /api/v1/label/A/values");
        check(&Method::GET, "/api/v1/LABEL/A/Values", "301 /api/v1/label/A/values");
        check(&Method::GET, "/api/v1/LABEL/A/b/Values", "404");
        check(&Method::GET, "/API/v1/labels", "404");
        check(&Method::GET, "/x/../metrics", "301 /metrics");
        check(&Method::GET, "/x/../nosuch", "404");
        check(&Method::GET, "/consoles/../a", "Consoles ../a");
        check(&Method::GET, "/CONSOLES/A.html", "301 /consoles/A.html");
        check(&Method::GET, "/api/v1", "307 /api/v1/");
        check(&Method::GET, "/user/a/b c", "UserAssets a/b c");
        check(&Method::GET, "/user", "301 /user/");
        check(&Method::GET, "/consoles", "301 /consoles/");
        check(&Method::POST, "/user", "404");
        check(&Method::GET, "/nosuch", "404");
        check(&Method::GET, "/api", "404");
        check(&Method::GET, "/debug/pprof/heap", "Debug pprof/heap");
        check(&Method::PUT, "/debug/pprof/heap", "405");
    }

    #[test]
    fn odd_segments_are_cleaned_away() {
        for (path, expected) in [
            ("/", None),
            ("/a/b", None),
            ("/a/", None),
            ("//a", Some("/a")),
            ("/a/../b", Some("/b")),
            ("/../..", Some("/")),
            ("/a/./b//", Some("/a/b/")),
        ] {
            assert_eq!(cleaned(path.as_bytes()).as_deref(), expected.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn each_endpoint_with_a_path_of_its_own_stands_once() {
        for (i, route) in ROUTES.iter().enumerate() {
            assert!(ROUTES[..i].iter().all(|r| r.pattern != route.pattern), "{}", route.pattern);
        }
    }
}
