//! An agent as tables: its checklists, with their valid lists.

use std::fmt::Write;

use frazil::{CandidateView, IceAgent, PairState, PairView};

/// All that there is to see.
pub(crate) fn all(agent: &IceAgent) -> String {
    let mut text = String::new();
    let (role, state) = (agent.role(), agent.state());
    let _ =
        writeln!(text, "role {role:?}, state {state:?}, gathering {:?}", agent.gathering_state());
    for stream in agent.streams() {
        let mut pairs: Vec<PairView> = agent.pairs().filter(|pair| pair.stream == stream).collect();
        pairs.sort_by_key(|pair| (std::cmp::Reverse(pair.priority), pair.id));
        let _ = writeln!(text, "\nchecklist of stream {}, best first:", stream.get());
        text.push_str(&checklist(&pairs));
        pairs.retain(|pair| pair.valid);
        if !pairs.is_empty() {
            text.push_str("\nvalid list, as the peer sees it:\n");
            text.push_str(&valid_list(agent, &pairs));
        }
    }
    text
}

fn checklist(pairs: &[PairView]) -> String {
    let head =
        ["pair", "comp", "local base", "remote", "type", "foundation", "priority", "state", "sent"];
    let rows = pairs.iter().map(|pair| {
        vec![
            pair.id.get().to_string(),
            pair.component.to_string(),
            pair.local.base.to_string(),
            pair.remote.addr.to_string(),
            types(pair),
            format!("{}:{}", pair.foundation.0, pair.foundation.1),
            pair.priority.to_string(),
            state(pair.state).to_owned(),
            pair.transmissions.to_string(),
        ]
    });
    table(&head, rows.collect())
}

fn valid_list(agent: &IceAgent, pairs: &[PairView]) -> String {
    let rows = pairs.iter().map(|pair| {
        let selected = agent.selected_pair(pair.stream, pair.component);
        let mut marks = Vec::new();
        if pair.nominated {
            marks.push("nominated");
        }
        if selected.is_some_and(|selected| selected.id == pair.id) {
            marks.push("selected");
        }
        vec![
            pair.id.get().to_string(),
            pair.component.to_string(),
            pair.local.addr.to_string(),
            pair.remote.addr.to_string(),
            types(pair),
            marks.join(", "),
        ]
    });
    table(&["pair", "comp", "local", "remote", "type", ""], rows.collect())
}

fn types(pair: &PairView) -> String {
    let kind = |candidate: &CandidateView| candidate.kind;
    format!("{}-{}", kind(&pair.local), kind(&pair.remote))
}

/// As RFC 8445 §6.1.2.6 spells them.
const fn state(state: PairState) -> &'static str {
    match state {
        PairState::Frozen => "Frozen",
        PairState::Waiting => "Waiting",
        PairState::InProgress => "In-Progress",
        PairState::Succeeded => "Succeeded",
        PairState::Failed => "Failed",
    }
}

fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return "  (no pairs)\n".to_owned();
    }
    let mut widths: Vec<usize> = head.iter().map(|name| name.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let line = |cells: &mut dyn Iterator<Item = &str>, text: &mut String| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            let _ = write!(line, "  {cell:<width$}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(&mut head.iter().copied(), &mut text);
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    line(&mut rules.iter().map(String::as_str), &mut text);
    for row in &rows {
        line(&mut row.iter().map(String::as_str), &mut text);
    }
    text
}
