//! The page.

use std::fmt::Write;

use crate::session::{Candidate, Pair, Session, Side};
use crate::svg::{Plain, duration};
use crate::{chart, ladder};

const STYLE: &str = include_str!("style.css");

pub(crate) fn write(session: &Session) -> String {
    let mut page = String::new();
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>ICE session</title>\n<style>\n{STYLE}</style></head>\n<body>\n"
    );
    let length = duration(session.end - session.begin);
    let _ = write!(page, "<h1>ICE session</h1>\n<p class=\"sub\">{length} of it");
    if let Some(moved) = session.moved {
        let _ =
            write!(page, ", seen from both sides; the clock of B was moved by {}", duration(moved));
    }
    page.push_str("</p>\n");
    verdict(session, &mut page);
    page.push_str("<div class=\"cards\">\n");
    for side in &session.sides {
        summary(session, side, &mut page);
    }
    page.push_str("</div>\n<h2>Messages</h2>\n<p class=\"sub\">Time runs down and is not to scale. \
         <b class=\"check\">check</b> <b class=\"nominate\">nominating</b> \
         <b class=\"consent\">consent</b> <b class=\"answer\">success</b> <b class=\"error\">error</b>, \
         <b class=\"lost-mark\">× </b>did not arrive, or nobody has answered.</p>\n");
    page.push_str(&ladder::draw(session));
    for side in &session.sides {
        let of = of(session, side);
        let _ = write!(
            page,
            "<h2>Checklist{of} over time</h2>\n<p class=\"sub\">Best pair first. \
             <i class=\"key frozen\"></i>frozen <i class=\"key waiting\"></i>waiting \
             <i class=\"key in-progress\"></i>in progress <i class=\"key succeeded\"></i>succeeded \
             <i class=\"key failed\"></i>failed <i class=\"key ring\"></i>selected. A bar says why when \
             the pointer rests on it.</p>\n"
        );
        page.push_str(&chart::checklist(session, side));
        let _ = write!(
            page,
            "<h2>Round trips{of}</h2>\n<p class=\"sub\">Answered checks, those of the selected path filled; below, requests that nobody has answered.</p>\n"
        );
        page.push_str(&chart::round_trips(session, side));
        pairs(side, &mut page);
        candidates(session, side, &mut page);
    }
    page.push_str("</body></html>\n");
    page
}

fn of(session: &Session, side: &Side) -> String {
    if session.sides.len() > 1 { format!(" of {}", side.name) } else { String::new() }
}

fn verdict(session: &Session, page: &mut String) {
    let failed = session.sides.iter().any(|side| {
        matches!(side.last_state("connection_state"), Some("failed" | "disconnected"))
            || (side.first("failed").is_some() && side.first("connected").is_none())
    });
    let connected = session.sides.iter().all(|side| side.first("connected").is_some());
    let class = match (failed, connected) {
        (true, _) => "bad",
        (false, true) => "good",
        (false, false) => "open",
    };
    let _ = write!(page, "<div class=\"verdict {class}\"><h2>Verdict</h2>");
    let mut any = false;
    for (name, text) in session.verdicts() {
        any = true;
        let _ = write!(page, "<p><b>{name}</b> {}</p>", Plain(text));
    }
    if !any {
        page.push_str("<p>No verdict in this trace.</p>");
    }
    page.push_str("</div>\n");
}

