//! The runner of scenarios.

use core::fmt::Write as _;
use core::net::SocketAddr;
use core::time::Duration;

use super::failure::{ScenarioFailure, Violation};
use super::stage::Stage;
use super::watch::{self, Watch};
use super::{Scenario, Transition, Who};
use crate::agent::{ConnectionState, IceAgent, PairView};
use crate::candidate::{CandidateKind, Transport};
use crate::config::NominationMode;
use crate::sim::error::WorldError;
use crate::sim::log::{LogDetail, Logged};
use crate::sim::oracle::Outlook;
use crate::time::Timestamp;

const SIDES: [Who; 2] = [Who::First, Who::Second];
/// Until both have failed that cannot connect: the patience of RFC 8863 and a transaction that
/// begins at its end.
const FAILURE: Duration = Duration::from_secs(90);
/// Until both have noticed that a path is dead: consent, and the checks of another one.
const DECAY: Duration = Duration::from_secs(80);
/// Until the answers to what was asked last are there.
const SETTLING: Duration = Duration::from_secs(1);
/// Until a side has asked its servers, be it in vain.
const ANSWER: Duration = Duration::from_secs(12);
/// Until TCP has brought what was lost several times.
const RECOVERY: Duration = Duration::from_secs(20);
/// Of how many packets in a hundred the loss may stop a connection for longer than consent lasts. A
/// segment that is lost six times in a row waits for 25 s and more: of those that take a round trip
/// through a loss of 20 %, that is one in 500, of those through 10 % one in 20,000.
const STALLING: u8 = 10;
/// Datagrams that are sent to see whether any arrives.
const PROBES: usize = 25;
/// The lines of each side's log in a timeline, its last.
const LINES: usize = 200;

/// What a scenario has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScenarioReport {
    /// What the oracle said at the start.
    pub outlook: Outlook,
    /// How long it took until both sides had selected a pair.
    pub connected_after: Option<Duration>,
    /// The kinds of the pair that the first side had selected then.
    pub kinds: Option<(CandidateKind, CandidateKind)>,
    /// What that pair goes over.
    pub transport: Option<Transport>,
    /// Whether it took a restart at the end to have a path again.
    pub restarted: bool,
    /// Everything that the agents have put out, as a number.
    pub hash: u64,
    /// The packets that the network has carried or lost.
    pub packets: u64,
}

impl Scenario {
    /// Runs the scenario.
    ///
    /// # Errors
    /// What it shows to be wrong.
    pub fn run(&self) -> Result<ScenarioReport, Box<ScenarioFailure>> {
        let mut run = Run::new(self, Some(Watch::new(self.nominates_again())));
        run.all().map_err(|violation| run.failure(violation))
    }

    /// Runs the first part alone, and without looking at every step: for matrices of thousands.
    ///
    /// # Errors
    /// What it shows to be wrong.
    pub fn connect(&self) -> Result<ScenarioReport, Box<ScenarioFailure>> {
        let mut run = Run::new(self, None);
        run.connect().or_else(|_| {
            // Once more, with logs: for a timeline, and to see whether data gets through.
            let mut run = Run::new(self, Some(Watch::new(self.nominates_again())));
            run.connect().map_err(|violation| run.failure(violation))
        })
    }
}

struct Run<'s> {
    scenario: &'s Scenario,
    stage: Stage,
    watch: Option<Watch>,
    sent: u32,
}

impl From<WorldError> for Violation {
    fn from(error: WorldError) -> Self {
        Self::Contract(error)
    }
}

impl<'s> Run<'s> {
    fn new(scenario: &'s Scenario, watch: Option<Watch>) -> Self {
        Self { scenario, stage: Stage::new(scenario), watch, sent: 0 }
    }

    fn all(&mut self) -> Result<ScenarioReport, Violation> {
        let mut report = self.connect()?;
        let mut answered = Timestamp::ZERO;
        for (wait, transition) in self.scenario.transitions() {
            self.run_for(wait)?;
            if let Transition::Restart(_) = transition {
                if self.stage.world.now() < answered {
                    continue;
                }
                let both = ANSWER.saturating_mul(2).saturating_add(self.scenario.signalling());
                answered = self.stage.world.now() + both;
            }
            for who in SIDES {
                watch::send(&mut self.stage, who, b"before")?;
            }
            if let Some(watch) = &mut self.watch {
                watch.disturb();
            }
            self.stage.apply(transition)?;
        }
        report.restarted = self.recover()?;
        self.report_end(&mut report);
        Ok(report)
    }

