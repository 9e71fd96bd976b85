//! One or two traces on one time, and what follows from them.

use std::collections::BTreeMap;

use crate::read::{Event, Trace};

/// A session as one side or both have seen it.
pub(crate) struct Session {
    pub(crate) sides: Vec<Side>,
    /// When it begins and ends, in milliseconds.
    pub(crate) begin: f64,
    pub(crate) end: f64,
    /// By how much the clock of the second side was moved, if there are two.
    pub(crate) moved: Option<f64>,
}

/// One side.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) events: Vec<Event>,
    pub(crate) broken: usize,
    pub(crate) locals: BTreeMap<u64, Candidate>,
    pub(crate) remotes: BTreeMap<u64, Candidate>,
    pub(crate) pairs: BTreeMap<u64, Pair>,
    pub(crate) messages: BTreeMap<String, Message>,
}

pub(crate) struct Candidate {
    pub(crate) kind: String,
    pub(crate) address: String,
    pub(crate) base: String,
    pub(crate) priority: u64,
    pub(crate) at: f64,
    pub(crate) gone: Option<f64>,
}

pub(crate) struct Pair {
    pub(crate) component: u64,
    pub(crate) local: u64,
    pub(crate) remote: u64,
    pub(crate) priority: u64,
    pub(crate) foundation: String,
    /// When it took which state and why.
    pub(crate) states: Vec<(f64, String, String)>,
    pub(crate) removed: Option<(f64, String)>,
    /// When it was selected.
    pub(crate) selected: Vec<f64>,
    /// When it was answered, and the round trip where there is one.
    pub(crate) answers: Vec<(f64, Option<f64>)>,
    /// When a request of it was sent.
    pub(crate) sent: Vec<f64>,
    /// When a request of it was sent that nobody has answered, in the time of the trace.
    pub(crate) unanswered: Vec<f64>,
}

/// What was sent so shortly before the end of the trace may still arrive and be answered.
pub(crate) const UNDER_WAY: f64 = 500.0;

/// A check that this side has sent.
#[derive(Default)]
pub(crate) struct Message {
    pub(crate) pair: Option<u64>,
    pub(crate) sent: Vec<f64>,
    pub(crate) answered: bool,
}

impl Session {
    pub(crate) fn new(traces: Vec<Trace>) -> Self {
        let mut traces = traces;
        let moved = match &traces[..] {
            [one, other] => Some(offset(&one.events, &other.events).unwrap_or(0.0)),
            _ => None,
        };
        if let (Some(moved), Some(other)) = (moved, traces.get_mut(1)) {
            for event in &mut other.events {
                event.at += moved;
            }
        }
        let mut sides: Vec<Side> = traces
            .into_iter()
            .zip(["A", "B"])
            .map(|(trace, name)| Side::new(trace, name))
            .collect();
        let times = || sides.iter().flat_map(|side| &side.events).map(|event| event.at);
        let begin = times().fold(f64::INFINITY, f64::min);
        let end = times().fold(begin, f64::max);
        let begin = if begin.is_finite() { begin } else { 0.0 };
        let end = if end.is_finite() { end } else { 0.0 };
        for side in &mut sides {
            side.find_unanswered(end);
        }
        Self { sides, begin, end, moved }
    }

    /// What the program that wrote the trace says of the session.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.sides.iter().filter_map(|side| {
            let last = side.events.iter().rfind(|event| event.name == "verdict")?;
            Some((side.name, last.text("text")))
        })
    }
}

/// What to add to the times of the second side: each check that arrived there and was answered says
/// where its clock stands, as in NTP; the median of them stands.
fn offset(one: &[Event], other: &[Event]) -> Option<f64> {
    let first = |events: &[Event], name: &str| -> BTreeMap<String, f64> {
        let mut times = BTreeMap::new();
        for event in events.iter().filter(|event| event.name == name) {
            times.entry(event.text("message").to_owned()).or_insert(event.at);
        }
        times
    };
    let mut offsets = Vec::new();
    for (asks, answers, sign) in [(one, other, 1.0), (other, one, -1.0)] {
        let (sent, got) = (first(asks, "check_sent"), first(answers, "check_received"));
        let (replied, back) = (first(answers, "response_sent"), first(asks, "response_received"));
        for (id, sent) in &sent {
            let times = (got.get(id), replied.get(id), back.get(id));
            if let (Some(got), Some(replied), Some(back)) = times {
                offsets.push(sign * ((sent - got) + (back - replied)) / 2.0);
            }
        }
    }
    offsets.sort_by(f64::total_cmp);
    offsets.get(offsets.len() / 2).copied()
}

