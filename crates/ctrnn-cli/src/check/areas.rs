//! Areas of a network and the projections between them, as lines of a description.

use ctrnn_config::{Run, counted};
use ctrnn_model::{CtrnnConfig, PairOfAreas, Projection};
use serde_json::json;

use super::words::Row;

/// Describes the areas, then the projections between them as a table of postsynaptic by presynaptic areas; nothing for a
/// network without areas.
pub fn rows(run: &Run) -> Vec<Row> {
    let model = &run.model;
    if model.groups.is_empty() {
        return Vec::new();
    }
    let layout = run.task.layout();
    let areas = model.areas.names().map(|area| {
        let channels = model.channels_of(area, &layout.inputs, &layout.outputs);
        let (units, channels) = (units(model, area), channel_words(&channels));
        format!("{area}: {units}{channels}{}", plasticity(model, area))
    });
    let rows = areas.chain(table(model)).collect::<Vec<_>>();
    let names = ["areas"].into_iter().chain(vec![""; model.areas.len() - 1]);
    let names = names.chain(["projections"]).chain(std::iter::repeat(""));
    names.zip(rows).collect()
}

/// Describes the units of an area: "units 0 to 99: 80 e, 20 i".
fn units(model: &CtrnnConfig, area: &str) -> String {
    let units = model.area_units(area).unwrap_or_default();
    let types = model.groups.iter().filter(|group| group.area == area);
    let types = types.filter_map(|group| {
        let name = group.cell_type.as_deref()?;
        Some(format!("{} {name}", group.units.len()))
    });
    let types: Vec<String> = types.collect();
    let range = match units.len() {
        1 => format!("unit {}", units.start),
        _ => format!("units {} to {}", units.start, units.end - 1),
    };
    match types.as_slice() {
        [] => range,
        types => format!("{range}: {}", types.join(", ")),
    }
}

/// Describes the inputs and outputs of an area: "; inputs motion, colour; outputs left, right".
fn channel_words([inputs, outputs]: &[Vec<&str>; 2]) -> String {
    let words = |kind: &str, names: &[&str]| match names {
        [] => format!("; no {kind}s"),
        names => format!("; {}: {}", counted(names.len(), kind), names.join(", ")),
    };
    words("input", inputs) + &words("output", outputs)
}

/// Describes the factor of the updates of an area's units: "; plasticity 0.1", or "; frozen".
fn plasticity(model: &CtrnnConfig, area: &str) -> String {
    let own = model.areas.get(area).and_then(|area| area.plasticity);
    match own {
        _ if model.is_frozen_area(area) => "; frozen".to_owned(),
        Some(factor) => format!("; plasticity {factor}"),
        None => String::new(),
    }
}

/// Returns the table of projections, a line for each postsynaptic area after one with the presynaptic ones.
fn table(model: &CtrnnConfig) -> Vec<String> {
    let n = model.areas.len();
    let pairs = model.pairs_of_areas();
    let head = std::iter::once("to, from".to_owned()).chain(model.areas.names().map(str::to_owned));
    let mut lines: Vec<Vec<String>> = vec![head.collect()];
    for row in pairs.chunks(n) {
        let cells = row.iter().map(cell);
        lines.push(std::iter::once(row[0].to.to_owned()).chain(cells).collect());
    }
    let longest = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..=n).map(|column| longest(column).unwrap_or(0)).collect();
    let line = |cells: &Vec<String>| {
        let cells = cells.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    lines.iter().map(line).collect()
}

/// Describes the projections of a pair of areas; `-` without any.
fn cell(pair: &PairOfAreas) -> String {
    let exist = pair
        .projections
        .iter()
        .filter(|own| own.density != Some(0.0));
    let words: Vec<String> = exist.map(projection).collect();
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(" + ")
    }
}

/// Describes a projection: "20 %, e to i, 40 ms".
fn projection(own: &Projection) -> String {
    let mut words = match (own.density, own.in_degree, own.out_degree) {
        (Some(density), _, _) => format!("{} %", percent(density)),
        (_, Some(degree), _) => format!("{degree} onto each"),
        (_, _, Some(degree)) => format!("{degree} from each"),
        _ => "all".to_owned(),
    };
    words += &match (&own.from, &own.to) {
        (None, None) => String::new(),
        (from, to) => {
            let word = |end: &Option<String>| end.clone().unwrap_or_else(|| "all".to_owned());
            format!(", {} to {}", word(from), word(to))
        }
    };
    if let Some(delay) = own.delay_ms {
        words += &format!(", {delay} ms");
    }
    if let Some(factor) = own.plasticity {
        words += &format!(", plasticity {factor}");
    }
    words
}

/// Returns a fraction in percent, without the digits that rounding adds.
fn percent(fraction: f64) -> f64 {
    (1e6 * fraction).round() / 1e4
}

/// Describes areas and projections as JSON.
pub fn json(run: &Run) -> serde_json::Value {
    let model = &run.model;
    let group = |group: &ctrnn_model::UnitGroup| {
        json!({
            "area": group.area, "type": group.cell_type, "sign": group.sign,
            "first": group.units.start, "units": group.units.len(),
        })
    };
    let pair = |pair: &PairOfAreas| json!({ "from": pair.from, "to": pair.to, "projections": pair.projections });
    let pairs = model.pairs_of_areas();
    let connected = pairs.iter().filter(|own| !own.projections.is_empty());
    json!({
        "groups": model.groups.iter().map(group).collect::<Vec<_>>(),
        "pairs": connected.map(pair).collect::<Vec<_>>(),
    })
}
