//! Mistakes in a configuration file: what is wrong, where, and what to write instead.
//! Who looks for them lives in the other files of this module.

use std::fmt;
use std::ops::{Deref, Range};

use serde::{Serialize, Serializer};

/// A value, and where in the file it stands, in octets. Comparing and serializing it look at the value alone.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands; for a default, where the table that lacks it stands.
    pub span: Range<usize>,
}

impl<T> Located<T> {
    /// `value` as it stands at `span`.
    pub const fn new(value: T, span: Range<usize>) -> Self {
        Self { value, span }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Serialize> Serialize for Located<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// What is wrong with a value, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong.
    pub cause: String,
    /// What to write, or to do, instead.
    pub remedy: String,
}

impl Mistake {
    /// A mistake with its remedy.
    pub fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            remedy: remedy.into(),
        }
    }
}

/// A mistake at its place in the file.
///
/// `Display` shows the place, the cause, the line itself with the place marked, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as the operator named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What is wrong, and the remedy.
    pub mistake: Mistake,
    /// The line's text, and how many of its characters are meant.
    excerpt: (String, usize),
}

impl Problem {
    /// `mistake` at `span` (in octets) of `text`, which was read from `file`. A span past the end means the end.
    pub fn locate(file: &str, text: &str, span: &Range<usize>, mistake: Mistake) -> Self {
        let start = floor_char_boundary(text, span.start);
        let end = floor_char_boundary(text, span.end).max(start);
        let (before, from_start) = text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let in_line = &before[line_start..];
        let rest_of_line = from_start.lines().next().unwrap_or_default();
        let meant = text[start..end].lines().next().unwrap_or_default();
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: in_line.chars().count() + 1,
            mistake,
            excerpt: (
                format!("{in_line}{rest_of_line}").trim_end().to_owned(),
                meant.trim_end().chars().count().max(1),
            ),
        }
    }
}

fn floor_char_boundary(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (excerpt, meant) = &self.excerpt;
        let number = self.line.to_string();
        // Tabs stay tabs in the marking, so that the marks stand below what they mean.
        let indent: String = excerpt
            .chars()
            .take(self.column - 1)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        writeln!(
            f,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.mistake.cause
        )?;
        writeln!(f, "  {number} | {excerpt}")?;
        writeln!(
            f,
            "  {:width$} | {indent}{}",
            "",
            "^".repeat(*meant),
            width = number.len()
        )?;
        write!(f, "  remedy: {}", self.mistake.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_its_line_with_the_place_marked() {
        let text = "a = 1\n\tname = \"läb\" # x\nb = 2\n";
        let start = text.find("\"l").unwrap();
        let problem = Problem::locate(
            "r.toml",
            text,
            &(start..start + "\"läb\"".len()),
            Mistake::new("no", "yes"),
        );
        assert_eq!((problem.line, problem.column), (2, 9));
        assert_eq!(
            problem.to_string(),
            "r.toml:2:9: no\n  2 | \tname = \"läb\" # x\n    | \t       ^^^^^\n  remedy: yes"
        );
    }

    #[test]
    fn a_span_past_the_end_or_inside_a_character_is_no_reason_to_panic() {
        for (start, end) in [(0, 0), (1, 2), (2, 1), (7, 9)] {
            let problem = Problem::locate("f", "ää\n", &(start..end), Mistake::new("c", "r"));
            assert!(problem.line >= 1 && problem.column >= 1);
        }
    }
}
