//! Templates that can call each other by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use narthex_model::quote_go;

use crate::functions::Regexes;
use crate::syntax::Parsed;
use crate::syntax::ast::Tree;

/// All templates of a text and of the files beside it.
#[derive(Debug, Default)]
pub(crate) struct Set {
    trees: BTreeMap<String, Arc<Tree>>,
    /// Those that cannot be made safe HTML by themselves, with the reason.
    refused: BTreeMap<String, String>,
    pub(crate) regexes: Regexes,
}

impl Set {
    /// Adds the trees of one text. A blank tree does not take the place of one that is there.
    pub(crate) fn add(&mut self, parsed: Parsed) {
        for (name, tree) in parsed {
            if !tree.root.is_empty() || !self.trees.contains_key(&name) {
                self.put(name, tree);
            }
        }
    }

    pub(crate) fn put(&mut self, name: String, tree: Tree) {
        self.trees.insert(name, Arc::new(tree));
    }

    pub(crate) fn refuse(&mut self, name: String, reason: String) {
        self.refused.insert(name, reason);
    }

    pub(crate) fn tree(&self, name: &str) -> Option<&Tree> {
        self.trees.get(name).map(|tree| &**tree)
    }

    /// A template that may run by itself.
    pub(crate) fn safe_tree(&self, name: &str) -> Result<&Tree, String> {
        if let Some(reason) = self.refused.get(name) {
            return Err(reason.clone());
        }
        self.tree(name).ok_or_else(|| format!("html/template: {} is undefined", quote_go(name)))
    }

    pub(crate) fn trees(&self) -> impl Iterator<Item = (&String, &Arc<Tree>)> {
        self.trees.iter()
    }
}
