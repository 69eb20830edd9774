//! One entry of `remote_read`: an endpoint that queries are also sent to.

use std::collections::BTreeMap;

use narthex_model::Labels;

use crate::codec::Entry;
use crate::decode::Check;
use crate::http_rules::check_headers;
use crate::remote_write::AUTHORIZATION_TEXT;
use crate::section::section;
use crate::{HttpClientConfig, Url};

section! {
    /// An endpoint of remote read.
    pub struct RemoteReadConfig("config.plain") {
        /// Where to ask; `Some` after loading.
        url: Option<Url> = None => "url" show Address,
        /// How long a request may take.
        remote_timeout_ms: i64 = 60_000 => "remote_timeout" omit Duration,
        /// The largest frame of a streamed answer, in bytes.
        chunked_read_limit_bytes: u64 = 50_000_000 => "chunked_read_limit" omit Uint64,
        /// Headers added to each request.
        headers: BTreeMap<String, String> = BTreeMap::new() => "headers" omit TextMap,
        /// Whether ranges that local storage covers are asked for too.
        read_recent: bool = false => "read_recent" omit Flag,
        /// The endpoint's name; empty: a hash of this section.
        name: String = String::new() => "name" omit Text,
        /// The HTTP client.
        http: HttpClientConfig = HttpClientConfig::default() => "" inline HttpClientConfig,
        /// Equality matchers that a selector must have for this endpoint to be asked.
        required_matchers: Labels = Labels::empty() => "required_matchers" omit LabelSet,
        /// Whether external labels are added as matchers and removed from the answer.
        filter_external_labels: bool = true => "filter_external_labels" omit Flag,
    }
}

impl Entry for RemoteReadConfig {
    const LIST_TYPE: &'static str = "[]*config.RemoteReadConfig";
    const NULL_TEXT: &'static str = "empty or null remote read config section";
}

impl Check for RemoteReadConfig {
    fn verify(&mut self) -> Result<(), String> {
        if self.url.is_none() {
            return Err("url for remote_read is empty".to_owned());
        }
        check_headers(self.headers.keys(), AUTHORIZATION_TEXT)?;
        self.http.settle()
    }
}
