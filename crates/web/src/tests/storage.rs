//! What clients see of the storage's state and may ask it to do, over a double.

use std::sync::Mutex;

use super::*;

/// Notes what it is asked to do.
#[derive(Default)]
pub(super) struct Tsdb {
    asked: Arc<Mutex<Vec<String>>>,
    refuses: Option<&'static str>,
}

impl TsdbService for Tsdb {
    fn blocks(&self) -> Vec<BlockStatus> {
        vec![BlockStatus {
            ulid: "01M81TBSJCHX8GZCXYA1BJBB93".to_owned(),
            min_ms: 1,
            max_ms: 2,
            counts: vec![("numSamples", 3), ("numTombstones", 0)],
            level: 2,
            parents: vec![("01M81TBW1FN4NP3ZAGW6JCXPMP".to_owned(), 1, 2)],
            ..BlockStatus::default()
        }]
    }
    fn refuses_samples(&self) -> Option<String> {
        self.refuses.map(str::to_owned)
    }
    fn delete_series(&self, start_ms: i64, end_ms: i64, matchers: &[Matcher]) -> Result<(), String> {
        self.asked.lock().unwrap().push(format!("delete {start_ms} {end_ms} {}", matchers.len()));
        Ok(())
    }
    fn clean_tombstones(&self) -> Result<(), String> {
        Err("no space".to_owned())
    }
    fn snapshot(&self, skip_head: bool) -> Result<String, String> {
        Ok(format!("name-{skip_head}"))
    }
    fn status(&self, limit: usize) -> TsdbStatus {
        let list = vec![NamedCount { name: "m".to_owned(), value: limit as u64 }];
        TsdbStatus { series: 3, series_by_metric: list, ..TsdbStatus::default() }
    }
    fn cardinality(&self, question: &CardinalityQuestion) -> CardinalityStatus {
        let asked = format!(
            "{} {} {:?} {} {:?}",
            question.selectors.len(),
            question.since_ms,
            question.labels,
            question.limit,
            question.order
        );
        let counts = |n| CardinalityCounts { series: n, quiet: n / 2, created: n / 3, ended: n / 6 };
        CardinalityStatus {
            since_ms: question.since_ms.max(5_500),
            total: counts(12),
            by_metric: vec![(asked, counts(6))],
            by_label_name: vec![("i".to_owned(), 3, counts(6))],
            by_value: vec![("job".to_owned(), vec![("<a>".to_owned(), counts(0))])],
            created_total: 14,
            removed_total: 2,
        }
    }
    fn exemplars(
        &self,
        start_ms: i64,
        _end_ms: i64,
        selectors: &[Vec<Matcher>],
    ) -> Vec<(Labels, Vec<Exemplar>)> {
        let exemplar = Exemplar { labels: Labels::empty(), value: 0.5, t_ms: Some(start_ms) };
        selectors.iter().map(|_| (Labels::from_pairs([("i", "0")]), vec![exemplar.clone()])).collect()
    }
}

fn site_with(tsdb: Tsdb, options: SiteOptions) -> Site {
    let site = new_site(options);
    site.answer_from_blocks(Services { tsdb: Arc::new(tsdb), ..services() });
    site
}

#[test]
fn the_admin_api_has_prometheus_answers() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let site = site_with(Tsdb { asked: Arc::clone(&asked), ..Tsdb::default() }, options());
    site.open();
    check_all(
        &site,
        &[
            ("POST /api/v1/admin/tsdb/delete_series match[]=m&match[]=n&start=1&end=2", "204 "),
            ("PUT /api/v1/admin/tsdb/delete_series?match[]=m{i=%220%22}", "204 "),
            ("POST /api/v1/admin/tsdb/delete_series match[]=%7B%7D", "204 "),
            (
                "POST /api/v1/admin/tsdb/delete_series",
                r#"400 {"status":"error","errorType":"bad_data","error":"no match[] parameter provided"}"#,
            ),
            (
                "PUT /api/v1/admin/tsdb/delete_series match[]=m&start=x",
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid parameter \"start\": invalid time value for 'start': cannot parse \"x\" to a valid timestamp"}"#,
            ),
            (
                "POST /api/v1/admin/tsdb/clean_tombstones",
                r#"500 {"status":"error","errorType":"internal","error":"no space"}"#,
            ),
            (
                "POST /api/v1/admin/tsdb/snapshot skip_head=true",
                r#"200 {"status":"success","data":{"name":"name-true"}}"#,
            ),
            (
                "POST /api/v1/admin/tsdb/snapshot?skip_head=x",
                r#"400 {"status":"error","errorType":"bad_data","error":"invalid parameter \"skip_head\": unable to parse boolean: strconv.ParseBool: parsing \"x\": invalid syntax"}"#,
            ),
            ("GET /api/v1/admin/tsdb/snapshot", "405 allow=OPTIONS, POST, PUT Method Not Allowed\n"),
        ],
    );
    let (first, last) = (crate::param::MIN_TIME.to_ms(), crate::param::MAX_TIME.to_ms());
    let expected = ["delete 1000 2000 1", "delete 1000 2000 1", &format!("delete {first} {last} 2")];
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[test]
fn the_admin_api_is_off_unless_switched_on() {
    let site = site_with(Tsdb::default(), SiteOptions { admin: false, ..options() });
    site.open();
    let off = r#"500 {"status":"error","errorType":"unavailable","error":"admin APIs disabled"}"#;
    check_all(
        &site,
        &[
            ("POST /api/v1/admin/tsdb/delete_series", off),
            ("POST /api/v1/admin/tsdb/clean_tombstones", off),
            ("PUT /api/v1/admin/tsdb/snapshot", off),
        ],
    );
}

