//! Rules of scrape protocols, which need the words as written and the name of the job.

use crate::ScrapeProtocol;
use crate::decode::Decoder;
use crate::yaml::{Kind, NodeRef};

fn unknown(word: &str) -> String {
    let known = ScrapeProtocol::ALL.map(ScrapeProtocol::as_str).join(" ");
    format!("unknown scrape protocol {word}, supported: [{known}]")
}

fn word(node: NodeRef<'_>) -> &str {
    match node.resolved().kind() {
        Kind::Scalar { value, .. } => value,
        _ => "",
    }
}

/// Each protocol known and named once; `place` adds whose they are.
pub(crate) fn check_protocols(at: NodeRef<'_>, d: &mut Decoder, place: impl Fn(&str) -> String) {
    let Some(list) = at.get("scrape_protocols").filter(|n| matches!(n.kind(), Kind::Sequence(_))) else {
        return;
    };
    let words: Vec<&str> = list.items().map(word).collect();
    if words.is_empty() {
        d.rule(list.mark(), place("scrape_protocols cannot be empty"));
    }
    for (i, item) in list.items().enumerate() {
        let mark = item.resolved().mark();
        if words[..i].iter().any(|earlier| earlier.eq_ignore_ascii_case(words[i])) {
            let text = format!("duplicated protocol in scrape_protocols, got [{}]", words.join(" "));
            d.rule(mark, place(&text));
        } else if ScrapeProtocol::from_name(words[i]).is_none() {
            d.rule(mark, place(&format!("scrape_protocols: {}", unknown(words[i]))));
        }
    }
}

/// The protocol of last resort, when there is one, is known.
pub(crate) fn check_fallback(at: NodeRef<'_>, d: &mut Decoder, job: &str) {
    let Some(node) = at.get("fallback_scrape_protocol").filter(|n| !n.is_null()) else { return };
    let word = word(node);
    if !word.is_empty() && ScrapeProtocol::from_name(word).is_none() {
        let job = narthex_model::quote_go(job);
        let whose = format!("invalid fallback_scrape_protocol for scrape config with job name {job}");
        d.rule(node.mark(), format!("{whose}: {}", unknown(word)));
    }
}
