//! Suggestions for mistyped words.

/// The one of `words` that is spelt most like `word`, if any is near enough to be meant: one mistake in a short word,
/// one in three letters at most in a long one. Two letters that changed places are one mistake.
pub fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).clamp(1, 3);
    let near = words.into_iter().map(|known| (strsim::osa_distance(word, known), known));
    near.filter(|(distance, _)| *distance <= most).min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let words = ["north", "south", "hub"];
        assert_eq!(nearest("suoth", words), Some("south"));
        assert_eq!(nearest("sout", words), Some("south"));
        assert_eq!(nearest("huv", words), Some("hub"));
        assert_eq!(nearest("east", words), None);
        assert_eq!(nearest("", words), None);
    }
}
