//! Each way to a token, against services of our own.

use http::HeaderMap;
use narthex_config::{
    AzureCertificateConfig, AzureOAuthConfig, AzureSdkConfig, ManagedIdentityConfig, Secret,
    WorkloadIdentityConfig,
};
use narthex_net::client::Unsigned;
use url::Url;

use super::*;
use crate::fake::Fake;

const ID: &str = "12345678-1234-1234-1234-123456789012";
const TOKEN: &str = r#"{"access_token": "tok", "expires_in": 3600}"#;

fn nothing(_: &str) -> Option<String> {
    None
}

fn places(fake: &Fake) -> Places {
    Places { authority: fake.url.clone(), machine: fake.url.clone() }
}

async fn header(config: &AzureAdConfig, places: &Places, variable: Variable) -> Result<String, String> {
    let entra = Entra::new(config, places, variable).map_err(|e| e.to_string())?;
    let tokens = Tokens::new(entra, Renewal::Half);
    let mut headers = HeaderMap::new();
    let url = Url::parse("http://h/").unwrap();
    tokens
        .authorize(Unsigned { method: &http::Method::POST, url: &url, body: b"", headers: &mut headers })
        .await?;
    Ok(headers["authorization"].to_str().unwrap().to_owned())
}

#[track_caller]
fn check_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
}

/// A token comes, and what was asked for it holds these parts.
async fn check(config: &AzureAdConfig, variable: Variable, parts: &[&str]) {
    let fake = Fake::json(TOKEN).await;
    assert_eq!(header(config, &places(&fake), variable).await.as_deref(), Ok("Bearer tok"));
    assert_eq!(fake.asked().len(), 1);
    check_contains(&fake.asked()[0], parts);
}

fn oauth() -> AzureAdConfig {
    let oauth = AzureOAuthConfig {
        client_id: ID.to_owned(),
        client_secret: Secret::new("s&t"),
        tenant_id: "ten".to_owned(),
    };
    AzureAdConfig { oauth: Some(oauth), ..AzureAdConfig::default() }
}

#[tokio::test]
async fn a_client_secret_is_sent_as_a_form() {
    let start = "POST /ten/oauth2/v2.0/token HTTP/1.1";
    let scope = "scope=https%3A%2F%2Fmonitor.azure.com%2F%2F.default";
    check(&oauth(), nothing, &[start, "grant_type=client_credentials", "client_secret=s%26t", scope, ID])
        .await;
    let other = AzureAdConfig { scope: "api://x/.default".to_owned(), ..oauth() };
    check(&other, nothing, &["scope=api%3A%2F%2Fx%2F.default"]).await;
}

#[tokio::test]
async fn each_cloud_has_places_and_a_scope_of_its_own() {
    let of = |cloud: &str| {
        let config = AzureAdConfig { cloud: cloud.to_owned(), ..oauth() };
        (Places::of(cloud).authority, scope(&config))
    };
    assert_eq!(of("AzurePublic").0, "https://login.microsoftonline.com");
    assert_eq!(of("AzureChina").1, "https://monitor.azure.cn//.default");
    assert_eq!(of("AzureGovernment").0, "https://login.microsoftonline.us");
}

#[tokio::test]
async fn a_federated_token_is_read_anew_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token").to_str().unwrap().to_owned();
    let config = AzureAdConfig {
        workload_identity: Some(WorkloadIdentityConfig {
            client_id: ID.to_owned(),
            tenant_id: "ten".to_owned(),
            token_file_path: path.clone(),
        }),
        ..AzureAdConfig::default()
    };
    let fake = Fake::json(TOKEN).await;
    let error = header(&config, &places(&fake), nothing).await.unwrap_err();
    check_contains(&error, &["Failed to get access token: ", &path]);
    std::fs::write(&path, "fed.er.ated\n").unwrap();
    check(&config, nothing, &["client_assertion=fed.er.ated", "jwt-bearer"]).await;
}

fn certificate(path: &str, key: &str) -> AzureAdConfig {
    let certificate = AzureCertificateConfig {
        client_id: ID.to_owned(),
        tenant_id: "ten".to_owned(),
        certificate_path: path.to_owned(),
        certificate_key_path: key.to_owned(),
        send_certificate_chain: true,
        ..AzureCertificateConfig::default()
    };
    AzureAdConfig { certificate: Some(certificate), ..AzureAdConfig::default() }
}

