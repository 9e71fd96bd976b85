//! The states of a world and the steps between them. Sides, datagrams and signals are kept once
//! each and named by numbers, and what an input does to a side is worked out once: different orders
//! of the same inputs meet in the same states.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use frazil::{ConnectionState, Role, Route, Timestamp};

use super::common::{
    ICE_CONTROLLED, ICE_CONTROLLING, INDICATION, MESSAGE_INTEGRITY, Message, PRIORITY,
    USE_CANDIDATE,
};
use super::moves::Move;
use super::side::{Broken, Ends, Face, Input, Output, Packet, Side, Signal};
use super::world::{Act, Start, World};

/// How long datagrams take until a world comes to its start.
const LAG: Duration = Duration::from_millis(60);

/// A state: both sides, all that is between them, and what may still go wrong.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Node {
    pub(crate) now: Timestamp,
    sides: [u32; 2],
    /// Since when each datagram is on its way, in order.
    flight: Vec<(Timestamp, u32)>,
    /// The signals to each side, which stay in order.
    signals: [Vec<(Timestamp, u32)>; 2],
    losses: u8,
    copies: u8,
    /// What has not happened yet.
    acts: Vec<usize>,
    /// The path that is cut, as the first side sees it.
    cut: Option<Ends>,
}

impl Node {
    /// Equal for equal states; that different ones share it is not to be expected.
    pub(crate) fn key(&self) -> u128 {
        let half = |salt: u64| {
            let mut hasher = DefaultHasher::new();
            (salt, self).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        (half(1) << 64) | half(2)
    }

    /// Nothing is on its way, and nothing else can go wrong.
    fn is_quiet(&self) -> bool {
        self.flight.is_empty() && self.signals.iter().all(Vec::is_empty)
    }
}

/// What a side is given, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Given {
    Timeout,
    Datagram(u32),
    Signal(u32),
    Restart,
    AddLocal,
    Renominate,
    Excuse,
}

#[derive(Clone, Debug)]
struct Done {
    side: u32,
    sent: Rc<[u32]>,
    signals: Rc<[u32]>,
    events: Rc<[String]>,
}

pub(crate) struct Stage<'w> {
    world: &'w World,
    sides: Vec<Side>,
    by_key: BTreeMap<(u64, u64), u32>,
    packets: Vec<Packet>,
    by_packet: BTreeMap<Packet, u32>,
    signals: Vec<Signal>,
    by_signal: BTreeMap<String, u32>,
    known: BTreeMap<(u32, Timestamp, Given), Result<Done, Broken>>,
    accepted: BTreeMap<(u32, u32), bool>,
    /// The tie breakers that the sides began with.
    ties: [Option<Vec<u8>>; 2],
    /// Whether sides that are merged are compared to the last field.
    thorough: bool,
    /// Whether events are told.
    tells: bool,
    told: Vec<String>,
}

impl<'w> Stage<'w> {
    pub(crate) fn new(world: &'w World, thorough: bool, tells: bool) -> Self {
        Self {
            world,
            sides: Vec::new(),
            by_key: BTreeMap::new(),
            packets: Vec::new(),
            by_packet: BTreeMap::new(),
            signals: Vec::new(),
            by_signal: BTreeMap::new(),
            known: BTreeMap::new(),
            accepted: BTreeMap::new(),
            ties: [None, None],
            thorough,
            tells,
            told: Vec::new(),
        }
    }

    /// Different states of a side that were met.
    pub(crate) fn distinct_sides(&self) -> usize {
        self.sides.len()
    }

