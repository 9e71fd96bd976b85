//! How the examples call what an agent tells.

use std::net::SocketAddr;

use frazil::{ConnectionState, Counters, NominationMode, PairState, Role, ServerFailure};

pub(crate) const fn role(role: Role) -> &'static str {
    match role {
        Role::Controlling => "controlling",
        Role::Controlled => "controlled",
    }
}

pub(crate) const fn state(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::New => "new",
        ConnectionState::Checking => "checking",
        ConnectionState::Connected => "connected",
        ConnectionState::Completed => "completed",
        ConnectionState::Disconnected => "disconnected",
        ConnectionState::Failed => "failed",
        ConnectionState::Closed => "closed",
    }
}

/// What `--nomination` takes.
pub(crate) fn parse_nomination(text: &str) -> Result<NominationMode, &'static str> {
    match text {
        "regular" => Ok(NominationMode::Regular),
        "aggressive" => Ok(NominationMode::Aggressive),
        "renomination" => Ok(NominationMode::Renomination { automatic: true }),
        _ => Err("--nomination is regular, aggressive or renomination"),
    }
}

#[allow(dead_code, reason = "not every example shows pairs")]
pub(crate) const fn pair_state(state: PairState) -> &'static str {
    match state {
        PairState::Frozen => "frozen",
        PairState::Waiting => "waiting",
        PairState::InProgress => "in-progress",
        PairState::Succeeded => "succeeded",
        PairState::Failed => "failed",
    }
}

/// Why a server gave nothing to the socket on `local`.
pub(crate) fn server_failure(
    server: &str,
    local: Option<SocketAddr>,
    failure: &ServerFailure,
) -> String {
    match local {
        Some(local) => format!("{server} from {local}: {failure}"),
        None if *failure == ServerFailure::Unreachable => {
            format!("{server}: not to be reached from any address in use")
        }
        None => format!("{server}: {failure}"),
    }
}

/// What an agent has ignored and refused, by reason; nothing for what never happened.
pub(crate) fn counters(counters: &Counters) -> impl Iterator<Item = String> {
    let ignored = counters
        .all_ignored()
        .map(|(reason, count)| (format!("datagrams ignored, {reason:?}"), count));
    let refused =
        counters.all_refused().map(|(reason, count)| (format!("refused, {reason:?}"), count));
    ignored.chain(refused).filter(|(_, count)| *count > 0).map(|(what, n)| format!("{what}: {n}"))
}
