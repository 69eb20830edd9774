//! Goes through trees and writes them anew, with escapers at the end of each action.
//!
//! Always true: a template is written once for each kind of place it is called from, under a name of its own. Branches must
//! end in the same place, loops where they began. What is tried and dropped (the second turn of a loop, a first guess at
//! where a recursive template ends) leaves nothing behind. Steps and depth are bounded: nested loops are tried twice each.

use std::collections::{BTreeMap, HashMap, HashSet};

use narthex_model::quote_go;

use super::context::{Delim, JsCtx, Place, Refusal, State, UrlPart};
use super::pipeline::with_escapers;
use super::text::escape_text;
use crate::error::ExecError;
use crate::set::Set;
use crate::syntax::ast::{ArgKind, Branch, BranchKind, List, Node, Pipe, Tree};
use crate::value::Text;

const MAX_STEPS: usize = 200_000;
/// How deep blocks and calls may nest while the pass follows them.
const MAX_DEPTH: usize = 160;

/// Makes the template `name` safe, and those others that are safe by themselves.
pub(crate) fn make_safe(set: &Set, name: &str) -> (Set, Option<ExecError>) {
    let mut pass = Pass {
        set,
        ends: HashMap::new(),
        made: BTreeMap::new(),
        called: HashSet::new(),
        loops: Vec::new(),
        steps: MAX_STEPS,
        depth: 0,
        at: None,
    };
    let mut refused = BTreeMap::new();
    let others = set.trees().map(|(other, _)| other.as_str()).filter(|other| *other != name);
    for each in std::iter::once(name).chain(others) {
        if let Err(reason) = pass.whole(each) {
            refused.insert(each.to_owned(), reason);
        }
    }
    let mut safe = Set::default();
    for (made, tree) in pass.made {
        safe.put(made, tree);
    }
    let own = refused.get(name).map(|text| ExecError { text: text.clone() });
    for (other, reason) in refused {
        safe.refuse(other, reason);
    }
    (safe, own)
}

/// Where loops are left.
#[derive(Clone, Default)]
struct Exits {
    breaks: Vec<(Place, usize, String)>,
    continues: Vec<(Place, usize, String)>,
}

struct Pass<'s> {
    set: &'s Set,
    /// Where a template ends, by the name for the place it is called from.
    ends: HashMap<String, Place>,
    made: BTreeMap<String, Tree>,
    called: HashSet<String>,
    loops: Vec<Exits>,
    steps: usize,
    depth: usize,
    /// The tree that is gone through, for places in errors.
    at: Option<&'s Tree>,
}

type Passed<T> = Result<T, Refusal>;

impl<'s> Pass<'s> {
    fn whole(&mut self, name: &str) -> Result<(), String> {
        (self.depth, self.at) = (0, None);
        self.loops.clear();
        let (end, _) = self.call(&Place::default(), name, None, 0).map_err(|refusal| refusal.text(name))?;
        if end.state == State::Text {
            return Ok(());
        }
        self.made.remove(name);
        Err(Refusal::new(format!("ends in a non-text context: {end}")).text(name))
    }

    fn place_of(&self, pos: usize) -> Option<String> {
        self.at.map(|tree| tree.source.place(pos))
    }

    /// Runs `try_it` on a copy and keeps what it did only when it says so.
    fn attempt<T>(&mut self, try_it: impl FnOnce(&mut Self) -> (T, bool)) -> (T, bool) {
        let mut copy = Pass {
            set: self.set,
            ends: self.ends.clone(),
            made: BTreeMap::new(),
            called: HashSet::new(),
            loops: self.loops.clone(),
            steps: self.steps,
            depth: self.depth,
            at: self.at,
        };
        let (result, keep) = try_it(&mut copy);
        self.steps = copy.steps;
        if keep {
            self.ends = copy.ends;
            self.made.append(&mut copy.made);
            self.called.extend(copy.called);
        }
        (result, keep)
    }

    /// Where a template ends that is called at `place`, and its name there.
    fn call(
        &mut self,
        place: &Place,
        name: &str,
        pos: Option<usize>,
        line: usize,
    ) -> Passed<(Place, String)> {
        let own_name = place.mangle(name);
        self.called.insert(own_name.clone());
        if let Some(end) = self.ends.get(&own_name) {
            return Ok((end.clone(), own_name));
        }
        let Some(tree) = self.set.tree(name) else {
            let description = format!("no such template {}", quote_go(name));
            return Err(Refusal { place: pos.and_then(|pos| self.place_of(pos)), line, description });
        };
        let outer = self.at.replace(tree);
        let end = self.end_of(place, tree, &own_name);
        self.at = outer;
        Ok((end?, own_name))
    }

