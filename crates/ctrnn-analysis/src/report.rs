//! Report: an HTML page about a run, as a single self-contained file.

use std::fmt::Write as _;

use ctrnn_files::{FileError, RunFolder, RunJson, RunState, read_at_most};
use ctrnn_model::CtrnnConfig;
use ctrnn_tasks::counted;
use serde_json::Value as Json;

use crate::analyses::{Analysis, Findings, Section};
use crate::state_space_view::state_space_view;
use crate::text::{filled, rounded, spoken};
use crate::{Study, Unsuitable};

const TEMPLATE: &str = include_str!("report.html");
const SCRIPT: &str = include_str!("state_space_view.js");
const MOST_MANIFEST_BYTES: u64 = 1 << 20;

/// Facts about a run that are not results of its analyses.
pub struct ReportedRun<'a> {
    /// Run folder, whose state, events and manifest are read.
    pub folder: &'a RunFolder,
    /// Complete configuration, as in `config.resolved.toml`.
    pub config: &'a str,
    /// True if training continued with a changed configuration, so that this one does not reproduce the run.
    pub is_in_parts: bool,
    /// Name of the task.
    pub task: &'a str,
    /// Configuration of the network.
    pub model: &'a CtrnnConfig,
    /// Number of training steps.
    pub n_steps: u64,
    /// Number of trials in a training step.
    pub batch_size: usize,
    /// Name of the optimizer.
    pub optimizer: &'static str,
    /// Seed of the run.
    pub seed: u64,
    /// Step of the analysed weights.
    pub step: u64,
    /// Notes on the weights.
    pub notes: &'a [String],
    /// True if trials are run with the network's own noise.
    pub has_noise: bool,
}

/// Analyses with their results.
type ReportedAnalyses<'a> = [(&'a Analysis, Result<Findings, Unsuitable>)];

/// Writes the page about a run: key numbers, warnings, the results of analyses in the given order, and the commands
/// that reproduce it.
///
/// # Errors
/// If a file of the run cannot be read.
pub fn report(
    run: &ReportedRun,
    study: &Study,
    found: &ReportedAnalyses,
) -> Result<String, FileError> {
    let state = RunJson::load(&run.folder.run_json())?;
    let events = events(run.folder);
    let manifest = manifest(run.folder)?;
    let root = run.folder.root().file_name().unwrap_or_default();
    let view = state_space_view(study, found);
    let mut sections = chapters(found, view.as_ref());
    sections.extend([
        ("Network", network(run, study, &events, &manifest)),
        ("Left out", left_out(found)),
        ("How to reproduce", reproduction(run, &manifest)),
    ]);
    sections.retain(|(_, body)| !body.is_empty());
    let [links, bodies] = linked(&sections);
    let (task, state_words) = (spoken(run.task), state_words(run, &state));
    let units = counted(run.model.n_units, "unit");
    let lead = format!("{task} · {units} · {state_words}");
    let footer = format!(
        "Figures are vector graphics in the sizes of print; their numbers are written by <code>train-ctrnn analyze</code>. Begun {}.",
        escaped(&state.created)
    );
    Ok(filled(
        TEMPLATE,
        &[
            ("name", &escaped(&root.to_string_lossy())),
            ("lead", &escaped(&lead)),
            ("tiles", &tiles(run, study, &events)),
            ("warnings", &warnings(run, &state, study, &events)),
            ("links", &links),
            ("sections", &bodies),
            ("footer", &footer),
            (
                "script",
                &view.map_or_else(String::new, |_| format!("<script>\n{SCRIPT}</script>\n")),
            ),
        ],
    ))
}

/// Returns the titles and contents of the sections with results, among them the interactive view.
fn chapters(found: &ReportedAnalyses, view: Option<&Json>) -> Vec<(&'static str, String)> {
    let chapters = found.chunk_by(|(a, _), (b, _)| a.section == b.section);
    let mut sections: Vec<(&str, String)> = chapters
        .map(|chapter| (chapter[0].0.section.title(), cards(chapter)))
        .collect();
    if let Some(view) = view {
        let states = sections
            .iter()
            .position(|(title, _)| *title == Section::StateSpace.title());
        let after = states.map_or(sections.len(), |k| k + 1);
        sections.insert(after, ("Interactive state space", interactive(view)));
    }
    sections
}

