//! One table, in Markdown.

use crate::work::{Name, Row};

/// The figures of a row.
pub struct Figures {
    pub row: Row,
    /// In the order of [`Name::ALL`].
    pub cells: [Option<f64>; Name::ALL.len()],
    pub floor: Option<f64>,
}

/// The head of the table.
pub fn head() -> String {
    let titles = Name::ALL.map(Name::title).join(" | ");
    format!("| work | {titles} | floor |\n|---|{}", "---|".repeat(Name::ALL.len() + 1))
}

impl Figures {
    /// A line of the table. Each figure is followed by its ratio to that of `frazil`; the
    /// smallest of the row is bold.
    pub fn line(&self) -> String {
        let best = self.cells.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let cells = self.cells.map(|cell| self.cell(cell, best)).join(" | ");
        let floor = self.floor.map_or(String::new(), |floor| self.cell(Some(floor), -1.0));
        format!("| {} | {cells} | {floor} |", self.row.title())
    }

    fn cell(&self, cell: Option<f64>, best: f64) -> String {
        let Some(value) = cell else { return "–".into() };
        let mark = if value == best { "**" } else { "" };
        format!("{mark}{}{mark}{}", number(value), self.ratio(value))
    }

    fn ratio(&self, value: f64) -> String {
        match self.cells[0] {
            Some(own) if own > 0.0 => format!(" ({})", times(value / own)),
            _ => String::new(),
        }
    }
}

/// Three digits that say something, no more than that before large ones.
fn number(value: f64) -> String {
    let digits = match value {
        _ if value.fract() == 0.0 || value >= 100.0 => 0,
        _ if value >= 10.0 => 1,
        _ => 2,
    };
    separated(&format!("{value:.digits$}"))
}

fn times(ratio: f64) -> String {
    let digits = if ratio >= 100.0 {
        0
    } else if ratio >= 10.0 {
        1
    } else {
        2
    };
    separated(&format!("{ratio:.digits$}"))
}

/// With a comma before each three digits of what stands before the point.
fn separated(text: &str) -> String {
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + fraction
}
