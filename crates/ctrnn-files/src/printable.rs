//! Text of files as a terminal may show it.

/// Returns the text with U+FFFD for every character that a terminal would obey instead of showing it: escape sequences, and the
/// invisible characters that change the direction or the order of what is shown. Line feeds and tabs stay.
#[must_use]
pub fn printable(text: &str) -> String {
    text.replace(is_obeyed, "\u{fffd}")
}

/// Returns true if a character is an instruction and has no glyph.
pub(crate) fn is_obeyed(c: char) -> bool {
    let is_format = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' // soft hyphen, Arabic letter mark, and characters of no width
        | '\u{200b}'..='\u{200f}' // no width, joiners, marks of direction
        | '\u{2028}'..='\u{202e}' // ends of lines and paragraphs, embeddings and overrides of direction
        | '\u{2060}'..='\u{206f}' // invisible operators, isolates of direction
        | '\u{fff9}'..='\u{fffb}' // annotations
        | '\u{e0000}'..='\u{e007f}' // tags
    );
    (c.is_control() && c != '\n' && c != '\t') || is_format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_not_shown() {
        assert_eq!(printable("a\tb\nc\u{301} é 漢"), "a\tb\nc\u{301} é 漢");
        for c in
            "\u{1b}\r\u{7}\u{9b}\u{202e}\u{202a}\u{2066}\u{2069}\u{200f}\u{200b}\u{feff}\u{2028}"
                .chars()
        {
            assert_eq!(printable(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
    }
}
