//! Who may say something, and who may not: what is not authenticated, or not from the server that was
//! asked, changes nothing.

use frazil::Route;
use frazil::sim::TurnMethod;

use super::net::*;

const L: &str = "10.0.0.1:1000";

/// A success to a Binding request that says the address of the attacker's choice.
fn mapping(id: [u8; 12]) -> Vec<u8> {
    let mut bytes = vec![0x01, 0x01, 0, 12, 0x21, 0x12, 0xa4, 0x42];
    bytes.extend(id);
    bytes.extend([0, 0x20, 0, 8, 0, 1, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10]);
    bytes
}

/// A success to Allocate without integrity.
fn allocated(id: [u8; 12]) -> Vec<u8> {
    let mut bytes = vec![0x01, 0x03, 0, 32, 0x21, 0x12, 0xa4, 0x42];
    bytes.extend(id);
    for kind in [0x16, 0x20] {
        bytes.extend([0, kind, 0, 8, 0, 1, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10]);
    }
    bytes.extend([0, 0x0d, 0, 4, 0, 0, 2, 0x58]);
    bytes
}

/// The answer to the transaction that was asked, from the server that was asked, to the socket that
/// asked, and no other.
#[test]
fn a_mapping_is_believed_from_the_server_that_was_asked_alone() {
    let mut net = Net::alone(&[L, "10.0.0.2:1000"], 1);
    net.dead.insert(0);
    net.ask(0, stun(0));
    net.gather(0);
    net.run_until(ms(200));
    let sent = net.sent[0].clone();
    let (id, local) = (sent.id(), sent.from().unwrap());
    let digest = net.digest(0);
    let other = if local == addr(L) { "10.0.0.2:1000" } else { L };
    let mut wrong = id;
    wrong[11] ^= 1;
    let strangers = [
        (local, addr("198.51.100.1:3479"), mapping(id)),
        (local, addr("198.51.100.2:3478"), mapping(id)),
        (addr(other), listen(0), mapping(id)),
        (local, listen(0), mapping(wrong)),
        (local, listen(0), allocated(id)),
        (local, listen(0), mapping(id)[..30].to_vec()),
    ];
    for (to, from, bytes) in strangers {
        net.feed(0, to, from, &bytes);
        assert_eq!(net.digest(0), digest, "{to} {from}");
    }
    net.feed(0, local, listen(0), &mapping(id));
    assert_eq!(net.reflexive().len(), 1);
    // Once is enough.
    let digest = net.digest(0);
    net.feed(0, local, listen(0), &mapping(id));
    assert_eq!(net.digest(0), digest);
}

/// RFC 8489 §9.2.5: with credentials in the request, the answer has to prove itself.
#[test]
fn an_allocation_without_integrity_is_not_believed() {
    let mut net = Net::alone(&[L], 1);
    net.ask(0, turn(0));
    net.gather(0);
    // The challenge is there, and the answer to the second request is on its way.
    net.run_until(ms(55));
    let authenticated = net.sent.iter().rev().find(|sent| sent.get(0x0014).is_some()).unwrap();
    let id = authenticated.id();
    net.feed(0, addr(L), listen(0), &allocated(id));
    assert_eq!(net.relays(0), []);
    net.run_for(secs(1));
    assert_eq!(net.relays(0).len(), 1, "the true answer counts");
}

/// U26: RFC 8489 §9.2.5. An error without integrity to a request with credentials, 401 and 438 aside.
#[test]
fn errors_without_integrity_are_not_believed() {
    for code in [300_u16, 400, 403, 420, 437, 441, 442, 486, 500, 508] {
        let mut net = Net::alone(&[L], 2);
        net.ask(0, turn(0));
        net.gather(0);
        net.run_until(ms(55));
        let authenticated = net.sent.iter().rev().find(|sent| sent.get(0x0014).is_some()).unwrap();
        let mut bytes = vec![0x01, 0x13, 0, 8, 0x21, 0x12, 0xa4, 0x42];
        bytes.extend(authenticated.id());
        bytes.extend([0, 9, 0, 4, 0, 0, (code / 100) as u8, (code % 100) as u8]);
        net.feed(0, addr(L), listen(0), &bytes);
        net.run_for(secs(1));
        assert_eq!((net.relays(0).len(), net.errors(0)), (1, vec![]), "{code}");
    }
}

