//! Dropping names: rows lose their metadata labels now, or are marked to lose them at the end of the query.
//!
//! Rows that become alike are found by their labels alone, before any is made. Only those are made here, set by set: a query that
//! has to be refused is refused at the first two rows that clash, and all other rows are still made one by one, when they are asked for.
//! Always true: what is held is 16 bytes a row while label sets are compared, and one row for each label set that several share.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

use narthex_model::Labels;

use super::block::{Charge, merge_rows};
use super::context::{QueryContext, Worker};
use super::drive::{RowSink, drive};
use super::error::{QueryError, Stage};
use super::label_map::map_for;
use super::row::{Row, RowSource, Rows, Wish};
use super::steps::Steps;

/// What to do with rows that have equal labels once their names are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clash {
    /// Put them together; fail when they meet at a step.
    Merge,
    /// Fail when two of them have samples, at whatever steps.
    Refuse,
}

/// Drops the metadata labels of all rows: now, or (delayed name removal) at the end of the query.
pub(crate) fn drop_names<'q>(
    ctx: &QueryContext<'_>,
    rows: Rows<'q>,
    clash: Clash,
) -> Result<Rows<'q>, QueryError> {
    let later = ctx.rules.delayed_names;
    let is_safe = later || rows.has_one_name();
    let rows = Nameless { rows, later };
    if is_safe {
        return Ok(Box::new(rows));
    }
    let sets = alike(ctx, &rows)?;
    if sets.is_empty() {
        return Ok(Box::new(rows));
    }
    Ok(Box::new(Merged::new(ctx, rows, &sets, clash)?))
}

/// How many label sets are compared between two looks at the clock.
const CHECK_EVERY: usize = 1 << 12;

/// The sets of two and more rows with equal labels, each in order, by their first rows.
fn alike(ctx: &QueryContext<'_>, rows: &Nameless<'_>) -> Result<Vec<Vec<usize>>, QueryError> {
    let wish = Wish::all();
    let mut held = Charge::new(ctx);
    held.add_bytes(rows.len() * size_of::<(u64, usize)>())?;
    let state = map_for::<Labels, ()>(0);
    let mut hashes = Vec::with_capacity(rows.len());
    for at in 0..rows.len() {
        if at % CHECK_EVERY == 0 {
            ctx.check(Stage::Evaluation)?;
        }
        hashes.push((state.hasher().hash_one(rows.labels(at, &wish)), at));
    }
    hashes.sort_unstable();
    let mut sets = Vec::new();
    for run in hashes.chunk_by(|a, b| a.0 == b.0).filter(|run| run.len() > 1) {
        // Nearly always one label set.
        let mut of_run: BTreeMap<Labels, Vec<usize>> = BTreeMap::new();
        run.iter().for_each(|(_, at)| of_run.entry(rows.labels(*at, &wish)).or_default().push(*at));
        sets.extend(of_run.into_values().filter(|set| set.len() > 1));
    }
    sets.sort_unstable();
    Ok(sets)
}

/// Rows without metadata labels, or marked to lose them at the end.
struct Nameless<'q> {
    rows: Rows<'q>,
    later: bool,
}

impl RowSource for Nameless<'_> {
    fn steps(&self) -> Steps {
        self.rows.steps()
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn labels(&self, at: usize, wish: &Wish) -> Labels {
        if self.later { self.rows.labels(at, wish) } else { self.rows.labels(at, wish.without_metadata()) }
    }

    fn drops_name(&self, _: usize) -> bool {
        self.later
    }

    fn hidden_cost(&self) -> usize {
        self.rows.hidden_cost()
    }

    fn has_one_name(&self) -> bool {
        !self.later || self.rows.has_one_name()
    }

    fn fill(&self, at: usize, worker: &mut Worker<'_>, row: &mut Row) -> Result<(), QueryError> {
        self.rows.fill(at, worker, row)
    }
}

