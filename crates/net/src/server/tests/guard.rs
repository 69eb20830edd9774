//! Users, headers, the bound on requests, and the file that changes under the server.

use std::path::Path;

use tokio::io::AsyncReadExt as _;

use super::*;

/// A folder with a web-config file.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new(config: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("web.yml", config);
        folder
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    pub(super) fn open(&self) -> Result<Guard, GuardError> {
        Guard::open(&self.path().join("web.yml"))
    }
}

/// The only user, with the password `secret`.
fn users() -> String {
    format!("basic_auth_users: {{alice: '{}'}}\n", bcrypt::hash("secret", 4).unwrap())
}

/// The whole answer to a request that ends the connection.
async fn ask(server: &Server, headers: &str) -> String {
    let mut stream = connect(server).await;
    send(&mut stream, &format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n")).await;
    let mut answer = String::new();
    tokio::time::timeout(LONG, stream.read_to_string(&mut answer)).await.expect("in time").unwrap();
    answer
}

/// `Authorization` of alice.
const ALICE: &str = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
/// With another password.
const NOT_ALICE: &str = "Authorization: Basic YWxpY2U6c2VjcmV1\r\n";

#[tokio::test]
async fn without_the_password_nothing_reaches_the_handler() {
    let folder = Folder::new(&users());
    let (server, double) = start_guarded(10, LONG, Some(folder.open().unwrap()));
    for headers in ["", NOT_ALICE, "Authorization: Basic\r\n", "Authorization: Bearer secret\r\n"] {
        let answer = ask(&server, headers).await;
        assert!(answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{answer}");
        assert!(answer.contains("www-authenticate: Basic\r\n") && answer.ends_with("\r\n\r\nUnauthorized\n"));
    }
    assert_eq!(double.started.load(Ordering::SeqCst), 0);
    for _ in 0..2 {
        assert!(ask(&server, ALICE).await.ends_with("hello"));
    }
}

#[tokio::test]
async fn configured_headers_stand_on_every_answer_and_never_split_it() {
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    \
                   Strict-Transport-Security: \"a\\r\\nX-Evil: b\"\n    X-Content-Type-Options: nosniff\n";
    let folder = Folder::new(&format!("{headers}{}", users()));
    let (server, _) = start_guarded(10, LONG, Some(folder.open().unwrap()));
    for (credentials, body) in [("", "Unauthorized\n"), (ALICE, "hello")] {
        let answer = ask(&server, credentials).await;
        assert!(answer.contains("x-frame-options: deny\r\n") && answer.ends_with(body), "{answer}");
        assert!(answer.contains("strict-transport-security: a  X-Evil: b\r\n"), "{answer}");
        assert_eq!(answer.matches("nosniff").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn the_file_is_followed_without_a_restart_and_a_wrong_one_lets_nobody_in() {
    let folder = Folder::new("");
    let (server, double) = start_guarded(10, LONG, Some(folder.open().unwrap()));
    assert!(ask(&server, "").await.ends_with("hello"));
    folder.write("web.yml", &users());
    assert!(ask(&server, "").await.starts_with("HTTP/1.1 401"));
    assert!(ask(&server, ALICE).await.ends_with("hello"));
    let before = double.started.load(Ordering::SeqCst);
    for wrong in ["basic_auth_userz: {}\n", "{", "http_server_config: {headers: {X-Evil: 1}}\n"] {
        folder.write("web.yml", wrong);
        let answer = ask(&server, ALICE).await;
        assert!(
            answer.starts_with("HTTP/1.1 500") && answer.ends_with("Internal Server Error\n"),
            "{answer}"
        );
    }
    std::fs::remove_file(folder.path().join("web.yml")).unwrap();
    assert!(ask(&server, ALICE).await.starts_with("HTTP/1.1 500"));
    assert_eq!(double.started.load(Ordering::SeqCst), before);
    folder.write("web.yml", &users().replace("alice", "bob"));
    assert!(ask(&server, ALICE).await.starts_with("HTTP/1.1 401"));
}

/// Whoever writes a file first cuts it to nothing. Without users everybody would be let in for that moment.
#[tokio::test]
async fn a_file_without_users_counts_only_once_it_has_stayed_so() {
    let folder = Folder::new(&users());
    let (server, double) = start_guarded(10, LONG, Some(folder.open().unwrap()));
    for text in ["", "http_server_config: {}\n"] {
        folder.write("web.yml", text);
        assert!(ask(&server, "").await.starts_with("HTTP/1.1 401"));
        // Neither is one that was wrong in between.
        folder.write("web.yml", "{");
        assert!(ask(&server, "").await.starts_with("HTTP/1.1 500"));
        folder.write("web.yml", text);
        assert!(ask(&server, "").await.starts_with("HTTP/1.1 500"));
        folder.write("web.yml", &users());
        assert!(ask(&server, ALICE).await.ends_with("hello"));
    }
    assert_eq!(double.started.load(Ordering::SeqCst), 2);
    folder.write("web.yml", "");
    let deadline = tokio::time::Instant::now() + LONG;
    while ask(&server, "").await.starts_with("HTTP/1.1 401") {
        assert!(tokio::time::Instant::now() < deadline, "it counts in the end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(ask(&server, "").await.ends_with("hello"));
}

#[tokio::test]
async fn requests_over_the_bound_are_refused() {
    let folder = Folder::new("rate_limit: {burst: 2, interval: 1h}\n");
    let (server, _) = start_guarded(10, LONG, Some(folder.open().unwrap()));
    for _ in 0..2 {
        assert!(ask(&server, "").await.ends_with("hello"));
    }
    let answer = ask(&server, "").await;
    assert!(answer.starts_with("HTTP/1.1 429") && answer.ends_with("Too Many Requests\n"), "{answer}");
}

/// A comparison that runs on the network threads would stop all answers for its length.
#[tokio::test(flavor = "current_thread")]
async fn comparing_a_password_holds_up_nobody_else() {
    let hash = bcrypt::hash("secret", 12).unwrap();
    let folder = Folder::new(&format!(
        "basic_auth_users: {{slow: '{hash}', alice: '{}'}}\n",
        bcrypt::hash("secret", 4).unwrap()
    ));
    let (server, double) = start_guarded(10, LONG, Some(folder.open().unwrap()));
    // Remembered from now on.
    assert!(ask(&server, ALICE).await.ends_with("hello"));
    let mut slow = connect(&server).await;
    send(&mut slow, "GET / HTTP/1.0\r\nAuthorization: Basic c2xvdzpzZWNyZXQ=\r\n\r\n").await;
    for _ in 0..20 {
        assert!(ask(&server, ALICE).await.ends_with("hello"));
    }
    assert_eq!(double.started.load(Ordering::SeqCst), 21, "all before the slow one");
    read_until(&mut slow, "hello").await;
}

#[test]
fn a_wrong_file_is_refused_with_its_place() {
    #[track_caller]
    fn check(config: &str, expected: &str) {
        let folder = Folder::new(config);
        let got = folder.open().map_or_else(|e| e.to_string(), |_| "opened".to_owned());
        let got = got.replace(&*folder.path().to_string_lossy(), "DIR");
        assert!(got.contains(expected), "{config}: {got}");
    }
    check("", "opened");
    check("tls_server_config:\n  cert_filse: a\n", "DIR/web.yml:2:3");
    check("basic_auth_users: {a: secret}\n", "hashedSecret too short");
    check("tls_server_config: {cert_file: a.pem}\n", "missing one of key or key_file (DIR/web.yml)");
    check("tls_server_config: {cert_file: a.pem, key_file: b.pem}\n", "open DIR/a.pem: no such file");
    check("http_server_config: {headers: {Strict-Transport-Security: \"a\\x01\"}}\n", "what a header cannot");
    check("http_server_config: {headers: {Set-Cookie: a}}\n", "can not be configured");
}
