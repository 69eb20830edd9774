//! Relabeling: small steps that rewrite, keep or drop a label set.
//!
//! Road in: fill a [`RelabelConfig`] (its default is the default of the configuration file), ask [`RelabelConfig::validate`],
//! then run [`process`] over a builder for each label set; [`trace`] shows what each step did.
//! What this crate does not do: read YAML (the configuration crate converts), know where labels come from, or keep any state.
//! Facts: Prometheus configuration page, `<relabel_config>`; error texts and corner cases as release 3.14 shows them.
#![forbid(unsafe_code)]

mod action;
mod letter_case;
mod process;
mod step;

pub use action::{Action, UnknownAction};
pub use process::{process, trace};
pub use step::{RelabelConfig, RelabelError};
