//! Why a template could not be parsed or executed. The texts are Go's and Prometheus' own: they are shown in alerts.

/// The text of a template is malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {name}:{line}: {message}")]
pub struct ParseError {
    /// The template, or the file.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// A template failed while it ran, or cannot be made safe HTML. The text names the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ExecError {
    /// The whole text, with the place.
    pub text: String,
}

/// What an expansion can fail with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template itself is malformed.
    #[error("error parsing template {name}: {source}")]
    Parse {
        /// The template.
        name: String,
        /// The cause.
        source: ParseError,
    },
    /// A file beside it is malformed.
    #[error("error parsing template files for {name}: {source}")]
    ParseFile {
        /// The template that wants the file.
        name: String,
        /// The cause, which names the file.
        source: ParseError,
    },
    /// It failed while it ran.
    #[error("error executing template {name}: {source}")]
    Execute {
        /// The template.
        name: String,
        /// The cause.
        source: ExecError,
    },
}
