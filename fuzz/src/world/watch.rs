//! What must not happen on the way, whatever the faults: read from the log of a side in the end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use frazil::sim::{AgentIndex, Logged, World};
use frazil::{ConnectionState, Event, Role, Route, Timestamp};

use super::super::wire;

/// RFC 8445 §14.1: nothing of ICE is sent more often, to whomever.
const SPACING: Duration = Duration::from_millis(5);

/// RFC 7675 §5.1: the longest that may be configured here.
const CONSENT: Duration = Duration::from_secs(30);

/// What has been read of one log.
#[derive(Default)]
struct Watch {
    role: Option<Role>,
    lite: bool,
    asks_consent: bool,
    state: Option<ConnectionState>,
    /// When the newest check was begun.
    begun: Option<Timestamp>,
    /// The requests: where each came from and went to.
    asked: BTreeMap<[u8; 12], (SocketAddr, SocketAddr)>,
    /// When something authentic, or data, came in, by the addresses; of the whole log.
    heard: BTreeMap<(SocketAddr, SocketAddr), Vec<Timestamp>>,
    /// It has been connected: what it sends may be for consent, which keeps to no Ta.
    connected: bool,
}

/// Looks at all that a side has sent and told. A lite agent need not have heard from anybody, and
/// without consent nobody has to go on to hear from the peer.
pub fn look(world: &World, side: AgentIndex, role: Role, asks_consent: bool) {
    let lite = world.agent(side).is_some_and(|agent| agent.local_parameters().lite);
    let mut watch = Watch { role: Some(role), lite, asks_consent, ..Watch::default() };
    // What comes of a message at once stands before it in the log.
    for entry in world.log(side) {
        if let Logged::Consumed { local, remote, .. } = &entry.what {
            watch.heard.entry((*local, *remote)).or_default().push(entry.at);
        }
    }
    for entry in world.log(side) {
        match &entry.what {
            Logged::Event(event) => watch.event(entry.at, event),
            Logged::Transmit { route: Route::Datagram { local, remote, .. }, bytes, .. } => {
                watch.transmit(entry.at, (*local, *remote), bytes);
            }
            _ => {}
        }
    }
}

impl Watch {
    fn event(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::ConnectionState(state) => {
                assert_ne!(self.state, Some(*state), "nothing has changed");
                assert_ne!(self.state, Some(ConnectionState::Closed), "it is closed");
                self.state = Some(*state);
                let connected = [ConnectionState::Connected, ConnectionState::Completed];
                if connected.contains(state) {
                    let first = self.heard.values().filter_map(|times| times.first()).min();
                    let has_heard = first.is_some_and(|first| *first <= at);
                    assert!(self.lite || has_heard, "it is connected to nobody");
                    self.connected = true;
                }
            }
            Event::RoleChanged(role) => {
                assert_ne!(self.role, Some(*role), "nothing has changed");
                self.role = Some(*role);
            }
            _ => {}
        }
    }

    fn transmit(&mut self, at: Timestamp, path: (SocketAddr, SocketAddr), bytes: &[u8]) {
        if !frazil::fuzzing::is_stun(bytes) {
            let heard = self.heard.get(&path).map(Vec::as_slice).unwrap_or_default();
            let last = heard[..heard.partition_point(|heard| *heard <= at)].last();
            let lasts = |last: &Timestamp| !self.asks_consent || at <= *last + CONSENT;
            assert!(self.lite || last.is_some_and(lasts), "data without consent");
            return;
        }
        if wire::kind(bytes) != Some(wire::REQUEST) {
            return;
        }
        let attributes = wire::attributes(bytes);
        let has = |kind| attributes.iter().any(|(_, other, _)| *other == kind);
        let controlling = has(wire::ICE_CONTROLLING);
        assert!(controlling != has(wire::ICE_CONTROLLED), "one role");
        assert!(controlling || !has(wire::USE_CANDIDATE), "it is not for it to nominate");
        let id = wire::id(bytes).expect("it has one");
        match self.asked.insert(id, path) {
            Some(before) => assert_eq!(before, path, "a request goes where it went"),
            None if !self.connected => {
                let begun = self.begun.replace(at);
                assert!(begun.is_none_or(|begun| begun + SPACING <= at), "too many checks");
            }
            None => {}
        }
    }
}
