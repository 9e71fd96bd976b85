use proptest::prelude::*;

use crate::candidate::{CandidateKind, CandidateParseError, Unsupported};

use super::*;

const UFRAG: &str = "a=ice-ufrag:8hhY";
const PWD: &str = "a=ice-pwd:asd88fgpdd777uzjYhagZg";
const OTHER_PWD: &str = "a=ice-pwd:YH75Fviy6338Vbrhrlp8Yh";

fn media(lines: &[&str]) -> Result<MediaIceAttributes, AttributeError> {
    IceAttributes::default().media(lines.iter().copied())
}

fn credentials(attributes: &MediaIceAttributes) -> (&str, &str) {
    let credentials = attributes.credentials.as_ref().unwrap();
    (credentials.ufrag(), credentials.pwd())
}

fn reasons(lines: &[IgnoredLine]) -> Vec<(usize, IgnoredReason)> {
    lines.iter().map(|line| (line.index, line.reason)).collect()
}

fn socket(text: &str) -> CandidateAddress {
    CandidateAddress::Socket(text.parse().unwrap())
}

#[test]
fn the_example_of_rfc_8839_is_read() {
    let session = IceAttributes::parse([
        "v=0",
        "o=jdoe 2890844526 2890842807 IN IP4 203.0.113.141",
        "s=",
        "c=IN IP4 192.0.2.3",
        "t=0 0",
        "a=ice-options:ice2",
        "a=ice-pacing:50",
        PWD,
        UFRAG,
    ]);
    assert!(session.ignored().is_empty());
    let audio = session
        .media([
            "m=audio 45664 RTP/AVP 0",
            "b=RS:0",
            "a=rtpmap:0 PCMU/8000",
            "a=candidate:1 1 UDP 2130706431 203.0.113.141 8998 typ host",
            "a=candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998",
        ])
        .unwrap();
    assert_eq!(audio.ignored, []);
    let kinds: Vec<CandidateKind> = audio.candidates.iter().map(|c| c.kind).collect();
    assert_eq!(kinds, [CandidateKind::Host, CandidateKind::ServerReflexive]);
    assert!(!audio.is_mismatch(1, Transport::Udp, &socket("192.0.2.3:45664")));

    let parameters = audio.parameters().unwrap();
    assert_eq!(credentials(&audio), ("8hhY", "asd88fgpdd777uzjYhagZg"));
    assert_eq!(parameters.credentials.ufrag(), "8hhY");
    assert_eq!(parameters.pacing, Some(Duration::from_millis(50)));
    assert_eq!(parameters.options, ["ice2"]);
    assert!(!parameters.lite);
}

#[test]
fn the_media_level_overrides_the_session_level_one_by_one() {
    let session = IceAttributes::parse([UFRAG, PWD]);
    let read = |lines: &[&str]| session.media(lines.iter().copied()).unwrap();
    assert_eq!(credentials(&read(&[])), ("8hhY", "asd88fgpdd777uzjYhagZg"));
    assert_eq!(credentials(&read(&["ice-ufrag:9uB6"])), ("9uB6", "asd88fgpdd777uzjYhagZg"));
    assert_eq!(
        credentials(&read(&["a=ice-ufrag:9uB6\r\n", OTHER_PWD])),
        ("9uB6", "YH75Fviy6338Vbrhrlp8Yh")
    );
}

#[test]
fn wrong_credentials_are_an_error_and_never_fall_back_to_the_session_level() {
    assert_eq!(media(&[UFRAG]), Err(AttributeError::MissingPwd));
    assert_eq!(media(&[PWD]), Err(AttributeError::MissingUfrag));
    let short = Err(AttributeError::Credentials(CredentialsError::UfragLength));
    assert_eq!(media(&["a=ice-ufrag:8hh", PWD]), short);
    assert_eq!(IceAttributes::parse([UFRAG, PWD]).media(["a=ice-ufrag:"]), short);
    let wrong = Err(AttributeError::Credentials(CredentialsError::PwdCharacter));
    assert_eq!(media(&[UFRAG, "a=ice-pwd:asd88fgpdd777uzjYhagé"]), wrong);
}

