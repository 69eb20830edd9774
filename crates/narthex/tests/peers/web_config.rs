//! What a web-config file demands, beside a real Prometheus; and real clients over TLS.

use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::beside::{Pair, ask, request};
use crate::process::{Server, free_port, narthex, peer, wait};
use crate::secure::{Authority, Client, Identity, basic, write};

/// `secret`.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

fn web_config(folder: &Path, text: &str) -> String {
    let file = folder.join("web.yml");
    std::fs::write(&file, text).unwrap();
    format!("--web.config.file={}", file.display())
}

#[test]
fn a_web_config_file_demands_the_same() {
    let Some(prometheus) = peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n    X-XSS-Protection: \"1; mode=block\"\n    \
                   Content-Security-Policy: \"\"\n    Strict-Transport-Security: \" a\\r\\n\\nX-Evil: b \"\n    X-Content-Type-Options: nosniff\n";
    let users = format!("basic_auth_users: {{alice: '{HASH}', '': '{HASH}'}}\n");
    let flag = web_config(folder.path(), &format!("{headers}{users}"));
    let credentials = format!("Authorization: {}\r\n", basic("alice:secret"));
    let ready = |port| ask(port, &request("GET /-/ready", &credentials)).0 == 200;
    let pair = Pair::start(&prometheus, folder.path(), &[&flag, "--web.enable-lifecycle"], ready);
    for line in [
        "GET /",
        "GET /-/healthy",
        "HEAD /-/ready",
        "POST /-/quit",
        "GET /metrics",
        "GET /nosuch",
        "OPTIONS /api/v1/query",
        "GET //a",
    ] {
        for authorization in [
            String::new(),
            basic("alice:wrong"),
            basic("bob:secret"),
            basic("alice"),
            "Basic".to_owned(),
            "Basic !".to_owned(),
            "Bearer secret".to_owned(),
            basic(":secret").trim_end_matches('=').to_owned(),
        ] {
            let more = if authorization.is_empty() {
                authorization
            } else {
                format!("Authorization: {authorization}\r\n")
            };
            assert_eq!(pair.same(&request(line, &more)).0, 401);
        }
    }
    for line in [
        "GET /",
        "GET /-/healthy",
        "HEAD /-/healthy",
        "GET /nosuch",
        "GET /graph?a=b",
        "GET /-/quit",
        "DELETE /metrics",
    ] {
        for user in ["alice:secret", ":secret"] {
            assert_ne!(pair.same(&request(line, &format!("Authorization: {}\r\n", basic(user)))).0, 401);
        }
    }
    let lower = format!("Authorization: {}\r\n", basic("alice:secret").replace("Basic", "bAsIc"));
    assert_eq!(pair.same(&request("GET /-/healthy", &lower)).0, 200);
    for (text, status) in [("{", 500), ("basic_auth_users: {bob: x}", 401)] {
        web_config(folder.path(), text);
        assert_eq!(pair.same(&request("GET /-/healthy", &credentials)).0, status, "{text}");
    }
}

