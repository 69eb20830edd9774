//! The series of the head, for who follows the log.

use narthex_model::Labels;
use narthex_storage::{FoundSeries, LabelsVisitor, LentVisitor, LiveSeries, SeriesRef};

use super::Db;

impl LiveSeries for Db {
    fn find(&self, labels: &Labels) -> FoundSeries {
        self.shared.head.find_live(labels)
    }

    fn is_live(&self, series: SeriesRef) -> bool {
        self.shared.head.is_live(series)
    }

    fn visit_labels(&self, series: &[SeriesRef], visit: &mut LabelsVisitor<'_>) {
        self.shared.head.visit_labels(series, visit);
    }

    fn lend_labels(&self, series: &[SeriesRef], visit: &mut LentVisitor<'_>) {
        self.shared.head.lend_labels(series, visit);
    }
}
