//! Remote write and its dead letters, over a double.

use std::sync::Mutex;

use super::*;

/// Notes what it is asked to do.
#[derive(Default)]
pub(super) struct RemoteWrites {
    asked: Arc<Mutex<Vec<String>>>,
}

impl RemoteWrites {
    fn note(&self, what: &str, wanted: &LetterSelection) {
        let LetterSelection { endpoint, ids, selectors, status, after } = wanted;
        let text = format!("{what} {endpoint:?} {ids:?} {} {status:?} {after}", selectors.len());
        self.asked.lock().unwrap().push(text);
    }
}

impl RemoteWriteService for RemoteWrites {
    fn endpoints(&self) -> Vec<RemoteEndpoint> {
        vec![RemoteEndpoint {
            id: "ab".into(),
            name: "one".into(),
            url: "http://a:xxxxx@b/".into(),
            protocol: "io.prometheus.write.v2.Request",
            protocol_sent: "prometheus.WriteRequest",
            catch_up: Some((1000, 60)),
            gaps: RemoteGaps {
                count: 2,
                samples: 30,
                exemplars: 4,
                last: Some(RemoteGap {
                    time_ms: 9000,
                    cause: "<why>".into(),
                    from_ms: Some(3000),
                    to_ms: None,
                }),
            },
            failing_for: Some(Duration::from_millis(2500)),
            last_error: Some(("<no>".into(), std::time::UNIX_EPOCH)),
            backoff: Duration::from_millis(30),
            lag: None,
            lag_samples: 9,
            pending: 5,
            unread_bytes: 77,
            cursor: (3, 4),
            tip: (5, 6),
            in_flight: 1,
            allowed: 2,
            bounds: (1, 50),
            letters: (7, 800, 0),
        }]
    }
    fn stores(&self) -> Result<Vec<LetterStore>, ApiError> {
        let reason = LetterReason { status: 400, reason: "bad".into(), letters: 7, last_refused_ms: 2000 };
        let full = LetterStore {
            id: "ab".into(),
            name: "one".into(),
            letters: 7,
            ids: Some((1, 9)),
            refused_ms: Some((1000, 2000)),
            reasons: vec![reason],
            ..LetterStore::default()
        };
        Ok(vec![full])
    }
    fn letters(&self, wanted: &LetterSelection, limit: usize) -> Result<(Vec<Letter>, bool), ApiError> {
        self.note(&format!("show {limit}"), wanted);
        let letter = Letter {
            id: 4,
            refused_ms: 1500,
            status: 400,
            reason: "bad".into(),
            labels: Labels::from_pairs([("__name__", "up")]),
            kind: "sample",
            t_ms: Some(1000),
            content: "NaN".into(),
        };
        let exemplar = Letter { kind: "exemplar", t_ms: None, content: "0a".into(), ..letter.clone() };
        Ok((vec![letter, exemplar], true))
    }
    fn replay(
        &self,
        wanted: &LetterSelection,
        limit: u64,
        timeout: Duration,
    ) -> Result<LetterReplay, ApiError> {
        self.note(&format!("replay {limit} {timeout:?}"), wanted);
        Ok(LetterReplay { accepted: 3, refused: 1, last: 8, more: true, stopped: None })
    }
    fn drop_letters(&self, wanted: &LetterSelection) -> Result<u64, ApiError> {
        self.note("drop", wanted);
        Ok(6)
    }
}

const BASE: &str = "/api/v1/status/remote_write";

#[track_caller]
fn check(site: &Site, cases: &[(&str, &str, &str)]) {
    let cases: Vec<_> =
        cases.iter().map(|(method, path, body)| (format!("{method} {BASE}{path}"), *body)).collect();
    check_all(site, &cases.iter().map(|(request, body)| (&**request, *body)).collect::<Vec<_>>());
}

