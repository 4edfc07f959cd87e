//! Tables for people: columns as wide as they need to be, numbers to the right.

use std::fmt;

/// A table with a heading for each column.
#[derive(Clone, Debug)]
pub struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        Self {
            headings: headings.iter().map(ToString::to_string).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; what is missing at its end stays empty.
    pub fn row(&mut self, cells: &[&dyn fmt::Display]) {
        self.rows
            .push(cells.iter().map(ToString::to_string).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = || std::iter::once(&self.headings).chain(&self.rows);
        let columns = lines().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            lines()
                .filter_map(|line| line.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for (index, line) in lines().enumerate() {
            let cells = line.iter().zip(&widths).map(|(cell, &width)| {
                let number = index > 0 && cell.parse::<f64>().is_ok();
                if number {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(f, "{}", line.trim_end())?;
            if index == 0 {
                let rule: Vec<_> = widths.iter().map(|&width| "─".repeat(width)).collect();
                writeln!(f, "{}", rule.join("  "))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stands_left_and_numbers_right() {
        let mut table = Table::new(&["flow", "sent"]);
        table.row(&[&"udp", &5]);
        table.row(&[&"icmp", &12345]);
        assert_eq!(
            table.to_string(),
            "flow  sent\n────  ─────\nudp       5\nicmp  12345\n"
        );
    }
}
