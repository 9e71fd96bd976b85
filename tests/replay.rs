//! Record and replay: what is recorded can be played again, byte for byte, and a replay says where
//! it does not do what was recorded.

mod common;
#[path = "common/wire.rs"]
mod wire;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use frazil::replay::{CALLS, Input, Malformed, Outcome, Recorder, Replay, ReplayError};
use frazil::{
    AgentConfig, Candidate, Event, IceAgent, IcmpError, LocalAddress, Role, Route, Server,
    ServerCredentials, Timestamp, Timing, TransmitError, Transport,
};
use wire::{Wire, address};

/// Two recorded agents with three candidates each, connected, with data and consent after that.
fn session() -> (Wire<Recorder>, [Vec<u8>; 2]) {
    let (ta, delay) = (Duration::from_millis(50), Duration::from_millis(10));
    let mut wire = Wire::of(Recorder::new, [3; 2], ta, delay, 1);
    wire.transmits = Some(Default::default());
    wire.start();
    wire.run(Timestamp::from_millis(10_000));
    let now = wire.now;
    let payload = [0x80; 1200];
    for (side, agent) in wire.agents.iter_mut().enumerate() {
        let pair = agent.pairs().find(|pair| pair.nominated).unwrap();
        let sent = agent.send(now, wire.stream, 1, &payload).unwrap();
        assert_eq!(sent.payload(), payload);
        let _ = agent.handle_datagram(
            now,
            Transport::Udp,
            address(side, 0),
            pair.remote.addr,
            &payload,
        );
    }
    wire.selected = [None; 2];
    wire.run(now + Duration::from_secs(30));
    let logs = wire.agents.each_mut().map(Recorder::take_log);
    (wire, logs)
}

/// Plays a log to its end.
fn play(log: &[u8]) -> Result<(IceAgent, Vec<frazil::replay::Step>), ReplayError> {
    let mut replay = Replay::new(log)?;
    let mut steps = Vec::new();
    while let Some(step) = replay.step()? {
        steps.push(step);
    }
    Ok((replay.agent().clone(), steps))
}

#[test]
fn a_replay_sends_what_was_sent_byte_for_byte() {
    let (wire, logs) = session();
    for (side, log) in logs.iter().enumerate() {
        let (mut agent, steps) = play(log).unwrap();
        let replayed: Vec<_> = steps
            .into_iter()
            .filter_map(|step| match step.outcome {
                Outcome::Transmit(transmit) => transmit,
                _ => None,
            })
            .collect();
        assert!(replayed.len() > 10);
        let sent = &wire.transmits.as_ref().unwrap()[side];
        let bytes = |(transmit, buf): &(frazil::Transmit, Vec<u8>)| {
            (transmit.route, buf[transmit.range.clone()].to_vec())
        };
        let sent: Vec<_> =
            sent.iter().map(|(transmit, bytes)| (transmit.route, bytes.clone())).collect();
        assert_eq!(replayed.iter().map(bytes).collect::<Vec<_>>(), sent);
        // What was not recorded since nothing came of it has moved the clock.
        agent.handle_timeout(wire.now);
        assert_eq!(agent.state_digest(), wire.agents[side].state_digest());
        assert_eq!(agent.poll_timeout(), wire.agents[side].poll_timeout());
    }
}

#[test]
fn a_log_that_is_taken_in_parts_is_the_same() {
    let config = AgentConfig::new(Role::Controlling);
    let mut log = Vec::new();
    let mut whole = Recorder::new(config.clone(), [1; 32]).unwrap();
    let mut parts = Recorder::new(config, [1; 32]).unwrap();
    let stream = whole.streams().next().unwrap();
    for millis in 0..20 {
        let now = Timestamp::from_millis(millis);
        for agent in [&mut whole, &mut parts] {
            let local = format!("10.0.0.{}:5000", millis + 1).parse().unwrap();
            agent.add_local(now, stream, 1, LocalAddress::udp(local)).unwrap();
            while agent.poll_event(now).is_some() {}
        }
        log.extend(parts.take_log());
    }
    assert_eq!(log, whole.take_log());
}

