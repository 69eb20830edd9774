//! The web server beside a real Prometheus: what a web-config file demands, and where prefixes, files and odd paths lead.
//!
//! 3.5.3 answers as 3.14 but for two things: an unclean path is led on with status 301, in 3.14 with 307, and also when only its
//! unescaped form is unclean, which in 3.14 stays below the directory.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Server, free_port, narthex, peer, wait};
use crate::secure::{Authority, Client, Identity, basic, write};

const CONFIG: &str = "global: {scrape_interval: 1h}\n";
/// `secret`.
const HASH: &str = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

/// Status, the headers that matter in order of name, body.
type Answer = (u16, Vec<String>, String);

fn ask(port: u16, request: &str) -> Answer {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return (0, Vec::new(), String::new());
    };
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok()).unwrap_or(0);
    const PASSED_OVER: [&str; 6] =
        ["date", "content-length", "transfer-encoding", "connection", "accept-ranges", "last-modified"];
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let pairs = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim()));
    let mut headers: Vec<String> = pairs
        .filter(|(name, _)| !PASSED_OVER.contains(&name.as_str()))
        // 3.14 says so even where it does not compress.
        .filter(|(name, value)| name != "vary" || *value != "Accept-Encoding")
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    headers.sort();
    (status, headers, body.to_owned())
}

/// Both servers with the same flags.
struct Pair {
    ours: Server,
    theirs: Server,
}

impl Pair {
    /// `ready` says whether a server on a port is.
    fn start(prometheus: &Path, folder: &Path, flags: &[&str], ready: impl Fn(u16) -> bool) -> Self {
        let start = |binary: &Path, name: &str| {
            let (own, port) = (folder.join(name), free_port());
            std::fs::create_dir_all(&own).unwrap();
            std::fs::write(own.join("config.yml"), CONFIG).unwrap();
            let mut args = vec![
                format!("--config.file={}", own.join("config.yml").display()),
                format!("--storage.tsdb.path={}", own.join("data").display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
            ];
            args.extend(flags.iter().map(|flag| (*flag).to_owned()));
            let server = Server::start(binary, &args, port, own.join("log"));
            wait(&format!("{name}: {}", server.log_text()), Duration::from_secs(60), || {
                ready(port).then_some(())
            });
            server
        };
        Self { ours: start(&narthex(), "ours"), theirs: start(prometheus, "theirs") }
    }

    #[track_caller]
    fn same(&self, request: &str) -> Answer {
        let ours = ask(self.ours.port, request);
        let mut theirs = ask(self.theirs.port, request);
        if ours.0 == 307 && theirs.0 == 301 {
            theirs.0 = 307;
            theirs.2 = theirs.2.replace("Moved Permanently", "Temporary Redirect");
        }
        assert_eq!(ours, theirs, "{request}");
        ours
    }
}

fn web_config(folder: &Path, text: &str) -> String {
    let file = folder.join("web.yml");
    std::fs::write(&file, text).unwrap();
    format!("--web.config.file={}", file.display())
}

fn request(line: &str, more: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}Content-Length: 0\r\n\r\n")
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
    for (text, status) in [("{", 500), ("basic_auth_users: {bob: x}", 401), ("", 200)] {
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

#[test]
fn prefixes_files_and_odd_paths_lead_to_the_same() {
    let Some(prometheus) = peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join("assets").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("a.txt", "hello");
    put("page.html", "<p>");
    put("data.json", "{}");
    put("bare", "words");
    put("sub/index.html", "<html>");
    put("odd/<a> b:c&'\".txt", "odd");
    put("odd/empty.css", "");
    let assets = format!("--web.user-assets={}", folder.path().join("assets").display());
    for (n, flags) in [
        vec![&*assets],
        vec![&*assets, "--web.external-url=https://example.org:8443/out/side/"],
        vec![&*assets, "--web.external-url=http://example.org/out", "--web.route-prefix=/in/"],
        vec![&*assets, "--web.external-url=http://example.org/out", "--web.route-prefix=/"],
        vec!["--web.route-prefix=deep/er"],
    ]
    .into_iter()
    .enumerate()
    {
        let prefix = ["", "/out/side", "/in", "", "/deep/er"][n];
        let healthy = format!("GET {prefix}/-/ready");
        let own = folder.path().join(n.to_string());
        let pair = Pair::start(&prometheus, &own, &flags, |port| ask(port, &request(&healthy, "")).0 == 200);
        for path in ["/", "/out", "/in", "/in/", "/-/healthy", "/nosuch", "/deep", "/deep/er", "/deep/erx"] {
            pair.same(&request(&format!("GET {path}"), ""));
        }
        for below in [
            "",
            "/",
            "/graph",
            "/graph?g0.expr=a%20b&x=%3C",
            "/-/healthy",
            "/-/healthy/",
            "/-/reload",
            "/user",
            "/user/",
            "/user/a.txt",
            "/user/a.txt/",
            "/user/page.html",
            "/user/data.json",
            "/user/bare",
            "/user/sub",
            "/user/sub/",
            "/user/sub?a=b",
            "/user/sub/index.html",
            "/user/odd",
            "/user/odd/",
            "/user/odd/%3Ca%3E%20b:c&'%22.txt",
            "/user/odd/empty.css",
            "/user/nope",
            "/user/a.txt/b",
            "/user//a.txt",
            "/user/../a.txt",
            "/user/./a.txt",
            "/user/x%0d%0aSet-Cookie:%20a",
            "/consoles",
        ] {
            if !(prefix.is_empty() && below.is_empty()) {
                pair.same(&request(&format!("GET {prefix}{below}"), ""));
            }
        }
        for line in ["POST", "HEAD", "OPTIONS", "DELETE"] {
            for below in ["/user/a.txt", "/-/healthy", "/user", "/-/quit"] {
                pair.same(&request(&format!("{line} {prefix}{below}"), ""));
            }
        }
    }
}

#[test]
fn origins_are_allowed_as_by_prometheus() {
    let Some(prometheus) = peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let flags = [r"--web.cors.origin=https?://(a|b)\.example"];
    let pair = Pair::start(&prometheus, folder.path(), &flags, |port| {
        ask(port, &request("GET /-/ready", "")).0 == 200
    });
    for origin in [
        "",
        "http://a.example",
        "https://b.example",
        "http://a.example.evil",
        "xhttp://a.example",
        "null",
        "HTTP://A.EXAMPLE",
    ] {
        let more = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
        for line in [
            "OPTIONS /api/v1/query",
            "OPTIONS /api/v1/nosuch",
            "GET /api/v1/query?query=1&time=1",
            "GET /api/v1/status/flagz",
            "GET /metricz",
            "OPTIONS /metrics",
        ] {
            pair.same(&request(line, &more));
        }
    }
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