#[test]
fn endpoints_and_letters_are_shown() {
    let endpoint = concat!(
        r#"200 {"status":"success","data":{"endpoints":[{"name":"one","id":"ab","url":"http://a:xxxxx@b/","#,
        r#""protocol":"io.prometheus.write.v2.Request","protocolSent":"prometheus.WriteRequest","#,
        r#""lagSeconds":null,"lagSamples":9,"pendingSamples":5,"unreadBytes":77,"#,
        r#""cursor":{"segment":3,"offset":4},"tip":{"segment":5,"offset":6},"requestsInFlight":1,"requestsAllowed":2,"#,
        r#""requestsMin":1,"requestsMax":50,"failingSeconds":2.5,"backoffSeconds":0.03,"#,
        r#""lastError":{"time":"1970-01-01T00:00:00.000Z","text":"\u003cno\u003e"},"#,
        r#""deadLetters":{"count":7,"bytes":800,"evicted":0},"#,
        r#""catchUp":{"readTo":"1970-01-01T00:00:01.000Z","lateBytes":60},"gaps":{"count":2,"samples":30,"exemplars":4,"#,
        r#""last":{"time":"1970-01-01T00:00:09.000Z","from":"1970-01-01T00:00:03.000Z","to":null,"#,
        r#""cause":"\u003cwhy\u003e"}}}]}}"#
    );
    let stores = concat!(
        r#"200 {"status":"success","data":{"stores":[{"name":"one","id":"ab","url":"","configured":false,"count":7,"#,
        r#""bytes":0,"unreadableLines":0,"firstId":1,"lastId":9,"firstRefused":"1970-01-01T00:00:01.000Z","#,
        r#""lastRefused":"1970-01-01T00:00:02.000Z","minTime":null,"maxTime":null,"#,
        r#""reasons":[{"status":400,"reason":"bad","count":7,"lastRefused":"1970-01-01T00:00:02.000Z"}]}]}}"#
    );
    let letters = concat!(
        r#"200 {"status":"success","data":{"letters":[{"id":4,"refused":"1970-01-01T00:00:01.500Z","status":400,"#,
        r#""reason":"bad","labels":{"__name__":"up"},"kind":"sample","timestampMs":1000,"value":"NaN"},"#,
        r#"{"id":4,"refused":"1970-01-01T00:00:01.500Z","status":400,"#,
        r#""reason":"bad","labels":{"__name__":"up"},"kind":"exemplar","timestampMs":null,"encoded":"0a"}],"more":true}}"#
    );
    check(
        &ready_site(),
        &[("GET", "", endpoint), ("GET", "/dead_letters", stores), ("GET", "/dead_letters/show", letters)],
    );
}

#[test]
fn what_is_asked_reaches_the_service_and_bad_questions_do_not() {
    let remote = RemoteWrites::default();
    let asked = Arc::clone(&remote.asked);
    let site = new_site(options());
    site.answer_from_blocks(Services { remote_write: Arc::new(remote), ..services() });
    site.open();
    let done =
        r#"200 {"status":"success","data":{"accepted":3,"refused":1,"last":8,"more":true,"stopped":null}}"#;
    let dropped = r#"200 {"status":"success","data":{"dropped":6}}"#;
    let bad = |text: &str| format!(r#"400 {{"status":"error","errorType":"bad_data","error":"{text}"}}"#);
    let which = bad(
        "say which letters to drop, by id, match[] or status, or that all of the endpoint are meant, by all=true",
    );
    check(
        &site,
        &[
            ("POST", "/dead_letters/replay", done),
            ("POST", "/dead_letters/replay endpoint=one&id=3&id=5-9&after=4&limit=20&timeout=900", done),
            ("POST", "/dead_letters/drop match[]=up&status=400", dropped),
            ("POST", "/dead_letters/drop?all=true&endpoint=one", dropped),
            ("POST", "/dead_letters/drop", &which),
            ("POST", "/dead_letters/drop all=true&id=3", &which),
            (
                "POST",
                "/dead_letters/replay id=9-3",
                &bad(r#"invalid parameter \"id\": \"9-3\" is neither a number nor a range such as 17-29"#),
            ),
            (
                "GET",
                "/dead_letters/show?limit=x",
                &bad(r#"invalid parameter \"limit\": \"x\" is not a whole number"#),
            ),
            ("GET", "/dead_letters/drop", "405 allow=OPTIONS, POST Method Not Allowed\n"),
        ],
    );
    let expected = [
        r#"replay 10000 30s "" [] 0 None 0"#,
        r#"replay 20 300s "one" [(3, 3), (5, 9)] 0 None 4"#,
        r#"drop "" [] 1 Some(400) 0"#,
        r#"drop "one" [] 0 None 0"#,
    ];
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[test]
fn replays_and_drops_are_for_the_admin() {
    let site = new_site(SiteOptions { admin: false, ..options() });
    open(&site);
    let off = r#"500 {"status":"error","errorType":"unavailable","error":"admin APIs disabled"}"#;
    check(&site, &[("POST", "/dead_letters/replay", off), ("POST", "/dead_letters/drop all=true", off)]);
}
