//! What is drawn over time from left to right: the checklist, and round trips with losses. The
//! beginning has most of the room, as most happens there: the axis is logarithmic.

use crate::session::{Pair, Session, Side};
use crate::svg::{Svg, duration};

const WIDTH: f64 = 1320.0;
const LEFT: f64 = 470.0;
const RIGHT: f64 = 1300.0;
const ROW: f64 = 20.0;
/// Characters that have room to the left.
const LABEL: usize = 72;
/// Pairs that are drawn.
const PAIRS: usize = 60;
/// Where the axis turns from linear to logarithmic, in milliseconds.
const TURN: f64 = 20.0;

/// The axis of time.
struct Axis {
    begin: f64,
    span: f64,
}

impl Axis {
    fn new(session: &Session) -> Self {
        Self { begin: session.begin, span: (session.end - session.begin).max(1.0) }
    }

    fn x(&self, at: f64) -> f64 {
        let part = ((at - self.begin).max(0.0) / TURN).ln_1p() / (self.span / TURN).ln_1p();
        LEFT + part.min(1.0) * (RIGHT - LEFT)
    }

    fn draw(&self, svg: &mut Svg, top: f64, bottom: f64) {
        let ticks = [0.0, 10.0, 50.0, 200.0, 1e3, 5e3, 20e3, 60e3, 300e3, 1.2e6, 3.6e6];
        for tick in ticks.into_iter().filter(|tick| *tick <= self.span) {
            let x = self.x(self.begin + tick);
            svg.line("grid", (x, top), (x, bottom));
            let text = match tick {
                t if t < 1e3 => format!("{t:.0} ms"),
                t if t < 60e3 => format!("{:.0} s", t / 1e3),
                t => format!("{:.0} min", t / 60e3),
            };
            svg.text("tick", (x, top - 5.0), &text);
        }
    }
}

/// The pairs of a side, best first, with their states.
pub(crate) fn checklist(session: &Session, side: &Side) -> String {
    let axis = Axis::new(session);
    let mut pairs: Vec<(&u64, &Pair)> = side.pairs.iter().collect();
    if pairs.is_empty() {
        return "<p>No pair was ever formed.</p>".to_owned();
    }
    pairs.sort_by_key(|(id, pair)| (std::cmp::Reverse(pair.priority), **id));
    let more = pairs.len().saturating_sub(PAIRS);
    pairs.truncate(PAIRS);
    let mut svg = Svg::default();
    let top = 24.0;
    let bottom = top + ROW * pairs.len() as f64;
    axis.draw(&mut svg, top, bottom);
    for (row, (id, pair)) in pairs.iter().enumerate() {
        let y = top + ROW * row as f64;
        let label = format!("pair {id}:  {}", side.path(pair));
        svg.short("label", (LEFT - 10.0, y + 14.0), &label, LABEL);
        let end = pair.removed.as_ref().map_or(session.end, |(at, _)| *at);
        for (at, (from, state, cause)) in pair.states.iter().enumerate() {
            let until = pair.states.get(at + 1).map_or(end, |(next, _, _)| *next);
            let (x, right) = (axis.x(*from), axis.x(until));
            let title =
                format!("pair {id}: {state} since {}, {cause}", duration(from - session.begin));
            svg.bar(&format!("pair {state}"), (x, y + 4.0), (right - x, ROW - 8.0), &title);
        }
        if let Some((at, cause)) = &pair.removed {
            let title = format!("removed: {cause}");
            svg.bar("removed", (axis.x(*at) - 1.0, y + 2.0), (2.0, ROW - 4.0), &title);
        }
        for at in &pair.selected {
            let title = format!("selected at {}", duration(at - session.begin));
            svg.dot("chosen", (axis.x(*at), y + ROW / 2.0), 5.5, &title);
        }
    }
    let note = if more > 0 {
        format!("<p>… and {more} pairs of less priority.</p>")
    } else {
        String::new()
    };
    svg.finish(WIDTH, bottom + 8.0) + &note
}

/// Round trips of all pairs that were answered, and what was not answered.
pub(crate) fn round_trips(session: &Session, side: &Side) -> String {
    let axis = Axis::new(session);
    let known = || {
        side.pairs
            .values()
            .flat_map(|pair| &pair.answers)
            .filter_map(|(at, rtt)| Some((*at, (*rtt)?)))
    };
    let highest = known().map(|(_, rtt)| rtt).fold(0.0, f64::max);
    let lost: Vec<f64> =
        side.pairs.values().flat_map(|pair| pair.unanswered.iter().copied()).collect();
    if known().next().is_none() && lost.is_empty() {
        return "<p>No check was sent.</p>".to_owned();
    }
    let (top, height) = (24.0, if known().next().is_some() { 130.0 } else { 0.0 });
    let scale = nice(highest.max(0.1));
    let y = |rtt: f64| top + height - rtt / scale * (height - 10.0);
    let mut svg = Svg::default();
    axis.draw(&mut svg, top, top + height + 26.0);
    if known().next().is_some() {
        for part in [0.0, 0.5, 1.0] {
            let rtt = scale * part;
            svg.line("grid", (LEFT, y(rtt)), (RIGHT, y(rtt)));
            svg.text("label", (LEFT - 10.0, y(rtt) + 4.0), &duration(rtt));
        }
    }
    svg.text("label", (LEFT - 10.0, top + height + 22.0), "not answered");
    let selected: Vec<u64> = side
        .pairs
        .iter()
        .filter(|(_, pair)| !pair.selected.is_empty())
        .map(|(id, _)| *id)
        .collect();
    for (id, pair) in &side.pairs {
        let class = if selected.contains(id) { "rtt chosen-path" } else { "rtt" };
        for (at, rtt) in pair.answers.iter().filter_map(|(at, rtt)| Some((*at, (*rtt)?))) {
            let title = format!("pair {id}: {} at {}", duration(rtt), duration(at - session.begin));
            svg.dot(class, (axis.x(at), y(rtt)), 4.0, &title);
        }
    }
    for at in lost {
        svg.cross("lost-mark", (axis.x(at), top + height + 18.0));
    }
    svg.finish(WIDTH, top + height + 34.0)
}

/// A round number that is not below.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value)
        .unwrap_or(value)
}
