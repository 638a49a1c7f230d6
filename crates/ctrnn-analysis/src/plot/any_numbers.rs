//! Property tests: figures of any numbers are drawn without a panic, non-finite coordinates or unbounded files.
//!
//! `CTRNN_CASES=N cargo test -p ctrnn-analysis any_numbers` tries N cases of each property (`just any-networks`).

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use super::{Axis, ColourMap, Figure, HeatMap, Layer, Panel, Rgb, Ticks, colour};
use super::{drawable, fraction, is_clean, range_of, round_ticks, up_to};
use crate::analyses::timescales::{autocorrelation, decay_time_ms};
use crate::linear_algebra::least_squares;
use crate::sigmoid::{Level, Sigmoid, SigmoidFit};
use crate::text::short;

fn config() -> ProptestConfig {
    let cases = std::env::var("CTRNN_CASES").ok();
    ProptestConfig {
        cases: cases.and_then(|n| n.parse().ok()).unwrap_or(400),
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Returns ordinary numbers and extreme ones.
fn number() -> impl Strategy<Value = f64> {
    const ENDS: [f64; 17] = [
        0.0,
        -0.0,
        5e-324,
        -1e-310,
        f64::MIN_POSITIVE,
        1e-300,
        1.0,
        1.0 + f64::EPSILON,
        1e9,
        1e16,
        1e300,
        1e308,
        f64::MAX,
        f64::MIN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    prop_oneof![
        3 => -10.0..10.0f64,
        3 => select(&ENDS[..]),
        1 => any::<f64>(),
    ]
}

/// Returns many numbers, few, one, none, or one repeated.
fn numbers() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![
        vec(number(), 0..12),
        (number(), 0usize..9).prop_map(|(x, n)| vec![x; n]),
        vec(-1.0..1.0f64, 100),
    ]
}

fn pair() -> impl Strategy<Value = [f64; 2]> {
    [number(), number()]
}

fn layer() -> impl Strategy<Value = Layer> {
    let dark = colour(0);
    prop_oneof![
        (numbers(), numbers()).prop_map(move |(x, y)| Layer::line(x, y, dark).named("line")),
        (numbers(), numbers()).prop_map(move |(x, y)| Layer::stairs(&x, &y, dark)),
        (numbers(), numbers()).prop_map(move |(x, y)| Layer::points(x, y, dark).named("points")),
        (numbers(), numbers(), numbers())
            .prop_map(move |(x, y, error)| Layer::ribbon(x, &y, &error, dark)),
        (pair(), pair()).prop_map(move |(x, y)| Layer::Box { x, y, colour: dark }),
        pair().prop_map(|x| Layer::Band {
            x,
            colour: Rgb::PALE,
            label: "a band".to_owned()
        }),
        pair().prop_map(move |[x, y]| Layer::text(x, y, "a word", dark)),
        (pair(), pair(), numbers(), 0usize..5, pair()).prop_map(
            |(x, y, values, columns, scale)| {
                Layer::HeatMap(HeatMap {
                    x,
                    y,
                    columns,
                    values,
                    scale,
                    map: ColourMap::BlueWhiteRed,
                })
            }
        ),
    ]
}

fn axis() -> impl Strategy<Value = Axis> {
    let ticks = prop_oneof![
        Just(Ticks::Round),
        Just(Ticks::None),
        pair().prop_map(Ticks::logarithmic),
        numbers().prop_map(|at| Ticks::At(at.into_iter().map(|x| (x, short(x))).collect())),
    ];
    let range = prop_oneof![Just(None), pair().prop_map(Some)];
    (ticks, range).prop_map(|(ticks, range)| Axis {
        range,
        ..Axis::new("label").with_ticks(ticks)
    })
}

fn panel() -> impl Strategy<Value = Panel> {
    let drawn = (axis(), axis(), vec(layer(), 0..5)).prop_map(|(x, y, layers)| Panel {
        title: "a title".to_owned(),
        x,
        y,
        layers,
        bar: None,
    });
    prop_oneof![
        4 => drawn,
        1 => vec(layer(), 0..4).prop_map(|layers| built(|panel| panel.extend(layers).time_axis())),
        1 => (vec(layer(), 0..4), number())
            .prop_map(|(layers, room)| built(|panel| panel.extend(layers).fit(room))),
        1 => (numbers(), 0usize..5, pair()).prop_map(|(values, columns, scale)| {
            let n = columns.min(values.len());
            let matrix = ndarray::Array2::from_shape_fn((2, n), |(_, k)| values[k]);
            built(|panel| panel.matrix(&matrix, scale, ColourMap::Blues))
        }),
        1 => (numbers(), pair(), 1usize..40)
            .prop_map(|(values, range, n)| built(|panel| panel.histogram(["x", "n"], &values, range, n))),
        1 => numbers().prop_map(|values| built(|panel| panel.colour_bar(up_to(values), ColourMap::Blues, "bar"))),
        1 => pair().prop_map(|scale| built(|panel| panel.colour_bar(scale, ColourMap::BlueWhiteRed, "bar"))),
    ]
}

fn built(build: impl FnOnce(&mut Panel) -> &mut Panel) -> Panel {
    let mut panel = Panel::default();
    build(&mut panel);
    panel
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_figure_is_drawn(panels in vec(panel(), 0..3)) {
        let mut figure = Figure::new(&[30.0, 2.5, 20.0][..panels.len()], &[25.0]);
        for (column, panel) in panels.into_iter().enumerate() {
            figure.place(0, column, panel);
        }
        let svg = figure.to_svg();
        prop_assert!(is_clean(&svg), "{svg}");
        prop_assert!(svg.len() < 100_000, "{} bytes", svg.len());
        let [width, height] = figure.size_mm();
        prop_assert!(width < 300.0 && height < 100.0, "{width} x {height} mm");
        prop_assert!(figure.to_png(20.0).is_ok());
        prop_assert!(figure.to_pdf().starts_with(b"%PDF"));
    }

    #[test]
    fn ranges_ticks_and_scales(range in pair(), values in numbers(), value in number()) {
        let found = range_of(values.iter().copied(), 0.05);
        for [low, high] in [found, drawable(range)] {
            prop_assert!(low.is_finite() && high.is_finite() && low != high);
            prop_assert!([fraction(low, [low, high]), fraction(high, [low, high])] == [0.0, 1.0]);
            let ticks = round_ticks([low, high]);
            prop_assert!(ticks.len() <= 10);
            for (at, label) in &ticks {
                prop_assert!((-1e-6..=1.0 + 1e-6).contains(&fraction(*at, [low, high])), "{at} on {low} {high}");
                prop_assert!(label.chars().count() < 24, "{label}");
            }
            let labels: std::collections::BTreeSet<&String> = ticks.iter().map(|(_, label)| label).collect();
            prop_assert_eq!(labels.len(), ticks.len());
        }
        for value in values.iter().filter(|value| value.is_finite()) {
            prop_assert!((0.0..=1.0).contains(&fraction(*value, found)), "{value} on {found:?}");
        }
        let Ticks::At(ticks) = Ticks::logarithmic(range) else { panic!("places") };
        prop_assert!(ticks.len() <= 20 && ticks.iter().all(|(at, _)| at.is_finite()));
        prop_assert!(!short(value).contains("NaN") && !short(value).contains("inf"));
        let [zero, most] = up_to(values);
        prop_assert!(zero == 0.0 && most > 0.0 && most.is_finite());
    }

    #[test]
    fn fits_end_in_numbers_or_in_nothing(
        xs in numbers(),
        counts in vec((0usize..30, 0usize..30), 12),
        rows in vec(vec(-3.0..3.0f64, 3), 0..6),
        dt_ms in select(&[1e-300, 1.0, 1e300][..]),
    ) {
        let levels: Vec<Level> = xs.iter().zip(counts)
            .map(|(x, (a, b))| Level { x: *x, n: a.max(b), chosen: a.min(b) })
            .collect();
        for shape in [Sigmoid::Logistic, Sigmoid::Probit] {
            if let Some(fit) = SigmoidFit::fit(shape, &levels) {
                let numbers = [fit.bias, fit.width, fit.lapse, fit.log_likelihood, fit.at(0.0), fit.at(1e308)];
                prop_assert!(numbers.iter().all(|x| x.is_finite()) && fit.width > 0.0, "{fit:?} of {levels:?}");
            }
        }
        for level in &levels {
            prop_assert!(level.interval().iter().all(|p| (-1e-9..=1.0 + 1e-9).contains(p)));
        }
        let n = xs.len();
        let rates = ndarray::Array3::from_shape_fn((1, n, 2), |(_, t, unit)| if unit == 0 { xs[t] } else { 0.1 });
        let found = autocorrelation(rates.view(), ndarray::Array2::from_elem((1, n), true).view(), n / 2 + 2);
        prop_assert!(found.column(1).iter().all(|x| x.is_nan()), "a constant unit has no autocorrelation");
        let time = decay_time_ms(found.column(0), dt_ms);
        prop_assert!(time.is_nan() || time >= 0.0);
        // Columns 0 and 2 are equal, so that the matrix does not have full rank.
        let a = ndarray::Array2::from_shape_fn((rows.len(), 3), |(i, k)| if k == 2 { rows[i][0] } else { rows[i][k] });
        let b = a.dot(&ndarray::array![[1.0], [-2.0], [0.5]]);
        let x = least_squares(a.view(), b.view()).unwrap();
        prop_assert!((a.dot(&x) - b).iter().all(|rest| rest.abs() < 1e-6), "{a} {x}");
    }
}
