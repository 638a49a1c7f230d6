//! Weights: sorted, in blocks, before and after training.

use ndarray::{Array2, ArrayView2};

use super::layers::{
    BAR_MM, colour_bar, discs, first_and_last, guide, histogram_panel, matrix, range_of, short,
    spoken, thick, up_to,
};
use super::units::choice_preference;
use super::{Findings, Unsuitable, lacks};
use crate::Study;
use crate::blocks::{blocks, reordered, sorted_units};
use crate::linear_algebra::svd;
use crate::plot::{Axis, ColourMap, Figure, Panel, Rgb, Ticks, colour};

pub fn weights(study: &Study) -> Result<Findings, Unsuitable> {
    let network = &study.dynamics;
    let n = network.n_units();
    let preference = choice_preference(study).map_or_else(|| vec![0.0; n], |d| d.to_vec());
    let (names, groups) = unit_groups(study, &preference);
    let order = sorted_units(&groups, &preference);
    let sorted = reordered(network.w_rc.view(), &order);
    let input = network.w_in.select(ndarray::Axis(0), &order);
    let output = network.w_out.select(ndarray::Axis(1), &order);
    let found = blocks(network.w_rc.view(), &groups);
    let mut findings = Findings::default();
    findings.put("recurrent_sorted", &sorted);
    findings.put_numbers("order", order.iter().copied());
    findings.put_numbers("group", groups.iter().copied());
    let k = names.len();
    for (name, of) in [("mean", 0), ("std", 1), ("density", 2)] {
        let table = Array2::from_shape_fn((k, k), |(i, j)| {
            let block = &found[i * k + j];
            [block.mean, block.std, block.density][of]
        });
        findings.put(&format!("block_{name}"), &table);
    }
    for block in &found {
        let [post, pre] = block.groups.map(|group| &names[group]);
        findings.say(format!(
            "{pre} to {post}: mean {}, standard deviation {}, density {}",
            short(block.mean),
            short(block.std),
            short(block.density)
        ));
    }
    let scale_of = |w: ArrayView2<f64>| reach_of(w.iter().copied(), 0.98);
    let reach = scale_of(sorted.view());
    let (in_reach, out_reach) = (scale_of(input.view()), scale_of(output.view()));
    let square = 48.0;
    let in_mm = (2.5 * network.w_in.ncols() as f64).clamp(5.0, 26.0);
    let out_mm = (2.5 * network.w_out.nrows() as f64).clamp(5.0, 26.0);
    let mut figure = Figure::new(&[in_mm, square, BAR_MM], &[square, out_mm]);
    let size = n as f64;
    let ends = first_and_last(n);
    let mut layers = vec![matrix(
        sorted.iter().copied().collect(),
        n,
        [-reach, reach],
        ColourMap::BlueWhiteRed,
    )];
    for group in 1..k {
        let edge = groups.iter().filter(|g| **g < group).count() as f64;
        for (x, y) in [([0.0, size], [edge; 2]), ([edge; 2], [0.0, size])] {
            layers.push(thick(x.to_vec(), y.to_vec(), Rgb([90, 90, 90]), 0.15));
        }
    }
    if network.w_in.ncols() > 0 {
        let i = network.w_in.ncols();
        figure.place(
            0,
            0,
            Panel {
                title: format!("input (±{})", short(in_reach)),
                x: named_if_few(&study.layout().inputs, i).with_range(0.0, i as f64),
                y: Axis::new("postsynaptic unit")
                    .with_range(size, 0.0)
                    .with_ticks(ends.clone()),
                layers: vec![matrix(
                    input.iter().copied().collect(),
                    i,
                    [-in_reach, in_reach],
                    ColourMap::BlueWhiteRed,
                )],
            },
        );
    }
    figure.place(
        0,
        1,
        Panel {
            title: format!(
                "recurrent, sorted by {}",
                if k > 1 && study.signs.is_none() {
                    "preference"
                } else {
                    "type and preference"
                }
            ),
            x: Axis::default()
                .with_range(0.0, size)
                .with_ticks(group_ticks(&names, &groups)),
            y: Axis::default()
                .with_range(size, 0.0)
                .with_ticks(Ticks::At(Vec::new())),
            layers,
        },
    );
    figure.place(
        0,
        2,
        colour_bar([-reach, reach], ColourMap::BlueWhiteRed, "recurrent weight"),
    );
    let o = network.w_out.nrows();
    let names_out: Vec<String> = study
        .layout()
        .outputs
        .iter()
        .map(|name| spoken(name))
        .collect();
    let y = Axis::default().with_range(o as f64, 0.0);
    figure.place(
        1,
        1,
        Panel {
            title: format!("output (±{})", short(out_reach)),
            x: Axis::new("presynaptic unit")
                .with_range(0.0, size)
                .with_ticks(ends),
            y: match o <= 8 {
                true => y.with_ticks(super::layers::named_ticks(&names_out)),
                false => y.with_ticks(Ticks::At(Vec::new())),
            },
            layers: vec![matrix(
                output.iter().copied().collect(),
                n,
                [-out_reach, out_reach],
                ColourMap::BlueWhiteRed,
            )],
        },
    );
    findings.draw("", figure);
    Ok(findings)
}

