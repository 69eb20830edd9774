//! The client against small servers of our own.

mod beginning;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use narthex_config::{Authorization, BasicAuth, Header, OAuth2, Secret, TlsConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::*;

/// A server that answers each request head with what `answer` makes of it, on kept connections.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

type Answer = Arc<dyn Fn(&str) -> String + Send + Sync>;

impl Server {
    async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::start_with(answer, None).await
    }

    async fn start_with(
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
        tls: Option<rustls::ServerConfig>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, answer): (_, Answer) = (Arc::clone(&connections), Arc::new(answer));
        let tls = tls.map(|config| tokio_rustls::TlsAcceptor::from(Arc::new(config)));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let (answer, tls) = (Arc::clone(&answer), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, answer).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, answer).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, connections }
    }

    fn url(&self, scheme: &str, path: &str) -> Url {
        Url::parse(&format!("{scheme}://{}{path}", self.address)).unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: Answer) {
    let mut seen = Vec::new();
    loop {
        match stream.read_buf(&mut seen).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&seen).into_owned();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length =
            text.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |l| l.parse().unwrap());
        if seen.len() < end + 4 + length {
            continue;
        }
        seen.clear();
        let answer = answer(&text);
        if stream.write_all(answer.as_bytes()).await.is_err()
            || stream.flush().await.is_err()
            || answer.contains("close\r\n")
        {
            return;
        }
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The request line and the sorted headers that matter, for comparison.
fn header_of(request: &str, name: &str) -> String {
    let prefix = format!("{name}: ");
    request.lines().filter_map(|l| l.strip_prefix(&prefix)).collect::<Vec<_>>().join("|")
}

async fn get(client: &HttpClient, url: &Url) -> Result<(u16, String), String> {
    let headers = HeaderMap::new();
    let deadline = Instant::now() + Duration::from_secs(10);
    let request = Request {
        method: Method::GET,
        url,
        headers: &headers,
        body: Bytes::new(),
        deadline,
        unix_socket: None,
    };
    let response = client.send(&request).await.map_err(|e| e.to_string())?;
    let status = response.status;
    let mut buffers = BodyBuffers::default();
    response.read_decoded(&mut buffers, u64::MAX).await.map_err(|e| e.to_string())?;
    Ok((status, String::from_utf8_lossy(buffers.bytes()).into_owned()))
}

fn client(change: impl FnOnce(&mut HttpClientConfig)) -> HttpClient {
    let mut config = HttpClientConfig::default();
    change(&mut config);
    HttpClient::new(&config, "test").unwrap()
}

#[tokio::test]
async fn one_connection_serves_many_requests_and_holds_no_buffer() {
    let server = Server::start(|request| ok(request.lines().next().unwrap())).await;
    let client = client(|_| {});
    for path in ["/metrics", "/a%20b?x=1&y=%2F"] {
        let got = get(&client, &server.url("http", path)).await;
        assert_eq!(got, Ok((200, format!("GET {path} HTTP/1.1"))));
    }
    assert_eq!((server.connections(), client.inner.pool.idle_count()), (1, 1));
    client.close_idle();
    assert_eq!(client.inner.pool.idle_count(), 0);
}