#[test]
fn a_stream_without_credentials_does_not_use_ice() {
    let plain = media(&["m=audio 9 RTP/AVP 0", "a=sendrecv"]).unwrap();
    assert_eq!(plain, MediaIceAttributes::default());
    assert_eq!(plain.parameters(), None);
}

#[test]
fn a_mismatch_that_the_peer_reports_ends_ice_for_the_stream() {
    let refused = media(&[UFRAG, PWD, "a=ice-mismatch"]).unwrap();
    assert!(refused.mismatch);
    assert_eq!(refused.parameters(), None);
}

#[test]
fn bad_and_unsupported_candidates_are_reported_and_cost_nothing_else() {
    let read = media(&[
        UFRAG,
        "a=candidate:1 1 UDP 0 192.0.2.1 9 typ host",
        "a=candidate:1 1 SCTP 9 192.0.2.1 9 typ host",
        "a=candidate:1 1 UDP 9 192.0.2.1 9 typ host",
        "a=candidate",
        "a=candidate:1 1 UDP 9 0f.local 9 typ host",
        "a=ice-pacing:soon",
        "a=remote-candidates:1 192.0.2.3",
        "a=ice-options:trickle r\u{e9}",
        PWD,
    ])
    .unwrap();
    assert_eq!(read.candidates.len(), 2);
    assert_eq!(
        read.candidates[1].address,
        CandidateAddress::Name { host: "0f.local".to_owned(), port: 9 }
    );
    let unsupported = CandidateParseError::Unsupported(Unsupported::Transport);
    let empty = "".parse::<Candidate>().unwrap_err();
    assert_eq!(
        reasons(&read.ignored),
        [
            (1, IgnoredReason::Candidate(CandidateParseError::Priority)),
            (2, IgnoredReason::Candidate(unsupported)),
            (4, IgnoredReason::Candidate(empty)),
            (6, IgnoredReason::Pacing),
            (7, IgnoredReason::RemoteCandidates),
            (8, IgnoredReason::Options),
        ]
    );
    assert!(read.parameters().is_some());
}

#[test]
fn what_belongs_to_media_is_reported_at_the_session_level() {
    let session = IceAttributes::parse([
        "a=ice-lite",
        "a=candidate:1 1 UDP 9 192.0.2.1 9 typ host",
        "a=ice-mismatch",
        "a=remote-candidates:1 192.0.2.3 9",
    ]);
    let level = IgnoredReason::Level;
    assert_eq!(reasons(session.ignored()), [(1, level), (2, level), (3, level)]);
    let stream = session.media([]).unwrap();
    assert_eq!((stream.candidates.len(), stream.mismatch, stream.lite), (0, false, true));
    assert_eq!(stream.ignored, []);
}

#[test]
fn options_of_both_levels_hold_together_and_unknown_ones_are_kept() {
    let session = IceAttributes::parse(["a=ice-options:ice2 rtp+ecn"]);
    let stream = session
        .media(["a=ice-options:trickle  renomination ice2", "a=ice-options:goog-sped-v1"])
        .unwrap();
    assert_eq!(stream.options, ["ice2", "rtp+ecn", "trickle", "renomination", "goog-sped-v1"]);

    let many: Vec<String> = (0..33).map(|n| format!("o{n}")).collect();
    let many = format!("a=ice-options:{}", many.join(" "));
    let session = IceAttributes::parse([many.as_str()]);
    assert_eq!(reasons(session.ignored()), [(0, IgnoredReason::Options)]);
    assert_eq!(session.media([]).unwrap().options.len(), 32);
}

#[test]
fn pacing_has_up_to_ten_digits() {
    let pacing = |value: &str| media(&[&format!("a=ice-pacing:{value}")]).unwrap().pacing;
    assert_eq!(pacing("20"), Some(Duration::from_millis(20)));
    assert_eq!(pacing("9999999999"), Some(Duration::from_millis(9_999_999_999)));
    for wrong in ["", "10000000000", "-1", "5.0", "5 0"] {
        assert_eq!(pacing(wrong), None, "{wrong:?}");
    }
}