/// Formats links to sections, and the sections.
fn linked(sections: &[(&str, String)]) -> [String; 2] {
    let (mut links, mut bodies) = (String::new(), String::new());
    for (title, body) in sections {
        let id = title.to_lowercase().replace(' ', "-");
        let _ = writeln!(links, "<a href=\"#{id}\">{title}</a>");
        let _ = writeln!(
            bodies,
            "<section id=\"{id}\">\n<h2>{title}</h2>\n{body}</section>"
        );
    }
    [links, bodies]
}

/// Returns the key numbers at the top of the page.
fn tiles(run: &ReportedRun, study: &Study, events: &[Json]) -> String {
    let percent = |part: f64| format!("{:.1} %", 100.0 * part);
    let right = accuracy(study).map(|accuracy| {
        let chance = study.task.chance();
        let chance = chance.map_or_else(String::new, |c| format!(" (chance {})", percent(c)));
        (percent(accuracy), format!("of trials right{chance}"))
    });
    let metrics = study.metrics.clone().map(|metrics| metrics.until(run.step));
    let loss = metrics.and_then(|metrics| metrics.curve("val", "loss").1.last().copied());
    let steps = (
        run.step.to_string(),
        format!("steps of {} trials", run.batch_size),
    );
    let steps = (!is_imported(events)).then_some(steps);
    let of_run = [
        (run.model.n_units.to_string(), "units".to_owned()),
        (
            study.batch.n_trials.to_string(),
            "trials shown here".to_owned(),
        ),
    ];
    let loss = loss.map(|loss| (loss_words(loss), "validation loss".to_owned()));
    tiles_of(right.into_iter().chain(loss).chain(steps).chain(of_run))
}

fn tiles_of(tiles: impl IntoIterator<Item = (String, String)>) -> String {
    let mut text = "<div class=\"tiles\">\n".to_owned();
    for (number, what) in tiles {
        let (number, what) = (escaped(&number), escaped(&what));
        let _ = writeln!(
            text,
            "<div class=\"tile\"><b>{number}</b><span>{what}</span></div>"
        );
    }
    text + "</div>\n"
}

/// Writes a page in the style of the report about a run, from its key numbers, and from sections of HTML by title.
pub fn page(
    name: &str,
    lead: &str,
    tiles: Vec<(String, String)>,
    sections: &[(&str, String)],
    footer: &str,
) -> String {
    let [links, bodies] = linked(sections);
    filled(
        TEMPLATE,
        &[
            ("name", &escaped(name)),
            ("lead", &escaped(lead)),
            ("tiles", &tiles_of(tiles)),
            ("warnings", ""),
            ("links", &links),
            ("sections", &bodies),
            ("footer", footer),
            ("script", ""),
        ],
    )
}

/// Formats a loss with four decimals, or in scientific notation if these are not informative.
fn loss_words(loss: f64) -> String {
    match loss.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e6).contains(&size) => format!("{loss:.4}"),
        _ => format!("{loss:.2e}"),
    }
}

/// Computes the fraction of correct trials, if trials have correct answers.
fn accuracy(study: &Study) -> Option<f64> {
    let correct: Vec<bool> = study.is_correct().into_iter().flatten().collect();
    let right = correct.iter().filter(|right| **right).count();
    (!correct.is_empty()).then(|| right as f64 / correct.len() as f64)
}

fn state_words(run: &ReportedRun, state: &RunJson) -> String {
    let word = match state.state {
        RunState::Created => "not trained yet",
        RunState::Running if run.folder.is_in_use() => "training",
        RunState::Running => "killed while training",
        RunState::Stopped => "stopped",
        RunState::Done => "finished",
        RunState::Failed => "failed",
    };
    match &state.reason {
        Some(reason) => format!("{word} ({})", rounded_numbers(reason)),
        None => word.to_owned(),
    }
}