#[tokio::test]
async fn a_connection_that_the_server_dropped_is_replaced_without_an_error() {
    let server =
        Server::start(|_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: close\r\n\r\n".to_owned()).await;
    let client = client(|_| {});
    for _ in 0..5 {
        assert_eq!(get(&client, &server.url("http", "/")).await, Ok((200, String::new())));
    }
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn credentials_and_headers_are_sent_and_files_are_read_again() {
    let server =
        Server::start(|r| ok(&format!("{} {}", header_of(r, "authorization"), header_of(r, "x-scope"))))
            .await;
    let url = server.url("http", "/");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, " first").unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let basic = client(|c| {
        c.basic_auth =
            Some(BasicAuth { username: "me".into(), password: Secret::new("pw"), ..BasicAuth::default() });
    });
    assert_eq!(get(&basic, &url).await, Ok((200, "Basic bWU6cHc= ".into())));
    let bearer = client(|c| {
        c.authorization = Some(Authorization { credentials_file: path.clone(), ..Authorization::default() });
        let header =
            Header { values: vec!["a".into()], secrets: vec![Secret::new("b")], files: vec![path.clone()] };
        c.http_headers.insert("X-Scope".into(), header);
    });
    assert_eq!(get(&bearer, &url).await, Ok((200, "Bearer first a|b|first".into())));
    std::fs::write(&path, "second").unwrap();
    assert_eq!(get(&bearer, &url).await, Ok((200, "Bearer second a|b|second".into())));
    drop(file);
    let error = get(&bearer, &url).await.unwrap_err();
    assert!(error.contains("unable to read") && error.contains("no such file or directory"), "{error}");
    let with_user = Url::parse(&format!("http://u%40x:p@{}/", server.address)).unwrap();
    assert_eq!(get(&client(|_| {}), &with_user).await, Ok((200, "Basic dUB4OnA= ".into())));
}

#[tokio::test]
async fn redirects_are_followed_and_credentials_stay_behind() {
    let target =
        Server::start(|r| ok(&format!("there:{}{}", header_of(r, "authorization"), header_of(r, "cookie"))))
            .await;
    let away = format!("http://localhost:{}/x", target.address.port());
    let server = Server::start(move |r| {
        let location = if r.starts_with("GET /away") { away.clone() } else { "/home".to_owned() };
        if r.starts_with("GET /home") {
            return ok(&format!("home:{}", header_of(r, "authorization")));
        }
        format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 3\r\n\r\nbye")
    })
    .await;
    let auth = |c: &mut HttpClientConfig| {
        c.authorization = Some(Authorization { credentials: Secret::new("t"), ..Authorization::default() });
        c.http_headers.insert("Cookie".into(), Header { values: vec!["c".into()], ..Header::default() });
    };
    let follows = client(auth);
    assert_eq!(get(&follows, &server.url("http", "/near")).await, Ok((200, "home:Bearer t".into())));
    assert_eq!(get(&follows, &server.url("http", "/away")).await, Ok((200, "there:".into())));
    let stays = client(|c| c.follow_redirects = false);
    assert_eq!(get(&stays, &server.url("http", "/away")).await.unwrap().0, 302);
}

#[tokio::test]
async fn endless_redirects_and_dead_servers_are_told_in_go_words() {
    let server =
        Server::start(|_| "HTTP/1.1 301 Moved\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n".into()).await;
    let url = server.url("http", "/");
    let error = get(&client(|_| {}), &url).await.unwrap_err();
    assert_eq!(error, format!("Get \"{url}\": stopped after 10 redirects"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = Url::parse(&format!("http://me:secret@{address}/metrics")).unwrap();
    let error = get(&client(|_| {}), &url).await.unwrap_err();
    assert_eq!(
        error,
        format!("Get \"http://me:xxxxx@{address}/metrics\": dial tcp {address}: connect: connection refused")
    );
}

#[tokio::test]
async fn a_silent_server_costs_the_deadline_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let headers = HeaderMap::new();
    let deadline = Instant::now() + Duration::from_millis(30);
    let request = Request {
        method: Method::GET,
        url: &url,
        headers: &headers,
        body: Bytes::new(),
        deadline,
        unix_socket: None,
    };
    let error = client(|_| {}).send(&request).await.unwrap_err();
    assert_eq!(error.to_string(), format!("Get \"{url}\": context deadline exceeded"));
}

#[tokio::test]
async fn gzip_is_inflated_and_limited() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&b"up 1\n".repeat(1000)).unwrap();
    let zipped = encoder.finish().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                zipped.len()
            );
            stream.write_all(&[head.as_bytes(), &zipped].concat()).await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    let headers = HeaderMap::new();
    for (limit, fine) in [(u64::MAX, true), (5001, true), (5000, false), (100, false)] {
        let deadline = Instant::now() + Duration::from_secs(10);
        let request = Request {
            method: Method::GET,
            url: &url,
            headers: &headers,
            body: Bytes::new(),
            deadline,
            unix_socket: None,
        };
        let response = client(|_| {}).send(&request).await.unwrap();
        let mut buffers = BodyBuffers::default();
        let outcome = response.read_decoded(&mut buffers, limit).await.map_err(|e| e.to_string());
        let expected = if fine { Ok(()) } else { Err("body size limit exceeded".to_owned()) };
        assert_eq!(outcome, expected, "limit {limit}");
        assert!(!fine || buffers.bytes().len() == 5000);
    }
}

