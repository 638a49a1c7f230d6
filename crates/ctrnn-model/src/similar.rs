//! Words that are spelt similarly.

/// Returns the word closest to `unknown`, if one is close enough.
pub fn word_like<'a>(unknown: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let unknown = unknown.to_lowercase();
    let near = words
        .into_iter()
        .filter_map(|word| Some((edit_distance(&unknown, word)?, word)));
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Quotes the words and separates them by commas.
pub fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("{word:?}")).collect();
    words.join(", ")
}

/// Returns the edit distance (a swap of neighbours counts as one edit); `None` if more than a third of the letters
/// differ.
pub fn edit_distance(a: &str, b: &str) -> Option<usize> {
    let most = a.len().max(b.len()) / 3;
    let lengths = a.chars().count().abs_diff(b.chars().count());
    if lengths > most {
        return None; // the distance is at least this: a key of a million letters takes no time
    }
    let distance = strsim::osa_distance(a, b);
    (distance <= most).then_some(distance)
}
