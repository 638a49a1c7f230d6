//! What single units do: tuning, task variance, rates, currents, timescales.

use ndarray::{Array1, Array2, Axis as Side};

use super::groups::{mean_course, of_all};
use super::layers::{
    BAR_MM, colour_bar, first_and_last, guide, histogram_panel, matrix, named_ticks, range_of,
    short, spoken, thick, up_to,
};
use super::{Findings, Unsuitable, lacks};
use crate::clusters::{clusters, task_variance as variance_of};
use crate::evidence::distinct;
use crate::plot::{Axis, ColourMap, Figure, Layer, Panel, Rgb, colour};
use crate::selectivity::{d_prime, variance_split};
use crate::timescales::{autocorrelation, decay_time_ms};
use crate::{Study, currents::Currents};

/// The last epoch before the answer that lasts longer than one time step, or the last one.
pub fn telling_epoch(study: &Study) -> &'static str {
    let epochs = study.epochs();
    let found = epochs
        .iter()
        .rev()
        .find(|name| ["delay", "decision", "stimulus"].contains(*name));
    found.or(epochs.last()).copied().unwrap_or("trial")
}

/// d' of every unit between the two choices that the network made, in the telling epoch; none unless there are two choices.
pub fn choice_preference(study: &Study) -> Option<Array1<f64>> {
    let choices = study.layout().alternatives();
    let made = study.choices();
    let [first, second] = choices[..] else {
        return None;
    };
    let group: Vec<Option<bool>> = made
        .iter()
        .map(|made| match made {
            Some(choice) if *choice == first => Some(false),
            Some(choice) if *choice == second => Some(true),
            _ => None,
        })
        .collect();
    let both = group.contains(&Some(true)) && group.contains(&Some(false));
    both.then(|| {
        d_prime(study.rates_in(telling_epoch(study)).view(), &group).mapv(|d| d.clamp(-20.0, 20.0))
    })
}

pub fn tuning(study: &Study) -> Result<Findings, Unsuitable> {
    let columns: Vec<_> = study
        .batch
        .conditions
        .iter()
        .filter(|(name, values)| name != "catch" && distinct(values.iter().copied()).len() > 1)
        .take(4)
        .collect();
    if columns.is_empty() {
        return Err(lacks("all trials of the task are of one condition"));
    }
    let epoch = telling_epoch(study);
    let rates = study.rates_in(epoch);
    let trials: Vec<usize> = (0..rates.nrows())
        .filter(|&b| rates[[b, 0]].is_finite())
        .filter(|&b| columns.iter().all(|(_, values)| values[b].is_finite()))
        .collect();
    if trials.is_empty() {
        return Err(lacks("no trial has a value of every variable"));
    }
    let variables = Array2::from_shape_fn((trials.len(), columns.len()), |(i, k)| {
        columns[k].1[trials[i]]
    });
    let split = variance_split(rates.select(Side(0), &trials).view(), variables.view());
    let mut findings = Findings::default();
    findings.put("rates", &rates);
    findings.put("variance_by_variable", &split.by_variable);
    findings.put("variance_by_interaction", &split.by_interaction);
    findings.put("variance_residual", &split.residual);
    let mixed = (0..study.dynamics.n_units())
        .filter(|&n| split.by_interaction[n] > 0.1 && split.residual[n] < 0.9)
        .count();
    findings.say(format!("{mixed} of {} units owe more than 10 % of their variance to interactions (mixed selectivity), {epoch} epoch", rates.ncols()));
    let preference = choice_preference(study);
    let mut figure = match preference {
        Some(_) => Figure::new(&[60.0, 36.0], &[34.0]),
        None => Figure::new(&[60.0], &[34.0]),
    };
    let names: Vec<String> = columns.iter().map(|(name, _)| spoken(name)).collect();
    figure.place(0, 0, stacked(&split, &names, epoch));
    if let Some(preference) = preference {
        findings.put("d_prime", &preference);
        let layout = study.layout();
        let choices = layout.alternatives().into_iter();
        let sides: Vec<String> = choices.map(|c| spoken(&layout.choice_name(c))).collect();
        let reach = preference.iter().map(|d| d.abs()).fold(0.5, f64::max);
        figure.place(
            0,
            1,
            histogram_panel(
                Axis::new(&format!("d′ ({} against {})", sides[1], sides[0])),
                "units",
                &preference.to_vec(),
                [-reach, reach],
                20,
            ),
        );
    }
    findings.draw("", figure);
    Ok(findings)
}

