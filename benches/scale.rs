//! What many sessions cost: agents of one `Mux` that are connected and keep their consent, and
//! nothing else.
//!
//! `cargo bench --bench scale` prints a table, each row from a process of its own; with `-- --quick`
//! without the large ones. `scale row KIND SESSIONS SECONDS` is one row, so many seconds of virtual
//! time. What the `Mux` does is in the three functions [`arrive`], [`time_out`] and [`send`], so that
//! a profiler can count it without the scripted peers:
//!
//! ```text
//! valgrind --tool=callgrind --collect-atstart=no --toggle-collect='scale::arrive*' \
//!     --toggle-collect='scale::time_out*' --toggle-collect='scale::send*' scale row full 1000 10
//! ```

#![expect(clippy::disallowed_methods, reason = "a bench reads arguments, files and the clock")]

#[path = "../tests/common/mod.rs"]
mod common;
mod floor;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use common::{
    ICE_CONTROLLING, Message, PEER_PWD, PEER_UFRAG, PRIORITY, REQUEST, SUCCESS, USE_CANDIDATE,
    USERNAME,
};
use frazil::{
    AgentConfig, ConnectionState, Credentials, IceAgent, LocalAddress, Mux, MuxConfig, MuxReceived,
    Parameters, Received, Role, Route, SessionId, Timestamp, Transport,
};

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 3478);
/// The peers check every five seconds, in steps of ten milliseconds.
const STEP: Duration = Duration::from_millis(10);
const STEPS: usize = 500;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["row", kind, sessions, seconds] => {
            let lite = match kind {
                "lite" => true,
                "full" => false,
                other => panic!("{other}: neither lite nor full"),
            };
            row(lite, sessions.parse().unwrap(), seconds.parse().unwrap());
        }
        _ if words.contains(&"--bench") => table(words.contains(&"--quick")),
        // As `cargo test --benches` starts it.
        _ => println!("usage: scale row lite|full SESSIONS SECONDS"),
    }
}

fn table(quick: bool) {
    println!("floor of answering a check: {} ns", floor_of_answering().as_nanos());
    println!(
        "{:<6}{:>10}{:>12}{:>14}{:>16}{:>14}{:>16}",
        "kind", "sessions", "MB in all", "bytes each", "packets", "ns a packet", "of a core"
    );
    let own = std::env::current_exe().unwrap();
    for kind in ["lite", "full"] {
        for sessions in ["1000", "10000", "100000"] {
            if quick && sessions != "1000" {
                continue;
            }
            let status = Command::new(&own).args(["row", kind, sessions, "20"]).status().unwrap();
            assert!(status.success());
        }
    }
}

/// What the machine takes at this hour for what cannot be avoided, without waiting for memory.
fn floor_of_answering() -> Duration {
    const ROUNDS: u32 = 100_000;
    let check = Message::new(REQUEST, [1; 12])
        .attr(USERNAME, b"ufragufr:peer")
        .attr(PRIORITY, &0x6e00_01ff_u32.to_be_bytes())
        .attr(ICE_CONTROLLING, &1_u64.to_be_bytes())
        .integrity(PEER_PWD)
        .fingerprint();
    let key = floor::key(PEER_PWD.as_bytes());
    let mut out = Vec::with_capacity(2048);
    let start = on_cpu();
    for _ in 0..ROUNDS {
        out.clear();
        assert!(floor::floor(std::hint::black_box(&check), &key, [10, 0, 0, 2], 2000, &mut out));
    }
    (on_cpu() - start) / ROUNDS
}

fn row(lite: bool, sessions: usize, seconds: usize) {
    let before = resident();
    let mut crowd = Crowd::new(lite, sessions);
    let after = resident();
    crowd.run(seconds * 1000 / STEP.as_millis() as usize);
    for (_, agent) in crowd.mux.agents() {
        assert_eq!(agent.state(), ConnectionState::Completed);
    }
    let packet = crowd.busy.as_nanos() as f64 / crowd.packets.max(1) as f64;
    println!(
        "{:<6}{:>10}{:>12.0}{:>14}{:>16}{:>14.0}{:>15.2}%",
        if lite { "lite" } else { "full" },
        sessions,
        after as f64 / 1e6,
        (after - before) / sessions,
        crowd.packets,
        packet,
        crowd.busy.as_secs_f64() / seconds as f64 * 100.0,
    );
}

/// The resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// The time that this process has had a core for itself, so that others do not count.
fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

#[inline(never)]
fn arrive(mux: &mut Mux, now: Timestamp, from: SocketAddr, bytes: &[u8]) {
    let received = mux.handle_datagram(now, Transport::Udp, SERVER, from, bytes);
    assert!(matches!(received, MuxReceived::Session(_, Received::Consumed)), "{received:?}");
}

#[inline(never)]
fn time_out(mux: &mut Mux, now: Timestamp) {
    mux.handle_timeout(now);
}

#[inline(never)]
fn send(mux: &mut Mux, now: Timestamp, buf: &mut Vec<u8>) -> Option<SocketAddr> {
    buf.clear();
    let (_, transmit) = mux.poll_transmit(now, buf)?;
    let Route::Datagram { remote, .. } = transmit.route else { panic!("a stream") };
    Some(remote)
}

/// A `Mux` with its sessions, and what their scripted peers have to know.
struct Crowd {
    mux: Mux,
    now: Timestamp,
    /// What the peers write into their checks.
    peers: Vec<Peer>,
    step: usize,
    packets: usize,
    /// The time of a core that the `Mux` took.
    busy: Duration,
    buf: Vec<u8>,
}

struct Peer {
    username: Box<str>,
    pwd: Box<str>,
}

