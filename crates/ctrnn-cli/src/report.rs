//! `report`: a page about a run, in one file that opens anywhere.

use std::fmt::Write as _;

use ctrnn_analysis::plot::Figure;
use ctrnn_analysis::{ANALYSES, Analysis, Findings, Study, Unsuitable};
use ctrnn_config::{MAX_CONFIG_BYTES, Run};
use ctrnn_files::{RunFolder, RunJson, read_at_most};
use ctrnn_runs::is_in_parts;
use ctrnn_tasks::Registry;
use serde_json::Value as Json;

use crate::args::ReportArgs;
use crate::eval::note_unused_noise;
use crate::failure::Failure;
use crate::output;
use crate::run_path::Needs;
use crate::study::{Loaded, analyse, load, with_study};
use crate::terminal::Terminal;

const STYLE: &str = "\
:root{color-scheme:light}*{box-sizing:border-box}\
body{font:16px/1.5 Arimo,Arial,Helvetica,sans-serif;color:#1c2126;background:#f3f5f7;margin:0}\
header,main,footer{max-width:76rem;margin:0 auto;padding:0 1.5rem}\
header{padding-top:2rem}h1{font-size:1.9rem;line-height:1.2;margin:0;overflow-wrap:anywhere}\
h2{font-size:1.35rem;margin:2.4rem 0 .8rem}h3{font-size:1.05rem;margin:0}\
.lead,.about{color:#5a6672;margin:.2rem 0 0}.about{font-size:.9rem}\
nav{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;margin:1.2rem 0 0;padding:.6rem 0;border-top:1px solid #d7dde3;border-bottom:1px solid #d7dde3}\
a{color:#00568f;text-decoration:none}a:hover{text-decoration:underline}\
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem;margin:1.4rem 0 0}\
.tile,.card,.box{background:#fff;border:1px solid #dde3e9;border-radius:8px;padding:1rem 1.2rem}\
.tile b{display:block;font-size:1.5rem;line-height:1.2}.tile span{color:#5a6672;font-size:.9rem}\
.cards{display:flex;flex-wrap:wrap;gap:.8rem}.card{flex:1 1 26rem;min-width:0;max-width:100%}.card.wide{flex-basis:100%}\
.card ul{margin:.5rem 0 0;padding-left:1.1rem;font-size:.9rem}\
.figures{display:flex;flex-wrap:wrap;gap:1rem 2rem;justify-content:space-evenly;margin-top:.8rem}\
figure{margin:0;max-width:100%;overflow-x:auto}\
figure svg{display:block;width:calc(var(--mm)*1.4mm);height:auto}\
.warning{border-left:5px solid #d55e00}.warning ul{margin:0;padding-left:1.1rem}\
table{border-collapse:collapse;width:100%}td{padding:.3rem 1.2rem .3rem 0;vertical-align:top;border-top:1px solid #edf0f3}\
tr:first-child td{border-top:0}td:first-child{color:#5a6672;width:14rem}\
pre{background:#f3f5f7;border-radius:6px;padding:.8rem 1rem;overflow-x:auto;font-size:.85rem;margin:.8rem 0}\
summary{cursor:pointer;color:#00568f}footer{color:#5a6672;font-size:.85rem;padding-top:1.5rem;padding-bottom:2.5rem}\
@media(min-width:48rem){figure svg{max-width:100%}}\
@media(max-width:48rem){header,main,footer{padding-left:.8rem;padding-right:.8rem}.card{flex-basis:100%;padding:.8rem}.tiles{gap:.5rem}\
.tiles{grid-template-columns:repeat(auto-fit,minmax(7.5rem,1fr))}.tile{padding:.7rem .8rem}td:first-child{width:9rem}}\
@media print{body{background:#fff}nav{display:none}.card,.tile,figure,table{break-inside:avoid}}";

/// The sections of figures, and the analyses that they show with their titles.
const SECTIONS: &[(&str, &[(&str, &str)])] = &[
    ("Training", &[("curves", "Learning curves")]),
    (
        "Behaviour",
        &[
            ("accuracy", "Accuracy"),
            ("confusion", "Confusion"),
            ("psychometric", "Psychometric curve"),
            ("chronometric", "Chronometric curve"),
        ],
    ),
    (
        "State space",
        &[
            ("pca", "Principal components"),
            ("tdr", "Targeted dimensionality reduction"),
            ("speed", "Speed"),
        ],
    ),
    (
        "Dynamics",
        &[
            ("fixed_points", "Fixed points"),
            ("flow", "Flow"),
            ("spectrum", "Spectrum"),
            ("lyapunov", "Lyapunov exponents"),
            ("timescales", "Timescales"),
        ],
    ),
    (
        "Units",
        &[
            ("rates", "Rates"),
            ("tuning", "Tuning"),
            ("task_variance", "Task variance"),
            ("currents", "Currents"),
            ("rate_maps", "Rate maps"),
        ],
    ),
    (
        "Weights",
        &[
            ("weights", "Connectivity"),
            ("weight_change", "Before and after training"),
        ],
    ),
    ("Comparison", &[("comparison", "Distances to other runs")]),
];

