//! Trajectories in the state space, its dimensions, and the speed in it.

use ndarray::{Array2, Array3};

use super::groups::{Group, groups, mean_course};
use super::layers::{discs, range_of, short, single, thick, time_axis, up_to};
use super::{Findings, Unsuitable, lacks};
use crate::evidence::{column, distinct};
use crate::plot::{Axis, Figure, Layer, Panel, Rgb, colour};
use crate::{Pca, Study};

/// At most so many single trials are drawn where there is one group.
const MOST_TRIALS: usize = 7;

/// Projects `values [trial, time, N]` on axes given as rows, after `mean` is taken out.
fn projected(values: &Array3<f64>, mean: &ndarray::Array1<f64>, axes: &Array2<f64>) -> Array3<f64> {
    let (b, t, n) = values.dim();
    let flat = values.to_shape((b * t, n)).expect("a product of sizes");
    let found = (&flat - mean).dot(&axes.t());
    found
        .into_shape_with_order((b, t, axes.nrows()))
        .expect("a product of sizes")
}

/// Courses to draw: the means of groups, or single trials where there is one group.
fn courses(
    study: &Study,
    values: &Array3<f64>,
    groups: &[Group],
) -> Vec<(String, Rgb, Array2<f64>)> {
    if let [all] = groups {
        let trial = |(k, &b): (usize, &usize)| {
            let course = values
                .slice(ndarray::s![b, ..study.batch.n_steps[b], ..])
                .to_owned();
            (format!("trial {}", b + 1), colour(k), course)
        };
        return all
            .trials
            .iter()
            .take(MOST_TRIALS)
            .enumerate()
            .map(trial)
            .collect();
    }
    let mean = |group: &Group| {
        (
            group.name.clone(),
            group.colour,
            mean_course(study, values, group),
        )
    };
    groups.iter().map(mean).collect()
}

pub fn pca(study: &Study) -> Result<Findings, Unsuitable> {
    let states = study.all_states();
    if states.nrows() < 3 || states.ncols() < 2 {
        return Err(lacks(
            "principal components need two units and three states",
        ));
    }
    let pca = Pca::of(states.view())?;
    if pca.rank() == 0 {
        return Err(lacks(
            "principal components need states that differ, but all are the same",
        ));
    }
    let k = pca.components.nrows().min(10);
    let axes = pca.components.slice(ndarray::s![..k, ..]).to_owned();
    let scores = projected(study.states(), &pca.mean, &axes);
    let (name, groups) = groups(study);
    let mut findings = Findings::default();
    findings.put("components", &axes);
    findings.put("mean", &pca.mean);
    findings.put("explained_variance", &pca.explained());
    findings.put("scores", &scores);
    findings.put_list("participation_ratio", &[pca.participation_ratio()]);
    findings.say(format!(
        "participation ratio {}; {} components explain 90 % of the variance of {} units",
        short(pca.participation_ratio()),
        pca.n_explaining(0.9),
        states.ncols()
    ));
    let courses = courses(study, &scores, &groups);
    for (group, (_, _, course)) in courses.iter().enumerate() {
        findings.put(&format!("course_{group}"), course);
    }
    let mut figure = Figure::new(&[48.0, 30.0], &[38.0]);
    figure.place(
        0,
        0,
        plane(&courses, [0, 1], ["PC 1", "PC 2"], &format!("by {name}")),
    );
    let explained: Vec<f64> = pca
        .explained()
        .iter()
        .take(10)
        .map(|part| 100.0 * part)
        .collect();
    let cumulative: Vec<f64> = explained
        .iter()
        .scan(0.0, |sum, part| {
            *sum += part;
            Some(*sum)
        })
        .collect();
    let x: Vec<f64> = (1..=explained.len()).map(|k| k as f64).collect();
    let mut layers: Vec<Layer> = x
        .iter()
        .zip(&explained)
        .map(|(x, y)| Layer::Box {
            x: [x - 0.4, x + 0.4],
            y: [0.0, *y],
            colour: Rgb([190, 190, 190]),
        })
        .collect();
    layers.push(thick(x.clone(), cumulative.clone(), colour(0), 0.3));
    layers.push(Layer::points(x, cumulative, colour(0)));
    figure.place(
        0,
        1,
        Panel {
            x: Axis::new("component").with_range(0.4, explained.len() as f64 + 0.6),
            y: Axis::new("variance explained (%)").with_range(0.0, 102.0),
            layers,
            ..Panel::default()
        },
    );
    findings.draw("", figure);
    findings.draw("_time", over_time(study, &courses, &name));
    Ok(findings)
}

