//! How to talk to an HTTP server: credentials, TLS, proxies, headers. The same keys stand in scrape, remote, alerting and
//! discovery sections.

use std::collections::BTreeMap;

use crate::section::section;
use crate::{AnyValue, Secret, Url};

section! {
    /// Settings of one HTTP client.
    pub struct HttpClientConfig("config.HTTPClientConfig") {
        /// User name and password.
        basic_auth: Option<BasicAuth> = None => "basic_auth" omit Maybe<BasicAuth>,
        /// The `Authorization` header. `bearer_token` and `bearer_token_file` of old end up here.
        authorization: Option<Authorization> = None => "authorization" omit Maybe<Authorization>,
        /// Tokens fetched from an OAuth 2.0 server.
        oauth2: Option<OAuth2> = None => "oauth2" omit Maybe<OAuth2>,
        /// Only while reading: moved into `authorization`.
        bearer_token: Secret = Secret::default() => "bearer_token" omit Hidden,
        /// Only while reading: moved into `authorization`.
        bearer_token_file: String = String::new() => "bearer_token_file" omit FilePath,
        /// TLS of the connection.
        tls: TlsConfig = TlsConfig::default() => "tls_config" omit Object<TlsConfig>,
        /// Whether 3xx answers are followed.
        follow_redirects: bool = true => "follow_redirects" show Flag,
        /// Whether HTTP/2 may be negotiated.
        enable_http2: bool = true => "enable_http2" show Flag,
        /// The proxy, when there is one.
        proxy: ProxyConfig = ProxyConfig::default() => "" inline ProxyConfig,
        /// Headers added to each request, by name as written; values, then secrets, then contents of files.
        http_headers: BTreeMap<String, Header> = BTreeMap::new() => "http_headers" omit MapOf<Header>,
    }
}

section! {
    /// Basic authentication. Of each triple at most one is set.
    pub struct BasicAuth("config.plain") {
        /// The user name.
        username: String = String::new() => "username" omit Text,
        /// A file that holds it, read at each use.
        username_file: String = String::new() => "username_file" omit FilePath,
        /// Its name in a secret manager.
        username_ref: String = String::new() => "username_ref" omit Text,
        /// The password.
        password: Secret = Secret::default() => "password" omit Hidden,
        /// A file that holds it, read at each use.
        password_file: String = String::new() => "password_file" omit FilePath,
        /// Its name in a secret manager.
        password_ref: String = String::new() => "password_ref" omit Text,
    }
}

section! {
    /// An `Authorization` header: `<type> <credentials>`.
    pub struct Authorization("config.Authorization") {
        /// The scheme, `Bearer` unless written; never `basic`.
        scheme: String = String::new() => "type" omit Text,
        /// The credentials.
        credentials: Secret = Secret::default() => "credentials" omit Hidden,
        /// A file that holds them, read at each use.
        credentials_file: String = String::new() => "credentials_file" omit FilePath,
        /// Their name in a secret manager.
        credentials_ref: String = String::new() => "credentials_ref" omit Text,
    }
}

section! {
    /// OAuth 2.0 client credentials, or a signed JWT when `grant_type` says so.
    pub struct OAuth2("config.plain") {
        /// The client's id; never empty.
        client_id: String = String::new() => "client_id" omit Text,
        /// The client's secret.
        client_secret: Secret = Secret::default() => "client_secret" omit Hidden,
        /// A file that holds it.
        client_secret_file: String = String::new() => "client_secret_file" omit FilePath,
        /// Its name in a secret manager.
        client_secret_ref: String = String::new() => "client_secret_ref" omit Text,
        /// The `kid` of the signing key.
        client_certificate_key_id: String = String::new() => "client_certificate_key_id" omit Text,
        /// The signing key.
        client_certificate_key: Secret = Secret::default() => "client_certificate_key" omit Hidden,
        /// A file that holds it.
        client_certificate_key_file: String = String::new() => "client_certificate_key_file" omit Text,
        /// Its name in a secret manager.
        client_certificate_key_ref: String = String::new() => "client_certificate_key_ref" omit Text,
        /// `client_credentials` (also when empty) or `urn:ietf:params:oauth:grant-type:jwt-bearer`.
        grant_type: String = String::new() => "grant_type" omit Text,
        /// `RS256` (also when empty), `RS384` or `RS512`.
        signature_algorithm: String = String::new() => "signature_algorithm" omit Text,
        /// The JWT's issuer; the client id when empty.
        iss: String = String::new() => "iss" omit Text,
        /// The JWT's audience; the token URL when empty.
        audience: String = String::new() => "audience" omit Text,
        /// Further claims of the JWT.
        claims: BTreeMap<String, AnyValue> = BTreeMap::new() => "claims" omit AnyMap,
        /// Scopes to ask for.
        scopes: Vec<String> = Vec::new() => "scopes" omit List<Text>,
        /// Where tokens come from; never empty.
        token_url: String = String::new() => "token_url" omit Text,
        /// Further parameters of the token request.
        endpoint_params: BTreeMap<String, String> = BTreeMap::new() => "endpoint_params" omit TextMap,
        /// TLS towards the token server.
        tls: TlsConfig = TlsConfig::default() => "tls_config" omit Object<TlsConfig>,
        /// The proxy towards the token server.
        proxy: ProxyConfig = ProxyConfig::default() => "" inline ProxyConfig,
    }
}

