//! Start, reload, stop, crash.

use crate::harness::{EMPTY, Narthex, SOON, scraping};
use crate::process::{free_port, wait};

#[test]
fn it_scrapes_itself_and_answers_up_soon_after_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = Narthex::start_on(folder.path(), &scraping(port), &[], port);
    wait("up to be 1", SOON, || server.query("up").filter(|v| *v == 1.0));
    assert_eq!(server.query("count(prometheus_build_info)"), Some(1.0));
}

#[test]
fn sigterm_and_sigint_end_it_with_status_0() {
    for name in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let server = Narthex::start(folder.path(), EMPTY, &[]);
        server.wait_ready();
        server.signal(name);
        assert_eq!(server.ended().code(), Some(0), "SIG{name}");
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(log.contains("See you next time!"), "{log}");
    }
}

#[test]
fn quit_over_http_needs_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let server = Narthex::start(folder.path(), EMPTY, &[]);
    assert_eq!(server.post("/-/quit"), (403, "Lifecycle API is not enabled.".to_owned()));
    drop(server);
    let server = Narthex::start(folder.path(), EMPTY, &["--web.enable-lifecycle"]);
    server.wait_ready();
    assert_eq!(server.post("/-/quit"), (200, "Requesting termination... Goodbye!".to_owned()));
    assert_eq!(server.ended().code(), Some(0));
}

fn reload_metric(server: &Narthex) -> Option<String> {
    let text = server.get("/metrics").1;
    text.lines().find_map(|l| l.strip_prefix("prometheus_config_last_reload_successful ").map(str::to_owned))
}

#[test]
fn a_reload_takes_over_a_good_file_and_keeps_the_old_one_over_a_bad_file() {
    let folder = tempfile::tempdir().unwrap();
    let server = Narthex::start(folder.path(), EMPTY, &["--web.enable-lifecycle"]);
    server.wait_ready();
    let shows = |text: &str| server.get("/api/v1/status/config").1.contains(text);
    assert!(shows("scrape_interval: 1s"));

    server.configure("global: {scrape_interval: 7s}\n");
    server.signal("HUP");
    wait("the new configuration", SOON, || shows("scrape_interval: 7s").then_some(()));
    assert_eq!(reload_metric(&server).as_deref(), Some("1"));

    server.configure("global: {scrape_intervall: 9s}\n");
    let (status, reason) = server.post("/-/reload");
    assert_eq!(status, 500);
    assert!(reason.starts_with("failed to reload config: couldn't load configuration"), "{reason}");
    assert!(reason.contains("scrape_intervall") && reason.contains("scrape_interval"), "{reason}");
    assert_eq!(reload_metric(&server).as_deref(), Some("0"));
    assert!(shows("scrape_interval: 7s"), "the old configuration stays");

    server.configure(EMPTY);
    assert_eq!(server.post("/-/reload"), (200, String::new()));
    assert_eq!(reload_metric(&server).as_deref(), Some("1"));
}

#[test]
fn a_second_signal_ends_the_wait_for_a_remote_endpoint_that_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = format!("{}\nremote_write: [{{url: 'http://127.0.0.1:1/'}}]\n", scraping(port));
    let server = Narthex::start_on(folder.path(), &config, &[], port);
    wait("a scrape", SOON, || server.query("up"));
    server.signal("TERM");
    wait("the drain", SOON, || server.log().contains("Draining remote write").then_some(()));
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0), "long before the flush deadline of a minute");
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Narthex::start(folder.path(), EMPTY, &[]);
    server.wait_ready();
    let (code, log) = Narthex::run_to_end(folder.path(), &[]);
    assert_eq!(code, Some(1), "{log}");
    let line = log.lines().find(|l| l.contains("level=ERROR")).unwrap();
    assert!(line.contains("opening storage failed") && line.contains("in use"), "{line}");
    assert_eq!(server.get("/-/ready").0, 200, "the first is not disturbed");
}

#[test]
fn a_port_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Narthex::start(folder.path(), EMPTY, &[]);
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("narthex.yml"), EMPTY).unwrap();
    let taken = format!("--web.listen-address=127.0.0.1:{}", server.port);
    let (code, log) = Narthex::run_to_end(other.path(), &[&taken]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("Unable to start web listener") && log.contains("in use"), "{log}");
}

#[test]
fn samples_from_before_a_kill_are_served_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let server = Narthex::start_on(folder.path(), &scraping(port), &[], port);
    let seen = wait("three scrapes", SOON, || server.query("count_over_time(up[1h])").filter(|n| *n >= 3.0));
    server.kill();
    let server = Narthex::start(folder.path(), EMPTY, &[]);
    server.wait_ready();
    let kept = server.query("count_over_time(up[1h])").unwrap_or(0.0);
    assert!(kept >= seen, "{seen} samples were seen before the kill, {kept} after it");
}