#[test]
fn every_call_is_recorded_and_replayed() {
    let mut agent = every_call();
    let (replayed, steps) = play(&agent.take_log()).unwrap();
    assert_eq!(replayed.state_digest(), agent.state_digest());
    let called: BTreeSet<_> = steps.iter().map(|step| step.input.call()).collect();
    assert_eq!(called, CALLS.iter().copied().collect());
}

/// One of each call, most of them refused: what is refused is recorded as well.
fn every_call() -> Recorder {
    let now = Timestamp::from_millis(1);
    let mut config = AgentConfig::new(Role::Controlling);
    config.embedding = true;
    let mut agent = Recorder::new(config, [3; 32]).unwrap();
    let stream = agent.add_stream(now, 2).unwrap();
    agent.embed(now, stream, 2, b"hello").unwrap();
    assert!(agent.withdraw_embedded(now, stream, 2));
    agent.embed(now, stream, 2, b"hello again").unwrap();
    let local = agent
        .add_local(now, stream, 2, LocalAddress::udp("10.0.0.1:1000".parse().unwrap()))
        .unwrap();
    let local = agent.rebind_local(now, local, "10.0.0.3:1000".parse().unwrap()).unwrap();
    every_call_about_servers(&mut agent, now);
    let _ = agent.take_description(now);
    let peer = IceAgent::new(AgentConfig::new(Role::Controlled), [4; 32]).unwrap();
    agent.set_remote(now, peer.local_parameters()).unwrap();
    let line = "1 2 udp 2130706431 10.0.0.2 2000 typ host network-cost 50";
    let candidate: Candidate = line.parse().unwrap();
    agent.add_remote_candidate(now, stream, &candidate).unwrap();
    agent.end_of_remote_candidates(now, None);
    agent.end_of_remote_candidates(now, Some("later"));
    let mut buf = Vec::new();
    let later = now + Duration::from_secs(2);
    agent.handle_timeout(later);
    let transmit = agent.poll_transmit(later, &mut buf).unwrap();
    let Route::Datagram { local: from, remote: to, .. } = transmit.route else { panic!() };
    agent.transmit_failed(later, transmit.route, TransmitError::TooLarge);
    agent.handle_icmp(later, Transport::Udp, from, to, IcmpError::Soft, &buf);
    let _ = agent.handle_datagram(later, Transport::Udp, from, to, b"who is it?");
    agent.set_timing(later, Timing::power_saving()).unwrap();
    assert!(agent.set_network_cost(later, 0, 40));
    let pair = agent.pairs().next().unwrap().id;
    agent.renominate(later, pair).unwrap_err();
    agent.note_activity(later, pair);
    agent.note_sent(later, stream, 2, 3, 3_600);
    agent.send(later, stream, 2, b"too early").unwrap_err();
    agent.prepare_restart(later).unwrap();
    assert!(agent.rollback_restart(later));
    agent.remove_local(later, local).unwrap();
    agent.close(later);
    agent
}

