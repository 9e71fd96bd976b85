//! TCP: connections, byte streams, and what NATs, firewalls and faults do to them.

use core::net::IpAddr;

use proptest::prelude::*;

use super::*;

const SERVER: &str = "192.0.2.2:443";

/// A client and a server, which listens.
struct Two {
    network: Network,
    client: HostId,
    server: HostId,
}

impl Two {
    fn new(link: Link) -> Self {
        let mut network = two_hosts(6, link);
        let (client, server) =
            (network.host_of(ip(ALICE)).unwrap(), network.host_of(ip(SERVER)).unwrap());
        network.tcp_listen(server, addr(SERVER)).unwrap();
        Self { network, client, server }
    }

    /// The same with the client behind a gateway, at 192.168.1.2.
    fn behind(gateway: GatewayConfig, link: Link) -> (Self, RealmId) {
        let mut two = Self::new(link);
        let home = two.network.add_realm(RealmId::INTERNET, gateway).unwrap();
        two.client = two.network.add_host_in(home).unwrap();
        two.network.add_address(two.client, ip("192.168.1.2:0")).unwrap();
        (two, home)
    }

    fn connect(&mut self, now: u64, local: &str) -> TcpId {
        self.network.tcp_connect(at(now), self.client, addr(local), addr(SERVER)).unwrap()
    }

    /// Everything that TCP tells until then.
    fn run(&mut self, until: u64) -> Vec<TcpEvent> {
        assert_eq!(self.network.receive(at(until)), None);
        core::iter::from_fn(|| self.network.poll_tcp()).collect()
    }

    /// Connects, and says which ends there are.
    fn connected(&mut self, now: u64, local: &str) -> (TcpId, TcpId) {
        let client = self.connect(now, local);
        let events = self.run(now + 5_000);
        let [connected, accepted] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((connected.id, &connected.kind), (client, &TcpEventKind::Connected));
        assert!(matches!(accepted.kind, TcpEventKind::Accepted { .. }));
        (client, accepted.id)
    }
}

/// The bytes that an end has received.
fn stream(events: &[TcpEvent], id: TcpId) -> Vec<u8> {
    let data = events.iter().filter(|event| event.id == id).filter_map(|event| match &event.kind {
        TcpEventKind::Data(data) => Some(data.as_slice()),
        _ => None,
    });
    data.collect::<Vec<_>>().concat()
}

fn kinds(events: Vec<TcpEvent>) -> Vec<(TcpId, TcpEventKind)> {
    events.into_iter().map(|event| (event.id, event.kind)).collect()
}

#[test]
fn a_connection_takes_a_round_trip_and_carries_bytes_both_ways() {
    let mut two = Two::new(Link::delayed(millis(10)));
    let client = two.connect(0, ALICE);
    assert_eq!(two.network.tcp_send(at(0), client, b"early"), 0);
    let events = two.run(100);
    assert_eq!((events[0].at, events[0].id), (at(20), client));
    let (server, accepted) = (events[1].id, events[1].kind.clone());
    let expected =
        TcpEventKind::Accepted { host: two.server, local: addr(SERVER), remote: addr(ALICE) };
    assert_eq!((events[1].at, accepted), (at(30), expected));

    assert_eq!(two.network.tcp_send(at(100), client, b"ping"), 4);
    assert_eq!(two.network.tcp_send(at(100), server, b"pong"), 4);
    let data =
        |id, bytes: &[u8]| TcpEvent { at: at(110), id, kind: TcpEventKind::Data(bytes.into()) };
    assert_eq!(two.run(200), [data(server, b"ping"), data(client, b"pong")]);
    // Nothing is sent for nothing.
    assert_eq!(two.network.next_arrival(), None);
    assert_accounted(&two.network);
}