    /// The first part.
    fn connect(&mut self) -> Result<ScenarioReport, Violation> {
        // Asking servers comes first and without loss, so that what is signalled is what the oracle
        // assumes.
        let detail = if self.watch.is_some() { LogDetail::Full } else { LogDetail::Off };
        self.stage.gather(detail)?;
        self.run_for(ANSWER)?;
        let outlook = self.outlook();
        self.stage.start()?;
        let start = self.stage.world.now();
        let mut report = ScenarioReport {
            outlook,
            connected_after: None,
            kinds: None,
            transport: None,
            restarted: false,
            hash: 0,
            packets: 0,
        };
        if report.outlook.is_possible() {
            self.run_while(start + self.scenario.time_to_connect(), |stage| !is_completed(stage))?;
            if !is_completed(&self.stage) {
                self.accept_half_nominated(&report.outlook)?;
                self.report_end(&mut report);
                return Ok(report);
            }
            report.connected_after = Some(self.stage.world.now() - start);
            // Until late candidates have told what the other side is. Not for longer: with enough
            // loss a path loses consent, and one side may move to a pair that is dead to the other.
            let signals = start + self.scenario.signalling() + SETTLING;
            self.run_until(signals.max(self.stage.world.now() + SETTLING))?;
            let checked = self.check_pair(&report.outlook, true);
            let pair = self.accept_two_paths(checked)?;
            report.kinds = Some((pair.local.kind, pair.remote.kind));
            report.transport = Some(pair.local.transport);
        } else {
            self.run_for(FAILURE)?;
            for who in SIDES {
                match self.agent(who).map(IceAgent::state) {
                    Some(ConnectionState::Failed) => {}
                    Some(ConnectionState::Connected | ConnectionState::Completed) => {
                        return Err(Violation::Connected(who));
                    }
                    _ => return Err(Violation::NotFailed(who)),
                }
            }
        }
        self.report_end(&mut report);
        Ok(report)
    }

    /// The last part. Whether it took a restart.
    fn recover(&mut self) -> Result<bool, Violation> {
        self.stage.apply(Transition::StartServer)?;
        self.run_for(DECAY)?;
        let outlook = self.outlook();
        let works = self.talks()?;
        if !outlook.is_possible() {
            let connected = |who: &Who| {
                works.get(who.index()) == Some(&true) && !self.is_by_remembered_permission(*who)
            };
            return match SIDES.into_iter().find(connected) {
                Some(who) => Err(Violation::Connected(who)),
                None => Ok(false),
            };
        }
        let restarts = works != [true; 2] || !is_completed(&self.stage);
        if restarts {
            self.stage.apply(Transition::Restart(Who::First))?;
            let limit = self.stage.world.now() + Duration::from_secs(100);
            // Before its answer is there, all is as before.
            self.run_for(self.scenario.time_to_connect())?;
            self.run_while(limit, |stage| !is_completed(stage))?;
            if !is_completed(&self.stage) {
                self.accept_half_nominated(&outlook)?;
                return Ok(true);
            }
            self.run_for(SETTLING)?;
            let works = self.talks()?;
            for who in SIDES {
                if works.get(who.index()) != Some(&true) && !self.may_stall(&outlook) {
                    return Err(Violation::DataLost(who));
                }
            }
        }
        if restarts {
            let checked = self.check_pair(&outlook, false);
            self.accept_two_paths(checked)?;
        }
        Ok(restarts)
    }

    /// A relay lets in an address that was learned while there was another way, for as long as the
    /// agent that has it keeps the permission. The oracle knows nothing of what was before. Whether
    /// all valid pairs of a side go over a relay.
    fn is_by_remembered_permission(&self, who: Who) -> bool {
        let relayed = |addr: SocketAddr| {
            SIDES.into_iter().filter_map(|who| self.agent(who)).any(|agent| {
                agent
                    .local_candidates()
                    .any(|local| local.kind == CandidateKind::Relayed && local.addr == addr)
            })
        };
        self.agent(who).is_some_and(|agent| {
            agent
                .pairs()
                .filter(|pair| pair.valid)
                .all(|pair| relayed(pair.local.addr) || relayed(pair.remote.addr))
        })
    }

    /// With loss, a nomination may take so long that consent of the pair has expired on the
    /// controlled side, which does not renew it before. It selects the pair, loses it in the same
    /// instant, and does not complete until a restart, while the other side is content. That is a
    /// known fault of the agent's; here it is enough that data passes.
    fn accept_half_nominated(&mut self, outlook: &Outlook) -> Result<(), Violation> {
        if self.may_stall(outlook) {
            return Ok(());
        }
        if self.stage.is_lossless() || self.watch.is_none() || self.talks()? != [true; 2] {
            return Err(Violation::NotConnected);
        }
        Ok(())
    }

