//! Tests of the layout of figures.

use super::*;
use crate::plot::{Axis, ColourMap, HeatMap, Marker, Style, colour};

fn figure() -> Figure {
    let line = Layer::line(vec![0.0, 1.0, 2.0], vec![0.0, f64::NAN, 4.0], colour(0));
    let band = Layer::Band {
        x: [0.0, 1.0],
        colour: Rgb::PALE,
        label: "delay".to_owned(),
    };
    let map = Layer::HeatMap(HeatMap {
        x: [0.0, 2.0],
        y: [0.0, 1.0],
        columns: 2,
        values: vec![0.0, 1.0, 1.0, 0.0],
        scale: [0.0, 1.0],
        map: ColourMap::Blues,
    });
    let panel = Panel {
        title: "a < b".to_owned(),
        x: Axis::new("time"),
        y: Axis::new("rate"),
        layers: vec![
            band,
            map,
            line,
            Layer::points(vec![1.0], vec![2.0], colour(1)).named("mean"),
        ],
        bar: None,
    };
    let mut figure = Figure::new(&[40.0], &[30.0]);
    figure.place(0, 0, panel);
    figure
}

#[test]
fn an_svg_holds_text_as_text_and_sizes_in_millimetres() {
    let svg = figure().to_svg();
    for expected in [
        ">a &lt; b</text>",
        ">time</text>",
        ">delay</text>",
        ">mean</text>",
        "mm\" height=\"",
        "shape-rendering=\"crispEdges\"",
        "<circle ",
    ] {
        assert!(svg.contains(expected), "{expected}\n{svg}");
    }
}

/// At 254 dots per inch a millimetre has ten pixels.
#[test]
fn a_png_has_the_size_of_the_sheet() {
    let figure = figure();
    let png = figure.to_png(254.0).unwrap();
    assert_eq!(&png[..4], b"\x89PNG");
    let width = u32::from_be_bytes(png[16..20].try_into().unwrap());
    assert_eq!(width, (figure.draw().size_mm[0] * 10.0).ceil() as u32);
    assert!(figure.to_png(0.0).is_err());
}

/// A marker at the end of an axis lies over the axis, and is not cut off.
#[test]
fn points_at_the_ends_are_whole() {
    let mut figure = Figure::new(&[40.0], &[30.0]);
    let points = Layer::points(vec![0.0, 1.0], vec![0.0, 1.0], colour(1));
    figure
        .cell(0, 0)
        .x("x", [0.0, 1.0])
        .y("y", [0.0, 1.0])
        .add(points);
    let shapes = figure.draw().shapes;
    let last_line = shapes
        .iter()
        .rposition(|s| matches!(s, Shape::Polyline { .. }));
    let discs = shapes.iter().enumerate();
    let discs: Vec<usize> = discs
        .filter(|(_, s)| matches!(s, Shape::Disc { .. }))
        .map(|(k, _)| k)
        .collect();
    assert_eq!(discs.len(), 2);
    assert!(discs.iter().all(|k| Some(*k) > last_line));
}

/// A label longer than its axis, and a legend higher than its panel, have room on the sheet.
#[test]
fn long_labels_and_legends_fit_on_the_sheet() {
    let height = |label: &str, n_names: usize| {
        let mut figure = Figure::new(&[40.0], &[10.0]);
        let panel = figure.cell(0, 0).y_label(label);
        for k in 0..n_names {
            panel.add(Layer::line(Vec::new(), Vec::new(), colour(k)).named("name"));
        }
        figure.size_mm()[1]
    };
    assert!(height("rate", 0) < 20.0);
    let long = "task variance of every unit / its maximum over all tasks";
    let length = font::width(long) * TEXT_MM;
    assert!(
        height(long, 0) >= length,
        "{} for {length}",
        height(long, 0)
    );
    assert!(height("rate", 9) >= 9.0 * TEXT_MM * LINE_HEIGHT);
}

/// Labels that would touch are upright, and the axis has room for them.
#[test]
fn crowded_labels_are_upright() {
    let names = ["fixation", "left", "right"].map(str::to_owned);
    let drawn = |width_mm: f64| {
        let mut figure = Figure::new(&[width_mm], &[30.0]);
        let panel = figure.cell(0, 0).x("", [0.0, 3.0]);
        panel.x_ticks(Ticks::named(&names));
        (figure.to_svg(), figure.size_mm()[1])
    };
    let ([wide, narrow], [low, high]) = {
        let (wide, narrow) = (drawn(40.0), drawn(7.5));
        ([wide.0, narrow.0], [wide.1, narrow.1])
    };
    assert!(!wide.contains("rotate(") && narrow.matches("rotate(-90").count() == 3);
    assert!(high - low > 5.0, "{low} to {high} mm");
}

