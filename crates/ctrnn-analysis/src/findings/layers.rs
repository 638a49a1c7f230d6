//! Pieces that several figures are made of.

pub(crate) use crate::plot::range_of;
use crate::plot::{
    Axis, ColourMap, Figure, HeatMap, Layer, Panel, Rgb, Ticks, colour, drawable, fraction,
    round_ticks,
};

/// Width of a colour bar in mm.
pub const BAR_MM: f64 = 2.5;

/// The width of each of some equal panels, of at most `most_mm`, that fit the two columns of a page together.
pub fn panel_mm(n_panels: usize, most_mm: f64) -> f64 {
    const PAGE_MM: f64 = 132.0;
    most_mm.min(PAGE_MM / n_panels.max(1) as f64)
}

/// A line of another width.
pub fn thick(x: Vec<f64>, y: Vec<f64>, colour: Rgb, width_mm: f64) -> Layer {
    Layer::Line {
        x,
        y,
        colour,
        width_mm,
        dashed: false,
        name: None,
    }
}

/// A thin grey dashed line for orientation.
pub fn guide(x: [f64; 2], y: [f64; 2]) -> Layer {
    Layer::Line {
        x: x.to_vec(),
        y: y.to_vec(),
        colour: Rgb([170, 170, 170]),
        width_mm: 0.15,
        dashed: true,
        name: None,
    }
}

/// Discs of a radius in mm.
pub fn discs(x: Vec<f64>, y: Vec<f64>, colour: Rgb, radius_mm: f64) -> Layer {
    Layer::Points {
        x,
        y,
        colour,
        radius_mm,
        name: None,
    }
}

/// Rings: discs with white ones on them.
pub fn rings(x: &[f64], y: &[f64], colour: Rgb, radius_mm: f64) -> [Layer; 2] {
    [
        discs(x.to_vec(), y.to_vec(), colour, radius_mm),
        discs(x.to_vec(), y.to_vec(), Rgb::WHITE, radius_mm - 0.25),
    ]
}

/// A short vertical line from low to high at every x.
pub fn error_bars(x: &[f64], intervals: &[[f64; 2]], colour: Rgb) -> Vec<Layer> {
    let bar =
        |(x, interval): (&f64, &[f64; 2])| thick(vec![*x, *x], interval.to_vec(), colour, 0.2);
    x.iter().zip(intervals).map(bar).collect()
}

/// A histogram of values in bins over a range, as filled boxes. What is not in the range, NaN among it, is not counted.
fn histogram(values: &[f64], range: [f64; 2], n_bins: usize, colour: Rgb) -> Vec<Layer> {
    let [low, high] = drawable(range);
    let mut counts = vec![0usize; n_bins];
    for value in values.iter().filter(|value| (low..=high).contains(*value)) {
        let bin = (fraction(*value, [low, high]) * n_bins as f64) as usize;
        counts[bin.min(n_bins - 1)] += 1;
    }
    let place = |bin: f64| {
        let part = bin / n_bins as f64;
        low * (1.0 - part) + high * part
    };
    let bar = |(k, n): (usize, usize)| Layer::Box {
        x: [place(k as f64 + 0.06), place(k as f64 + 0.94)],
        y: [0.0, n as f64],
        colour,
    };
    counts
        .into_iter()
        .enumerate()
        .filter(|(_, n)| *n > 0)
        .map(bar)
        .collect()
}

/// A panel with a histogram of values.
pub fn histogram_panel(
    x: Axis,
    what: &str,
    values: &[f64],
    range: [f64; 2],
    n_bins: usize,
) -> Panel {
    let layers = histogram(values, range, n_bins, colour(0));
    let top = |layer: &Layer| match layer {
        Layer::Box { y, .. } => y[1],
        _ => 0.0,
    };
    let highest = layers.iter().map(top).fold(1.0, f64::max);
    Panel {
        x: x.with_range(range[0], range[1]),
        y: Axis::new(what).with_range(0.0, 1.04 * highest),
        layers,
        ..Panel::default()
    }
}

