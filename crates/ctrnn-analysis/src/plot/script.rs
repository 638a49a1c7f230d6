//! A figure as a script for Python, which draws it with matplotlib from the arrays of its analysis.

use std::fmt::Write as _;

use super::canvas::RIBBON_OPACITY;
use super::draw::Frame;
use super::font::{SMALL_MM, TEXT_MM};
use super::sources::{Sources, number, text};
use super::{ColourMap, Figure, HeatMap, Layer, Marker, Panel, Rgb, Ticks};
use crate::text::filled;

const TEMPLATE: &str = include_str!("script.py");
const POINTS_PER_MM: f64 = 72.0 / 25.4;
/// Largest number of points of a line that is drawn together with its neighbours of the same style.
const MOST_JOINED: usize = 8;

/// Names of the files of a script.
pub(crate) struct ScriptFiles<'a> {
    /// Name of the npz file without its extension.
    pub stem: &'a str,
    /// Suffix of the figure.
    pub suffix: &'a str,
}

impl Figure {
    /// Writes the script of a figure. Its numbers come from the arrays of `sources`, to which others are added.
    pub(crate) fn to_script(
        &self,
        title: &str,
        files: &ScriptFiles,
        sources: &mut Sources,
    ) -> String {
        let [width, height] = self.size_mm();
        let fonts = [TEXT_MM, SMALL_MM].map(|mm| short(mm * self.magnification() * POINTS_PER_MM));
        let script = format!("{}{}.py", plain(files.stem), files.suffix);
        let values = [
            ("title", title),
            ("script", &script),
            ("version", env!("CARGO_PKG_VERSION")),
            ("npz", &text(&format!("{}.npz", files.stem))),
            ("size", &format!("{}, {}", short(width), short(height))),
            ("fonts", &fonts.join(", ")),
            ("panels", &self.panels_script(files.suffix, sources)),
        ];
        filled(TEMPLATE, &values)
    }

    /// Writes the lines that draw the title and the panels.
    fn panels_script(&self, suffix: &str, sources: &mut Sources) -> String {
        let magnification = self.magnification();
        let mut panels = String::new();
        if !self.title.is_empty() {
            let title = text(&self.title_lines().join("\n"));
            let _ = writeln!(panels, "figure.suptitle({title}, x=0.01, ha=\"left\")\n");
        }
        let tilted = self.tilted();
        for (k, (frame, panel)) in self.placed().into_iter().enumerate() {
            let data_name = format!("figure{suffix}.{k}");
            let mut writer = PanelWriter {
                panel,
                frame: &frame,
                tilted,
                magnification,
                data_name,
                sources,
                lines: Vec::new(),
            };
            writer.write();
            let _ = writeln!(panels, "# Panel {}", k + 1);
            for line in writer.lines {
                let _ = writeln!(panels, "{line}");
            }
            panels.push('\n');
        }
        if !self.legend.is_empty() {
            let _ = writeln!(panels, "{}\n", self.legend_script());
        }
        panels
    }
}

impl Figure {
    /// Writes the line that draws the legend below the panels.
    fn legend_script(&self) -> String {
        let entry = |layer: &Layer| {
            let (ink, name) = layer.legend()?;
            let look = match layer {
                Layer::Points { marker, .. } => {
                    let (letter, style) = marker_style(*marker, 0.7 * self.magnification());
                    format!("marker=\"{letter}\", linestyle=\"\", {style}")
                }
                Layer::Line { dashed: true, .. } => "dashes=(6, 4)".to_owned(),
                _ => "linestyle=\"-\"".to_owned(),
            };
            let (ink, name) = (hex(ink), text(name));
            Some(format!(
                "    plt.Line2D([], [], color={ink}, {look}, label={name}),\n"
            ))
        };
        let entries: String = self.legend.iter().filter_map(entry).collect();
        let (n, _) = self.legend_columns(self.size_mm()[0] / self.magnification());
        format!("figure.legend(handles=[\n{entries}], loc=\"lower left\", ncols={n})")
    }
}

/// Returns a name for a comment: without quotes, backslashes and control characters.
fn plain(name: &str) -> String {
    let is_plain = |c: &char| !c.is_control() && !['"', '\\', '{'].contains(c);
    name.chars().filter(is_plain).collect()
}

