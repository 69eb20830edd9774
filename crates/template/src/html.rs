//! Safe pages: every action gets the escapers that the place where it stands asks for.
//!
//! Road: `pass` goes through the trees and follows with `text` and `transition` what HTML, CSS and JavaScript make of the text
//! around the actions (`context`, `attributes`); it writes new trees whose actions end in `escapers` (`pipeline`). What cannot be decided is an
//! error, and a tree that was not made safe never runs.
//! Facts: the documentation of Go's `html/template`, its error texts and recorded pages of Prometheus.

mod attributes;
mod context;
mod entities;
mod escapers;
mod js;
mod pass;
mod pipeline;
mod strip;
mod text;
mod transition;

pub(crate) use escapers::{ESCAPERS, escape_html, escape_js};
pub(crate) use pass::make_safe;
