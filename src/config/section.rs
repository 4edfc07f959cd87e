//! Reading one table of the file, key by key, with every mistake noted and none of them final.
//! What the values mean lives in `value.rs`, which tables and keys there are in the other files.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Located, Mistake};

/// The mistakes found so far, each with its place in octets.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<(Range<usize>, Mistake)>);

impl Mistakes {
    pub(super) fn note(&mut self, span: &Range<usize>, mistake: Mistake) {
        self.0.push((span.clone(), mistake));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The mistakes in the order of the file.
    pub(super) fn into_sorted(mut self) -> Vec<(Range<usize>, Mistake)> {
        self.0.sort_by_key(|(span, _)| (span.start, span.end));
        self.0
    }
}

/// A table of the file. Keys are taken one after the other; [`Section::close`] then refuses those that nobody took.
pub(super) struct Section<'r, 'i> {
    /// The table as the operator writes its header, as in `[[port]]`.
    name: &'static str,
    /// Absent where the file leaves the whole table out.
    table: Option<&'r DeTable<'i>>,
    span: Range<usize>,
    known: Vec<&'static str>,
}

impl<'r, 'i> Section<'r, 'i> {
    pub(super) fn new(
        name: &'static str,
        table: Option<&'r DeTable<'i>>,
        span: Range<usize>,
    ) -> Self {
        Self {
            name,
            table,
            span,
            known: Vec::new(),
        }
    }

    /// Where the table stands: its header.
    pub(super) fn span(&self) -> &Range<usize> {
        &self.span
    }

    /// Whether the file has the table at all.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// The raw value of `key`, with its place.
    pub(super) fn raw(&mut self, key: &'static str) -> Option<&'r Spanned<DeValue<'i>>> {
        self.known.push(key);
        self.table.and_then(|table| table.get(key))
    }

    /// The value of `key`, if it is there and right.
    pub(super) fn optional<T>(
        &mut self,
        mistakes: &mut Mistakes,
        key: &'static str,
        read: impl FnOnce(&DeValue<'i>) -> Result<T, Mistake>,
    ) -> Option<Located<T>> {
        let raw = self.raw(key)?;
        match read(raw.get_ref()) {
            Ok(value) => Some(Located::new(value, raw.span())),
            Err(mistake) => {
                mistakes.note(&raw.span(), named(key, mistake));
                None
            }
        }
    }

    /// The value of `key`, or `default` if the file does not give it.
    pub(super) fn with_default<T>(
        &mut self,
        mistakes: &mut Mistakes,
        key: &'static str,
        default: T,
        read: impl FnOnce(&DeValue<'i>) -> Result<T, Mistake>,
    ) -> Located<T> {
        let span = self.span.clone();
        self.optional(mistakes, key, read)
            .unwrap_or(Located::new(default, span))
    }

    /// The value of `key`, whose absence is a mistake that `example` mends.
    pub(super) fn required<T>(
        &mut self,
        mistakes: &mut Mistakes,
        key: &'static str,
        example: &str,
        read: impl FnOnce(&DeValue<'i>) -> Result<T, Mistake>,
    ) -> Option<Located<T>> {
        if self.table.is_none_or(|table| !table.contains_key(key)) {
            self.known.push(key);
            mistakes.note(
                &self.span,
                Mistake::new(
                    format!("this {} has no `{key}`", self.name),
                    format!("add a line such as `{key} = {example}`"),
                ),
            );
            return None;
        }
        self.optional(mistakes, key, read)
    }

    /// The values of the array `key` that are right; an absent array is empty.
    pub(super) fn list<T>(
        &mut self,
        mistakes: &mut Mistakes,
        key: &'static str,
        mut read: impl FnMut(&DeValue<'i>) -> Result<T, Mistake>,
    ) -> Vec<Located<T>> {
        let Some(raw) = self.raw(key) else {
            return Vec::new();
        };
        let DeValue::Array(values) = raw.get_ref() else {
            mistakes.note(
                &raw.span(),
                Mistake::new(
                    format!("`{key}` is a {}, not an array", raw.get_ref().type_str()),
                    format!("put it into brackets: `{key} = [..]`"),
                ),
            );
            return Vec::new();
        };
        let mut right = Vec::with_capacity(values.len());
        for value in values.iter() {
            match read(value.get_ref()) {
                Ok(read) => right.push(Located::new(read, value.span())),
                Err(mistake) => mistakes.note(&value.span(), named(key, mistake)),
            }
        }
        right
    }

    /// The table `key`; every key of it has its default if the file leaves it out.
    pub(super) fn table(
        &mut self,
        mistakes: &mut Mistakes,
        key: &'static str,
        name: &'static str,
    ) -> Section<'r, 'i> {
        let Some(raw) = self.raw(key) else {
            return Section::new(name, None, self.span.clone());
        };
        let table = match raw.get_ref() {
            DeValue::Table(table) => Some(table),
            DeValue::Array(_) => {
                let remedy = format!("write `{name}`, and only once");
                mistakes.note(
                    &raw.span(),
                    Mistake::new(format!("there is only one {name}"), remedy),
                );
                None
            }
            other => {
                mistakes.note(&raw.span(), not_a_table(key, name, other));
                None
            }
        };
        Section::new(name, table, raw.span())
    }

    /// The tables of the array of tables `key`.
    pub(super) fn tables(
        &mut self,
        mistakes: &mut Mistakes,
        key: &'static str,
        name: &'static str,
    ) -> Vec<Section<'r, 'i>> {
        let Some(raw) = self.raw(key) else {
            return Vec::new();
        };
        match raw.get_ref() {
            DeValue::Array(values) => values
                .iter()
                .filter_map(|value| match value.get_ref() {
                    DeValue::Table(table) => Some(Section::new(name, Some(table), value.span())),
                    other => {
                        mistakes.note(&value.span(), not_a_table(key, name, other));
                        None
                    }
                })
                .collect(),
            DeValue::Table(_) => {
                mistakes.note(
                    &raw.span(),
                    Mistake::new(
                        format!("there may be several {name}, but this is a single table"),
                        format!("write its header with double brackets: `{name}`"),
                    ),
                );
                Vec::new()
            }
            other => {
                mistakes.note(&raw.span(), not_a_table(key, name, other));
                Vec::new()
            }
        }
    }

    /// Refuses the keys that nobody asked for.
    pub(super) fn close(self, mistakes: &mut Mistakes) {
        for (key, value) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let what = if value.get_ref().is_table() {
                "table"
            } else {
                "key"
            };
            let (name, place) = (name.escape_debug(), self.name);
            mistakes.note(
                &key.span(),
                Mistake::new(
                    format!("unknown {what} `{name}` in {place}"),
                    match nearest(key.get_ref(), &self.known) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!(
                            "remove it; {place} knows {}",
                            self.known
                                .iter()
                                .map(|key| format!("`{key}`"))
                                .collect::<Vec<_>>()
                                .join(", ")
                        ),
                    },
                ),
            );
        }
    }
}

fn named(key: &str, mistake: Mistake) -> Mistake {
    Mistake::new(format!("`{key}`: {}", mistake.cause), mistake.remedy)
}

fn not_a_table(key: &str, name: &str, found: &DeValue<'_>) -> Mistake {
    Mistake::new(
        format!("`{key}` is a {}, not a table", found.type_str()),
        format!("write it as a table of its own, with the header `{name}`"),
    )
}

/// The one of `known` that was probably meant by `word`.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|key| (strsim::jaro_winkler(word, key), *key))
        .filter(|(likeness, key)| *likeness > 0.8 || strsim::osa_distance(word, key) == 1)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, key)| key)
}
