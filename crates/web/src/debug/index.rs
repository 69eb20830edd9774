//! The page of all profiles, with what each tells here.

use bytes::Bytes;
use http::StatusCode;
use narthex_net::server::Response;
use narthex_profile::{Kind, Symbols};

use crate::answer::with_type;

/// Name, what it is, what it tells; those without a kind are made otherwise.
const PROFILES: [(&str, Option<Kind>, &str); 11] = [
    (
        "allocs",
        Some(Kind::Allocs),
        "All memory that was allocated since the start, by samples of one in 2 MiB. As heap, which shows what lives first.",
    ),
    (
        "block",
        Some(Kind::Block),
        "Always empty: where threads wait for each other is not recorded. Look at fgprof.",
    ),
    ("cmdline", None, "The command line of this process."),
    (
        "fgprof",
        Some(Kind::WallClock),
        "Where time passes, threads that wait counted too. Takes ?seconds=, 30 by default.",
    ),
    (
        "goroutine",
        Some(Kind::Threads),
        "The stack of each thread now (there are no goroutines; tasks that wait have no thread). ?debug=1 for text.",
    ),
    (
        "heap",
        Some(Kind::Heap),
        "Memory that is allocated now, by samples of one in 2 MiB. ?debug=1 for text, ?seconds= for what changes.",
    ),
    ("mutex", Some(Kind::Mutex), "Always empty: which locks hold others up is not recorded. Look at fgprof."),
    ("profile", Some(Kind::Cpu), "Where processor time goes. Takes ?seconds=, 30 by default; one at a time."),
    ("symbol", None, "Names of addresses: ?0x1234+0x5678."),
    ("threadcreate", Some(Kind::ThreadNames), "Threads by name (where they were started is not recorded)."),
    ("trace", None, "Not there: the format is that of Go's runtime."),
];

/// The kind of a profile that is a picture of a moment.
pub(super) fn kind(name: &str) -> Option<Kind> {
    let found = PROFILES.iter().find(|(known, ..)| *known == name)?;
    found.1.filter(|kind| !matches!(kind, Kind::Cpu | Kind::WallClock))
}

/// The page.
pub(super) fn page(symbols: &Symbols) -> Response {
    let mut rows = String::new();
    for (name, kind, about) in PROFILES {
        let count = kind.map_or(String::new(), |kind| super::take(kind).rows.len().to_string());
        let link = format!("<a href='{name}{}'>{name}</a>", if kind_is_text(kind) { "?debug=1" } else { "" });
        rows += &format!("<tr><td>{count}</td><td>{link}</td><td>{about}</td></tr>\n");
    }
    let own = symbols.name(page as *const () as usize);
    let missing = match own {
        Some(_) => "",
        None => "<p>This binary has no symbol table: profiles show addresses without names.</p>\n",
    };
    let html = format!(
        "<html>\n<head><title>/debug/pprof/</title></head>\n<body>\n/debug/pprof/\n<p>Types of profiles available \
         (rows, profile, what it tells):</p>\n<table>\n{rows}</table>\n{missing}<p>For example: <code>go tool pprof \
         http://HOST:9090/debug/pprof/profile?seconds=10</code></p>\n</body>\n</html>\n"
    );
    with_type(StatusCode::OK, "text/html; charset=utf-8", Bytes::from(html))
}

fn kind_is_text(of: Option<Kind>) -> bool {
    of.is_some_and(|kind| !matches!(kind, Kind::Cpu | Kind::WallClock))
}
