//! Targets whose every scrape gives other values.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// `series` gauges that count the scrapes, as text. Serves until the test process ends; gives its port.
pub(crate) fn start(series: usize) -> u16 {
    serve("text/plain; version=0.0.4", move |scrape| {
        let mut body = String::from("# TYPE shipped gauge\n");
        for i in 0..series {
            body.push_str(&format!(
                "shipped{{number=\"{i}\",path=\"/a/b/{}\"}} {}\n",
                i % 7,
                scrape * 1000 + i
            ));
        }
        body
    })
}

/// Answers every request with what `body` says for its number, from 0. Serves until the test process ends; gives its port.
pub(crate) fn serve(content_type: &'static str, body: impl Fn(usize) -> String + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (scrape, stream) in listener.incoming().enumerate() {
            // A client that hangs up is the client's business.
            let _ = stream.and_then(|s| answer(s, content_type, &body(scrape)));
        }
    });
    port
}

fn answer(mut stream: TcpStream, content_type: &str, body: &str) -> std::io::Result<()> {
    let mut request = [0; 4096];
    if stream.read(&mut request)? == 0 {
        return Ok(());
    }
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
