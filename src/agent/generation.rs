//! Generations of credentials (RFC 8445 §9): the current one, the one that a restart has staged,
//! and those before, as long as a path of theirs may still carry data.
//!
//! A message names its generation by the username fragment that it is sent to. What belongs to a
//! generation (remote candidates, checks, answers) holds its number.

use rand_chacha::rand_core::Rng;

use crate::credentials::{Credentials, UfragPrefix};
use crate::stun::IntegrityKey;

use super::IceAgent;
use super::io::{GatheringState, Parameters};

/// The number of a generation; later ones are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Generation(u32);

impl Generation {
    pub(super) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// This side's credentials with their key.
#[derive(Clone, Debug)]
pub(super) struct LocalSide {
    pub(super) generation: Generation,
    pub(super) credentials: Credentials,
    pub(super) key: IntegrityKey,
}

impl LocalSide {
    pub(super) fn new(generation: Generation, credentials: Credentials) -> Self {
        let key = IntegrityKey::short_term(credentials.pwd().as_bytes());
        Self { generation, credentials, key }
    }

    pub(super) fn generate(
        generation: Generation,
        prefix: UfragPrefix,
        rng: &mut impl Rng,
    ) -> Self {
        Self::new(generation, Credentials::generate(prefix, rng))
    }

    /// The peer's part of a USERNAME whose first part is ours (RFC 8445 §7.3).
    fn remote_ufrag_in<'a>(&self, username: &'a [u8]) -> Option<&'a [u8]> {
        let rest = username.strip_prefix(self.credentials.ufrag().as_bytes())?;
        rest.strip_prefix(b":")
    }
}

/// What the peer has told of itself.
#[derive(Clone, Debug)]
pub(super) struct RemoteSide {
    pub(super) parameters: Parameters,
    pub(super) key: IntegrityKey,
}

impl RemoteSide {
    pub(super) fn new(mut parameters: Parameters) -> Self {
        parameters.options.shrink_to_fit();
        let key = IntegrityKey::short_term(parameters.credentials.pwd().as_bytes());
        Self { parameters, key }
    }

    pub(super) fn ufrag(&self) -> &str {
        self.parameters.credentials.ufrag()
    }
}

/// A restart that the peer does not know of yet, or has not answered.
#[derive(Clone, Debug)]
pub(super) struct Staged {
    pub(super) local: LocalSide,
    /// How far the gathering of the current generation was.
    pub(super) gathering: GatheringState,
}

/// A generation that a restart has ended.
#[derive(Clone, Debug)]
pub(super) struct Past {
    pub(super) local: LocalSide,
    pub(super) remote: RemoteSide,
}

impl IceAgent {
    /// This side in a generation that is not forgotten.
    pub(super) fn local_side(&self, generation: Generation) -> Option<&LocalSide> {
        if self.local.generation == generation {
            return Some(&self.local);
        }
        self.other_local_sides().find(|side| side.generation == generation)
    }

    /// The peer in a generation that is not forgotten.
    pub(super) fn remote_side(&self, generation: Generation) -> Option<&RemoteSide> {
        if self.local.generation == generation {
            return self.remote.as_ref();
        }
        let past = self.past.iter().find(|past| past.local.generation == generation)?;
        Some(&past.remote)
    }

    /// Whom a USERNAME addresses, and the peer's part of it.
    pub(super) fn addressee<'a>(&self, username: &'a [u8]) -> Option<(&LocalSide, &'a [u8])> {
        if let Some(remote) = self.local.remote_ufrag_in(username) {
            return Some((&self.local, remote));
        }
        self.other_local_sides().find_map(|side| Some((side, side.remote_ufrag_in(username)?)))
    }

    /// The side that is being signalled: that of a staged restart, or else the current one.
    pub(super) fn newest(&self) -> &LocalSide {
        self.staged.as_ref().map_or(&self.local, |staged| &staged.local)
    }

    pub(super) fn other_local_sides(&self) -> impl Iterator<Item = &LocalSide> {
        let staged = self.staged.as_ref().map(|staged| &staged.local);
        staged.into_iter().chain(self.past.iter().rev().map(|past| &past.local))
    }
}
