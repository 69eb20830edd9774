//! Which letters are meant: by number, by series, by status.

use narthex_model::Matcher;

use super::DeadLetter;

/// Which letters are meant. Empty parts choose all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Ranges of numbers, both ends included; one of them must hold it.
    pub ids: Vec<(u64, u64)>,
    /// Conditions on the labels; all of one of these lists must hold.
    pub selectors: Vec<Vec<Matcher>>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// Only higher numbers.
    pub after: u64,
}

impl Selection {
    /// Whether the letter is meant.
    #[must_use]
    pub fn takes(&self, letter: &DeadLetter) -> bool {
        let fits =
            |matcher: &Matcher| matcher.matches(letter.labels.get(&matcher.name).map_or("", String::as_str));
        letter.id > self.after
            && self.status.is_none_or(|status| status == letter.status)
            && (self.ids.is_empty() || self.ids.iter().any(|(low, high)| (*low..=*high).contains(&letter.id)))
            && (self.selectors.is_empty() || self.selectors.iter().any(|all| all.iter().all(fits)))
    }
}
