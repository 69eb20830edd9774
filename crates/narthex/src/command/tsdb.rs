//! `tsdb …`: what promtool does with data directories.
//!
//! Holds: the table of these commands; a file below for each. All but `bench write` and `create-blocks-from` only read: a data
//! directory is as it was afterwards, also one that a server is writing to.
//! Facts: promtool of release 3.14, `cmd/promtool/tsdb.go` and `backfill.go`, by their output.

mod analyze;
mod bench;
mod chunk_stats;
mod dump;
mod go_duration;
mod histogram_text;
mod list;
mod openmetrics;

use std::process::ExitCode;

pub(super) use go_duration::{format_go_duration, parse_go_duration};

use super::table::{Argument, Command, Flag, Kind};
use super::{Given, finish};

const DB_PATH: Argument = Argument::or("db path", "data/", "Database path (default is data/).");
const HUMAN: Flag = Flag::new("human-readable", Kind::Bool, "", "Print human readable values.").short('r');
const EVERY_SERIES: &str = "{__name__=~'(?s:.*)'}";

const SANDBOX: Flag = Flag::new(
    "sandbox-dir-root",
    Kind::Text,
    "",
    "Accepted for compatibility: the replay stays in memory and makes no files.",
);
const MIN_TIME: Flag = Flag::new(
    "min-time",
    Kind::Int64,
    "-9223372036854775808",
    "Minimum timestamp to dump, in milliseconds since the Unix epoch.",
);
const MAX_TIME: Flag = Flag::new(
    "max-time",
    Kind::Int64,
    "9223372036854775807",
    "Maximum timestamp to dump, in milliseconds since the Unix epoch.",
);
const MATCH: Flag =
    Flag::new("match", Kind::Texts, EVERY_SERIES, "Series selector. Can be specified multiple times.");

const BENCH: Command = Command::group(
    "bench",
    "Run benchmarks.",
    &[Command::new("write", "Run a write performance benchmark.", bench)
        .with(&[
            Flag::new("out", Kind::Text, "benchout", "Set the output path."),
            Flag::new("metrics", Kind::Count, "10000", "Number of metrics to read."),
            Flag::new("scrapes", Kind::Count, "3000", "Number of scrapes to simulate."),
        ])
        .taking(&[Argument::or(
            "file",
            "../../tsdb/testdata/20kseries.json",
            "Input file with samples data, default is (../../tsdb/testdata/20kseries.json).",
        )])],
);

const CREATE_BLOCKS: Command = Command::group(
    "create-blocks-from",
    "[Experimental] Import samples from input and produce TSDB blocks. Please refer to the storage docs for more details.",
    &[
        Command::new(
            "openmetrics",
            "Import samples from OpenMetrics input and produce TSDB blocks. Please refer to the storage docs for more details.",
            openmetrics,
        )
        .with(&[Flag::new(
            "label",
            Kind::Pairs,
            "",
            "Label to attach to metrics. Can be specified multiple times. Example --label=label_name=label_value",
        )])
        .taking(&[
            Argument::required("input file", "OpenMetrics file to read samples from."),
            Argument::or("output directory", "data/", "Output directory for generated blocks."),
        ]),
        Command::new("rules", "Create blocks of data for new recording rules.", rules)
            .with(&[
                Flag::new("http.config.file", Kind::Text, "", "HTTP client configuration file for promtool to connect to Prometheus."),
                Flag::new("url", Kind::Text, "http://localhost:9090", "The URL for the Prometheus API with the data where the rule will be backfilled from."),
                Flag::new("start", Kind::Text, "", "The time to start backfilling the new rule from. Must be a RFC3339 formatted date or Unix timestamp. Required.").required(),
                Flag::new("end", Kind::Text, "", "If an end time is provided, all recording rules in the rule files provided will be backfilled to the end time. Default will backfill up to 3 hours ago. Must be a RFC3339 formatted date or Unix timestamp."),
                Flag::new("output-dir", Kind::Text, "data/", "Output directory for generated blocks."),
                Flag::new("eval-interval", Kind::GoDuration, "60s", "How frequently to evaluate rules when backfilling if a value is not set in the recording rule files."),
            ])
            .taking(&[Argument::required("rule-files", "A list of one or more files containing recording rules to be backfilled. All recording rules listed in the files will be backfilled. Alerting rules are not evaluated.").many()]),
    ],
)
.with(&[
    HUMAN,
    Flag::new("quiet", Kind::Bool, "", "Do not print created blocks.").short('q'),
    Flag::new(
        "max-block-duration",
        Kind::GoDuration,
        "",
        "Maximum duration created blocks may span. Anything less than 2h is ignored.",
    )
    .hidden(),
]);

/// The group.
pub(super) const COMMAND: Command = Command::group(
    "tsdb",
    "Run tsdb commands.",
    &[
        BENCH,
        Command::new("analyze", "Analyze churn, label pair cardinality and compaction efficiency.", analyze)
            .with(&[
                Flag::new("limit", Kind::Count, "20", "How many items to show in each list."),
                Flag::new("extended", Kind::Bool, "", "Run extended analysis."),
                Flag::new(
                    "match",
                    Kind::Text,
                    "",
                    "Series selector to analyze. Only 1 set of matchers is supported now.",
                ),
            ])
            .taking(&[
                DB_PATH,
                Argument::or("block id", "", "Block to analyze (default is the last block)."),
            ]),
        Command::new("list", "List tsdb blocks.", list).with(&[HUMAN]).taking(&[DB_PATH]),
        Command::new("dump", "Dump data (series+samples or optionally just series) from a TSDB.", dump)
            .with(&[
                SANDBOX,
                MIN_TIME,
                MAX_TIME,
                MATCH,
                Flag::new(
                    "format",
                    Kind::Choice(&["prom", "seriesjson"]),
                    "prom",
                    "Output format of the dump (prom (default) or seriesjson).",
                ),
            ])
            .taking(&[DB_PATH]),
        Command::new(
            "dump-openmetrics",
            "[Experimental] Dump samples from a TSDB into OpenMetrics text format, excluding native histograms and staleness markers, which are not representable in OpenMetrics.",
            dump_openmetrics,
        )
        .with(&[SANDBOX, MIN_TIME, MAX_TIME, MATCH])
        .taking(&[DB_PATH]),
        CREATE_BLOCKS,
    ],
);

/// Why `create-blocks-from rules` does nothing.
#[derive(Debug, thiserror::Error)]
#[error("creating blocks from rules needs the rule engine, which is not there yet; use promtool for it")]
struct NoRules;

fn rules(_: &str, _: &Given) -> ExitCode {
    finish(Err(NoRules))
}

fn bench(_: &str, given: &Given) -> ExitCode {
    finish(bench::write(given))
}

fn list(_: &str, given: &Given) -> ExitCode {
    finish(list::run(given))
}

fn analyze(_: &str, given: &Given) -> ExitCode {
    finish(analyze::run(given))
}

fn dump(_: &str, given: &Given) -> ExitCode {
    let format =
        if given.flag("format") == "seriesjson" { dump::Format::Series } else { dump::Format::Samples };
    finish(dump::run(given, format))
}

fn dump_openmetrics(_: &str, given: &Given) -> ExitCode {
    finish(dump::run(given, dump::Format::OpenMetrics))
}

fn openmetrics(_: &str, given: &Given) -> ExitCode {
    finish(openmetrics::run(given))
}
