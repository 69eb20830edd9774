//! What the chain of places reads: the environment, files, the metadata services, and programs that print credentials.

use std::process::Stdio;

use bytes::Bytes;
use reqsign_core::{CommandExecute, CommandOutput, Context, Error, FileRead, HttpSend, OsEnv, Result};

use crate::ask::Asker;

/// The machine as it is.
pub(super) fn real(asker: Asker) -> Context {
    Context::new()
        .with_env(OsEnv)
        .with_file_read(Files)
        .with_command_execute(Programs)
        .with_http_send(Http(asker))
}

#[derive(Debug)]
pub(super) struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> Result<Vec<u8>> {
        tokio::fs::read(path).await.map_err(|e| Error::config_invalid(format!("{path}: {e}")))
    }
}

#[derive(Debug)]
struct Programs;

impl CommandExecute for Programs {
    async fn command_execute(&self, program: &str, args: &[&str]) -> Result<CommandOutput> {
        let ran =
            tokio::process::Command::new(program).args(args).stdin(Stdio::null()).kill_on_drop(true).output();
        let ran = ran.await.map_err(|e| Error::config_invalid(format!("{program}: {e}")))?;
        Ok(CommandOutput { status: ran.status.code().unwrap_or(-1), stdout: ran.stdout, stderr: ran.stderr })
    }
}

#[derive(Debug)]
pub(super) struct Http(pub(super) Asker);

impl HttpSend for Http {
    async fn http_send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>> {
        let (mut parts, body) = request.into_parts();
        // The client writes these two itself.
        parts.headers.remove(http::header::CONTENT_LENGTH);
        parts.headers.remove(http::header::HOST);
        let answer = self.0.send(parts.method, &parts.uri.to_string(), &parts.headers, body).await;
        let answer = answer.map_err(Error::unexpected)?;
        let mut response = http::Response::builder().status(answer.status).body(Bytes::from(answer.body))?;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}