section! {
    /// TLS of a client. Of each triple at most one is set; a certificate needs a key and the other way round.
    pub struct TlsConfig("config.plain") {
        /// PEM text of the certificates to trust.
        ca: String = String::new() => "ca" omit Text,
        /// PEM text of our certificate.
        cert: String = String::new() => "cert" omit Text,
        /// PEM text of our key.
        key: Secret = Secret::default() => "key" omit Hidden,
        /// A file with the certificates to trust.
        ca_file: String = String::new() => "ca_file" omit FilePath,
        /// A file with our certificate.
        cert_file: String = String::new() => "cert_file" omit FilePath,
        /// A file with our key.
        key_file: String = String::new() => "key_file" omit FilePath,
        /// The name of `ca` in a secret manager.
        ca_ref: String = String::new() => "ca_ref" omit Text,
        /// The name of `cert` in a secret manager.
        cert_ref: String = String::new() => "cert_ref" omit Text,
        /// The name of `key` in a secret manager.
        key_ref: String = String::new() => "key_ref" omit Text,
        /// The name to verify and to send as SNI instead of the URL's host; empty: the URL's host.
        server_name: String = String::new() => "server_name" omit Text,
        /// Accept any certificate.
        insecure_skip_verify: bool = false => "insecure_skip_verify" show Flag,
        /// The lowest version to accept; `None`: TLS 1.2.
        min_version: Option<TlsVersion> = None => "min_version" omit TlsVersion,
        /// The highest version to accept; `None`: the newest.
        max_version: Option<TlsVersion> = None => "max_version" omit TlsVersion,
    }
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// `TLS10`
    Tls10,
    /// `TLS11`
    Tls11,
    /// `TLS12`
    Tls12,
    /// `TLS13`
    Tls13,
}

impl TlsVersion {
    pub(crate) const ALL: [Self; 4] = [Self::Tls10, Self::Tls11, Self::Tls12, Self::Tls13];

    /// The word in the configuration file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls10 => "TLS10",
            Self::Tls11 => "TLS11",
            Self::Tls12 => "TLS12",
            Self::Tls13 => "TLS13",
        }
    }
}

section! {
    /// A proxy. Either a URL, or the environment variables of the process, or none.
    pub struct ProxyConfig("config.ProxyConfig") {
        /// The proxy's URL.
        proxy_url: Option<Url> = None => "proxy_url" omit Address,
        /// Hosts, domains and networks to reach without the proxy, as in `NO_PROXY`.
        no_proxy: String = String::new() => "no_proxy" omit Text,
        /// Use `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` of the environment.
        proxy_from_environment: bool = false => "proxy_from_environment" omit Flag,
        /// Headers of the `CONNECT` request.
        proxy_connect_header: BTreeMap<String, Vec<Secret>> = BTreeMap::new() => "proxy_connect_header" omit SecretsMap,
    }
}

section! {
    /// The values of one header that is added to each request.
    pub struct Header("config.Header") {
        /// Plain values.
        values: Vec<String> = Vec::new() => "values" omit List<Text>,
        /// Values that must not be shown.
        secrets: Vec<Secret> = Vec::new() => "secrets" omit List<Hidden>,
        /// Files whose trimmed content is a value, read at each request.
        files: Vec<String> = Vec::new() => "files" omit List<FilePath>,
    }
}