/// Formats a size with at most three decimals.
fn short(x: f64) -> String {
    number((1000.0 * x).round() / 1000.0)
}

fn hex(Rgb([r, g, b]): Rgb) -> String {
    format!("\"#{r:02x}{g:02x}{b:02x}\"")
}

fn pair([low, high]: [f64; 2]) -> String {
    format!("({}, {})", number(low), number(high))
}

/// Style of a line without a name.
#[derive(PartialEq)]
struct LineStyle {
    colour: Rgb,
    width_mm: f64,
    dashed: bool,
}

struct PanelWriter<'a> {
    panel: &'a Panel,
    frame: &'a Frame,
    tilted: bool,
    magnification: f64,
    /// Beginning of the names of arrays that are added.
    data_name: String,
    sources: &'a mut Sources,
    lines: Vec<String>,
}

impl PanelWriter<'_> {
    fn write(&mut self) {
        let mm = |x: f64| short(x * self.magnification);
        let ([left, top], [width, height]) = (self.frame.corner.map(mm), self.frame.size.map(mm));
        let axes = format!("ax = panel({left}, {top}, {width}, {height})");
        self.lines.push(axes);
        if let Some((scale, map)) = self.panel.bar {
            return self.colour_bar(scale, map);
        }
        let mut from = 0;
        while from < self.panel.layers.len() {
            from += self.layers(from);
        }
        self.title();
        self.axes();
        let is_named = self
            .panel
            .layers
            .iter()
            .any(|layer| layer.legend().is_some());
        if is_named {
            let legend = "ax.legend(loc=\"upper left\", bbox_to_anchor=(1.02, 1))";
            self.lines.push(legend.to_owned());
        }
    }

    /// Returns the argument for the place of the name of the band at `at`, unless it is at the middle of the band.
    fn label_place(&self, at: usize) -> String {
        let width_mm = self.frame.size[0];
        let places = |tilted: bool| self.panel.label_places(width_mm, tilted);
        let bands = self.panel.layers[..at].iter();
        let k = bands.filter_map(Panel::labelled_band).count();
        match (places(self.tilted).get(k), places(false).get(k)) {
            (Some((place, _)), Some((middle, _))) if place > middle => {
                let [low, high] = self.panel.ranges()[0];
                format!(", at={}", number(low + place / width_mm * (high - low)))
            }
            _ => String::new(),
        }
    }

    fn colour_bar(&mut self, [low, high]: [f64; 2], map: ColourMap) {
        let norm = format!("Normalize({}, {})", number(low), number(high));
        let label = text(&self.panel.y.label);
        self.lines.push(format!(
            "figure.colorbar(ScalarMappable({norm}, {}), cax=ax, ticklocation=\"left\", label={label})",
            map_name(map)
        ));
    }

    /// Writes the layer at a place, together with following ones that belong to it; returns their number.
    fn layers(&mut self, at: usize) -> usize {
        let rest = &self.panel.layers[at..];
        match &rest[0] {
            Layer::Line { .. } => {
                let style = line_style(&rest[0]);
                let alike = |layer: &&Layer| style.is_some() && line_style(layer) == style;
                let n = rest.iter().take_while(alike).count();
                match n {
                    0 | 1 => self.line(at, &rest[0]),
                    _ => self.lines_of_one_style(at, &rest[..n]),
                }
                n.max(1)
            }
            Layer::Box { .. } => {
                let is_box = |layer: &&Layer| matches!(layer, Layer::Box { .. });
                let n = rest.iter().take_while(is_box).count();
                self.boxes(at, &rest[..n]);
                n
            }
            other => {
                self.single(at, other);
                1
            }
        }
    }

    fn vector(&mut self, at: usize, what: &str, values: &[f64]) -> String {
        let name = format!("{}.{at}.{what}", self.data_name);
        self.sources.vector(values, || name)
    }

    fn line(&mut self, at: usize, layer: &Layer) {
        let Layer::Line {
            x,
            y,
            colour,
            width_mm,
            dashed,
            name,
        } = layer
        else {
            return;
        };
        let n = x.len().min(y.len());
        let [x, y] = [("x", x), ("y", y)].map(|(what, values)| self.vector(at, what, &values[..n]));
        let width = short(width_mm * self.magnification * POINTS_PER_MM);
        let dashes = if *dashed { ", dashes=(6, 4)" } else { "" };
        let label = label(name.as_deref());
        let colour = hex(*colour);
        self.lines.push(format!(
            "ax.plot({x}, {y}, color={colour}, linewidth={width}{dashes}{label})"
        ));
    }

    /// Writes lines of one style one by one if their numbers are known; otherwise joins them, with NaN in between.
    fn lines_of_one_style(&mut self, at: usize, layers: &[Layer]) {
        let is_known = layers.iter().all(|layer| match layer {
            Layer::Line { x, y, .. } => {
                let known = |values: &[f64]| self.sources.expression(values).is_some();
                x.len() > MOST_JOINED && known(x) && known(y)
            }
            _ => false,
        });
        if is_known || layers.len() < 3 {
            for (k, layer) in layers.iter().enumerate() {
                self.line(at + k, layer);
            }
            return;
        }
        let (mut all_x, mut all_y) = (Vec::new(), Vec::new());
        for layer in layers {
            if let Layer::Line { x, y, .. } = layer {
                let n = x.len().min(y.len());
                for (all, values) in [(&mut all_x, x), (&mut all_y, y)] {
                    all.extend(values[..n].iter().chain([&f64::NAN]));
                }
            }
        }
        let mut joined = layers[0].clone();
        if let Layer::Line { x, y, .. } = &mut joined {
            (*x, *y) = (all_x, all_y);
        }
        self.line(at, &joined);
    }

    /// Writes the boxes of each colour as bars.
    fn boxes(&mut self, at: usize, layers: &[Layer]) {
        let mut colours: Vec<Rgb> = Vec::new();
        for layer in layers {
            if let Layer::Box { colour, .. } = layer
                && !colours.contains(colour)
            {
                colours.push(*colour);
            }
        }
        for (k, ink) in colours.into_iter().enumerate() {
            let sides = layers.iter().filter_map(|layer| match layer {
                Layer::Box { x, y, colour } if *colour == ink => {
                    Some([x[0], x[1] - x[0], y[0], y[1] - y[0]])
                }
                _ => None,
            });
            let sides: Vec<[f64; 4]> = sides.collect();
            let mut side = |column: usize, what: &str| {
                let values: Vec<f64> = sides.iter().map(|side| side[column]).collect();
                self.number_or_vector(at + k, what, &values)
            };
            let (left, width) = (side(0, "left"), side(1, "width"));
            let (bottom, height) = (side(2, "bottom"), side(3, "height"));
            let colour = hex(ink);
            self.lines.push(format!(
                "ax.bar({left}, {height}, {width}, {bottom}, align=\"edge\", color={colour}, linewidth=0)"
            ));
        }
    }

    /// Returns the expression of some values: a number if all are the same, otherwise a vector.
    fn number_or_vector(&mut self, at: usize, what: &str, values: &[f64]) -> String {
        let is_same = |x: &f64| (x - values[0]).abs() <= 1e-9 * values[0].abs();
        if values.iter().all(is_same) {
            number(values[0])
        } else {
            self.vector(at, what, values)
        }
    }

    fn single(&mut self, at: usize, layer: &Layer) {
        let line = match layer {
            Layer::Points {
                x,
                y,
                colour,
                radius_mm,
                marker,
                name,
            } => {
                let n = x.len().min(y.len());
                let [x, y] =
                    [("x", x), ("y", y)].map(|(what, values)| self.vector(at, what, &values[..n]));
                let (letter, style) = marker_style(*marker, *radius_mm * self.magnification);
                let (ink, label) = (hex(*colour), label(name.as_deref()));
                format!(
                    "ax.plot({x}, {y}, \"{letter}\", color={ink}, {style}, clip_on=False{label})"
                )
            }
            Layer::Ribbon {
                x,
                low,
                high,
                colour,
            } => {
                let n = x.len().min(low.len()).min(high.len());
                let [x, low, high] = [("x", x), ("low", low), ("high", high)]
                    .map(|(what, values)| self.vector(at, what, &values[..n]));
                let ink = hex(*colour);
                format!(
                    "ax.fill_between({x}, {low}, {high}, color={ink}, alpha={RIBBON_OPACITY}, linewidth=0)"
                )
            }
            Layer::Band { x, colour, label } => {
                let ends = x.map(number).join(", ");
                let tilted = if self.tilted { ", tilted=True" } else { "" };
                let place = self.label_place(at);
                let (ink, label) = (hex(*colour), text(label));
                format!("band(ax, {ends}, {ink}, {label}{tilted}{place})")
            }
            Layer::HeatMap(map) => self.heat_map(at, map),
            Layer::Text {
                at: [x, y],
                text: content,
                colour,
            } => format!(
                "ax.text({}, {}, {}, color={}, fontsize=SMALL, ha=\"center\", va=\"center\")",
                number(*x),
                number(*y),
                text(content),
                hex(*colour)
            ),
            Layer::Line { .. } | Layer::Box { .. } => return,
        };
        self.lines.push(line);
    }

    fn heat_map(&mut self, at: usize, map: &HeatMap) -> String {
        let columns = map.columns.max(1);
        let n_rows = map.values.len() / columns;
        if n_rows == 0 {
            return "# an empty matrix".to_owned();
        }
        let name = format!("{}.{at}.values", self.data_name);
        let values = &map.values[..n_rows * columns];
        let values = self.sources.matrix(values, columns, || name);
        let [low, high] = map.scale.map(number);
        let [x, y] = [map.x, map.y].map(pair);
        let colours = map_name(map.map);
        format!("matrix(ax, {x}, {y}, {values}, {colours}, {low}, {high})")
    }

    fn title(&mut self) {
        let panel = self.panel;
        let lines: Vec<String> = panel.title_lines(self.frame.size[0]);
        if !lines.is_empty() {
            let pad = panel.band_height(self.tilted) * self.magnification * POINTS_PER_MM + 3.0;
            let title = text(&lines.join("\n"));
            let title = format!("ax.set_title({title}, loc=\"left\", pad={})", short(pad));
            self.lines.push(title);
        }
    }

    fn axes(&mut self) {
        let panel = self.panel;
        for (k, (letter, axis)) in [("x", &panel.x), ("y", &panel.y)].into_iter().enumerate() {
            if !axis.label.is_empty() {
                let lines = panel.x_label_lines(self.frame.size[0]).join("\n");
                let label = text([&lines, &axis.label][k]);
                self.lines.push(format!("ax.set_{letter}label({label})"));
            }
            let [low, high] = self.frame.ranges[k].map(number);
            self.lines
                .push(format!("ax.set_{letter}lim({low}, {high})"));
            let spine = ["bottom", "left"][k];
            match &axis.ticks {
                Ticks::Round => {
                    let ticks = if k == 0 {
                        panel.ticks_across(self.frame.size[0])
                    } else {
                        axis.ticks_on(self.frame.ranges[1])
                    };
                    let places: Vec<String> = ticks.iter().map(|(x, _)| number(*x)).collect();
                    self.lines
                        .push(format!("ax.set_{letter}ticks([{}])", places.join(", ")));
                }
                Ticks::At(_) => {
                    let ticks = axis.ticks_on(self.frame.ranges[k]);
                    let (places, names): (Vec<String>, Vec<String>) = ticks
                        .iter()
                        .map(|(x, name)| (number(*x), text(name)))
                        .unzip();
                    let (places, names) = (places.join(", "), names.join(", "));
                    let is_upright = k == 0 && panel.has_upright_labels(self.frame.size[0]);
                    let turn = if is_upright { ", rotation=90" } else { "" };
                    self.lines
                        .push(format!("ax.set_{letter}ticks([{places}], [{names}]{turn})"));
                }
                Ticks::None => self.lines.push(format!(
                    "ax.set_{letter}ticks([])\nax.spines[\"{spine}\"].set_visible(False)"
                )),
            }
        }
    }
}

