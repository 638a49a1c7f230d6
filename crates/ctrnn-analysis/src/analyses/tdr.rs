//! Targeted dimensionality reduction: axes of the state space that encode the variables of a task.

mod regression;

use ctrnn_tasks::counted;
use ndarray::{Array1, Array2, Array3, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::regression::{Regression, regression};
use super::{Answer, Unsuitable};
use crate::arrays::ArrayDoc;
use crate::decision_times::onset;
use crate::epochs::Epochs;
use crate::evidence::CONTEXTS;
use crate::groups::{Group, numbers};
use crate::plot::{Figure, Layer, Panel, Rgb, Scale, colour, level_colour, panel_mm};
use crate::responses::Responses;
use crate::text::short;
use crate::variables::{self, Regressor, Role, Variable, regressors, selector, shown};
use crate::{Arrays, Study};

/// Largest number of regressors without a list of them.
const MOST_REGRESSORS: usize = 6;

/// Largest number of rows and of columns of panels.
const MOST_PANELS: usize = 4;

/// Largest number of levels by which trajectories are sorted in a panel.
const MOST_LEVELS: usize = 12;

/// Settings of targeted dimensionality reduction; the defaults are those of Mante et al. (2013).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TdrOptions {
    /// Regressors in the order in which their axes are made orthogonal: `choice`, `correct` (the correct choice), names of
    /// conditions, products `a*b` and differences `a-b` of two. Empty for the choice, the evidence, other numbers and
    /// contexts, in this order.
    pub regressors: Vec<String>,
    /// Standard deviation in ms of the Gaussian that smooths rates in time; 0 for none.
    pub smoothing_ms: f64,
    /// Number of principal components that denoise the regression coefficients.
    pub components: usize,
}

impl Default for TdrOptions {
    fn default() -> Self {
        Self {
            regressors: Vec::new(),
            smoothing_ms: 40.0,
            components: 12,
        }
    }
}

/// Trajectories on the axes of task variables.
#[derive(Clone, Debug)]
pub struct Tdr {
    /// Names of the regressors, in the order of their axes.
    pub names: Vec<String>,
    /// Names of the regressors in texts and figures.
    pub labels: Vec<String>,
    /// Regression with the axes of the regressors.
    pub regression: Regression,
    /// Trials to which all variables apply.
    pub trials: Vec<usize>,
    /// Mean of the smoothed rate of each unit, which is subtracted.
    pub mean: Array1<f64>,
    /// Standard deviation of the smoothed rate of each unit, by which it is divided.
    pub std: Array1<f64>,
    /// Projections of the z-scored responses on the axes, `[trial, time, axis]`; NaN after the end of a trial.
    pub scores: Array3<f64>,
    /// Trajectories by context, sorted by a variable.
    pub panels: Vec<Sorting>,
    /// Name of the choice whose lines are dashed.
    dashed: Option<String>,
    n_columns: usize,
    epochs: Epochs,
    dt_ms: f64,
}

/// Trajectories of one panel: means over the trials of each level of a variable and each choice.
#[derive(Clone, Debug)]
pub struct Sorting {
    /// Name of the context; empty if there is only one.
    pub context: String,
    /// Label and unit of the variable by which trials are sorted.
    pub by: String,
    /// Index of the horizontal and of the vertical axis.
    pub axes: [usize; 2],
    /// Trajectories.
    pub lines: Vec<Line>,
}

/// Mean trajectory of the trials of one level and one choice.
#[derive(Clone, Debug)]
pub struct Line {
    /// Index of the level, and the number of levels.
    pub level: [usize; 2],
    /// Name of the level.
    pub name: String,
    /// Index of the choice among the alternatives; 0 if trials are not divided by it.
    pub choice: usize,
    /// Number of trials.
    pub n_trials: usize,
    /// Coordinates on all axes, `[time, axis]`.
    pub values: Array2<f64>,
    scale: Scale,
}