#[test]
fn the_older_gateway_takes_json() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let site = site_with(Tsdb { asked: Arc::clone(&asked), ..Tsdb::default() }, options());
    site.open();
    let bad = |reason: &str| format!(r#"400 {{"error":"{reason}","code":3}}"#);
    let delete = |body: &str| format!("POST /api/v2/admin/tsdb/delete_series {body}");
    let two = r#"{"min_time":"1970-01-01T00:00:01Z","maxTime":"1970-01-01T00:00:02Z","matchers":[{"name":"a","value":"b"},{"type":"NRE","name":"c","value":"d.*"}]}"#;
    check_all(
        &site,
        &[
            ("POST /api/v2/admin/tsdb/snapshot", r#"200 {"name":"name-false"}"#),
            (r#"POST /api/v2/admin/tsdb/snapshot {"skip_head":true}"#, r#"200 {"name":"name-true"}"#),
            (r#"POST /api/v2/admin/tsdb/snapshot {"skip_head":1}"#, &bad("skip_head must be true or false")),
            ("POST /api/v2/admin/tsdb/clean_tombstones {}", r#"500 {"error":"no space","code":13}"#),
            (&delete(two), "200 {}"),
            (&delete(r#"{"matchers":[]}"#), "200 {}"),
            (&delete("[]"), &bad("the body must be a JSON object")),
            (&delete("{"), &bad("EOF while parsing an object at line 1 column 1")),
            (&delete(r#"{"x":1}"#), &bad(r#"unknown field \"x\""#)),
            (&delete(r#"{"min_time":5}"#), &bad("min_time must be a time by RFC 3339")),
            (
                &delete(r#"{"min_time":"1970-01-02T00:00:00Z","max_time":"1970-01-01T00:00:00Z"}"#),
                &bad("min time must be before max time"),
            ),
            (&delete(r#"{"matchers":{}}"#), &bad("matchers must be a list")),
            (&delete(r#"{"matchers":[{"type":"X"}]}"#), &bad("unknown matcher type")),
            (&delete(r#"{"matchers":[{"type":4}]}"#), &bad("unknown matcher type")),
            (&delete(r#"{"matchers":[{"name":[]}]}"#), &bad("name of a matcher must be a text")),
            ("GET /api/v2/admin/tsdb/snapshot", "405 allow=OPTIONS, POST Method Not Allowed\n"),
            ("POST /api/v2/query", "404 404 page not found\n"),
        ],
    );
    assert_eq!(*asked.lock().unwrap(), ["delete 1000 2000 2"]);
    let off = site_with(Tsdb::default(), SiteOptions { admin: false, ..options() });
    off.open();
    let disabled = r#"503 {"error":"Admin APIs are disabled","code":14}"#;
    check_all(&off, &[("POST /api/v2/admin/tsdb/snapshot", disabled), (&delete("{"), disabled)]);
}

#[test]
fn blocks_are_shown_as_they_describe_themselves() {
    let expected = concat!(
        r#"200 {"status":"success","data":{"blocks":[{"ulid":"01M81TBSJCHX8GZCXYA1BJBB93","minTime":1,"maxTime":2,"#,
        r#""stats":{"numSamples":3},"compaction":{"level":2,"#,
        r#""parents":[{"ulid":"01M81TBW1FN4NP3ZAGW6JCXPMP","minTime":1,"maxTime":2}]},"version":1}]}}"#
    );
    check_all(&ready_site(), &[("GET /api/v1/status/tsdb/blocks", expected)]);
}

/// Blocks are served while the head replays: such answers are not whole and say so; what needs the head waits.
#[test]
fn before_the_replay_is_done_answers_come_from_blocks_with_a_warning() {
    let site = site_with(Tsdb::default(), options());
    let warning = r#""warnings":["the write-ahead log is being replayed: this answer holds only what is in blocks, recent data is missing"]}"#;
    let vector = r#"{"status":"success","data":{"resultType":"vector","result":[]},"#;
    let names = r#"{"status":"success","data":["__name__","i"],"#;
    let unavailable = "503 x-prometheus-stopping=false Service Unavailable";
    check_all(
        &site,
        &[
            ("GET /api/v1/query?query=none&time=5", &format!("200 {vector}{warning}")),
            ("GET /api/v1/labels", &format!("200 {names}{warning}")),
            ("GET /-/ready", unavailable),
            ("GET /-/healthy", "200 Prometheus Server is Healthy.\n"),
            ("GET /api/v1/targets", unavailable),
            ("POST /api/v1/admin/tsdb/snapshot", unavailable),
            ("GET /api/v1/status/tsdb", unavailable),
        ],
    );
    site.open();
    check_all(
        &site,
        &[
            ("GET /api/v1/query?query=none&time=5", &format!("200 {}}}", vector.trim_end_matches(','))),
            ("GET /-/ready", "200 Prometheus Server is Ready.\n"),
        ],
    );
    site.close();
    check_all(&site, &[("GET /api/v1/labels", "503 x-prometheus-stopping=true Service Unavailable")]);
    site.open();
    check_all(&site, &[("GET /-/ready", "503 x-prometheus-stopping=true Service Unavailable")]);
}

#[test]
fn a_storage_that_takes_no_samples_is_not_ready_but_answers() {
    let site = site_with(Tsdb { refuses: Some("disk full"), ..Tsdb::default() }, options());
    site.open();
    check_all(
        &site,
        &[
            ("GET /-/ready", "503 Service Unavailable: no samples are taken: disk full\n"),
            ("GET /api/v1/labels", r#"200 {"status":"success","data":["__name__","i"]}"#),
        ],
    );
}

#[test]
fn cardinality_is_asked_for_by_selectors_time_labels_limit_and_order() {
    let counted = |asked: &str, since: &str, warnings: &str| {
        format!(
            r#"200 {{"status":"success","data":{{"since":{since},"total":{{"series":12,"quiet":6,"created":4,"ended":2}},"sinceStart":{{"created":14,"removed":2}},"byMetric":[{{"name":"{asked}","series":6,"quiet":3,"created":2,"ended":1}}],"byLabelName":[{{"name":"i","values":3,"series":6,"quiet":3,"created":2,"ended":1}}],"byLabelValue":[{{"label":"job","values":[{{"name":"\u003ca\u003e","series":0,"quiet":0,"created":0,"ended":0}}]}}]}}{warnings}}}"#
        )
    };
    let refused = |parameter: &str, reason: &str| {
        format!(
            r#"400 {{"status":"error","errorType":"bad_data","error":"invalid parameter \"{parameter}\": {reason}"}}"#
        )
    };
    let late = r#","warnings":["memory begins later than since: series are counted as created and ended from the returned time on"]"#;
    let path = "GET /api/v1/status/cardinality";
    check_all(
        &ready_site(),
        &[
            (&format!("{path}?since=7.25"), &counted(r#"0 7250 [\"job\"] 10 Series"#, "7.25", "")),
            (&format!("{path}?since=1"), &counted(r#"0 1000 [\"job\"] 10 Series"#, "5.5", late)),
            (
                "POST /api/v1/status/cardinality match[]=m&match[]=n&label=i&label=pod&limit=10000&sort=created&since=6",
                &counted(r#"2 6000 [\"i\", \"pod\"] 10000 Created"#, "6", ""),
            ),
            (&format!("{path}?limit=0"), &refused("limit", "must be from 1 to 10000")),
            (&format!("{path}?limit=10001"), &refused("limit", "must be from 1 to 10000")),
            (&format!("{path}?limit=x"), &refused("limit", "must be from 1 to 10000")),
            (&format!("{path}?sort=size"), &refused("sort", "must be series, quiet, created or ended")),
            (&format!("{path}?label="), &refused("label", "must be 1 to 10 label names")),
            (
                &format!("{path}?{}", ["label=a"; 11].join("&")),
                &refused("label", "must be 1 to 10 label names"),
            ),
            (
                &format!("{path}?since=x"),
                &refused(
                    "since",
                    r#"invalid time value for 'since': cannot parse \"x\" to a valid timestamp"#,
                ),
            ),
            (
                &format!("{path}?match[]=%7B%7D"),
                &refused("match[]", "match[] must contain at least one non-empty matcher"),
            ),
        ],
    );
}
