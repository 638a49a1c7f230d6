//! The page about a sweep.

use crate::table::Table;

/// Writes the page.
pub fn report(table: &Table) -> String {
    table.means_text()
}