#[tokio::test]
async fn a_plain_proxy_sees_the_whole_url_and_a_tunnel_only_the_host() {
    let proxy = Server::start(|r| {
        if r.starts_with("CONNECT") {
            return "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned();
        }
        ok(&format!("{} {}", r.lines().next().unwrap(), header_of(r, "proxy-authorization")))
    })
    .await;
    let mut through = client(|_| {});
    let inner = Arc::get_mut(&mut through.inner).unwrap();
    inner.proxies = Proxies::to(&format!("http://u:p@{}", proxy.address));
    let url = Url::parse("http://target.example:81/metrics?a=b").unwrap();
    let expected = "GET http://target.example:81/metrics?a=b HTTP/1.1 Basic dTpw";
    assert_eq!(get(&through, &url).await, Ok((200, expected.into())));
    let url = Url::parse("https://target.example/metrics").unwrap();
    assert_eq!(get(&through, &url).await, Err(format!("Get \"{url}\": proxy: Forbidden")));
}

#[tokio::test]
async fn oauth2_tokens_are_fetched_once_and_sent() {
    let fetches = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&fetches);
    let tokens = Server::start(move |r| {
        count.fetch_add(1, Ordering::SeqCst);
        // Refuses the header style, so that the form style is tried.
        if !r.contains("client_secret=s3") {
            return "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned();
        }
        assert!(r.contains("grant_type=client_credentials&scope=a+b") && r.contains("extra=1"), "{r}");
        ok(r#"{"access_token":"tok","token_type":"bearer","expires_in":3600}"#)
    })
    .await;
    let server = Server::start(|r| ok(&header_of(r, "authorization"))).await;
    let client = client(|c| {
        c.oauth2 = Some(OAuth2 {
            client_id: "id".into(),
            client_secret: Secret::new("s3"),
            scopes: vec!["a".into(), "b".into()],
            token_url: tokens.url("http", "/token").into(),
            endpoint_params: [("extra".to_owned(), "1".to_owned())].into(),
            ..OAuth2::default()
        });
    });
    for _ in 0..3 {
        assert_eq!(get(&client, &server.url("http", "/")).await, Ok((200, "Bearer tok".into())));
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 2);
}