/// For each unit a column: what part of its variance each variable explains.
fn stacked(split: &crate::selectivity::VarianceSplit, names: &[String], epoch: &str) -> Panel {
    let n = split.residual.len();
    let mut order: Vec<usize> = (0..n).collect();
    let explained = |unit: usize| split.by_variable.column(unit).sum() + split.by_interaction[unit];
    order.sort_by(|&a, &b| explained(b).total_cmp(&explained(a)));
    let mut layers = Vec::new();
    for (place, &unit) in order.iter().enumerate() {
        let mut bottom = 0.0;
        let parts = split
            .by_variable
            .column(unit)
            .to_vec()
            .into_iter()
            .chain([split.by_interaction[unit]]);
        for (k, part) in parts.enumerate() {
            let ink = if k == names.len() {
                Rgb([90, 90, 90])
            } else {
                colour(k)
            };
            layers.push(Layer::Box {
                x: [place as f64, place as f64 + 1.0],
                y: [bottom, bottom + part],
                colour: ink,
            });
            bottom += part;
        }
    }
    let entries = names
        .iter()
        .cloned()
        .enumerate()
        .map(|(k, name)| (colour(k), name));
    for (ink, name) in entries.chain([(Rgb([90, 90, 90]), "interactions".to_owned())]) {
        layers.push(thick(Vec::new(), Vec::new(), ink, 0.4).named(&name));
    }
    Panel {
        title: format!("rates in the {} epoch", spoken(epoch)),
        x: Axis::new("unit (sorted)").with_range(0.0, n as f64),
        y: Axis::new("variance explained").with_range(0.0, 1.0),
        layers,
    }
}

pub fn task_variance(study: &Study) -> Result<Findings, Unsuitable> {
    let (names, rows) = variances(study);
    if names.len() < 2 {
        return Err(lacks(
            "a single task of a single epoch makes no groups of units",
        ));
    }
    let n = study.dynamics.n_units();
    let table = Array2::from_shape_fn((names.len(), n), |(k, unit)| rows[k][unit]);
    let largest = table.fold_axis(Side(0), 0.0f64, |a, b| a.max(*b));
    let active: Vec<usize> = (0..n)
        .filter(|&unit| largest[unit] > 1e-3 * largest.iter().copied().fold(0.0, f64::max))
        .collect();
    if active.len() < 4 {
        return Err(lacks("fewer than four units change from trial to trial"));
    }
    let normalised = Array2::from_shape_fn((active.len(), names.len()), |(i, k)| {
        table[[k, active[i]]] / largest[active[i]]
    });
    let found = clusters(normalised.view(), 10, study.seed);
    let mut order: Vec<usize> = (0..active.len()).collect();
    order.sort_by_key(|&i| found.labels[i]);
    let n_clusters = found.labels.iter().max().map_or(0, |k| k + 1);
    let mut labels = vec![-1.0; n];
    active
        .iter()
        .zip(&found.labels)
        .for_each(|(&unit, &label)| labels[unit] = label as f64);
    let mut findings = Findings::default();
    findings.put("task_variance", &table);
    findings.put_list("cluster", &labels);
    findings.put_list("silhouette", &[found.silhouette]);
    findings.say(format!(
        "{} of {n} units are active; they form {n_clusters} clusters (silhouette {})",
        active.len(),
        short(found.silhouette)
    ));
    let values = (0..names.len())
        .flat_map(|k| order.iter().map(move |&i| (i, k)))
        .map(|(i, k)| normalised[[i, k]])
        .collect();
    let height = (5.0 * names.len() as f64).clamp(20.0, 70.0);
    let mut layers = vec![matrix(values, active.len(), [0.0, 1.0], ColourMap::Blues)];
    for place in 1..active.len() {
        if found.labels[order[place]] != found.labels[order[place - 1]] {
            layers.push(thick(
                vec![place as f64; 2],
                vec![0.0, names.len() as f64],
                colour(1),
                0.3,
            ));
        }
    }
    let spoken: Vec<String> = names.iter().map(|name| spoken(name)).collect();
    let mut figure = Figure::new(&[70.0, BAR_MM], &[height]);
    figure.place(
        0,
        0,
        Panel {
            x: Axis::new("unit (sorted by cluster)").with_range(0.0, active.len() as f64),
            y: Axis::default()
                .with_range(names.len() as f64, 0.0)
                .with_ticks(named_ticks(&spoken)),
            layers,
            ..Panel::default()
        },
    );
    figure.place(0, 1, colour_bar([0.0, 1.0], ColourMap::Blues, "normalised"));
    findings.draw("", figure);
    Ok(findings)
}