    fn end_of(&mut self, place: &Place, tree: &'s Tree, own_name: &str) -> Passed<Place> {
        let (first, kept) = self.body(place, tree, own_name);
        let first = first?;
        if kept {
            return Ok(first);
        }
        // It calls itself and does not end where it began: try where it ended.
        let (second, kept) = self.body_assuming(place, &first, tree, own_name);
        match second {
            Ok(second) if kept => Ok(second),
            _ => Err(Refusal {
                place: self.place_of(0),
                line: 0,
                description: format!("cannot compute output context for template {own_name}"),
            }),
        }
    }

    fn body(&mut self, place: &Place, tree: &'s Tree, own_name: &str) -> (Passed<Place>, bool) {
        self.body_assuming(place, place, tree, own_name)
    }

    /// Goes through a template on the assumption that it ends at `assumed`.
    fn body_assuming(
        &mut self,
        place: &Place,
        assumed: &Place,
        tree: &'s Tree,
        own_name: &str,
    ) -> (Passed<Place>, bool) {
        self.ends.insert(own_name.to_owned(), assumed.clone());
        let (result, kept) = self.attempt(|pass| {
            let result = pass.list(place.clone(), &tree.root);
            let keep =
                result.as_ref().is_ok_and(|(end, _)| !pass.called.contains(own_name) || end == assumed);
            if let (true, Ok((end, root))) = (keep, &result) {
                pass.ends.insert(own_name.to_owned(), end.clone());
                let tree =
                    Tree { name: own_name.to_owned(), source: tree.source.clone(), root: root.clone() };
                pass.made.insert(own_name.to_owned(), tree);
            }
            (result.map(|(end, _)| end), keep)
        });
        if !kept && result.is_err() {
            self.ends.remove(own_name);
        }
        (result, kept)
    }

    fn list(&mut self, place: Place, list: &List) -> Passed<(Place, List)> {
        if self.depth == MAX_DEPTH {
            return Err(Refusal::new("templates nest too deep".to_owned()));
        }
        self.depth += 1;
        let mut place = place;
        let mut nodes = Vec::with_capacity(list.nodes.len());
        for node in &list.nodes {
            self.steps = self
                .steps
                .checked_sub(1)
                .ok_or_else(|| Refusal::new("the page is too complex to be made safe".to_owned()))?;
            let (next, node) = self.node(place, node)?;
            place = next;
            nodes.push(node);
            if place.state == State::Dead {
                break;
            }
        }
        self.depth -= 1;
        Ok((place, List { nodes }))
    }

    fn node(&mut self, place: Place, node: &Node) -> Passed<(Place, Node)> {
        match node {
            Node::Text { text } => {
                let (next, text) = escape_text(place, text.bytes())?;
                Ok((next, Node::Text { text: Text::from(text) }))
            }
            Node::Action { pos, pipe } => {
                let (next, pipe) = self.action(place, *pos, pipe)?;
                Ok((next, Node::Action { pos: *pos, pipe }))
            }
            Node::Branch(branch) => self.branch(&place, branch),
            Node::Template { pos, line, name, pipe } => {
                let (end, name) = self.call(&place, name, Some(*pos), *line)?;
                Ok((end, Node::Template { pos: *pos, line: *line, name, pipe: pipe.clone() }))
            }
            Node::Break { pos, line } => {
                let exit = (place, *line, self.place_of(*pos).unwrap_or_default());
                self.loops.last_mut().expect("the parser refuses it outside of loops").breaks.push(exit);
                Ok((Place::of(State::Dead), node.clone()))
            }
            Node::Continue { pos, line } => {
                let exit = (place, *line, self.place_of(*pos).unwrap_or_default());
                self.loops.last_mut().expect("the parser refuses it outside of loops").continues.push(exit);
                Ok((Place::of(State::Dead), node.clone()))
            }
        }
    }

    fn branch(&mut self, place: &Place, branch: &Branch) -> Passed<(Place, Node)> {
        let is_loop = branch.kind == BranchKind::Range;
        let word = branch.kind.word();
        let at = self.place_of(branch.pos);
        if is_loop {
            self.loops.push(Exits::default());
        }
        let (mut end, list) = self.list(place.clone(), &branch.list)?;
        if is_loop {
            let exits = self.loops.pop().unwrap_or_default();
            end = join_exits(end, &exits)?;
            self.loops.push(Exits::default());
            let ((again, exits), _) = self.attempt(|pass| {
                let again = pass.list(end.clone(), &branch.list).map(|(end, _)| end);
                ((again, pass.loops.pop().unwrap_or_default()), false)
            });
            self.loops.pop();
            let joined = again.and_then(|again| join(end, again, at.as_ref(), word));
            end = joined.map_err(|refusal| Refusal {
                line: branch.line,
                description: format!("on range loop re-entry: {}", refusal.description),
                ..refusal
            })?;
            end = join_exits(end, &exits)?;
        }
        let (other_end, otherwise) = match &branch.otherwise {
            Some(list) => self.list(place.clone(), list).map(|(end, list)| (end, Some(list)))?,
            None => (place.clone(), None),
        };
        let end = join(end, other_end, at.as_ref(), word)?;
        let node = Branch { list, otherwise, pipe: branch.pipe.clone(), ..*branch };
        Ok((end, Node::Branch(Box::new(node))))
    }

