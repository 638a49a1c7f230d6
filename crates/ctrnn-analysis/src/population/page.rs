//! Page about several networks: one self-contained HTML file.

use std::fmt::Write as _;

use super::{Networks, PopulationAnalysis};
use crate::Unsuitable;
use crate::analyses::Findings;
use crate::report::{card, list_box, page, table_box};
use crate::text::spoken;

/// Largest number of networks in the table.
const MOST_LISTED: usize = 100;

/// Writes the page about several networks: the networks with their settings, and the results of analyses in the given order. `left_out`
/// lists the networks that are not among them, with reasons.
pub fn population_page(
    name: &str,
    lead: &str,
    networks: &Networks,
    left_out: &[String],
    found: &[(&PopulationAnalysis, Result<Findings, Unsuitable>)],
) -> String {
    let tiles = vec![
        (networks.len().to_string(), "networks".to_owned()),
        (networks.groups.len().to_string(), "groups".to_owned()),
    ];
    let why = found.iter().filter_map(|(analysis, findings)| {
        let why = findings.as_ref().err()?;
        Some(format!("{}: {why}", spoken(analysis.name)))
    });
    let left_out: Vec<String> = left_out.iter().cloned().chain(why).collect();
    let mut sections: Vec<(&str, String)> = vec![("Networks", table(networks))];
    sections.extend(found.iter().filter_map(|(analysis, findings)| {
        let card = card(analysis.title, analysis.summary, findings.as_ref().ok()?);
        Some((
            analysis.title,
            format!("<div class=\"cards\">\n{card}</div>\n"),
        ))
    }));
    sections.push(("Left out", list_box(&left_out)));
    sections.retain(|(_, body)| !body.is_empty());
    let footer = "Figures are vector graphics; their numbers are written by <code>train-ctrnn analyze</code>.";
    page(name, lead, tiles, &sections, footer)
}

/// Returns the table of the networks, their groups and the settings in which they differ.
fn table(networks: &Networks) -> String {
    let mut head = vec!["network".to_owned(), "group".to_owned()];
    head.extend(networks.keys.iter().cloned());
    let row = |k: usize| {
        let mut row = vec![
            networks.names[k].clone(),
            (networks.group_of[k] + 1).to_string(),
        ];
        row.extend(networks.values[k].iter().cloned());
        row
    };
    let rows: Vec<Vec<String>> = (0..networks.len().min(MOST_LISTED)).map(row).collect();
    let mut text = table_box(&head, &rows);
    if networks.len() > MOST_LISTED {
        let n = networks.len() - MOST_LISTED;
        let _ = writeln!(text, "<p class=\"about\">and {n} networks more</p>");
    }
    text
}