    /// The first state.
    pub(crate) fn begin(&mut self) -> Result<Node, Broken> {
        let (world, now) = (self.world, Timestamp::ZERO);
        let mut node = Node {
            now,
            sides: [0; 2],
            flight: Vec::new(),
            signals: [Vec::new(), Vec::new()],
            losses: world.losses,
            copies: world.copies,
            acts: (0..world.acts.len()).collect(),
            cut: None,
        };
        let mut sides = [0, 1].map(|index| {
            let mut agent = world.agent(index);
            for address in 0..world.addresses[index] {
                world.add_local(&mut agent, now, index, address);
            }
            agent.gather(now);
            Side::new(index, agent)
        });
        let signals = [sides[0].begin(world, now)?.signals, sides[1].begin(world, now)?.signals];
        if world.start == Start::Unsignalled {
            for (index, signals) in signals.into_iter().enumerate() {
                node.sides[index] = self.intern(sides[index].clone())?;
                let ids = self.intern_signals(signals);
                node.signals[1 - index] = ids.iter().map(|id| (now, *id)).collect();
            }
            return Ok(node);
        }
        let mut sent = Vec::new();
        for (index, signals) in signals.into_iter().rev().enumerate() {
            let signal = Signal::together(signals).unwrap_or_default();
            sent.extend(sides[index].take(world, now, &signal)?.sent);
        }
        for packet in &sent {
            let tie = tie_of(packet);
            self.ties[1 - packet.to] = self.ties[1 - packet.to].clone().or(tie);
        }
        for (index, side) in sides.into_iter().enumerate() {
            node.sides[index] = self.intern(side)?;
        }
        let sent: Vec<u32> = sent.into_iter().map(|packet| self.intern_packet(packet)).collect();
        self.launch(&mut node, &sent);
        while world.start == Start::Completed && !self.both_completed(&node) {
            // With some delay, so that further pairs are checked before the first one is selected.
            let due = self.next_deadline(&node);
            let late =
                node.flight.first().zip(due).is_none_or(|(&(since, _), due)| due > since + LAG);
            node = match late {
                true => self.fair(&node)?.ok_or("the world never came to its start")?,
                false => self.make(&node, Move::Time)?,
            };
        }
        Ok(node)
    }

    /// The moves that are possible.
    pub(crate) fn moves(&self, node: &Node) -> Vec<Move> {
        let mut moves = Vec::new();
        let fresh = |at: &usize| *at == 0 || node.flight[*at] != node.flight[*at - 1];
        for at in (0..node.flight.len()).filter(fresh) {
            moves.push(Move::Deliver(at));
            if node.copies > 0 {
                moves.push(Move::Copy(at));
            }
            if node.losses > 0 {
                moves.push(Move::Lose(at));
            }
        }
        for side in (0..2).filter(|side| !node.signals[*side].is_empty()) {
            moves.push(Move::Signal(side));
        }
        for at in 0..node.acts.len() {
            if self.may_act(node, self.world.acts[node.acts[at]]) {
                moves.push(Move::Act(at));
            }
        }
        let oldest = node.flight.first().into_iter();
        let oldest = oldest.chain(node.signals.iter().filter_map(|queue| queue.first()));
        let latest = oldest.map(|(since, _)| *since + self.world.delay).min();
        if let Some(next) = self.next_deadline(node) {
            if next <= self.end() && latest.is_none_or(|latest| next <= latest) {
                moves.push(Move::Time);
            }
        }
        moves
    }

    /// Whether nothing is left but time beyond the horizon.
    pub(crate) fn is_leaf(&self, node: &Node) -> bool {
        node.is_quiet() && self.next_deadline(node).is_none_or(|next| next > self.end())
    }

    pub(crate) fn make(&mut self, node: &Node, step: Move) -> Result<Node, Broken> {
        let mut next = node.clone();
        match step {
            Move::Deliver(at) => {
                let (_, packet) = next.flight.remove(at);
                self.deliver(&mut next, packet)?;
            }
            Move::Copy(at) => {
                next.copies -= 1;
                let (_, packet) = next.flight[at];
                self.deliver(&mut next, packet)?;
            }
            Move::Lose(at) => {
                next.losses -= 1;
                next.flight.remove(at);
            }
            Move::Signal(to) => {
                let (_, signal) = next.signals[to].remove(0);
                self.give(&mut next, to, Given::Signal(signal))?;
            }
            Move::Time => {
                next.now = self.next_deadline(node).ok_or("nothing is due")?;
                for side in 0..2 {
                    let due = self.side(node, side).agent.poll_timeout();
                    if due.is_some_and(|due| due <= next.now) {
                        self.give(&mut next, side, Given::Timeout)?;
                    }
                }
            }
            Move::Act(at) => {
                let act = next.acts.remove(at);
                match self.world.acts[act] {
                    Act::Restart(side) => self.give(&mut next, side, Given::Restart)?,
                    Act::AddLocal(side) => self.give(&mut next, side, Given::AddLocal)?,
                    Act::Renominate(side) => self.give(&mut next, side, Given::Renominate)?,
                    Act::Cut => self.cut(&mut next)?,
                }
            }
        }
        self.judge(&next)?;
        Ok(next)
    }