    /// Whether all depends on connections that may stall for longer than consent lasts.
    fn may_stall(&self, outlook: &Outlook) -> bool {
        let [one, other] = &self.scenario.sides;
        let connects = one.relayed_over_tcp
            || other.relayed_over_tcp
            || (one.tcp.opens() && other.tcp.accepts())
            || (other.tcp.opens() && one.tcp.accepts());
        self.stage.loses_more_than(STALLING) && connects && !is_direct_over_udp(outlook)
    }

    /// With loss, a nomination may arrive of which the controlling side never learns: it nominates
    /// another pair, which may have died on the other side meanwhile. So there may be two paths in
    /// the end, one in each direction, as long as both carry data.
    ///
    /// So there may be where a side nominates every pair that works, since then both sides choose by
    /// priority among what they have. The nominating side forgets what waits to be checked as soon as one
    /// pair is selected (RFC 5245 §8.1.2); its peer may have been told that such a pair is nominated,
    /// by a check whose answer came from another address than it went to. Nor do both order pairs alike
    /// when one has a relayed address in place of one that was lost: to its peer, that is a
    /// peer-reflexive candidate, with the priority of one (RFC 8445 §7.1.1).
    fn accept_two_paths(
        &mut self,
        checked: Result<PairView, Violation>,
    ) -> Result<PairView, Violation> {
        let may_differ = !self.stage.is_lossless() || self.is_aggressive();
        if checked != Err(Violation::NotMirrored) || !may_differ {
            return checked;
        }
        let pair = self.selected(Who::First).filter(|_| self.watch.is_some());
        match (self.talks()?, pair) {
            ([true, true], Some(pair)) => Ok(pair),
            _ => checked,
        }
    }

    /// Whether a side nominates every pair that works.
    fn is_aggressive(&self) -> bool {
        self.scenario.sides.iter().any(|side| side.nomination == NominationMode::Aggressive)
    }

    /// Whether the pairs of both sides are one, and of kinds that the oracle allows. If `first`,
    /// nothing has happened yet that it does not know of; thereafter an address that a server saw
    /// may be another one than before, and a peer may learn of it before it is signalled.
    fn check_pair(&self, outlook: &Outlook, first: bool) -> Result<PairView, Violation> {
        let [Some(one), Some(other)] = SIDES.map(|who| self.selected(who)) else {
            return Err(Violation::NotConnected);
        };
        let mirrored = one.local.addr == other.remote.addr && one.remote.addr == other.local.addr;
        if !mirrored {
            return Err(Violation::NotMirrored);
        }
        // Who nominates aggressively may settle on a relay that answers first.
        let lossless = first && self.stage.is_lossless() && !self.is_aggressive();
        let views = [
            (Who::First, &one, (one.local.kind, one.remote.kind)),
            (Who::Second, &other, (other.remote.kind, other.local.kind)),
        ];
        for (who, pair, (local, remote)) in views {
            let relayed = [local, remote].contains(&CandidateKind::Relayed);
            let transport = pair.local.transport;
            let allowed = if first {
                outlook.allows_over(transport, local, remote, lossless)
            } else if relayed {
                outlook.is_relayed()
            } else if transport == Transport::Tcp {
                outlook.prospects().any(|it| it.transport == transport)
            } else {
                // The successor of a relayed address that was lost may not have been signalled.
                let reflexive = [local, remote].contains(&CandidateKind::PeerReflexive);
                is_direct_over_udp(outlook) || (reflexive && outlook.is_relayed())
            };
            if !allowed {
                return Err(Violation::Kinds(who, pair.local.kind, pair.remote.kind));
            }
        }
        Ok(one)
    }

    /// Whether data of each side arrives at the other.
    fn talks(&mut self) -> Result<[bool; 2], Violation> {
        let mut works = [false; 2];
        let probes = if self.stage.is_lossless() { 1 } else { PROBES };
        for (who, works) in SIDES.into_iter().zip(&mut works) {
            self.sent = self.sent.saturating_add(1);
            let payload = [b"probe ".as_slice(), &self.sent.to_be_bytes()].concat();
            for _ in 0..probes {
                if !watch::send(&mut self.stage, who, &payload)? {
                    break;
                }
            }
            self.run_for(SETTLING)?;
            let peer = match who {
                Who::First => Who::Second,
                Who::Second => Who::First,
            };
            let peer = self.stage.agents.get(peer.index()).copied();
            let missing = |stage: &Stage| {
                peer.is_some_and(|peer| stage.world.received(peer).all(|got| got != payload))
            };
            if !self.stage.is_lossless() && self.goes_over_connections() {
                // What is lost is sent again, and all behind it waits.
                self.run_while(self.stage.world.now() + RECOVERY, missing)?;
            }
            *works = peer.is_some() && !missing(&self.stage);
        }
        Ok(works)
    }

