//! Figures of a requested width: smaller panels, a legend below them, fewer columns.

use super::{EDGE_MM, Figure, font};
use crate::plot::{FigureError, Layer, Panel, Style, Ticks, font::TEXT_MM};

/// Smallest size of panels relative to their design, and their smallest width; smaller ones have no room for their ticks.
const SMALLEST: f64 = 0.5;
const LEAST_MM: f64 = 14.0;

/// A panel with its column.
type Placed<'a> = (usize, &'a Panel);

impl Figure {
    /// Returns the figure in a style. Lines and markers grow with the font; the data areas fill the width, with their
    /// proportions kept. Where there is no room beside the panels, the legend is below them, and where panels would be too
    /// small, they are in fewer columns and more rows.
    ///
    /// # Errors
    /// [`FigureError::Narrow`] if the labels alone are wider than the figure may be.
    pub fn styled(&self, style: &Style) -> Result<Self, FigureError> {
        let below = self.with_legend_below();
        let base = below.as_ref().unwrap_or(self);
        let fewer = (1..self.n_beside()).rev().map(|n| base.in_columns(n));
        let mut last = None;
        for figure in std::iter::once(self.clone())
            .chain(below.clone())
            .chain(fewer)
        {
            match figure.resized(style) {
                Ok(resized) => return Ok(resized),
                Err(narrow) => last = Some(narrow),
            }
        }
        Err(last.expect("the figure itself was tried"))
    }

    /// Returns the figure with the legends of all panels below them; `None` if there are none. Entries that look alike but
    /// have different names in different panels say which panel they are of.
    fn with_legend_below(&self) -> Option<Self> {
        let mut figure = self.clone();
        let mut found: Vec<(Layer, String, usize)> = Vec::new();
        for (place, (_, panel)) in figure.panels.iter_mut().enumerate() {
            for (look, name) in panel.layers.iter_mut().filter_map(Layer::take_legend) {
                let is_known = |known: &(Layer, String, usize)| known.0 == look && known.1 == name;
                if !found.iter().any(is_known) {
                    found.push((look, name, place));
                }
            }
        }
        let has_twin = |look: &Layer| found.iter().filter(|other| other.0 == *look).count() > 1;
        let name = |(look, name, place): &(Layer, String, usize)| {
            if has_twin(look) {
                let panel = self.panels[*place].1.spoken_name(*place);
                look.clone().named(&format!("{panel}: {name}"))
            } else {
                look.clone().named(name)
            }
        };
        figure.legend = found.iter().map(name).collect();
        (!figure.legend.is_empty()).then_some(figure)
    }

    /// Returns the largest number of panels beside each other, without colour bars.
    fn n_beside(&self) -> usize {
        let rows = 0..self.rows_mm.len();
        rows.map(|row| self.row(row).len()).max().unwrap_or(0)
    }

    /// Returns the panels of a row from left to right, each with its column and its colour bar.
    fn row(&self, row: usize) -> Vec<(Placed<'_>, Option<Placed<'_>>)> {
        let own = self.panels.iter().filter(|(place, _)| place[0] == row);
        let mut own: Vec<Placed> = own.map(|(place, panel)| (place[1], panel)).collect();
        own.sort_by_key(|(column, _)| *column);
        let mut found: Vec<(Placed, Option<Placed>)> = Vec::new();
        for (column, panel) in own {
            match found.last_mut() {
                Some((_, bar)) if panel.bar.is_some() && bar.is_none() => {
                    *bar = Some((column, panel));
                }
                _ => found.push(((column, panel), None)),
            }
        }
        found
    }

    /// Returns the figure with at most `n` panels beside each other: a row of more continues below. Panels that are no longer
    /// beside or above the one that has their labels get these labels.
    fn in_columns(&self, n: usize) -> Self {
        let mut figure = Self {
            columns_mm: vec![0.0; 2 * n],
            rows_mm: Vec::new(),
            panels: Vec::new(),
            ..self.clone()
        };
        for row in 0..self.rows_mm.len() {
            let own = self.row(row);
            for part in own.chunks(n) {
                let new_row = figure.rows_mm.len();
                figure.rows_mm.push(self.rows_mm[row]);
                for (k, ((column, panel), bar)) in part.iter().enumerate() {
                    let mut moved = (*panel).clone();
                    if k == 0 {
                        moved.take_y_label(own[0].0.1);
                    }
                    moved.take_x_labels(self, *column);
                    figure.put(new_row, 2 * k, self.columns_mm[*column], moved);
                    if let Some((column, bar)) = bar {
                        figure.put(new_row, 2 * k + 1, self.columns_mm[*column], (*bar).clone());
                    }
                }
            }
        }
        figure.without_empty_columns()
    }