/// Task variance by the task of each trial where several are mixed, else by epoch.
fn variances(study: &Study) -> (Vec<String>, Vec<Array1<f64>>) {
    let (rates, counts) = (&study.rates, study.counts());
    if let Some((_, tasks)) = study
        .batch
        .conditions
        .iter()
        .find(|(name, _)| name == "task")
    {
        let of = |level: &f64| {
            let trials: Vec<usize> = (0..tasks.len()).filter(|&b| tasks[b] == *level).collect();
            let row = variance_of(
                rates.select(Side(0), &trials).view(),
                counts.select(Side(0), &trials).view(),
            );
            let name = study.task.value_name("task", *level);
            (name.unwrap_or_else(|| format!("task {level}")), row)
        };
        return distinct(tasks.iter().copied()).iter().map(of).unzip();
    }
    let of = |epoch: &'static str| {
        let within = Array2::from_shape_fn(counts.dim(), |(b, t)| {
            crate::study::steps_of(&study.batch, b, epoch).contains(&t)
        });
        (epoch.to_owned(), variance_of(rates.view(), within.view()))
    };
    study.epochs().into_iter().map(of).unzip()
}

pub fn rates(study: &Study) -> Result<Findings, Unsuitable> {
    let counts = study.counts();
    let n = study.dynamics.n_units();
    let all: Vec<f64> = study
        .rates
        .outer_iter()
        .zip(counts.outer_iter())
        .flat_map(|(trial, counts)| {
            trial
                .outer_iter()
                .zip(counts)
                .filter(|(_, c)| **c)
                .flat_map(|(r, _)| r.to_vec())
                .collect::<Vec<_>>()
        })
        .collect();
    let means: Vec<f64> = (0..n)
        .map(|unit| all.iter().skip(unit).step_by(n).sum::<f64>() / (all.len() / n).max(1) as f64)
        .collect();
    let silent = (0..n)
        .filter(|&unit| all.iter().skip(unit).step_by(n).all(|r| r.abs() < 1e-6))
        .count();
    let mut findings = Findings::default();
    findings.put_list("mean_rates", &means);
    findings.say(format!(
        "mean rate {}, {silent} of {n} units silent",
        short(all.iter().sum::<f64>() / all.len().max(1) as f64)
    ));
    let range = range_of(means.iter().copied(), 0.0);
    let mut figure = Figure::new(&[36.0, 60.0, BAR_MM], &[36.0]);
    figure.place(
        0,
        0,
        histogram_panel(Axis::new("mean rate"), "units", &means, range, 20),
    );
    let whole = of_all(study);
    let course = mean_course(study, &study.rates, &whole);
    findings.put("mean_course", &course);
    let peak = |unit: usize| {
        let column = course.column(unit);
        (0..column.len())
            .max_by(|&a, &b| column[a].total_cmp(&column[b]))
            .unwrap_or(0)
    };
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&unit| peak(unit));
    let low = course.iter().copied().fold(0.0, f64::min);
    let high = course.iter().copied().fold(0.0, f64::max);
    let (scale, map) = match low < -0.1 * high {
        true => ([-high.max(-low), high.max(-low)], ColourMap::BlueWhiteRed),
        false => (up_to([high]), ColourMap::Blues),
    };
    let values = order
        .iter()
        .flat_map(|&unit| course.column(unit).to_vec())
        .collect();
    let end = course.nrows() as f64 * study.dynamics.dt_ms;
    figure.place(
        0,
        1,
        Panel {
            title: "mean over trials".to_owned(),
            x: Axis::new("time (ms)").with_range(0.0, end),
            y: Axis::new("unit (sorted by peak)")
                .with_range(n as f64, 0.0)
                .with_ticks(first_and_last(n)),
            layers: vec![Layer::HeatMap(crate::plot::HeatMap {
                x: [0.0, end],
                y: [0.0, n as f64],
                columns: course.nrows(),
                values,
                scale,
                map,
            })],
        },
    );
    figure.place(0, 2, colour_bar(scale, map, "rate"));
    findings.put_numbers("order", order);
    findings.draw("", figure);
    Ok(findings)
}

