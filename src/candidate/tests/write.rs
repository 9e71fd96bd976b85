use core::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use crate::candidate::{
    Candidate, CandidateAddress, CandidateKind, CandidateTransport, Foundation, TcpType,
};

fn candidate(kind: CandidateKind, addr: &str, related: Option<&str>) -> Candidate {
    Candidate {
        foundation: Foundation::numbered(0),
        component: 1,
        transport: CandidateTransport::Udp,
        priority: 99,
        address: CandidateAddress::Socket(addr.parse().unwrap()),
        kind,
        related: related.map(|text| text.parse().unwrap()),
        extensions: Vec::new(),
    }
}

#[test]
fn only_host_candidates_lack_a_related_address() {
    let related = Some("198.51.100.1:7");
    assert_eq!(
        candidate(CandidateKind::Host, "192.0.2.1:5000", related).to_string(),
        "1 1 UDP 99 192.0.2.1 5000 typ host"
    );
    for (kind, word) in [
        (CandidateKind::ServerReflexive, "srflx"),
        (CandidateKind::PeerReflexive, "prflx"),
        (CandidateKind::Relayed, "relay"),
    ] {
        assert_eq!(
            candidate(kind, "192.0.2.1:5000", related).to_string(),
            format!("1 1 UDP 99 192.0.2.1 5000 typ {word} raddr 198.51.100.1 rport 7")
        );
        assert_eq!(
            candidate(kind, "192.0.2.1:5000", None).to_string(),
            format!("1 1 UDP 99 192.0.2.1 5000 typ {word} raddr 0.0.0.0 rport 9")
        );
        assert_eq!(
            candidate(kind, "[2001:db8::1]:5000", None).to_string(),
            format!("1 1 UDP 99 2001:db8::1 5000 typ {word} raddr :: rport 9")
        );
    }
}

#[test]
fn the_example_of_rfc_8839_is_written_as_it_stands_there() {
    let line = "2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998";
    assert_eq!(line.parse::<Candidate>().unwrap().to_string(), line);
}

#[test]
fn the_direction_of_tcp_comes_before_other_extensions() {
    let mut tcp = candidate(CandidateKind::ServerReflexive, "192.0.2.1:5000", None);
    tcp.extensions = vec![("ufrag".to_owned(), "8hhY".to_owned())];
    tcp.transport = CandidateTransport::Tcp(TcpType::SimultaneousOpen);
    let line = "1 1 TCP 99 192.0.2.1 5000 typ srflx raddr 0.0.0.0 rport 9 tcptype so ufrag 8hhY";
    assert_eq!(tcp.to_string(), line);
}

#[test]
fn an_active_tcp_candidate_has_the_discard_port() {
    let mut tcp = candidate(CandidateKind::Host, "192.0.2.1:5000", None);
    tcp.transport = CandidateTransport::Tcp(TcpType::Active);
    assert_eq!(tcp.to_string(), "1 1 TCP 99 192.0.2.1 9 typ host tcptype active");
    tcp.transport = CandidateTransport::Tcp(TcpType::Passive);
    assert_eq!(tcp.to_string(), "1 1 TCP 99 192.0.2.1 5000 typ host tcptype passive");
}

#[test]
fn zone_ids_are_not_told() {
    let mut local = candidate(CandidateKind::Host, "192.0.2.1:5000", None);
    local.address = CandidateAddress::Socket("[fe80::1%7]:5000".parse().unwrap());
    assert_eq!(local.to_string(), "1 1 UDP 99 fe80::1 5000 typ host");
}

#[test]
fn nothing_that_a_candidate_holds_can_break_its_line() {
    let mut hostile = candidate(CandidateKind::Host, "192.0.2.1:5000", None);
    let pairs = [
        ("ok", "1"),
        ("line", "break\r\na=ice-lite"),
        ("a b", "c"),
        ("a", "b c"),
        ("", "empty"),
        ("raddr", "192.0.2.1"),
        ("RPORT", "1"),
        ("tcptype", "active"),
        ("last", ""),
    ];
    hostile.extensions = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    assert_eq!(hostile.to_string(), "1 1 UDP 99 192.0.2.1 5000 typ host ok 1 last ");

    hostile.extensions.clear();
    hostile.address = CandidateAddress::Name { host: "x\r\na=y".to_owned(), port: 1 };
    assert_eq!(hostile.to_string(), "1 1 UDP 99 invalid 1 typ host");
}

prop_compose! {
    fn any_socket(lowest_port: u16)(ip: IpAddr, port in lowest_port..) -> SocketAddr {
        SocketAddr::new(ip, port)
    }
}

fn any_address() -> impl Strategy<Value = CandidateAddress> {
    let host = "[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,3}(\\.[A-Z][a-z0-9_]{1,8}){0,3}\\.local\\.?";
    prop_oneof![
        4 => any_socket(1).prop_map(CandidateAddress::Socket),
        1 => (host, 1..=u16::MAX).prop_map(|(host, port)| CandidateAddress::Name { host, port }),
    ]
}

fn any_transport() -> impl Strategy<Value = CandidateTransport> {
    prop::sample::select(vec![
        CandidateTransport::Udp,
        CandidateTransport::Tcp(TcpType::Active),
        CandidateTransport::Tcp(TcpType::Passive),
        CandidateTransport::Tcp(TcpType::SimultaneousOpen),
    ])
}

fn any_kind() -> impl Strategy<Value = CandidateKind> {
    prop::sample::select(vec![
        CandidateKind::Host,
        CandidateKind::ServerReflexive,
        CandidateKind::PeerReflexive,
        CandidateKind::Relayed,
    ])
}

prop_compose! {
    /// Every candidate in the one form that reading gives it.
    fn any_candidate()(
        foundation in "[A-Za-z0-9+/]{1,32}",
        component in 1..=256u16,
        transport in any_transport(),
        priority in 1..=0x7fff_ffffu32,
        mut address in any_address(),
        kind in any_kind(),
        related in prop::option::of(any_socket(0)),
        extensions in prop::collection::vec(("[a-z][!-~é]{0,8}", "[!-~é]{0,8}"), 0..8),
    ) -> Candidate {
        if transport == CandidateTransport::Tcp(TcpType::Active) {
            match &mut address {
                CandidateAddress::Socket(addr) => addr.set_port(9),
                CandidateAddress::Name { port, .. } => *port = 9,
            }
        }
        let related = related
            .filter(|addr| kind != CandidateKind::Host && !addr.ip().is_unspecified());
        Candidate {
            foundation: foundation.parse().unwrap(),
            component, transport, priority, address, kind, related, extensions,
        }
    }
}

proptest! {
    #[test]
    fn reading_gives_back_what_was_written(candidate in any_candidate()) {
        let value = candidate.to_string();
        prop_assert_eq!(value.parse::<Candidate>(), Ok(candidate.clone()));
        prop_assert_eq!(format!("a=candidate:{value}\r\n").parse::<Candidate>(), Ok(candidate));
    }
}