#[test]
fn the_end_of_candidates_holds_for_its_level() {
    assert!(media(&["a=end-of-candidates"]).unwrap().end_of_candidates);
    assert!(!media(&["a=end-of-candidates-not"]).unwrap().end_of_candidates);
    let session = IceAttributes::parse(["a=end-of-candidates"]);
    assert!(session.media([]).unwrap().end_of_candidates);
}

#[test]
fn streams_with_one_username_fragment_have_one_password() {
    let stream = |lines: &[&str]| media(lines).unwrap();
    let (same, other) = (stream(&[UFRAG, PWD]), stream(&[UFRAG, OTHER_PWD]));
    let unlike = stream(&["ice-ufrag:9uB6", OTHER_PWD]);
    let plain = stream(&[]);
    let agree = [same.clone(), unlike.clone(), plain.clone(), same.clone()];
    assert_eq!(MediaIceAttributes::check_session(&agree), Ok(()));
    let differ = [same, unlike, plain, other];
    assert_eq!(MediaIceAttributes::check_session(&differ), Err(AttributeError::PwdDiffers));
}

#[test]
fn remote_candidates_are_read_and_written() {
    let read = |value: &str| {
        let line = format!("a=remote-candidates:{value}");
        let read = media(&[&line]).unwrap();
        assert_eq!(read.remote_candidates.is_empty(), !read.ignored.is_empty(), "{value:?}");
        read.remote_candidates
    };
    let rtp = RemoteCandidate { component: 1, addr: "192.0.2.3:45664".parse().unwrap() };
    let rtcp = RemoteCandidate { component: 2, addr: "[2001:db8::3]:45665".parse().unwrap() };
    let value = "1 192.0.2.3 45664 2 2001:db8::3 45665";
    assert_eq!(read(value), [rtp, rtcp]);
    assert_eq!(RemoteCandidate::line(&[rtp, rtcp]), Some(format!("a=remote-candidates:{value}")));
    assert_eq!(RemoteCandidate::line(&[]), None);
    for wrong in [
        "",
        "1",
        "1 192.0.2.3",
        "1 192.0.2.3 45664 2",
        "0 192.0.2.3 45664",
        "257 192.0.2.3 45664",
        "1 host.example 45664",
        "1 192.0.2.3 65536",
        "1 192.0.2.é 1",
    ] {
        assert_eq!(read(wrong), [], "{wrong:?}");
    }
    assert_eq!(read(&["1 192.0.2.3 1"; 256].join(" ")).len(), 256);
    assert_eq!(read(&["1 192.0.2.3 1"; 257].join(" ")), []);

    // As in the RFC's example, one line for each component.
    let lines = ["remote-candidates:1 192.0.2.3 45664", "remote-candidates:2 2001:db8::3 45665"];
    assert_eq!(media(&lines).unwrap().remote_candidates, [rtp, rtcp]);
}

#[test]
fn a_default_destination_has_to_be_a_candidate_unless_it_says_nothing() {
    let stream = media(&[
        "a=candidate:1 1 UDP 9 192.0.2.1 5000 typ host",
        "a=candidate:1 2 UDP 9 192.0.2.1 5001 typ host",
        "a=candidate:3 1 TCP 9 192.0.2.1 5002 typ host tcptype passive",
    ])
    .unwrap();
    let mismatch =
        |component, transport, addr: &str| stream.is_mismatch(component, transport, &socket(addr));
    assert!(!mismatch(1, Transport::Udp, "192.0.2.1:5000"));
    assert!(!mismatch(1, Transport::Udp, "[::ffff:192.0.2.1]:5000"));
    assert!(!mismatch(2, Transport::Udp, "192.0.2.1:5001"));
    assert!(!mismatch(1, Transport::Tcp, "192.0.2.1:5002"));
    assert!(mismatch(2, Transport::Udp, "192.0.2.1:5000"));
    assert!(mismatch(1, Transport::Tcp, "192.0.2.1:5000"));
    assert!(mismatch(1, Transport::Udp, "192.0.2.1:5003"));
    assert!(mismatch(1, Transport::Udp, "192.0.2.2:5000"));

    assert!(!mismatch(1, Transport::Udp, "0.0.0.0:9"));
    assert!(!mismatch(1, Transport::Udp, "[::]:9"));
    assert!(mismatch(1, Transport::Udp, "0.0.0.0:5000"));
    assert!(mismatch(1, Transport::Udp, "192.0.2.1:9"));

    let name = CandidateAddress::Name { host: "host.example".to_owned(), port: 5000 };
    assert!(!stream.is_mismatch(1, Transport::Udp, &name));
}

