//! Series that an engine has in memory, for who knows them by reference and does not want to keep their labels a second time.
//!
//! Must not know: the log whose references these are, who sends them where.

use narthex_model::Labels;

use crate::SeriesRef;

/// See the module's words.
pub trait LiveSeries: Send + Sync {
    /// Where a label set is.
    fn find(&self, labels: &Labels) -> FoundSeries;

    /// Whether the series is in memory under this reference.
    fn is_live(&self, series: SeriesRef) -> bool;

    /// Calls `visit` once for each series of the list, in its order: with its place in the list, and its labels by rising name; with
    /// no labels at all when it is not in memory under this reference. Equal texts are the same memory throughout one call.
    ///
    /// Who makes new series may have to wait for the call: a few dozen series at a time, and nothing slow in `visit`.
    fn visit_labels(&self, series: &[SeriesRef], visit: &mut LabelsVisitor<'_>);

    /// The same with numbers instead of texts, for who has met most of the texts before.
    fn lend_labels(&self, series: &[SeriesRef], visit: &mut LentVisitor<'_>);
}

/// What numbers stand for. One number is one text, also in later calls, as long as [`NumberedTexts::freed`] stays the same.
pub trait NumberedTexts {
    /// The text of a number that was lent.
    fn text(&self, number: u32) -> &str;

    /// How many numbers were freed, and may stand for other texts since.
    fn freed(&self) -> u64;
}

/// Takes the place of a series in a list, the numbers of its labels, and what they stand for.
pub type LentVisitor<'a> = dyn FnMut(usize, LentLabels<'_>, &dyn NumberedTexts) + 'a;

/// A label set as numbers, by rising name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LentLabels<'a> {
    /// One for each label.
    pub names: &'a [u32],
    /// As many.
    pub values: &'a [u32],
}

impl<'a> LentLabels<'a> {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.names.is_empty()
    }

    /// Name and value of each.
    pub fn iter(self) -> impl Iterator<Item = (u32, u32)> + 'a {
        self.names.iter().copied().zip(self.values.iter().copied())
    }
}

/// Takes the place of a series in a list and its labels.
pub type LabelsVisitor<'a> = dyn FnMut(usize, &[(&str, &str)]) + 'a;

/// What is known about a label set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoundSeries {
    /// Its series, if it is in memory.
    pub series: Option<SeriesRef>,
    /// Whether the log may still name an earlier series of the same labels, which left memory.
    pub had_another: bool,
}
