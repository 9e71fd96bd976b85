use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<ServerUri, ServerUriError> {
    text.parse()
}

fn name(text: &str) -> ServerHost {
    HostName::new(text).unwrap().into()
}

/// RFC 7064 §3.2 and the table of RFC 7065 §3.2.
#[test]
fn what_a_uri_does_not_say_has_the_defaults_of_its_scheme() {
    let rows = [
        ("stun:example.org", ServerProtocol::Stun, ServerTransport::Udp, 3478),
        ("stuns:example.org", ServerProtocol::Stun, ServerTransport::Tls, 5349),
        ("turn:example.org", ServerProtocol::Turn, ServerTransport::Udp, 3478),
        ("turns:example.org", ServerProtocol::Turn, ServerTransport::Tls, 5349),
        ("turn:example.org?transport=udp", ServerProtocol::Turn, ServerTransport::Udp, 3478),
        ("turn:example.org?transport=tcp", ServerProtocol::Turn, ServerTransport::Tcp, 3478),
        ("turns:example.org?transport=udp", ServerProtocol::Turn, ServerTransport::Dtls, 5349),
        ("turns:example.org?transport=tcp", ServerProtocol::Turn, ServerTransport::Tls, 5349),
        ("turns:example.org:443", ServerProtocol::Turn, ServerTransport::Tls, 443),
        ("stun:example.org:19302", ServerProtocol::Stun, ServerTransport::Udp, 19302),
        // RFC 3986 §6.2.3: an empty port is the default one.
        ("stun:example.org:", ServerProtocol::Stun, ServerTransport::Udp, 3478),
        ("turn:example.org:?transport=tcp", ServerProtocol::Turn, ServerTransport::Tcp, 3478),
        ("stun:example.org:03478", ServerProtocol::Stun, ServerTransport::Udp, 3478),
    ];
    for (text, protocol, transport, port) in rows {
        let uri = read(text).unwrap();
        assert_eq!((uri.protocol(), uri.transport(), uri.port()), (protocol, transport, port));
        assert_eq!(*uri.host(), name("example.org"), "{text}");
    }
}

#[test]
fn a_secure_transport_stands_on_the_one_that_the_query_names() {
    let rows = [
        (ServerTransport::Udp, Transport::Udp, false),
        (ServerTransport::Dtls, Transport::Udp, true),
        (ServerTransport::Tcp, Transport::Tcp, false),
        (ServerTransport::Tls, Transport::Tcp, true),
    ];
    for (transport, below, secure) in rows {
        assert_eq!((transport.transport(), transport.is_secure()), (below, secure));
    }
}

#[test]
fn addresses_are_read_as_such_and_ipv6_ones_stand_in_brackets() {
    let rows = [
        ("stun:192.0.2.1", "192.0.2.1", 3478),
        ("stun:192.0.2.1:80", "192.0.2.1", 80),
        ("turn:[2001:DB8::1]", "2001:db8::1", 3478),
        ("turns:[2001:db8::1]:443?transport=tcp", "2001:db8::1", 443),
        ("turn:[::ffff:192.0.2.1]", "::ffff:192.0.2.1", 3478),
        ("turn:[::1]:", "::1", 3478),
    ];
    for (text, ip, port) in rows {
        let uri = read(text).unwrap();
        assert_eq!(*uri.host(), ServerHost::Ip(ip.parse().unwrap()), "{text}");
        assert_eq!(uri.port(), port, "{text}");
    }
}

/// RFC 3986 §6.2.2.1; RFC 5234 §2.3 for the query.
#[test]
fn case_has_no_meaning() {
    let plain = read("turns:relay.example.org?transport=udp").unwrap();
    for text in [
        "TURNS:relay.example.org?transport=udp",
        "turns:RELAY.Example.ORG?transport=udp",
        "Turns:Relay.Example.Org?Transport=UDP",
    ] {
        assert_eq!(read(text), Ok(plain.clone()));
    }
    assert_eq!(plain.to_string(), "turns:relay.example.org?transport=udp");
}

