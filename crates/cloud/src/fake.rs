//! A service of a cloud for tests: answers each request with what a function makes of its text, and keeps what it was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A key that was made for these tests, in both forms.
pub(crate) const RSA_KEY: &str = include_str!("../testdata/rsa.pem");
pub(crate) const RSA_PKCS8_KEY: &str = include_str!("../testdata/rsa.pk8.pem");

type Say = Arc<dyn Fn(&str) -> (u16, String) + Send + Sync>;

/// Serves until the test ends.
pub(crate) struct Fake {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// `say` gets head and body of a request and gives a status and further lines: headers, an empty line, a body.
    pub(crate) async fn start(say: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, say): (_, Say) = (Arc::clone(&asked), Arc::new(say));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&say), Arc::clone(&seen)));
            }
        });
        Self { url, asked }
    }

    /// One that gives every asker this JSON.
    pub(crate) async fn json(text: &str) -> Self {
        let text = format!("\r\n{text}");
        Self::start(move |_| (200, text.clone())).await
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, say: Say, seen: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    let request = loop {
        if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some(head) = text.find("\r\n\r\n") else { continue };
        let length = text
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if bytes.len() >= head + 4 + length.unwrap_or(0) {
            break text;
        }
    };
    let (status, rest) = say(&request);
    seen.lock().unwrap().push(request);
    let answer = format!("HTTP/1.1 {status} Said\r\nconnection: close\r\n{rest}");
    // A client that went away is its test's affair.
    let _ = stream.write_all(answer.as_bytes()).await;
}