impl Answer for Tdr {
    type Options = TdrOptions;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "axes",
            "[axis, unit]",
            "",
            "orthonormal axes of the regressors",
        ),
        ArrayDoc::new("axis_names", "[axis]", "", "names of the regressors"),
        ArrayDoc::new(
            "raw_axes",
            "[axis, unit]",
            "",
            "unit vectors of the regression coefficients at their peak, before they are made orthogonal",
        ),
        ArrayDoc::new(
            "coefficients",
            "[axis, time, unit]",
            "standard deviations",
            "denoised regression coefficients of z-scored responses; NaN where fewer than half of the trials are running",
        ),
        ArrayDoc::new(
            "peak",
            "[axis]",
            "time steps",
            "index of the time of each axis",
        ),
        ArrayDoc::new(
            "components",
            "[component, unit]",
            "",
            "principal components of the condition averages that denoise",
        ),
        ArrayDoc::new("mean", "[unit]", "rate", "mean that is subtracted"),
        ArrayDoc::new(
            "std",
            "[unit]",
            "rate",
            "standard deviation that is divided by",
        ),
        ArrayDoc::new(
            "trials",
            "[k]",
            "",
            "trials of the regression, numbered from 0",
        ),
        ArrayDoc::new(
            "scores",
            "[k, time, axis]",
            "standard deviations",
            "projections of the responses of these trials; NaN after the end of a trial",
        ),
        ArrayDoc::new(
            "panel_{}_axes",
            "[2]",
            "",
            "horizontal and vertical axis of a panel of the figure",
        ),
        ArrayDoc::new(
            "panel_{}_courses",
            "[line, time, axis]",
            "standard deviations",
            "trajectories of a panel; NaN after their end",
        ),
        ArrayDoc::new(
            "panel_{}_levels",
            "[line, 3]",
            "",
            "level, choice and number of trials of each trajectory",
        ),
        ArrayDoc::new(
            "panel_{}_names",
            "[line]",
            "",
            "names of the levels of the trajectories",
        ),
    ];

    fn compute(study: &Study, options: &TdrOptions) -> Result<Self, Unsuitable> {
        let variables = chosen(study, &options.regressors)?;
        let columns = regressors(&variables);
        if columns.len() < 2 {
            return Err(too_few(study));
        }
        let trials = shown(study, &variables);
        if trials.is_empty() {
            return Err(Unsuitable::lacks("no trial has a value of every variable"));
        }
        let design = Array2::from_shape_fn((trials.len(), columns.len()), |(i, k)| {
            columns[k].values[trials[i]]
        });
        let dt_ms = study.dynamics.dt_ms;
        let width = options.smoothing_ms / dt_ms;
        let responses = Responses::of(&study.rates, &study.batch.n_steps, &trials, width);
        let from = first_steps(study, &variables, &columns);
        let regression = regression(
            &responses,
            design.view(),
            &columns,
            options.components,
            &from,
        )?;
        let (panels, n_columns) = panels(study, &variables, &columns, &trials, |own| {
            responses.mean_course(own).dot(&regression.axes.t())
        });
        Ok(Self {
            labels: columns.iter().map(|column| column.label.clone()).collect(),
            names: columns.into_iter().map(|column| column.name).collect(),
            scores: scores(&responses, &regression.axes),
            panels,
            dashed: variables
                .iter()
                .find(|variable| variable.role == Role::Choice && variable.n_levels() == 2)
                .map(|variable| variable.levels[1].1.clone()),
            n_columns,
            epochs: Epochs::of(study),
            regression,
            trials,
            mean: responses.mean,
            std: responses.std,
            dt_ms,
        })
    }

    fn arrays(&self) -> Arrays {
        let arrays = Arrays::default()
            .with("axes", &self.regression.axes)
            .with("axis_names", &self.names)
            .with("raw_axes", &self.regression.raw_axes)
            .with("coefficients", &self.regression.coefficients)
            .with("components", &self.regression.components)
            .with("scores", &self.scores)
            .with("trials", &self.trials)
            .with("mean", &self.mean)
            .with("std", &self.std)
            .with("peak", &self.regression.peak);
        let panels = self.panels.iter().enumerate();
        panels.fold(arrays, |arrays, (k, panel)| {
            let names = panel.lines.iter().map(|line| line.name.clone());
            arrays
                .with(format!("panel_{k}_axes"), &panel.axes.to_vec())
                .with(format!("panel_{k}_courses"), &panel.courses())
                .with(format!("panel_{k}_levels"), &panel.levels())
                .with(format!("panel_{k}_names"), &names.collect::<Vec<String>>())
        })
    }

    fn statements(&self) -> Vec<String> {
        let jitter = self.epochs.statement();
        [
            format!(
                "axes, made orthogonal in this order, with the time of each: {}",
                self.times_of_axes()
            ),
            format!(
                "regression over {} of {}; lines: means over the trials of a level{} ({})",
                counted(self.trials.len(), "trial"),
                counted(self.mean.len(), "unit"),
                if self.dashed.is_some() {
                    " and choice"
                } else {
                    ""
                },
                self.numbers()
            ),
            format!(
                "coefficients denoised with {} of the condition averages",
                counted(self.regression.components.nrows(), "principal component")
            ),
        ]
        .into_iter()
        .chain(jitter)
        .collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        vec![("", self.draw_panels()), ("_time", self.draw_weights())]
    }
}

