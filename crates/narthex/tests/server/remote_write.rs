//! An endpoint that refuses everything, then takes it: what the commands say and do about it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::harness::{Narthex, SOON};
use crate::process::{narthex, wait};

/// Answers every request with 204 or, while it refuses, 400.
#[derive(Clone)]
struct Receiver {
    port: u16,
    refuses: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
    /// The head of the last request, in small letters.
    head: Arc<Mutex<String>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (refuses, taken) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let receiver = Self { port, refuses, taken, head: Arc::default() };
        let shared = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = shared.clone();
                std::thread::spawn(move || answer(stream.unwrap(), &shared));
            }
        });
        receiver
    }
}

fn answer(mut stream: TcpStream, receiver: &Receiver) {
    let Receiver { refuses, taken, .. } = receiver;
    let mut bytes = Vec::new();
    let mut part = [0; 65536];
    loop {
        let head = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let length = head.and_then(|end| {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            receiver.head.lock().unwrap().clone_from(&head);
            let line = head.lines().find_map(|l| l.strip_prefix("content-length:").map(str::to_owned))?;
            Some(end + 4 + line.trim().parse::<usize>().unwrap())
        });
        if let Some(length) = length.filter(|length| bytes.len() >= *length) {
            bytes.drain(..length);
            let reply: &[u8] = match refuses.load(Ordering::SeqCst) {
                true => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 10\r\n\r\nnot liked\n",
                false => b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            };
            taken.fetch_add(usize::from(!refuses.load(Ordering::SeqCst)), Ordering::SeqCst);
            stream.write_all(reply).unwrap();
            continue;
        }
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&part[..read]),
        }
    }
}

/// Runs `narthex remote-write …`: whether it succeeded, standard output, standard error.
fn command(words: &str, more: &str) -> (bool, String, String) {
    let words = words.split_whitespace().chain([more].into_iter().filter(|word| !word.is_empty()));
    let output = Command::new(narthex()).arg("remote-write").args(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn json(words: &str, more: &str) -> Value {
    let (ok, out, err) = command(&format!("{words} --format=json"), more);
    assert!(ok, "{words}: {err}");
    serde_json::from_str(&out).unwrap()
}

/// How many letters there are.
fn count(target: &str) -> u64 {
    let stores = json("dead-letters list", target);
    stores["stores"].as_array().unwrap().iter().map(|store| store["count"].as_u64().unwrap()).sum()
}

/// Scrapes the server `own` for a few series and ships them to `port`.
fn config(port: u16, own: u16) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs:\n- job_name: self\n  static_configs: [{{targets: ['127.0.0.1:{own}']}}]\n  \
         metric_relabel_configs: [{{source_labels: [__name__], regex: 'up|narthex_.*', action: keep}}]\n\
         remote_write:\n- name: one\n  url: http://user:hidden@127.0.0.1:{port}/\n  \
         queue_config: {{batch_send_deadline: 100ms}}\n"
    )
}

