//! Answers of the server as people read them.

use serde_json::Value;

/// The endpoints.
pub(super) fn endpoints(data: &Value) {
    let endpoints = list(&data["endpoints"]);
    if endpoints.is_empty() {
        println!("remote_write is not configured");
    }
    endpoints.iter().for_each(|endpoint| print!("{}", endpoint_text(endpoint)));
}

fn endpoint_text(of: &Value) -> String {
    let state = match of["failingSeconds"].as_f64() {
        Some(failing_s) => format!(
            "failing for {}, tries again after {}",
            seconds(failing_s),
            seconds(of["backoffSeconds"].as_f64().unwrap_or(0.0))
        ),
        None => "well".to_owned(),
    };
    let lag = of["lagSeconds"].as_f64().map_or_else(|| "not known yet".to_owned(), seconds);
    let place = |at: &Value| format!("segment {} offset {}", at["segment"], at["offset"]);
    let letters = &of["deadLetters"];
    let mut text = format!(
        "{}  {}  ({})\n  state         {state}\n  lag           {lag}, about {} samples ({} in memory, {} bytes of the log unread)\n",
        word(&of["name"]),
        word(&of["url"]),
        protocol(of),
        of["lagSamples"],
        of["pendingSamples"],
        of["unreadBytes"],
    );
    text += &format!(
        "  cursor        {}; the log ends at {}\n  requests      {} in flight, {} allowed ({} to {})\n  dead letters  {} in {} bytes, {} evicted since the start\n",
        place(&of["cursor"]),
        place(&of["tip"]),
        of["requestsInFlight"],
        of["requestsAllowed"],
        of["requestsMin"],
        of["requestsMax"],
        letters["count"],
        letters["bytes"],
        letters["evicted"],
    );
    if let Some(catch_up) = of["catchUp"].as_object() {
        text += &format!(
            "  catch-up      from the database, read up to {}; {} bytes of late samples set aside\n",
            word(&catch_up["readTo"]),
            catch_up["lateBytes"],
        );
    }
    text += &gaps_text(&of["gaps"]);
    if let Some(error) = of["lastError"].as_object() {
        text += &format!("  last error    {} {}\n", word(&error["time"]), word(&error["text"]));
    }
    text
}

/// What it is sent, and what is configured where that is something else.
fn protocol(of: &Value) -> String {
    let (wanted, sent) = (word(&of["protocol"]), word(&of["protocolSent"]));
    match sent == wanted || of["protocolSent"].is_null() {
        true => wanted.to_owned(),
        false => format!("{sent}, as it does not understand {wanted}"),
    }
}

fn gaps_text(gaps: &Value) -> String {
    let Some(last) = gaps["last"].as_object() else { return String::new() };
    let end = |name: &str| last[name].as_str().unwrap_or("not known").to_owned();
    format!(
        "  gaps          {}, of {} samples and {} exemplars where that is known\n  last gap      {}: samples of {} to {}: {}\n",
        gaps["count"],
        gaps["samples"],
        gaps["exemplars"],
        word(&last["time"]),
        end("from"),
        end("to"),
        word(&last["cause"]),
    )
}

/// The stores.
pub(super) fn stores(data: &Value) {
    let stores = list(&data["stores"]);
    let is_empty = |store: &Value| store["count"] == 0 && store["unreadableLines"] == 0;
    if stores.iter().all(is_empty) {
        println!("no dead letters");
    }
    stores.iter().filter(|store| !is_empty(store)).for_each(|store| print!("{}", store_text(store)));
}

fn store_text(of: &Value) -> String {
    let name = [word(&of["name"]), word(&of["url"])].join("  ");
    let gone = if of["configured"] == false { ", not configured any more" } else { "" };
    let mut text = format!("{}  (id {}{gone})\n", name.trim(), word(&of["id"]));
    text += &format!(
        "  {} letters, numbers {} to {}, {} bytes, refused {} to {}, samples of {} to {}\n",
        of["count"],
        of["firstId"],
        of["lastId"],
        of["bytes"],
        word(&of["firstRefused"]),
        word(&of["lastRefused"]),
        word(&of["minTime"]),
        word(&of["maxTime"]),
    );
    for reason in list(&of["reasons"]) {
        text += &match reason["status"].as_u64() {
            Some(0) => format!("  {:>8} for other reasons\n", reason["count"]),
            _ => format!("  {:>8} × {}  {}\n", reason["count"], reason["status"], word(&reason["reason"])),
        };
    }
    if of["unreadableLines"] != 0 {
        text += &format!("  {:>8} lines of the files are no letters\n", of["unreadableLines"]);
    }
    text
}

