//! What an agent says of pairs of TCP candidates.

use frazil::{Explanation, LocalAddress, PairReason, Role, Transport};

use super::script::{HERE, STRANGER, Script};
use crate::common::{addr, ms, plain};

/// What is said of the pair with this remote candidate.
fn why(explanation: &Explanation, transport: Transport, remote: &str) -> PairReason {
    let pairs = explanation.pairs.iter();
    let mut found =
        pairs.filter(|pair| (pair.remote.transport, pair.remote.addr) == (transport, addr(remote)));
    let pair = found.next().unwrap();
    assert!(found.next().is_none(), "{explanation}");
    pair.why
}

/// RFC 6544 §6.2: active meets passive, and TCP meets TCP.
#[test]
fn pairs_that_cannot_be_name_the_transport() {
    let mut script = Script::active(Role::Controlling);
    script.remote("2 1 TCP 1675624447 192.0.2.3 9 typ host tcptype active").unwrap();
    script.remote("3 1 UDP 2130706431 192.0.2.4 4000 typ host").unwrap();
    let explanation = script.agent.explain();
    let other = PairReason::OtherTransport;
    assert_eq!(why(&explanation, Transport::Tcp, "192.0.2.3:9"), other);
    assert_eq!(why(&explanation, Transport::Udp, "192.0.2.4:4000"), other);
    assert_eq!(why(&explanation, Transport::Tcp, "192.0.2.2:4000"), PairReason::Connecting);
}

/// RFC 6544 §7.1: the connection is opened before the check.
#[test]
fn a_pair_whose_connection_does_not_open_says_so() {
    let mut script = Script::active(Role::Controlling);
    let (id, ..) = *script.opened().last().unwrap();
    let explanation = script.agent.explain();
    let pair = &explanation.pairs[0];
    assert_eq!((pair.why, pair.sent), (PairReason::Connecting, 0));
    script.agent.connection_failed(script.now, id);
    script.drain();
    script.run_until(ms(60_000));
    let explanation = script.agent.explain();
    let reason = why(&explanation, Transport::Tcp, "192.0.2.2:4000");
    assert_eq!(reason, PairReason::NotConnected, "{explanation}");
}

/// The connection is there, and nobody answers what is sent on it.
#[test]
fn a_pair_that_is_connected_and_not_answered_is_unanswered() {
    let mut script = Script::active(Role::Controlling);
    script.connected();
    assert_eq!(script.requests().len(), 1);
    script.run_until(ms(120_000));
    let explanation = script.agent.explain();
    let reason = why(&explanation, Transport::Tcp, "192.0.2.2:4000");
    assert_eq!(reason, PairReason::Unanswered, "{explanation}");
    assert_eq!(explanation.pairs[0].sent, 1, "TCP repeats by itself");
}

/// A passive candidate waits: before the peer has opened a connection there is nothing to check on.
#[test]
fn a_passive_candidate_waits_for_the_peer() {
    let mut script = Script::new(plain(Role::Controlling), LocalAddress::tcp_passive(addr(HERE)));
    script.remote("1 1 TCP 1675624447 192.0.2.2 9 typ host tcptype active").unwrap();
    script.start();
    script.run_until(ms(1_000));
    let explanation = script.agent.explain();
    let reason = why(&explanation, Transport::Tcp, "192.0.2.2:9");
    assert!(script.requests().is_empty());
    assert_eq!(reason, PairReason::AwaitsConnection, "{explanation}");
    // It has come: the pair is that of the address that it came from.
    let id = script.accept(STRANGER);
    let check = script.check(false);
    let _ = script.frame(id, &check);
    let explanation = script.agent.explain();
    assert_eq!(why(&explanation, Transport::Tcp, STRANGER), PairReason::UnderWay);
}
