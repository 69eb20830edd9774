//! Which odd requests are answered otherwise than by 3.5.3, and why. Whoever removes a reason removes its line.

/// A reason and the requests that it holds for.
#[derive(Debug)]
pub(super) struct Reason {
    /// Why.
    #[expect(dead_code, reason = "read by who reads a failure")]
    why: &'static str,
    /// Pieces that must all be in the name of a request, for each kind of request.
    names: &'static [&'static [&'static str]],
}

impl Reason {
    pub(super) fn holds_for(&self, name: &str) -> bool {
        self.names.iter().any(|pieces| pieces.iter().all(|piece| name.contains(piece)))
    }
}

pub(super) const REASONS: &[Reason] = &[
    Reason {
        why: "3.14 cleans paths as they were sent, 3.5.3 as Debian builds it without their escapes",
        names: &[&["path /", "%2e"]],
    },
    Reason { why: "3.14 has no DELETE for series", names: &[&["method ", " /api/v1/series"]] },
    Reason {
        why: "Debian's build has no receiver for OTLP",
        names: &[&["/api/v1/otlp/v1/metrics"], &["body POST otlp/v1/metrics"]],
    },
    Reason {
        why: "Prometheus leads to a page without /api/v1",
        names: &[
            &["path /api/v1/", "/", "%2F"],
            &["path /api/v1/labels/"],
            &["path /api/v1/status/flags/"],
            &["inject /api/v1/labels/"],
        ],
    },
    Reason {
        why: "hyper refuses the target before anybody sees it: the status is the same, the body is empty",
        names: &[&["path %2f"], &["path /api/v1/label/a b/values"]],
    },
    Reason {
        why: "which of several errors a query without any time meets is chance in Prometheus",
        names: &[&["value query", " timeout="]],
    },
    Reason { why: "3.14 names the token once", names: &[&["selector ", "=up%20%40%201"]] },
    Reason { why: "3.14's text", names: &[&["query query \"topk(NaN, up)\""]] },
    Reason { why: "a form that is too large is refused instead of dropped", names: &[&["form, too large"]] },
    Reason { why: "nobody sends forms in quoted-printable", names: &[&["multipart, quoted-printable"]] },
    Reason { why: "what was typed raw stays escaped in a redirect", names: &[&["inject ", "<script>"]] },
    Reason {
        why: "hyper is stricter: versions, folded lines, chunks, more than 100 headers; or more lenient: empty lines before a request",
        names: &[
            &["malformed 2.0"],
            &["malformed 1.2"],
            &["malformed empty lines before"],
            &["malformed folded"],
            &["malformed bad chunks"],
            &["malformed other transfer encoding"],
            &["malformed many headers"],
        ],
    },
];