    /// Whether the data of a side goes over a connection, be it to a server.
    fn goes_over_connections(&self) -> bool {
        self.stage
            .agents
            .into_iter()
            .any(|agent| self.stage.world.connections(agent).next().is_some())
    }

    fn run_for(&mut self, time: Duration) -> Result<(), Violation> {
        self.run_until(self.stage.world.now() + time)
    }

    fn run_until(&mut self, limit: Timestamp) -> Result<(), Violation> {
        self.run_while(limit, |_| true)
    }

    /// Runs while a condition holds; it is looked at whenever something may have changed it.
    fn run_while(
        &mut self,
        limit: Timestamp,
        condition: impl Fn(&Stage) -> bool,
    ) -> Result<(), Violation> {
        while condition(&self.stage) {
            let next = self.stage.world.next_step()?;
            if next.is_none_or(|step| step.at() > limit) {
                self.stage.world.run_until(limit)?;
                break;
            }
            self.stage.world.step()?;
            if let Some(watch) = &mut self.watch {
                watch.look(&self.stage)?;
            }
        }
        Ok(())
    }

    fn outlook(&self) -> Outlook {
        let [one, other] = self.stage.agents;
        self.stage.world.outlook(one, other).unwrap_or_default()
    }

    fn agent(&self, who: Who) -> Option<&IceAgent> {
        self.stage.world.agent(*self.stage.agents.get(who.index())?)
    }

    fn selected(&self, who: Who) -> Option<PairView> {
        let agent = self.agent(who)?;
        agent.selected_pair(agent.streams().next()?, 1)
    }

    fn report_end(&self, report: &mut ScenarioReport) {
        report.hash = self.stage.world.hash();
        report.packets = self.stage.world.network().stats().sent;
    }

    fn failure(&self, violation: Violation) -> Box<ScenarioFailure> {
        Box::new(ScenarioFailure {
            scenario: self.scenario.clone(),
            violation,
            at: self.stage.world.now(),
            timeline: self.timeline(),
        })
    }

    /// Writing to a string does not fail.
    fn timeline(&self) -> String {
        let mut text = String::new();
        let mut lines = Vec::new();
        for (who, agent) in SIDES.into_iter().zip(self.stage.agents) {
            let log = self.stage.world.log(agent);
            let told = |what: &Logged| !matches!(what, Logged::Timeout(_));
            let entries = log.iter().rev().filter(|entry| told(&entry.what)).take(LINES);
            lines.extend(entries.map(|entry| (entry.at, who, entry.to_string())));
        }
        lines.reverse();
        lines.sort_by_key(|(at, who, _)| (*at, *who));
        for (_, who, line) in lines {
            let _ = writeln!(text, "{who:?} {line}");
        }
        for who in SIDES {
            let Some(agent) = self.agent(who) else { continue };
            let _ = writeln!(text, "{who:?}: {:?}, {:?}", agent.state(), agent.role());
            for pair in agent.pairs() {
                let (local, remote) = (pair.local, pair.remote);
                let _ = writeln!(
                    text,
                    "  {:?} {} {} (base {}) > {} {}: {:?}{}{}",
                    local.transport,
                    local.kind,
                    local.addr,
                    local.base,
                    remote.kind,
                    remote.addr,
                    pair.state,
                    if pair.valid { ", valid" } else { "" },
                    if pair.nominated { ", nominated" } else { "" },
                );
            }
        }
        let outlook = self.outlook();
        for prospect in outlook.prospects() {
            let _ = writeln!(text, "the oracle expects: {prospect:?}");
        }
        text
    }
}

fn is_direct_over_udp(outlook: &Outlook) -> bool {
    outlook.prospects().any(|it| it.transport == Transport::Udp && !it.is_relayed())
}

fn is_completed(stage: &Stage) -> bool {
    stage.agents.iter().all(|agent| {
        let agent = stage.world.agent(*agent);
        agent.is_some_and(|agent| agent.state() == ConnectionState::Completed)
    })
}
