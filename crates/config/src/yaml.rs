//! YAML as go-yaml reads and writes it: events with libyaml's words and marks, a tree, scalars under YAML 1.1, and a writer.
//!
//! Holds no knowledge of any section. Facts: go-yaml v2.4 (strict) and v3 (known fields), recorded by running them.

mod event;
mod node;
mod scalar;
mod write;

pub(crate) use event::{Mark, SyntaxError};
pub(crate) use node::{Kind, NodeRef, Tree};
pub(crate) use scalar::{Resolved, resolve, short_tag};
pub(crate) use write::{Yaml, write};

#[cfg(test)]
mod tests;
