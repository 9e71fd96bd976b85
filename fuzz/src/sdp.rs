//! Any text as SDP: nothing panics, and what was read can be written and read again.

use std::net::SocketAddr;

use arbitrary::{Arbitrary, Unstructured};
use frazil::{
    Candidate, CandidateAddress, CandidateKind, CandidateTransport, Credentials, Foundation,
    IceAttributes, MediaIceAttributes, Parameters, RemoteCandidate, TcpType, Transport,
};

/// The first byte says whether the rest is text or the fields of a candidate.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((mode, text)) if mode % 4 != 0 => {
            let text = String::from_utf8_lossy(text);
            let lines: Vec<&str> = text.split('\n').collect();
            lines.iter().for_each(|line| read_line(line));
            description(&lines);
        }
        Some((_, bytes)) => {
            if let Ok(fields) = Fields::arbitrary_take_rest(Unstructured::new(bytes)) {
                written(&fields);
            }
        }
        None => {}
    }
}

/// A line on its own.
fn read_line(line: &str) {
    if let Ok(candidate) = line.parse::<Candidate>() {
        assert!((1..=256).contains(&candidate.component));
        assert!((1..=0x7fff_ffff).contains(&candidate.priority));
        assert!(candidate.extensions.len() <= 32);
        let written = candidate.to_string();
        assert_eq!(written.parse(), Ok(candidate.clone()), "{written:?}");
        assert_eq!(format!("a=candidate:{written}\r\n").parse(), Ok(candidate));
    }
    if let Ok(foundation) = line.parse::<Foundation>() {
        assert_eq!(foundation.to_string(), line);
        assert!((1..=32).contains(&line.len()));
    }
    if let Some((ufrag, pwd)) = line.split_once(' ') {
        if let Ok(credentials) = Credentials::new(ufrag, pwd) {
            assert_eq!((credentials.ufrag(), credentials.pwd()), (ufrag, pwd));
            assert!(!format!("{credentials:?}").contains(pwd) || ufrag.contains(pwd));
        }
    }
}

/// A session level and its media descriptions, each of which begins with `m=`.
fn description(lines: &[&str]) {
    let mut parts = lines.split(|line| line.starts_with("m="));
    let session_lines = parts.next().unwrap_or_default();
    let session = IceAttributes::parse(session_lines.iter().copied());
    let sorted = |ignored: &[frazil::IgnoredLine], len: usize| {
        ignored.is_sorted_by(|a, b| a.index < b.index) && ignored.iter().all(|i| i.index < len)
    };
    assert!(sorted(session.ignored(), session_lines.len()));
    let mut streams = Vec::new();
    for part in parts {
        let Ok(media) = session.media(part.iter().copied()) else { continue };
        assert!(sorted(&media.ignored, part.len()));
        assert!(media.options.len() <= 32);
        written_again(&media);
        let somewhere = media.candidates.first().map(|candidate| candidate.address.clone());
        if let Some(destination) = somewhere {
            let first = &media.candidates[0];
            let transport = first.transport.transport();
            assert!(!media.is_mismatch(first.component, transport, &destination));
            assert!(!media.is_mismatch(
                0,
                Transport::Udp,
                &CandidateAddress::Name { host: "name".to_owned(), port: 1 }
            ));
        }
        streams.push(media);
    }
    let agree = streams.iter().all(|one| {
        streams.iter().all(|other| match (&one.credentials, &other.credentials) {
            (Some(one), Some(other)) => one.ufrag() != other.ufrag() || one.pwd() == other.pwd(),
            _ => true,
        })
    });
    assert_eq!(MediaIceAttributes::check_session(&streams).is_ok(), agree);
}

/// What was read of one stream, written and read again.
fn written_again(media: &MediaIceAttributes) {
    if let Some(line) = RemoteCandidate::line(&media.remote_candidates) {
        let again = IceAttributes::default().media([line.as_str()]).expect("no credentials in it");
        // One line has at most so many; several lines may have more.
        if media.remote_candidates.len() <= 256 {
            assert_eq!(again.remote_candidates, media.remote_candidates, "{line:?}");
        }
    }
    let Some(parameters) = media.parameters() else { return };
    let session = IceAttributes::lines(&parameters);
    let session = IceAttributes::parse(session.iter().map(String::as_str));
    assert_eq!(session.ignored(), []);
    let lines = MediaIceAttributes::lines(&parameters, &media.candidates, media.end_of_candidates);
    let again = session.media(lines.iter().map(String::as_str)).expect("its own credentials");
    assert_eq!(again.ignored, []);
    assert_eq!(again.parameters(), Some(parameters));
    assert_eq!(again.candidates, media.candidates);
    assert_eq!(again.end_of_candidates, media.end_of_candidates);
}