#[test]
fn a_port_without_a_listener_refuses_and_an_address_without_a_host_does_not_answer() {
    let mut two = Two::new(Link::delayed(millis(10)));
    assert!(two.network.tcp_unlisten(two.server, addr(SERVER)));
    let refused = two.connect(0, ALICE);
    let events = two.run(1_000);
    assert_eq!(events, [TcpEvent { at: at(20), id: refused, kind: TcpEventKind::Refused }]);
    let nobody = addr("198.51.100.1:443");
    let id = two.network.tcp_connect(at(1_000), two.client, addr(ALICE), nobody).unwrap();
    let events = two.run(600_000);
    assert_eq!(events, [TcpEvent { at: at(128_000), id, kind: TcpEventKind::TimedOut }]);
    assert_eq!(two.network.tcp_remote(id), None);
}

#[test]
fn a_stream_is_cut_as_wanted_and_arrives_in_order() {
    let mut two = Two::new(Link::delayed(millis(10)).with_jitter(millis(30)));
    let (client, server) = two.connected(0, ALICE);
    let text: Vec<u8> = (0..250).collect();
    let lengths = |events: &[TcpEvent]| {
        let data = events.iter().filter_map(|event| match &event.kind {
            TcpEventKind::Data(data) => Some(data.len()),
            _ => None,
        });
        data.collect::<Vec<_>>()
    };
    let cut = |two: &mut Two, now, segmentation| {
        two.network.set_segmentation(segmentation);
        assert_eq!(two.network.tcp_send(at(now), client, &text), 250);
        let events = two.run(now + 5_000);
        assert_eq!(stream(&events, server), text);
        lengths(&events)
    };
    assert_eq!(cut(&mut two, 10_000, Segmentation::Full), [250]);
    let sizes = Segmentation::Sizes(vec![1, 100]);
    assert_eq!(cut(&mut two, 20_000, sizes), [1, 100, 1, 100, 1, 47]);
    assert_eq!(cut(&mut two, 30_000, Segmentation::Sizes(vec![0])).len(), 250);
    let random = cut(&mut two, 40_000, Segmentation::Random);
    assert!(random.len() > 1 && random.iter().all(|len| *len > 0), "{random:?}");
}

#[test]
fn a_side_that_has_closed_still_receives_and_the_last_byte_comes_before_the_end() {
    let mut two = Two::new(Link::delayed(millis(10)));
    let (client, server) = two.connected(0, ALICE);
    two.network.tcp_send(at(10_000), client, b"last");
    two.network.tcp_close(at(10_000), client);
    assert_eq!(two.network.tcp_send(at(10_000), client, b"more"), 0);
    let events = kinds(two.run(10_100));
    assert_eq!(
        events,
        [(server, TcpEventKind::Data(b"last".into())), (server, TcpEventKind::Finished)]
    );
    two.network.tcp_send(at(10_100), server, b"answer");
    two.network.tcp_close(at(10_100), server);
    let events = kinds(two.run(10_200));
    assert_eq!(
        events,
        [(client, TcpEventKind::Data(b"answer".into())), (client, TcpEventKind::Finished)]
    );
    // The client keeps its port for a minute.
    let again = two.network.tcp_connect(at(10_200), two.client, addr(ALICE), addr(SERVER));
    assert_eq!(again, Err(TcpError::InUse));
    assert!(two.run(80_000).is_empty());
    assert_eq!(two.network.tcp_remote(client), None);
    assert_eq!(two.network.tcp_remote(server), None);
    two.connected(80_000, ALICE);
}

#[test]
fn a_reset_ends_both_sides_at_once() {
    let mut two = Two::new(Link::delayed(millis(10)));
    let (client, server) = two.connected(0, ALICE);
    two.network.tcp_reset(at(10_000), client);
    assert_eq!(kinds(two.run(10_100)), [(server, TcpEventKind::Reset)]);
    assert_eq!(two.network.next_arrival(), None);
}