/// The legend is left out where it would be long: the figure over time has it.
fn plane(
    courses: &[(String, Rgb, Array2<f64>)],
    [x, y]: [usize; 2],
    labels: [&str; 2],
    title: &str,
) -> Panel {
    let mut layers = Vec::new();
    for (_, colour, course) in courses {
        let along = |k: usize| course.column(k).to_vec();
        layers.push(thick(along(x), along(y), *colour, 0.35));
        if course.nrows() > 0 {
            let last = course.nrows() - 1;
            layers.push(discs(
                vec![course[[0, x]]],
                vec![course[[0, y]]],
                Rgb([120, 120, 120]),
                0.7,
            ));
            layers.push(discs(
                vec![course[[last, x]]],
                vec![course[[last, y]]],
                *colour,
                0.9,
            ));
        }
    }
    let range = |k: usize| {
        range_of(
            courses
                .iter()
                .flat_map(|(_, _, course)| course.column(k).to_vec()),
            0.06,
        )
    };
    let ([xl, xh], [yl, yh]) = (range(x), range(y));
    Panel {
        title: title.to_owned(),
        x: Axis::new(labels[0]).with_range(xl, xh),
        y: Axis::new(labels[1]).with_range(yl, yh),
        layers,
    }
}

/// The first three coordinates over time, one panel each.
fn over_time(study: &Study, courses: &[(String, Rgb, Array2<f64>)], name: &str) -> Figure {
    let n = courses
        .first()
        .map_or(0, |(_, _, course)| course.ncols())
        .min(3);
    let mut figure = Figure::new(&vec![40.0; n], &[30.0]);
    for k in 0..n {
        let mut layers = Vec::new();
        for (label, colour, course) in courses {
            let t: Vec<f64> = (1..=course.nrows())
                .map(|t| t as f64 * study.dynamics.dt_ms)
                .collect();
            let line = thick(t, course.column(k).to_vec(), *colour, 0.3);
            layers.push(if k + 1 == n { line.named(label) } else { line });
        }
        figure.place(
            0,
            k,
            Panel {
                title: if k + 1 == n {
                    format!("by {name}")
                } else {
                    String::new()
                },
                x: time_axis(&layers),
                y: Axis::new(&format!("PC {}", k + 1)),
                layers,
            },
        );
    }
    figure
}

