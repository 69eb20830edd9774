//! Console pages: data, queries, libraries, errors, and paths that want out of the directory.

use super::*;

fn console_site() -> (tempfile::TempDir, Site) {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("secret.html", "secret");
    put(
        "pages/a.html",
        "<p>{{ $params.x }}|{{ $path }}|{{ template \"lib\" $rawParams.x }}|{{ pathPrefix }}</p>",
    );
    put(
        "pages/sub/b.html",
        "{{ range query \"sum(m)\" }}{{ .Value }}{{ end }} {{ query \"1.5\" | first | value }}",
    );
    put("pages/bad.html", "{{ nofunc }}");
    put("pages/text.html", "{{ query \"m[5m]\" }}");
    put("libs/own.lib", "{{ define \"lib\" }}{{ range . }}<i>{{ . }}</i>{{ end }}{{ end }}");
    put("libs/other.txt", "{{ broken");
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let site = new_site(SiteOptions {
        console_templates: at("pages"),
        console_libraries: at("libs"),
        external_path: "/pre".to_owned(),
        ..options()
    });
    open(&site);
    (dir, site)
}

#[test]
fn pages_see_parameters_libraries_and_queries() {
    let (_dir, site) = console_site();
    check_all(
        &site,
        &[
            (
                "GET /consoles/a.html?x=%3Cb%3E&x=2",
                "200 <p>&lt;b&gt;|a.html|<i>&lt;b&gt;</i><i>2</i>|/pre</p>",
            ),
            ("GET /consoles/sub/b.html", "200 3 1.5"),
            ("POST /consoles/a.html", "405 allow=GET, OPTIONS Method Not Allowed\n"),
        ],
    );
}

#[test]
fn what_is_wrong_is_said_and_nothing_outside_is_read() {
    let (dir, site) = console_site();
    let pages = dir.path().join("pages");
    let missing = |name: &str| format!("404 open {}/{name}: no such file or directory\n", pages.display());
    let parse = "500 error parsing template __console_/bad.html: template: __console_/bad.html:1: function \"nofunc\" \
                 not defined\n";
    let execute = "500 error executing template __console_/text.html: template: __console_/text.html:1:110: executing \
                   \"__console_/text.html\" at <query \"m[5m]\">: error calling query: rule result is not a vector or \
                   scalar\n";
    check_all(
        &site,
        &[
            ("GET /consoles/nope.html", &missing("nope.html")),
            ("GET /consoles/%2e%2e/secret.html", &missing("secret.html")),
            ("GET /consoles/..%2Fsecret.html", &missing("secret.html")),
            ("GET /consoles/sub/..%2f..%2f..%2fsecret.html", &missing("secret.html")),
            ("GET /consoles/sub", &format!("500 read {}/sub: is a directory\n", pages.display())),
            ("GET /consoles/a.html?x=%zz", "400 invalid URL escape \"%zz\"\n"),
            ("GET /consoles/bad.html", parse),
            ("GET /consoles/text.html", execute),
            ("GET /consoles/a%00.html", "404 http: invalid or unsafe file path\n"),
        ],
    );
    let closed = new_site(options());
    check_all(&closed, &[("GET /consoles/a.html", "503 x-prometheus-stopping=false Service Unavailable")]);
}