#[test]
fn a_host_that_has_crashed_knows_of_no_connection_when_it_is_back() {
    let mut two = Two::new(Link::delayed(millis(10)));
    let (client, _) = two.connected(0, ALICE);
    two.network.crash(two.server);
    two.network.tcp_send(at(10_000), client, b"anyone?");
    assert!(two.run(11_000).is_empty());
    two.network.restart(two.server).unwrap();
    assert_eq!(kinds(two.run(20_000)), [(client, TcpEventKind::Reset)]);
}

#[test]
fn a_late_segment_does_not_get_into_the_next_connection_between_the_same_endpoints() {
    let mut two = Two::new(Link::delayed(millis(10)));
    let (client, _) = two.connected(0, ALICE);
    two.network.set_default_link(Link::delayed(millis(500)));
    two.network.tcp_send(at(10_000), client, b"late");
    two.network.set_default_link(Link::delayed(millis(10)));
    two.network.tcp_reset(at(10_000), client);
    two.run(10_050);
    let next = two.connect(10_050, ALICE);
    let events = two.run(11_000);
    assert_eq!((events.len(), events[0].id), (2, next), "{events:?}");
    two.network.tcp_send(at(11_000), next, b"fresh");
    assert_eq!(stream(&two.run(12_000), events[1].id), b"fresh");
}

#[test]
fn a_listener_takes_a_port_again_whose_last_connection_was_closed() {
    let mut two = Two::new(Link::delayed(millis(10)));
    let (client, server) = two.connected(0, ALICE);
    for end in [client, server] {
        two.network.tcp_close(at(10_000), end);
    }
    assert_eq!(two.run(10_100).len(), 2);
    // The client has forgotten the connection, the server has not.
    two.network.crash(two.client);
    two.network.restart(two.client).unwrap();
    assert!(two.network.tcp_remote(server).is_some());
    two.connected(10_100, ALICE);
}

#[test]
fn a_late_caller_hears_of_what_came_first() {
    let mut two = Two::new(Link::delayed(millis(10)));
    let nobody = addr("198.51.100.1:443");
    two.network.tcp_connect(at(0), two.client, addr(ALICE), nobody).unwrap();
    two.network.inject(at(200_000), to_bob(*b"much later"));
    let arrival = two.network.receive(at(300_000)).unwrap();
    assert_eq!(arrival.at, at(200_000));
    assert_eq!(two.network.poll_tcp().unwrap().at, at(127_000));
}

/// RFC 5382 REQ-4: what is not wanted is not answered.
#[test]
fn a_nat_lets_tcp_out_and_nobody_in() {
    let nat = GatewayConfig::nat(NatConfig::new(["203.0.113.1".parse::<IpAddr>().unwrap()]));
    let (mut two, home) = Two::behind(nat, Link::delayed(millis(10)));
    let (client, server) = two.connected(0, "192.168.1.2:5000");
    let seen = addr("203.0.113.1:5000");
    assert_eq!(two.network.tcp_remote(server), Some(seen));
    two.network.tcp_send(at(10_000), server, b"hello");
    assert_eq!(kinds(two.run(10_100)), [(client, TcpEventKind::Data(b"hello".into()))]);

    two.network.tcp_listen(two.client, addr("192.168.1.2:5000")).unwrap();
    let other = addr("192.0.2.2:444");
    let id = two.network.tcp_connect(at(10_100), two.server, other, seen).unwrap();
    assert_eq!(kinds(two.run(200_000)), [(id, TcpEventKind::TimedOut)]);
    assert!(two.network.stats().dropped_for(DropReason::NatFiltered) >= 7);

    // A NAT that has forgotten lets nothing in until the inside has sent again.
    two.network.reboot_nat(home);
    two.network.tcp_send(at(200_000), server, b"one");
    assert!(two.run(200_100).is_empty());
    two.network.tcp_send(at(200_100), client, b"two");
    let events = two.run(210_000);
    assert_eq!((stream(&events, client), stream(&events, server)), (b"one".into(), b"two".into()));
}

