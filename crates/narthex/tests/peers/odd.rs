//! Odd requests, a thousand of them, sent to a real Prometheus and to Narthex with the same data: other methods, paths that are
//! nearly right, values that are nearly numbers, bodies of every type, malformed HTTP. Status, type, the headers that clients look
//! at and the body must be the same, or the request stands on a list with its reason.
//!
//! COMPAT: the reference is 3.5.3; where 3.14 answers otherwise, the list says so.

mod data;
mod reasons;
mod table;

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use self::reasons::REASONS;
use self::table::{Look, Odd, all};
use crate::fixture::{copy, fixture};
use crate::process::{Server, free_port, narthex, peer};

/// The headers that clients look at.
const HEADERS: [&str; 8] = [
    "content-type",
    "content-encoding",
    "allow",
    "location",
    "vary",
    "x-content-type-options",
    "access-control-allow-origin",
    "access-control-allow-methods",
];

/// What Debian's build has other defaults for, and what keeps the data from being too old.
const FLAGS: [&str; 3] = [
    "--storage.tsdb.retention.time=100y",
    "--web.console.templates=consoles",
    "--web.console.libraries=console_libraries",
];

/// What of an answer is compared.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

#[derive(Debug, PartialEq)]
enum Body {
    Json(Value),
    Text(String),
    Any,
}

/// Sends bytes and reads the answer until its end; `None` when there is none.
fn send(port: u16, bytes: &[u8], look: Look) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .unwrap_or_else(|e| panic!("{e} before {}", String::from_utf8_lossy(&bytes[..bytes.len().min(200)])));
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // Who is refused early may find the connection closed before all is sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    parse(&String::from_utf8_lossy(&answer).replace(&format!(":{port}"), ":PORT"), look)
}

fn parse(answer: &str, look: Look) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    if look == Look::Status {
        return Some(Answer { status, headers: Vec::new(), body: Body::Any });
    }
    let all: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = all.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { whole(body) } else { body.to_owned() };
    // 3.14 says for more answers than 3.5.3 that they depend on the encodings that are accepted.
    let is_new = |name: &str, value: &str| name == "vary" && value == "Accept-Encoding";
    let looked_at = |(name, value): &(String, String)| HEADERS.contains(&&**name) && !is_new(name, value);
    let mut headers: Vec<_> = all.into_iter().filter(looked_at).collect();
    headers.sort();
    let body = match look {
        Look::Head | Look::Status => Body::Any,
        Look::All => serde_json::from_str(&body).map_or(Body::Text(body), |json| Body::Json(settled(json))),
    };
    Some(Answer { status, headers, body })
}

/// The pieces of a chunked body together.
fn whole(mut body: &str) -> String {
    let mut all = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        let Some((piece, after)) = rest.split_at_checked(size).filter(|_| size > 0) else { break };
        all.push_str(piece);
        body = after.strip_prefix("\r\n").unwrap_or(after);
    }
    all
}

/// Without what time and chance decide, and what 3.5.3 does not say yet.
fn settled(mut json: Value) -> Value {
    if let Some(stats) = json.pointer_mut("/data/stats") {
        *stats = Value::Null;
    }
    if let Some(Value::Array(warnings)) = json.get_mut("warnings") {
        warnings.retain(|text| !text.as_str().is_some_and(|text| text.contains("for parameter \"stats\"")));
        if warnings.is_empty() {
            json.as_object_mut().unwrap().remove("warnings");
        }
    }
    without_new(&mut json);
    json
}

/// Members of syntax trees that 3.5.3 does not have.
const NEW: [&str; 6] = ["anchored", "smoothed", "offsetExpr", "rangeExpr", "stepExpr", "fillValues"];

fn without_new(json: &mut Value) {
    match json {
        Value::Object(members) => {
            members.retain(|name, _| !NEW.contains(&&**name));
            members.values_mut().for_each(without_new);
        }
        Value::Array(items) => items.iter_mut().for_each(without_new),
        _ => {}
    }
}

/// COMPAT: 3.14 leads from a path with odd segments by 307 instead of 301.
fn as_of_3_14(name: &str, mut answer: Answer) -> Answer {
    let is_odd = ["//", "/."].iter().any(|odd| name.contains(odd)) || name.ends_with(" /api/v1");
    if answer.status == 301 && is_odd {
        answer.status = 307;
        if let Body::Text(text) = &mut answer.body {
            *text = text.replace("Moved Permanently", "Temporary Redirect");
        }
    }
    answer
}

#[test]
fn odd_requests_are_answered_as_a_real_prometheus_does() {
    let Some(prometheus) = peer("prometheus") else { return };
    let Some(data) = fixture("prom-3.5.3-a") else { return };
    let (data, folder) = (data.path().join("data"), tempfile::tempdir().unwrap());
    let start = |binary: &Path, name: &str| {
        let folder = folder.path().join(name);
        copy(&data, &folder.join("data"));
        Server::prometheus(binary, &folder, "global: {scrape_interval: 1h}\n", free_port(), &FLAGS)
    };
    let (theirs, ours) = (start(&prometheus, "theirs"), start(&narthex(), "ours"));
    let last_s = ours.api("/api/v1/status/tsdb")["headStats"]["maxTime"].as_i64().unwrap() / 1000;
    let requests = all(last_s);
    assert!(requests.len() > 900, "{} requests", requests.len());
    let (mut unexplained, mut used) = (Vec::new(), BTreeSet::new());
    for Odd { name, bytes, look } in &requests {
        let expected = send(theirs.port, bytes, *look).map(|answer| as_of_3_14(name, answer));
        let got = send(ours.port, bytes, *look);
        if got == expected {
            continue;
        }
        match REASONS.iter().position(|reason| reason.holds_for(name)) {
            Some(reason) => drop(used.insert(reason)),
            None => unexplained.push(format!("{name}\n  theirs {expected:.700?}\n  ours   {got:.700?}")),
        }
    }
    assert!(
        unexplained.is_empty(),
        "{} of {}:\n{}",
        unexplained.len(),
        requests.len(),
        unexplained.join("\n")
    );
    let unused: Vec<_> = (0..REASONS.len()).filter(|at| !used.contains(at)).map(|at| &REASONS[at]).collect();
    assert!(unused.is_empty(), "nothing differs for these reasons any more: {unused:?}");
}