/// What one wants to know first.
fn summary(session: &Session, side: &Side, page: &mut String) {
    let since = |at: f64| duration(at - session.begin);
    let _ =
        write!(page, "<div class=\"card\"><h3>{}: {}</h3>\n<table>", side.name, Plain(&side.title));
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(page, "<tr><th>{name}</th><td>{}</td></tr>", Plain(value));
    };
    row("state at the end", side.last_state("connection_state").unwrap_or("new"));
    for state in ["connected", "completed", "failed"] {
        if let Some(at) = side.first(state) {
            row(&format!("first {state}"), &since(at));
        }
    }
    let selections = side.events.iter().filter(|event| event.name == "selected_pair");
    for event in selections {
        let kinds = (event.text("local_kind"), event.text("remote_kind"));
        let path = (event.text("local"), event.text("remote"));
        let text =
            format!("{} ({}) → {} ({}) at {}", path.0, kinds.0, path.1, kinds.1, since(event.at));
        row("selected path", &text);
    }
    let sent: usize = side.pairs.values().map(|pair| pair.sent.len()).sum();
    let lost: usize = side.pairs.values().map(|pair| pair.unanswered.len()).sum();
    row("requests sent", &format!("{sent}, not answered {lost} ({})", percent(lost, sent)));
    row("round trips", &spread(side.pairs.values()));
    let ignored = side.events.iter().filter(|event| event.name == "datagram_ignored").count();
    row("datagrams ignored", &ignored.to_string());
    if side.broken > 0 {
        row("records that could not be read", &side.broken.to_string());
    }
    page.push_str("</table></div>\n");
}

fn percent(part: usize, whole: usize) -> String {
    if whole == 0 {
        "0 %".to_owned()
    } else {
        format!("{:.0} %", part as f64 * 100.0 / whole as f64)
    }
}

fn spread<'a>(pairs: impl Iterator<Item = &'a Pair>) -> String {
    let mut known: Vec<f64> =
        pairs.flat_map(|pair| &pair.answers).filter_map(|(_, rtt)| *rtt).collect();
    known.sort_by(f64::total_cmp);
    match (known.first(), known.get(known.len() / 2), known.last()) {
        (Some(least), Some(median), Some(most)) => format!(
            "{} to {}, median {} ({} answers)",
            duration(*least),
            duration(*most),
            duration(*median),
            known.len()
        ),
        _ => "none is known".to_owned(),
    }
}

fn pairs(side: &Side, page: &mut String) {
    let mut pairs: Vec<(&u64, &Pair)> = side.pairs.iter().collect();
    pairs.sort_by_key(|(id, pair)| (std::cmp::Reverse(pair.priority), **id));
    let _ = writeln!(
        page,
        "<details><summary>All {} pairs of {}</summary><div class=\"wide\"><table class=\"list\">\
         <tr><th>pair</th><th>component</th><th>path</th><th>foundation</th><th>priority</th>\
         <th>state at the end</th><th>why</th><th>sent</th><th>not answered</th><th>round trips</th></tr>",
        pairs.len(),
        side.name
    );
    for (id, pair) in pairs {
        let (state, cause) = match (&pair.removed, pair.states.last()) {
            (Some((_, cause)), _) => ("removed", cause.as_str()),
            (None, Some((_, state, cause))) => (state.as_str(), cause.as_str()),
            (None, None) => ("", ""),
        };
        let _ = writeln!(
            page,
            "<tr><td>{id}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            pair.component,
            Plain(&side.path(pair)),
            Plain(&pair.foundation),
            pair.priority,
            Plain(state),
            Plain(cause),
            pair.sent.len(),
            pair.unanswered.len(),
            Plain(&spread(std::iter::once(pair)))
        );
    }
    page.push_str("</table></div></details>\n");
}

fn candidates(session: &Session, side: &Side, page: &mut String) {
    let _ = writeln!(
        page,
        "<details><summary>All candidates of {}</summary><div class=\"wide\"><table class=\"list\">\
         <tr><th></th><th>id</th><th>kind</th><th>address</th><th>base</th><th>priority</th>\
         <th>since</th><th>until</th></tr>",
        side.name
    );
    let mut row = |whose: &str, id: &u64, candidate: &Candidate| {
        let since = |at: f64| duration(at - session.begin);
        let _ = writeln!(
            page,
            "<tr><td>{whose}</td><td>{id}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            Plain(&candidate.kind),
            Plain(&candidate.address),
            Plain(&candidate.base),
            candidate.priority,
            since(candidate.at),
            candidate.gone.map_or_else(String::new, since)
        );
    };
    for (id, candidate) in &side.locals {
        row("local", id, candidate);
    }
    for (id, candidate) in &side.remotes {
        row("remote", id, candidate);
    }
    page.push_str("</table></div></details>\n");
}
