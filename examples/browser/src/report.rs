//! What the page shows of this side: states, candidates, pairs, channels and timers.

use std::time::Duration;

use frazil::{CandidateView, Timestamp};
use serde_json::{Value, json};

use crate::channel::ChannelState;
use crate::driver::{COMPONENT, words};
use crate::session::Mailbox;
use crate::stack::Stack;
use crate::tls::Tls;

/// The time from one report to the next.
const INTERVAL: Duration = Duration::from_millis(100);

/// Candidates that were passed over are shown up to this number.
const PASSED_OVER: usize = 16;

/// Tells the page how things stand, when they have changed and not too often.
#[derive(Default)]
pub(crate) struct Reporter {
    touched: bool,
    next: Timestamp,
    passed_over: Vec<(String, String)>,
}

impl Reporter {
    /// Something may look different now.
    pub(crate) fn touch(&mut self) {
        self.touched = true;
    }

    /// A candidate of the browser is of no use.
    pub(crate) fn pass_over(&mut self, line: &str, why: impl ToString) {
        if self.passed_over.len() < PASSED_OVER {
            self.passed_over.push((line.to_owned(), why.to_string()));
        }
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.touched.then_some(self.next)
    }

    pub(crate) fn report(&mut self, now: Timestamp, stack: &mut Stack, mailbox: &mut Mailbox) {
        if !self.touched || (now < self.next && !stack.is_closed()) {
            return;
        }
        self.touched = false;
        self.next = now + INTERVAL;
        mailbox.replace_report(self.describe(now, stack).to_string());
    }

    fn describe(&self, now: Timestamp, stack: &mut Stack) -> Value {
        let stream = stack.stream();
        let tls = stack.tls();
        let dtls = json!({
            "version": tls.and_then(Tls::version),
            "role": tls.map(|tls| if tls.is_active() { "client" } else { "server" }),
            "state": match tls {
                _ if stack.is_closed() => "closed",
                None => "new",
                Some(tls) if tls.version().is_some() => "connected",
                Some(_) => "connecting",
            },
        });
        let sctp = if stack.is_closed() { "closed" } else { stack.sctp().state() };
        let channels: Vec<Value> = stack
            .channels()
            .iter()
            .map(|(id, channel)| {
                let state = match channel.state {
                    ChannelState::Opening => "opening",
                    ChannelState::Open => "open",
                    ChannelState::Closing => "closing",
                };
                json!({
                    "id": id,
                    "label": channel.label,
                    "state": state,
                    "received": channel.received,
                    "sent": channel.sent,
                })
            })
            .collect();
        let left = |at: Option<Timestamp>| at.map(|at| (at - now).as_millis());
        let timers = json!({
            "ice": {
                "in": left(stack.driver().agent.poll_timeout()),
                "for": stack.driver().agent.timeout_reason().map(|reason| format!("{reason:?}")),
            },
            "dtls": { "in": left(tls.and_then(Tls::deadline)) },
            "sctp": { "in": left(stack.sctp().deadline()) },
        });
        let agent = &stack.driver().agent;
        let selected = agent.selected_pair(stream, COMPONENT).map(|pair| pair.id);
        let pairs: Vec<Value> = agent
            .pairs()
            .map(|pair| {
                json!({
                    "local": candidate(&pair.local),
                    "remote": candidate(&pair.remote),
                    "state": words::pair_state(pair.state),
                    "valid": pair.valid,
                    "nominated": pair.nominated,
                    "selected": Some(pair.id) == selected,
                })
            })
            .collect();
        let embedding = agent.embedding(stream, COMPONENT).map(|embedding| {
            json!({
                "support": format!("{:?}", embedding.support),
                "sent": embedding.sent,
                "acknowledged": embedding.acknowledged,
                "received": embedding.received,
            })
        });
        json!({
            "type": "report",
            "ice": {
                "state": words::state(agent.state()),
                "role": words::role(agent.role()),
                "lite": agent.local_parameters().lite,
                "local": agent.local_candidates().map(|c| candidate(&c)).collect::<Vec<_>>(),
                "remote": agent.remote_candidates().map(|c| candidate(&c)).collect::<Vec<_>>(),
                "pairs": pairs,
                "passedOver": self.passed_over,
                "refused": words::counters(agent.counters()).collect::<Vec<_>>(),
            },
            "embedding": embedding,
            "dtls": dtls,
            "sctp": { "state": sctp },
            "channels": channels,
            "timers": timers,
        })
    }
}

fn candidate(view: &CandidateView) -> Value {
    json!({
        "kind": view.kind.to_string(),
        "address": view.addr.to_string(),
        "priority": view.priority,
    })
}