pub fn tdr(study: &Study) -> Result<Findings, Unsuitable> {
    let varied = |values: &[f64]| distinct(values.iter().copied()).len() > 1;
    let catch = column(&study.batch, "catch").map(<[f64]>::to_vec);
    let mut names: Vec<String> = Vec::new();
    let mut columns: Vec<Vec<f64>> = Vec::new();
    let all: Vec<usize> = (0..study.batch.n_trials).collect();
    if let Some(found) = crate::evidence::evidence(&study.batch, &all) {
        names.push(found.name);
        columns.push(found.values);
    }
    for (name, values) in study
        .batch
        .conditions
        .iter()
        .filter(|(name, values)| name != "catch" && varied(values))
    {
        let is_part = names
            .first()
            .is_some_and(|evidence| evidence.split([' ', '×', '−']).any(|part| part == name));
        if !is_part && columns.len() < 4 {
            names.push(name.clone());
            columns.push(values.clone());
        }
    }
    let (choices, outputs) = (study.choices(), study.layout().alternatives());
    if outputs.len() == 2 && columns.len() < 4 {
        let sign = |choice: &Option<usize>| match *choice {
            Some(choice) if choice == outputs[0] => -1.0,
            Some(choice) if choice == outputs[1] => 1.0,
            _ => 0.0,
        };
        names.push("choice".to_owned());
        columns.push(choices.iter().map(sign).collect());
    }
    if columns.len() < 2 {
        return Err(lacks("fewer than two variables differ from trial to trial"));
    }
    let shown: Vec<usize> = all
        .into_iter()
        .filter(|&b| catch.as_ref().is_none_or(|catch| catch[b] != 1.0))
        .filter(|&b| columns.iter().all(|column| column[b].is_finite()))
        .collect();
    if shown.is_empty() {
        return Err(lacks("no trial has a value of every variable"));
    }
    let variables =
        Array2::from_shape_fn((shown.len(), columns.len()), |(i, k)| columns[k][shown[i]]);
    let rates = study.rates.select(ndarray::Axis(0), &shown);
    let counts = study.counts().select(ndarray::Axis(0), &shown);
    let pca = Pca::of(study.all_states().view())?;
    let found = crate::tdr::tdr(rates.view(), counts.view(), variables.view(), &pca, 12)?;
    let mean = study
        .rates
        .mean_axis(ndarray::Axis(0))
        .and_then(|m| m.mean_axis(ndarray::Axis(0)))
        .unwrap_or_default();
    let scores = projected(&study.rates, &mean, &found.axes);
    let (name, groups) = groups(study);
    let courses = courses(study, &scores, &groups);
    let spoken: Vec<String> = names
        .iter()
        .map(|name| format!("{} axis", super::layers::spoken(name)))
        .collect();
    let is_shown = |known: &String| super::layers::spoken(known) == name;
    let across = names.iter().position(is_shown).unwrap_or(0);
    let across = across.min(names.len() - 2);
    let mut figure = Figure::new(&[48.0, 40.0], &[38.0]);
    figure.place(
        0,
        0,
        plane(
            &courses,
            [across, names.len() - 1],
            [&spoken[across], &spoken[names.len() - 1]],
            &format!("by {name}"),
        ),
    );
    let length = |k: usize, t: usize| {
        found
            .coefficients
            .slice(ndarray::s![k, t, ..])
            .mapv(|x| x * x)
            .mean()
            .unwrap_or(0.0)
            .sqrt()
    };
    let t: Vec<f64> = (1..=study.batch.max_steps)
        .map(|t| t as f64 * study.dynamics.dt_ms)
        .collect();
    let layers = (0..names.len()).map(|k| {
        let y = (0..t.len()).map(|i| length(k, i)).collect();
        thick(t.clone(), y, colour(k), 0.3).named(&super::layers::spoken(&names[k]))
    });
    let layers: Vec<Layer> = layers.collect();
    figure.place(
        0,
        1,
        Panel {
            x: time_axis(&layers),
            y: Axis::new("regression weight (r.m.s.)"),
            layers,
            ..Panel::default()
        },
    );
    let mut findings = Findings::default();
    findings.put("axes", &found.axes);
    findings.put("coefficients", &found.coefficients);
    findings.put("scores", &scores);
    findings.put("mean", &mean);
    findings.put_numbers("peak", found.peak.iter().copied());
    findings.say(format!("axes, in this order: {}", names.join(", ")));
    findings.draw("", figure);
    Ok(findings)
}

pub fn speed(study: &Study) -> Result<Findings, Unsuitable> {
    let speeds = crate::speed::speed(study.states().view(), study.dynamics.dt_ms);
    if speeds.ncols() == 0 {
        return Err(lacks("a trial of one time step has no speed"));
    }
    let (name, groups) = groups(study);
    let as_values = speeds.clone().insert_axis(ndarray::Axis(2));
    let mut layers = Vec::new();
    let mut highest = 0.0f64;
    for group in &groups {
        let course = mean_course(study, &padded(&as_values), group);
        let n = course.nrows().saturating_sub(1);
        let t: Vec<f64> = (0..n)
            .map(|t| (t as f64 + 1.5) * study.dynamics.dt_ms)
            .collect();
        let y: Vec<f64> = course
            .column(0)
            .iter()
            .take(n)
            .map(|v| 1000.0 * v)
            .collect();
        highest = y.iter().copied().fold(highest, f64::max);
        layers.push(thick(t, y, group.colour, 0.3).named(&group.name));
    }
    let mut findings = Findings::default();
    findings.put("speed", &speeds);
    findings.say(format!(
        "the state moves at up to {} per second",
        short(highest)
    ));
    findings.draw(
        "",
        single(
            55.0,
            34.0,
            Panel {
                title: format!("by {name}"),
                x: time_axis(&layers),
                y: Axis::new("speed (1/s)").with_range(0.0, 1.05 * up_to([highest])[1]),
                layers,
            },
        ),
    );
    Ok(findings)
}

/// With a last time step more, so that there are as many as states.
fn padded(values: &Array3<f64>) -> Array3<f64> {
    let (b, t, k) = values.dim();
    Array3::from_shape_fn(
        (b, t + 1, k),
        |(i, j, l)| if j < t { values[[i, j, l]] } else { 0.0 },
    )
}
