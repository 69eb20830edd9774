//! Which format a client gets: the `Accept` header against what a handler offers.
//!
//! Facts: Prometheus' common library, as its `/metrics` and `/federate` answer: the clause with the highest `q` wins, any
//! clause may name an escaping scheme for names, and text is what nobody asked for.

use narthex_model::EscapingScheme;

use crate::Dialect;

/// A way to write metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Offer {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics text 1.0.0.
    OpenMetrics1,
    /// OpenMetrics text 0.0.1.
    OpenMetrics0,
    /// Delimited protobuf messages.
    Protobuf,
    /// The same messages as text, a field a line.
    ProtobufText,
    /// The same, a family a line.
    ProtobufCompact,
}

/// Which message the protobuf form is made of.
const MESSAGE: &str = "io.prometheus.client.MetricFamily";

impl Offer {
    fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Text => ("text", "plain"),
            Self::OpenMetrics1 | Self::OpenMetrics0 => ("application", "openmetrics-text"),
            Self::Protobuf | Self::ProtobufText | Self::ProtobufCompact => {
                ("application", "vnd.google.protobuf")
            }
        }
    }

    /// The version of a text format.
    fn version(self) -> Option<&'static str> {
        match self {
            Self::Text => Some("0.0.4"),
            Self::OpenMetrics1 => Some("1.0.0"),
            Self::OpenMetrics0 => Some("0.0.1"),
            Self::Protobuf | Self::ProtobufText | Self::ProtobufCompact => None,
        }
    }

    /// How the protobuf form is encoded; the text formats have no such word.
    fn encoding(self) -> Option<&'static str> {
        match self {
            Self::Text | Self::OpenMetrics1 | Self::OpenMetrics0 => None,
            Self::Protobuf => Some("delimited"),
            Self::ProtobufText => Some("text"),
            Self::ProtobufCompact => Some("compact-text"),
        }
    }
}

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Output {
    /// The format.
    pub offer: Offer,
    /// How names outside the old charset are written.
    pub escaping: EscapingScheme,
}

impl Output {
    /// The `Content-Type` of the answer.
    #[must_use]
    pub fn content_type(&self) -> String {
        let (kind, subtype) = self.offer.media_type();
        let scheme = scheme_word(self.escaping);
        match self.offer.version() {
            Some(version) => format!("{kind}/{subtype}; version={version}; charset=utf-8; escaping={scheme}"),
            None => {
                let encoding = self.offer.encoding().unwrap_or("");
                format!("{kind}/{subtype}; proto={MESSAGE}; encoding={encoding}; escaping={scheme}")
            }
        }
    }

    /// The text dialect that is written; protobuf has none.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        match self.offer {
            Offer::Text => Some(Dialect::Text),
            Offer::OpenMetrics1 | Offer::OpenMetrics0 => Some(Dialect::OpenMetrics),
            Offer::Protobuf | Offer::ProtobufText | Offer::ProtobufCompact => None,
        }
    }
}

fn scheme_word(scheme: EscapingScheme) -> &'static str {
    match scheme {
        EscapingScheme::NoEscaping => "allow-utf-8",
        EscapingScheme::Underscores => "underscores",
        EscapingScheme::Dots => "dots",
        EscapingScheme::Values => "values",
    }
}

fn scheme_of(word: &str) -> Option<EscapingScheme> {
    [EscapingScheme::NoEscaping, EscapingScheme::Underscores, EscapingScheme::Dots, EscapingScheme::Values]
        .into_iter()
        .find(|scheme| scheme_word(*scheme) == word)
}

/// One part of an `Accept` header.
struct Clause<'h> {
    kind: &'h str,
    subtype: &'h str,
    quality: f64,
    params: Vec<(&'h str, &'h str)>,
}