    /// Places a panel, and widens its column to a width.
    fn put(&mut self, row: usize, column: usize, width_mm: f64, panel: Panel) {
        let widest = &mut self.columns_mm[column];
        *widest = widest.max(width_mm);
        self.panels.push(([row, column], panel));
    }

    fn without_empty_columns(mut self) -> Self {
        let is_used = |column: &usize| self.panels.iter().any(|(place, _)| place[1] == *column);
        let used: Vec<usize> = (0..self.columns_mm.len()).filter(is_used).collect();
        for (place, _) in &mut self.panels {
            place[1] = used.partition_point(|column| *column < place[1]);
        }
        self.columns_mm = used.iter().map(|column| self.columns_mm[*column]).collect();
        self
    }

    /// Returns the figure with the size and font of a style.
    fn resized(&self, style: &Style) -> Result<Self, FigureError> {
        let magnification = style.magnification();
        let resized = |factor: f64| {
            let mut figure = self.clone();
            figure.magnification = magnification;
            let columns = figure.columns_mm.iter_mut().enumerate();
            // A colour bar keeps its width.
            let data = columns.filter(|(k, _)| !self.is_of_bars(*k));
            data.for_each(|(_, mm)| *mm *= factor);
            figure.rows_mm.iter_mut().for_each(|mm| *mm *= factor);
            figure
        };
        let Some(width) = style.width_mm else {
            return Ok(resized(1.0 / magnification));
        };
        let width_of = |factor: f64| resized(factor).needed_mm();
        let smallest = self.smallest();
        let needed = width_of(smallest);
        if needed > width {
            return Err(FigureError::Narrow { width, needed });
        }
        let mut range = [smallest, 2.0];
        while width_of(range[1]) < width && range[1] < 1e3 {
            range[1] *= 2.0;
        }
        for _ in 0..40 {
            let middle = (range[0] + range[1]) / 2.0;
            range[usize::from(width_of(middle) > width)] = middle;
        }
        Ok(resized(range[0]))
    }

    /// Returns the width on paper, of the panels or of the legend below them.
    fn needed_mm(&self) -> f64 {
        let panels = self.width_mm();
        let legend = if self.legend.is_empty() {
            0.0
        } else {
            self.legend_columns(panels).1 + 2.0 * EDGE_MM
        };
        self.magnification * panels.max(legend)
    }

    /// Returns the smallest factor of the size of the panels: where axes with round ticks still have room for two labels.
    fn smallest(&self) -> f64 {
        let is_round = |panel: &Panel| panel.x.ticks == Ticks::Round;
        let of_panel = |([_, column], panel): &([usize; 2], Panel)| {
            let width = self.columns_mm[*column];
            if panel.bar.is_none() && is_round(panel) && width > LEAST_MM {
                LEAST_MM / width
            } else {
                0.0
            }
        };
        self.panels.iter().map(of_panel).fold(SMALLEST, f64::max)
    }
}

impl Panel {
    /// Returns a name for the legend: the title, the label of an axis, or the number of the panel.
    fn spoken_name(&self, place: usize) -> String {
        let names = [&self.title, &self.y.label, &self.x.label];
        let short = |name: &&&String| !name.is_empty() && font::width(name) * TEXT_MM < 30.0;
        match names.iter().find(short) {
            Some(name) => (**name).clone(),
            None => format!("panel {}", place + 1),
        }
    }

    /// Takes the label and the ticks of a y axis that another panel shares with this one.
    fn take_y_label(&mut self, other: &Panel) {
        if self.y.label.is_empty() && self.y.range == other.y.range {
            self.y = other.y.clone();
        }
    }

    /// Takes the title of the uppermost panel of its former column, and the label of the x axis of the lowest one.
    fn take_x_labels(&mut self, figure: &Figure, column: usize) {
        let mut own: Vec<&([usize; 2], Panel)> = figure.panels.iter().collect();
        own.retain(|(place, _)| place[1] == column);
        own.sort_by_key(|(place, _)| place[0]);
        let [Some((_, first)), Some((_, last))] = [own.first(), own.last()] else {
            return;
        };
        let row = figure.row(0);
        let are_titled = row.iter().all(|((_, panel), _)| !panel.title.is_empty());
        if self.title.is_empty() && are_titled {
            self.title.clone_from(&first.title);
        }
        if self.x.label.is_empty() && self.x.ticks != Ticks::None {
            self.x.label.clone_from(&last.x.label);
        }
    }
}