/// The address of a peer.
fn address(index: usize) -> SocketAddr {
    let [_, a, b, c] = (index as u32).to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(172, 16 + a, b, c)), 5000)
}

/// What a peer answers to a check.
fn answer(id: [u8; 12]) -> Vec<u8> {
    Message::new(SUCCESS, id).xor_mapped(SERVER).integrity(PEER_PWD).fingerprint()
}

impl Crowd {
    fn new(lite: bool, sessions: usize) -> Self {
        let mut crowd = Self {
            mux: Mux::new(MuxConfig::default(), [1; 32]),
            now: Timestamp::ZERO,
            peers: Vec::with_capacity(sessions),
            step: 0,
            packets: 0,
            busy: Duration::ZERO,
            buf: Vec::with_capacity(2048),
        };
        let mut config = AgentConfig::new(Role::Controlled);
        config.lite = lite;
        for session in 0..sessions {
            // Spread over the time between two consent checks, as arrivals are.
            crowd.now = Timestamp::from_millis(1)
                + (STEP * STEPS as u32).mul_f64(session as f64 / sessions as f64);
            crowd.connect(config.clone(), session);
        }
        crowd
    }

    fn connect(&mut self, config: AgentConfig, session: usize) {
        let (now, lite) = (self.now, config.lite);
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&session.to_be_bytes());
        let agent = IceAgent::new(config, seed).unwrap();
        let id: SessionId = self.mux.insert(now, agent).unwrap();
        let credentials = self.mux.with(now, id, |agent| {
            let stream = agent.streams().next().unwrap();
            agent.add_local(now, stream, 1, LocalAddress::udp(SERVER)).unwrap();
            agent.gather(now);
            let parameters = Parameters::new(Credentials::new(PEER_UFRAG, PEER_PWD).unwrap());
            agent.set_remote(now, parameters).unwrap();
            if !lite {
                let peer = address(session);
                let line = format!("1 1 UDP 2130706431 {} {} typ host", peer.ip(), peer.port());
                agent.add_remote_candidate(now, stream, &line.parse().unwrap()).unwrap();
            }
            agent.end_of_remote_candidates(now, None);
            agent.local_parameters().credentials
        });
        let credentials = credentials.unwrap();
        self.peers.push(Peer {
            username: format!("{}:{PEER_UFRAG}", credentials.ufrag()).into(),
            pwd: credentials.pwd().into(),
        });
        while self.mux.poll_event(now).is_some() {}
        let mut answers = Vec::new();
        while let Some((_, transmit)) = self.mux.poll_transmit(now, &mut self.buf) {
            let id = self.buf[transmit.range][8..20].try_into().unwrap();
            answers.push(answer(id));
            self.buf.clear();
        }
        answers.push(self.check(session, true));
        for bytes in answers {
            let from = address(session);
            let received = self.mux.handle_datagram(now, Transport::Udp, SERVER, from, &bytes);
            assert!(matches!(received, MuxReceived::Session(_, Received::Consumed)));
        }
        while self.mux.poll_transmit(now, &mut self.buf).is_some() {
            self.buf.clear();
        }
        while self.mux.poll_event(now).is_some() {}
        let state = self.mux.agent(id).unwrap().state();
        assert_eq!(state, ConnectionState::Completed);
    }

    fn check(&self, session: usize, nominate: bool) -> Vec<u8> {
        let mut id = [0; 12];
        id[..8].copy_from_slice(&session.to_be_bytes());
        id[8..].copy_from_slice(&(self.step as u32).to_be_bytes());
        let peer = &self.peers[session];
        let mut check = Message::new(REQUEST, id)
            .attr(USERNAME, peer.username.as_bytes())
            .attr(PRIORITY, &0x6e00_01ff_u32.to_be_bytes())
            .attr(ICE_CONTROLLING, &1_u64.to_be_bytes());
        if nominate {
            check = check.attr(USE_CANDIDATE, &[]);
        }
        check.integrity(&peer.pwd).fingerprint()
    }

    /// Sends what waits; the peers answer all requests among it.
    fn answer_all(&mut self) {
        let mut requests: Vec<(SocketAddr, [u8; 12])> = Vec::new();
        let start = on_cpu();
        while let Some(to) = send(&mut self.mux, self.now, &mut self.buf) {
            self.packets += 1;
            if self.buf.starts_with(&REQUEST.to_be_bytes()) {
                requests.push((to, self.buf[8..20].try_into().unwrap()));
            }
        }
        self.busy += on_cpu() - start;
        let answers: Vec<(SocketAddr, Vec<u8>)> =
            requests.into_iter().map(|(to, id)| (to, answer(id))).collect();
        self.deliver(&answers);
    }

    fn deliver(&mut self, datagrams: &[(SocketAddr, Vec<u8>)]) {
        let start = on_cpu();
        for (from, bytes) in datagrams {
            arrive(&mut self.mux, self.now, *from, bytes);
        }
        self.busy += on_cpu() - start;
        self.packets += datagrams.len();
    }

    /// So many steps of virtual time. Each peer checks once in all of them; what it is sent is
    /// answered at once.
    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.now = self.now + STEP;
            self.step += 1;
            let start = on_cpu();
            time_out(&mut self.mux, self.now);
            self.busy += on_cpu() - start;
            self.answer_all();
            let due = (self.step % STEPS..self.peers.len()).step_by(STEPS);
            let checks: Vec<(SocketAddr, Vec<u8>)> =
                due.map(|session| (address(session), self.check(session, false))).collect();
            self.deliver(&checks);
            self.answer_all();
            while self.mux.poll_event(self.now).is_some() {}
        }
    }
}
