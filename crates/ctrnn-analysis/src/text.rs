//! Formatting of numbers and names in figures and sentences.

use ctrnn_tasks::counted;

/// Formats a number with few digits and the typographic minus sign.
pub fn short(x: f64) -> String {
    let text = match x.abs() {
        0.0 => "0".to_owned(),
        a if a.is_nan() => "undefined".to_owned(),
        f64::INFINITY if x > 0.0 => "∞".to_owned(),
        f64::INFINITY => "−∞".to_owned(),
        a if !(1e-3..1e6).contains(&a) => format!("{x:.1e}"),
        a => {
            let decimals = (2 - a.log10().floor() as i32).max(0) as usize;
            let text = format!("{x:.decimals$}");
            if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            } else {
                text
            }
        }
    };
    text.replace('-', "−")
}

/// Formats a number with at most `decimals` decimals.
pub fn rounded(x: f64, decimals: i32) -> String {
    let unit = 10f64.powi(decimals);
    short((x * unit).round() / unit)
}

/// Formats a name without underscores; `non_` becomes the prefix `non-`.
pub fn spoken(name: &str) -> String {
    let words = name.replace('_', " ");
    match words.strip_prefix("non ") {
        Some(rest) => format!("non-{rest}"),
        None => words,
    }
}

/// Returns the form of a verb for a number of things, of the singular and the plural.
pub fn verb(n: usize, [one, several]: [&str; 2]) -> &str {
    if n == 1 { one } else { several }
}

/// Formats a number of things with "is" or "are": "2 trials are".
pub fn are(n: usize, what: &str) -> String {
    format!("{} {}", counted(n, what), verb(n, ["is", "are"]))
}

/// Replaces every `{{name}}` of a template by its value; values are not expanded again.
pub fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let mut parts = template.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part
            .split_once("}}")
            .expect("a hole of a template is closed");
        let value = values.iter().find(|(known, _)| *known == name);
        page.push_str(value.expect("a hole of a template has a value").1);
        page.push_str(rest);
    }
    page
}

/// Joins words to a list: `a, b and c`.
pub fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spoken() {
        assert_eq!(spoken("non_match"), "non-match");
        assert_eq!(spoken("first_canon_match"), "first canon match");
    }

    #[test]
    fn a_value_is_put_into_its_hole_and_not_searched() {
        let values = [("a", "{{b}}"), ("b", "1")];
        assert_eq!(filled("{{a}}, {{b}}.", &values), "{{b}}, 1.");
    }

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
}
