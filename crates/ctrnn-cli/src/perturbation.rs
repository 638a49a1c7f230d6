//! Perturbations of a simulated network, parsed from the command line.

use ctrnn_analysis::{Current, Cut, Perturbation};
use ctrnn_tasks::Clock;

use crate::args::PerturbArgs;
use crate::failure::{Failure, USAGE};

/// Parses the perturbations of a network of `n_units`.
///
/// # Errors
/// Names the argument that cannot be parsed, the unit that does not exist, or the time that is not a multiple of dt.
pub fn perturbation(
    args: &PerturbArgs,
    n_units: usize,
    clock: Clock,
) -> Result<Perturbation, Failure> {
    let lesioned = args
        .lesion
        .iter()
        .map(|word| units(word).ok_or_else(|| unreadable("--lesion", word, "3,8-11")));
    let cut = args
        .cut
        .iter()
        .map(|word| cut(word).ok_or_else(|| unreadable("--cut", word, "'0-9>20-29'")));
    let clamped = args
        .clamp
        .iter()
        .map(|word| clamp(word).ok_or_else(|| unreadable("--clamp", word, "4=0.5")));
    let found = Perturbation {
        lesioned: lesioned.collect::<Result<Vec<_>, _>>()?.concat(),
        cut: cut.collect::<Result<_, _>>()?,
        clamped: clamped.collect::<Result<Vec<_>, _>>()?.concat(),
        currents: args
            .current
            .iter()
            .map(|word| current(word, clock))
            .collect::<Result<_, _>>()?,
    };
    let both = found
        .clamped
        .iter()
        .find(|(unit, _)| found.lesioned.contains(unit));
    if let Some((unit, _)) = both {
        let what = format!("unit {unit} is both lesioned and clamped");
        let help =
            "a lesioned unit has no outgoing weights: remove it from --lesion or from --clamp";
        return Err(Failure::new(USAGE, "C036", what, help));
    }
    found.check(n_units).map_err(|error| {
        Failure::new(
            USAGE,
            "C036",
            error.to_string(),
            format!("units are 0 to {}", n_units - 1),
        )
    })?;
    Ok(found)
}

fn unreadable(option: &str, word: &str, example: &str) -> Failure {
    let what = format!("{word:?} is not a value of {option}");
    Failure::new(
        USAGE,
        "C036",
        what,
        format!("expected for instance {option} {example}"),
    )
}

/// Parses units: `3,8-11`.
fn units(word: &str) -> Option<Vec<usize>> {
    let part = |part: &str| match part.split_once('-') {
        None => part.trim().parse().ok().map(|unit: usize| unit..=unit),
        Some((first, last)) => {
            let range = first.trim().parse().ok()?..=last.trim().parse().ok()?;
            (!range.is_empty()).then_some(range)
        }
    };
    let ranges: Option<Vec<_>> = word.split(',').map(part).collect();
    Some(ranges?.into_iter().flatten().collect())
}

/// Parses a cut: `0-9>20-29`.
fn cut(word: &str) -> Option<Cut> {
    let (pre, post) = word.split_once('>')?;
    Some(Cut {
        post: units(post)?,
        pre: units(pre)?,
    })
}

/// Parses clamped units: `4,7=0.5`.
fn clamp(word: &str) -> Option<Vec<(usize, f64)>> {
    let (who, rate) = word.split_once('=')?;
    let rate = finite(rate)?;
    Some(units(who)?.into_iter().map(|unit| (unit, rate)).collect())
}

/// Parses a current: `0-9@200..400=0.5`. The input of a time step acts from its time on, so 200..400 at a dt of 20 are
/// the inputs 10 to 19.
fn current(word: &str, clock: Clock) -> Result<Current, Failure> {
    let parts = || {
        let (who, rest) = word.split_once('@')?;
        let (when, value) = rest.split_once('=')?;
        let (from, to) = when.split_once("..")?;
        Some((units(who)?, [finite(from)?, finite(to)?], finite(value)?))
    };
    let (units, [from, to], value) =
        parts().ok_or_else(|| unreadable("--current", word, "0-9@200..400=0.5"))?;
    let steps = |ms: f64| {
        clock.steps(ms).map_err(|error| {
            let help = format!("times are multiples of dt_ms = {}", clock.dt_ms());
            Failure::new(USAGE, "C036", format!("--current {word}: {error}"), help)
        })
    };
    let steps = steps(from)?..steps(to)?;
    if steps.is_empty() {
        let what = format!("--current {word}: {from}..{to} ms is an empty interval");
        let help = "give the earlier time first";
        return Err(Failure::new(USAGE, "C036", what, help));
    }
    Ok(Current {
        units,
        steps,
        value,
    })
}

fn finite(word: &str) -> Option<f64> {
    word.trim().parse().ok().filter(|x: &f64| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &PerturbArgs) -> Result<Perturbation, String> {
        let clock = Clock::new(20.0).unwrap();
        perturbation(args, 30, clock).map_err(|failure| failure.render(false))
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn words_become_perturbations() {
        let args = PerturbArgs {
            current: words(&["0-1@200..400=-0.5"]),
            lesion: words(&["3,8-9", "12"]),
            cut: words(&["0>20-21"]),
            clamp: words(&["4,5=0.5"]),
        };
        let expected = Perturbation {
            lesioned: vec![3, 8, 9, 12],
            cut: vec![Cut {
                post: vec![20, 21],
                pre: vec![0],
            }],
            clamped: vec![(4, 0.5), (5, 0.5)],
            currents: vec![Current {
                units: vec![0, 1],
                steps: 10..20,
                value: -0.5,
            }],
        };
        assert_eq!(read(&args), Ok(expected));
    }

    #[test]
    fn mistakes_are_told() {
        let lesion = |word: &str| PerturbArgs {
            lesion: words(&[word]),
            ..PerturbArgs::default()
        };
        let current = |word: &str| PerturbArgs {
            current: words(&[word]),
            ..PerturbArgs::default()
        };
        for (args, message) in [
            (lesion("9-3"), "\"9-3\" is not a value of --lesion"),
            (lesion("30"), "there is no unit 30"),
            (current("0@0..50=1"), "multiples of dt_ms = 20"),
            (current("0@40..40=1"), "40..40 ms is an empty interval"),
            (
                PerturbArgs {
                    lesion: words(&["3-5"]),
                    clamp: words(&["4=1"]),
                    ..PerturbArgs::default()
                },
                "unit 4 is both lesioned and clamped",
            ),
            (current("0@0..40=NaN"), "is not a value of --current"),
        ] {
            let found = read(&args).unwrap_err();
            assert!(found.contains(message), "{found}");
        }
    }
}
