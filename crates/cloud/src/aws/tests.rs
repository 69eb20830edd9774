//! Signatures against a slow plain twin, and the places where credentials and regions come from.

use std::collections::HashMap;
use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use narthex_config::Secret;
use reqsign_core::{HttpSend, StaticEnv};
use ring::hmac;
use url::Url;

use super::context::Files;
use super::*;

const EMPTY: [(&str, &str); 0] = [];

fn environment<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Context {
    let envs = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let envs: HashMap<_, _> =
        envs.chain([("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned())]).collect();
    Context::new().with_env(StaticEnv { home_dir: None, envs }).with_file_read(Files)
}

async fn signed(signer: &Sigv4, url: &str, body: &'static [u8]) -> Result<HeaderMap, String> {
    let mut headers =
        HeaderMap::from_iter([(header::CONTENT_ENCODING, http::HeaderValue::from_static("snappy"))]);
    let url = Url::parse(url).unwrap();
    signer.authorize(Unsigned { method: &Method::POST, url: &url, body, headers: &mut headers }).await?;
    Ok(headers)
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn sha256(text: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, text).as_ref())
}

/// The value of `Authorization` as AWS' documentation says it is made.
fn expected(
    headers: &HeaderMap,
    canonical: [&str; 3],
    body: &[u8],
    id: &str,
    secret: &str,
    region: &str,
) -> String {
    let [host, path, query] = canonical;
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let (date, hash) = (text("x-amz-date").unwrap(), text(BODY_HASH).unwrap());
    assert_eq!(hash, sha256(body));
    let mut lines = format!("host:{host}\n{BODY_HASH}:{hash}\nx-amz-date:{date}\n");
    let mut names = format!("host;{BODY_HASH};x-amz-date");
    if let Some(token) = text("x-amz-security-token") {
        lines.push_str(&format!("x-amz-security-token:{token}\n"));
        names.push_str(";x-amz-security-token");
    }
    let request = format!("POST\n{path}\n{query}\n{lines}\n{names}\n{hash}");
    let day = &date[..8];
    let scope = format!("{day}/{region}/aps/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(request.as_bytes()));
    let start = format!("AWS4{secret}").into_bytes();
    let key = [day, region, "aps", "aws4_request"].iter().fold(start, |key, part| hmac(&key, part));
    format!(
        "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={}",
        hex(&hmac(&key, &to_sign))
    )
}

#[track_caller]
fn check(headers: &HeaderMap, expected: &str) {
    let value = &headers[header::AUTHORIZATION];
    assert_eq!(value.to_str().unwrap(), expected);
    assert!(value.is_sensitive());
    assert!(!headers.contains_key(header::HOST), "the client writes it");
}

fn with_keys() -> SigV4Config {
    SigV4Config {
        region: "eu-west-1".to_owned(),
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: Secret::new("secret"),
        ..SigV4Config::default()
    }
}

#[tokio::test]
async fn a_request_is_signed_with_the_keys_of_the_configuration() {
    let signer = Sigv4::new(&with_keys(), environment(EMPTY)).unwrap();
    let url = "https://aps.example.com/workspaces/ws-1/api/v1/remote_write";
    let headers = signed(&signer, url, b"samples").await.unwrap();
    let canonical = ["aps.example.com", "/workspaces/ws-1/api/v1/remote_write", ""];
    check(&headers, &expected(&headers, canonical, b"samples", "AKIDEXAMPLE", "secret", "eu-west-1"));
    assert_eq!(headers[header::CONTENT_ENCODING], "snappy");
}

#[tokio::test]
async fn paths_and_queries_are_signed_in_the_form_that_aws_computes() {
    let signer = Sigv4::new(&with_keys(), environment(EMPTY)).unwrap();
    let headers = signed(&signer, "http://user:x@h:8080//a%20b//./c?b=2&a=1", b"").await.unwrap();
    let canonical = ["h:8080", "/a%2520b/c", "a=1&b=2"];
    check(&headers, &expected(&headers, canonical, b"", "AKIDEXAMPLE", "secret", "eu-west-1"));
}

#[tokio::test]
async fn keys_and_region_come_from_the_environment_when_they_are_not_configured() {
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT0"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_SESSION_TOKEN", "session"),
        ("AWS_REGION", "us-east-2"),
    ];
    let signer = Sigv4::new(&SigV4Config::default(), environment(variables)).unwrap();
    let headers = signed(&signer, "https://h/", b"x").await.unwrap();
    assert_eq!(headers["x-amz-security-token"], "session");
    check(&headers, &expected(&headers, ["h", "/", ""], b"x", "AKIDENVIRONMENT0", "s", "us-east-2"));
}

#[tokio::test]
async fn a_named_profile_goes_before_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(
        path("credentials"),
        "[other]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = p\n",
    )
    .unwrap();
    std::fs::write(path("config"), "[default]\nregion = no\n[profile other]\nregion = eu-north-1\n").unwrap();
    let (credentials, config) = (path("credentials"), path("config"));
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT0"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.as_str()),
        ("AWS_CONFIG_FILE", config.as_str()),
    ];
    let profile = SigV4Config { profile: "other".to_owned(), ..SigV4Config::default() };
    let signer = Sigv4::new(&profile, environment(variables)).unwrap();
    let headers = signed(&signer, "https://h/", b"x").await.unwrap();
    check(&headers, &expected(&headers, ["h", "/", ""], b"x", "AKIDPROFILE", "p", "eu-north-1"));
}