    /// The next state when the network is at its best: what was sent first arrives first, at once.
    /// None when nothing is left to happen.
    pub(crate) fn fair(&mut self, node: &Node) -> Result<Option<Node>, Broken> {
        let step = if let Some(side) = (0..2).find(|side| !node.signals[*side].is_empty()) {
            Move::Signal(side)
        } else if !node.flight.is_empty() {
            Move::Deliver(0)
        } else if self.next_deadline(node).is_some() {
            Move::Time
        } else {
            return Ok(None);
        };
        self.make(node, step).map(Some)
    }

    /// The same state without faults and acts to come.
    pub(crate) fn spent(&self, node: &Node) -> Node {
        Node { losses: 0, copies: 0, acts: Vec::new(), ..node.clone() }
    }

    /// Whether both sides see the same session.
    pub(crate) fn agreement(&mut self, node: &Node) -> Result<(), Broken> {
        let [a, b] = [self.side(node, 0), self.side(node, 1)];
        if a.agent.role() != b.agent.role().opposite() {
            return Err(format!("both sides are {:?}", a.agent.role()));
        }
        for (side, other) in [(a, b), (b, a)] {
            if side.agent.state() != ConnectionState::Completed {
                return Err(format!("side {} is {:?}", side.index, side.agent.state()));
            }
            let theirs = other.agent.local_parameters();
            if side.peer() != Some(theirs.credentials.ufrag()) {
                return Err(format!("side {} is in another generation", side.index));
            }
        }
        for component in 1..=self.world.configs[0].components {
            let ends = |side: &Side| {
                let pair = side.selected(component)?;
                Some((pair.local.addr, pair.remote.addr))
            };
            let (ours, theirs) = (ends(a), ends(b));
            if ours.is_none() || ours != theirs.map(|(local, remote)| (remote, local)) {
                return Err(format!("selected {ours:?} on one side, {theirs:?} on the other"));
            }
            for side in [a, b] {
                let remote = side.selected(component).map(|pair| pair.remote.id);
                if side.agent.remote_candidates().all(|view| Some(view.id) != remote) {
                    return Err(format!("side {} selected an ended generation", side.index));
                }
            }
            if node.cut.is_some() && ours == node.cut {
                return Err("selected what is cut".to_owned());
            }
        }
        self.exchange(node)
    }

    fn may_act(&self, node: &Node, act: Act) -> bool {
        match act {
            Act::Restart(side) => self.side(node, side).peer().is_some(),
            Act::AddLocal(_) => true,
            Act::Renominate(side) => {
                let side = self.side(node, side);
                side.agent.role() == Role::Controlling && side.spare().is_some()
            }
            Act::Cut => self.both_completed(node),
        }
    }

    fn cut(&mut self, node: &mut Node) -> Result<(), Broken> {
        let selected = self.side(node, 0).selected(1).ok_or("nothing is selected")?;
        let ends = (selected.local.addr, selected.remote.addr);
        node.cut = Some(ends);
        let packets = &self.packets;
        node.flight.retain(|(_, id)| !is_on(ends, &packets[*id as usize]));
        for side in 0..2 {
            self.give(node, side, Given::Excuse)?;
        }
        Ok(())
    }

    fn end(&self) -> Timestamp {
        Timestamp::ZERO + self.world.horizon
    }

    fn next_deadline(&self, node: &Node) -> Option<Timestamp> {
        let deadlines = (0..2).filter_map(|side| self.side(node, side).agent.poll_timeout());
        // Time that has passed for one side has passed for the other.
        deadlines.min().map(|at| at.max(node.now))
    }

    pub(crate) fn side(&self, node: &Node, side: usize) -> &Side {
        &self.sides[node.sides[side] as usize]
    }

    fn both_completed(&self, node: &Node) -> bool {
        (0..2).all(|side| self.side(node, side).agent.state() == ConnectionState::Completed)
    }

    fn deliver(&mut self, node: &mut Node, packet: u32) -> Result<(), Broken> {
        let to = self.packets[packet as usize].to;
        self.give(node, to, Given::Datagram(packet))
    }

