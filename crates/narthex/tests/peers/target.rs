//! A target whose every scrape gives other values: `series` gauges that count the scrapes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// Serves until the test process ends; gives its port.
pub(crate) fn start(series: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (scrape, stream) in listener.incoming().enumerate() {
            // A client that hangs up is the client's business.
            let _ = stream.and_then(|s| answer(s, scrape, series));
        }
    });
    port
}

fn answer(mut stream: TcpStream, scrape: usize, series: usize) -> std::io::Result<()> {
    let mut request = [0; 4096];
    if stream.read(&mut request)? == 0 {
        return Ok(());
    }
    let mut body = String::from("# TYPE shipped gauge\n");
    for i in 0..series {
        body.push_str(&format!("shipped{{number=\"{i}\",path=\"/a/b/{}\"}} {}\n", i % 7, scrape * 1000 + i));
    }
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
