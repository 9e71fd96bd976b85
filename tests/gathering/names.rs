//! Names of servers.

use std::net::IpAddr;

use frazil::{CandidateKind, Event, LookupId, Server, ServerFailure};

use super::net::*;

const L: &str = "10.0.0.1:1000";
const NAME: &str = "turn.example.org";

fn asking(servers: usize) -> (Net, LookupId) {
    let mut net = Net::alone(&[L], servers);
    net.mapped.insert(addr(L), addr("203.0.113.1:40000"));
    net.ask(0, turn_uri(&format!("turn:{NAME}")));
    net.gather(0);
    let lookup = net.nodes[0].events.iter().find_map(|(_, event)| match event {
        Event::ResolveName { lookup, name } if name == NAME => Some(*lookup),
        _ => None,
    });
    (net, lookup.unwrap())
}

fn resolve(net: &mut Net, lookup: LookupId, ips: &[IpAddr]) {
    net.call(0, |agent, now| agent.name_resolved(now, lookup, ips));
}

#[test]
fn a_name_is_asked_for_and_its_server_then() {
    let (mut net, lookup) = asking(1);
    net.run_for(secs(1));
    assert!(net.sent.is_empty());
    resolve(&mut net, lookup, &[listen(0).ip()]);
    net.run_for(secs(1));
    assert_eq!(net.relays(0).len(), 1);
    assert!(net.complete_at(0).is_some());
}

/// The next address is asked when one gives no answer, long before a transaction would end.
#[test]
fn the_next_address_is_asked_when_one_is_silent() {
    let (mut net, lookup) = asking(3);
    net.dead.extend([0, 1]);
    let ips: Vec<IpAddr> = (0..3).map(|number| listen(number).ip()).collect();
    resolve(&mut net, lookup, &ips);
    net.run_for(secs(6));
    assert_eq!(net.relays(0)[0].ip(), listen(2).ip());
    assert_eq!(net.errors(0), []);
}

/// A server of which the addresses are of the other family gives nothing.
#[test]
fn addresses_out_of_reach_are_an_error() {
    let (mut net, lookup) = asking(1);
    resolve(&mut net, lookup, &["2001:db8::1".parse().unwrap()]);
    net.run_for(secs(1));
    assert_eq!((net.errors(0), net.sent.len()), (vec![701], 0));
    assert!(net.complete_at(0).is_some());
}

#[test]
fn a_name_that_is_not_resolved_is_an_error_for_that_server_alone() {
    let (mut net, lookup) = asking(1);
    net.ask(0, Server::new(format!("stun:{}", listen(0)).parse().unwrap()));
    net.call(0, |agent, now| agent.name_failed(now, lookup));
    net.run_for(secs(1));
    let failed = |event: &Event| {
        matches!(
            event,
            Event::CandidateError {
                code: 701,
                local: None,
                failure: ServerFailure::NotResolved,
                ..
            }
        )
    };
    assert!(net.has_told(0, failed));
    assert_eq!(net.candidates(0, CandidateKind::ServerReflexive).len(), 1);
    assert!(net.complete_at(0).is_some());
}

/// What is answered twice, or when nobody waits any more, changes nothing.
#[test]
fn repeated_and_late_answers_change_nothing() {
    let (mut net, lookup) = asking(2);
    resolve(&mut net, lookup, &[listen(0).ip()]);
    net.run_for(secs(1));
    let digest = net.digest(0);
    resolve(&mut net, lookup, &[listen(1).ip()]);
    net.call(0, |agent, now| agent.name_failed(now, lookup));
    assert_eq!(net.digest(0), digest);

    let (mut net, lookup) = asking(1);
    net.run_for(secs(11));
    assert_eq!(net.errors(0), [701]);
    let digest = net.digest(0);
    resolve(&mut net, lookup, &[listen(0).ip()]);
    assert_eq!(net.digest(0), digest);
    net.run_for(secs(60));
    assert!(net.sent.is_empty());
}

/// Of hostile answers a few are tried.
#[test]
fn few_of_many_addresses_are_tried() {
    let (mut net, lookup) = asking(0);
    let ips: Vec<IpAddr> = (1..=200).map(|host| IpAddr::from([192, 0, 2, host])).collect();
    resolve(&mut net, lookup, &ips);
    net.run_for(secs(60));
    let mut tried: Vec<_> = net.sent.iter().filter_map(Sent::to).collect();
    tried.dedup();
    assert!(tried.len() <= 4, "{tried:?}");
    assert_eq!(net.complete_at(0), Some(ms(10_000)));
}