#[test]
fn a_rate_limit_refuses_the_same() {
    let Some(prometheus) = peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let users = format!("basic_auth_users: {{alice: '{HASH}'}}\n");
    let flag = web_config(
        folder.path(),
        &format!(
            "rate_limit: {{burst: 2, interval: 1h}}\nhttp_server_config: {{headers: {{X-Frame-Options: deny}}}}\n{users}"
        ),
    );
    // Each question would take a token.
    let pair = Pair::start(&prometheus, folder.path(), &[&flag], |port| {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let statuses: Vec<u16> = (0..4).map(|_| pair.same(&request("GET /-/healthy", "")).0).collect();
    assert_eq!(statuses, [401, 401, 429, 429]);
}

/// Real clients over TLS: promtool asks, Prometheus scrapes and federates, with a certificate and a password.
#[test]
fn prometheus_and_promtool_come_in_over_tls() {
    let (Some(prometheus), Some(promtool)) = (peer("prometheus"), peer("promtool")) else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let authority = Authority::new();
    write(folder.path(), "server", &authority.server());
    write(folder.path(), "client", &authority.client("good.example"));
    std::fs::write(at("ca.pem"), authority.pem()).unwrap();
    let tls = "tls_server_config: {cert_file: server.pem, key_file: server-key.pem, client_auth_type: RequireAndVerifyClientCert, \
               client_ca_file: ca.pem, client_allowed_sans: [good.example]}\n";
    let flag = web_config(folder.path(), &format!("{tls}basic_auth_users: {{alice: '{HASH}'}}\n"));
    let client = format!(
        "{{ca_file: {}, cert_file: {}, key_file: {}}}",
        at("ca.pem"),
        at("client.pem"),
        at("client-key.pem")
    );
    let http = format!("basic_auth: {{username: alice, password: secret}}\ntls_config: {client}\n");
    std::fs::write(at("http.yml"), &http).unwrap();
    let port = free_port();
    let job = |name: &str, more: &str| {
        format!(
            "- job_name: {name}\n  scheme: https\n  {}\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n{more}",
            http.trim_end().replace('\n', "\n  ")
        )
    };
    let config = |jobs: &str| format!("global: {{scrape_interval: 1s}}\nscrape_configs:\n{jobs}");
    std::fs::create_dir(at("ours")).unwrap();
    std::fs::write(at("ours/config.yml"), config(&job("self", ""))).unwrap();
    let args = [
        format!("--config.file={}", at("ours/config.yml")),
        format!("--storage.tsdb.path={}", at("ours/data")),
        format!("--web.listen-address=127.0.0.1:{port}"),
        flag,
    ];
    let _ours = Server::start(&narthex(), &args, port, folder.path().join("ours/log"));
    let federate =
        "  honor_labels: true\n  metrics_path: /federate\n  params: {'match[]': ['{job=\"self\"}']}\n";
    let jobs = format!("{}{}", job("narthex", ""), job("federate", federate));
    let theirs =
        Server::prometheus(&prometheus, &folder.path().join("theirs"), &config(&jobs), free_port(), &[]);
    for query in ["up{job=\"narthex\"}", "up{job=\"federate\"}", "up{job=\"self\"}"] {
        let path = format!("/api/v1/query?query={}", crate::process::encode(query));
        let is_up = || {
            let data = theirs.api(&path);
            (data["result"][0]["value"][1] == "1").then_some(())
        };
        wait(query, Duration::from_secs(30), is_up);
    }
    let url = format!("https://127.0.0.1:{port}");
    let run = |words: &[&str]| {
        Command::new(&promtool).args(words).arg("--http.config.file").arg(at("http.yml")).output().unwrap()
    };
    let healthy = run(&["check", "healthy", "--url", &url]);
    assert!(healthy.status.success(), "{healthy:?}");
    let query = run(&["query", "instant", &url, "up"]);
    assert!(String::from_utf8_lossy(&query.stdout).contains("=> 1"), "{query:?}");
}

/// Who may connect, by both servers.
#[test]
fn certificates_of_clients_are_judged_the_same() {
    let Some(prometheus) = peer("prometheus") else { return };
    let (authority, strangers) = (Authority::new(), Authority::new());
    let identities: [Option<Identity>; 5] = [
        None,
        Some(authority.client("good.example")),
        Some(authority.client("other.example")),
        Some(strangers.client("good.example")),
        // For servers only.
        Some(authority.server()),
    ];
    let tls = "tls_server_config:\n  cert_file: server.pem\n  key_file: server-key.pem\n  client_auth_type: ";
    let lines = [
        "NoClientCert",
        "RequestClientCert CA",
        "RequireAnyClientCert CA",
        "VerifyClientCertIfGiven CA",
        "RequireAndVerifyClientCert CA",
        "RequireAndVerifyClientCert CA\n  client_allowed_sans: [good.example, 127.0.0.1]",
        "RequireAnyClientCert\n  client_allowed_sans: [good.example]",
        "RequestClientCert\n  client_allowed_sans: [good.example]",
        "RequireAndVerifyClientCert CA\n  client_allowed_sans: []",
        "RequireAndVerifyClientCert",
    ];
    let lines = lines.map(|line| format!("{tls}{}\n", line.replace(" CA", "\n  client_ca_file: ca.pem")));
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "server", &authority.server());
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let flag = web_config(folder.path(), &lines[0]);
    let ready =
        |port| Client::new(&authority, None).get(port, "/-/ready", "").is_ok_and(|(status, _)| status == 200);
    let pair = Pair::start(&prometheus, folder.path(), &[&flag], ready);
    for line in &lines {
        web_config(folder.path(), line);
        for (n, identity) in identities.iter().enumerate() {
            let judge = |server: &Server| {
                Client::new(&authority, identity.as_ref()).get(server.port, "/-/healthy", "").is_ok()
            };
            assert_eq!(judge(&pair.ours), judge(&pair.theirs), "{line} with identity {n}");
        }
    }
    for wrong in ["{", "", "tls_server_config: {cert_file: nosuch.pem, key_file: server-key.pem}\n"] {
        web_config(folder.path(), wrong);
        let judge =
            |server: &Server| Client::new(&authority, None).get(server.port, "/-/healthy", "").is_ok();
        assert_eq!((judge(&pair.ours), judge(&pair.theirs)), (false, false), "{wrong}");
    }
    web_config(folder.path(), &lines[0]);
    let plain = "GET / HTTP/1.0\r\n\r\n";
    assert_eq!(pair.same(plain).0, 400);
}

/// All recorded files, and some more.
#[test]
fn files_are_checked_as_by_promtool() {
    let Some(promtool) = peer("promtool") else { return };
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared =
        std::env::var_os("NARTHEX_SHARED").map_or(beside, PathBuf::from).join("conformance/config/web");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&shared).map_or(Vec::new(), |files| {
        files
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "yml" || e == "yaml"))
            .collect()
    });
    if files.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "{} must be there in CI", shared.display());
        eprintln!("SKIPPED in part: {} is not there", shared.display());
    }
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    write(folder.path(), "server", &authority.server());
    write(folder.path(), "other", &authority.server());
    for (n, text) in [
        "tls_server_config: {cert_file: server.pem, key_file: server-key.pem}\n",
        "tls_server_config: {cert_file: server.pem, key_file: other-key.pem}\n",
        "tls_server_config: {cert_file: server-key.pem, key_file: server-key.pem}\n",
        "tls_server_config: {cert_file: server.pem, key_file: server-key.pem, client_auth_type: Always}\n",
        "tls_server_config: {min_version: TLS14}\n",
        "basic_auth_users: {a: b}\n",
        "rate_limit: {burst: x}\n",
        "rate_limit: {interval: 1y}\n",
        "http_server_config: {headers: {X-Content-Type-Options: sniff}}\n",
        "http_server_config: {http2: maybe}\n",
        "tls_server_config: {cert_file: server.pem, key_file: server.pem}\n",
        "tls_server_config: {cert_file: 0.yml, key_file: server-key.pem}\n",
        "[]\n",
    ]
    .iter()
    .enumerate()
    {
        let file = folder.path().join(format!("{n}.yml"));
        std::fs::write(&file, text).unwrap();
        files.push(file);
    }
    for file in files {
        let run = |binary: &Path| {
            let output = Command::new(binary)
                .arg0("promtool")
                .args(["check", "web-config"])
                .arg(&file)
                .output()
                .unwrap();
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            (output.status.code(), text(output.stdout), text(output.stderr))
        };
        assert_eq!(run(&narthex()), run(&promtool), "{}", file.display());
    }
}