    fn action(&self, place: Place, pos: usize, pipe: &Pipe) -> Passed<(Place, Pipe)> {
        if !pipe.variables.is_empty() {
            return Ok((place, pipe.clone()));
        }
        let mut place = place.nudge();
        self.check_predefined(&place, pos, pipe)?;
        let mut escapers: Vec<&'static str> = Vec::new();
        match place.state {
            State::URL
            | State::CSSDqStr
            | State::CSSSqStr
            | State::CSSDqURL
            | State::CSSSqURL
            | State::CSSURL => match place.url_part {
                UrlPart::Unknown => {
                    let shown = Node::Action { pos, pipe: pipe.clone() };
                    let description = format!("{shown} appears in an ambiguous context within a URL");
                    return Err(Refusal { place: self.place_of(pos), line: pipe.line, description });
                }
                UrlPart::QueryOrFrag => escapers.push("_html_template_urlescaper"),
                part => {
                    if part == UrlPart::None {
                        escapers.push("_html_template_urlfilter");
                    }
                    let in_string = matches!(place.state, State::CSSDqStr | State::CSSSqStr);
                    escapers.push(if in_string {
                        "_html_template_cssescaper"
                    } else {
                        "_html_template_urlnormalizer"
                    });
                }
            },
            State::MetaContentURL => escapers.push("_html_template_urlfilter"),
            State::JS => {
                escapers.push("_html_template_jsvalescaper");
                // A value is there: a slash after it divides.
                place.js_ctx = JsCtx::DivOp;
            }
            State::JSDqStr | State::JSSqStr => escapers.push("_html_template_jsstrescaper"),
            State::JSTmplLit => escapers.push("_html_template_jstmpllitescaper"),
            State::JSRegexp => escapers.push("_html_template_jsregexpescaper"),
            State::CSS => escapers.push("_html_template_cssvaluefilter"),
            State::Text => escapers.push("_html_template_htmlescaper"),
            State::RCDATA => escapers.push("_html_template_rcdataescaper"),
            State::AttrName | State::Tag => {
                place.state = State::AttrName;
                escapers.push("_html_template_htmlnamefilter");
            }
            State::Srcset => escapers.push("_html_template_srcsetescaper"),
            State::Attr | State::MetaContent => {}
            _ => escapers.push("_html_template_commentescaper"),
        }
        match place.delim {
            Delim::None => {}
            Delim::SpaceOrTagEnd => escapers.push("_html_template_nospaceescaper"),
            Delim::DoubleQuote | Delim::SingleQuote => escapers.push("_html_template_attrescaper"),
        }
        Ok((place, with_escapers(pipe, escapers)))
    }

    /// `html` and `urlquery` may only stand at the end, where they count for what the page would add.
    fn check_predefined(&self, place: &Place, pos: usize, pipe: &Pipe) -> Passed<()> {
        for (i, command) in pipe.commands.iter().enumerate() {
            let ArgKind::Identifier(name) = &command.args[0].kind else { continue };
            let unquoted =
                place.state == State::Attr && place.delim == Delim::SpaceOrTagEnd && name == "html";
            if matches!(&**name, "html" | "urlquery") && (i + 1 < pipe.commands.len() || unquoted) {
                let description = format!("predefined escaper {} disallowed in template", quote_go(name));
                return Err(Refusal { place: self.place_of(pos), line: pipe.line, description });
            }
        }
        Ok(())
    }
}

/// The place that two branches lead to.
fn join(a: Place, b: Place, at: Option<&String>, word: &str) -> Passed<Place> {
    if a.state == State::Dead || a == b {
        return Ok(b);
    }
    if b.state == State::Dead {
        return Ok(a);
    }
    if (Place { url_part: b.url_part, ..a.clone() }) == b {
        return Ok(Place { url_part: UrlPart::Unknown, ..a });
    }
    if (Place { js_ctx: b.js_ctx, ..a.clone() }) == b {
        return Ok(Place { js_ctx: JsCtx::Unknown, ..a });
    }
    let (nudged_a, nudged_b) = (a.nudge(), b.nudge());
    if (nudged_a != a || nudged_b != b)
        && let Ok(joined) = join(nudged_a, nudged_b, at, word)
    {
        return Ok(joined);
    }
    let description = format!("{{{{{word}}}}} branches end in different contexts: {a}, {b}");
    Err(Refusal { place: at.cloned(), line: 0, description })
}

fn join_exits(end: Place, exits: &Exits) -> Passed<Place> {
    let mut end = end;
    let all = exits.breaks.iter().map(|exit| (exit, "break"));
    for ((place, line, at), word) in all.chain(exits.continues.iter().map(|exit| (exit, "continue"))) {
        end = join(end, place.clone(), Some(at), "range").map_err(|refusal| Refusal {
            line: *line,
            description: format!("at range loop {word}: {}", refusal.description),
            ..refusal
        })?;
    }
    Ok(end)
}
