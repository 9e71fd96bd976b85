//! How a case ends: what the agents have come to when the network has healed and all is quiet.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use frazil::sim::{AgentIndex, FirewallConfig, Link, Logged, World};
use frazil::{CandidateKind, ConnectionState, Event, IceAgent, Route};

use super::super::wire;
use super::{Bench, MOST_SIGNALLING, Place, SOCKETS, watch};

/// After this time without a fault an agent has found a path, or has given up: it gives up a path
/// after 60 s, and its first checks after 39.5 s.
const REST: Duration = Duration::from_secs(150);

/// What is so for that long stays so: a path that has died has lost its consent meanwhile.
const SURE: Duration = Duration::from_secs(45);

/// Two agents that nothing is in the way of are connected within that long, be their timing slow.
const SOON: Duration = Duration::from_secs(60);

impl Bench {
    /// What has been lost is restored, everything is told, and time passes.
    pub(super) fn heal(&mut self) {
        let network = self.world.network_mut();
        network.clear_rules();
        network.set_default_link(Link::default());
        for (one, other) in (0..SOCKETS).flat_map(|one| (0..SOCKETS).map(move |other| (one, other)))
        {
            let (one, other) = (self.seen(0, one), self.seen(1, other));
            let network = self.world.network_mut();
            network.set_link(one, other, Link::default());
            network.set_link(other, one, Link::default());
        }
        for side in 0..2 {
            let network = self.world.network_mut();
            network.restart(self.hosts[side]).expect("nobody has its address");
            let guarded = self.places[side] == Place::Guarded;
            let firewall = guarded.then(FirewallConfig::stateful);
            network.set_host_firewall(self.hosts[side], firewall);
            self.realms[side].map(|realm| network.reconnect(realm));
            for index in 0..SOCKETS {
                self.restore(side, index);
            }
            self.start(side);
        }

        let mut clone = self.world.clone();
        let soon = self.world.now() + Duration::from_secs(10);
        self.world.run_until(soon).expect("the contract holds");
        clone.run_until(soon).expect("the contract holds");
        assert_eq!(self.world.hash(), clone.hash(), "a clone has another future");

        if self.calm {
            self.assert_connected();
        }
        let outcome = self.rest();
        if self.tampered {
            self.watch();
            return;
        }
        if !self.misled {
            self.assert_agreed(&outcome);
        }
        self.assert_restart_connects();
        self.watch();
    }

    /// Lets the agents come to rest: what has become of them lasts.
    fn rest(&mut self) -> [Outcome; 2] {
        let until = self.world.now() + REST;
        let sides = self.sides;
        let apart = |world: &World| !are_completed(world, sides);
        self.world.run_while(apart, until).expect("the contract holds");
        let outcome = self.outcomes();
        self.world.run_until(self.world.now() + SURE).expect("the contract holds");
        let lasting = self.outcomes();
        if lasting == outcome || self.tampered || self.misled {
            return lasting;
        }
        // What came about before all was quiet may have been undone.
        self.world.run_until(self.world.now().max(until)).expect("the contract holds");
        let outcome = self.outcomes();
        self.world.run_until(self.world.now() + SURE).expect("the contract holds");
        assert_eq!(outcome, self.outcomes(), "no rest");
        outcome
    }

    /// Where nothing stands between the sides and nothing has been done to them they connect by
    /// themselves, and soon.
    fn assert_connected(&mut self) {
        let (now, sides) = (self.world.now(), self.sides);
        self.world
            .run_while(|world: &World| !are_completed(world, sides), now + SOON)
            .expect("the contract holds");
        // A lite agent takes silence for the end, and one without consent asks nothing any more.
        let silent = (0..2)
            .any(|side| self.agent(side).local_parameters().lite && !self.asks_consent[1 - side]);
        if self.may_connect() && !silent {
            let outcomes = self.outcomes();
            assert!(are_completed(&self.world, sides), "nothing was in their way: {outcomes:?}");
        }
    }

    /// What went out and came in on the way.
    fn watch(&self) {
        for side in 0..2 {
            let (asks, role) = (self.asks_consent[side], self.roles[side]);
            watch::look(&self.world, self.sides[side], role, asks);
            for payload in self.world.received(self.sides[side]) {
                let known =
                    self.sent[1 - side].contains(payload) || self.injected.contains(payload);
                assert!(known, "nobody has sent this: {payload:02x?}");
            }
        }
    }