/// A name, a connection and a socket that servers need, as if there were none of them.
fn every_call_about_servers(agent: &mut Recorder, now: Timestamp) {
    let credentials = ServerCredentials::new("alice", "secret").unwrap();
    let mut add = |uri: &str| {
        let server = Server::new(uri.parse().unwrap()).with_credentials(credentials.clone());
        agent.add_server(now, server).unwrap()
    };
    let servers = [add("turn:10.0.0.9"), add("turn:10.0.0.9?transport=tcp"), add("turn:a.example")];
    agent.gather(now);
    let mut now = now;
    let (mut looked_up, mut connected, mut opened) = (0, 0, 0);
    for _ in 0..20 {
        while let Some(event) = agent.poll_event(now) {
            match event {
                Event::ResolveName { lookup, .. } => {
                    looked_up += 1;
                    agent.name_resolved(now, lookup, &[]);
                    agent.name_failed(now, lookup);
                }
                Event::OpenConnection { connection: id, .. } => {
                    connected += 1;
                    agent.connection_opened(now, id);
                    let _ = agent.handle_stream(now, id, &mut &b"\x00\x01 who is it, and why?"[..]);
                    agent.connection_closed(now, id);
                    agent.connection_failed(now, id);
                }
                Event::OpenSocket { socket, ip } => {
                    opened += 1;
                    agent.socket_opened(now, socket, SocketAddr::new(ip, 4000));
                    agent.socket_failed(now, socket);
                }
                _ => {}
            }
        }
        let mut buf = Vec::new();
        while let Some(transmit) = agent.poll_transmit(now, &mut buf) {
            let Route::Datagram { local, remote, .. } = transmit.route else { continue };
            if buf[..2] == [0x00, 0x03] {
                // RFC 8656 §7.2: 437 (Allocation Mismatch) asks for another socket.
                let answer = [&[0x01, 0x13, 0, 8][..], &buf[4..20], &[0, 9, 0, 4, 0, 0, 4, 37]];
                let _ = agent.handle_datagram(now, Transport::Udp, local, remote, &answer.concat());
            }
        }
        now = now + Duration::from_millis(50);
        agent.handle_timeout(now);
    }
    assert!(looked_up > 0 && connected > 0 && opened > 0, "{looked_up} {connected} {opened}");
    let (local, remote) = ("10.0.0.3:1000".parse().unwrap(), "10.0.0.2:2000".parse().unwrap());
    agent.connection_accepted(now, local, remote).unwrap_err();
    assert!(agent.update_server_credentials(now, servers[0], credentials));
    agent.cancel_gathering(now);
    assert!(agent.remove_server(now, servers[0]));
}

/// The files in a folder and those within it.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: PathBuf| if path.is_dir() { sources(&path) } else { vec![path] };
    entries.flat_map(of).collect()
}

/// A call that is added to the agent has to be added to the list of what is recorded, and this
/// scenario with it.
#[test]
fn every_call_that_takes_the_agent_mutably_is_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/agent");
    let mut found = BTreeSet::new();
    for file in sources(&folder) {
        let source = fs::read_to_string(file).unwrap();
        for function in source.split("\n    pub fn ").skip(1) {
            let (name, arguments) = function.split_once('(').unwrap();
            let this = arguments.split([',', ')']).next().unwrap();
            if this.trim_start().starts_with('&') && this.ends_with("mut self") {
                let name = name.split('<').next().unwrap();
                found.insert(name.to_owned());
            }
        }
    }
    assert!(found.len() > 20, "{found:?}");
    // It changes nothing that the agent does.
    assert!(found.remove("poll_trace"));
    let listed = CALLS.iter().map(|&call| call.to_owned()).collect();
    assert_eq!(found, listed);
}

#[test]
fn an_agent_that_is_not_recorded_behaves_the_same() {
    let (ta, delay) = (Duration::from_millis(50), Duration::from_millis(10));
    let plain = |config, seed| IceAgent::new(config, seed).map(Recorder::without_log);
    let mut wire = Wire::of(plain, [2; 2], ta, delay, 1);
    let mut other = Wire::new([2; 2], ta, delay, 1);
    wire.start();
    other.start();
    wire.run(Timestamp::from_millis(1_000));
    other.run(Timestamp::from_millis(1_000));
    for (one, other) in wire.agents.iter_mut().zip(&other.agents) {
        assert_eq!(one.state_digest(), other.state_digest());
        assert!(one.take_log().is_empty());
    }
}

/// What another version of the crate would do otherwise, here another input: the replay names it.
#[test]
fn a_replay_names_the_first_input_at_which_it_differs() {
    let make = |second: &str| {
        let mut agent = Recorder::new(AgentConfig::new(Role::Controlling), [3; 32]).unwrap();
        let stream = agent.streams().next().unwrap();
        let now = Timestamp::from_millis(5);
        for addr in ["10.0.0.1:1000", second] {
            agent.add_local(now, stream, 1, LocalAddress::udp(addr.parse().unwrap())).unwrap();
        }
        while agent.poll_event(now).is_some() {}
        agent.take_log()
    };
    let (one, other) = (make("10.0.0.2:1000"), make("10.0.0.2:1001"));
    assert_eq!(one.len(), other.len());
    // The inputs of one session, with the check values of the other.
    let change = one.iter().zip(&other).position(|(one, other)| one != other).unwrap();
    let mut mixed = other.clone();
    mixed[change] = one[change];
    let error = play(&mixed).unwrap_err();
    // Adding the address gives the same id in both; its candidate is what differs.
    let ReplayError::Diverged { number, at, call, outcome } = error else { panic!("{error}") };
    assert_eq!((number, at, call), (3, Timestamp::from_millis(5), "poll_event"));
    assert!(format!("{outcome:?}").contains("10.0.0.2:1000"));
}

