//! A report's table, as Markdown for people and as CSV for programs.

use std::fmt::Write;

/// A titled table with notes below it.
#[derive(Clone, Debug)]
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    /// An empty table.
    pub fn new(title: &str, columns: &[&str]) -> Table {
        Table {
            title: title.to_owned(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a row, as wide as the header.
    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(
            cells.len(),
            self.columns.len(),
            "a row is as wide as its table"
        );
        self.rows.push(cells);
    }

    /// Adds a line below the table.
    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// The table with padded columns, title above and notes below.
    pub fn markdown(&self) -> String {
        let width = |index: usize| {
            let cells = self.rows.iter().map(|row| &row[index]);
            cells
                .chain([&self.columns[index]])
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &[String]| {
            let cells = cells.iter().zip(&widths);
            cells.fold("|".to_owned(), |line, (cell, width)| {
                format!("{line} {cell:<width$} |")
            })
        };
        let rule = widths.iter().fold("|".to_owned(), |line, &width| {
            line + &"-".repeat(width + 2) + "|"
        });
        let mut text = format!("## {}\n\n{}\n{rule}\n", self.title, line(&self.columns));
        for row in &self.rows {
            text.push_str(&line(row));
            text.push('\n');
        }
        for note in &self.notes {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n- {note}");
        }
        text.push('\n');
        text
    }

    /// Header and rows; title and notes are for people.
    pub fn csv(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
            cells.join(",") + "\n"
        };
        self.rows
            .iter()
            .fold(line(&self.columns), |text, row| text + &line(row))
    }
}

fn csv_cell(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// A figure, or a dash where there is none.
pub fn optional(value: Option<f64>, decimals: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_hold_every_cell() {
        let mut table = Table::new("T", &["a", "long"]);
        table.row(vec!["x,y".to_owned(), "1".to_owned()]);
        table.note("so it is".to_owned());
        assert_eq!(
            table.markdown(),
            "## T\n\n| a   | long |\n|-----|------|\n| x,y | 1    |\n\n- so it is\n"
        );
        assert_eq!(table.csv(), "a,long\n\"x,y\",1\n");
    }
}
