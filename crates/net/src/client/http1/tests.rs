//! Heads and bodies as servers write them, whole and in pieces.

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::super::stream::Tally;
use super::*;

/// A client-side stream to a peer that writes `pieces` one after the other and then closes (or stays, when `stay`).
async fn peer(pieces: Vec<Vec<u8>>, stay: bool) -> Stream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(async move {
        let (mut server, _) = listener.accept().await.unwrap();
        server.set_nodelay(true).unwrap();
        for piece in pieces {
            if server.write_all(&piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        if stay {
            std::future::pending::<()>().await;
        }
    });
    let counter = narthex_metrics::Registry::new().counter("closed_total", "Closed.");
    Stream::Tcp(stream, Tally(counter))
}

/// Status, body, and whether the connection may be used again; or the error's text.
async fn ask(wire: &[u8], piece: usize, stay: bool, limit: u64) -> Result<(u16, String, bool), String> {
    let stream = peer(wire.chunks(piece).map(<[u8]>::to_vec).collect(), stay).await;
    let (head, body) = read_head(stream, false).await.map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    let reusable = body.read_to_end(&mut out, limit).await.map_err(|e| e.to_string())?;
    Ok((head.status, String::from_utf8(out).unwrap(), reusable.is_some()))
}

#[track_caller]
fn check(wire: &str, limit: u64, expected: Result<(u16, &str, bool), &str>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // A body without length needs the close; all others must not wait for it.
    let stay = !wire.contains("until-close") && expected.is_ok();
    for piece in [wire.len().max(1), 7, 1] {
        let got = runtime.block_on(ask(wire.as_bytes(), piece, stay, limit));
        let got = got.as_ref().map(|(s, b, r)| (*s, &**b, *r)).map_err(|e| &**e);
        assert_eq!(got, expected, "in pieces of {piece}: {wire:?}");
    }
}

const ALL: u64 = u64::MAX;

#[test]
fn bodies_end_where_their_framing_says() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n", ALL, Ok((200, "up 1\n", true)));
    check("HTTP/1.1 200 OK\nContent-Length: 5\n\nup 1\n", ALL, Ok((200, "up 1\n", true)));
    check(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nup \r\n2;x=y\r\n1\n\r\n0\r\nA: b\r\n\r\n",
        ALL,
        Ok((200, "up 1\n", true)),
    );
    check("HTTP/1.1 200 OK\r\nX: until-close\r\n\r\nup 1\n", ALL, Ok((200, "up 1\n", false)));
    check("HTTP/1.1 204 No Content\r\n\r\n", ALL, Ok((204, "", true)));
    check(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        ALL,
        Ok((200, "x", true)),
    );
}

#[test]
fn connections_are_kept_only_when_both_sides_agree_and_nothing_follows() {
    check("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", ALL, Ok((200, "x", false)));
    check("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", ALL, Ok((200, "x", false)));
    check(
        "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx",
        ALL,
        Ok((200, "x", true)),
    );
}

#[test]
fn bytes_after_a_body_spoil_the_connection() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for wire in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxyz",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nz",
    ] {
        let got = runtime.block_on(ask(wire.as_bytes(), wire.len(), true, ALL));
        assert_eq!(got, Ok((200, "x".to_owned(), false)));
    }
}

#[test]
fn broken_answers_get_go_words() {
    let broken = |text: &str| format!("net/http: HTTP/1.x transport connection broken: {text}");
    check("", ALL, Err("EOF"));
    check("hello there\r\n\r\n", ALL, Err(&broken("malformed HTTP response \"hello there\"")));
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup", ALL, Err("unexpected EOF"));
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nup", ALL, Err("unexpected EOF"));
    check("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nup", ALL, Err(&broken("bad Content-Length \"-5\"")));
    check(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        ALL,
        Err(&broken("unsupported transfer encoding: \"gzip\"")),
    );
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx";
    check(two, ALL, Err(&broken("http: message cannot contain multiple Content-Length headers")));
}

#[test]
fn the_limit_holds_for_every_framing() {
    let too_large = Err("body size limit exceeded");
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n", 6, Ok((200, "up 1\n", true)));
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n", 5, too_large);
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nup 1\n\r\n0\r\n\r\n", 5, too_large);
    check("HTTP/1.1 200 OK\r\nX: until-close\r\n\r\nup 1\n", 5, too_large);
}

#[test]
fn any_bytes_end_in_an_answer_or_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let good =
        b"HTTP/1.1 200 OK\r\nContent-Type: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nup 1\n\r\n0\r\n\r\n";
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..300 {
        let mut wire = good.to_vec();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..wire.len());
            wire[at] = random.u8(..);
        }
        wire.truncate(random.usize(1..=wire.len()));
        let stream = runtime.block_on(peer(vec![wire.clone()], false));
        // Only that it ends without a panic counts.
        let _ = runtime.block_on(async {
            let (_, body) = read_head(stream, false).await.map_err(drop)?;
            body.read_to_end(&mut Vec::new(), 1 << 20).await.map(drop).map_err(drop)
        });
    }
}
