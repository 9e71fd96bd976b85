//! One number for everything that decides what an agent will do, so that a model checker can
//! tell known states from new ones.

use core::hash::{Hash, Hasher};

use super::IceAgent;

/// FNV-1a over bytes in an order that is the same on every platform.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_u16(&mut self, value: u16) {
        self.write(&value.to_le_bytes());
    }

    fn write_u32(&mut self, value: u32) {
        self.write(&value.to_le_bytes());
    }

    fn write_u64(&mut self, value: u64) {
        self.write(&value.to_le_bytes());
    }

    fn write_u128(&mut self, value: u128) {
        self.write(&value.to_le_bytes());
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_i64(value as i64);
    }

    fn write_i64(&mut self, value: i64) {
        self.write(&value.to_le_bytes());
    }
}

impl IceAgent {
    /// A hash of everything that decides future behaviour: equal for agents that will answer
    /// every further input alike. Counters and the tokens for unauthenticated answers are not
    /// part of it.
    #[must_use]
    pub fn state_digest(&self) -> u64 {
        let Self {
            config: _,
            now,
            rng,
            local,
            remote,
            staged,
            past,
            forget,
            release,
            newest_generation,
            tie_breaker,
            role_changes,
            state,
            gathering,
            remote_complete,
            early_end,
            next_stream,
            streams,
            candidates,
            lists,
            turn,
            pacer,
            checks,
            early,
            bucket: _,
            patience,
            round_trip,
            servers,
            server_turn,
            connections,
            next_lookup,
            output,
            counters: _,
            deadline,
            trace: _,
            embedding,
            observed: _,
        } = self;
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        (now, rng.position(), &local.credentials, tie_breaker, role_changes).hash(&mut hasher);
        remote.as_ref().map(|remote| &remote.parameters).hash(&mut hasher);
        staged
            .as_ref()
            .map(|staged| (&staged.local.credentials, staged.gathering))
            .hash(&mut hasher);
        for past in past {
            (&past.local.credentials, &past.remote.parameters).hash(&mut hasher);
        }
        (forget, release, newest_generation).hash(&mut hasher);
        (state, gathering, remote_complete, early_end, next_stream, streams).hash(&mut hasher);
        (candidates, lists, turn, pacer, checks, early).hash(&mut hasher);
        embedding.hash(&mut hasher);
        (patience, round_trip).hash(&mut hasher);
        (servers, server_turn, connections, next_lookup).hash(&mut hasher);
        output.hash(&mut hasher);
        // Before it an agent that is woken up does nothing.
        deadline.map(|(at, _)| at).hash(&mut hasher);
        hasher.finish()
    }
}
