//! One question to a running server's API.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use narthex_config::{ConfigErrors, HttpClientConfig};
use narthex_net::client::{BodyBuffers, ClientError, HttpClient, Request, RequestError};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::command::Given;

/// Longer than the server may take for one replay.
const TIMEOUT: Duration = Duration::from_secs(90);
/// Bytes of an answer at most.
const MOST_BYTES: u64 = 256 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("--url={url} is no URL of a server")]
    Url { url: String, source: url::ParseError },
    #[error("--http.config.file cannot be used")]
    Config(#[from] ConfigErrors),
    #[error("the HTTP client cannot be made of --http.config.file")]
    Client(#[from] ClientError),
    #[error("the runtime cannot be started")]
    Runtime(#[source] std::io::Error),
    #[error("cannot ask {url}; is the server running there? --url names another")]
    Unreachable { url: String, source: Box<RequestError> },
    #[error("the answer of {url} broke off: {reason}")]
    Cut { url: String, reason: String },
    #[error("{url} answered {status}, which a server of Narthex does not; is it another one? --url names it")]
    NotOurs { url: String, status: String },
    #[error("{url} wants a user and a password, or others than these; --http.config.file gives them")]
    Unauthorized { url: String },
    #[error("{url} speaks TLS: write https:// in --url")]
    SpeaksTls { url: String },
    #[error("{url} refused: {text}{hint}")]
    Refused { url: String, text: String, hint: &'static str },
}

/// The methods that are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
}

/// A server that can be asked.
pub(super) struct Server {
    client: HttpClient,
    runtime: tokio::runtime::Runtime,
    base: Url,
}

impl Server {
    /// The server that `--url` and `--http.config.file` name; nothing is sent yet.
    pub(super) fn new(given: &Given) -> Result<Self, AskError> {
        let url = given.flag("url");
        let base = Url::parse(url).map_err(|source| AskError::Url { url: url.to_owned(), source })?;
        let config = match given.flag("http.config.file") {
            "" => HttpClientConfig::default(),
            file => HttpClientConfig::load_file(Path::new(file))?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let client = HttpClient::new(&config, "remote_write_command")?;
        Ok(Self { client, runtime: runtime.map_err(AskError::Runtime)?, base })
    }

    /// The `data` of the answer.
    pub(super) fn ask(&self, method: Method, path: &str, pairs: &[(&str, &str)]) -> Result<Value, AskError> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        let mut shown = url.clone();
        shown.set_query(None);
        // A URL that cannot have a password has none to hide.
        let _ = shown.set_password(None);
        self.runtime.block_on(self.send(method, &url, shown.to_string()))
    }

    async fn send(&self, method: Method, url: &Url, shown: String) -> Result<Value, AskError> {
        let request = Request {
            method: if method == Method::Get { http::Method::GET } else { http::Method::POST },
            url,
            headers: &HeaderMap::new(),
            body: Bytes::new(),
            deadline: Instant::now() + TIMEOUT,
            unix_socket: None,
        };
        let response = match self.client.send(&request).await {
            Ok(response) => response,
            Err(source) => return Err(AskError::Unreachable { url: shown, source: Box::new(source) }),
        };
        let status = response.status_line();
        let mut buffers = BodyBuffers::default();
        if let Err(reason) = response.read_decoded(&mut buffers, MOST_BYTES).await {
            return Err(AskError::Cut { url: shown, reason: reason.to_string() });
        }
        understood(buffers.bytes(), status, shown)
    }
}

/// What is in the envelope.
fn understood(body: &[u8], status: String, url: String) -> Result<Value, AskError> {
    let Ok(mut answer) = serde_json::from_slice::<Value>(body) else {
        return Err(match body {
            // Of a server with a web-config file.
            b"Unauthorized\n" => AskError::Unauthorized { url },
            b"Client sent an HTTP request to an HTTPS server.\n" => AskError::SpeaksTls { url },
            _ => AskError::NotOurs { url, status },
        });
    };
    if answer["status"] == "success" {
        return Ok(answer["data"].take());
    }
    let Some(text) = answer["error"].as_str().map(str::to_owned) else {
        return Err(AskError::NotOurs { url, status });
    };
    let hint = match &*text {
        "admin APIs disabled" => "; start the server with --web.enable-admin-api",
        _ => "",
    };
    Err(AskError::Refused { url, text, hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: &str) {
        let got = match understood(body.as_bytes(), "404 Not Found".into(), "http://a/".into()) {
            Ok(data) => data.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "{body}");
    }

    #[test]
    fn answers_are_taken_out_of_their_envelope_and_errors_say_what_to_do() {
        check(r#"{"status":"success","data":{"dropped":3}}"#, r#"{"dropped":3}"#);
        check(
            r#"{"status":"error","errorType":"unavailable","error":"admin APIs disabled"}"#,
            "http://a/ refused: admin APIs disabled; start the server with --web.enable-admin-api",
        );
        let other = "http://a/ answered 404 Not Found, which a server of Narthex does not; is it another one? --url names it";
        check("404 page not found", other);
        let wants =
            "http://a/ wants a user and a password, or others than these; --http.config.file gives them";
        check("Unauthorized\n", wants);
        let tls = "Client sent an HTTP request to an HTTPS server.\n";
        check(tls, "http://a/ speaks TLS: write https:// in --url");
        check("{}", other);
    }
}