/// RFC 5382 REQ-2: both sides open at the same time, through filters that would let in neither.
#[test]
fn a_simultaneous_open_gets_through_two_nats() {
    let nat =
        |external: &str| GatewayConfig::nat(NatConfig::new([external.parse::<IpAddr>().unwrap()]));
    let mut network = Network::new([0; 32]);
    network.set_default_link(Link::delayed(millis(10)));
    let hosts = ["203.0.113.1", "203.0.113.2"].map(|external| {
        let home = network.add_realm(RealmId::INTERNET, nat(external)).unwrap();
        let host = network.add_host_in(home).unwrap();
        network.add_address(host, ip("192.168.1.2:0")).unwrap();
        host
    });
    let inside = addr("192.168.1.2:5000");
    let ids = [(hosts[0], "203.0.113.2:5000"), (hosts[1], "203.0.113.1:5000")]
        .map(|(host, to)| network.tcp_connect(at(0), host, inside, addr(to)).unwrap());
    assert_eq!(network.receive(at(1_000)), None);
    let events: Vec<_> = core::iter::from_fn(|| network.poll_tcp()).collect();
    let mut connected = kinds(events);
    connected.sort_by_key(|(id, _)| *id);
    assert_eq!(connected, ids.map(|id| (id, TcpEventKind::Connected)));
    assert_eq!(network.tcp_send(at(1_000), ids[0], b"hello"), 5);
    assert_eq!(network.receive(at(2_000)), None);
    assert_eq!(network.poll_tcp().unwrap().kind, TcpEventKind::Data(b"hello".into()));
}

#[test]
fn a_firewall_lets_tcp_to_its_ports_and_what_it_stops_times_out() {
    let firewall = FirewallConfig::stateful().without_udp().tcp_only_to([443]);
    let nat = NatConfig::new(["203.0.113.1".parse::<IpAddr>().unwrap()]);
    let gateway = GatewayConfig::nat(nat).with_firewall(firewall);
    let (mut two, _) = Two::behind(gateway, Link::delayed(millis(10)));
    two.connected(0, "192.168.1.2:5000");
    let (local, remote) = (addr("192.168.1.2:5000"), addr("192.0.2.2:80"));
    two.network.tcp_listen(two.server, remote).unwrap();
    let id = two.network.tcp_connect(at(10_000), two.client, local, remote).unwrap();
    assert_eq!(kinds(two.run(200_000)), [(id, TcpEventKind::TimedOut)]);
    assert_eq!(two.network.stats().dropped_for(DropReason::FirewallOutbound), 7);
}

#[test]
fn a_partition_delays_a_stream_and_a_longer_one_ends_it() {
    let mut two = Two::new(Link::delayed(millis(10)));
    let (client, server) = two.connected(0, ALICE);
    two.network.partition(RealmId::INTERNET, &[ip(ALICE)], &[ip(SERVER)]);
    two.network.tcp_send(at(10_000), client, b"patience");
    assert!(two.run(12_000).is_empty());
    two.network.heal(RealmId::INTERNET, &[ip(ALICE)], &[ip(SERVER)]);
    assert_eq!(stream(&two.run(20_000), server), b"patience");
    two.network.partition(RealmId::INTERNET, &[ip(ALICE)], &[ip(SERVER)]);
    two.network.tcp_send(at(20_000), client, b"in vain");
    assert_eq!(kinds(two.run(300_000)), [(client, TcpEventKind::TimedOut)]);
}

