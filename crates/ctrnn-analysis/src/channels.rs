//! Names of inputs and outputs in figures.

use crate::plot::{TEXT_MM, Ticks, text_mm};
use crate::text::spoken;

/// Number of neighbouring channels with a common name from which they are shown under that name.
const SMALLEST_GROUP: usize = 6;
/// Length of a name on an axis from which it is shortened.
const LONGEST_MM: f64 = 22.0;

/// A channel, or neighbouring channels with a common name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Name of the channel, or the common part of the names.
    pub name: String,
    /// Index of the first.
    pub first: usize,
    /// Number of channels.
    pub n: usize,
}

/// Returns the channels in order; six or more neighbours whose names differ only in a number, or after their first word,
/// are together.
pub fn grouped(names: &[String]) -> Vec<Channels> {
    let mut groups: Vec<Channels> = Vec::new();
    for (k, name) in names.iter().enumerate() {
        let stem = match name.rsplit_once(' ') {
            Some((stem, number)) if number.parse::<usize>().is_ok() => stem,
            _ => name.split(' ').next().unwrap_or(name),
        };
        match groups.last_mut() {
            Some(group) if group.name == stem && stem != name => group.n += 1,
            _ => groups.push(Channels {
                name: stem.to_owned(),
                first: k,
                n: 1,
            }),
        }
    }
    let single = |k: usize| Channels {
        name: names[k].clone(),
        first: k,
        n: 1,
    };
    let split = |group: Channels| {
        if group.n >= SMALLEST_GROUP {
            vec![group]
        } else {
            (group.first..group.first + group.n).map(single).collect()
        }
    };
    groups.into_iter().flat_map(split).collect()
}

/// Returns ticks with the names of channels that fill a side of `side_mm`: groups under one name, long names shortened,
/// and those left out for which there is no room.
pub fn channel_ticks(names: &[String], side_mm: f64) -> Ticks {
    let groups = grouped(names);
    let labels = shortened(groups.iter().map(|group| spoken(&group.name)).collect());
    let middle = |group: &Channels| group.first as f64 + group.n as f64 / 2.0;
    let room = TEXT_MM * names.len() as f64 / side_mm;
    let mut last = f64::NEG_INFINITY;
    let mut ticks: Vec<(f64, String)> = groups.iter().map(middle).zip(labels).collect();
    ticks.retain(|(place, _)| {
        let fits = place - last >= room;
        last = if fits { *place } else { last };
        fits
    });
    Ticks::At(ticks)
}

/// Cuts long names, unless that would make two of them equal.
fn shortened(names: Vec<String>) -> Vec<String> {
    let short: Vec<String> = names.iter().map(|name| cut(name)).collect();
    let is_clear = |k: usize| (0..names.len()).all(|j| j == k || short[j] != short[k]);
    let kept = (0..names.len()).map(|k| if is_clear(k) { &short[k] } else { &names[k] });
    kept.cloned().collect()
}

/// Cuts a name that is longer than an axis has room for.
fn cut(name: &str) -> String {
    let mut kept = name.to_owned();
    let mut shown = kept.clone();
    while text_mm(&shown) > LONGEST_MM {
        kept.pop();
        shown = format!("{}…", kept.trim_end());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_one_name_are_a_group() {
        let names = |n: usize| (0..n).map(|k| format!("ring {k}"));
        let many: Vec<String> = ["fixation".to_owned()]
            .into_iter()
            .chain(names(8))
            .collect();
        let found = grouped(&many);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (&found[1].name[..], found[1].first, found[1].n),
            ("ring", 1, 8)
        );
        let few: Vec<String> = names(3).collect();
        let found: Vec<String> = grouped(&few).into_iter().map(|group| group.name).collect();
        assert_eq!(found, few);
    }

    #[test]
    fn names_are_shortened_only_where_they_must() {
        let names = ["fixation", "a very long name of a channel", "left"].map(str::to_owned);
        let Ticks::At(ticks) = channel_ticks(&names, 7.5) else {
            panic!("ticks");
        };
        let labels: Vec<&str> = ticks.iter().map(|(_, label)| &label[..]).collect();
        assert_eq!((labels[0], labels[2]), ("fixation", "left"));
        assert!(labels[1].starts_with("a very long") && labels[1].ends_with('…'));
        assert!(text_mm(labels[1]) <= LONGEST_MM);
        let twins = [
            "first channel of the stimulus a",
            "first channel of the stimulus b",
        ];
        let twins = twins.map(str::to_owned).to_vec();
        assert_eq!(shortened(twins.clone()), twins);
    }

    /// A side of 5 mm has room for two names of eight.
    #[test]
    fn names_without_room_are_left_out() {
        let names: Vec<String> = (0..8).map(|k| format!("channel{k}")).collect();
        let Ticks::At(ticks) = channel_ticks(&names, 5.0) else {
            panic!("ticks");
        };
        let places: Vec<f64> = ticks.iter().map(|(place, _)| *place).collect();
        assert_eq!(places, [0.5, 4.5]);
    }
}
