//! The end: what was allocated is given back, in time.

use std::time::Duration;

use frazil::sim::{TurnMethod, TurnRefusal};
use frazil::{AddServerError, ConnectionState, Event, IceAgent};

use super::net::*;

fn close(net: &mut Net, agent: usize) {
    net.call(agent, IceAgent::close);
}

fn assert_quiet(net: &mut Net, agent: usize) {
    let until = net.now + secs(5);
    net.run_until(until);
    assert_eq!(net.nodes[agent].agent.poll_timeout(), None);
    net.sent.clear();
    net.run_for(secs(600));
    assert!(!net.sent.iter().any(|sent| sent.agent == agent));
}

/// W6: RFC 8656 §8.
#[test]
fn closing_deletes_what_was_allocated() {
    let mut net = Net::relayed(&[0, 1]);
    assert_eq!(net.allocations(0), 2);
    close(&mut net, 0);
    net.run_for(Duration::from_millis(100));
    assert_eq!(net.allocations(0), 1);
    assert_eq!(net.nodes[0].agent.poll_timeout(), None, "nothing is waited for");
    close(&mut net, 1);
    assert_quiet(&mut net, 1);
    assert_eq!(net.allocations(0), 0);
}

/// U16: the nonce may have become stale.
#[test]
fn closing_knows_what_a_stale_nonce_is() {
    let mut net = Net::relayed(&[0]);
    net.call_server(0, frazil::sim::TurnServer::expire_nonces);
    close(&mut net, 0);
    net.run_for(secs(1));
    assert_eq!(net.allocations(0), 0);
    assert_quiet(&mut net, 0);
}

/// W8: 437 to a deletion is as good as a success.
#[test]
fn closing_takes_what_it_gets() {
    for code in [400, 403, 437, 441, 500] {
        let mut net = Net::relayed(&[0]);
        net.servers[0].refuse(TurnMethod::Refresh, TurnRefusal::new(code), u32::MAX);
        close(&mut net, 0);
        assert_quiet(&mut net, 0);
        assert_eq!(net.agent().state(), ConnectionState::Closed);
    }
}

#[test]
fn closing_does_not_wait_for_ever_for_a_dead_server() {
    let mut net = Net::relayed(&[0]);
    net.dead.insert(0);
    close(&mut net, 0);
    net.run_for(secs(4));
    assert!(net.agent().poll_timeout().is_some());
    assert_quiet(&mut net, 0);
}

/// What was on its way when the session ended is deleted as well.
#[test]
fn closing_amid_gathering_leaves_nothing_behind() {
    for millis in 0..60 {
        let mut net = Net::alone(&["10.0.0.1:1000", "10.0.0.2:1000"], 2);
        net.ask(0, turn(0));
        net.ask(0, turn_tcp(1));
        net.gather(0);
        net.run_until(ms(millis * 10));
        close(&mut net, 0);
        net.run_for(secs(5));
        assert_eq!(net.allocations(0) + net.allocations(1), 0, "closed at {millis}0 ms");
        assert!(net.lines.is_empty());
        assert_eq!(net.agent().poll_timeout(), None);
    }
}

/// A connection is closed when its allocation is deleted.
#[test]
fn closing_closes_connections() {
    let mut net = Net::pair(1);
    net.ask(0, turn_tcp(0));
    net.start();
    net.run_for(secs(5));
    net.assert_flows();
    assert_eq!(net.lines.len(), 1);
    close(&mut net, 0);
    net.run_for(secs(1));
    assert!(net.lines.is_empty());
    assert!(net.has_told(0, |event| matches!(event, Event::CloseConnection { .. })));
    assert_quiet(&mut net, 0);
}

/// After the end every call is refused, and changes nothing.
#[test]
fn after_the_end_nothing_is_asked() {
    let mut net = Net::relayed(&[0]);
    close(&mut net, 0);
    let digest = net.digest(0);
    let added = net.call(0, |agent, now| agent.add_server(now, stun(0)));
    assert_eq!(added, Err(AddServerError::Closed));
    net.call(0, IceAgent::gather);
    net.call(0, IceAgent::cancel_gathering);
    assert_eq!(net.digest(0), digest);
}

/// A server that is not wanted any more gives back what it gave; other servers go on.
#[test]
fn a_server_that_is_removed_gives_back_what_it_gave() {
    let mut net = Net::pair(2);
    let first = net.ask(0, turn(0));
    net.ask(0, turn(1));
    net.start();
    net.run_for(secs(5));
    net.assert_flows();
    assert!(net.call(0, |agent, now| agent.remove_server(now, first)));
    net.run_for(secs(1));
    assert_eq!((net.allocations(0), net.allocations(1)), (0, 1));
    assert_eq!(net.relays(0)[0].ip(), listen(1).ip());
    net.restart(|_| ());
    net.run_for(secs(5));
    assert_eq!((net.allocations(0), net.allocations(1)), (0, 1));
    net.assert_flows();
}

/// The same server again has a new allocation, on the same 5-tuple.
#[test]
fn a_server_may_come_back_at_once() {
    let mut config = frazil::AgentConfig::new(frazil::Role::Controlling);
    config.continual = true;
    let mut net = Net::alone_with(config, &["10.0.0.1:1000"], 1);
    let first = net.ask(0, turn(0));
    net.gather(0);
    net.run_for(secs(2));
    net.call(0, |agent, now| agent.remove_server(now, first));
    net.ask(0, turn(0));
    net.run_for(secs(5));
    assert_eq!((net.relays(0).len(), net.allocations(0)), (1, 1));
}
