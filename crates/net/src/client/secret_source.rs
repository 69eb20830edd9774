//! A credential's text: written in the configuration, or in a file that is read at each use.

use std::path::PathBuf;

use narthex_config::Secret;

/// Where a text comes from.
#[derive(Clone, Debug)]
pub(super) enum SecretSource {
    Inline(Secret),
    File(PathBuf),
}

impl SecretSource {
    /// Picks the one of text, file and reference that is set; `None` when none is. There is no secret manager, so a
    /// reference is refused, with Prometheus' words.
    pub(super) fn choose(text: &Secret, file: &str, reference: &str) -> Result<Option<Self>, &'static str> {
        if !text.is_empty() {
            return Ok(Some(Self::Inline(text.clone())));
        }
        if !file.is_empty() {
            return Ok(Some(Self::File(file.into())));
        }
        if reference.is_empty() { Ok(None) } else { Err("cannot use secret ref without manager") }
    }

    /// The text now; that of a file without white space around it.
    pub(super) fn fetch(&self) -> Result<Secret, String> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => {
                let shown = path.display();
                let text = std::fs::read_to_string(path).map_err(|e| {
                    format!("unable to read file {shown}: open {shown}: {}", super::error::io_text(&e))
                })?;
                Ok(Secret::new(text.trim()))
            }
        }
    }

    /// `inline`, or `file PATH`: for error texts.
    pub(super) fn description(&self) -> String {
        match self {
            Self::Inline(_) => "inline".to_owned(),
            Self::File(path) => format!("file {}", path.display()),
        }
    }

    /// The file, when it is one.
    pub(super) fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::Inline(_) => None,
            Self::File(path) => Some(path),
        }
    }
}