#[tokio::test]
async fn nothing_is_sent_unsigned() {
    let error = Sigv4::new(&SigV4Config::default(), environment(EMPTY)).unwrap_err();
    assert_eq!(error.to_string(), "region not configured in sigv4 or in default credentials chain");
    let config = SigV4Config { region: "eu-west-1".to_owned(), ..SigV4Config::default() };
    let signer = Sigv4::new(&config, environment(EMPTY)).unwrap();
    let error = signed(&signer, "https://h/", b"x").await.unwrap_err();
    assert_eq!(error, "could not get SigV4 credentials: failed to load signing credential");
}

/// The service that gives out credentials of roles; keeps the hosts and queries that it was asked with.
#[derive(Clone, Debug, Default)]
struct Sts(Arc<Mutex<Vec<String>>>);

impl HttpSend for Sts {
    async fn http_send(&self, request: http::Request<Bytes>) -> reqsign_core::Result<http::Response<Bytes>> {
        assert!(request.headers().contains_key(header::AUTHORIZATION));
        self.0.lock().unwrap().push(request.uri().to_string());
        let answer = "<AssumeRoleResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><AssumeRoleResult><Credentials>\
             <AccessKeyId>ASIAROLEROLEROLE0000</AccessKeyId><SecretAccessKey>r</SecretAccessKey><SessionToken>t</SessionToken>\
             <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
        Ok(http::Response::new(Bytes::from_static(answer.as_bytes())))
    }
}

#[tokio::test]
async fn a_role_is_assumed_once_for_many_requests() {
    let sts = Sts::default();
    let config = SigV4Config {
        role_arn: "arn:aws:iam::123456789012:role/writer".to_owned(),
        external_id: "outside".to_owned(),
        use_fips_sts_endpoint: true,
        ..with_keys()
    };
    let signer = Sigv4::new(&config, environment(EMPTY).with_http_send(sts.clone())).unwrap();
    for _ in 0..3 {
        let headers = signed(&signer, "https://h/", b"x").await.unwrap();
        assert_eq!(headers["x-amz-security-token"], "t");
        check(&headers, &expected(&headers, ["h", "/", ""], b"x", "ASIAROLEROLEROLE0000", "r", "eu-west-1"));
    }
    let asked = sts.0.lock().unwrap();
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0].starts_with("https://sts-fips.eu-west-1.amazonaws.com/?Action=AssumeRole&"),
        "{asked:?}"
    );
    assert!(asked[0].contains("ExternalId=outside"), "{asked:?}");
}
