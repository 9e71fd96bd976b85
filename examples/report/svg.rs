//! The little of SVG and HTML that the pictures need.

use std::fmt::{self, Write};

/// A text in which nothing is markup.
pub(crate) struct Plain<'a>(pub(crate) &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            c => f.write_char(c),
        })
    }
}

/// A picture that grows downwards.
#[derive(Default)]
pub(crate) struct Svg {
    body: String,
}

impl Svg {
    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.body,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    /// A line with a head at its end.
    pub(crate) fn arrow(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.line(class, from, to);
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy).max(1.0);
        let (ux, uy) = (dx / length * 7.0, dy / length * 7.0);
        let _ = writeln!(
            self.body,
            "<path class=\"{class} head\" d=\"M{:.1} {:.1}L{:.1} {:.1}L{:.1} {:.1}Z\"/>",
            to.0,
            to.1,
            to.0 - ux - uy * 0.5,
            to.1 - uy + ux * 0.5,
            to.0 - ux + uy * 0.5,
            to.1 - uy - ux * 0.5
        );
    }

    pub(crate) fn cross(&mut self, class: &str, (x, y): (f64, f64)) {
        self.line(class, (x - 4.0, y - 4.0), (x + 4.0, y + 4.0));
        self.line(class, (x - 4.0, y + 4.0), (x + 4.0, y - 4.0));
    }

    pub(crate) fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, title: &str) {
        let _ = writeln!(
            self.body,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"><title>{}</title></circle>",
            Plain(title)
        );
    }

    pub(crate) fn bar(&mut self, class: &str, (x, y): (f64, f64), (w, h): (f64, f64), title: &str) {
        let w = w.max(1.5);
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\"><title>{}</title></rect>",
            Plain(title)
        );
    }

    /// A text of so many characters at most; the pointer shows the rest.
    pub(crate) fn short(&mut self, class: &str, at: (f64, f64), text: &str, most: usize) {
        if text.chars().count() <= most {
            return self.text(class, at, text);
        }
        let cut: String = text.chars().take(most.saturating_sub(1)).collect();
        let _ = writeln!(
            self.body,
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\">{}…<title>{}</title></text>",
            at.0,
            at.1,
            Plain(&cut),
            Plain(text)
        );
    }

    pub(crate) fn text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let _ = writeln!(
            self.body,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            Plain(text)
        );
    }

    /// Draws another picture on top.
    pub(crate) fn add(&mut self, other: Self) {
        self.body.push_str(&other.body);
    }

    pub(crate) fn finish(self, width: f64, height: f64) -> String {
        format!(
            "<div class=\"wide\"><svg viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\">\n{}</svg></div>\n",
            self.body
        )
    }
}

/// Milliseconds as people read them.
pub(crate) fn duration(millis: f64) -> String {
    match millis {
        0.0 => "0 ms".to_owned(),
        m if m.abs() < 1.0 => format!("{m:.3} ms"),
        m if m.abs() < 100.0 => format!("{m:.1} ms"),
        m if m.abs() < 1_000.0 => format!("{m:.0} ms"),
        m => format!("{:.2} s", m / 1_000.0),
    }
}