/// Excitatory and inhibitory units under Dale's law, else units that prefer one choice or the other.
fn unit_groups(study: &Study, preference: &[f64]) -> (Vec<String>, Vec<usize>) {
    if let Some(signs) = &study.signs {
        let is_inhibitory = |sign: &f64| *sign < 0.0;
        let alone = match signs.iter().filter(|sign| is_inhibitory(sign)).count() {
            0 => Some("excitatory"),
            n if n == signs.len() => Some("inhibitory"),
            _ => None,
        };
        return match alone {
            Some(name) => (vec![name.to_owned()], vec![0; signs.len()]),
            None => (
                vec!["excitatory".to_owned(), "inhibitory".to_owned()],
                signs
                    .iter()
                    .map(|sign| usize::from(is_inhibitory(sign)))
                    .collect(),
            ),
        };
    }
    let layout = study.layout();
    match layout.alternatives()[..] {
        [first, second]
            if preference.iter().any(|d| *d > 0.0) && preference.iter().any(|d| *d <= 0.0) =>
        {
            let names = [second, first]
                .map(|choice| format!("prefer {}", spoken(&layout.choice_name(choice))));
            (
                names.to_vec(),
                preference.iter().map(|d| usize::from(*d <= 0.0)).collect(),
            )
        }
        _ => (vec!["all units".to_owned()], vec![0; preference.len()]),
    }
}

/// The name of each group at the middle of its columns; none where there is one group.
fn group_ticks(names: &[String], groups: &[usize]) -> Ticks {
    let below = |group: usize| groups.iter().filter(|g| **g < group).count() as f64;
    let tick = |(k, name): (usize, &String)| ((below(k) + below(k + 1)) / 2.0, name.clone());
    Ticks::At(match names.len() {
        0..2 => Vec::new(),
        _ => names.iter().enumerate().map(tick).collect(),
    })
}

fn named_if_few(names: &[String], n: usize) -> Axis {
    match n {
        0..=3 => Axis::default().with_ticks(Ticks::At(
            names
                .iter()
                .enumerate()
                .map(|(k, name)| (k as f64 + 0.5, name.chars().take(1).collect()))
                .collect(),
        )),
        _ => Axis::default().with_ticks(first_and_last(n)),
    }
}

/// The magnitude that all but a few of some weights stay below; of weights that are nearly all 0 the largest, and 1 where all are.
fn reach_of(weights: impl Iterator<Item = f64>, part: f64) -> f64 {
    let magnitudes: Vec<f64> = weights.map(f64::abs).collect();
    match quantile(magnitudes.iter().copied(), part) {
        0.0 => up_to(magnitudes)[1],
        most => most,
    }
}

fn quantile(values: impl Iterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let place = (part * values.len().saturating_sub(1) as f64) as usize;
    values.get(place).copied().unwrap_or(0.0)
}

pub fn weight_change(study: &Study) -> Result<Findings, Unsuitable> {
    let before = study
        .before
        .as_ref()
        .ok_or_else(|| lacks("the weights before training are not known"))?;
    let after = &study.dynamics;
    let mut findings = Findings::default();
    let mut figure = Figure::new(&[38.0, 38.0, 38.0], &[36.0]);
    let change = &after.w_rc - &before.w_rc;
    let norm = |w: ArrayView2<f64>| w.iter().map(|w| w * w).sum::<f64>().sqrt();
    let pairs: [(&str, &Array2<f64>, &Array2<f64>); 3] = [
        ("input", &before.w_in, &after.w_in),
        ("recurrent", &before.w_rc, &after.w_rc),
        ("output", &before.w_out, &after.w_out),
    ];
    for (name, old, new) in pairs {
        findings.put(&format!("{name}_before"), old);
        findings.put(&format!("{name}_after"), new);
        if !old.is_empty() {
            let change = norm((new - old).view());
            findings.say(match norm(old.view()) {
                0.0 => format!("{name} weights: from 0 to a norm of {}", short(change)),
                before => format!(
                    "{name} weights: changed by {} of their norm",
                    short(change / before)
                ),
            });
        }
    }
    let range = range_of(before.w_rc.iter().chain(after.w_rc.iter()).copied(), 0.05);
    figure.place(
        0,
        0,
        Panel {
            title: "recurrent weights".to_owned(),
            x: Axis::new("before").with_range(range[0], range[1]),
            y: Axis::new("after").with_range(range[0], range[1]),
            layers: vec![
                discs(
                    before.w_rc.iter().copied().collect(),
                    after.w_rc.iter().copied().collect(),
                    colour(0),
                    0.2,
                ),
                guide(range, range),
            ],
        },
    );
    let reach = reach_of(change.iter().copied(), 0.999);
    figure.place(
        0,
        1,
        histogram_panel(
            Axis::new("change"),
            "connections",
            &change.iter().copied().collect::<Vec<_>>(),
            [-reach, reach],
            30,
        ),
    );
    let found = svd(change.view())?;
    findings.put("change_singular_values", &found.s);
    let energy: f64 = found.s.mapv(|s| s * s).sum();
    let mut sum = 0.0;
    let rank = found
        .s
        .iter()
        .take_while(|s| {
            let more = sum < 0.9 * energy;
            sum += *s * *s;
            more
        })
        .count();
    findings.say(match energy {
        0.0 => "the recurrent weights did not change".to_owned(),
        _ => format!("{rank} singular values hold 90 % of the change of the recurrent weights"),
    });
    let shown = found.s.len().min(20);
    figure.place(
        0,
        2,
        Panel {
            x: Axis::new("singular value of the change").with_range(0.4, shown as f64 + 0.6),
            y: Axis::new("size").with_range(0.0, 1.05 * up_to(found.s.to_vec())[1]),
            layers: vec![discs(
                (1..=shown).map(|k| k as f64).collect(),
                found.s.iter().take(shown).copied().collect(),
                colour(0),
                0.7,
            )],
            ..Panel::default()
        },
    );
    findings.draw("", figure);
    Ok(findings)
}
