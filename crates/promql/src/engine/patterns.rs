//! The regular expressions of `label_replace` that were compiled last.
//!
//! PERF: a dashboard asks with the same few expressions again and again, and compiling one for its groups takes longer (0.15 ms)
//! than applying it to a hundred series. Bound: [`KEPT`] expressions of at most [`LONGEST`] bytes.

use std::sync::{Mutex, PoisonError};

use narthex_model::{Regex, RegexError};

/// How many expressions are kept.
const KEPT: usize = 16;
/// Longer expressions are compiled each time: their programs may be large.
const LONGEST: usize = 128;

/// Compiled expressions, the one used last at the end.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    recent: Mutex<Vec<Regex>>,
}

impl Patterns {
    /// As [`Regex::new_wrapped`].
    pub(crate) fn wrapped(&self, source: &str) -> Result<Regex, RegexError> {
        if source.len() > LONGEST {
            return Regex::new_wrapped(source);
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = recent.iter().rposition(|known| known.as_str() == source) {
            recent[at..].rotate_left(1);
            return Ok(recent[recent.len() - 1].clone());
        }
        drop(recent);
        let regex = Regex::new_wrapped(source)?;
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == KEPT {
            recent.remove(0);
        }
        recent.push(regex.clone());
        Ok(regex)
    }

    #[cfg(test)]
    fn sources(&self) -> Vec<String> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().map(|regex| regex.as_str().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expressions_used_last_are_kept_and_the_others_forgotten() {
        let patterns = Patterns::default();
        for number in 0..KEPT {
            patterns.wrapped(&format!("a{number}")).unwrap();
        }
        assert!(patterns.wrapped("a0").unwrap().is_match("a0"));
        assert!(patterns.wrapped("new.*").unwrap().is_match("newer"));
        let sources = patterns.sources();
        assert_eq!(sources.len(), KEPT);
        assert_eq!(sources[KEPT - 2..], ["a0", "new.*"]);
        assert!(!sources.contains(&"a1".to_owned()));
    }

    #[test]
    fn bad_and_long_expressions_are_not_kept() {
        let patterns = Patterns::default();
        assert!(patterns.wrapped("(").is_err());
        let long = "x".repeat(LONGEST + 1);
        assert!(patterns.wrapped(&long).unwrap().is_match(&long));
        assert!(patterns.sources().is_empty());
    }
}