impl Side {
    fn new(trace: Trace, name: &'static str) -> Self {
        let mut side = Self {
            name,
            title: trace.title,
            events: trace.events,
            broken: trace.broken,
            locals: BTreeMap::new(),
            remotes: BTreeMap::new(),
            pairs: BTreeMap::new(),
            messages: BTreeMap::new(),
        };
        for event in side.events.clone() {
            side.take(&event);
        }
        side
    }

    fn take(&mut self, event: &Event) {
        match event.name.as_str() {
            "local_candidate" => note(&mut self.locals, event),
            "remote_candidate" => note(&mut self.remotes, event),
            "local_candidate_removed" => gone(&mut self.locals, event),
            "remote_candidate_removed" => gone(&mut self.remotes, event),
            "pair_formed" => {
                let (Some(id), state) = (event.pair(), event.text("state")) else { return };
                self.pairs.insert(
                    id,
                    Pair {
                        component: event.number("component").unwrap_or(0),
                        local: event.number("local").unwrap_or(u64::MAX),
                        remote: event.number("remote").unwrap_or(u64::MAX),
                        priority: event.text("priority").parse().unwrap_or(0),
                        foundation: event.text("foundation").to_owned(),
                        states: vec![(event.at, state.to_owned(), event.text("cause").to_owned())],
                        removed: None,
                        selected: Vec::new(),
                        answers: Vec::new(),
                        sent: Vec::new(),
                        unanswered: Vec::new(),
                    },
                );
            }
            "check_sent" => {
                let message = self.messages.entry(event.text("message").to_owned()).or_default();
                message.pair = event.pair();
                message.sent.push(event.at);
                if let Some(pair) = event.pair().and_then(|id| self.pairs.get_mut(&id)) {
                    pair.sent.push(event.at);
                }
            }
            "response_received" => {
                let message = self.messages.entry(event.text("message").to_owned()).or_default();
                message.answered = true;
                if let Some(pair) = event.pair().and_then(|id| self.pairs.get_mut(&id)) {
                    if event.number("error").is_none() {
                        pair.answers.push((event.at, event.millis("round_trip")));
                    }
                }
            }
            _ => {
                let Some(pair) = event.pair().and_then(|id| self.pairs.get_mut(&id)) else {
                    return;
                };
                match event.name.as_str() {
                    "pair_state" => pair.states.push((
                        event.at,
                        event.text("to").to_owned(),
                        event.text("cause").to_owned(),
                    )),
                    "pair_removed" => {
                        pair.removed = Some((event.at, event.text("cause").to_owned()));
                    }
                    "selected_pair" => pair.selected.push(event.at),
                    _ => {}
                }
            }
        }
    }

    /// Of a check that was answered one transmission at least has arrived; which one is not known when
    /// there were several.
    fn find_unanswered(&mut self, end: f64) {
        for message in self.messages.values() {
            let Some(pair) = message.pair.and_then(|id| self.pairs.get_mut(&id)) else { continue };
            let answered = usize::from(message.answered).min(message.sent.len());
            let silent = &message.sent[..message.sent.len() - answered];
            pair.unanswered.extend(silent.iter().filter(|at| **at + UNDER_WAY < end));
        }
    }

    pub(crate) fn path(&self, pair: &Pair) -> String {
        let local = self.locals.get(&pair.local);
        let remote = self.remotes.get(&pair.remote);
        let name = |candidate: Option<&Candidate>| {
            candidate.map_or_else(
                || "?".to_owned(),
                |known| format!("{} ({})", known.address, known.kind),
            )
        };
        format!("{} → {}", name(local), name(remote))
    }

    /// The state that it was in last, of the connection or of gathering.
    pub(crate) fn last_state(&self, name: &str) -> Option<&str> {
        self.events.iter().rev().find(|event| event.name == name).map(|event| event.text("state"))
    }

    pub(crate) fn first(&self, state: &str) -> Option<f64> {
        let mut states = self.events.iter().filter(|event| event.name == "connection_state");
        states.find(|event| event.text("state") == state).map(|event| event.at)
    }
}

fn note(candidates: &mut BTreeMap<u64, Candidate>, event: &Event) {
    let Some(id) = event.number("candidate") else { return };
    let at = candidates.get(&id).map_or(event.at, |known| known.at);
    candidates.insert(
        id,
        Candidate {
            kind: event.text("kind").to_owned(),
            address: event.text("address").to_owned(),
            base: event.text("base").to_owned(),
            priority: event.number("priority").unwrap_or(0),
            at,
            gone: None,
        },
    );
}

fn gone(candidates: &mut BTreeMap<u64, Candidate>, event: &Event) {
    let known = event.number("candidate").and_then(|id| candidates.get_mut(&id));
    if let Some(candidate) = known {
        candidate.gone = Some(event.at);
    }
}
