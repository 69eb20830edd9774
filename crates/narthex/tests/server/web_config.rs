//! The web-config file: nothing without the password or the certificate, changes without a restart, refusals.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::{EMPTY, Narthex, SOON};
use crate::process::{free_port, wait};
use crate::secure::{Authority, Client, basic, write};
use crate::web::{raw, status};

/// `secret`, with the least cost.
pub(crate) const USERS: &str =
    "basic_auth_users: {alice: '$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW'}\n";

fn web_config(folder: &Path, text: &str) -> String {
    let file = folder.join("web.yml");
    std::fs::write(&file, text).unwrap();
    format!("--web.config.file={}", file.display())
}

/// All kinds of what the server answers.
const REQUESTS: [&str; 26] = [
    "GET /",
    "GET /query",
    "GET /-/healthy",
    "HEAD /-/healthy",
    "GET /-/ready",
    "POST /-/reload",
    "POST /-/quit",
    "GET /version",
    "GET /metrics",
    "GET /federate?match[]=up",
    "GET /consoles/a.html",
    "GET /user/a.txt",
    "GET /api/v1/query?query=1",
    "POST /api/v1/query",
    "OPTIONS /api/v1/query",
    "GET /api/v1/status/config",
    "GET /api/v1/notifications/live",
    "GET /api/v1/openapi.yaml",
    "POST /api/v1/write",
    "POST /api/v1/read",
    "POST /api/v1/otlp/v1/metrics",
    "POST /api/v1/admin/tsdb/delete_series?match[]=up",
    "POST /api/v2/admin/tsdb/snapshot",
    "GET /debug/pprof/",
    "GET /nosuch",
    "GET //a/../b",
];

#[test]
fn nothing_is_reached_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: self\n  \
         basic_auth: {{username: alice, password: secret}}\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
    );
    let assets = format!("--web.user-assets={}", folder.path().display());
    let flags = [
        &*web_config(folder.path(), USERS),
        "--web.enable-lifecycle",
        "--web.enable-admin-api",
        "--web.enable-remote-write-receiver",
        &assets,
    ];
    let server = Narthex::start_on(folder.path(), &config, &flags, port);
    let ask = |request: &str, credentials: &str| {
        let authorization = match credentials {
            "" => String::new(),
            credentials => format!("Authorization: {}\r\n", basic(credentials)),
        };
        raw(
            port,
            &format!(
                "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}Content-Length: 0\r\n\r\n"
            ),
        )
    };
    wait("readiness", SOON, || (status(&ask("GET /-/ready", "alice:secret")) == 200).then_some(()));
    for request in REQUESTS {
        for credentials in ["", "alice:wrong", "bob:secret", "alice"] {
            let answer = ask(request, credentials);
            assert_eq!(status(&answer), 401, "{request} {credentials}: {answer}");
            assert!(answer.contains("www-authenticate: Basic\r\n"), "{answer}");
        }
    }
    assert_eq!(status(&ask("GET /-/healthy", "alice:secret")), 200);
    // It scrapes itself, with the password.
    let up = "GET /api/v1/query?query=up";
    wait("up to be 1", SOON, || ask(up, "alice:secret").contains(",\"1\"]").then_some(()));
    // Users change without a restart.
    web_config(folder.path(), &USERS.replace("alice", "bob"));
    assert_eq!(status(&ask("GET /-/healthy", "alice:secret")), 401);
    assert_eq!(status(&ask("GET /-/healthy", "bob:secret")), 200);
    web_config(folder.path(), "nonsense: 1\n");
    assert_eq!(status(&ask("GET /-/healthy", "bob:secret")), 500);
    assert!(server.log().contains("Unable to parse configuration"), "{}", server.log());
}

const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server-key.pem\n";

#[test]
fn it_is_scraped_over_tls_by_those_with_a_certificate_only() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, port) = (Authority::new(), free_port());
    let own = authority.client("scraper.example");
    write(folder.path(), "server", &authority.server());
    write(folder.path(), "client", &own);
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let policy = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans: [scraper.example]\n";
    let flag = web_config(folder.path(), &format!("{TLS}{policy}"));
    let at = |name: &str| folder.path().join(name).display().to_string();
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: self\n  scheme: https\n  \
         tls_config: {{ca_file: {}, cert_file: {}, key_file: {}}}\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n",
        at("ca.pem"),
        at("client.pem"),
        at("client-key.pem")
    );
    let server = Narthex::start_on(folder.path(), &config, &[&flag], port);
    let good = Client::new(&authority, Some(&own));
    let up = || good.get(port, "/api/v1/query?query=up", "").is_ok_and(|(_, body)| body.contains(",\"1\"]"));
    wait("up to be 1", SOON, || up().then_some(()));
    for identity in
        [None, Some(authority.client("other.example")), Some(Authority::new().client("scraper.example"))]
    {
        let answer = Client::new(&authority, identity.as_ref()).get(port, "/-/healthy", "");
        assert!(answer.is_err(), "{answer:?}");
    }
    assert!(server.log().contains("TLS handshake failed"), "{}", server.log());
    // Plain HTTP is told what is wrong.
    assert_eq!(
        raw(port, "GET / HTTP/1.0\r\n\r\n"),
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
    );
}

#[test]
fn a_certificate_is_replaced_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    write(folder.path(), "server", &authority.server());
    let flag = web_config(folder.path(), TLS);
    let server = Narthex::start(folder.path(), EMPTY, &[&flag]);
    let (asked, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    // A client of its own, so that each request has a handshake.
                    let answer = Client::new(&authority, None).get(server.port, "/-/healthy", "");
                    assert_eq!(answer.map(|(status, _)| status), Ok(200));
                    asked.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..10 {
            let before = asked.load(Ordering::SeqCst);
            write(folder.path(), "server", &authority.server());
            wait("requests", SOON, || (asked.load(Ordering::SeqCst) > before + 8).then_some(()));
        }
        over.store(true, Ordering::SeqCst);
    });
    // Clients that trust another authority only: what is shown now is what was written last.
    let next = Authority::new();
    write(folder.path(), "server", &next.server());
    let answer = Client::new(&next, None).get(server.port, "/-/healthy", "");
    assert_eq!(answer.map(|(status, _)| status), Ok(200));
}

#[test]
fn a_wrong_file_ends_the_start_with_its_place_and_leaves_no_data() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("narthex.yml"), EMPTY).unwrap();
    let authority = Authority::new();
    write(folder.path(), "server", &authority.server());
    std::fs::write(folder.path().join("other-key.pem"), authority.server().1).unwrap();
    for (text, expected) in [
        ("tls_server_config:\n  cert_filse: a\n", "web.yml:2:3"),
        ("tls_server_config:\n  cert_file: nosuch\n  key_file: nosuch\n", "no such file or directory"),
        (&*TLS.replace("server-key", "other-key"), "private key does not match public key"),
        ("basic_auth_users: {alice: secret}\n", "hashedSecret too short"),
        ("http_server_config: {headers: {Set-Cookie: a}}\n", "can not be configured"),
    ] {
        let flag = web_config(folder.path(), text);
        let (code, log) = Narthex::run_to_end(folder.path(), &[&flag]);
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains("Unable to validate web configuration file") && log.contains(expected), "{log}");
        assert!(!folder.path().join("data").exists());
    }
    let (code, log) = Narthex::run_to_end(folder.path(), &["--web.config.file=/nosuch.yml"]);
    assert!(code == Some(1) && log.contains("no such file"), "{log}");
}
