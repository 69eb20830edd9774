//! Puts escapers at the end of pipelines.
//!
//! Always true: what the pipeline does already is not done twice; the order is from the innermost language outwards.

use std::collections::HashSet;

use crate::syntax::ast::{Arg, ArgKind, Command, Pipe};

/// Escapers that do the same work count as one.
fn family(escaper: &str) -> &str {
    match escaper {
        "_html_template_attrescaper" | "_html_template_htmlescaper" | "_html_template_rcdataescaper" => {
            "html"
        }
        "_html_template_urlescaper" | "_html_template_urlnormalizer" => "urlquery",
        other => other,
    }
}

/// Whether `next` has nothing left to do after `last`.
fn is_redundant(last: &str, next: &str) -> bool {
    match last {
        "_html_template_commentescaper" => {
            matches!(next, "_html_template_attrescaper" | "_html_template_htmlescaper")
        }
        "_html_template_cssescaper"
        | "_html_template_jsregexpescaper"
        | "_html_template_jsstrescaper"
        | "_html_template_jstmpllitescaper" => next == "_html_template_attrescaper",
        "_html_template_urlescaper" => next == "_html_template_urlnormalizer",
        _ => false,
    }
}

fn identifier(command: &Command) -> Option<&str> {
    match &command.args[0].kind {
        ArgKind::Identifier(name) => Some(name),
        _ => None,
    }
}

fn push_escaper(commands: &mut Vec<Command>, name: &str, pos: usize) {
    if commands.last().and_then(identifier).is_some_and(|last| is_redundant(last, name)) {
        return;
    }
    let arg = Arg { pos, kind: ArgKind::Identifier(name.to_owned()) };
    commands.push(Command { pos, args: vec![arg] });
}

/// The pipeline with the escapers that it does not have already.
pub(super) fn with_escapers(pipe: &Pipe, escapers: Vec<&'static str>) -> Pipe {
    let mut commands = pipe.commands.clone();
    let mut names: Vec<String> = escapers.into_iter().map(str::to_owned).collect();
    if names.is_empty() {
        return pipe.clone();
    }
    let predefined = commands.last().and_then(identifier).filter(|name| matches!(*name, "html" | "urlquery"));
    if let Some(own) = predefined.map(str::to_owned) {
        if commands.len() == 1 && commands[0].args.len() > 1 {
            // Arguments first become one text, so that the escaper may be moved behind others.
            commands[0].args[0].kind = ArgKind::Identifier("_eval_args_".to_owned());
            push_escaper(&mut commands, &own, pipe.pos);
        }
        let mut moved = false;
        for name in names.iter_mut().filter(|name| family(name) == own) {
            own.clone_into(name);
            moved = true;
        }
        if moved {
            commands.pop();
        }
    }
    let there: HashSet<String> =
        commands.iter().filter_map(identifier).map(|name| family(name).to_owned()).collect();
    for name in names.iter().filter(|name| !there.contains(family(name))) {
        push_escaper(&mut commands, name, pipe.pos);
    }
    Pipe { commands, variables: Vec::new(), ..*pipe }
}
