//! What the values of attributes are.
//!
//! Facts: the table in Go's `html/template`, which follows the lists of HTML 5 and 4.

use super::context::Attr;

/// The kind of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Plain,
    Css,
    Html,
    Js,
    Url,
    Srcset,
    /// Changes how the page is read: no action may name it.
    Unsafe,
}

impl Content {
    pub(super) fn attr(self) -> Attr {
        match self {
            Self::Plain | Self::Html | Self::Unsafe => Attr::None,
            Self::Css => Attr::Style,
            Self::Js => Attr::Script,
            Self::Url => Attr::URL,
            Self::Srcset => Attr::Srcset,
        }
    }
}

const UNSAFE: [&str; 22] = [
    "accept-charset",
    "async",
    "challenge",
    "charset",
    "content",
    "crossorigin",
    "defer",
    "enctype",
    "form",
    "formenctype",
    "formmethod",
    "formnovalidate",
    "http-equiv",
    "keytype",
    "language",
    "method",
    "novalidate",
    "pattern",
    "rel",
    "sandbox",
    "type",
    "value",
];

const URLS: [&str; 17] = [
    "action",
    "archive",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "formaction",
    "href",
    "icon",
    "longdesc",
    "manifest",
    "poster",
    "profile",
    "src",
    "usemap",
    "xmlns",
];

/// Plain ones that the rules for unknown names would take for something else.
const PLAIN: [&str; 1] = ["srclang"];

/// The kind of an attribute with this name, in small letters.
pub(super) fn content_of(name: &str) -> Content {
    let name = match (name.strip_prefix("data-"), name.split_once(':')) {
        (Some(rest), _) => rest,
        (None, Some(("xmlns", _))) => return Content::Url,
        (None, Some((_, rest))) => rest,
        (None, None) => name,
    };
    match name {
        "style" => return Content::Css,
        "srcset" => return Content::Srcset,
        "srcdoc" => return Content::Html,
        _ => {}
    }
    if UNSAFE.contains(&name) {
        Content::Unsafe
    } else if URLS.contains(&name) {
        Content::Url
    } else if PLAIN.contains(&name) {
        Content::Plain
    } else if name.starts_with("on") {
        Content::Js
    } else if ["src", "uri", "url"].iter().any(|part| name.contains(part)) {
        Content::Url
    } else {
        Content::Plain
    }
}
