//! From the text of a template to its tree.
//!
//! Road: `lexer` cuts the text into tokens, `parser` makes trees of them (a text may define several), `ast` holds what they
//! are, `literal` reads constants, `print` writes parts of the tree as error messages show them.
//! Must not know: what functions do; only their names, because a name that nobody knows is an error of the text.
//! Facts: the documentation and the observed errors of Go's `text/template`.

pub(crate) mod ast;
mod lexer;
mod literal;
mod parser;
mod print;

pub(crate) use literal::go_float;
pub(crate) use parser::{Parsed, parse};
