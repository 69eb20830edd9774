//! PromQL: from query text to result, over anything that can be queried.
//!
//! Road in: [`parser::parse`] gives an [`ast::Expr`]; [`engine::Engine`] evaluates query text; [`script`]
//! tests it by text. [`desk::Desk`] stands in front of an engine that many use.
//! What this crate does not do: HTTP, JSON (but for two log files), knowledge of any particular storage.
#![forbid(unsafe_code)]

pub mod ast;
pub mod desk;
pub mod engine;
pub mod functions_table;
mod lexer;
pub mod parser;
pub mod prettier;
mod printer;
pub mod script;
pub mod series_desc;

#[cfg(test)]
mod conformance;
