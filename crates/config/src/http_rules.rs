//! The rules of HTTP client settings: what excludes what, in Prometheus' words.

use std::path::Path;

use crate::codec::directory_of;
use crate::config::read_document;
use crate::decode::Check;
use crate::glob::read_text;
use crate::{
    Authorization, BasicAuth, ConfigErrors, Header, HttpClientConfig, OAuth2, ProxyConfig, TlsConfig,
};

/// Headers that the client itself sets, in their canonical spelling.
const RESERVED: [&str; 18] = [
    "Authorization",
    "Host",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "User-Agent",
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Www-Authenticate",
    "Accept-Encoding",
    "X-Prometheus-Remote-Write-Version",
    "X-Prometheus-Remote-Read-Version",
    "X-Prometheus-Scrape-Timeout-Seconds",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

/// The grant type of signed tokens.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

fn at_most_one<const N: usize>(set: [bool; N], names: &str) -> Result<(), String> {
    if set.into_iter().filter(|s| *s).count() > 1 {
        return Err(format!("at most one of {names} must be configured"));
    }
    Ok(())
}

/// As a document of its own; within a section the section checks it.
impl Check for HttpClientConfig {
    fn verify(&mut self) -> Result<(), String> {
        self.settle()
    }
}

impl HttpClientConfig {
    /// Reads and validates a file that holds nothing else, such as that of `--http.config.file`.
    ///
    /// # Errors
    /// When it cannot be read or anything in it is wrong.
    pub fn load_file(path: &Path) -> Result<Self, ConfigErrors> {
        let file = path.to_string_lossy();
        let bytes = read_text(&file).map_err(|text| ConfigErrors::bare(&file, text))?;
        let read = read_document::<Self>(&bytes, &directory_of(&file));
        let read = read.map_err(|problems| ConfigErrors::without_prefix(&file, problems))?;
        Ok(read.unwrap_or_default())
    }

    /// Checks the settings and moves the bearer token of old into `authorization`.
    ///
    /// # Errors
    /// The first broken rule, in Prometheus' order and words.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        let tokens = [!self.bearer_token.is_empty(), !self.bearer_token_file.is_empty()];
        at_most_one(tokens, "bearer_token & bearer_token_file")?;
        let bearer = tokens.contains(&true);
        let others = self.basic_auth.is_some() || self.oauth2.is_some();
        at_most_one([others, bearer], "basic_auth, oauth2, bearer_token & bearer_token_file")?;
        if let Some(basic) = &self.basic_auth {
            basic.one_of_each()?;
        }
        self.settle_authorization(bearer, others)?;
        if let Some(oauth2) = &self.oauth2 {
            at_most_one([self.basic_auth.is_some(), true], "basic_auth, oauth2 & authorization")?;
            oauth2.one_of_each()?;
        }
        self.proxy.rules()?;
        let mut canonical = self.http_headers.keys().map(|name| canonical_header(name));
        match canonical.find(|name| RESERVED.contains(&name.as_str())) {
            Some(name) => Err(format!("setting header {} is not allowed", narthex_model::quote_go(&name))),
            None => Ok(()),
        }
    }

    fn settle_authorization(&mut self, bearer: bool, others: bool) -> Result<(), String> {
        let Some(auth) = &mut self.authorization else {
            if bearer {
                self.authorization = Some(Authorization {
                    scheme: "Bearer".to_owned(),
                    credentials: std::mem::take(&mut self.bearer_token),
                    credentials_file: std::mem::take(&mut self.bearer_token_file),
                    credentials_ref: String::new(),
                });
            }
            return Ok(());
        };
        if bearer {
            return Err("authorization is not compatible with bearer_token & bearer_token_file".to_owned());
        }
        let set = [
            !auth.credentials.is_empty(),
            !auth.credentials_file.is_empty(),
            !auth.credentials_ref.is_empty(),
        ];
        at_most_one(set, "authorization credentials & credentials_file")?;
        auth.scheme = auth.scheme.trim().to_owned();
        if auth.scheme.is_empty() {
            "Bearer".clone_into(&mut auth.scheme);
        }
        if auth.scheme.eq_ignore_ascii_case("basic") {
            return Err(r#"authorization type cannot be set to "basic", use "basic_auth" instead"#.to_owned());
        }
        at_most_one([others, true], "basic_auth, oauth2 & authorization")
    }
}

impl BasicAuth {
    fn one_of_each(&self) -> Result<(), String> {
        let user = [!self.username.is_empty(), !self.username_file.is_empty(), !self.username_ref.is_empty()];
        at_most_one(user, "basic_auth username, username_file & username_ref")?;
        let password =
            [!self.password.is_empty(), !self.password_file.is_empty(), !self.password_ref.is_empty()];
        at_most_one(password, "basic_auth password, password_file & password_ref")
    }
}

impl OAuth2 {
    fn one_of_each(&self) -> Result<(), String> {
        if self.client_id.is_empty() {
            return Err("oauth2 client_id must be configured".to_owned());
        }
        if self.token_url.is_empty() {
            return Err("oauth2 token_url must be configured".to_owned());
        }
        if self.grant_type != JWT_BEARER {
            let set = [
                !self.client_secret.is_empty(),
                !self.client_secret_file.is_empty(),
                !self.client_secret_ref.is_empty(),
            ];
            let names = "oauth2 client_secret, client_secret_file & client_secret_ref";
            return at_most_one(set, names).map_err(|e| format!("{e} using grant-type=client_credentials"));
        }
        let set = [
            !self.client_certificate_key.is_empty(),
            !self.client_certificate_key_file.is_empty(),
            !self.client_certificate_key_ref.is_empty(),
        ];
        let names = "oauth2 client_certificate_key, client_certificate_key_file & client_certificate_key_ref";
        at_most_one(set, names).map_err(|e| format!("{e} using grant-type={JWT_BEARER}"))?;
        if !matches!(self.signature_algorithm.as_str(), "" | "RS256" | "RS384" | "RS512") {
            return Err("valid signature algorithms are RS256, RS384 and RS512".to_owned());
        }
        Ok(())
    }
}

impl ProxyConfig {
    fn rules(&self) -> Result<(), String> {
        let url = self.proxy_url.as_ref().is_some_and(|u| !u.expose().is_empty());
        let environment = self.proxy_from_environment;
        let text = match () {
            () if !self.proxy_connect_header.is_empty() && !environment && !url => {
                "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured"
            }
            () if environment && url => {
                "if proxy_from_environment is configured, proxy_url must not be configured"
            }
            () if environment && !self.no_proxy.is_empty() => {
                "if proxy_from_environment is configured, no_proxy must not be configured"
            }
            () if self.proxy_url.is_none() && !self.no_proxy.is_empty() => {
                "if no_proxy is configured, proxy_url must also be configured"
            }
            () => return Ok(()),
        };
        Err(text.to_owned())
    }
}

impl Check for TlsConfig {
    fn verify(&mut self) -> Result<(), String> {
        let ca = [!self.ca.is_empty(), !self.ca_file.is_empty(), !self.ca_ref.is_empty()];
        let cert = [!self.cert.is_empty(), !self.cert_file.is_empty(), !self.cert_ref.is_empty()];
        let key = [!self.key.is_empty(), !self.key_file.is_empty(), !self.key_ref.is_empty()];
        at_most_one(ca, "ca, ca_file & ca_ref")?;
        at_most_one(cert, "cert, cert_file & cert_ref")?;
        at_most_one(key, "key and key_file")?;
        let (missing, present) = match (cert.contains(&true), key.contains(&true)) {
            (true, false) => ("key or key_file", "certificate"),
            (false, true) => ("cert or cert_file", "key"),
            _ => return Ok(()),
        };
        Err(format!("exactly one of {missing} must be configured when a client {present} is configured"))
    }
}

impl Check for OAuth2 {}
impl Check for BasicAuth {}
impl Check for Authorization {}
impl Check for ProxyConfig {}
impl Check for Header {}

/// `user-agent` as `User-Agent`.
fn canonical_header(name: &str) -> String {
    let mut first = true;
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        out.push(if first { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
        first = c == '-';
    }
    out
}

/// Rules of the `headers` of remote endpoints and tracing. `authorization`: what to say about that header.
pub(crate) fn check_headers<'h>(
    mut names: impl Iterator<Item = &'h String>,
    authorization: &str,
) -> Result<(), String> {
    let reserved = |name: &str| {
        let canonical = canonical_header(name);
        canonical != "X-Prometheus-Scrape-Timeout-Seconds" && RESERVED.contains(&canonical.as_str())
    };
    match names.find(|name| reserved(name)) {
        Some(name) if name.eq_ignore_ascii_case("authorization") => Err(authorization.to_owned()),
        Some(name) => Err(format!("{name} is a reserved header. It must not be changed")),
        None => Ok(()),
    }
}
