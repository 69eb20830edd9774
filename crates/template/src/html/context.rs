//! Where in a page a byte stands.

use std::fmt;

/// What the parser of a browser is in the middle of.
#[expect(clippy::upper_case_acronyms, reason = "the names stand in errors as Go writes them")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Text,
    Tag,
    AttrName,
    AfterName,
    BeforeValue,
    HTMLCmt,
    RCDATA,
    Attr,
    URL,
    Srcset,
    MetaContent,
    MetaContentURL,
    JS,
    JSDqStr,
    JSSqStr,
    JSTmplLit,
    JSRegexp,
    JSBlockCmt,
    JSLineCmt,
    JSHTMLOpenCmt,
    JSHTMLCloseCmt,
    CSS,
    CSSDqStr,
    CSSSqStr,
    CSSDqURL,
    CSSSqURL,
    CSSURL,
    CSSBlockCmt,
    CSSLineCmt,
    /// After a `break` or `continue`.
    Dead,
}

impl State {
    pub(super) fn is_comment(self) -> bool {
        matches!(
            self,
            Self::HTMLCmt
                | Self::JSBlockCmt
                | Self::JSLineCmt
                | Self::JSHTMLOpenCmt
                | Self::JSHTMLCloseCmt
                | Self::CSSBlockCmt
                | Self::CSSLineCmt
        )
    }

    pub(super) fn is_in_tag(self) -> bool {
        matches!(self, Self::Tag | Self::AttrName | Self::AfterName | Self::BeforeValue | Self::Attr)
    }

    pub(super) fn is_script_literal(self) -> bool {
        matches!(self, Self::JSDqStr | Self::JSSqStr | Self::JSTmplLit | Self::JSRegexp)
    }
}

/// What ends the value of an attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Delim {
    #[default]
    None,
    DoubleQuote,
    SingleQuote,
    SpaceOrTagEnd,
}

impl Delim {
    pub(super) fn ends(self) -> &'static [u8] {
        match self {
            Self::None => b"",
            Self::DoubleQuote => b"\"",
            Self::SingleQuote => b"'",
            Self::SpaceOrTagEnd => b" \t\n\x0c\r>",
        }
    }
}

/// Which part of a URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum UrlPart {
    #[default]
    None,
    PreQuery,
    QueryOrFrag,
    Unknown,
}

/// Whether a slash begins a pattern or divides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum JsCtx {
    #[default]
    Regexp,
    DivOp,
    Unknown,
}

/// Elements whose content is no HTML, and `meta`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Element {
    #[default]
    None,
    Script,
    Style,
    Textarea,
    Title,
    Meta,
}

/// What the value of an attribute is.
#[expect(clippy::upper_case_acronyms, reason = "the names stand in errors as Go writes them")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Attr {
    #[default]
    None,
    Script,
    ScriptType,
    Style,
    URL,
    Srcset,
    MetaContent,
}

impl Attr {
    /// The state in which a value of this kind begins.
    pub(super) fn start(self) -> State {
        match self {
            Self::None | Self::ScriptType => State::Attr,
            Self::Script => State::JS,
            Self::Style => State::CSS,
            Self::URL => State::URL,
            Self::Srcset => State::Srcset,
            Self::MetaContent => State::MetaContent,
        }
    }
}

/// All that is known about a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) state: State,
    pub(super) delim: Delim,
    pub(super) url_part: UrlPart,
    pub(super) js_ctx: JsCtx,
    /// For each `${` of template literals that is open, how many braces are open in it.
    pub(super) braces: Vec<usize>,
    pub(super) attr: Attr,
    pub(super) element: Element,
}

impl Place {
    pub(super) fn of(state: State) -> Self {
        Self { state, ..Self::default() }
    }

    pub(super) fn of_element(state: State, element: Element) -> Self {
        Self { state, element, ..Self::default() }
    }

    /// The name of a template when it is called here.
    pub(super) fn mangle(&self, name: &str) -> String {
        if self.state == State::Text {
            return name.to_owned();
        }
        let mut out = format!("{name}$htmltemplate_state{:?}", self.state);
        if self.delim != Delim::None {
            out += &format!("_delim{:?}", self.delim);
        }
        if self.url_part != UrlPart::None {
            out += &format!("_urlPart{:?}", self.url_part);
        }
        if self.js_ctx != JsCtx::Regexp {
            out += &format!("_jsCtx{:?}", self.js_ctx);
        }
        if !self.braces.is_empty() {
            out += &format!("_jsBraceDepth({})", self.shown_braces());
        }
        if self.attr != Attr::None {
            out += &format!("_attr{:?}", self.attr);
        }
        if self.element != Element::None {
            out += &format!("_element{:?}", self.element);
        }
        out
    }

    fn shown_braces(&self) -> String {
        let shown: Vec<String> = self.braces.iter().map(ToString::to_string).collect();
        format!("[{}]", shown.join(" "))
    }

    /// What the place is for an action: an unquoted value or a name has begun.
    pub(super) fn nudge(&self) -> Self {
        let mut place = self.clone();
        match self.state {
            State::Tag => place.state = State::AttrName,
            State::BeforeValue => {
                (place.state, place.delim, place.attr) =
                    (self.attr.start(), Delim::SpaceOrTagEnd, Attr::None);
            }
            State::AfterName => (place.state, place.attr) = (State::AttrName, Attr::None),
            _ => {}
        }
        place
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{state{:?} delim{:?} urlPart{:?} jsCtx{:?} {} attr{:?} element{:?} <nil>}}",
            self.state,
            self.delim,
            self.url_part,
            self.js_ctx,
            self.shown_braces(),
            self.attr,
            self.element
        )
    }
}

/// Why a page cannot be made safe.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// `NAME:LINE:COLUMN`, when a part of the tree is to blame.
    pub(super) place: Option<String>,
    /// The line, or 0.
    pub(super) line: usize,
    pub(super) description: String,
}

impl Refusal {
    pub(super) fn new(description: String) -> Self {
        Self { place: None, line: 0, description }
    }

    /// The whole text; `name` is the template that was to be made safe.
    pub(super) fn text(&self, name: &str) -> String {
        let description = &self.description;
        match (&self.place, self.line) {
            (Some(place), _) => format!("html/template:{place}: {description}"),
            (None, 0) => format!("html/template:{name}: {description}"),
            (None, line) => format!("html/template:{name}:{line}: {description}"),
        }
    }
}