#[test]
fn each_cause_has_its_error() {
    let long_label = format!("stun:{}.org", "x".repeat(64));
    let long_name = format!("stun:{}org", "x.".repeat(126));
    let rows = [
        ("", ServerUriError::Scheme),
        ("example.org", ServerUriError::Scheme),
        (":example.org", ServerUriError::Scheme),
        ("http:example.org", ServerUriError::Scheme),
        (" stun:example.org", ServerUriError::Scheme),
        ("stun :example.org", ServerUriError::Scheme),
        ("stun:", ServerUriError::EmptyHost),
        ("stun::3478", ServerUriError::EmptyHost),
        ("turn:?transport=udp", ServerUriError::EmptyHost),
        ("stun:exa mple.org", ServerUriError::Host),
        ("stun:example.org ", ServerUriError::Host),
        ("stun:example..org", ServerUriError::Host),
        ("stun:.example.org", ServerUriError::Host),
        ("stun:.", ServerUriError::Host),
        ("stun:exämple.org", ServerUriError::Host),
        ("stun:ex%61mple.org", ServerUriError::Host),
        ("stun:example.org\0", ServerUriError::Host),
        (&long_label, ServerUriError::Host),
        (&long_name, ServerUriError::Host),
        ("stun:[192.0.2.1]", ServerUriError::Host),
        ("stun:[example.org]", ServerUriError::Host),
        ("stun:[]", ServerUriError::Host),
        ("stun:[2001:db8::1", ServerUriError::Host),
        ("stun:[v1.fe]", ServerUriError::Host),
        ("stun:2001:db8::1", ServerUriError::Brackets),
        ("stun:::1", ServerUriError::Brackets),
        ("stun:[fe80::1%eth0]", ServerUriError::ZoneId),
        ("stun:[fe80::1%25eth0]:3478", ServerUriError::ZoneId),
        ("stun:[::1]3478", ServerUriError::AfterHost),
        ("turn:[::1]]:3478", ServerUriError::AfterHost),
        ("stun:example.org:0", ServerUriError::Port),
        ("stun:example.org:65536", ServerUriError::Port),
        ("stun:example.org:99999999999999999999", ServerUriError::Port),
        ("stun:example.org:-1", ServerUriError::Port),
        ("stun:example.org:+80", ServerUriError::Port),
        ("stun:example.org:80:80", ServerUriError::Port),
        ("stun:example.org:https", ServerUriError::Port),
        ("stun:[::1]: 80", ServerUriError::Port),
        ("turn:user@example.org", ServerUriError::UserInfo),
        ("turn:user:secret@example.org:80", ServerUriError::UserInfo),
        ("stun://example.org", ServerUriError::Path),
        ("stun:example.org/", ServerUriError::Path),
        ("turn:example.org/x?transport=udp", ServerUriError::Path),
        ("stun:example.org?transport=udp", ServerUriError::QueryOnStun),
        ("stuns:example.org?", ServerUriError::QueryOnStun),
        ("turn:example.org?transport=sctp", ServerUriError::Transport),
        ("turn:example.org?transport=", ServerUriError::Transport),
        ("turn:example.org?transport=tls", ServerUriError::Transport),
        ("turn:example.org?transport=udp ", ServerUriError::Transport),
        ("turn:example.org?", ServerUriError::Query),
        ("turn:example.org?transport", ServerUriError::Query),
        ("turn:example.org?proto=udp", ServerUriError::Query),
        ("turn:example.org?transport=udp&transport=tcp", ServerUriError::Query),
        ("turn:example.org?transport=udp&x", ServerUriError::Query),
        ("turn:example.org#top", ServerUriError::Fragment),
        ("turn:example.org?transport=udp#", ServerUriError::Fragment),
    ];
    for (text, error) in rows {
        assert_eq!(read(text), Err(error), "{text:?}");
    }
}