/// A session is not shaken by what anybody can send: every datagram that was ever received, again,
/// from wherever, and with any bit turned.
#[test]
fn replays_and_forgeries_change_nothing() {
    let mut net = Net::relayed(&[0]);
    net.run_for(secs(60));
    let seen: Vec<_> = net
        .delivered
        .iter()
        .filter(|(local, from, _)| *local == addr(L) && *from == listen(0))
        .cloned()
        .collect();
    let stun: Vec<_> = seen.iter().filter(|(_, _, bytes)| bytes[0] < 0x40).collect();
    assert!(stun.len() > 5);
    let digest = net.digest(0);
    for (local, from, bytes) in &stun {
        // A response to what is not outstanding; Data indications carry checks, which are answered.
        if bytes[..2] == [0x00, 0x17] {
            continue;
        }
        net.feed(0, *local, *from, bytes);
        net.feed(0, *local, addr("198.51.100.9:3478"), bytes);
        assert_eq!(net.digest(0), digest, "{bytes:x?}");
    }
    net.assert_flows();
}

/// What is flipped in an answer on its way is noticed, wherever it is flipped.
#[test]
fn a_flipped_bit_in_an_answer_is_noticed() {
    let mut net = Net::relayed(&[0]);
    net.run_until(ms(539_000));
    while net.asked(REFRESH).is_empty() {
        net.run_for(std::time::Duration::from_millis(1));
        assert!(net.now < ms(560_000));
    }
    let request = net.asked(REFRESH)[0].clone();
    assert!(matches!(request.route, Route::Datagram { .. }));
    let mut server = net.servers[0].clone();
    let now = net.now;
    server.handle_datagram(now, listen(0), addr(L), &request.bytes);
    let (_, answer) = server.poll_transmit().unwrap();
    assert_eq!(server.stats().successes(TurnMethod::Refresh), 1);
    for at in 0..answer.len() {
        let mut net = net.clone();
        let mut bad = answer.clone();
        bad[at] ^= 1 << (at % 8);
        net.feed(0, addr(L), listen(0), &bad);
        assert!(net.agent().counters().all_ignored().count() > 0);
        net.run_for(secs(1));
        assert_eq!(net.lost(0), 0, "byte {at}");
        assert_eq!(net.relays(0).len(), 1);
    }
}

/// W23: what comes through a relay from an address for which there is no permission, and data on a
/// path on which nobody has authenticated.
#[test]
fn strangers_behind_the_relay_are_not_heard() {
    let mut net = Net::relayed(&[0]);
    let digest = net.digest(0);
    let mut indication = vec![0x00, 0x17, 0, 20, 0x21, 0x12, 0xa4, 0x42];
    indication.extend([5; 12]);
    // XOR-PEER-ADDRESS of 192.0.2.66:6666, DATA.
    let ip = [192 ^ 0x21, 0x12, 2 ^ 0xa4, 66 ^ 0x42];
    let port = (6666_u16 ^ 0x2112).to_be_bytes();
    indication.extend([0, 0x12, 0, 8, 0, 1, port[0], port[1], ip[0], ip[1], ip[2], ip[3]]);
    indication.extend([0, 0x13, 0, 4, 0x80, 1, 2, 3]);
    let before = net.nodes[0].received.len();
    net.feed(0, addr(L), listen(0), &indication);
    assert_eq!((net.digest(0), net.nodes[0].received.len()), (digest, before));
}
