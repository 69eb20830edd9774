//! What the document says of each path: a flat table.
//!
//! Always true: it has each path of the API and no other, as a test checks against the table of routes, from which methods come.

/// The type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Switch,
    /// Seconds since the epoch or RFC 3339.
    Time,
    /// Seconds or a text such as `5m`.
    Duration,
    /// May be given several times.
    Texts,
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) is_required: bool,
    pub(super) text: &'static str,
}

/// What a good answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The envelope around an object, a list, a text.
    Object,
    List,
    Text,
    /// Status 204.
    Nothing,
    /// A line of JSON after the other.
    Lines,
    /// Events.
    Events,
    /// A protobuf message, or a stream of them.
    Message,
    /// YAML.
    Yaml,
}

/// One path below `/api/v1`.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) path: &'static str,
    pub(super) tag: &'static str,
    pub(super) text: &'static str,
    pub(super) params: &'static [Param],
    pub(super) answer: Answer,
}

const fn may(name: &'static str, kind: Kind, text: &'static str) -> Param {
    Param { name, kind, is_required: false, text }
}

const fn must(name: &'static str, kind: Kind, text: &'static str) -> Param {
    Param { name, kind, is_required: true, text }
}

const fn path(
    path: &'static str,
    tag: &'static str,
    text: &'static str,
    answer: Answer,
    params: &'static [Param],
) -> Path {
    Path { path, tag, text, params, answer }
}

/// Tags: name, title, what is under it.
pub(super) const TAGS: &[(&str, &str, &str)] = &[
    ("query", "Query", "PromQL: evaluation, plans, formatting, syntax."),
    ("labels", "Labels", "Which labels and series there are."),
    ("targets", "Targets", "What is scraped, and what it says about its metrics."),
    ("rules", "Rules", "Rules, alerts and where alerts go."),
    ("status", "Status", "What this server is and how it is."),
    ("remote", "Remote storage", "Remote write, remote read and OTLP."),
    ("admin", "Administration", "What changes or deletes data; with --web.enable-admin-api."),
];

const QUERY: Param = must("query", Kind::Text, "The PromQL expression.");
const LIMIT: Param = may("limit", Kind::Integer, "Most entries of the answer; 0 for all.");
const START: Param = may("start", Kind::Time, "First time of interest.");
const END: Param = may("end", Kind::Time, "Last time of interest.");
const MATCH: Param = may("match[]", Kind::Texts, "Series selectors; one of them must match.");
const MUST_MATCH: Param = must("match[]", Kind::Texts, "Series selectors; one of them must match.");
const TIMEOUT: Param = may("timeout", Kind::Duration, "Longest evaluation; at most --query.timeout.");
const LOOKBACK: Param = may("lookback_delta", Kind::Duration, "How far an instant selector looks back.");
const STATS: Param = may("stats", Kind::Text, "true for statistics, all for those of each step too.");
const POOL: Param = must("scrapePool", Kind::Text, "The name of a job.");
const ENDPOINT: Param = may("endpoint", Kind::Text, "Name, id or URL of an endpoint of remote write.");
const LETTERS: &[Param] = &[
    ENDPOINT,
    may("id", Kind::Texts, "Numbers or ranges of letters."),
    MATCH,
    may("status", Kind::Integer, "The status that the endpoint answered."),
    may("after", Kind::Integer, "Only letters with higher numbers."),
    may("limit", Kind::Integer, "About how many letters at a time."),
];
const SEARCH_METRICS: &[Param] = &[
    may("include_metadata", Kind::Switch, "Whether type, help and unit are shown."),
    MATCH,
    may("search[]", Kind::Texts, "What names are looked for; one of them must be found."),
    may("fuzz_threshold", Kind::Integer, "How alike a name must be, 0 to 100; 0 for containing the text."),
    may("fuzz_alg", Kind::Text, "subsequence or jarowinkler."),
    may("case_sensitive", Kind::Switch, "Whether case counts."),
    may("sort_by", Kind::Text, "alpha or score."),
    may("sort_dir", Kind::Text, "asc or dsc."),
    may("include_score", Kind::Switch, "Whether scores are shown."),
    START,
    END,
    may("limit", Kind::Integer, "Most results; 100 by default."),
    may("batch_size", Kind::Integer, "Results of a line."),
];

const SEARCH_VALUES: &[Param] = &[
    must("label", Kind::Text, "The label."),
    MATCH,
    may("search[]", Kind::Texts, "What names are looked for; one of them must be found."),
    may("fuzz_threshold", Kind::Integer, "How alike a name must be, 0 to 100; 0 for containing the text."),
    may("fuzz_alg", Kind::Text, "subsequence or jarowinkler."),
    may("case_sensitive", Kind::Switch, "Whether case counts."),
    may("sort_by", Kind::Text, "alpha or score."),
    may("sort_dir", Kind::Text, "asc or dsc."),
    may("include_score", Kind::Switch, "Whether scores are shown."),
    START,
    END,
    may("limit", Kind::Integer, "Most results; 100 by default."),
    may("batch_size", Kind::Integer, "Results of a line."),
];