#[test]
fn the_inputs_of_a_log_recorded_once_more_make_the_same_log() {
    let (_, logs) = session();
    for log in logs {
        let mut replay = Replay::new(&log).unwrap();
        let mut again = Recorder::new(replay.config().clone(), *replay.seed()).unwrap();
        while let Some(step) = replay.step().unwrap() {
            again.apply(step.at, &step.input);
        }
        assert!(again.take_log() == log);
    }
}

#[test]
fn a_replay_that_ignores_differences_goes_on() {
    let (_, [mut log, _]) = session();
    let (_, steps) = play(&log).unwrap();
    let end = log.len();
    log[end - 1] ^= 1;
    let mut replay = Replay::new(&log).unwrap();
    replay.ignore_differences();
    let played = std::iter::from_fn(|| replay.step().unwrap()).count();
    assert_eq!(played, steps.len());
    assert!(matches!(play(&log), Err(ReplayError::Diverged { .. })));
}

#[test]
fn application_data_is_not_in_a_log() {
    let (_, logs) = session();
    for log in logs {
        assert!(!log.windows(5).any(|window| window == [0x80; 5]));
        let (_, steps) = play(&log).unwrap();
        let sizes: Vec<usize> = steps
            .iter()
            .filter_map(|step| match &step.input {
                Input::Send { payload, .. } => Some(payload.as_bytes().len()),
                _ => None,
            })
            .collect();
        assert_eq!(sizes, [1200]);
    }
}

#[test]
fn a_log_that_is_cut_short_is_played_up_to_there() {
    let (_, [log, _]) = session();
    let (_, all) = play(&log).unwrap();
    let mut ends = 0;
    for length in 0..log.len() {
        match play(&log[..length]) {
            Ok((_, steps)) => {
                assert_eq!(steps, all[..steps.len()]);
                ends += 1;
            }
            Err(
                ReplayError::NotALog
                | ReplayError::Head(Malformed::Truncated)
                | ReplayError::Malformed { malformed: Malformed::Truncated, .. },
            ) => {}
            Err(other) => panic!("{length}: {other}"),
        }
    }
    assert_eq!(ends, all.len());
}

#[test]
fn an_altered_log_gives_an_error_and_the_same_one_again() {
    let (_, [log, _]) = session();
    let mut refused = 0;
    for at in (0..log.len()).step_by(7) {
        let mut altered = log.clone();
        altered[at] ^= 1 << (at % 8);
        let Ok(mut replay) = Replay::new(&altered) else { continue };
        let end = loop {
            match replay.step() {
                Ok(Some(_)) => {}
                other => break other,
            }
        };
        if end.is_err() {
            refused += 1;
            assert_eq!(replay.step(), end);
        }
    }
    assert!(refused > log.len() / 14, "{refused}");
}

#[test]
fn a_log_of_another_format_is_refused() {
    let (_, [log, _]) = session();
    let mut newer = log;
    newer[13] = 2;
    assert_eq!(Replay::new(&newer).unwrap_err(), ReplayError::Version(2));
    assert_eq!(Replay::new(b"frazil").unwrap_err(), ReplayError::NotALog);
    assert_eq!(Replay::new(b"").unwrap_err(), ReplayError::NotALog);
}

/// A log is compact: a session with its data and half a minute of consent.
#[test]
fn a_log_is_not_much_larger_than_the_messages_that_arrived() {
    let (_, logs) = session();
    for log in logs {
        let (_, steps) = play(&log).unwrap();
        let arrived: usize = steps
            .iter()
            .filter_map(|step| match &step.input {
                Input::HandleDatagram { datagram, .. } => Some(datagram.as_bytes().len()),
                _ => None,
            })
            .sum();
        assert!(log.len() < arrived + 40 * steps.len(), "{} for {arrived}", log.len());
    }
}