#[test]
fn the_password_of_a_session_is_in_no_log() {
    let session = IceAttributes::parse([UFRAG, PWD]);
    assert!(format!("{session:?}").contains("8hhY"));
    assert!(!format!("{session:?}").contains("asd88"));
    assert!(!format!("{:?}", session.media([]).unwrap()).contains("asd88"));
}

#[test]
fn what_is_written_is_read_again() {
    let parameters = Parameters {
        credentials: Credentials::new("8hhY", "asd88fgpdd777uzjYhagZg").unwrap(),
        lite: true,
        pacing: Some(Duration::from_millis(20)),
        options: ["ice2", "trickle", "not one", "", "é"].map(str::to_owned).to_vec(),
    };
    let candidate = "1 1 UDP 9 192.0.2.1 9 typ host".parse::<Candidate>().unwrap();
    let session = IceAttributes::lines(&parameters);
    assert_eq!(session, ["a=ice-lite", "a=ice-pacing:20", "a=ice-options:ice2 trickle"]);
    let lines = MediaIceAttributes::lines(&parameters, core::slice::from_ref(&candidate), true);
    assert_eq!(
        lines,
        [UFRAG, PWD, "a=candidate:1 1 UDP 9 192.0.2.1 9 typ host", "a=end-of-candidates"]
    );

    let read = IceAttributes::parse(session.iter().map(String::as_str))
        .media(lines.iter().map(String::as_str))
        .unwrap();
    let options = vec!["ice2".to_owned(), "trickle".to_owned()];
    assert_eq!(read.parameters(), Some(Parameters { options, ..parameters }));
    assert_eq!(read.candidates, [candidate]);
    assert!(read.end_of_candidates);
}

#[test]
fn an_agent_with_nothing_special_writes_its_credentials_only() {
    let parameters = Parameters::new(Credentials::new("8hhY", "asd88fgpdd777uzjYhagZg").unwrap());
    assert_eq!(IceAttributes::lines(&parameters), Vec::<String>::new());
    assert_eq!(MediaIceAttributes::lines(&parameters, &[], false), [UFRAG, PWD]);

    let endless = Parameters { pacing: Some(Duration::MAX), ..parameters };
    assert_eq!(IceAttributes::lines(&endless), ["a=ice-pacing:9999999999"]);
}

#[test]
fn no_place_of_a_line_is_bad_for_a_character_of_several_bytes() {
    let lines = [
        UFRAG,
        PWD,
        "a=ice-lite",
        "a=ice-pacing:50",
        "a=ice-options:ice2 trickle",
        "a=remote-candidates:1 192.0.2.3 45664",
        "a=end-of-candidates",
        "a=candidate:1 1 UDP 9 192.0.2.1 9 typ host",
    ];
    for line in lines {
        for at in 0..=line.len() {
            for intruder in ["é", "\u{1d11e}", "\0", "\u{a0}"] {
                let text = format!("{}{intruder}{}", &line[..at], &line[at..]);
                let session = IceAttributes::parse([text.as_str()]);
                let _ = session.media([text.as_str()]);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_lines_are_read_or_reported(
        lines in prop::collection::vec(
            ("(a=)?(ice-(ufrag|pwd|lite|pacing|options|mismatch)|remote-candidates|candidate)?", ".*"),
            0..8,
        ),
    ) {
        let lines: Vec<String> =
            lines.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
        let lines = || lines.iter().map(String::as_str);
        let session = IceAttributes::parse(lines());
        prop_assert!(session.ignored().len() <= lines().count());
        if let Ok(media) = session.media(lines()) {
            prop_assert!(media.options.len() <= MAX_OPTIONS_SEEN);
            prop_assert!(media.options.iter().all(|option| is_option(option)));
        }
    }
}

/// The bound of the options, as a reader of the documentation knows it.
const MAX_OPTIONS_SEEN: usize = 32;