/// Ticks of a logarithmic axis, whose places are exponents: powers of ten, at most nine; where there are fewer than three, also multiples of
/// them, and where these are too far apart, round numbers.
pub fn log_ticks(range: [f64; 2]) -> Ticks {
    const MOST: i32 = 8;
    // Beyond lies what double precision does not hold.
    let range = drawable(range.map(|power| power.clamp(-300.0, 300.0)));
    let (low, high) = (range[0].min(range[1]), range[0].max(range[1]));
    let (first, last) = (low.floor() as i32, high.ceil() as i32);
    let every = (last - first) / MOST + 1;
    let is_seen = |(x, _): &(f64, String)| (low - 1e-9..=high + 1e-9).contains(x);
    let places = |factors: &[f64]| -> Vec<(f64, String)> {
        let powers = (first.div_euclid(every)..=last.div_euclid(every)).map(|k| k * every);
        let all = powers.flat_map(|p| factors.iter().map(move |f| f * 10f64.powi(p)));
        all.map(|x| (x.log10(), short(x))).filter(is_seen).collect()
    };
    let sets: [&[f64]; 3] = [
        &[1.0],
        &[1.0, 2.0, 5.0],
        &[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0],
    ];
    let tried = sets.map(places);
    if let Some(enough) = tried.iter().find(|ticks| ticks.len() >= 3) {
        return Ticks::At(enough.clone());
    }
    let between = round_ticks(drawable([10f64.powf(low), 10f64.powf(high)]));
    Ticks::At(
        between
            .into_iter()
            .map(|(x, label)| (x.log10(), label))
            .filter(is_seen)
            .collect(),
    )
}

/// From 0 to the largest of some magnitudes; to 1 where they are all 0.
pub fn up_to(values: impl IntoIterator<Item = f64>) -> [f64; 2] {
    let largest = values
        .into_iter()
        .filter(|x| x.is_finite())
        .fold(0.0, f64::max);
    [0.0, if largest > 0.0 { largest } else { 1.0 }]
}

/// A matrix as colours, its first row on top.
pub fn matrix(values: Vec<f64>, columns: usize, scale: [f64; 2], map: ColourMap) -> Layer {
    let rows = values.len() / columns.max(1);
    Layer::HeatMap(HeatMap {
        x: [0.0, columns as f64],
        y: [0.0, rows as f64],
        columns,
        values,
        scale,
        map,
    })
}

/// The colours of a scale from low to high, with its numbers on the left.
pub fn colour_bar(scale: [f64; 2], map: ColourMap, label: &str) -> Panel {
    const STEPS: usize = 64;
    let [low, high] = scale;
    let value = |k: usize| low + (high - low) * (k as f64 + 0.5) / STEPS as f64;
    Panel {
        x: Axis::hidden().with_range(0.0, 1.0),
        y: Axis::new(label).with_range(low, high),
        layers: vec![Layer::HeatMap(HeatMap {
            x: [0.0, 1.0],
            y: [low, high],
            columns: 1,
            values: (0..STEPS).map(value).collect(),
            scale,
            map,
        })],
        ..Panel::default()
    }
}

/// Ticks at the middle of rows or columns, with these labels.
pub fn named_ticks(names: &[String]) -> Ticks {
    Ticks::At(
        names
            .iter()
            .enumerate()
            .map(|(k, name)| (k as f64 + 0.5, name.clone()))
            .collect(),
    )
}

/// Time from the beginning of a trial to the last of some lines.
pub fn time_axis(lines: &[Layer]) -> Axis {
    let ends = lines.iter().filter_map(|layer| match layer {
        Layer::Line { x, .. } => x.last().copied(),
        _ => None,
    });
    Axis::new("time (ms)").with_range(0.0, ends.fold(1e-9, f64::max))
}

