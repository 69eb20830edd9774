//! Where prefixes, files and odd paths lead, who may call from elsewhere, and what is refused at once: as by a real Prometheus.

use std::path::Path;
use std::process::Command;

use crate::beside::{Pair, ask, request};
use crate::process::{narthex, peer};

/// What is asked for below each prefix.
const BELOW: [&str; 29] = [
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
];

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
        for below in BELOW {
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
fn external_urls_are_read_as_by_prometheus() {
    let Some(prometheus) = peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    for (n, url) in
        ["http://a/b c/", "https://a:1/b//c/", "//a/b", "localhost:9090/x", "http://h/a%2Fb", "http://h/ä/"]
            .iter()
            .enumerate()
    {
        let (external, prefix) = (format!("--web.external-url={url}"), "--web.route-prefix=/");
        let own = folder.path().join(n.to_string());
        let pair = Pair::start(&prometheus, &own, &[&external, prefix], |port| {
            ask(port, &request("GET /-/ready", "")).0 == 200
        });
        for line in ["GET /", "GET /graph?a=b"] {
            assert_eq!(pair.same(&request(line, "")).0, 302, "{url}");
        }
    }
    std::fs::write(folder.path().join("config.yml"), "").unwrap();
    for url in
        ["http://a b/", "http://a/%zz", "http://a:port/", "http://[::1", ":x", "1http://x/y", "'http://a/b'"]
    {
        let refused = |binary: &Path| {
            let config = format!("--config.file={}", folder.path().join("config.yml").display());
            let external = format!("--web.external-url={url}");
            let output = Command::new(binary).args([config, external]).output().unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let (code, reason) = refused(&prometheus);
        let (ours, log) = refused(&narthex());
        let (log, reason) = (log.replace('\\', ""), reason.replace('\\', ""));
        assert!(ours == code && log.contains(reason.trim()), "{url}: {code:?} {reason} {log}");
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

/// What is refused before anybody looks at what it wants.
#[test]
fn malformed_requests_are_refused_as_by_prometheus() {
    let Some(prometheus) = peer("prometheus") else { return };
    let folder = tempfile::tempdir().unwrap();
    let pair =
        Pair::start(&prometheus, folder.path(), &[], |port| ask(port, &request("GET /-/ready", "")).0 == 200);
    for text in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET /-/healthy HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /-/healthy HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /-/healthy HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /a%2 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /-/healthy HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n",
        "GET /-/healthy HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET http://other/-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "CONNECT x:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "TRACE /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "get /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /-/healthy HTTP/1.0\r\n\r\n",
        "GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    ] {
        pair.same(text);
    }
    // Only the status: hyper says no more.
    for text in [
        "garbage\r\n\r\n",
        "GET /-/healthy\r\n\r\n",
        "GET -/healthy HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n",
        "POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        &format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(1_100_000)),
    ] {
        let (ours, theirs) = (ask(pair.ours.port, text).0, ask(pair.theirs.port, text).0);
        assert_eq!(ours, theirs, "{text:.100}");
    }
}