/// Rows of which some were alike and are one now, at the place of the first.
struct Merged<'q> {
    rows: Nameless<'q>,
    /// The rows that are left, by their numbers in `rows`.
    left: Vec<usize>,
    /// Those that were made already, by the same numbers.
    made: BTreeMap<usize, Row>,
    /// For all of it.
    _charge: Charge,
}

impl<'q> Merged<'q> {
    fn new(
        ctx: &QueryContext<'_>,
        rows: Nameless<'q>,
        sets: &[Vec<usize>],
        clash: Clash,
    ) -> Result<Self, QueryError> {
        let firsts = sets.iter().flat_map(|set| set.iter().map(|at| (*at, set[0])));
        let (members, firsts): (Vec<usize>, Vec<usize>) = firsts.unzip();
        let mut charge = Charge::new(ctx);
        charge.add_bytes(8 * rows.len() + 16 * members.len())?;
        let chosen = Chosen { rows: &rows, members };
        let mut sink = Sets { clash, firsts, made: BTreeMap::new(), charge };
        drive(ctx, &chosen, &mut sink)?;
        let (made, charge) = (sink.made, sink.charge);
        let mut is_gone = vec![false; rows.len()];
        sets.iter().flat_map(|set| &set[1..]).for_each(|at| is_gone[*at] = true);
        let left = (0..rows.len()).filter(|at| !is_gone[*at]).collect();
        Ok(Self { rows, left, made, _charge: charge })
    }
}

impl RowSource for Merged<'_> {
    fn steps(&self) -> Steps {
        self.rows.steps()
    }

    fn len(&self) -> usize {
        self.left.len()
    }

    fn labels(&self, at: usize, wish: &Wish) -> Labels {
        self.rows.labels(self.left[at], wish)
    }

    fn hidden_cost(&self) -> usize {
        self.rows.hidden_cost()
    }

    fn has_one_name(&self) -> bool {
        true
    }

    fn fill(&self, at: usize, worker: &mut Worker<'_>, row: &mut Row) -> Result<(), QueryError> {
        match self.made.get(&self.left[at]) {
            Some(made) => {
                row.copy_from(made);
                Ok(())
            }
            None => self.rows.fill(self.left[at], worker, row),
        }
    }
}

/// Some rows of others.
struct Chosen<'a, 'q> {
    rows: &'a Nameless<'q>,
    members: Vec<usize>,
}

impl RowSource for Chosen<'_, '_> {
    fn steps(&self) -> Steps {
        self.rows.steps()
    }

    fn len(&self) -> usize {
        self.members.len()
    }

    fn labels(&self, at: usize, wish: &Wish) -> Labels {
        self.rows.labels(self.members[at], wish)
    }

    fn hidden_cost(&self) -> usize {
        self.rows.hidden_cost()
    }

    fn fill(&self, at: usize, worker: &mut Worker<'_>, row: &mut Row) -> Result<(), QueryError> {
        self.rows.fill(self.members[at], worker, row)
    }
}

/// Takes the rows of all sets, one set after the other.
struct Sets {
    clash: Clash,
    /// The first row of the set that each row belongs to.
    firsts: Vec<usize>,
    made: BTreeMap<usize, Row>,
    charge: Charge,
}

impl RowSink for Sets {
    fn wish(&self) -> Wish {
        Wish::none()
    }

    fn accept(&mut self, at: usize, labels: Labels, row: &mut Row) -> Result<(), QueryError> {
        match self.made.get_mut(&self.firsts[at]) {
            None => {
                self.charge.add_row(&labels, row)?;
                self.made.insert(self.firsts[at], std::mem::take(row));
                Ok(())
            }
            Some(_) if self.clash == Clash::Refuse => Err(QueryError::same_labelset()),
            Some(made) => {
                self.charge.add(row.weight())?;
                merge_rows(made, row)
            }
        }
    }
}