fn label(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!(", label={}", text(name)))
}

/// Returns matplotlib's letter of a marker, and its size and edge.
fn marker_style(marker: Marker, radius_mm: f64) -> (&'static str, String) {
    let size = short(2.0 * radius_mm * POINTS_PER_MM);
    let (letter, edge) = match marker {
        Marker::Disc => ("o", "0"),
        Marker::Ring => ("o", "0.7, markerfacecolor=\"white\""),
        Marker::Square => ("s", "0"),
        Marker::Cross => ("+", "0.7"),
    };
    (letter, format!("markersize={size}, markeredgewidth={edge}"))
}

fn map_name(map: ColourMap) -> &'static str {
    match map {
        ColourMap::Blues => "BLUES",
        ColourMap::BlueWhiteRed => "BLUE_WHITE_RED",
    }
}

/// Returns the style of a line without a name.
fn line_style(layer: &Layer) -> Option<LineStyle> {
    match layer {
        Layer::Line {
            colour,
            width_mm,
            dashed,
            name: None,
            ..
        } => Some(LineStyle {
            colour: *colour,
            width_mm: *width_mm,
            dashed: *dashed,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arrays;
    use crate::plot::colour;

    fn script() -> (String, Vec<String>) {
        let t: Vec<f64> = (0..20).map(|k| 20.0 * f64::from(k + 1)).collect();
        let rate: Vec<f64> = t.iter().map(|t| 1.0 - (-t / 100.0).exp()).collect();
        let other: Vec<f64> = t.iter().map(|t| (t / 30.0).sin()).collect();
        let arrays = Arrays::default().with("t_ms", &t).with("rate", &rate);
        let mut figure = Figure::new(&[40.0, 2.5], &[30.0]);
        let band = Layer::Band {
            x: [0.0, 100.0],
            colour: Rgb::PALE,
            label: "delay".to_owned(),
        };
        figure
            .cell(0, 0)
            .title("a \"title\" of $5")
            .add(band)
            .add(Layer::line(t.clone(), rate[..10].to_vec(), colour(0)).named("rate"))
            .add(Layer::line(t, other, colour(1)).dashed().named("other"))
            .extend(Layer::error_bars(
                &[1.0, 2.0, 3.0],
                &[[0.0, 1.0]; 3],
                colour(1),
            ))
            .add(Layer::points(vec![40.0], vec![0.5], Rgb::BLACK))
            .x("time (ms)", [0.0, 400.0])
            .y("rate", [0.0, 1.0])
            .y_ticks(Ticks::At(vec![
                (0.0, "0".to_owned()),
                (1.0, "all".to_owned()),
            ]));
        figure
            .cell(0, 1)
            .colour_bar([0.0, 1.0], ColourMap::Blues, "bar");
        let mut sources = Sources::new(&arrays);
        let files = ScriptFiles {
            stem: "my \"pca\"",
            suffix: "_time",
        };
        let script = figure.to_script("A test", &files, &mut sources);
        (
            script,
            sources.added.into_iter().map(|(name, _)| name).collect(),
        )
    }

    /// The numbers are those of the file where it has them; only those of `other` and the joined bars are added.
    #[test]
    fn a_script_draws_what_the_figure_shows() {
        let (script, added) = script();
        for line in [
            "\"\"\"A test: draws this figure",
            "    python my pca_time.py [-o FILE]",
            "data = np.load(HERE.with_name(\"my \\\"pca\\\".npz\"), allow_pickle=False)",
            "band(ax, 0, 100, \"#eeeeee\", \"delay\")",
            "ax.plot(data[\"t_ms\"][:10], data[\"rate\"][:10], color=\"#0072b2\", linewidth=0.709, label=\"rate\")",
            "ax.plot(data[\"t_ms\"], data[\"figure_time.0.2.y\"], color=\"#d55e00\", linewidth=0.709, dashes=(6, 4), label=\"other\")",
            "ax.plot([40], [0.5], \"o\", color=\"#000000\", markersize=3.402, markeredgewidth=0, clip_on=False)",
            "ax.set_title(\"a \\\"title\\\" of $5\", loc=\"left\", pad=",
            "ax.set_xlim(0, 400)",
            "ax.set_yticks([0, 1], [\"0\", \"all\"])",
            "ax.legend(loc=\"upper left\", bbox_to_anchor=(1.02, 1))",
            "figure.colorbar(ScalarMappable(Normalize(0, 1), BLUES), cax=ax, ticklocation=\"left\", label=\"bar\")",
        ] {
            assert!(script.contains(line), "{line}\n{script}");
        }
        assert_eq!(
            added,
            ["figure_time.0.2.y"],
            "nine numbers of error bars are written out"
        );
        assert!(!script.contains("{{"));
    }
}
