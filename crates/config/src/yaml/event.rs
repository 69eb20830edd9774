//! libyaml behind a safe face: bytes in, events out. The only module of the crate with `unsafe`.
//!
//! Always true: the parser lives in one box that never moves while libyaml holds pointers into it; the input outlives it;
//! each event's texts are copied out before the event is deleted; no pointer leaves this module.
//! Tested in `yaml/tests.rs` with random bytes and in `config/tests.rs` with damaged files.
#![expect(unsafe_code, reason = "libyaml's interface is pointers; this module wraps it")]

use std::ffi::CStr;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::addr_of_mut;

use libyaml_rs as sys;

/// A place in the file; both numbers start at 0, columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// One event of the stream, with where it begins.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) mark: Mark,
    pub(crate) body: Body,
}

/// What an event says. Anchors and tags are empty when absent.
#[derive(Debug)]
pub(crate) enum Body {
    /// Beginnings and ends of the stream and of documents.
    StreamStart,
    StreamEnd,
    DocumentStart,
    DocumentEnd,
    /// `*anchor`
    Alias {
        anchor: String,
    },
    /// A scalar; `plain` when it is unquoted and has no tag, so that its text decides its type.
    Scalar {
        anchor: String,
        tag: String,
        value: String,
        plain: bool,
    },
    SequenceStart {
        anchor: String,
        tag: String,
    },
    SequenceEnd,
    MappingStart {
        anchor: String,
        tag: String,
    },
    MappingEnd,
}

/// The text is not YAML, in libyaml's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// libyaml's words.
    pub(crate) problem: String,
    /// The line that Go prints (from 1), when it prints one.
    pub(crate) shown_line: Option<u32>,
    /// The line that go-yaml v3 prints: it asks the context first.
    pub(crate) shown_line_v3: Option<u32>,
    /// Where it really is.
    pub(crate) mark: Mark,
}

/// A running parser over borrowed bytes.
pub(crate) struct Events<'i> {
    parser: Box<MaybeUninit<sys::yaml_parser_t>>,
    failed: bool,
    input: PhantomData<&'i [u8]>,
}

impl<'i> Events<'i> {
    /// Begins to read `input`.
    pub(crate) fn new(input: &'i [u8]) -> Self {
        let mut parser = Box::new(MaybeUninit::<sys::yaml_parser_t>::uninit());
        let at = parser.as_mut_ptr();
        // SAFETY: `at` points to memory of the right size and alignment; initialising writes all of it and cannot fail but
        // by aborting when memory runs out. The input lives for `'i`, and `Drop` ends the parser before that.
        unsafe {
            assert!(sys::yaml_parser_initialize(at).ok, "libyaml always initialises");
            // Go decides by a byte order mark too; without one the bytes are UTF-8.
            sys::yaml_parser_set_input_string(at, input.as_ptr(), input.len() as u64);
        }
        Self { parser, failed: false, input: PhantomData }
    }

    /// The next event. After an error or `StreamEnd` every further call gives `StreamEnd`.
    pub(crate) fn next(&mut self) -> Result<Event, SyntaxError> {
        if self.failed {
            return Ok(Event { mark: Mark::default(), body: Body::StreamEnd });
        }
        let mut event = MaybeUninit::<sys::yaml_event_t>::uninit();
        // SAFETY: the parser was initialised in `new` and is deleted only in `Drop`; libyaml writes the whole event before
        // it looks at it, also when it fails.
        let ok = unsafe { sys::yaml_parser_parse(self.parser.as_mut_ptr(), event.as_mut_ptr()).ok };
        if !ok {
            self.failed = true;
            return Err(self.error());
        }
        // SAFETY: a successful parse filled the event; its pointers are valid until it is deleted just below, and `copy`
        // owns what it returns.
        unsafe {
            let copied = copy(event.assume_init_ref());
            sys::yaml_event_delete(addr_of_mut!(*event.as_mut_ptr()));
            Ok(copied)
        }
    }

    /// The parser's error, with the line that go-yaml v2 would print.
    fn error(&self) -> SyntaxError {
        // SAFETY: the parser is initialised; `problem` is null or a static string that ends with a zero byte.
        unsafe {
            let parser = self.parser.assume_init_ref();
            let problem = if parser.problem.is_null() {
                "unknown problem parsing YAML content".to_owned()
            } else {
                CStr::from_ptr(parser.problem.cast()).to_string_lossy().into_owned()
            };
            let (at, context) = (mark(&parser.problem_mark), mark(&parser.context_mark));
            // COMPAT: go-yaml adds one for the scanner's errors only, so a parser error names the line before it.
            let scanner = u32::from(parser.error == sys::YAML_SCANNER_ERROR);
            let shown_line = match (at.line, context.line) {
                (0, 0) => None,
                (0, line) => Some(line),
                (line, _) => Some(line + scanner),
            };
            let first = if context.line == 0 { at.line } else { context.line };
            let shown_line_v3 = (first != 0).then_some(first + scanner);
            SyntaxError { problem, shown_line, shown_line_v3, mark: at }
        }
    }
}

impl Drop for Events<'_> {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, deleted once.
        unsafe { sys::yaml_parser_delete(self.parser.as_mut_ptr()) }
    }
}

fn mark(m: &sys::yaml_mark_t) -> Mark {
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Mark { line: small(m.line), column: small(m.column) }
}

/// Copies everything out of an event.
///
/// # Safety
/// `event` must be one that libyaml filled and that is not deleted yet: then the union field that belongs to its type is the
/// active one, and each pointer in it is null or a string that ends with a zero byte.
unsafe fn copy(event: &sys::yaml_event_t) -> Event {
    // SAFETY: see above; `value` is `length` bytes long, and libyaml refuses input that is not UTF-8.
    let body = unsafe {
        match event.type_ {
            sys::YAML_STREAM_START_EVENT => Body::StreamStart,
            sys::YAML_DOCUMENT_START_EVENT => Body::DocumentStart,
            sys::YAML_DOCUMENT_END_EVENT => Body::DocumentEnd,
            sys::YAML_ALIAS_EVENT => Body::Alias { anchor: text(event.data.alias.anchor) },
            sys::YAML_SCALAR_EVENT => {
                let s = &event.data.scalar;
                let length = usize::try_from(s.length).expect("a text in memory has a length that fits");
                let bytes = std::slice::from_raw_parts(s.value, length);
                let value = String::from_utf8_lossy(bytes).into_owned();
                Body::Scalar { anchor: text(s.anchor), tag: text(s.tag), value, plain: s.plain_implicit }
            }
            sys::YAML_SEQUENCE_START_EVENT => {
                let s = &event.data.sequence_start;
                Body::SequenceStart { anchor: text(s.anchor), tag: text(s.tag) }
            }
            sys::YAML_SEQUENCE_END_EVENT => Body::SequenceEnd,
            sys::YAML_MAPPING_START_EVENT => {
                let m = &event.data.mapping_start;
                Body::MappingStart { anchor: text(m.anchor), tag: text(m.tag) }
            }
            sys::YAML_MAPPING_END_EVENT => Body::MappingEnd,
            _ => Body::StreamEnd,
        }
    };
    Event { mark: mark(&event.start_mark), body }
}

/// # Safety
/// `at` is null or points to a string that ends with a zero byte.
unsafe fn text(at: *const u8) -> String {
    if at.is_null() {
        return String::new();
    }
    // SAFETY: not null, so by the caller's promise a string that ends with a zero byte.
    unsafe { CStr::from_ptr(at.cast()) }.to_string_lossy().into_owned()
}