const SEARCH: &[Param] = &[
    MATCH,
    may("search[]", Kind::Texts, "What names are looked for; one of them must be found."),
    may("fuzz_threshold", Kind::Integer, "How alike a name must be, 0 to 100; 0 for containing the text."),
    may("fuzz_alg", Kind::Text, "subsequence or jarowinkler."),
    may("case_sensitive", Kind::Switch, "Whether case counts."),
    may("sort_by", Kind::Text, "alpha or score."),
    may("sort_dir", Kind::Text, "asc or dsc."),
    may("include_score", Kind::Switch, "Whether scores are shown."),
    START,
    END,
    may("limit", Kind::Integer, "Most results; 100 by default."),
    may("batch_size", Kind::Integer, "Results of a line."),
];

/// All paths, in the order of the document.
pub(super) const PATHS: &[Path] = &[
    path(
        "/query",
        "query",
        "Evaluates an expression at one time.",
        Answer::Object,
        &[QUERY, may("time", Kind::Time, "When; now by default."), TIMEOUT, LOOKBACK, STATS, LIMIT],
    ),
    path(
        "/query_range",
        "query",
        "Evaluates an expression over a range of time.",
        Answer::Object,
        &[
            QUERY,
            must("start", Kind::Time, "The first step."),
            must("end", Kind::Time, "No step comes after it."),
            must("step", Kind::Duration, "The distance of two steps."),
            TIMEOUT,
            LOOKBACK,
            STATS,
            LIMIT,
        ],
    ),
    path(
        "/query_exemplars",
        "query",
        "Exemplars of the series that an expression selects.",
        Answer::List,
        &[QUERY, START, END],
    ),
    path("/format_query", "query", "Formats an expression.", Answer::Text, &[QUERY]),
    path("/parse_query", "query", "The syntax tree of an expression.", Answer::Object, &[QUERY]),
    path(
        "/query_explain",
        "query",
        "The plan of a query, and what each operator cost. Narthex' own.",
        Answer::Object,
        &[
            QUERY,
            may("time", Kind::Time, "When; now by default."),
            may("start", Kind::Time, "The first step; makes it a range."),
            may("end", Kind::Time, "No step comes after it."),
            may("step", Kind::Duration, "The distance of two steps."),
            may("analyze", Kind::Switch, "Whether the query is run and measured."),
            TIMEOUT,
            LOOKBACK,
        ],
    ),
    path(
        "/status/cardinality",
        "status",
        "What makes the series many, and what came and went lately. Narthex' own.",
        Answer::Object,
        &[
            MATCH,
            may("label", Kind::Texts, "Labels whose values are listed, job unless given."),
            may(
                "since",
                Kind::Time,
                "From when on series count as created and ended, an hour ago unless given.",
            ),
            may("limit", Kind::Integer, "Most entries of a list, 10 unless given."),
            may("sort", Kind::Text, "series, quiet, created or ended."),
        ],
    ),
    path("/running_queries", "query", "Queries that wait and run. Narthex' own.", Answer::List, &[]),
    path(
        "/running_queries/cancel",
        "admin",
        "Calls a query off. Narthex' own.",
        Answer::Nothing,
        &[must("id", Kind::Integer, "Its number on the list.")],
    ),
    path("/labels", "labels", "Label names.", Answer::List, &[START, END, MATCH, LIMIT]),
    path("/label/{name}/values", "labels", "Values of a label.", Answer::List, &[START, END, MATCH, LIMIT]),
    path("/series", "labels", "Label sets of series.", Answer::List, &[MUST_MATCH, START, END, LIMIT]),
    path("/search/metric_names", "labels", "Looks for metric names.", Answer::Lines, SEARCH_METRICS),
    path("/search/label_names", "labels", "Looks for label names.", Answer::Lines, SEARCH),
    path("/search/label_values", "labels", "Looks for values of a label.", Answer::Lines, SEARCH_VALUES),
    path("/scrape_pools", "targets", "Names of all jobs.", Answer::Object, &[]),
    path("/scrape_pools/config", "targets", "The configuration of a job as YAML.", Answer::Object, &[POOL]),
    path(
        "/targets",
        "targets",
        "Targets, active and dropped.",
        Answer::Object,
        &[
            may("state", Kind::Text, "active, dropped or any."),
            may("scrapePool", Kind::Text, "The name of a job."),
        ],
    ),
    path(
        "/targets/metadata",
        "targets",
        "Metadata of metrics by target.",
        Answer::List,
        &[
            may("match_target", Kind::Text, "A selector for labels of targets."),
            may("metric", Kind::Text, "A metric name."),
            LIMIT,
        ],
    ),
    path(
        "/targets/relabel_steps",
        "targets",
        "What each relabel step makes of a target.",
        Answer::Object,
        &[POOL, must("labels", Kind::Text, "The discovered labels as a JSON object.")],
    ),
    path(
        "/metadata",
        "targets",
        "Metadata of metrics.",
        Answer::Object,
        &[
            may("metric", Kind::Text, "A metric name."),
            LIMIT,
            may("limit_per_metric", Kind::Integer, "Most entries of a metric."),
        ],
    ),
    path(
        "/rules",
        "rules",
        "Rule groups.",
        Answer::Object,
        &[
            may("type", Kind::Text, "alert or record."),
            may("rule_name[]", Kind::Texts, "Names of rules."),
            may("rule_group[]", Kind::Texts, "Names of groups."),
            may("file[]", Kind::Texts, "Paths of rule files."),
            MATCH,
            may("exclude_alerts", Kind::Switch, "Whether alerts are left out."),
            may("group_limit", Kind::Integer, "Most groups of an answer."),
            may("group_next_token", Kind::Text, "Where to go on."),
        ],
    ),
    path("/alerts", "rules", "Alerts that are pending or firing.", Answer::Object, &[]),
    path("/alertmanagers", "rules", "Alertmanagers, active and dropped.", Answer::Object, &[]),
    path("/status/config", "status", "The loaded configuration as YAML.", Answer::Object, &[]),
    path("/status/runtimeinfo", "status", "The running process.", Answer::Object, &[]),
    path("/status/buildinfo", "status", "What runs.", Answer::Object, &[]),
    path("/status/flags", "status", "All flags and their values.", Answer::Object, &[]),
    path(
        "/status/tsdb",
        "status",
        "Statistics of the head.",
        Answer::Object,
        &[may("limit", Kind::Integer, "Entries in each list; 10 by default, up to 10000.")],
    ),
    path("/status/tsdb/blocks", "status", "The blocks that are served.", Answer::Object, &[]),
    path("/status/walreplay", "status", "How far the replay of the log is.", Answer::Object, &[]),
    path(
        "/status/self_metrics",
        "status",
        "The own metrics as JSON.",
        Answer::List,
        &[may("metric_name_pattern", Kind::Text, "A regular expression that all of a name must match.")],
    ),
    path("/features", "status", "What this server can do.", Answer::Object, &[]),
    path("/notifications", "status", "What users should know now.", Answer::List, &[]),
    path(
        "/notifications/live",
        "status",
        "The same as it changes, as server-sent events.",
        Answer::Events,
        &[],
    ),
    path(
        "/openapi.yaml",
        "status",
        "This document.",
        Answer::Yaml,
        &[may("openapi_version", Kind::Text, "3.1 or 3.2.")],
    ),
    path(
        "/status/remote_write",
        "remote",
        "What each endpoint of remote write is at. Narthex' own.",
        Answer::Object,
        &[],
    ),
    path(
        "/status/remote_write/dead_letters",
        "remote",
        "What endpoints refused for good. Narthex' own.",
        Answer::Object,
        &[],
    ),
    path(
        "/status/remote_write/dead_letters/show",
        "remote",
        "Shows dead letters. Narthex' own.",
        Answer::Object,
        LETTERS,
    ),
    path(
        "/status/remote_write/dead_letters/replay",
        "admin",
        "Offers dead letters to their endpoint again. Narthex' own.",
        Answer::Object,
        LETTERS,
    ),
    path(
        "/status/remote_write/dead_letters/drop",
        "admin",
        "Deletes dead letters for good. Narthex' own.",
        Answer::Object,
        LETTERS,
    ),
    path(
        "/write",
        "remote",
        "Takes remote-write requests; with --web.enable-remote-write-receiver.",
        Answer::Nothing,
        &[],
    ),
    path("/read", "remote", "Answers remote-read requests.", Answer::Message, &[]),
    path("/otlp/v1/metrics", "remote", "Takes OTLP metrics; not there yet.", Answer::Nothing, &[]),
    path("/admin/tsdb/delete_series", "admin", "Deletes series.", Answer::Nothing, &[MUST_MATCH, START, END]),
    path(
        "/admin/tsdb/clean_tombstones",
        "admin",
        "Frees the space of what was deleted.",
        Answer::Nothing,
        &[],
    ),
    path(
        "/admin/tsdb/snapshot",
        "admin",
        "Makes a snapshot below the data directory.",
        Answer::Object,
        &[may("skip_head", Kind::Switch, "Whether what is not in blocks is left out.")],
    ),
];
