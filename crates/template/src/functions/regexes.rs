//! Compiled patterns, kept between executions: a rule runs the same pattern at every evaluation.

use std::collections::HashMap;
use std::sync::Mutex;

use narthex_model::Regex;

/// More patterns than these are not kept. Templates have one or two.
const KEPT: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Regexes {
    /// Held for a look-up only; compiling happens outside.
    known: Mutex<HashMap<String, Regex>>,
}

impl Regexes {
    /// Compiles a pattern that may match anywhere.
    pub(crate) fn get(&self, pattern: &str) -> Result<Regex, String> {
        let lock = || self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(regex) = lock().get(pattern) {
            return Ok(regex.clone());
        }
        let regex = Regex::new_search(pattern).map_err(|error| error.to_string())?;
        let mut known = lock();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    }
}
