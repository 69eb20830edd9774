//! Profiles of the process: what is refused and how; that real profiles are right is seen from outside (`narthex/tests/server`).

use super::*;

#[test]
fn what_cannot_be_profiled_says_so() {
    let seconds = "400 invalid value for \"seconds\" - must be a positive integer\n";
    check_all(
        &new_site(options()),
        &[
            (
                "GET /debug/pprof",
                "301 location=/debug/pprof/ <a href=\"/debug/pprof/\">Moved Permanently</a>.\n\n",
            ),
            ("GET /debug/nothing", "404 404 page not found\n"),
            ("GET /debug/pprof/nothing", "404 Unknown profile\n"),
            ("GET /debug/pprof/heap/more", "404 Unknown profile\n"),
            ("DELETE /debug/pprof/heap", "405 allow=GET, OPTIONS, POST Method Not Allowed\n"),
            ("GET /debug/pprof/heap?seconds=0", seconds),
            ("GET /debug/pprof/goroutine?seconds=x", seconds),
            ("POST /debug/pprof/allocs seconds=-1", seconds),
            ("GET /debug/pprof/heap?seconds=1&debug=1", "400 seconds and debug params are incompatible\n"),
        ],
    );
}

#[test]
fn what_go_has_and_we_have_not_is_told() {
    let (runtime, site) = (runtime(), new_site(options()));
    for (path, status, words) in [
        ("/debug/pprof/trace?seconds=1", "501 ", "no execution tracer"),
        ("/debug/pprof/block?debug=1", "200 ", "does not record where threads wait"),
        ("/debug/pprof/mutex?debug=1", "200 ", "does not record which locks"),
        ("/debug/pprof/heap?debug=1", "200 ", "allocations are not sampled in this process"),
        ("/debug/pprof/goroutine?debug=2", "200 ", "goroutine/count"),
        ("/debug/pprof/threadcreate?debug=1", "200 ", "threadcreate/count"),
        ("/debug/pprof/", "200 ", "<a href='profile'>profile</a>"),
    ] {
        let answer = runtime.block_on(ask(&site, &format!("GET {path}")));
        assert!(answer.starts_with(status) && answer.contains(words), "{path}: {answer}");
    }
}

#[test]
fn addresses_have_names() {
    let here = addresses_have_names as *const () as usize;
    let (runtime, site) = (runtime(), new_site(options()));
    for request in [
        format!("GET /debug/pprof/symbol?{here:#x}+0x1+odd+-7+0x"),
        format!("POST /debug/pprof/symbol {here}+99999999999999999999"),
    ] {
        let answer = runtime.block_on(ask(&site, &request));
        let lines: Vec<&str> = answer.lines().collect();
        assert_eq!((lines[0], lines.len()), ("200 num_symbols: 1", 2), "{answer}");
        assert!(lines[1].starts_with(&format!("{here:#x} ")) && lines[1].ends_with("addresses_have_names"));
    }
    let answer = runtime.block_on(ask(&site, "GET /debug/pprof/symbol"));
    assert_eq!(answer, "200 num_symbols: 1\n");
}

/// Status and body, which need not be text.
async fn raw(site: &Site, uri: &str) -> (u16, Vec<u8>) {
    let (head, ()) = http::Request::builder().uri(uri).body(()).unwrap().into_parts();
    let peer = "127.0.0.1:1".parse().unwrap();
    let response = site.handle(Request { head, body: RequestBody::Ready(Bytes::new()), peer }).await;
    (response.status().as_u16(), response.body().bytes().unwrap())
}

/// A client that hangs up must not keep the next one from recording, and nobody keeps the server from ending.
#[tokio::test]
async fn recordings_go_one_at_a_time_and_end_with_their_client_or_the_server() {
    let site = new_site(options());
    let (cpu, wall) = ("/debug/pprof/profile", "/debug/pprof/fgprof");
    for (path, busy) in [
        (cpu, "Could not enable CPU profiling: cpu profiling already in use\n"),
        (wall, "Could not enable fgprof profiling: fgprof profiling already in use\n"),
    ] {
        let long = format!("{path}?seconds=600");
        let mut first = Box::pin(raw(&site, &long));
        tokio::select! { _ = &mut first => panic!("it takes longer"), () = tokio::time::sleep(Duration::from_millis(5)) => {} }
        assert_eq!(raw(&site, &long).await, (500, busy.as_bytes().to_vec()));
        drop(first);
        let (status, body) = raw(&site, &format!("{path}?seconds=1")).await;
        assert_eq!(
            (status, &body[..2]),
            (200, &[0x1f, 0x8b][..]),
            "{path}: the place is free, the answer is gzip"
        );
    }
    let change = "/debug/pprof/goroutine?seconds=600";
    let (_, _, _, ()) =
        tokio::join!(raw(&site, cpu), raw(&site, wall), raw(&site, change), async { site.close() });
}