/// Letters.
pub(super) fn letters(data: &Value) {
    let letters = list(&data["letters"]);
    letters.iter().for_each(|letter| print!("{}", letter_text(letter)));
    if let (Some(last), Some(true)) = (letters.last(), data["more"].as_bool()) {
        println!("there are more: --after={}", last["id"]);
    }
}

fn letter_text(of: &Value) -> String {
    let labels = of["labels"].as_object();
    let name = labels.and_then(|labels| labels.get("__name__")).map_or("", word);
    let pairs = labels.into_iter().flatten().filter(|(label, _)| *label != "__name__");
    let pairs: Vec<String> = pairs.map(|(label, value)| format!("{label}={value}")).collect();
    let content = match of["value"].as_str() {
        Some(value) => value.to_owned(),
        None => format!("{} {}", word(&of["kind"]), word(&of["encoded"])),
    };
    format!(
        "{}  {name}{{{}}} {content} {}\n    refused {} with {}: {}\n",
        of["id"],
        pairs.join(","),
        of["timestampMs"],
        word(&of["refused"]),
        of["status"],
        word(&of["reason"]),
    )
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], |items| items)
}

/// A text without its quotes; `-` for what is not there.
fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0}ms", seconds * 1000.0) } else { format!("{seconds:.1}s") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn letters_are_two_lines_as_series_are_written() {
        let letter = json!({
            "id": 4, "refused": "R", "status": 400, "reason": "bad", "kind": "sample", "timestampMs": 1000, "value": "1.5",
            "labels": {"__name__": "up", "job": "a\"b"},
        });
        assert_eq!(letter_text(&letter), "4  up{job=\"a\\\"b\"} 1.5 1000\n    refused R with 400: bad\n");
    }

    #[test]
    fn an_endpoint_that_fails_says_so_first() {
        let endpoint = json!({
            "name": "one", "url": "http://a/", "protocol": "p", "failingSeconds": 75.04, "backoffSeconds": 0.03,
            "lagSeconds": null, "lagSamples": 9, "pendingSamples": 5, "unreadBytes": 7, "cursor": {"segment": 1, "offset": 2},
            "tip": {"segment": 3, "offset": 4}, "requestsInFlight": 1, "requestsAllowed": 2, "requestsMin": 1,
            "requestsMax": 50, "deadLetters": {"count": 7, "bytes": 800, "evicted": 0}, "lastError": {"time": "T", "text": "no"},
        });
        let text = endpoint_text(&endpoint);
        assert!(
            text.starts_with(
                "one  http://a/  (p)\n  state         failing for 75.0s, tries again after 30ms\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("not known yet, about 9 samples") && text.ends_with("last error    T no\n"),
            "{text}"
        );
    }

    #[test]
    fn an_endpoint_that_is_behind_says_from_where_it_is_served_and_what_is_lost() {
        let endpoint = json!({
            "name": "one", "url": "u", "protocol": "two", "protocolSent": "one", "catchUp": {"readTo": "R", "lateBytes": 6},
            "gaps": {"count": 2, "samples": 30, "exemplars": 4, "last": {"time": "T", "from": "F", "to": null, "cause": "why"}},
        });
        let text = endpoint_text(&endpoint);
        assert!(text.starts_with("one  u  (one, as it does not understand two)\n"), "{text}");
        let end = "  catch-up      from the database, read up to R; 6 bytes of late samples set aside\n  \
                   gaps          2, of 30 samples and 4 exemplars where that is known\n  \
                   last gap      T: samples of F to not known: why\n";
        assert!(text.ends_with(end), "{text}");
    }
}
