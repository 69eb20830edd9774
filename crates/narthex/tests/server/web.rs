//! The surface of the web server: slow clients, the cap on connections, several addresses, sockets of systemd, prefixes, files.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{EMPTY, Narthex, SOON};
use crate::process::{free_port, get, narthex, wait};

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// All that comes back; a reset counts as the end.
pub(crate) fn raw(port: u16, request: &str) -> String {
    let mut stream = connect(port);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer, 0 for none.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
}

/// One byte a moment, for ever: such clients held a connection until they tired of it.
#[test]
fn slow_and_silent_clients_are_cut_off_after_the_read_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let server = Narthex::start(folder.path(), EMPTY, &["--web.read-timeout=1s"]);
    let began = Instant::now();
    let mut silent = connect(server.port);
    let mut half = connect(server.port);
    half.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ").unwrap();
    let mut idle = connect(server.port);
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut body = connect(server.port);
    body.write_all(b"POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\nq")
        .unwrap();
    let mut loris = connect(server.port);
    loris.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let dripped = wait("the end of the slow one", SOON, || {
        loris.write_all(b"a: b\r\n").is_err().then(|| began.elapsed())
    });
    assert!(dripped > Duration::from_millis(900), "{dripped:?}");
    for (name, stream) in
        [("silent", &mut silent), ("half", &mut half), ("idle", &mut idle), ("body", &mut body)]
    {
        let mut rest = Vec::new();
        // Ends by the server's close; a reset is one, too.
        let read = stream.read_to_end(&mut rest);
        assert!(read.is_ok() || read.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset, "{name}");
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(server.get("/-/healthy").0, 200);
}

#[test]
fn clients_over_the_cap_wait_until_others_leave_or_time_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Narthex::start(folder.path(), EMPTY, &["--web.read-timeout=2s", "--web.max-connections=2"]);
    let held = [connect(server.port), connect(server.port)];
    let mut third = connect(server.port);
    third.write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n").unwrap();
    third.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut byte = [0];
    assert!(third.read(&mut byte).is_err(), "no slot yet");
    drop(held);
    third.set_read_timeout(Some(SOON)).unwrap();
    let mut answer = String::new();
    third.read_to_string(&mut answer).unwrap();
    assert_eq!(status(&answer), 200);
    // Nobody leaves: the silent ones are cut off.
    let _held = [connect(server.port), connect(server.port)];
    assert_eq!(server.get("/-/healthy").0, 200);
}

#[test]
fn it_listens_on_several_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let more = free_port();
    let flag = format!("--web.listen-address=127.0.0.1:{more}");
    let server = Narthex::start(folder.path(), EMPTY, &[&flag]);
    assert_eq!(server.get("/-/healthy").0, 200);
    assert_eq!(get(more, "/-/healthy").unwrap().0, 200);
}

#[test]
fn it_serves_on_sockets_that_systemd_opened() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("narthex.yml"), EMPTY).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The client came before the server was started: its request waits in the socket.
    let mut early = connect(port);
    early.write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n").unwrap();
    let words = format!(
        "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec {} --config.file={dir}/narthex.yml \
         --storage.tsdb.path={dir}/data --web.systemd-socket",
        narthex().display(),
        dir = folder.path().display()
    );
    let mut command = Command::new("sh");
    let quiet = || Stdio::null();
    command.args(["-c", &words]).stdin(Stdio::from(OwnedFd::from(listener))).stdout(quiet()).stderr(quiet());
    let mut child = command.spawn().unwrap();
    let mut answer = String::new();
    let read = early.read_to_string(&mut answer);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(read.is_ok() && status(&answer) == 200, "{answer}");

    let (code, log) = Narthex::run_to_end(folder.path(), &["--web.systemd-socket"]);
    assert!(code == Some(1) && log.contains("no socket activation file descriptors found"), "{log}");
}

#[test]
fn prefixes_redirects_and_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("assets")).unwrap();
    std::fs::write(folder.path().join("assets/a.txt"), "hello").unwrap();
    std::fs::write(folder.path().join("secret"), "s3cret").unwrap();
    let assets = format!("--web.user-assets={}", folder.path().join("assets").display());
    let flags = [
        "--web.external-url=https://example.org/out/side/",
        "--web.route-prefix=in",
        "--web.page-title=Mine <&>",
        &assets,
    ];
    let server = Narthex::start(folder.path(), EMPTY, &flags);
    let ask = |path: &str| {
        raw(server.port, &format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    };
    wait("readiness", SOON, || (status(&ask("/in/-/ready")) == 200).then_some(()));
    let location = |answer: &str| {
        let line = answer.lines().find_map(|l| l.strip_prefix("location: "));
        line.unwrap_or("").to_owned()
    };
    for (path, expected_status, expected) in [
        ("/", 302, "/in"),
        ("/in", 301, "/in/"),
        ("/in/", 302, "/out/side/query"),
        ("/in/graph?g0.expr=up", 302, "/out/side/query?g0.expr=up"),
        ("/in/user", 301, "/in/user/"),
        ("/in/user/a.txt", 200, ""),
        ("/-/healthy", 404, ""),
        ("/out/side/query", 404, ""),
    ] {
        let answer = ask(path);
        assert_eq!((status(&answer), &*location(&answer)), (expected_status, expected), "{path}");
    }
    assert!(ask("/in/query").contains("<title>Mine &lt;&amp;&gt;</title>"));
    for path in [
        "/in/user/../secret",
        "/in/user/..%2fsecret",
        "/in/user/%2e%2e/secret",
        "/in/user/%2e%2e%2fsecret",
        "/in/user/..%5csecret",
        "/in/user//../../secret",
        "/in/user/%2fetc/passwd",
        "/in/user/x%0d%0aSet-Cookie:%20a=b/../..%2fsecret",
        "/in/user/..%2f%0d%0aSet-Cookie:%20a=b",
        "/in/consoles/..%2fsecret",
        "/in/graph?a=%0d%0aSet-Cookie:%20a=b",
        "//in/x%0d%0aSet-Cookie:%20a=b",
        "/in/api/v1/label/%0d%0aSet-Cookie:%20a=b/values/",
    ] {
        let answer = ask(path);
        assert!(status(&answer) != 0 && status(&answer) != 500, "{path}: {answer}");
        assert!(!answer.contains("s3cret") && !answer.contains("root:"), "{path}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("\nset-cookie:"), "{path}: {answer}");
    }
    // A line end in a header's value ends the request, not the answer.
    let answer = raw(server.port, "GET /in/api/v1/labels HTTP/1.0\r\nOrigin: http://a\rX: b\r\n\r\n");
    assert_eq!(status(&answer), 400, "{answer}");
}
