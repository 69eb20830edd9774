//! Dead letters of all endpoints, those that are not configured any more among them: listed, shown, replayed, dropped.
//!
//! Replays and drops block their thread; they may run beside the endpoints, one at a time for each store.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::{IN_DOUBT, RemoteWrite, Shown};
use crate::dead_letter::{DeadLetter, DeadLetters, LetterSummary, Origin, Selection, origins, summaries};
use crate::replay::{ReplayBounds, Replayed, replay};

/// The letters of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterStore {
    /// The endpoint's id, which its files begin with.
    pub id: String,
    /// Whether there is an endpoint that they can be replayed to.
    pub is_configured: bool,
    /// What it holds.
    pub summary: LetterSummary,
}

/// Why nothing can be done with letters.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// No store has this name.
    #[error("no endpoint of remote write, and no dead letters, have the name, id or URL {asked:?}; there are: {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        asked: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Several stores have this name, or none was named and there are several.
    #[error("there are several endpoints, name one by its name, id or URL: {}", .0.join(", "))]
    Several(Vec<String>),
    /// Letters can only be replayed to an endpoint.
    #[error(
        "endpoint {0} is not configured any more: letters can be replayed once remote_write has an endpoint with the same url and name again; until then they can be listed, shown and dropped"
    )]
    NotConfigured(String),
    /// The endpoint takes nothing now.
    #[error("endpoint {name} fails now, nothing was replayed; try again when it is well: {error}")]
    Failing {
        /// Its name.
        name: String,
        /// Its last error.
        error: String,
    },
    /// Somebody else is at it.
    #[error(
        "another replay or drop of the dead letters of endpoint {0} is under way; try again when it has ended"
    )]
    Busy(String),
    /// The disk's.
    #[error("the dead letters of endpoint {name} cannot be read or written")]
    Io {
        /// The endpoint's name.
        name: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// A store that was named.
struct Named {
    name: String,
    letters: Arc<DeadLetters>,
    shown: Option<Shown>,
}

impl Named {
    fn io(&self, source: io::Error) -> LetterError {
        LetterError::Io { name: self.name.clone(), source }
    }
}

impl RemoteWrite {
    /// The stores: those of all endpoints, and others that still hold letters.
    ///
    /// # Errors
    /// The disk's.
    pub fn letter_stores(&self) -> Result<Vec<LetterStore>, LetterError> {
        let failed = |source| LetterError::Io { name: "(all)".into(), source };
        let mut found: BTreeMap<String, LetterSummary> =
            summaries(&self.dir()).map_err(failed)?.into_iter().collect();
        let mut stores = Vec::new();
        for shown in self.shown.lock().clone() {
            let status = &shown.sender.status;
            let mut summary = found.remove(&shown.id).unwrap_or_default();
            (summary.name, summary.url) = (status.name().to_owned(), status.url().to_owned());
            stores.push(LetterStore { id: shown.id, is_configured: true, summary });
        }
        let others = found.into_iter().filter(|(_, summary)| summary.letters + summary.unreadable > 0);
        stores.extend(others.map(|(id, summary)| LetterStore {
            is_configured: self.shown_of(&id).is_some(),
            id,
            summary,
        }));
        Ok(stores)
    }

    /// Calls `look` with the selected letters of a store, oldest first, until it breaks.
    ///
    /// # Errors
    /// There is no such store, or the disk's.
    pub fn each_letter(
        &self,
        endpoint: &str,
        wanted: &Selection,
        mut look: impl FnMut(DeadLetter) -> ControlFlow<()>,
    ) -> Result<(), LetterError> {
        let named = self.named(endpoint)?;
        let look = |letter| if wanted.takes(&letter) { look(letter) } else { ControlFlow::Continue(()) };
        named.letters.each(wanted.after, look).map_err(|error| named.io(error))
    }

    /// Offers letters to their endpoint again. Blocks; must be called on a tokio runtime, off its network threads.
    ///
    /// # Errors
    /// See [`LetterError`]; what was accepted before has left the store.
    pub fn replay_letters(
        &self,
        endpoint: &str,
        wanted: &Selection,
        bounds: ReplayBounds,
    ) -> Result<Replayed, LetterError> {
        let named = self.named(endpoint)?;
        let shown = named.shown.as_ref().ok_or_else(|| LetterError::NotConfigured(named.name.clone()))?;
        if let Some((error, _)) = shown.sender.status.failing() {
            return Err(LetterError::Failing { name: named.name, error });
        }
        let edit = named.letters.edit().map_err(|error| named.io(error))?;
        let edit = edit.ok_or_else(|| LetterError::Busy(named.name.clone()))?;
        replay(&edit, &shown.sender, shown.per_send, wanted, bounds).map_err(|error| named.io(error))
    }

    /// Drops letters. How many went. Blocks.
    ///
    /// # Errors
    /// See [`LetterError`].
    pub fn drop_letters(&self, endpoint: &str, wanted: &Selection) -> Result<u64, LetterError> {
        let named = self.named(endpoint)?;
        let dropped = named.letters.drop_letters(|letter| wanted.takes(letter));
        dropped.map_err(|error| named.io(error))?.ok_or(LetterError::Busy(named.name))
    }

    /// The store that is meant by a name, id or URL; by nothing when there is only one.
    fn named(&self, asked: &str) -> Result<Named, LetterError> {
        let failed = |source| LetterError::Io { name: asked.to_owned(), source };
        let shown = self.shown.lock().clone();
        let mut stores: BTreeMap<String, Origin> =
            origins(&self.dir()).map_err(failed)?.into_iter().collect();
        stores.extend(shown.iter().map(|shown| (shown.id.clone(), shown.origin())));
        // What is in doubt is meant only where it is named.
        let is_it = |(id, origin): &(&String, &Origin)| {
            [&origin.name, *id].iter().any(|its| *its == asked)
                || !id.ends_with(IN_DOUBT) && (asked.is_empty() || origin.url == asked)
        };
        let names =
            |stores: &[(&String, &Origin)]| stores.iter().map(|(id, origin)| display(id, origin)).collect();
        let stores: Vec<_> = stores.iter().collect();
        let found: Vec<_> = stores.iter().copied().filter(is_it).collect();
        let (id, origin) = match found[..] {
            [one] => one,
            [] => return Err(LetterError::Unknown { asked: asked.to_owned(), known: names(&stores) }),
            _ => return Err(LetterError::Several(names(&found))),
        };
        let name = if origin.name.is_empty() { id.clone() } else { origin.name.clone() };
        let letters = self.letters_of(id, origin.clone());
        let letters = letters
            .map_err(|error| LetterError::Io { name: name.clone(), source: io::Error::other(error) })?;
        Ok(Named { name, letters, shown: self.shown_of(id) })
    }

    /// The endpoint that letters of a store came from, if it is configured.
    fn shown_of(&self, id: &str) -> Option<Shown> {
        let id = id.strip_suffix(IN_DOUBT).unwrap_or(id);
        self.shown.lock().iter().find(|shown| shown.id == id).cloned()
    }
}

/// A store's name with its id.
fn display(id: &str, origin: &Origin) -> String {
    match &*origin.name {
        "" => id.to_owned(),
        name => format!("{name} (id {id})"),
    }
}