impl Tdr {
    /// Describes the time at which each axis is taken.
    fn times_of_axes(&self) -> String {
        let at = |(label, &t): (&String, &usize)| {
            format!("{label} at {} ms", short((t + 1) as f64 * self.dt_ms))
        };
        let axes = self.labels.iter().zip(&self.regression.peak);
        axes.map(at).collect::<Vec<String>>().join(", ")
    }

    /// Returns the numbers of trials of the lines.
    fn numbers(&self) -> String {
        let lines = self.panels.iter().flat_map(|panel| &panel.lines);
        numbers(lines.map(|line| line.n_trials))
    }

    fn draw_panels(&self) -> Figure {
        let n_rows = self.panels.len().div_ceil(self.n_columns.max(1));
        let side_mm = panel_mm(self.n_columns, 36.0);
        let mut figure = Figure::new(&vec![side_mm; self.n_columns], &vec![32.0; n_rows]);
        figure.title = self.numbers();
        if let Some(choice) = &self.dashed {
            figure.title += &format!("; dashed lines: choice {choice}");
        }
        let bounds = self.bounds();
        for (k, sorting) in self.panels.iter().enumerate() {
            let (row, column) = (k / self.n_columns, k % self.n_columns);
            let panel = figure.cell(row, column);
            let [x, y] = sorting.axes;
            // Neighbours that are sorted by one variable share a legend.
            let is_last = column + 1 == self.n_columns;
            let next = self.panels.get(k + 1).filter(|_| !is_last);
            sorting.draw(panel, next.is_none_or(|next| next.by != sorting.by));
            panel
                .x(&format!("{} axis", self.labels[x]), bounds[x])
                .y(&format!("{} axis", self.labels[y]), bounds[y]);
        }
        figure
    }

    /// Returns the range of each axis over all panels, so that panels can be compared.
    fn bounds(&self) -> Vec<[f64; 2]> {
        let of = |axis: usize| {
            let lines = self.panels.iter().flat_map(|panel| &panel.lines);
            let values = lines.flat_map(|line| line.values.column(axis).to_vec());
            crate::plot::range_of(values, 0.06)
        };
        (0..self.names.len()).map(of).collect()
    }