/// The numbers of the first and the last of `n` rows or columns, at their middles.
pub fn first_and_last(n: usize) -> Ticks {
    let tick = |k: usize| (k as f64 - 0.5, k.to_string());
    Ticks::At(match n {
        0 | 1 => vec![tick(1)],
        _ => vec![tick(1), tick(n)],
    })
}

/// Names without underscores, for figures.
pub fn spoken(name: &str) -> String {
    name.replace('_', " ")
}

/// A figure of one panel.
pub fn single(width_mm: f64, height_mm: f64, panel: Panel) -> Figure {
    let mut figure = Figure::new(&[width_mm], &[height_mm]);
    figure.place(0, 0, panel);
    figure
}

/// The colour of level k of n: from blue over grey to vermilion where the levels are ordered, else one of the palette.
pub fn level_colour(k: usize, n: usize, is_ordered: bool) -> Rgb {
    const MIDDLE: Rgb = Rgb([175, 175, 175]);
    if !is_ordered || n < 3 {
        return colour(k);
    }
    let place = 2.0 * k as f64 / (n - 1) as f64 - 1.0;
    let strength = 0.3 + 0.7 * place.abs();
    match place {
        p if p < -1e-9 => MIDDLE.towards(colour(0), strength),
        p if p > 1e-9 => MIDDLE.towards(colour(1), strength),
        _ => MIDDLE,
    }
}

/// A number with few digits and the minus sign of typography.
pub fn short(x: f64) -> String {
    let text = match x.abs() {
        0.0 => "0".to_owned(),
        a if a.is_nan() => "undefined".to_owned(),
        f64::INFINITY if x > 0.0 => "∞".to_owned(),
        f64::INFINITY => "−∞".to_owned(),
        a if !(1e-3..1e4).contains(&a) => format!("{x:.1e}"),
        a => {
            let decimals = (2 - a.log10().floor() as i32).max(0) as usize;
            let text = format!("{x:.decimals$}");
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
    };
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        for (x, text) in [
            (0.0, "0"),
            (0.12345, "0.123"),
            (-2.5, "−2.5"),
            (120.0, "120"),
            (1e-5, "1.0e−5"),
            (1234.5, "1234"),
            (f64::NAN, "undefined"),
            (f64::NEG_INFINITY, "−∞"),
        ] {
            assert_eq!(short(x), text);
        }
    }

    #[test]
    fn ticks_of_a_logarithmic_axis() {
        let labels = |range| match log_ticks(range) {
            Ticks::At(ticks) => ticks
                .into_iter()
                .map(|(_, label)| label)
                .collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        assert_eq!(labels([-2.1, 0.1]), ["0.01", "0.1", "1"]);
        assert_eq!(labels([-1.1, -0.2]), ["0.1", "0.2", "0.5"]);
        assert_eq!(
            labels([-1.6, -0.9]),
            ["0.03", "0.04", "0.06", "0.08", "0.1"]
        );
        assert_eq!(
            labels([2.0, 2.004]),
            ["100.0", "100.2", "100.4", "100.6", "100.8"]
        );
        assert_eq!(labels([-9.0, 9.0])[..2], ["1.0e−9", "1.0e−6"]);
        for range in [
            [f64::NEG_INFINITY, 2.0],
            [1.0, f64::INFINITY],
            [f64::INFINITY, 0.0],
            [f64::NAN, 2.0],
            [f64::NAN, f64::NAN],
        ] {
            assert!((3..=9).contains(&labels(range).len()), "{range:?}");
        }
    }

    #[test]
    fn a_value_at_the_upper_end_is_counted() {
        let boxes = histogram(&[0.0, 0.1, 1.0, 7.0], [0.0, 1.0], 2, Rgb::BLACK);
        let heights: Vec<f64> = boxes
            .iter()
            .map(|layer| match layer {
                Layer::Box { y, .. } => y[1],
                _ => 0.0,
            })
            .collect();
        assert_eq!(heights, [2.0, 1.0]);
    }
}
