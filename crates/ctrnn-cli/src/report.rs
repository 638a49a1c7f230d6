//! `report`: a page about a run, in one file that opens anywhere.

use std::fmt::Write as _;

use ctrnn_analysis::{ANALYSES, Analysis, Findings, Study, Unsuitable};
use ctrnn_files::{RunFolder, RunJson, atomic, read_at_most};
use ctrnn_tasks::Registry;
use ctrnn_train::{MAX_CONFIG_BYTES, Run};
use serde_json::Value as Json;

use crate::args::ReportArgs;
use crate::failure::Failure;
use crate::study::{analyse, load, with_study};
use crate::terminal::Terminal;

const STYLE: &str = "\
body{font:15px/1.5 Arimo,Arial,Helvetica,sans-serif;color:#1a1a1a;max-width:60em;margin:2em auto;padding:0 1.5em}\
h1{font-size:1.7em;margin-bottom:.1em}h2{font-size:1.25em;margin-top:2em;border-bottom:1px solid #ddd;padding-bottom:.2em}\
h3{font-size:1em;margin:1.4em 0 .2em}.lead{color:#666;margin-top:0}\
table{border-collapse:collapse}td,th{padding:.15em 1.2em .15em 0;text-align:left;vertical-align:top}td:first-child{color:#666}\
pre{background:#f6f6f6;padding:.8em 1em;overflow-x:auto;font-size:13px}figure{margin:.6em 0 1.2em}\
figure svg{max-width:100%;height:auto}ul{padding-left:1.2em}.warning{color:#b34700}\
@media print{body{margin:0;max-width:none}figure,table{break-inside:avoid}}";

/// The sections of figures, and the analyses that they show.
const SECTIONS: &[(&str, &[&str])] = &[
    ("Training", &["curves"]),
    (
        "Behaviour",
        &["accuracy", "confusion", "psychometric", "chronometric"],
    ),
    (
        "State space",
        &["pca", "tdr", "speed", "rates", "rate_maps"],
    ),
    (
        "Dynamics",
        &["fixed_points", "flow", "spectrum", "lyapunov", "timescales"],
    ),
    ("Units", &["tuning", "task_variance", "currents"]),
    ("Weights", &["weights", "weight_change"]),
    ("Comparison", &["comparison"]),
];

/// Writes the report of a run.
pub fn run(args: &ReportArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    let loaded = load(&args.run, &args.trials, &[], registry)?;
    let path = args
        .output
        .clone()
        .unwrap_or_else(|| loaded.folder.report());
    let everything: Vec<&'static Analysis> = ANALYSES.iter().collect();
    let page = with_study(&loaded, &args.trials, registry, |study| {
        let found = analyse(study, &everything);
        page(&loaded.folder, &loaded.run, study, &found)
    })?;
    atomic::write(&path, page.as_bytes())?;
    terminal.wrote(&path)?;
    terminal.say(format!("wrote {}", path.display()));
    Ok(0)
}

type Found = [(&'static Analysis, Result<Findings, Unsuitable>)];

fn page(folder: &RunFolder, run: &Run, study: &Study, found: &Found) -> Result<String, Failure> {
    let name = folder
        .root()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let state = RunJson::load(&folder.run_json())?;
    let mut body = format!(
        "<h1>{}</h1>\n<p class=\"lead\">{} on {} units, {}</p>\n",
        escaped(&name),
        escaped(&run.task_name),
        run.model.n_units,
        escaped(&state_words(&state)),
    );
    body.push_str(&warnings(folder, &state, study));
    body.push_str(&network(run, study));
    for (title, names) in SECTIONS {
        body.push_str(&section(title, names, found));
    }
    body.push_str(&left_out(found));
    body.push_str(&reproduction(folder)?);
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escaped(&name)
    ))
}

fn state_words(state: &RunJson) -> String {
    let word = serde_json::to_value(state.state)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default();
    let reason = state
        .reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(": {reason}"));
    format!("{word}{reason}; begun {}", state.created)
}

/// What a reader should know before believing a figure.
fn warnings(folder: &RunFolder, state: &RunJson, study: &Study) -> String {
    let mut lines = Vec::new();
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
    let correct: Vec<bool> = study.is_correct().into_iter().flatten().collect();
    let accuracy =
        correct.iter().filter(|right| **right).count() as f64 / correct.len().max(1) as f64;
    let chance = study.task.chance().filter(|_| !correct.is_empty());
    if let Some(chance) = chance.filter(|chance| accuracy < chance + 0.1) {
        lines.push(format!(
            "the network is right in {:.1} % of trials, chance is {:.1} %",
            100.0 * accuracy,
            100.0 * chance
        ));
    }
    if lines.is_empty() {
        return String::new();
    }
    format!("<h2>Warnings</h2>\n{}", list(&lines, "warning"))
}

fn list(lines: &[String], class: &str) -> String {
    let items: String = lines
        .iter()
        .map(|line| format!("<li>{}</li>\n", escaped(line)))
        .collect();
    format!("<ul class=\"{class}\">\n{items}</ul>\n")
}

fn network(run: &Run, study: &Study) -> String {
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
                run.train.steps,
                run.train.batch_size,
                run.train.optimizer.name()
            ),
        ),
        ("seed", run.seed.to_string()),
        (
            "trials in this report",
            format!(
                "{}, without noise of the network unless asked for",
                study.batch.n_trials
            ),
        ),
    ];
    let rows: String = rows
        .iter()
        .map(|(name, value)| format!("<tr><td>{name}</td><td>{}</td></tr>\n", escaped(value)))
        .collect();
    format!("<h2>Network</h2>\n<table>\n{rows}</table>\n")
}

fn section(title: &str, names: &[&str], found: &Found) -> String {
    let mut text = String::new();
    for (analysis, findings) in found
        .iter()
        .filter(|(analysis, _)| names.contains(&analysis.name))
    {
        let Ok(findings) = findings else { continue };
        let _ = writeln!(
            text,
            "<h3>{}: {}</h3>",
            escaped(&analysis.name.replace('_', " ")),
            escaped(analysis.summary)
        );
        text.push_str(&list(&findings.summary, "summary"));
        for (_, figure) in &findings.figures {
            let _ = writeln!(text, "<figure>{}</figure>", figure.to_svg());
        }
    }
    match text.as_str() {
        "" => text,
        _ => format!("<h2>{title}</h2>\n{text}"),
    }
}

fn left_out(found: &Found) -> String {
    let line = |(analysis, findings): &(&Analysis, Result<Findings, Unsuitable>)| {
        let why = findings.as_ref().err()?;
        Some(format!("{}: {why}", analysis.name.replace('_', " ")))
    };
    let lines: Vec<String> = found.iter().filter_map(line).collect();
    match lines.is_empty() {
        true => String::new(),
        false => format!("<h2>Left out</h2>\n{}", list(&lines, "left-out")),
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
    Ok(format!(
        "<h2>How to reproduce</h2>\n<p>Save the configuration below as <code>config.toml</code>; then</p>\n\
         <pre>train-ctrnn train config.toml</pre>\n<table>\n{rows}</table>\n\
         <h3>Configuration, every value</h3>\n<pre>{}</pre>\n",
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
                .filter(|(_, names)| names.contains(&analysis.name))
                .count();
            assert_eq!(n, 1, "{}", analysis.name);
        }
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escaped("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
    }
}