/// An entry of the legend has the marker of its points, even if there are none.
#[test]
fn the_legend_shows_the_markers() {
    let shapes = |marker| {
        let mut figure = Figure::new(&[40.0], &[30.0]);
        let points = Layer::points(Vec::new(), Vec::new(), colour(1)).marked(marker);
        figure.cell(0, 0).add(points.named("saddle"));
        figure.draw().shapes
    };
    let discs = |marker| -> Vec<Rgb> {
        let fill = |shape: &Shape| match shape {
            Shape::Disc { fill, .. } => Some(*fill),
            _ => None,
        };
        shapes(marker).iter().filter_map(fill).collect()
    };
    assert_eq!(discs(Marker::Disc), [colour(1)]);
    assert_eq!(discs(Marker::Ring), [colour(1), Rgb::WHITE]);
    assert!(discs(Marker::Square).is_empty() && discs(Marker::Cross).is_empty());
    let is_square =
        |shape: &Shape| matches!(shape, Shape::Rectangle { fill, .. } if *fill == colour(1));
    assert!(shapes(Marker::Square).iter().any(is_square));
}

/// The y axis points up: the middle of 0 to 10 is in the middle, the upper end at the top.
#[test]
fn the_data_fill_the_frame() {
    let frame = Frame {
        corner: [5.0, 7.0],
        size: [20.0, 10.0],
        ranges: [[0.0, 2.0], [0.0, 10.0]],
    };
    assert_eq!(
        (frame.x(1.0), frame.y(5.0), frame.y(10.0)),
        (15.0, 12.0, 7.0)
    );
    assert_eq!(
        frame.rectangle([1.0, 9.0], [0.0, 5.0]),
        Some(([15.0, 12.0], [10.0, 5.0]))
    );
    assert_eq!(frame.rectangle([f64::NAN, 9.0], [0.0, 5.0]), None);
}

/// A line is interrupted at NaN, which leaves two separate points here.
#[test]
fn no_line_is_drawn_through_nan() {
    let canvas = figure().draw();
    let line =
        |shape: &&Shape| matches!(shape, Shape::Polyline { colour: c, .. } if *c == colour(0));
    let point = |shape: &&Shape| matches!(shape, Shape::Disc { fill, .. } if *fill == colour(0));
    assert_eq!(canvas.shapes.iter().filter(line).count(), 0);
    assert_eq!(canvas.shapes.iter().filter(point).count(), 2);
}

/// A spike within 100 000 points of a line is kept; very many discs and cells make a file of ordinary size.
#[test]
fn what_paper_cannot_show_is_left_out() {
    let n = 100_000;
    let x: Vec<f64> = (0..n).map(f64::from).collect();
    let y = (0..n).map(|k| {
        if k == 54_321 {
            9.0
        } else {
            (f64::from(k) * 1.7).sin()
        }
    });
    let dots = |p: f64| {
        (0..200_000)
            .map(move |k| (f64::from(k) * p).fract())
            .collect()
    };
    let cells = HeatMap {
        x: [0.0, 1.0],
        y: [0.0, 1.0],
        columns: 3000,
        values: (0..1_500_000).map(|k| (f64::from(k) * 0.7).sin()).collect(),
        scale: [-1.0, 1.0],
        map: ColourMap::BlueWhiteRed,
    };
    let layers = [
        Layer::line(x, y.collect(), colour(0)),
        Layer::points(dots(0.618_034), dots(0.414_214), colour(1)),
        Layer::HeatMap(cells),
    ];
    let canvases = layers.map(|layer| {
        let mut figure = Figure::new(&[40.0], &[30.0]);
        let layers = vec![layer];
        figure.place(
            0,
            0,
            Panel {
                layers,
                ..Panel::default()
            },
        );
        (figure.draw(), figure.to_svg().len())
    });
    assert!(
        canvases.iter().all(|(_, size)| *size < 2_000_000),
        "{:?}",
        canvases.each_ref().map(|c| c.1)
    );
    let top = |shape: &Shape| match shape {
        Shape::Polyline { points, .. } if points.len() > 2 => points
            .iter()
            .map(|point| point[1])
            .fold(f64::INFINITY, f64::min),
        _ => f64::INFINITY,
    };
    let highest = canvases[0]
        .0
        .shapes
        .iter()
        .map(top)
        .fold(f64::INFINITY, f64::min);
    let sine = canvases[0].0.size_mm[1] / 2.0;
    assert!(
        highest < sine / 2.0,
        "the spike is {highest} mm from the top"
    );
}