#[test]
fn letters_of_a_receiver_that_refuses_are_listed_shown_dropped_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let server = Narthex::start(folder.path(), "", &["--web.enable-admin-api", "--web.enable-lifecycle"]);
    server.wait_ready();
    server.configure(&config(receiver.port, server.port));
    assert_eq!(server.post("/-/reload").0, 200);
    let target = format!("--url=http://127.0.0.1:{}", server.port);
    wait("letters", SOON, || (count(&target) > 5).then_some(()));

    let (ok, out, _) = command("status", &target);
    assert!(ok && out.starts_with("one  http://user:xxxxx@127.0.0.1:"), "{out}");
    let endpoint = &json("status", &target)["endpoints"][0];
    assert_eq!((&endpoint["name"], &endpoint["failingSeconds"]), (&"one".into(), &Value::Null), "{endpoint}");
    let (_, out, _) = command("dead-letters list", &target);
    assert!(out.contains("× 400  server returned HTTP status 400 Bad Request: not liked"), "{out}");
    assert_eq!(json("dead-letters show --limit=1", &target)["more"], true);
    let letters = json("dead-letters show --match=up", &target);
    let letter = &letters["letters"][0];
    assert_eq!((&letter["labels"]["__name__"], &letter["value"]), (&"up".into(), &"1".into()));
    let id = letter["id"].as_u64().unwrap();

    let (ok, _, err) = command("dead-letters drop", &target);
    assert!(
        !ok && err.contains("by --id, --match or --status, or that all of the endpoint are meant, by --all"),
        "{err}"
    );
    let (ok, out, err) = command(&format!("dead-letters drop --id={id}"), &target);
    assert_eq!((ok, &*out), (true, "1 dead letters dropped\n"), "{err}");
    let (ok, _, err) = command("dead-letters replay --endpoint=two", &target);
    assert!(!ok && err.contains(r#"the name, id or URL "two"; there are: one (id "#), "{err}");

    let before = count(&target);
    let refused = json("dead-letters replay --limit=5", &target);
    assert!(refused["accepted"] == 0 && refused["refused"].as_u64() >= Some(5), "{refused}");
    assert!(count(&target) >= before, "what is refused again stays");
    receiver.refuses.store(false, Ordering::SeqCst);
    wait("that all are replayed", SOON, || {
        let (ok, _, err) = command("dead-letters replay", &target);
        assert!(ok, "{err}");
        (count(&target) == 0).then_some(())
    });
    assert!(receiver.taken.load(Ordering::SeqCst) > 0);
    let (_, metrics) = server.get("/metrics");
    assert!(metrics.contains("prometheus_remote_storage_dead_letters_replayed_total{"), "{metrics}");
}

#[test]
fn letters_of_a_stopped_server_are_read_and_dropped_from_its_directory() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let server = Narthex::start(folder.path(), "", &["--web.enable-lifecycle"]);
    server.wait_ready();
    server.configure(&config(receiver.port, server.port));
    assert_eq!(server.post("/-/reload").0, 200);
    let url = format!("--url=http://127.0.0.1:{}", server.port);
    wait("letters", SOON, || (count(&url) > 2).then_some(()));
    let (ok, _, err) = command("dead-letters replay", &url);
    assert!(
        !ok && err.contains("admin APIs disabled; start the server with --web.enable-admin-api"),
        "{err}"
    );

    let http = folder.path().join("http.yml");
    std::fs::write(&http, "basic_auth: {username: a, password: b}\n").unwrap();
    let with_http = format!("status --http.config.file={}", http.display());
    assert_eq!(json(&with_http, &url)["endpoints"][0]["name"], "one");
    std::fs::write(&http, "basic_oth: {}\n").unwrap();
    let (ok, _, err) = command(&with_http, &url);
    assert!(!ok && err.contains("basic_oth"), "{err}");

    let dir = format!("--data-dir={}", folder.path().join("data").display());
    let (ok, _, err) = command("dead-letters drop --all", &dir);
    assert!(!ok && err.contains("only while it is stopped"), "{err}");
    server.kill();
    let left = count(&dir);
    assert!(left > 2);
    assert_eq!(json("dead-letters show --endpoint=one --limit=1", &dir)["letters"][0]["id"], 1);
    assert_eq!(json("dead-letters drop --id=1-2", &dir)["dropped"], 2);
    assert_eq!(count(&dir), left - 2);
    let (ok, _, err) = command("dead-letters list", &url);
    assert!(!ok && err.contains("is the server running there? --url names another"), "{err}");
}

#[test]
fn requests_are_signed_and_those_that_fail_are_logged_whole() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    let server = Narthex::start(folder.path(), "", &["--web.enable-lifecycle", "--log.level=debug"]);
    server.wait_ready();
    let with = |more: &str| {
        server.configure(&format!(
            "{}  {more}\n",
            config(receiver.port, server.port).replace("user:hidden@", "")
        ));
        server.post("/-/reload").0
    };
    assert_eq!(with("google_iam: {credentials_file: /no/such.json}"), 500);
    let log = server.log();
    assert!(log.contains("remote_write credentials: /no/such.json: No such file"), "{log}");
    assert_eq!(
        with(
            "failed_request_logging: true\n  sigv4: {region: eu-west-1, access_key: AKID, secret_key: hidden}"
        ),
        200
    );
    wait("a signed request", SOON, || receiver.head.lock().unwrap().contains("aws4_request").then_some(()));
    let head = receiver.head.lock().unwrap().clone();
    let signed = "signedheaders=host;x-amz-content-sha256;x-amz-date, signature=";
    assert!(
        head.contains("authorization: aws4-hmac-sha256 credential=akid/") && head.contains(signed),
        "{head}"
    );
    let log = wait("a request in the log", SOON, || {
        server
            .log()
            .lines()
            .find(|line| line.contains("Failed to send remote write request"))
            .map(str::to_owned)
    });
    assert!(log.contains("level=DEBUG") && log.contains(r#"remote_name=one request="{__name__="#), "{log}");
}