pub fn currents(study: &Study) -> Result<Findings, Unsuitable> {
    let found = Currents::of(study.dynamics.w_rc.view(), study.rates.view());
    let imbalance = found.imbalance(study.counts().view());
    let whole = of_all(study);
    let population = |values: &ndarray::Array3<f64>| {
        let mean = values
            .mean_axis(Side(2))
            .unwrap_or_default()
            .insert_axis(Side(2));
        mean_course(study, &mean, &whole).column(0).to_vec()
    };
    let (e, i) = (population(&found.excitatory), population(&found.inhibitory));
    let net: Vec<f64> = e.iter().zip(&i).map(|(e, i)| e + i).collect();
    let driven: Vec<f64> = imbalance
        .iter()
        .copied()
        .filter(|x| x.is_finite())
        .collect();
    if driven.is_empty() {
        return Err(lacks("no unit receives a recurrent current"));
    }
    let mean = driven.iter().sum::<f64>() / driven.len() as f64;
    let mut findings = Findings::default();
    findings.put_list("excitatory", &e);
    findings.put_list("inhibitory", &i);
    findings.put("imbalance", &imbalance);
    findings.say(format!(
        "imbalance |E + I| / (|E| + |I|) of the recurrent currents: {} on average (0 is balance)",
        short(mean)
    ));
    let t: Vec<f64> = (1..=e.len())
        .map(|t| t as f64 * study.dynamics.dt_ms)
        .collect();
    let mut figure = Figure::new(&[48.0, 34.0], &[34.0]);
    figure.place(
        0,
        0,
        Panel {
            x: Axis::new("time (ms)"),
            y: Axis::new("current per unit"),
            layers: vec![
                guide([0.0, t.last().copied().unwrap_or(1.0)], [0.0, 0.0]),
                thick(t.clone(), e, colour(1), 0.35).named("excitatory"),
                thick(t.clone(), i, colour(0), 0.35).named("inhibitory"),
                thick(t, net, Rgb::BLACK, 0.35).named("sum"),
            ],
            ..Panel::default()
        },
    );
    figure.place(
        0,
        1,
        histogram_panel(
            Axis::new("imbalance"),
            "units",
            &imbalance.to_vec(),
            [0.0, 1.0],
            20,
        ),
    );
    findings.draw("", figure);
    Ok(findings)
}

pub fn timescales(study: &Study) -> Result<Findings, Unsuitable> {
    let n_lags = (study.batch.n_steps.iter().copied().max().unwrap_or(0) / 2).max(2);
    let auto = autocorrelation(study.rates.view(), study.counts().view(), n_lags);
    let dt_ms = study.dynamics.dt_ms;
    let times: Vec<f64> = auto
        .axis_iter(Side(1))
        .map(|unit| decay_time_ms(unit, dt_ms))
        .collect();
    let mut sorted: Vec<f64> = times.iter().copied().filter(|t| t.is_finite()).collect();
    if sorted.is_empty() {
        return Err(lacks("the rate of no unit changes for long enough"));
    }
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    let mut findings = Findings::default();
    findings.put("autocorrelation", &auto);
    findings.put_list("decay_ms", &times);
    findings.put("tau_ms", &study.dynamics.tau_ms);
    findings.say(format!(
        "rates lose their correlation in {} ms (median of {} units)",
        short(median),
        sorted.len()
    ));
    let lag: Vec<f64> = (0..n_lags).map(|k| k as f64 * dt_ms).collect();
    let mut layers: Vec<Layer> = auto
        .axis_iter(Side(1))
        .take(60)
        .map(|unit| thick(lag.clone(), unit.to_vec(), Rgb([200, 200, 200]), 0.15))
        .collect();
    let mean = |k: usize| {
        let row: Vec<f64> = auto
            .row(k)
            .iter()
            .copied()
            .filter(|x| x.is_finite())
            .collect();
        row.iter().sum::<f64>() / row.len().max(1) as f64
    };
    layers.push(guide([0.0, lag[n_lags - 1]], [(-1.0f64).exp(); 2]));
    layers.push(thick(lag.clone(), (0..n_lags).map(mean).collect(), colour(0), 0.4).named("mean"));
    let mut figure = Figure::new(&[44.0, 34.0], &[34.0]);
    figure.place(
        0,
        0,
        Panel {
            x: Axis::new("lag (ms)").with_range(0.0, lag[n_lags - 1]),
            y: Axis::new("autocorrelation").with_range(-1.0, 1.0),
            layers,
            ..Panel::default()
        },
    );
    let range = [0.0, sorted[sorted.len() - 1] * 1.02];
    figure.place(
        0,
        1,
        histogram_panel(Axis::new("decay time (ms)"), "units", &sorted, range, 18),
    );
    findings.draw("", figure);
    Ok(findings)
}
