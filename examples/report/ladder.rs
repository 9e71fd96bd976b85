//! The ladder diagram: one line down for each side, an arrow for each message, and what happened
//! beside it. Time runs down, but not to scale: every event has a row, and a pause is written.

use std::collections::BTreeMap;

use crate::read::Event;
use crate::session::{Session, UNDER_WAY};
use crate::svg::{Svg, duration};

/// Rows that are drawn; a session of hours has more.
const ROWS: usize = 500;
const ROW: f64 = 19.0;
/// A pause of so many milliseconds is written.
const PAUSE: f64 = 90.0;
/// Characters that have room beside a line.
const NOTE: usize = 56;
const TIME: f64 = 84.0;
const LEFT: f64 = 470.0;
const RIGHT: f64 = 850.0;
const WIDTH: f64 = 1320.0;

/// When something was, and how far down that is.
type Place = (f64, f64);

/// An event that has a row.
struct Row<'a> {
    side: usize,
    event: &'a Event,
    y: f64,
}

pub(crate) fn draw(session: &Session) -> String {
    let mut events: Vec<(usize, &Event)> = session
        .sides
        .iter()
        .enumerate()
        .flat_map(|(side, of)| of.events.iter().map(move |event| (side, event)))
        .filter(|(_, event)| note(event).is_some())
        .collect();
    events.sort_by(|(_, one), (_, other)| one.at.total_cmp(&other.at));
    let left_out = events.len().saturating_sub(ROWS);
    events.truncate(ROWS);

    let mut svg = Svg::default();
    let mut y = 44.0;
    let mut last = session.begin;
    let mut rows = Vec::new();
    for (side, event) in events {
        let pause = event.at - last;
        if pause >= PAUSE {
            y += ROW * 0.4;
            svg.text("pause", (TIME, y), &format!("⋮ {}", duration(pause)));
            y += ROW * 1.1;
        }
        let stamp = format!("{:.1}", event.at - session.begin);
        if pause >= 0.05 || rows.is_empty() {
            svg.text("time", (TIME, y + 4.0), &stamp);
        }
        last = event.at;
        rows.push(Row { side, event, y });
        y += ROW;
    }
    let bottom = y;
    let mut under = Svg::default();
    for (x, name) in [(LEFT, 0), (RIGHT, 1)] {
        let title = session.sides.get(name).map_or_else(
            || "the other side (no trace of it)".to_owned(),
            |side| format!("{}: {}", side.name, side.title),
        );
        under.text(if name == 0 { "head end" } else { "head" }, (x, 18.0), &title);
        under.line("life", (x, 28.0), (x, bottom));
    }
    under.text("time", (TIME, 18.0), "ms");
    arrows(session, &rows, &mut under);
    for row in &rows {
        let (x, class) = if row.side == 0 { (LEFT - 14.0, "end") } else { (RIGHT + 14.0, "start") };
        let Some((text, kind)) = note(row.event) else { continue };
        under.short(&format!("{class} {kind}"), (x, row.y + 4.0), &text, NOTE);
        if kind.starts_with("state") {
            let x = if row.side == 0 { LEFT } else { RIGHT };
            under.dot(kind, (x, row.y), 4.0, &text);
        }
    }
    if left_out > 0 {
        let text = format!("… and {left_out} events more, which are not drawn");
        under.text("pause", (TIME, bottom + 14.0), &text);
    }
    under.add(svg);
    under.finish(WIDTH, bottom + 24.0)
}