/// Rounds the numbers with many decimals in a text.
fn rounded_numbers(text: &str) -> String {
    let word = |word: &str| match word.parse::<f64>() {
        Ok(x) if word.len() > 8 && word.contains('.') => rounded(x, 4),
        _ => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Returns warnings about the reliability of the figures.
fn warnings(run: &ReportedRun, state: &RunJson, study: &Study, events: &[Json]) -> String {
    let mut lines = run.notes.to_vec();
    if let Some(code) = state.exit_code.filter(|code| *code != 0) {
        lines.push(format!("the last process ended with exit code {code}"));
    }
    if state.restarts > 0 {
        let times = match state.restarts {
            1 => "once".to_owned(),
            n => format!("{n} times"),
        };
        lines.push(format!("the run was resumed {times}"));
    }
    lines.extend(troubles(events));
    if let Some((accuracy, chance)) = accuracy(study).zip(study.task.chance())
        && accuracy < chance + 0.1
    {
        lines.push(format!(
            "the network is correct in {:.1} % of trials, chance is {:.1} %",
            100.0 * accuracy,
            100.0 * chance
        ));
    }
    if lines.is_empty() {
        return String::new();
    }
    let list = list(&lines);
    format!("<div class=\"box warning tiles\"><div><h3>Warnings</h3>\n{list}</div></div>\n")
}

/// Returns the events of a run; none if they cannot be read.
fn events(folder: &RunFolder) -> Vec<Json> {
    let events = std::fs::read_to_string(folder.events()).unwrap_or_default();
    let parsed = events.lines().flat_map(serde_json::from_str::<Json>);
    parsed.collect()
}

/// Returns true if the weights were imported and never trained.
fn is_imported(events: &[Json]) -> bool {
    let has = |name: &str| events.iter().any(|event| event["event"] == name);
    has("imported")
}

/// Counts the problems in training, according to its events.
fn troubles(events: &[Json]) -> Vec<String> {
    let count = |name: &str| {
        let named = events.iter().filter(|event| event["event"] == name);
        named.count()
    };
    let kinds = [
        (
            "rolled_back",
            "went back to an earlier state because numbers were not finite",
        ),
        ("trouble", "could not write"),
    ];
    let counted = kinds.map(|(event, what)| (count(event), what));
    let some = counted.into_iter().filter(|(n, _)| *n > 0);
    let times = |n: usize| {
        if n == 1 {
            "once".to_owned()
        } else {
            format!("{n} times")
        }
    };
    some.map(|(n, what)| format!("training {what} ({}, see events.jsonl)", times(n)))
        .collect()
}

fn list(lines: &[String]) -> String {
    let items = lines
        .iter()
        .map(|line| format!("<li>{}</li>\n", escaped(line)));
    format!("<ul>\n{}</ul>\n", items.collect::<String>())
}

fn table<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows = rows
        .into_iter()
        .map(|(name, value)| format!("<tr><td>{name}</td><td>{}</td></tr>\n", escaped(&value)));
    format!("<table>\n{}</table>", rows.collect::<String>())
}

fn network(run: &ReportedRun, study: &Study, events: &[Json], manifest: &Json) -> String {
    let model = run.model;
    let form = format!("{:?}", model.form).to_lowercase();
    let dale = match &study.signs {
        Some(signs) => {
            let count = |is: fn(f64) -> bool| signs.iter().filter(|sign| is(**sign)).count();
            let (excitatory, inhibitory) = (count(|sign| sign > 0.0), count(|sign| sign < 0.0));
            format!("{excitatory} excitatory, {inhibitory} inhibitory units")
        }
        None => "no".to_owned(),
    };
    let units: Vec<String> = model
        .layers()
        .map(|layer| layer.n_units.to_string())
        .collect();
    let units = units.join(" + ");
    let noise = if run.has_noise { "with" } else { "without" };
    let rows = [
        (
            "inputs, units, outputs",
            format!(
                "{}, {units}, {}",
                model.first_layer().n_inputs,
                model.n_outputs
            ),
        ),
        (
            "form, activation",
            format!("{form}, {}", model.activation.name()),
        ),
        ("time constant", tau_words(&study.dynamics.tau_ms)),
        ("time step", format!("{} ms", decimal(model.dt_ms))),
        ("Dale's law", dale),
        (
            "training",
            if is_imported(events) {
                "none here; the weights were imported".to_owned()
            } else {
                training_words(run, manifest)
            },
        ),
        ("seed", run.seed.to_string()),
        (
            "trials in this report",
            format!("{}, {noise} the network's own noise", study.batch.n_trials),
        ),
    ];
    let further = [
        ("begins with", lineage(manifest)),
        ("stages", stages(manifest)),
    ];
    let further = further.into_iter().filter(|(_, words)| !words.is_empty());
    format!(
        "<div class=\"box\">{}</div>\n",
        table(rows.into_iter().chain(further))
    )
}

/// Describes the run whose weights this one began with; empty if it began with none.
fn lineage(manifest: &Json) -> String {
    let origin = &manifest["init_from"];
    let Some(run) = origin["run"].as_str() else {
        return String::new();
    };
    let step = origin["step"].as_u64();
    let step = step.map_or(String::new(), |step| format!(" after step {step}"));
    let optimizer = if origin["optimizer"] == true {
        ", with the state of its optimizer"
    } else {
        ""
    };
    format!("the weights of {run}{step}{optimizer}")
}

/// Lists the stages of a training that have begun, each with the number of steps before it; empty without stages.
fn stages(manifest: &Json) -> String {
    let stages = manifest["stages"].as_array().into_iter().flatten();
    let words = stages.map(|stage| {
        let name = stage["name"].as_str().unwrap_or_default();
        format!("{name} from step {}", stage["from_step"])
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Reads the manifest of a run; null if it is not JSON.
fn manifest(folder: &RunFolder) -> Result<Json, FileError> {
    let manifest = read_at_most(&folder.manifest(), MOST_MANIFEST_BYTES)?;
    Ok(serde_json::from_slice(&manifest).unwrap_or_default())
}

/// Describes how far training went. The number of steps that the configuration allows is a limit.
fn training_words(run: &ReportedRun, manifest: &Json) -> String {
    let trials = format!("{} trials, {}", run.batch_size, run.optimizer);
    if run.step == run.n_steps || !stages(manifest).is_empty() {
        format!("{} steps of {trials}", run.step)
    } else {
        format!("{} of at most {} steps of {trials}", run.step, run.n_steps)
    }
}

/// Formats a number with at most six decimals.
fn decimal(x: f64) -> String {
    let text = format!("{x:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn tau_words(tau_ms: &ndarray::Array1<f64>) -> String {
    let shortest = tau_ms.iter().copied().fold(f64::INFINITY, f64::min);
    let longest = tau_ms.iter().copied().fold(0.0, f64::max);
    if longest - shortest < 1e-9 {
        format!("{} ms", decimal(shortest))
    } else {
        format!("{shortest:.1} to {longest:.1} ms")
    }
}

/// Renders the results of analyses, with a card for each that has one.
fn cards(found: &ReportedAnalyses) -> String {
    let with_result = found.iter().filter_map(|(analysis, findings)| {
        let findings = findings.as_ref().ok()?;
        Some(card(analysis.title, analysis.summary, findings))
    });
    match with_result.collect::<String>() {
        none if none.is_empty() => none,
        cards => format!("<div class=\"cards\">\n{cards}</div>\n"),
    }
}

pub(crate) fn card(title: &str, summary: &str, findings: &Findings) -> String {
    /// Width from which a figure has its own row.
    const WIDE_MM: f64 = 95.0;
    let mut figures = String::new();
    let mut width_mm = 0.0;
    for (_, figure) in &findings.figures {
        let mm = figure.size_mm()[0];
        width_mm += mm;
        let svg = figure.to_svg();
        let _ = writeln!(figures, "<figure style=\"--mm:{mm:.1}\">{svg}</figure>");
    }
    let wide = if width_mm > WIDE_MM { " wide" } else { "" };
    let statements = findings.statements.iter().map(|line| sentence(line));
    format!(
        "<article class=\"card{wide}\">\n<h3>{}</h3>\n<p class=\"about\">{}</p>\n{}<div class=\"figures\">\n{figures}</div>\n</article>\n",
        title,
        escaped(&sentence(summary)),
        list(&statements.collect::<Vec<_>>()),
    )
}

/// Capitalises the first letter of a text.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// Returns the interactive view of the state space: a canvas, its controls and its data.
fn interactive(view: &Json) -> String {
    // A script ends at `</script`, whatever its type is.
    let data = view.to_string().replace('<', "\\u003c");
    format!(
        "<article class=\"card wide\" id=\"view\">\n\
         <p class=\"about\">Mean trajectories by {}. Drag or use the arrow keys to rotate, + and − (or the wheel, after a click) to zoom; \
         point at a trajectory to read its values. Grey discs are starts, large discs the states at the time of the slider.</p>\n\
         <canvas tabindex=\"0\" role=\"img\" aria-label=\"Trajectories on the first principal components; arrow keys rotate, plus and minus zoom, Home resets\"></canvas>\n\
         <div class=\"tip\" hidden></div>\n\
         <div class=\"bar\"><button type=\"button\" class=\"play\">Play</button>\
         <input type=\"range\" min=\"0\" value=\"0\" aria-label=\"time\"><output></output>\
         <button type=\"button\" class=\"reset\">Reset view</button></div>\n\
         <div class=\"bar legend\" role=\"group\" aria-label=\"trajectories\"></div>\n\
         <noscript><p class=\"about\">The interactive view needs JavaScript; all other figures do not.</p></noscript>\n\
         <script type=\"application/json\" id=\"view-data\">{data}</script>\n</article>\n",
        escaped(view["by"].as_str().unwrap_or_default())
    )
}

fn left_out(found: &ReportedAnalyses) -> String {
    let line = |(analysis, findings): &(&Analysis, Result<Findings, Unsuitable>)| {
        let why = findings.as_ref().err()?;
        Some(format!("{}: {why}", spoken(analysis.name)))
    };
    let lines: Vec<String> = found.iter().filter_map(line).collect();
    list_box(&lines)
}

/// Returns a list in a box; nothing without lines.
pub(crate) fn list_box(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    format!("<div class=\"box\">{}</div>\n", list(lines))
}

/// Returns a table in a box that scrolls, so that the page never does sideways.
pub fn table_box(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String], tag: &str| {
        let cells = cells
            .iter()
            .map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows: String = rows.iter().map(|row| line(row, "td")).collect();
    format!(
        "<div class=\"box scroll\"><table class=\"grid\">\n{}{rows}</table></div>\n",
        line(head, "th")
    )
}

fn reproduction(run: &ReportedRun, manifest: &Json) -> String {
    let rows = [
        ("ctrnn", &manifest["versions"]["ctrnn"]),
        ("commit", &manifest["git"]["commit"]),
        ("instruction set", &manifest["kernel_path"]),
        ("device", &manifest["device"]),
        ("threads", &manifest["threads"]),
    ];
    let known = rows.into_iter().filter(|(_, value)| !value.is_null());
    let rows = known.map(|(name, value)| {
        let word = value.as_str().map(str::to_owned);
        (name, word.unwrap_or_else(|| value.to_string()))
    });
    let about = if run.is_in_parts {
        "This run was made in parts: the first lines of the configuration say how to repeat it. A new run of its last part:"
    } else {
        "Save the configuration as <code>config.toml</code>; then"
    };
    format!(
        "<div class=\"box\">\n<p class=\"about\">{about}</p>\n\
         <pre>train-ctrnn train config.toml</pre>\n{}\n\
         <details>\n<summary>The configuration, every value</summary>\n<pre>{}</pre>\n</details>\n</div>\n",
        table(rows),
        escaped(run.config)
    )
}

/// Escapes a text for HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_stands_once() {
        let sections: Vec<_> = crate::ANALYSES
            .chunk_by(|a, b| a.section == b.section)
            .map(|chapter| chapter[0].section.title())
            .collect();
        let distinct: std::collections::BTreeSet<_> = sections.iter().collect();
        assert_eq!(distinct.len(), sections.len(), "{sections:?}");
    }

    #[test]
    fn a_loss_fits_its_tile() {
        let words = [0.0, 0.02346, 1e-7, 3.25e38].map(loss_words);
        assert_eq!(words, ["0", "0.0235", "1.00e-7", "3.25e38"]);
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escaped("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
    }
}
