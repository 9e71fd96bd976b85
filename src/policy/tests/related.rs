use crate::candidate::CandidateKind::{Host, PeerReflexive, Relayed, ServerReflexive};
use crate::candidate::{Candidate, CandidateKind};
use crate::policy::TransportPolicy;
use crate::policy::related::{Related, related_to_tell};

fn told(policy: TransportPolicy, kind: CandidateKind, told: bool) -> bool {
    let addr = "192.168.1.5:5000".parse().unwrap();
    match related_to_tell(policy, Related { kind, addr, told }) {
        Some(written) => written == addr,
        None => false,
    }
}

#[test]
fn a_related_address_is_told_if_its_own_kind_of_candidate_may_be() {
    let rows = [
        (TransportPolicy::All, [false, true, true, true]),
        (TransportPolicy::NoHost, [false, false, false, true]),
        (TransportPolicy::Relay, [false, false, false, false]),
    ];
    for (policy, expected) in rows {
        let kinds = [Host, ServerReflexive, PeerReflexive, Relayed];
        assert_eq!(kinds.map(|kind| told(policy, kind, true)), expected, "{policy:?}");
        assert_eq!(kinds.map(|kind| told(policy, kind, false)), [false; 4], "{policy:?}");
    }
}

/// RFC 8839 §5.1: 0.0.0.0 or ::, and port 9.
#[test]
fn a_hidden_related_address_is_written_as_one_that_tells_nothing() {
    let rows = [("203.0.113.5", "raddr 0.0.0.0 rport 9"), ("2001:db8::5", "raddr :: rport 9")];
    for (address, hidden) in rows {
        let line = format!("1 1 UDP 1 {address} 54321 typ srflx raddr 192.168.1.5 rport 5000");
        let mut candidate: Candidate = line.parse().unwrap();
        let addr = candidate.related.unwrap();
        let related = Related { kind: ServerReflexive, addr, told: true };
        candidate.related = related_to_tell(TransportPolicy::NoHost, related);
        assert!(candidate.to_string().ends_with(hidden), "{candidate}");
    }
}