/// A candidate that was made and not read: its fields are public.
#[derive(Arbitrary, Debug)]
struct Fields {
    foundation: String,
    component: u16,
    transport: u8,
    priority: u32,
    address: Result<SocketAddr, (String, u16)>,
    kind: u8,
    related: Option<SocketAddr>,
    extensions: Vec<(String, String)>,
    ufrag: String,
    pacing: Option<u64>,
    options: Vec<String>,
    lite: bool,
}

/// One letter stands for the names that mean something, which no mutation would find.
fn named((name, value): (String, String)) -> (String, String) {
    let name = match &*name {
        "a" => "raddr".to_owned(),
        "p" => "rport".to_owned(),
        "t" => "TcpType".to_owned(),
        "u" => "ufrag".to_owned(),
        _ => name,
    };
    (name, value)
}

/// Whether it is one of the extensions of RFC 8839 §5.1: two words, and no name that has a meaning.
fn is_extension(name: &str, value: &str) -> bool {
    let is_word = |text: &str| !text.chars().any(|c| c == ' ' || c.is_control());
    let reserved = ["raddr", "rport", "tcptype"];
    let has_meaning = reserved.iter().any(|reserved| name.eq_ignore_ascii_case(reserved));
    !name.is_empty() && is_word(name) && is_word(value) && !has_meaning
}

/// Whatever stands in the fields, what is written has one line that reads as itself.
fn written(fields: &Fields) {
    let foundation = fields.foundation.parse::<Foundation>();
    let candidate = Candidate {
        foundation: foundation.unwrap_or_else(|_| "1".parse().expect("it is one")),
        component: fields.component % 256 + 1,
        transport: match fields.transport % 4 {
            0 => CandidateTransport::Udp,
            1 => CandidateTransport::Tcp(TcpType::Active),
            2 => CandidateTransport::Tcp(TcpType::Passive),
            _ => CandidateTransport::Tcp(TcpType::SimultaneousOpen),
        },
        priority: (fields.priority >> 1).max(1),
        address: match &fields.address {
            Ok(addr) => CandidateAddress::Socket(SocketAddr::new(addr.ip(), addr.port().max(1))),
            Err((host, port)) => {
                CandidateAddress::Name { host: host.clone(), port: (*port).max(1) }
            }
        },
        kind: match fields.kind % 4 {
            0 => CandidateKind::Host,
            1 => CandidateKind::ServerReflexive,
            2 => CandidateKind::PeerReflexive,
            _ => CandidateKind::Relayed,
        },
        related: fields.related,
        extensions: fields.extensions.iter().take(32).cloned().map(named).collect(),
    };
    let line = candidate.to_string();
    assert!(!line.contains(char::is_control), "{line:?}");
    // Nobody reads a line that is longer.
    if line.len() <= 1024 {
        let read: Candidate = line.parse().expect("what was written can be read");
        // A related address of nobody reads as none, which is written as the hidden one.
        assert_eq!(read.to_string().parse(), Ok(read.clone()), "{line:?}");
        assert_eq!((read.component, read.priority), (candidate.component, candidate.priority));
        assert_eq!((read.kind, read.transport), (candidate.kind, candidate.transport));
        let kept = candidate.extensions.iter().filter(|(name, value)| is_extension(name, value));
        assert!(read.extensions.iter().eq(kept), "{line:?}");
        let related = candidate.related.filter(|_| candidate.kind != CandidateKind::Host);
        let plain = |addr: SocketAddr| (addr.ip(), addr.port());
        let told = related.filter(|addr| !addr.ip().is_unspecified() && addr.port() != 9);
        assert!(told.is_none_or(|addr| read.related.map(plain) == Some(plain(addr))), "{line:?}");
    }

    let Ok(credentials) = Credentials::new(&fields.ufrag, "passwordpasswordpassword") else {
        return;
    };
    let mut parameters = Parameters::new(credentials);
    parameters.pacing = fields.pacing.map(std::time::Duration::from_millis);
    parameters.options = fields.options.clone();
    parameters.lite = fields.lite;
    let session = IceAttributes::lines(&parameters);
    let session_lines = session.iter().map(String::as_str);
    let media = MediaIceAttributes::lines(&parameters, &[], false);
    let read = IceAttributes::parse(session_lines).media(media.iter().map(String::as_str));
    let read = read.expect("what was written can be read");
    assert_eq!(read.credentials.as_ref(), Some(&parameters.credentials));
    assert_eq!((read.lite, read.pacing.is_some()), (fields.lite, fields.pacing.is_some()));
}
