//! Parts of the API that need a whole server: live notifications, and what a job's configuration does.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use crate::harness::{Narthex, SOON, scraping};
use crate::process::{encode, wait};

/// Asks for live notifications; the status and what comes behind the head.
fn listen(server: &Narthex) -> (String, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(stream, "GET /api/v1/notifications/live HTTP/1.0\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    reader.read_line(&mut status).unwrap();
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    (status, reader)
}

/// The text of the next event, and whether it holds; `None` at the end.
fn event(reader: &mut BufReader<TcpStream>) -> Option<(String, bool)> {
    let mut text = String::new();
    reader.read_line(&mut text).unwrap();
    let event: serde_json::Value = serde_json::from_str(text.strip_prefix("data: ")?).unwrap();
    reader.read_line(&mut String::new()).unwrap();
    Some((event["text"].as_str().unwrap().to_owned(), event["active"].as_bool().unwrap()))
}

#[test]
fn who_listens_hears_of_a_failed_reload_of_its_repair_and_of_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--web.enable-lifecycle", "--web.max-notifications-subscribers=1"];
    let server = Narthex::start(folder.path(), &scraping(1), &flags);
    server.wait_ready();
    let (status, mut events) = listen(&server);
    assert!(status.contains(" 200 "), "{status}");
    assert!(listen(&server).0.contains(" 204 "), "one may listen");
    server.configure("nonsense");
    assert_eq!(server.post("/-/reload").0, 500);
    let failed = "Configuration reload has failed.".to_owned();
    assert_eq!(event(&mut events), Some((failed.clone(), true)));
    server.configure(&scraping(1));
    assert_eq!(server.post("/-/reload").0, 200);
    assert_eq!(event(&mut events), Some((failed, false)));
    let counted = server.get("/metrics").1;
    for line in ["active_subscribers 1", "updates_sent_total 2", "updates_dropped_total 0"] {
        assert!(counted.contains(&format!("\nprometheus_api_notification_{line}\n")), "{line}");
    }
    server.signal("TERM");
    assert!(event(&mut events).unwrap().0.contains("shutting down"));
    assert_eq!(event(&mut events), None);
    assert!(server.ended().success());
}

#[test]
fn a_pool_shows_the_configuration_that_was_loaded_and_its_steps() {
    let folder = tempfile::tempdir().unwrap();
    let job = "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: j\n  basic_auth: {username: u, password: hidden-word}\n  \
        relabel_configs: [{target_label: a, replacement: '1'}, {source_labels: [a], regex: '1', action: drop}]\n";
    let server = Narthex::start(folder.path(), job, &[]);
    server.wait_ready();
    let config = wait("the job", SOON, || {
        let (status, body) = server.get("/api/v1/scrape_pools/config?scrapePool=j");
        (status == 200).then_some(body)
    });
    assert!(
        config.contains("job_name: j")
            && config.contains("\\u003csecret\\u003e")
            && !config.contains("hidden-word"),
        "{config}"
    );
    let labels = encode("{\"x\":\"y\"}");
    let (status, steps) = server.get(&format!("/api/v1/targets/relabel_steps?scrapePool=j&labels={labels}"));
    assert_eq!(status, 200, "{steps}");
    assert!(steps.contains(r#""output":{"a":"1","x":"y"},"keep":true"#), "{steps}");
    assert!(steps.contains(r#""action":"drop"},"output":{},"keep":false"#), "{steps}");
    assert_eq!(server.get("/api/v1/scrape_pools/config?scrapePool=k").0, 400);
    let (status, document) = server.get("/api/v1/openapi.yaml");
    assert!(status == 200 && document.starts_with("openapi: 3.1.0\n"), "{document}");
}