/// Writes the report of a run.
pub fn run(args: &ReportArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    // A report is made of what there is, so that it can be written of anybody's run.
    let needs = if args.trials.trust.trust {
        Needs::Trials(args.trials.trust.consent(terminal))
    } else {
        Needs::Network
    };
    let loaded = load(&args.run, &args.trials, &[], registry, needs, terminal)?;
    note_unused_noise(args.trials.noise, &loaded.run, terminal);
    let path = args
        .output
        .clone()
        .unwrap_or_else(|| loaded.folder.report());
    if args.output.is_none() {
        ctrnn_files::output::check_unlinked(&path)?;
    }
    let force = args.force || args.output.is_none();
    output::check(&path, force, terminal)?;
    let everything: Vec<&'static Analysis> = ANALYSES.iter().collect();
    let page = with_study(&loaded, &args.trials, registry, terminal, |study| {
        let found = analyse(study, &everything);
        page(&loaded, study, args.trials.noise, &found)
    })?;
    ctrnn_files::output::write(&path, force, page.as_bytes())?;
    terminal.wrote(&path)?;
    if let Some(program) = loaded.run.task.unstarted_program() {
        terminal.note(format!(
            "the report leaves out what needs trials, which this program makes: {program}; if you trust it, add --trust"
        ));
    }
    terminal.say(format!("wrote {}", path.display()));
    Ok(0)
}

type Found = [(&'static Analysis, Result<Findings, Unsuitable>)];

fn page(loaded: &Loaded, study: &Study, has_noise: bool, found: &Found) -> Result<String, Failure> {
    let Loaded { folder, run, .. } = loaded;
    let name = folder
        .root()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let name = escaped(&name);
    let state = RunJson::load(&folder.run_json())?;
    let sections: Vec<(&str, String)> = SECTIONS
        .iter()
        .map(|(title, analyses)| (*title, cards(analyses, found)))
        .chain([
            ("Network", network(run, study, has_noise)),
            ("Left out", left_out(found)),
            ("How to reproduce", reproduction(folder)?),
        ])
        .filter(|(_, body)| !body.is_empty())
        .collect();
    let links: String = sections
        .iter()
        .map(|(title, _)| format!("<a href=\"#{}\">{title}</a>\n", anchor(title)))
        .collect();
    let lead = format!(
        "{} · {} units · {}",
        run.task_name.replace('_', " "),
        run.model.n_units,
        state_words(&state)
    );
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{name}</h1>\n<p class=\"lead\">{}</p>\n{}{}<nav>\n{links}</nav>\n</header>\n<main>\n",
        escaped(&lead),
        tiles(run, study, loaded.weights.step),
        warnings(loaded, &state, study),
    );
    for (title, body) in &sections {
        let _ = writeln!(
            page,
            "<section id=\"{}\">\n<h2>{title}</h2>\n{body}</section>",
            anchor(title)
        );
    }
    let _ = writeln!(
        page,
        "</main>\n<footer>Figures are vector graphics in the sizes of print; their numbers are written by \
         <code>train-ctrnn analyze</code>. Begun {}.</footer>\n</body>\n</html>",
        escaped(&state.created)
    );
    Ok(page)
}

fn anchor(title: &str) -> String {
    title.to_lowercase().replace(' ', "-")
}

/// The numbers that are looked for first.
fn tiles(run: &Run, study: &Study, step: u64) -> String {
    let percent = |part: f64| format!("{:.1} %", 100.0 * part);
    let metrics = study
        .metrics
        .as_ref()
        .map(|metrics| metrics.clone().until(step));
    let last = |name: &str| metrics.as_ref()?.curve("val", name).1.last().copied();
    let right = accuracy(study).map(|accuracy| {
        let chance = study.task.chance();
        let chance = chance.map_or_else(String::new, |c| format!(" (chance {})", percent(c)));
        (percent(accuracy), format!("of trials right{chance}"))
    });
    let found = [
        right,
        last("loss").map(|loss| (loss_words(loss), "validation loss".to_owned())),
        Some((
            step.to_string(),
            format!("steps of {} trials", run.config.train.batch_size),
        )),
        Some((run.model.n_units.to_string(), "units".to_owned())),
        Some((
            study.batch.n_trials.to_string(),
            "trials shown here".to_owned(),
        )),
    ];
    let tile = |(number, what): (String, String)| {
        format!(
            "<div class=\"tile\"><b>{}</b><span>{}</span></div>\n",
            escaped(&number),
            escaped(&what)
        )
    };
    let tiles: String = found.into_iter().flatten().map(tile).collect();
    format!("<div class=\"tiles\">\n{tiles}</div>\n")
}

/// A loss with four decimals, or as a power of ten where these say little.
fn loss_words(loss: f64) -> String {
    match loss.abs() {
        0.0 => "0".to_owned(),
        size if (1e-3..1e6).contains(&size) => format!("{loss:.4}"),
        _ => format!("{loss:.2e}"),
    }
}

/// The fraction of right trials, where trials have right answers.
fn accuracy(study: &Study) -> Option<f64> {
    let correct: Vec<bool> = study.is_correct().into_iter().flatten().collect();
    let right = correct.iter().filter(|right| **right).count();
    (!correct.is_empty()).then(|| right as f64 / correct.len() as f64)
}

fn state_words(state: &RunJson) -> String {
    let word = serde_json::to_value(state.state)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default();
    let reason = state
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(" ({reason})"));
    format!("{word}{reason}")
}

