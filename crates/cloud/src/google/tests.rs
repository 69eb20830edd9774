//! Each kind of account, against services of our own.

use http::HeaderMap;
use narthex_net::client::Unsigned;
use url::Url;

use super::*;
use crate::fake::{Fake, RSA_PKCS8_KEY};

const TOKEN: &str = r#"{"access_token": "tok", "expires_in": 3599, "token_type": "Bearer"}"#;

async fn headers(google: Google) -> Result<HeaderMap, String> {
    let tokens = Tokens::new(google, Renewal::Before(EARLY));
    let mut headers = HeaderMap::new();
    let url = Url::parse("http://h/").unwrap();
    tokens
        .authorize(Unsigned { method: &http::Method::POST, url: &url, body: b"", headers: &mut headers })
        .await?;
    Ok(headers)
}

fn of_json(json: &Value) -> Result<Google, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json.to_string()).unwrap();
    Google::of_file(file.path()).map_err(|e| e.to_string())
}

#[track_caller]
fn check_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
}

#[tokio::test]
async fn a_service_account_signs_for_a_token() {
    let fake = Fake::json(TOKEN).await;
    let url = format!("{}/token", fake.url);
    let json = json!({
        "type": "service_account", "private_key": RSA_PKCS8_KEY, "private_key_id": "k", "client_email": "a@b", "token_uri": url,
        "quota_project_id": "payer",
    });
    let headers = headers(of_json(&json).unwrap()).await.unwrap();
    assert_eq!(headers["authorization"], "Bearer tok");
    assert_eq!(headers["x-goog-user-project"], "payer");
    check_contains(&fake.asked()[0], &["POST /token", "jwt-bearer", "assertion=eyJ"]);
}

#[tokio::test]
async fn the_machine_gives_tokens_for_the_scope() {
    let fake = Fake::json(TOKEN).await;
    let host = fake.url.trim_start_matches("http://").to_owned();
    let google = Google::new(Account::Machine(host), None).unwrap();
    assert_eq!(headers(google).await.unwrap()["authorization"], "Bearer tok");
    let asked = "/computeMetadata/v1/instance/service-accounts/default/token?scopes=https://www.googleapis.com/auth/monitoring.write";
    check_contains(&fake.asked()[0], &[asked, "metadata-flavor: Google"]);
}

#[tokio::test]
async fn the_token_of_another_issuer_is_exchanged_and_used_for_an_account() {
    let fake = Fake::start(|request| {
        let said = if request.starts_with("POST /account") { r#"{"accessToken": "acc"}"# } else { TOKEN };
        (200, format!("\r\n{said}"))
    })
    .await;
    let subject = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(subject.path(), r#"{"value": "theirs"}"#).unwrap();
    let mut json = json!({
        "type": "external_account", "audience": "//iam/pool", "subject_token_type": "urn:jwt",
        "token_url": format!("{}/exchange", fake.url),
        "credential_source": {"file": subject.path(), "format": {"type": "json", "subject_token_field_name": "value"}},
    });
    assert_eq!(headers(of_json(&json).unwrap()).await.unwrap()["authorization"], "Bearer tok");
    check_contains(
        &fake.asked()[0],
        &["POST /exchange", "subject_token=theirs", "monitoring.write", "audience=%2F%2Fiam%2Fpool"],
    );

    json["service_account_impersonation_url"] = format!("{}/account", fake.url).into();
    assert_eq!(headers(of_json(&json).unwrap()).await.unwrap()["authorization"], "Bearer acc");
    check_contains(&fake.asked()[1], &["cloud-platform"]);
    check_contains(&fake.asked()[2], &["authorization: Bearer tok", "monitoring.write"]);
}

#[test]
fn files_that_cannot_be_used_say_why() {
    let error = |json: Value| of_json(&json).unwrap_err();
    check_contains(&error(json!({})), &["the field type is missing"]);
    check_contains(&error(json!({"type": "gdch"})), &["\"gdch\"", "service_account"]);
    check_contains(&error(json!({"type": "service_account", "private_key": "x"})), &["private key"]);
    check_contains(
        &error(json!({"type": "authorized_user", "client_id": "x"})),
        &["client_secret is missing"],
    );
    let aws = json!({"type": "external_account", "token_url": "u", "audience": "a", "subject_token_type": "t",
        "credential_source": {"environment_id": "aws1", "url": "http://x"}});
    check_contains(&error(aws), &["only file and url"]);
    let missing = Google::of_file(Path::new("/no/such")).unwrap_err().to_string();
    check_contains(&missing, &["/no/such: No such file"]);
}
