//! What is wrong with a configuration: every problem found, each with its place and Prometheus' words.
//!
//! Facts: go-yaml's way of listing errors (`yaml: unmarshal errors:` and a line each); other texts stand where they arise.

use std::fmt;

/// All problems of one load. Never empty.
#[derive(Debug)]
pub struct ConfigErrors {
    text: String,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ConfigErrors {}