/// What a reader should know before believing a figure.
fn warnings(loaded: &Loaded, state: &RunJson, study: &Study) -> String {
    let folder = &loaded.folder;
    let mut lines = loaded.weights.notes.clone();
    if state.exit_code.is_some_and(|code| code != 0) {
        lines.push(format!(
            "the last process ended with exit code {}",
            state.exit_code.unwrap_or_default()
        ));
    }
    if state.restarts > 0 {
        lines.push(format!("the run was resumed {} times", state.restarts));
    }
    let events = std::fs::read_to_string(folder.events()).unwrap_or_default();
    let named = |name: &str| {
        let is = |line: &&str| {
            serde_json::from_str::<Json>(line).is_ok_and(|event| event["event"] == name)
        };
        events.lines().filter(is).count()
    };
    for (event, what) in [
        (
            "rolled_back",
            "went back to an earlier state because numbers were not finite",
        ),
        ("trouble", "could not write"),
    ] {
        match named(event) {
            0 => {}
            n => lines.push(format!("training {what} ({n} times, see events.jsonl)")),
        }
    }
    let judged = accuracy(study).zip(study.task.chance());
    if let Some((accuracy, chance)) = judged.filter(|(accuracy, chance)| *accuracy < chance + 0.1) {
        lines.push(format!(
            "the network is right in {:.1} % of trials, chance is {:.1} %",
            100.0 * accuracy,
            100.0 * chance
        ));
    }
    if lines.is_empty() {
        return String::new();
    }
    format!(
        "<div class=\"box warning tiles\"><div><h3>Warnings</h3>\n{}</div></div>\n",
        list(&lines)
    )
}

fn list(lines: &[String]) -> String {
    let items: String = lines
        .iter()
        .map(|line| format!("<li>{}</li>\n", escaped(line)))
        .collect();
    format!("<ul>\n{items}</ul>\n")
}

fn network(run: &Run, study: &Study, has_noise: bool) -> String {
    let model = &run.model;
    let [shortest, longest] = study
        .dynamics
        .tau_ms
        .iter()
        .fold([f64::INFINITY, 0.0f64], |[low, high], tau| {
            [low.min(*tau), high.max(*tau)]
        });
    let tau = if longest - shortest < 1e-9 {
        format!("{shortest} ms")
    } else {
        format!("{shortest:.1} to {longest:.1} ms")
    };
    let rows = [
        (
            "inputs, units, outputs",
            format!("{}, {}, {}", model.n_inputs, model.n_units, model.n_outputs),
        ),
        (
            "form, activation",
            format!(
                "{}, {}",
                format!("{:?}", model.form).to_lowercase(),
                model.activation.name()
            ),
        ),
        ("time constant", tau),
        ("time step", format!("{} ms", model.dt_ms)),
        (
            "Dale's law",
            study.signs.as_ref().map_or_else(
                || "no".to_owned(),
                |signs| {
                    format!(
                        "{} excitatory, {} inhibitory units",
                        signs.iter().filter(|s| **s > 0.0).count(),
                        signs.iter().filter(|s| **s < 0.0).count()
                    )
                },
            ),
        ),
        (
            "training",
            format!(
                "{} steps of {} trials, {}",
                run.config.train.steps,
                run.config.train.batch_size,
                run.config.train.optimizer.name()
            ),
        ),
        ("seed", run.config.seed.to_string()),
        (
            "trials in this report",
            format!(
                "{}, {} the network's own noise",
                study.batch.n_trials,
                if has_noise { "with" } else { "without" }
            ),
        ),
    ];
    let rows: String = rows
        .iter()
        .map(|(name, value)| format!("<tr><td>{name}</td><td>{}</td></tr>\n", escaped(value)))
        .collect();
    format!("<div class=\"box\"><table>\n{rows}</table></div>\n")
}