/// A figure that is too narrow for the legend beside its panel has it below, in as many columns as fit; entries that look
/// alike but differ in name cannot be joined.
#[test]
fn the_legend_of_a_narrow_figure_is_below() {
    let figure = |second: &str| {
        let mut figure = Figure::new(&[40.0, 40.0], &[30.0]);
        for (column, name) in ["a rather long name of the first group", second]
            .iter()
            .enumerate()
        {
            let panel = figure.cell(0, column).x("time", [0.0, 1.0]);
            for k in 0..4 {
                let name = if k == 0 {
                    (*name).to_owned()
                } else {
                    format!("{k}")
                };
                panel.add(Layer::line(vec![0.0, 1.0], vec![0.0, 1.0], colour(k)).named(&name));
            }
        }
        figure
    };
    let style = Style {
        width_mm: Some(80.0),
        font_pt: 7.0,
    };
    let narrow = figure("a rather long name of the first group")
        .styled(&style)
        .unwrap();
    assert_eq!(narrow.legend.len(), 4);
    assert!((narrow.size_mm()[0] - 80.0).abs() < 0.01);
    let texts = narrow
        .draw()
        .shapes
        .into_iter()
        .filter_map(|shape| match shape {
            Shape::Text { text, at, .. } => Some((text, at[1])),
            _ => None,
        });
    let texts: Vec<(String, f64)> = texts.collect();
    let y = |name: &str| texts.iter().find(|(text, _)| text == name).map(|(_, y)| *y);
    assert!(y("a rather long name of the first group") > y("time"));
    // Entries that look alike but differ in name say which panel they are of.
    let other = figure("another name").styled(&style).unwrap();
    let names: Vec<&str> = other
        .legend
        .iter()
        .filter_map(|layer| Some(layer.legend()?.1))
        .collect();
    assert!(
        names.contains(&"1") && names.contains(&"time: another name"),
        "{names:?}"
    );
}

/// Panels that do not fit beside each other continue below, with the labels that they shared with others; colour bars stay
/// with their panels.
#[test]
fn panels_of_a_narrow_figure_are_in_fewer_columns() {
    let mut figure = Figure::new(&[40.0, 40.0, 40.0, 2.5], &[30.0, 30.0]);
    for row in 0..2 {
        for column in 0..3 {
            let panel = figure.cell(row, column).x(["", "time"][row], [0.0, 1.0]);
            let label = if column == 0 { "rate" } else { "" };
            panel
                .y(label, [0.0, 1.0])
                .add(Layer::line(vec![0.0, 1.0], vec![0.0, 1.0], colour(0)));
        }
        figure
            .cell(row, 3)
            .colour_bar([0.0, 1.0], ColourMap::Blues, "weight");
    }
    let style = |width: f64| Style {
        width_mm: Some(width),
        font_pt: 7.0,
    };
    let places = |width: f64| -> Vec<[usize; 2]> {
        let styled = figure.styled(&style(width)).unwrap();
        assert!((styled.size_mm()[0] - width).abs() < 0.01);
        styled.panels.iter().map(|(place, _)| *place).collect()
    };
    assert_eq!(places(160.0)[..4], [[0, 0], [0, 1], [0, 2], [0, 3]]);
    let two = [
        [0, 0],
        [0, 2],
        [1, 0],
        [1, 1],
        [2, 0],
        [2, 2],
        [3, 0],
        [3, 1],
    ];
    assert_eq!(places(90.0), two);
    let styled = figure.styled(&style(90.0)).unwrap();
    let labels = styled
        .panels
        .iter()
        .map(|(_, panel)| [&*panel.x.label, &*panel.y.label]);
    let labels: Vec<[&str; 2]> = labels.collect();
    assert_eq!(labels[2..4], [["time", "rate"], ["", "weight"]]);
    assert!(figure.styled(&style(20.0)).is_err());
}