#[tokio::test]
async fn a_certificate_signs_an_assertion() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
    let (cert, key) = (format!("{data}/cert.pem"), format!("{data}/rsa.pem"));
    check(&certificate(&cert, &key), nothing, &["client_assertion=eyJ", "jwt-bearer"]).await;

    let read = Certificate::read(certificate(&cert, &key).certificate.as_ref().unwrap()).unwrap();
    let assertion = read.assertion("aud", "me").unwrap();
    let part = |index| {
        use base64::Engine as _;
        let part = assertion.split('.').nth(index).unwrap();
        let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice::<serde_json::Value>(&json).unwrap()
    };
    // openssl x509 -fingerprint -sha256 -in cert.pem, in base64
    assert_eq!(part(0)["x5t#S256"], include_str!("../../testdata/cert.sha256").trim());
    assert_eq!((&part(0)["alg"], part(0)["x5c"].as_array().unwrap().len()), (&"PS256".into(), 1));
    assert_eq!((&part(1)["aud"], &part(1)["sub"]), (&"aud".into(), &"me".into()));
}

#[tokio::test]
async fn certificates_that_cannot_be_used_say_what_to_do() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");
    let error = |path: &str, key: &str| {
        Entra::new(&certificate(path, key), &Places::of(""), nothing).unwrap_err().to_string()
    };
    check_contains(&error("/no/such", ""), &["/no/such: No such file"]);
    check_contains(&error(&format!("{data}/rsa.pem"), ""), &["no PEM certificate", "openssl pkcs12"]);
    check_contains(&error(&format!("{data}/cert.pem"), ""), &["cert.pem: no PEM private key"]);
}

fn managed(client_id: &str) -> AzureAdConfig {
    let identity = ManagedIdentityConfig { client_id: client_id.to_owned() };
    AzureAdConfig { managed_identity: Some(identity), ..AzureAdConfig::default() }
}

#[tokio::test]
async fn the_machine_gives_tokens_of_its_identity() {
    let asked = "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmonitor.azure.com%2F";
    check(&managed(""), nothing, &[&format!("{asked} HTTP"), "metadata: true"]).await;
    check(&managed(ID), nothing, &[&format!("{asked}&client_id={ID} HTTP")]).await;
}

#[tokio::test]
async fn an_app_has_a_service_of_its_own_that_says_when_tokens_end() {
    let end = crate::jwt::now_s() + 100;
    let fake = Fake::json(&format!(r#"{{"access_token": "tok", "expires_on": "{end}"}}"#)).await;
    let identity = Identity::new("", "http://unused", |name| match name {
        "IDENTITY_ENDPOINT" => Some("E".to_owned()),
        "IDENTITY_HEADER" => Some("secret".to_owned()),
        _ => None,
    });
    let identity = identity.at(format!("{}/msi", fake.url));
    let token = identity.token(&Asker::new().unwrap(), "r/.default").await.unwrap();
    assert!((90..=100).contains(&token.life.as_secs()), "{token:?}");
    check_contains(
        &fake.asked()[0],
        &["GET /msi?api-version=2019-08-01&resource=r HTTP", "x-identity-header: secret"],
    );
}

#[tokio::test]
async fn a_connected_server_does_not_send_any_file_that_it_is_asked_for() {
    let fake = Fake::start(|_| {
        (401, "www-authenticate: Basic realm=/etc/passwd\r\ncontent-length: 0\r\n\r\n".to_owned())
    })
    .await;
    let arc = |name: &str| name.contains("ENDPOINT").then(|| "E".to_owned());
    let identity = Identity::new("", "http://unused", arc).at(format!("{}/arc", fake.url));
    let error = identity.token(&Asker::new().unwrap(), "r/.default").await.unwrap_err();
    check_contains(&error, &["/etc/passwd", "no key in /var/opt/azcmagent/tokens"]);
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn the_chain_takes_what_the_machine_offers() {
    let sdk = AzureAdConfig { sdk: Some(AzureSdkConfig::default()), ..AzureAdConfig::default() };
    let variables: Variable = |name| match name {
        "AZURE_CLIENT_ID" => Some(ID.to_owned()),
        "AZURE_TENANT_ID" => Some("home".to_owned()),
        "AZURE_CLIENT_SECRET" => Some("s".to_owned()),
        _ => None,
    };
    check(&sdk, variables, &["POST /home/oauth2/v2.0/token", "client_secret=s"]).await;
    check(&sdk, nothing, &["GET /metadata/identity/oauth2/token"]).await;
}

#[tokio::test]
async fn refusals_are_told_without_secrets() {
    let fake = Fake::start(|_| {
        (401, "\r\n{\"error\": \"invalid_client\", \"error_description\": \"AADSTS7000215\"}".to_owned())
    })
    .await;
    let error = header(&oauth(), &places(&fake), nothing).await.unwrap_err();
    let expected = "Failed to get access token: http://127.0.0.1:";
    assert!(
        error.starts_with(expected) && error.ends_with("answered with status 401: AADSTS7000215"),
        "{error}"
    );
    assert!(!error.contains("s&t"));
}