/// RFC 6298 §3, §5.7: how long nobody answered to the first SYNs is no round trip.
#[test]
fn a_connection_that_took_several_tries_sends_again_as_soon_as_any_other() {
    let mut two = Two::new(Link::delayed(millis(10)));
    let part =
        |two: &mut Two| two.network.partition(RealmId::INTERNET, &[ip(ALICE)], &[ip(SERVER)]);
    let heal = |two: &mut Two| two.network.heal(RealmId::INTERNET, &[ip(ALICE)], &[ip(SERVER)]);
    part(&mut two);
    let client = two.connect(0, ALICE);
    assert!(two.run(20_000).is_empty());
    heal(&mut two);
    let events = two.run(40_000);
    let [_, accepted] = events.as_slice() else { panic!("{events:?}") };
    let server = accepted.id;
    let mut now = 50_000;
    // Then a round trip has been measured.
    for longest in [3_100, 300] {
        part(&mut two);
        two.network.tcp_send(at(now), client, b"again");
        assert!(two.run(now + 5).is_empty());
        heal(&mut two);
        assert_eq!(stream(&two.run(now + longest), server), b"again", "{longest}");
        two.network.tcp_send(at(now + 10_000), client, b"at once");
        assert_eq!(stream(&two.run(now + 11_000), server), b"at once");
        now += 20_000;
    }
}

#[test]
fn what_is_written_is_bounded() {
    let mut two = Two::new(Link::delayed(millis(10)));
    let (client, server) = two.connected(0, ALICE);
    let much = vec![7; 100_000];
    assert_eq!(two.network.tcp_send(at(10_000), client, &much), 65_536);
    assert_eq!(two.network.tcp_send(at(10_000), client, &much), 0);
    assert_eq!(stream(&two.run(20_000), server).len(), 65_536);
    assert_eq!(two.network.tcp_send(at(20_000), client, &much), 65_536);
}

#[test]
fn what_cannot_be_opened_is_refused() {
    let mut two = Two::new(Link::default());
    let elsewhere = addr("192.0.2.77:1");
    assert_eq!(two.network.tcp_listen(two.server, elsewhere), Err(TcpError::UnknownAddress));
    assert_eq!(two.network.tcp_listen(two.server, addr(SERVER)), Err(TcpError::InUse));
    let open = two.network.tcp_connect(at(0), two.client, elsewhere, addr(SERVER));
    assert_eq!(open, Err(TcpError::UnknownAddress));
    two.connect(0, ALICE);
    let open = two.network.tcp_connect(at(0), two.client, addr(ALICE), addr(SERVER));
    assert_eq!(open, Err(TcpError::InUse));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// However bad a path is: what arrives is a prefix of what was written, and all of it if the
    /// connection has not been given up. A clone sees the same, to the instant.
    #[test]
    fn a_stream_survives_loss_duplication_and_reordering(
        seed in any::<u8>(),
        loss in 0..30u32,
        jitter in 0..80u64,
        writes in prop::collection::vec(1..3_000usize, 1..12),
    ) {
        let link = Link::delayed(millis(20))
            .with_jitter(millis(jitter))
            .with_loss(Probability::percent(loss))
            .with_duplication(Probability::percent(10));
        let mut two = Two::new(link);
        two.network = two_hosts(seed, link);
        two.network.tcp_listen(two.server, addr(SERVER)).unwrap();
        two.network.set_segmentation(Segmentation::Random);
        let client = two.connect(0, ALICE);
        let mut events = two.run(200_000);
        let accepted = |event: &TcpEvent| matches!(event.kind, TcpEventKind::Accepted { .. });
        let server = events.iter().find(|event| accepted(event)).map(|event| event.id);
        let mut written = Vec::new();
        for (number, len) in writes.iter().enumerate() {
            let data: Vec<u8> = (0..*len).map(|byte| (byte + number) as u8).collect();
            let taken = two.network.tcp_send(at(200_000), client, &data);
            written.extend_from_slice(&data[..taken]);
        }
        two.network.tcp_close(at(200_000), client);
        let mut twin = Two { network: two.network.clone(), ..two };
        events = two.run(9_000_000);
        prop_assert_eq!(&events, &twin.run(9_000_000));
        if let Some(server) = server {
            let got = stream(&events, server);
            prop_assert!(written.starts_with(&got));
            let gave_up = events.iter().any(|event| event.kind == TcpEventKind::TimedOut);
            prop_assert!(gave_up || got == written);
        }
        assert_accounted(&two.network);
    }
}