/// `getaddrinfo` takes these for addresses, which rules about addresses then never see.
#[test]
fn a_host_that_looks_like_a_number_but_is_no_ipv4_address_is_refused() {
    for host in
        ["127.1", "2130706433", "0x7f.1", "127.0.0.0x1", "0x7F000001", "010.0.0.1", "1.2.3.256"]
    {
        assert_eq!(read(&format!("stun:{host}")), Err(ServerUriError::Host), "{host}");
        assert_eq!(HostName::new(host), Err(ServerUriError::Host), "{host}");
        assert_eq!(HostName::new(&format!("{host}.")), Err(ServerUriError::Host), "{host}.");
    }
    for host in ["1.example", "0x1.example", "4.3.2.1.in-addr.arpa", "_stun._udp.example.org."] {
        assert!(read(&format!("stun:{host}")).is_ok(), "{host}");
    }
}

#[test]
fn the_longest_name_is_one_of_253_characters() {
    let longest = format!("{}org", "x.".repeat(125));
    assert_eq!(longest.len(), 253);
    assert_eq!(HostName::new(&longest).unwrap().as_str(), longest);
    assert!(HostName::new(&format!("{longest}.")).is_ok());
    assert_eq!(HostName::new(&format!("x{longest}")), Err(ServerUriError::Host));
}

#[test]
fn a_host_alone_is_read_as_in_a_uri_but_without_a_port() {
    assert_eq!("[::1]".parse(), Ok(ServerHost::from(Ipv6Addr::LOCALHOST)));
    assert_eq!("127.0.0.1".parse(), Ok(ServerHost::from(Ipv4Addr::LOCALHOST)));
    assert_eq!("Example.org".parse(), Ok(name("example.org")));
    for text in ["example.org:80", "example.org:", "[::1]:80", "[::1]:", "example.org/"] {
        assert_eq!(text.parse::<ServerHost>(), Err(ServerUriError::Host), "{text}");
    }
}

#[test]
fn typed_uris_are_the_same_as_written_ones() {
    let host = || name("example.org");
    let rows = [
        (ServerUri::stun(host()), "stun:example.org"),
        (ServerUri::stuns(host()), "stuns:example.org"),
        (ServerUri::turn(host(), ServerTransport::Udp), "turn:example.org"),
        (ServerUri::turn(host(), ServerTransport::Tcp), "turn:example.org?transport=tcp"),
        (ServerUri::turn(host(), ServerTransport::Tls), "turns:example.org"),
        (ServerUri::turn(host(), ServerTransport::Dtls), "turns:example.org?transport=udp"),
    ];
    for (uri, text) in rows {
        assert_eq!(uri.to_string(), text);
        assert_eq!(read(text), Ok(uri.clone()));
        assert_eq!(uri.clone().with_port(0), Err(ServerUriError::Port));
        assert_eq!(uri.with_port(443).unwrap().port(), 443);
    }
}

fn hosts() -> impl Strategy<Value = ServerHost> {
    prop_oneof![
        any::<IpAddr>().prop_map(ServerHost::from),
        "[a-zA-Z0-9_-]{1,20}(\\.[a-zA-Z0-9_-]{1,20}){0,4}\\.[a-z]{2,8}\\.?"
            .prop_map(|text| name(&text)),
    ]
}

fn uris() -> impl Strategy<Value = ServerUri> {
    let transports = prop_oneof![
        Just(ServerTransport::Udp),
        Just(ServerTransport::Dtls),
        Just(ServerTransport::Tcp),
        Just(ServerTransport::Tls),
    ];
    let ports = prop_oneof![Just(3478), Just(5349), 1..=u16::MAX];
    (0..3, hosts(), transports, ports).prop_map(|(scheme, host, transport, port)| {
        let uri = match scheme {
            0 => ServerUri::stun(host),
            1 => ServerUri::stuns(host),
            _ => ServerUri::turn(host, transport),
        };
        uri.with_port(port).unwrap()
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read_as_the_same(uri in uris()) {
        prop_assert_eq!(uri.to_string().parse(), Ok(uri));
    }

    #[test]
    fn any_text_is_read_without_a_panic_and_what_is_read_is_written_once(
        text in prop_oneof![
            any::<String>(),
            "(stun|turn)s?:[\\[\\]:a-f0-9.%@/?#&=transportudp]{0,40}",
        ],
    ) {
        if let Ok(uri) = read(&text) {
            let written = uri.to_string();
            prop_assert_eq!(read(&written), Ok(uri));
            prop_assert!(written.len() <= text.len() + "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]".len());
        }
    }
}
