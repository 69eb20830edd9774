//! Files under `/user/`: redirects, lists, types, what is unchanged, and paths that want out of the directory.

use narthex_net::server::Response;

use super::*;

fn asset_site() -> (tempfile::TempDir, Site) {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("secret.txt", b"secret");
    put("assets/a.txt", b"hello");
    put("assets/page", b"<html><b>");
    put("assets/bytes", b"\0\x01");
    put("assets/sub/index.html", b"sub");
    put("assets/odd/<a> b:c", b"");
    put("assets/odd/d/e", b"");
    put("assets/large.js", &vec![b'x'; 200_000]);
    let site = new_site(SiteOptions {
        user_assets: dir.path().join("assets").to_str().unwrap().to_owned(),
        ..options()
    });
    (dir, site)
}

#[test]
fn files_and_directories_are_served_as_in_go() {
    let (_dir, site) = asset_site();
    check_all(
        &site,
        &[
            ("GET /user/a.txt", "200 hello"),
            ("GET /user/sub/", "200 sub"),
            ("GET /user/sub", "301 location=sub/ "),
            ("GET /user/sub?a=b", "301 location=sub/?a=b "),
            ("GET /user/sub/index.html", "301 location=./ "),
            ("GET /user/a.txt/", "301 location=../a.txt "),
            ("GET /user", "301 location=/user/ <a href=\"/user/\">Moved Permanently</a>.\n\n"),
            (
                "GET /user/odd/",
                "200 <!doctype html>\n<meta name=\"viewport\" content=\"width=device-width\">\n<pre>\n\
                 <a href=\"./%3Ca%3E%20b:c\">&lt;a&gt; b:c</a>\n<a href=\"d/\">d/</a>\n</pre>\n",
            ),
            ("GET /user/odd/%3Ca%3E%20b:c", "200 "),
            ("POST /user/a.txt", "405 allow=GET, OPTIONS Method Not Allowed\n"),
            ("HEAD /user/a.txt", "405 allow=GET, OPTIONS "),
        ],
    );
}

#[test]
fn nothing_outside_is_read() {
    let (_dir, site) = asset_site();
    let led = |to: &str| format!("307 location={to} <a href=\"{to}\">Temporary Redirect</a>.\n\n");
    let nothing = "404 404 page not found\n";
    check_all(
        &site,
        &[
            ("GET /user/nope", nothing),
            ("GET /user/a.txt/b", nothing),
            ("GET /user/a.txt%00", nothing),
            ("GET /user/%ff", nothing),
            ("GET /user/%zz", "400 400 Bad Request"),
            ("GET /user/../secret.txt", &led("/secret.txt")),
            ("GET /user/%2e%2e/secret.txt", nothing),
            ("GET /user/..%2fsecret.txt", nothing),
            ("GET /user/sub/..%2f..%2f..%2fsecret.txt", nothing),
            ("GET /user/%2fetc%2fpasswd", nothing),
            ("GET /user/%2e%2e/a.txt", "200 hello"),
            ("GET /user/x%0d%0aSet-Cookie:%20a%2f..%2fa.txt", "200 hello"),
            ("GET /user/a.txt%2fx%0d%0aSet-Cookie:%20a%2f..%2f", "301 location=../.. "),
            ("GET /user/sub%2fx%0d%0aa:b%2f..", "301 location=../ "),
        ],
    );
    check_all(&new_site(options()), &[("GET /user/a.txt", nothing), ("GET /user", nothing)]);
}

async fn get(site: &Site, path: &str, since: &str) -> Response {
    let request = http::Request::get(path).header("if-modified-since", since);
    let (head, ()) = request.body(()).unwrap().into_parts();
    let peer = "127.0.0.1:1".parse().unwrap();
    site.handle(Request { head, body: RequestBody::Ready(Bytes::new()), peer }).await
}

#[tokio::test]
async fn types_lengths_and_dates_are_told() {
    let (_dir, site) = asset_site();
    let text = |answer: &Response, name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    for (path, kind) in [
        ("/user/a.txt", "text/plain; charset=utf-8"),
        ("/user/page", "text/html; charset=utf-8"),
        ("/user/bytes", "application/octet-stream"),
    ] {
        assert_eq!(text(&get(&site, path, "").await, "content-type"), kind, "{path}");
    }
    let large = get(&site, "/user/large.js", "").await;
    assert_eq!(text(&large, "content-type"), "text/javascript; charset=utf-8");
    assert_eq!(text(&large, "content-length"), "200000");
    assert_eq!(large.into_body().read_to_end().await.unwrap(), vec![b'x'; 200_000]);
    let modified = text(&get(&site, "/user/a.txt", "").await, "last-modified");
    assert!(modified.ends_with(" GMT") && modified.len() == 29, "{modified}");
    let again = get(&site, "/user/a.txt", &modified).await;
    assert_eq!((again.status().as_u16(), text(&again, "last-modified")), (304, modified));
    assert_eq!(get(&site, "/user/a.txt", "Mon, 23 Nov 2020 00:00:00 GMT").await.status().as_u16(), 200);
}