    /// Wherever the agents have ended, a restart connects them over a network that works.
    fn assert_restart_connects(&mut self) {
        self.restart(0);
        let until = self.world.now() + 2 * MOST_SIGNALLING + Duration::from_secs(5);
        self.world.run_until(until).expect("the contract holds");
        let sides = self.sides;
        let apart = |world: &World| !are_completed(world, sides);
        self.world.run_while(apart, until + REST).expect("the contract holds");
        if !self.may_connect() || (0..2).any(|side| self.awaits_a_component(side)) {
            return;
        }
        let outcomes = self.outcomes();
        assert!(!apart(&self.world), "a restart does not connect them: {outcomes:?}");
        for side in 0..2 {
            self.data_arrives(side);
        }
    }

    /// Whether nothing stands between the two sides: each component has sockets on both that reach
    /// each other, and one of the agents checks.
    fn may_connect(&self) -> bool {
        let open = self.places == [Place::Open; 2];
        let full = !(0..2).all(|side| self.agent(side).local_parameters().lite);
        let bases = |side: usize, component: u16, ipv6: bool| {
            self.agent(side).local_candidates().any(|local| {
                let host = local.kind == CandidateKind::Host;
                host && local.component == component && local.addr.is_ipv6() == ipv6
            })
        };
        let has = |side, component| bases(side, component, false) || bases(side, component, true);
        // What one of them lacks altogether, neither of them has.
        let reach = (1..=2).all(|component| {
            let both = [false, true]
                .iter()
                .any(|&ipv6| bases(0, component, ipv6) && bases(1, component, ipv6));
            // A side that has lost all sockets of a component offers it again in a restart.
            both || (component == 2 && !has(0, 2) && !has(1, 2) && self.components == [1; 2])
        });
        open && full && reach
    }

    /// Whether consent has ended on some pair.
    fn consent_was_lost(&self) -> bool {
        self.sides.iter().any(|&side| {
            self.world.events(side).any(|(_, event)| matches!(event, Event::ConsentLost { .. }))
        })
    }

    /// Whether a side has begun a restart of which its peer has heard.
    fn has_restarted(&self) -> bool {
        self.sides.iter().any(|&side| {
            self.world.events(side).any(|(_, event)| matches!(event, Event::RemoteRestart { .. }))
        })
    }

    fn assert_agreed(&mut self, outcomes: &[Outcome; 2]) {
        match outcomes {
            [Outcome::Connected(ours), Outcome::Connected(theirs)] => {
                let mirrored: Vec<_> =
                    theirs.iter().map(|&(n, local, remote)| (n, remote, local)).collect();
                // A mapping of a NAT may have changed, which one side alone can know.
                let told_apart = self.nominations() > ours.len() || self.consent_was_lost();
                if !told_apart && self.realms == [None; 2] {
                    assert_eq!(ours, &mirrored, "the selected pairs differ");
                }
                // One without consent does not notice that its path is dead, and takes a nomination
                // of a worse one for one of many.
                let apart = ours != &mirrored || self.realms != [None; 2];
                for side in 0..2 {
                    if self.asks_consent[side] || !apart {
                        self.data_arrives(side);
                    }
                }
            }
            [Outcome::Failed | Outcome::Lost, Outcome::Failed | Outcome::Lost] => {}
            // The mapping on which one was nominated is gone, and the other one does not know.
            [
                Outcome::Connected(_) | Outcome::Undecided(ConnectionState::Connected),
                Outcome::Connected(_) | Outcome::Undecided(ConnectionState::Connected),
            ] if self.realms != [None; 2] => {
                for side in 0..2 {
                    if self.asks_consent[side] {
                        self.data_arrives(side);
                    }
                }
            }
            // A restart has failed on both sides, and the path from before it goes on.
            [
                Outcome::Undecided(ConnectionState::Connected | ConnectionState::Disconnected),
                Outcome::Undecided(ConnectionState::Connected | ConnectionState::Disconnected),
            ] if self.has_restarted() => {}
            // What answered one side was too slow for the other one, which nominates nothing.
            [Outcome::Failed, Outcome::Undecided(ConnectionState::Connected)]
            | [Outcome::Undecided(ConnectionState::Connected), Outcome::Failed] => {}
            // Without consent a side asks nothing any more once it has selected: it does not notice
            // that the other one has given up, or could not check the nominated pair itself.
            [
                Outcome::Connected(_),
                Outcome::Failed | Outcome::Undecided(ConnectionState::Connected),
            ] if !self.asks_consent[0] => {}
            [
                Outcome::Failed | Outcome::Undecided(ConnectionState::Connected),
                Outcome::Connected(_),
            ] if !self.asks_consent[1] => {}
            // Consent is one-way: it is for the application to tell the other side, by a restart.
            [Outcome::Lost, Outcome::Connected(_)] | [Outcome::Connected(_), Outcome::Lost] => {}
            // A pair that has lost its consent is used no more before a restart, which only the agent
            // knows that has lost it: the other one may nominate that pair.
            [
                Outcome::Connected(_) | Outcome::Undecided(ConnectionState::Connected),
                Outcome::Connected(_) | Outcome::Undecided(ConnectionState::Connected),
            ] if self.consent_was_lost() => {
                for side in 0..2 {
                    self.data_arrives(side);
                }
            }
            _ if self.consent_was_lost() => {}
            // One that has a component more than its peer goes on to wait for it, if that one never
            // says that it has named all its candidates.
            [Outcome::Connected(_), Outcome::Failed] if self.awaits_a_component(1) => {}
            [Outcome::Failed, Outcome::Connected(_)] if self.awaits_a_component(0) => {}
            // Where a nomination has failed, or a selected path, the letter of RFC 8445 leaves one
            // side without a way and does not tell the other.
            _ if self.strict => {}
            other => panic!("the agents disagree: {other:?}"),
        }
    }