    /// Draws the size of the regression coefficients over time, with a disc at the time of each axis.
    fn draw_weights(&self) -> Figure {
        let coefficients = &self.regression.coefficients;
        let size = |k: usize, t: usize| {
            let weights = coefficients.slice(s![k, t, ..]);
            weights.mapv(|x| x * x).mean().unwrap_or(0.0).sqrt()
        };
        let n_steps = coefficients.dim().1;
        let known: Vec<usize> = (0..n_steps).filter(|&t| size(0, t).is_finite()).collect();
        let ms = |t: usize| (t + 1) as f64 * self.dt_ms;
        let mut figure = Figure::new(&[60.0], &[38.0]);
        let panel = figure.cell(0, 0);
        for (k, label) in self.labels.iter().enumerate() {
            let x = known.iter().map(|&t| ms(t)).collect();
            let y = known.iter().map(|&t| size(k, t)).collect();
            let peak = self.regression.peak[k];
            panel
                .add(Layer::line(x, y, colour(k)).wide(0.3).named(label))
                .add(Layer::points(vec![ms(peak)], vec![size(k, peak)], colour(k)).radius(0.8));
        }
        panel
            .y_label("regression weight (r.m.s. over units)")
            .time_axis();
        self.epochs.mark(panel);
        figure
    }
}

impl Sorting {
    /// Draws the trajectories on the plane of the two axes; those of the second choice are dashed, discs mark their
    /// starts.
    fn draw(&self, panel: &mut Panel, is_named: bool) {
        let mut named: Vec<usize> = Vec::new();
        for line in &self.lines {
            let [level, n_levels] = line.level;
            let ink = level_colour(level, n_levels, line.scale);
            let [x, y] = self.axes.map(|axis| line.values.column(axis).to_vec());
            let start = [&x, &y].map(|side| side.iter().take(1).copied().collect::<Vec<f64>>());
            let [x0, y0] = start;
            let mut layer = Layer::line(x, y, ink).wide(0.35);
            if line.choice > 0 {
                layer = layer.dashed();
            }
            if is_named && !named.contains(&level) {
                layer = layer.named(&line.name);
                named.push(level);
            }
            panel
                .add(layer)
                .add(Layer::points(x0, y0, Rgb([120, 120, 120])).radius(0.7));
        }
        let by = format!("sorted by {}", self.by);
        panel.title(if self.context.is_empty() {
            by
        } else {
            format!("{}, {by}", self.context)
        });
    }

    fn courses(&self) -> Array3<f64> {
        let longest = self.lines.iter().map(|line| line.values.nrows()).max();
        let n_axes = self.lines.first().map_or(0, |line| line.values.ncols());
        let shape = (self.lines.len(), longest.unwrap_or(0), n_axes);
        let mut all = Array3::from_elem(shape, f64::NAN);
        for (mut own, line) in all.outer_iter_mut().zip(&self.lines) {
            own.slice_mut(s![..line.values.nrows(), ..])
                .assign(&line.values);
        }
        all
    }

    fn levels(&self) -> Array2<f64> {
        Array2::from_shape_fn((self.lines.len(), 3), |(i, k)| {
            let line = &self.lines[i];
            [line.level[0], line.choice, line.n_trials][k] as f64
        })
    }
}

/// Returns the variables of the named regressors, or those of the task in the order of their roles.
fn chosen(study: &Study, names: &[String]) -> Result<Vec<Variable>, Unsuitable> {
    if !names.is_empty() {
        return names
            .iter()
            .map(|name| variables::named(study, name))
            .collect();
    }
    let mut found = variables::natural(study);
    found.sort_by_key(|variable| variable.role);
    let mut n_regressors = 0;
    found.retain(|variable| {
        let own = regressors(std::slice::from_ref(variable)).len();
        let fits = n_regressors + own <= MOST_REGRESSORS;
        n_regressors += if fits { own } else { 0 };
        fits
    });
    Ok(found)
}