/// A self-signed certificate for `names`: server configuration and PEM text.
fn certificate(names: &[&str], ca: bool, expired: bool) -> (rustls::ServerConfig, String, String) {
    let mut params =
        rcgen::CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    if ca {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }
    if expired {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (config, cert.pem(), key.serialize_pem())
}

async fn over_tls(
    names: &[&str],
    ca: bool,
    expired: bool,
    change: impl FnOnce(&mut TlsConfig, String),
) -> Result<String, String> {
    let (config, pem, _) = certificate(names, ca, expired);
    let server = Server::start_with(|_| ok("tls"), Some(config)).await;
    let client = client(|c| change(&mut c.tls, pem));
    let url = Url::parse(&format!("https://127.0.0.1:{}/", server.address.port())).unwrap();
    get(&client, &url).await.map(|(_, body)| body).map_err(|e| e.split("\": ").nth(1).unwrap().to_owned())
}

#[tokio::test]
async fn certificates_are_judged_as_go_judges_them() {
    let x509 = |text: &str| Err(format!("tls: failed to verify certificate: x509: {text}"));
    let fine = Ok("tls".to_owned());
    assert_eq!(over_tls(&["127.0.0.1"], false, false, |tls, pem| tls.ca = pem).await, fine);
    // What `openssl req -x509` makes: a CA that serves.
    assert_eq!(over_tls(&["127.0.0.1"], true, false, |tls, pem| tls.ca = pem).await, fine);
    assert_eq!(
        over_tls(&["127.0.0.1"], true, true, |tls, pem| tls.ca = pem).await,
        x509("certificate has expired or is not yet valid")
    );
    let wrong = x509("certificate is valid for other.example, not 127.0.0.1");
    assert_eq!(over_tls(&["other.example"], false, false, |tls, pem| tls.ca = pem).await, wrong);
    let (_, stranger, _) = certificate(&["127.0.0.1"], false, false);
    assert_eq!(
        over_tls(&["127.0.0.1"], false, false, |tls, _| tls.ca = stranger).await,
        x509("certificate signed by unknown authority")
    );
    assert_eq!(over_tls(&["x"], false, true, |tls, _| tls.insecure_skip_verify = true).await, fine);
    let renamed = over_tls(&["other.example"], false, false, |tls, pem| {
        tls.ca = pem;
        tls.server_name = "other.example".into();
    });
    assert_eq!(renamed.await, fine);
}

#[tokio::test]
async fn a_changed_ca_file_takes_effect_at_the_next_request() {
    let (config, pem, _) = certificate(&["127.0.0.1"], false, false);
    let (_, stranger, _) = certificate(&["127.0.0.1"], false, false);
    let server = Server::start_with(|_| ok("tls"), Some(config)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &pem).unwrap();
    let client = client(|c| c.tls.ca_file = file.path().to_str().unwrap().to_owned());
    let url = server.url("https", "/");
    assert!(get(&client, &url).await.is_ok());
    assert!(get(&client, &url).await.is_ok());
    assert_eq!(server.connections(), 1);
    std::fs::write(file.path(), format!("{stranger}\n\n\n")).unwrap();
    let error = get(&client, &url).await.unwrap_err();
    assert!(error.contains("unknown authority"), "{error}");
}

#[test]
fn settings_that_make_no_sense_are_refused_with_reasons() {
    let mut config = HttpClientConfig::default();
    config.tls.ca_file = "/does/not/exist".into();
    let error = |c: &HttpClientConfig| HttpClient::new(c, "test").unwrap_err().to_string();
    assert_eq!(
        error(&config),
        "unable to read CA cert: unable to read file /does/not/exist: open /does/not/exist: no such file or directory"
    );
    config.tls = TlsConfig { ca: "no pem".into(), ..TlsConfig::default() };
    assert_eq!(error(&config), "unable to use specified CA cert inline");
    config.tls = TlsConfig::default();
    config.basic_auth = Some(BasicAuth { password_ref: "x".into(), ..BasicAuth::default() });
    assert_eq!(error(&config), "unable to use password: cannot use secret ref without manager");
}

#[tokio::test]
async fn http2_is_used_where_tls_chose_it() {
    let (mut config, pem, _) = certificate(&["127.0.0.1"], false, false);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}/m?x=y", listener.local_addr().unwrap())).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            let stream = acceptor.accept(stream).await.unwrap();
            let service = hyper::service::service_fn(|r: http::Request<hyper::body::Incoming>| async move {
                let text = format!("{:?} {}", r.version(), r.uri().path_and_query().unwrap());
                Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::new(
                    Bytes::from(text),
                )))
            });
            let executor = hyper_util::rt::TokioExecutor::new();
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http2::Builder::new(executor).serve_connection(io, service));
        }
    });
    let client = client(|c| c.tls.ca = pem);
    for _ in 0..3 {
        assert_eq!(get(&client, &url).await, Ok((200, "HTTP/2.0 /m?x=y".into())));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