impl<'h> Clause<'h> {
    fn parse(text: &'h str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or("");
        let (kind, subtype) = media.split_once('/').unwrap_or((media, if media == "*" { "*" } else { "" }));
        let mut clause =
            Self { kind: kind.trim(), subtype: subtype.trim(), quality: 1.0, params: Vec::new() };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key.trim() {
                "q" => clause.quality = value.trim().parse().unwrap_or(0.0),
                key => clause.params.push((key, value.trim())),
            }
        }
        clause
    }

    fn param(&self, key: &str) -> Option<&'h str> {
        self.params.iter().rev().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    /// COMPAT: a wildcard names nothing, so whoever sends one alone gets text.
    fn accepts(&self, offer: Offer) -> bool {
        if (self.kind, self.subtype) != offer.media_type() {
            return false;
        }
        let version = match (self.param("version").unwrap_or(""), offer) {
            // A clause without a version means the oldest one.
            ("", Offer::OpenMetrics1 | Offer::OpenMetrics0) => "0.0.1",
            ("", Offer::Text) => "0.0.4",
            (version, _) => version,
        };
        match offer.version() {
            Some(offered) => version == offered,
            None => self.param("proto") == Some(MESSAGE) && self.param("encoding") == offer.encoding(),
        }
    }
}

/// Picks the best of `offers`, which stand in order of preference, for an `Accept` header (empty when there is none).
#[must_use]
pub fn negotiate(accept: &str, offers: &[Offer]) -> Output {
    let mut clauses: Vec<Clause<'_>> =
        accept.split(',').filter(|c| !c.trim().is_empty()).map(Clause::parse).collect();
    let rank = |c: &Clause<'_>| (c.kind == "*", c.subtype == "*");
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality).then(rank(a).cmp(&rank(b))));
    let mut escaping = EscapingScheme::Underscores;
    for clause in &clauses {
        escaping = clause.param("escaping").and_then(scheme_of).unwrap_or(escaping);
        if let Some(offer) = offers.iter().find(|offer| clause.accepts(**offer)) {
            return Output { offer: *offer, escaping };
        }
    }
    let text = offers.iter().find(|offer| **offer == Offer::Text);
    Output { offer: text.or(offers.first()).copied().unwrap_or(Offer::Text), escaping }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[Offer] = &[Offer::OpenMetrics1, Offer::OpenMetrics0, Offer::Text];

    #[track_caller]
    fn check(accept: &str, offers: &[Offer], want: &str) {
        assert_eq!(negotiate(accept, offers).content_type(), want, "{accept}");
    }

    #[test]
    fn text_with_underscores_is_what_nobody_asked_for() {
        let want = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
        for accept in [
            "",
            "text/html",
            "text/plain",
            "text/plain;version=0.0.4",
            "*/*;q=0",
            "application/json, */*",
            "text/plain;version=9",
        ] {
            check(accept, &[Offer::Text], want);
        }
        check("text/html", ALL, want);
    }

    #[test]
    fn the_highest_quality_wins_and_brings_its_escaping() {
        let scraper = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        check(
            scraper,
            ALL,
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        );
        check(scraper, &[Offer::Text], "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8");
        check(
            "text/plain; q=0.5, application/openmetrics-text",
            ALL,
            "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=underscores",
        );
        check("text/plain;escaping=values", ALL, "text/plain; version=0.0.4; charset=utf-8; escaping=values");
        check(
            "text/plain;escaping=odd",
            ALL,
            "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
        );
        for wild in ["*/*", "*/*, application/*", "application/openmetrics-text;version=9"] {
            check(wild, ALL, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
        }
        let late = "*/*, application/openmetrics-text;q=0.1";
        check(late, ALL, "application/openmetrics-text; version=0.0.1; charset=utf-8; escaping=underscores");
    }

    #[test]
    fn protobuf_is_for_those_who_name_it_in_full() {
        const BOTH: &[Offer] = &[Offer::Text, Offer::Protobuf];
        let text = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
        let message =
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
        check(
            &format!(
                "{message};q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.1"
            ),
            BOTH,
            &format!("{message}; escaping=underscores"),
        );
        check("application/vnd.google.protobuf", BOTH, text);
        check(&message.replace("delimited", "text"), BOTH, text);
        check("*/*", BOTH, text);
        let words = message.replace("delimited", "compact-text");
        check(&words, &[Offer::Text, Offer::ProtobufCompact], &format!("{words}; escaping=underscores"));
    }
}
