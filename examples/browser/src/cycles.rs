//! Two stacks on loopback: what comes and goes leaves nothing behind.

use std::time::Duration;

use frazil::{AgentConfig, ConnectionState, Event, GatheringState, IceAgent, Role, Timestamp};

use crate::channel::{ChannelEvent, Message};
use crate::clock::Clock;
use crate::driver::host::Host;
use crate::driver::{BATCH, DATAGRAM, EventLoop};
use crate::stack::{News, Stack};
use crate::tls::Identity;

/// All is over in a blink on one machine; this ends a test that hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// The offerer, which opens the channel; and the answerer, which echoes.
struct Bench {
    events: EventLoop,
    stacks: [Stack; 2],
    echoed: Vec<Message>,
    channel: Option<u16>,
    closed: [Option<String>; 2],
    buffer: Vec<u8>,
    until: Timestamp,
}

impl Bench {
    fn new(identity: &Identity) -> Self {
        let mut events = EventLoop::new().unwrap();
        let clock = Clock::of(&events);
        let mut stacks = [Role::Controlling, Role::Controlled].map(|role| {
            let mut config = AgentConfig::new(role);
            config.loopback = true;
            Stack::new(IceAgent::new(config, [role as u8; 32]).unwrap(), clock, &events).unwrap()
        });
        let now = events.now();
        let parameters = stacks.each_mut().map(|stack| stack.agent().local_parameters());
        for (index, stack) in stacks.iter_mut().enumerate() {
            let host = Host { ip: "127.0.0.1".parse().unwrap(), interface: 0 };
            stack.add_address(&mut events, host).unwrap();
            stack.secure(now, identity, index == 1, identity.fingerprint.clone()).unwrap();
            stack.agent().set_remote(now, parameters[1 - index].clone()).unwrap();
            stack.agent().gather(now);
        }
        let until = now + DEADLINE;
        let (buffer, echoed) = (vec![0; DATAGRAM], Vec::new());
        Self { events, stacks, echoed, channel: None, closed: [None, None], buffer, until }
    }

    fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        loop {
            for index in [0, 1, 0] {
                self.settle(index);
            }
            if done(self) {
                return;
            }
            let now = self.events.now();
            assert!(now < self.until, "not within {DEADLINE:?}");
            let deadline = self.stacks.iter().filter_map(Stack::deadline).min();
            self.events.wait(Some(deadline.unwrap_or(self.until).min(self.until))).unwrap();
            for index in [0, 1] {
                self.stacks[index].note_ready(&self.events);
                for _ in 0..BATCH {
                    let now = self.events.now();
                    if !self.stacks[index].receive(now, &mut self.buffer).unwrap() {
                        break;
                    }
                    self.settle(index);
                }
                let now = self.events.now();
                self.stacks[index].expire(now).unwrap();
            }
        }
    }

    fn settle(&mut self, index: usize) {
        let now = self.events.now();
        while let Some(news) = self.stacks[index].poll(now) {
            let [a, b] = &mut self.stacks;
            let (own, other) = if index == 0 { (a, b) } else { (b, a) };
            match news {
                News::Ice(Event::LocalCandidate { candidate, .. }) => {
                    let stream = other.stream();
                    other.agent().add_remote_candidate(now, stream, &candidate).unwrap();
                }
                News::Ice(Event::GatheringState(GatheringState::Complete)) => {
                    other.agent().end_of_remote_candidates(now, None);
                }
                News::Ice(Event::RemoteRestart { .. }) => {
                    let parameters = own.agent().local_parameters();
                    other.agent().set_remote(now, parameters).unwrap();
                    own.agent().gather(now);
                }
                News::Secure if index == 0 => own.associate(),
                News::Associated if index == 0 => own.open_channel("test").unwrap(),
                News::Channel(ChannelEvent::Opened) => {
                    self.channel = own.channels().iter().map(|(id, _)| id).next();
                }
                News::Channel(ChannelEvent::Message(_, message)) if index == 0 => {
                    self.echoed.push(message);
                }
                News::Channel(ChannelEvent::Message(channel, message)) => {
                    own.send(channel, &message).unwrap();
                }
                News::Closed(reason) => self.closed[index] = Some(reason),
                _ => {}
            }
        }
    }

    fn talk(&mut self) {
        let sent = [
            Message::Text("grüße".to_owned()),
            Message::Binary(vec![7; 60_000]),
            Message::Text(String::new()),
            Message::Binary(Vec::new()),
        ];
        self.echoed.clear();
        let channel = self.channel.unwrap();
        for message in &sent {
            self.stacks[0].send(channel, message).unwrap();
        }
        self.run_until(|bench| bench.echoed.len() == 4);
        assert_eq!(self.echoed, sent);
    }

    fn restart(&mut self) {
        let now = self.events.now();
        let before = self.stacks[1].agent().local_parameters();
        let parameters = self.stacks[0].agent().prepare_restart(now).unwrap();
        self.stacks[1].agent().set_remote(now, parameters).unwrap();
        self.stacks[0].agent().gather(now);
        assert_ne!(self.stacks[1].agent().local_parameters(), before);
        self.run_until(|bench| {
            bench
                .stacks
                .iter()
                .all(|stack| stack.driver().agent.state() == ConnectionState::Completed)
        });
    }
}

/// Connects, talks, restarts, talks, closes.
fn cycle(identity: &Identity, closes: usize) {
    let mut bench = Bench::new(identity);
    bench.run_until(|bench| bench.channel.is_some());
    bench.talk();
    bench.restart();
    bench.talk();
    let now = bench.events.now();
    bench.stacks[closes].close(now);
    bench.run_until(|bench| bench.closed.iter().all(Option::is_some));
    assert_eq!(bench.closed[closes].as_deref(), Some("closed by the program"));
    assert_eq!(bench.closed[1 - closes].as_deref(), Some("closed by the browser"));
}

#[test]
fn twenty_cycles_leave_live_memory_where_it_was_after_the_first() {
    let identity = Identity::new().unwrap();
    let left: Vec<i64> = (0..20)
        .map(|count| allocation_counter::measure(|| cycle(&identity, count % 2)).bytes_current)
        .collect();
    assert_eq!(left[1..].iter().sum::<i64>(), 0, "bytes left by each: {left:?}");
}