/// What some analyses found, a card for each.
fn cards(analyses: &[(&str, &str)], found: &Found) -> String {
    let mut text = String::new();
    for (name, title) in analyses {
        let of_name = found.iter().find(|(analysis, _)| analysis.name == *name);
        if let Some((analysis, Ok(findings))) = of_name {
            text.push_str(&card(title, analysis.summary, findings));
        }
    }
    match text.as_str() {
        "" => text,
        _ => format!("<div class=\"cards\">\n{text}</div>\n"),
    }
}

fn card(title: &str, summary: &str, findings: &Findings) -> String {
    /// Figures that are wider stand alone in their row.
    const WIDE_MM: f64 = 95.0;
    let width_mm = |(_, figure): &(String, Figure)| figure.size_mm()[0];
    let is_wide = findings.figures.iter().map(width_mm).sum::<f64>() > WIDE_MM;
    let figures: String = findings
        .figures
        .iter()
        .map(|(_, figure)| {
            let mm = figure.size_mm()[0];
            let svg = figure.to_svg();
            format!("<figure style=\"--mm:{mm:.1}\">{svg}</figure>\n")
        })
        .collect();
    format!(
        "<article class=\"card{}\">\n<h3>{title}</h3>\n<p class=\"about\">{}</p>\n{}<div class=\"figures\">\n{figures}</div>\n</article>\n",
        if is_wide { " wide" } else { "" },
        escaped(&sentence(summary)),
        list(
            &findings
                .summary
                .iter()
                .map(|line| sentence(line))
                .collect::<Vec<_>>()
        ),
    )
}

/// With a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

fn left_out(found: &Found) -> String {
    let line = |(analysis, findings): &(&Analysis, Result<Findings, Unsuitable>)| {
        let why = findings.as_ref().err()?;
        Some(format!("{}: {why}", analysis.name.replace('_', " ")))
    };
    let lines: Vec<String> = found.iter().filter_map(line).collect();
    match lines.is_empty() {
        true => String::new(),
        false => format!("<div class=\"box\">{}</div>\n", list(&lines)),
    }
}

fn reproduction(folder: &RunFolder) -> Result<String, Failure> {
    let read = |path: &std::path::Path| -> Result<String, Failure> {
        Ok(String::from_utf8_lossy(&read_at_most(path, MAX_CONFIG_BYTES)?).into_owned())
    };
    let config = read(&folder.resolved())?;
    let manifest: Json = serde_json::from_str(&read(&folder.manifest())?).unwrap_or_default();
    let word = |value: &Json| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let rows: String = [
        ("ctrnn", &manifest["versions"]["ctrnn"]),
        ("commit", &manifest["git"]["commit"]),
        ("instruction set", &manifest["kernel_path"]),
        ("device", &manifest["device"]),
        ("threads", &manifest["threads"]),
    ]
    .iter()
    .filter(|(_, value)| !value.is_null())
    .map(|(name, value)| {
        format!(
            "<tr><td>{name}</td><td>{}</td></tr>\n",
            escaped(&word(value))
        )
    })
    .collect();
    let about = match is_in_parts(config.as_bytes()) {
        true => {
            "This run was made in parts: the first lines of the configuration say how to repeat it. A new run of its last part:"
        }
        false => "Save the configuration as <code>config.toml</code>; then",
    };
    Ok(format!(
        "<div class=\"box\">\n<p class=\"about\">{about}</p>\n\
         <pre>train-ctrnn train config.toml</pre>\n<table>\n{rows}</table>\n\
         <details>\n<summary>The configuration, every value</summary>\n<pre>{}</pre>\n</details>\n</div>\n",
        escaped(&config)
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_analysis_has_its_section() {
        for analysis in ANALYSES {
            let n = SECTIONS
                .iter()
                .filter(|(_, analyses)| analyses.iter().any(|(name, _)| *name == analysis.name))
                .count();
            assert_eq!(n, 1, "{}", analysis.name);
        }
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
