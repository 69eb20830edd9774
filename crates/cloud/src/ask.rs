//! Asking a cloud's services for JSON: token endpoints and the metadata services of machines.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use narthex_config::HttpClientConfig;
use narthex_net::client::{BodyBuffers, ClientError, HttpClient, Request};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

/// Services of the machine answer at once or are not there.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// Asks; a client that uses the proxies of the environment, as the clouds' own libraries do.
#[derive(Clone, Debug)]
pub(crate) struct Asker(HttpClient);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON when the status is good; else an error with what a token endpoint says about its reasons.
    pub(crate) fn json(&self, url: &str) -> Result<Value, String> {
        let parsed = serde_json::from_slice::<Value>(&self.body).ok();
        if self.status != 200 {
            let parsed = parsed.unwrap_or_default();
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let said = text(&parsed["error_description"])
                .or_else(|| text(&parsed["error"]["message"]))
                .or_else(|| text(&parsed["error"]))
                .unwrap_or_default();
            return Err(format!("{url} answered with status {}: {said}", self.status));
        }
        parsed.ok_or_else(|| format!("{url} answered with something that is no JSON"))
    }
}

impl Asker {
    pub(crate) fn new() -> Result<Self, ClientError> {
        let mut config = HttpClientConfig::default();
        config.proxy.proxy_from_environment = true;
        HttpClient::new(&config, "cloud_credentials").map(Self)
    }

    /// Sends a request and reads its whole answer, whatever its status.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Answer, String> {
        let url = Url::parse(url).map_err(|e| format!("{url}: {e}"))?;
        let timeout = if url.scheme() == "http" { LOCAL_TIMEOUT } else { TIMEOUT };
        let deadline = Instant::now() + timeout;
        let request = Request { method, url: &url, headers, body, deadline, unix_socket: None };
        let response = self.0.send(&request).await.map_err(|e| e.to_string())?;
        let (status, headers) = (response.status, response.headers.clone());
        let mut buffers = BodyBuffers::default();
        response.read_decoded(&mut buffers, MAX_ANSWER_BYTES).await.map_err(|e| e.to_string())?;
        Ok(Answer { status, headers, body: buffers.bytes().to_vec() })
    }

    /// The JSON behind a URL.
    pub(crate) async fn get(&self, url: &str, headers: &[(HeaderName, &str)]) -> Result<Value, String> {
        self.send(Method::GET, url, &header_map(headers)?, Bytes::new()).await?.json(bare(url))
    }

    /// The JSON that answers a form.
    pub(crate) async fn post_form(&self, url: &str, pairs: &[(&str, &str)]) -> Result<Value, String> {
        let form = Serializer::new(String::new()).extend_pairs(pairs).finish();
        let headers = header_map(&[(header::CONTENT_TYPE, "application/x-www-form-urlencoded")])?;
        self.send(Method::POST, url, &headers, Bytes::from(form)).await?.json(url)
    }
}

/// A URL without what was asked.
fn bare(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}

pub(crate) fn header_map(headers: &[(HeaderName, &str)]) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).map_err(|_| format!("the value of {name} is no header"))?;
        map.insert(name.clone(), value);
    }
    Ok(map)
}