    fn give(&mut self, node: &mut Node, side: usize, given: Given) -> Result<(), Broken> {
        let key = (node.sides[side], node.now, given);
        let done = match self.known.get(&key) {
            Some(done) => done.clone(),
            None => {
                let done = self.work_out(node.sides[side], node.now, given);
                self.known.insert(key, done.clone());
                done
            }
        }
        .map_err(|broken| format!("side {side}: {broken}"))?;
        node.sides[side] = done.side;
        let now = node.now;
        node.signals[1 - side].extend(done.signals.iter().map(|id| (now, *id)));
        self.launch(node, &done.sent);
        self.told.extend(done.events.iter().map(|event| format!("    side {side}: {event}")));
        Ok(())
    }

    fn launch(&self, node: &mut Node, sent: &[u32]) {
        for &id in sent {
            if node.cut.is_none_or(|ends| !is_on(ends, &self.packets[id as usize])) {
                node.flight.push((node.now, id));
            }
        }
        // By what they say, not by their numbers, which depend on the way of the search.
        node.flight.sort_unstable_by_key(|&(since, id)| (since, &self.packets[id as usize]));
    }

    fn work_out(&mut self, side: u32, now: Timestamp, given: Given) -> Result<Done, Broken> {
        let mut side = self.sides[side as usize].clone();
        let world = self.world;
        let step = || {
            let output = match given {
                Given::Timeout => side.step(world, now, Input::Timeout),
                Given::Datagram(id) => {
                    side.step(world, now, Input::Datagram(&self.packets[id as usize]))
                }
                Given::Signal(id) => side.take(world, now, &self.signals[id as usize]),
                Given::Restart => side.step(world, now, Input::Restart),
                Given::AddLocal => {
                    let index = world.addresses[side.index];
                    side.step(world, now, Input::AddLocal(index))
                }
                Given::Renominate => side.step(world, now, Input::Renominate),
                Given::Excuse => side.step(world, now, Input::Excuse),
            };
            output.map(|output| (side, output))
        };
        let done = catch_unwind(AssertUnwindSafe(step));
        let (side, output) = done.map_err(|_| "the agent panicked".to_owned())??;
        let events = if self.tells { told(&output) } else { Vec::new() };
        let sent: Vec<u32> =
            output.sent.into_iter().map(|packet| self.intern_packet(packet)).collect();
        let signals = self.intern_signals(output.signals);
        let side = self.intern(side)?;
        Ok(Done { side, sent: sent.into(), signals: signals.into(), events: events.into() })
    }

    /// Equal digests stand for agents that behave alike: that is what merging rests on, and held
    /// here against what can be seen of them.
    fn intern(&mut self, side: Side) -> Result<u32, Broken> {
        let key = side.key();
        if let Some(&known) = self.by_key.get(&key) {
            let other = &self.sides[known as usize];
            let (ours, theirs): (Face, Face) = (side.face(), other.face());
            if ours != theirs {
                return Err(format!("equal digests, different agents: {ours:?} {theirs:?}"));
            }
            if self.thorough {
                let (ours, theirs) = (inside(&side), inside(other));
                if ours != theirs {
                    return Err(format!("equal digests, different agents:\n{ours}\n{theirs}"));
                }
            }
            return Ok(known);
        }
        let id = u32::try_from(self.sides.len()).unwrap();
        self.sides.push(side);
        self.by_key.insert(key, id);
        Ok(id)
    }

    fn intern_packet(&mut self, packet: Packet) -> u32 {
        let packet = if self.world.equal_ties { self.with_equal_tie(packet) } else { packet };
        if let Some(&known) = self.by_packet.get(&packet) {
            return known;
        }
        let id = u32::try_from(self.packets.len()).unwrap();
        self.packets.push(packet.clone());
        self.by_packet.insert(packet, id);
        id
    }

    fn intern_signals(&mut self, signals: Vec<Signal>) -> Vec<u32> {
        let signals = if self.world.trickle {
            signals
        } else {
            Signal::together(signals).into_iter().collect()
        };
        let mut ids = Vec::new();
        for signal in signals {
            let text = format!("{signal:?}");
            let next = u32::try_from(self.signals.len()).unwrap();
            let id = *self.by_signal.entry(text).or_insert(next);
            if id == next {
                self.signals.push(signal);
            }
            ids.push(id);
        }
        ids
    }