/// Returns the error of trials without two regressors by default, with the setting that names those that there are.
fn too_few(study: &Study) -> Unsuitable {
    let mut names: Vec<String> = variables::natural(study)
        .into_iter()
        .map(|variable| variable.name)
        .collect();
    let has_choice = names.iter().any(|name| name == "choice");
    if !has_choice && variables::named(study, "correct").is_ok() {
        names.push("correct".to_owned());
    }
    if names.len() < 2 {
        return Unsuitable::lacks("fewer than two variables differ from trial to trial");
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    Unsuitable::Lacks(format!(
        "the variables have more than {MOST_REGRESSORS} categories, each of which would be an axis; to use them all, add 'tdr.regressors=[{}]', or choose trials with --where",
        quoted.join(",")
    ))
}

/// Returns the time step of each regressor from which on its axis is taken: the median onset of the stimulus, before which
/// there is neither evidence nor a choice; the start of the trial for contexts, which may be shown before.
fn first_steps(study: &Study, variables: &[Variable], columns: &[Regressor]) -> Vec<usize> {
    let mut onsets: Vec<usize> = (0..study.batch.n_trials).map(|b| onset(study, b)).collect();
    onsets.sort_unstable();
    let median = onsets.get(onsets.len() / 2).copied().unwrap_or(0);
    let is_context = |column: &Regressor| {
        let variable = &variables[column.variable];
        CONTEXTS.contains(&variable.name.as_str())
    };
    let first = |column: &Regressor| if is_context(column) { 0 } else { median };
    columns.iter().map(first).collect()
}

fn scores(responses: &Responses, axes: &Array2<f64>) -> Array3<f64> {
    let (n_trials, n_steps, _) = responses.values.dim();
    let mut scores = Array3::from_elem((n_trials, n_steps, axes.nrows()), f64::NAN);
    for (i, mut own) in scores.outer_iter_mut().enumerate() {
        let n = responses.n_steps[i];
        let states = responses.values.index_axis(Axis(0), i);
        own.slice_mut(s![..n, ..])
            .assign(&states.slice(s![..n, ..]).dot(&axes.t()));
    }
    scores
}

/// Variables of the panels, as indices.
struct PanelVariables {
    /// The choice between two alternatives.
    choice: Option<usize>,
    /// Axis, not variable, that is upright in all panels: that of the choice, or else of the last variable.
    up: usize,
    /// Variable whose values have a row each.
    context: Option<usize>,
    /// Variables with an axis across, by which trials are sorted.
    sorted: Vec<usize>,
}

impl PanelVariables {
    fn of(variables: &[Variable], columns: &[Regressor]) -> Self {
        let all = || 0..variables.len();
        let is_choice =
            |k: &usize| variables[*k].role == Role::Choice && variables[*k].n_levels() == 2;
        let choice = all().find(is_choice);
        let upright = choice.unwrap_or(variables.len() - 1);
        let up = match axis_of(columns, upright) {
            Some(up) if variables.len() > 1 => up,
            _ => 1, // a single variable with several regressors
        };
        let is_context = |k: &usize| {
            let n_levels = variables[*k].n_levels();
            variables[*k].role == Role::Category && *k != upright && n_levels <= MOST_PANELS
        };
        let context = all().find(is_context);
        let others = all().filter(|&k| k != upright && Some(k) != context);
        let mut sorted: Vec<usize> = others.take(MOST_PANELS - 1).collect();
        if sorted.is_empty() {
            sorted.push(context.unwrap_or(upright));
        }
        Self {
            choice,
            up,
            context,
            sorted,
        }
    }
}

fn axis_of(columns: &[Regressor], variable: usize) -> Option<usize> {
    columns
        .iter()
        .position(|column| column.variable == variable)
}

/// Returns the panels, row by row, and their number in a row.
///
/// There is a row for each context, and in it the choice over the axis of each variable, sorted by that variable. With
/// two kinds of evidence, one of which counts in each context, the panel in the middle shows the axis of the one that
/// does not count, sorted by the one that does (Mante et al. 2013, Fig. 2). Trials with a wrong choice are left out.
fn panels(
    study: &Study,
    variables: &[Variable],
    columns: &[Regressor],
    trials: &[usize],
    course: impl Fn(&[usize]) -> Array2<f64>,
) -> (Vec<Sorting>, usize) {
    let plan = PanelVariables::of(variables, columns);
    let correct = study.is_correct();
    let selector = selector(study);
    let mut found = Vec::new();
    let mut n_columns = 0;
    for Row { name, value, own } in rows(study, variables, plan.context) {
        let is_used = |&i: &usize| own.contains(&trials[i]) && correct[trials[i]] != Some(false);
        let own: Vec<usize> = (0..trials.len()).filter(is_used).collect();
        let counting = selector.as_ref().and_then(|selector| {
            let (_, x) = value.filter(|(k, _)| selector.name == variables[*k].name)?;
            selector.evidence.iter().find(|(level, _)| *level == x)
        });
        let counting = counting.map(|(_, name)| &name[..]);
        let pairs = shown_pairs(&plan.sorted, variables, counting);
        n_columns = pairs.len();
        for (across, by) in pairs {
            let choice = plan.choice.filter(|&k| k != by).map(|k| &variables[k]);
            found.push(Sorting {
                context: name.clone(),
                by: variables[by].quantity.axis(),
                axes: [axis_of(columns, across).unwrap_or(0), plan.up],
                lines: lines(&variables[by], choice, trials, &own, &course),
            });
        }
    }
    (found, n_columns)
}

/// Trials of a row of panels.
struct Row {
    name: String,
    /// Index and value of the variable that is the context.
    value: Option<(usize, f64)>,
    own: Vec<usize>,
}

/// Returns a row for each group of `study.by` or each context; a single one without either.
fn rows(study: &Study, variables: &[Variable], context: Option<usize>) -> Vec<Row> {
    if let (false, Ok(groups)) = (study.by.is_empty(), study.cells(&study.by)) {
        let row = |group: Group| Row {
            name: group.name,
            value: None,
            own: group.trials,
        };
        return groups.into_iter().take(2 * MOST_PANELS).map(row).collect();
    }
    let all = 0..study.batch.n_trials;
    let Some(k) = context else {
        return vec![Row {
            name: String::new(),
            value: None,
            own: all.collect(),
        }];
    };
    let row = |(level, name): &(f64, String)| Row {
        name: format!("{} = {name}", variables[k].quantity.label),
        value: Some((k, *level)),
        own: all
            .clone()
            .filter(|&b| variables[k].values[b] == *level)
            .collect(),
    };
    variables[k].levels.iter().map(row).collect()
}

/// Returns the variable of the horizontal axis and the variable that sorts, for each panel of a row; `counting` is the
/// evidence that counts in it.
fn shown_pairs(
    sorted: &[usize],
    variables: &[Variable],
    counting: Option<&str>,
) -> Vec<(usize, usize)> {
    match (sorted, counting) {
        ([first, second], Some(counting)) if variables[*first].name == counting => {
            vec![(*first, *first), (*second, *first), (*second, *second)]
        }
        ([first, second], Some(counting)) if variables[*second].name == counting => {
            vec![(*first, *first), (*first, *second), (*second, *second)]
        }
        _ => sorted.iter().map(|&k| (k, k)).collect(),
    }
}

/// Averages over the trials of each level and choice; `own` are positions in `trials`.
fn lines(
    by: &Variable,
    choice: Option<&Variable>,
    trials: &[usize],
    own: &[usize],
    course: &impl Fn(&[usize]) -> Array2<f64>,
) -> Vec<Line> {
    let (level_of, names) = (by.level_of(MOST_LEVELS), by.level_names(MOST_LEVELS));
    let n_levels = by.n_groups(MOST_LEVELS);
    let mut found = Vec::new();
    for (level, name) in names.iter().enumerate().take(n_levels) {
        for side in 0..choice.map_or(1, Variable::n_levels) {
            let is_member = |&i: &usize| {
                level_of[trials[i]] == Some(level)
                    && choice.is_none_or(|v| v.values[trials[i]] == v.levels[side].0)
            };
            let members: Vec<usize> = own.iter().copied().filter(is_member).collect();
            if members.is_empty() {
                continue;
            }
            found.push(Line {
                level: [level, n_levels],
                name: name.clone(),
                choice: side,
                n_trials: members.len(),
                values: course(&members),
                scale: by.role.scale(),
            });
        }
    }
    found
}
