//! Which session has a path, when several would take what arrives on it. The rules stand in the
//! documentation of [`Mux`]; [`judge`] is all of them.

use core::net::SocketAddr;
use core::time::Duration;

use smallvec::SmallVec;

use crate::agent::Claim;
use crate::time::Timestamp;

use super::sessions::{PathHash, Session, Standing};
use super::{Mux, SessionId};

/// The silence after which a session has a path no more when another one comes: twice the time
/// between two consent checks.
const QUIET: Duration = Duration::from_secs(10);
/// For how long a proof of another session makes a path a shared one: what consent lasts.
const SHARED: Duration = Duration::from_secs(30);

/// The session that has a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) place: u32,
    /// Since when.
    since: Timestamp,
    /// Until then another session has proved that it uses the path as well.
    shared: Timestamp,
}

impl Owner {
    pub(super) fn is_shared(&self, now: Timestamp) -> bool {
        now < self.shared
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Stays,
    Takes,
    Shares,
}

/// Whether a session with the claim `mine` takes a path from the one that has it since then with the
/// claim `theirs`, or shares it.
fn judge(
    now: Timestamp,
    standing: Standing,
    mine: Claim,
    theirs: Option<Claim>,
    since: Timestamp,
) -> Verdict {
    let alive = |claim: &Claim| claim.sign.is_some_and(|sign| sign + QUIET > now);
    let Some(theirs) = theirs.filter(alive) else { return Verdict::Takes };
    match (mine.proved, theirs.proved, standing) {
        (true, false, _) | (true, true, Standing::Waiting) => Verdict::Takes,
        (true, true, _) if mine.sign.is_some_and(|sign| sign > since) => Verdict::Shares,
        _ => Verdict::Stays,
    }
}

impl Mux {
    /// Enters the paths that an agent takes data on now, and forgets those that it has no more.
    pub(super) fn update_paths(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let mut wanted: SmallVec<[(PathHash, SocketAddr, SocketAddr); 8]> = SmallVec::new();
        for (local, remote) in session.agent.paths() {
            let hash = self.hash_path(local, remote);
            if wanted.iter().all(|(other, ..)| *other != hash) {
                wanted.push((hash, local, remote));
            }
        }
        let revision = session.agent.paths_revision();
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.revision = revision;
        let known = core::mem::take(&mut session.paths);
        let mut paths = Vec::with_capacity(wanted.len());
        for &(hash, local, remote) in &wanted {
            let standing = known.iter().find(|(other, _)| *other == hash).map(|known| known.1);
            let standing =
                standing.unwrap_or_else(|| self.claim(id, Standing::Waiting, hash, local, remote));
            paths.push((hash, standing));
        }
        for &(hash, standing) in &known {
            let gone = paths.iter().all(|(other, _)| *other != hash);
            if gone && standing == Standing::Owner {
                self.paths.remove(hash);
            }
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.set_paths(paths);
        }
    }

    /// An authenticated message for a session arrived on a path. If another session has that, this
    /// may change.
    pub(super) fn contend(&mut self, id: SessionId, local: SocketAddr, remote: SocketAddr) {
        if !self.sessions.get(id).is_some_and(|session| session.contested) {
            return;
        }
        let hash = self.hash_path(local, remote);
        let Some(session) = self.sessions.get(id) else { return };
        let known = session.paths.iter().find(|(other, _)| *other == hash).map(|known| known.1);
        let Some(standing) = known.filter(|&standing| standing != Standing::Owner) else { return };
        let standing = self.claim(id, standing, hash, local, remote);
        if let Some(session) = self.sessions.get_mut(id) {
            session.set_standing(hash, standing);
        }
    }

    pub(super) fn forget_paths(&mut self, session: &Session) {
        for &(hash, standing) in &session.paths {
            if standing == Standing::Owner {
                self.paths.remove(hash);
            }
        }
    }

    /// What a session that does not have a path is to it from now on.
    fn claim(
        &mut self,
        id: SessionId,
        standing: Standing,
        hash: PathHash,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Standing {
        let since = self.now;
        let Some(owner) = self.paths.get(hash) else {
            self.paths.set(hash, Owner { place: id.place, since, shared: Timestamp::ZERO });
            return Standing::Owner;
        };
        let claim_of = |session: &Session| session.agent.claim(local, remote);
        let Some(mine) = self.sessions.get(id).and_then(claim_of) else { return standing };
        let theirs = self.sessions.at(owner.place).and_then(claim_of);
        match judge(self.now, standing, mine, theirs, owner.since) {
            Verdict::Stays => standing,
            Verdict::Shares => {
                let shared = self.now + SHARED;
                self.paths.set(hash, Owner { shared, ..owner });
                standing
            }
            Verdict::Takes => {
                self.paths.set(hash, Owner { place: id.place, since, ..owner });
                if let Some(loser) = self.sessions.at_mut(owner.place) {
                    loser.set_standing(hash, Standing::Displaced);
                }
                Standing::Owner
            }
        }
    }
}

impl Session {
    fn set_paths(&mut self, paths: Vec<(PathHash, Standing)>) {
        self.paths = paths;
        self.contested = self.paths.iter().any(|(_, standing)| *standing != Standing::Owner);
    }

    fn set_standing(&mut self, hash: PathHash, standing: Standing) {
        let mut paths = core::mem::take(&mut self.paths);
        for (_, known) in paths.iter_mut().filter(|(other, _)| *other == hash) {
            *known = standing;
        }
        self.set_paths(paths);
    }
}

#[cfg(test)]
mod tests {
    use super::{Claim, Standing, Verdict, judge};
    use crate::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_millis(100_000);

    fn claim(proved: bool, sign: u64) -> Claim {
        Claim { proved, sign: Some(Timestamp::from_millis(sign)) }
    }

    fn verdict(standing: Standing, mine: Claim, theirs: Claim) -> Verdict {
        judge(NOW, standing, mine, Some(theirs), Timestamp::from_millis(95_000))
    }

    #[test]
    fn a_request_alone_takes_nothing_from_a_session_that_is_alive() {
        for theirs in [claim(true, 90_001), claim(false, 90_001)] {
            for standing in [Standing::Waiting, Standing::Displaced] {
                assert_eq!(verdict(standing, claim(false, 100_000), theirs), Verdict::Stays);
            }
        }
    }

    #[test]
    fn a_session_that_has_been_silent_for_ten_seconds_loses_its_path() {
        for theirs in [claim(true, 90_000), claim(false, 90_000)] {
            let standing = Standing::Waiting;
            assert_eq!(verdict(standing, claim(false, 100_000), theirs), Verdict::Takes);
        }
        let gone = judge(NOW, Standing::Waiting, claim(false, 0), None, NOW);
        assert_eq!(gone, Verdict::Takes);
    }

    #[test]
    fn the_first_proof_takes_a_path_at_once() {
        let mine = claim(true, 100_000);
        assert_eq!(verdict(Standing::Waiting, mine, claim(true, 99_999)), Verdict::Takes);
        assert_eq!(verdict(Standing::Displaced, mine, claim(false, 99_999)), Verdict::Takes);
    }

    #[test]
    fn who_was_displaced_and_proves_itself_anew_shares_the_path() {
        let theirs = claim(true, 99_999);
        assert_eq!(verdict(Standing::Displaced, claim(true, 95_001), theirs), Verdict::Shares);
        assert_eq!(verdict(Standing::Displaced, claim(true, 95_000), theirs), Verdict::Stays);
    }
}