/// The arrows between rows. With both traces a message runs from where it was sent to where it
/// arrived, or ends on the way; with one it runs straight, and is dashed when nobody has answered.
fn arrows(session: &Session, rows: &[Row<'_>], svg: &mut Svg) {
    let both = session.sides.len() > 1;
    // Arrivals by name, message and side, in order.
    let mut arrivals: BTreeMap<(&str, &str, usize), Vec<Place>> = BTreeMap::new();
    for row in rows {
        let key = (row.event.name.as_str(), row.event.text("message"), row.side);
        arrivals.entry(key).or_default().push((row.event.at, row.y));
    }
    for (at, row) in rows.iter().enumerate() {
        let (here, there) = if row.side == 0 { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
        let message = row.event.text("message");
        let (class, arrival) = match row.event.name.as_str() {
            "check_sent" => (class_of(row.event), "check_received"),
            "response_sent" => {
                let error = row.event.number("error").is_some();
                (if error { "error" } else { "answer" }, "response_received")
            }
            "check_received" | "response_received" if !both => {
                let class = if row.event.name == "check_received" {
                    class_of(row.event)
                } else if row.event.number("error").is_some() {
                    "error"
                } else {
                    "answer"
                };
                svg.arrow(class, (there, row.y), (here, row.y));
                continue;
            }
            _ => continue,
        };
        if !both {
            let answered = row.event.name == "response_sent"
                || rows[at..].iter().any(|other| {
                    other.event.name == "response_received"
                        && other.event.text("message") == message
                });
            let class = if answered { class.to_owned() } else { format!("{class} lost") };
            svg.arrow(&class, (here, row.y), (there, row.y));
            if !answered && row.event.at + UNDER_WAY < session.end {
                svg.cross("lost-mark", (there - (there - here) * 0.12, row.y));
            }
            continue;
        }
        // The next arrival of it that no earlier transmission has taken.
        let next = arrivals.get_mut(&(arrival, message, 1 - row.side)).and_then(|times| {
            // The clocks of two processes agree to a fraction of a millisecond.
            let found = times.iter().position(|(at, _)| *at >= row.event.at - 1.0)?;
            let later = rows[at + 1..].iter().find(|other| {
                other.side == row.side
                    && other.event.name == row.event.name
                    && other.event.text("message") == message
            });
            let taken = later.is_none_or(|later| times[found].0 < later.event.at);
            taken.then(|| times.remove(found))
        });
        match next {
            Some((_, y)) => svg.arrow(class, (here, row.y), (there, y)),
            None => {
                let end = (here + (there - here) * 0.55, row.y + 8.0);
                svg.line(&format!("{class} lost"), (here, row.y), end);
                if row.event.at + UNDER_WAY < session.end {
                    svg.cross("lost-mark", end);
                }
            }
        }
    }
}

fn class_of(check: &Event) -> &'static str {
    if check.is("use_candidate") || check.number("nomination").is_some() {
        "nominate"
    } else if check.text("purpose") == "consent" {
        "consent"
    } else {
        "check"
    }
}

fn outcome(response: &Event) -> String {
    response.number("error").map_or_else(|| "success".to_owned(), |code| code.to_string())
}

/// What stands beside the line of a side, and how; nothing for what the other pictures show.
fn note(event: &Event) -> Option<(String, &'static str)> {
    let pair = event.pair().map_or(String::new(), |pair| format!(" of pair {pair}"));
    Some(match event.name.as_str() {
        "check_sent" => {
            let purpose = match event.text("purpose") {
                "nominate" => "nominating check",
                "consent" => "consent check",
                "hedge" => "further check",
                _ => "check",
            };
            let attempt = event.number("attempt").filter(|attempt| *attempt > 1);
            let again =
                attempt.map_or(String::new(), |attempt| format!(", transmission {attempt}"));
            let with = if event.is("use_candidate") { " + USE-CANDIDATE" } else { "" };
            (format!("{purpose}{pair}{with}{again}"), "message")
        }
        "check_received" => {
            let with = if event.is("use_candidate") { " + USE-CANDIDATE" } else { "" };
            (format!("check from {}{with}", event.text("remote")), "message")
        }
        "response_sent" => {
            let what = outcome(event);
            (format!("answer: {what}"), "message")
        }
        "response_received" => {
            let what = outcome(event);
            let round_trip = event.millis("round_trip").map(|rtt| format!(", {}", duration(rtt)));
            (format!("{what}{pair}{}", round_trip.unwrap_or_default()), "message")
        }
        "check_expired" if !event.is("cancelled") && event.text("purpose") != "hedge" => {
            (format!("no answer to the check{pair}"), "bad")
        }
        "datagram_ignored" => {
            (format!("ignored, {}: from {}", event.text("reason"), event.text("remote")), "bad")
        }
        "connection_state" => {
            let state = event.text("state");
            let class = match state {
                "failed" | "disconnected" => "state bad",
                "connected" | "completed" => "state good",
                _ => "state",
            };
            (state.to_uppercase(), class)
        }
        "selected_pair" => {
            (format!("selected: {} → {}", event.text("local"), event.text("remote")), "state good")
        }
        "role" => (format!("role: {}", event.text("role")), "state"),
        "generation" => ("parameters of both sides known".to_owned(), "state"),
        "remote_restart" => ("the peer restarts".to_owned(), "state"),
        "restart_needed" => ("only a restart connects again".to_owned(), "state bad"),
        "consent_lost" => (format!("consent lost{pair}"), "state bad"),
        "nominating" => (format!("nominates{pair}").replace(" of", ""), "message"),
        "verdict" => (format!("verdict: {}", event.text("text")), "state"),
        "events_lost" => {
            (format!("{} events lost here", event.number("count").unwrap_or(0)), "bad")
        }
        _ => return None,
    })
}