    /// The tie breaker of the sender is that of the receiver, as both began with the same.
    fn with_equal_tie(&self, packet: Packet) -> Packet {
        let [ours, theirs] = [&self.ties[1 - packet.to], &self.ties[packet.to]];
        let (Some(tie), Some(theirs)) = (tie_of(&packet), theirs) else { return packet };
        if ours.as_ref() != Some(&tie) {
            return packet;
        }
        let receiver = self.world.agent(packet.to);
        let sent = packet.sent();
        let mut message = Message::new(sent.kind(), sent.id());
        for (kind, value) in sent.attrs() {
            match kind {
                MESSAGE_INTEGRITY => break,
                ICE_CONTROLLED | ICE_CONTROLLING => message = message.attr(kind, theirs),
                _ => message = message.attr(kind, &value),
            }
        }
        let parameters = receiver.local_parameters();
        Packet { bytes: message.integrity(parameters.credentials.pwd()).fingerprint(), ..packet }
    }

    /// What must hold between the sides in every state.
    fn judge(&mut self, node: &Node) -> Result<(), Broken> {
        if self.both_completed(node) { self.exchange(node) } else { Ok(()) }
    }

    /// What one side sends on its route the other accepts.
    fn exchange(&mut self, node: &Node) -> Result<(), Broken> {
        for from in 0..2 {
            let key = (node.sides[from], node.sides[1 - from]);
            let accepted = match self.accepted.get(&key) {
                Some(accepted) => *accepted,
                None => {
                    let (side, other) = (self.side(node, from), self.side(node, 1 - from));
                    let route = side.agent.route(side.stream(), 1);
                    let accepted = match route {
                        Some(Route::Datagram { local, remote, .. }) => {
                            other.accepts(node.now, local, remote)
                        }
                        _ => false,
                    };
                    self.accepted.insert(key, accepted);
                    accepted
                }
            };
            if !accepted {
                return Err(format!("data of side {from} is not accepted by the other"));
            }
        }
        Ok(())
    }

    /// What a move of a state is, for people.
    pub(crate) fn describe(&self, node: &Node, step: Move) -> String {
        let packet = |at: usize| describe(&self.packets[node.flight[at].1 as usize]);
        match step {
            Move::Deliver(at) => format!("arrives: {}", packet(at)),
            Move::Copy(at) => format!("arrives, and a copy stays: {}", packet(at)),
            Move::Lose(at) => format!("is lost: {}", packet(at)),
            Move::Signal(to) => {
                let signal = &self.signals[node.signals[to][0].1 as usize];
                format!("side {to} is told: {signal:?}")
            }
            Move::Time => format!("time passes until {:?}", self.next_deadline(node)),
            Move::Act(at) => format!("{:?}", self.world.acts[node.acts[at]]),
        }
    }

    /// What was told since the last call.
    pub(crate) fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }
}

/// All that an agent holds, but for what only counts.
fn inside(side: &Side) -> String {
    let mut agent = format!("{:?}", side.agent);
    if let (Some(from), Some(to)) = (agent.find("counters: {"), agent.rfind("}, deadline:")) {
        agent.replace_range(from..to, "");
    }
    agent
}

fn is_on(ends: Ends, packet: &Packet) -> bool {
    let (from, to) = (packet.from_addr, packet.to_addr);
    (from, to) == ends || (to, from) == ends
}

fn tie_of(packet: &Packet) -> Option<Vec<u8>> {
    let message = packet.sent();
    message.get(ICE_CONTROLLING).or_else(|| message.get(ICE_CONTROLLED))
}

fn told(output: &Output) -> Vec<String> {
    let sent = output.sent.iter().map(|packet| format!("sends {}", describe(packet)));
    let events = output.events.iter().map(|event| format!("tells {event:?}"));
    let ignored = output.ignored.iter().map(|reason| format!("ignores it: {reason:?}"));
    ignored.chain(events).chain(sent).collect()
}

fn describe(packet: &Packet) -> String {
    let message = packet.sent();
    let kind = match (message.is_request(), message.code()) {
        (true, _) if message.has(USE_CANDIDATE) => "nomination".to_owned(),
        (true, _) if message.has(PRIORITY) => "check".to_owned(),
        (_, Some(code)) => format!("error {code}"),
        _ if message.kind() == INDICATION => "keepalive".to_owned(),
        _ => "answer".to_owned(),
    };
    let role = match (message.has(ICE_CONTROLLING), message.has(ICE_CONTROLLED)) {
        (true, _) => " (controlling)",
        (_, true) => " (controlled)",
        _ => "",
    };
    let id = message.id();
    format!("{kind}{role} {:02x}{:02x} {} to {}", id[0], id[1], packet.from_addr, packet.to_addr)
}