    /// Whether a side may wait for ever for a component that its peer does not have.
    fn awaits_a_component(&self, side: usize) -> bool {
        let peer = 1 - side;
        self.continual[peer] && self.components[side] > self.components[peer]
    }

    /// How many pairs were nominated in this generation. When all answers to a nomination are lost,
    /// the controlling agent turns to another pair, and the controlled one need not follow.
    fn nominations(&self) -> usize {
        let mut pairs = BTreeSet::new();
        for side in 0..2 {
            let ufrag = |side: usize| self.agent(side).local_parameters().credentials;
            let username = format!("{}:{}", ufrag(1 - side).ufrag(), ufrag(side).ufrag());
            for entry in self.world.log(self.sides[side]) {
                let Logged::Transmit {
                    route: Route::Datagram { local, remote, .. }, bytes, ..
                } = &entry.what
                else {
                    continue;
                };
                let has = |kind, value: &[u8]| {
                    wire::attributes(bytes).iter().any(|(_, k, v)| *k == kind && v.ends_with(value))
                };
                let nominates = wire::kind(bytes) == Some(wire::REQUEST)
                    && has(wire::USE_CANDIDATE, &[])
                    && has(wire::USERNAME, username.as_bytes());
                if nominates {
                    pairs.insert((local.min(remote), local.max(remote)));
                }
            }
        }
        pairs.len()
    }

    fn data_arrives(&mut self, side: usize) {
        let (from, to) = (self.sides[side], self.sides[1 - side]);
        let payload = [0xff, side as u8];
        self.sent[side].insert(payload.to_vec());
        self.world.send(from, self.stream(side), 1, &payload).expect("it is connected");
        self.world
            .run_until(self.world.now() + Duration::from_millis(1))
            .expect("the contract holds");
        assert_eq!(self.world.received(to).last(), Some(&payload[..]));
    }

    fn outcomes(&self) -> [Outcome; 2] {
        [0, 1].map(|side| {
            let index = self.sides[side];
            let agent = self.world.agent(index).expect("there is such an agent");
            let restart = self.world.events(index).any(|(_, event)| *event == Event::RestartNeeded);
            match agent.state() {
                ConnectionState::Completed => {
                    let stream = agent.streams().next().expect("it has one");
                    let pairs = (1..=2).filter_map(|component| {
                        let pair = agent.selected_pair(stream, component)?;
                        Some((component, pair.local.addr, pair.remote.addr))
                    });
                    Outcome::Connected(pairs.collect())
                }
                _ if restart => Outcome::Lost,
                ConnectionState::Failed => Outcome::Failed,
                // It goes on to wait for the first check of its peer.
                ConnectionState::Checking if agent.local_parameters().lite => Outcome::Failed,
                // It goes on to wait for more candidates.
                ConnectionState::New | ConnectionState::Checking if self.continual[1 - side] => {
                    Outcome::Failed
                }
                state => Outcome::Undecided(state),
            }
        })
    }
}

/// What has become of an agent.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// The components that it has selected pairs for, with their addresses.
    Connected(Vec<(u16, SocketAddr, SocketAddr)>),
    /// It has said that it does not connect.
    Failed,
    /// It was connected, and has said that only a restart can connect it again.
    Lost,
    Undecided(ConnectionState),
}

fn are_completed(world: &World, sides: [AgentIndex; 2]) -> bool {
    let completed = Some(ConnectionState::Completed);
    sides.iter().all(|&side| world.agent(side).map(IceAgent::state) == completed)
}
