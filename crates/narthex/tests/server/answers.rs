//! Large answers from outside: written while they are sent, charged until then, freed when nobody wants them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::{Narthex, SOON};
use crate::process::{encode, wait};
use crate::queries::with_series;

/// Asks for all series of the server at 10,000 steps, and reads the head of the answer only.
fn ask(server: &Narthex) -> BufReader<TcpStream> {
    // A little ahead, so that the scrape lies in the lookback however late it is.
    let soon = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 60;
    let query = encode(&format!("{{job=\"self\"}} @ {soon}"));
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(stream, "GET /api/v1/query_range?query={query}&start=0&end=9999&step=1 HTTP/1.0\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.contains(" 200 "), "{line}");
    reader
}

fn held_bytes(server: &Narthex) -> f64 {
    let metrics = server.get("/metrics").1;
    let line = metrics.lines().find(|l| l.starts_with("narthex_query_memory_bytes ")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_slow_client_holds_the_result_but_not_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_series(folder.path(), &["--query.max-concurrency=1"]);
    let before = server.peak_memory_bytes();
    let mut reader = ask(&server);
    // It is the only slot: the next query shows that the slow client does not hold it.
    wait("a slot", SOON, || server.query("vector(1)"));
    assert!(held_bytes(&server) > 1e6, "the result is charged: {}", held_bytes(&server));
    let grown = server.peak_memory_bytes() - before;
    let mut text = Vec::new();
    reader.read_to_end(&mut text).unwrap();
    assert!(text.ends_with(b"]]}]}}"), "{}", String::from_utf8_lossy(&text[text.len() - 100..]));
    assert!(text.len() > 40_000_000, "{} bytes", text.len());
    // With the whole text there would be more than the text.
    assert!(grown < text.len() as u64 * 9 / 10, "{grown} bytes more for a text of {}", text.len());
    wait("nothing charged", SOON, || (held_bytes(&server) == 0.0).then_some(()));
}

#[test]
fn a_client_that_hangs_up_in_the_middle_of_an_answer_frees_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_series(folder.path(), &[]);
    let reader = ask(&server);
    assert!(held_bytes(&server) > 1e6, "the result is charged: {}", held_bytes(&server));
    drop(reader);
    wait("nothing charged", SOON, || (held_bytes(&server) == 0.0).then_some(()));
    let counted = |metrics: &str| {
        let line = "prometheus_http_response_size_bytes_count{handler=\"/api/v1/query_range\"} 1";
        metrics.contains(line).then_some(())
    };
    wait("the answer in the counts", SOON, || counted(&server.get("/metrics").1));
}
