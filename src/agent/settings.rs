//! What an agent keeps of its configuration: without what only its making asks for, and as little as
//! can be of what nearly every agent leaves as it is by default.

use core::ops::Deref;
use std::sync::Arc;

use crate::config::{AgentConfig, Limits, MdnsMode, NominationMode, Signalling, Timing};
use crate::credentials::UfragPrefix;
use crate::policy::Policies;

/// The fields of [`AgentConfig`], where they are described, that are asked for later.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) lite: bool,
    pub(super) signalling: Signalling,
    pub(super) continual: bool,
    pub(super) release_candidates: bool,
    pub(super) nomination: NominationMode,
    pub(super) strict_nomination: bool,
    pub(super) ufrag_prefix: UfragPrefix,
    pub(super) loopback: bool,
    pub(super) answer_unauthenticated: bool,
    pub(super) consent: bool,
    pub(super) icmp: bool,
    pub(super) trace: bool,
    pub(super) statistics: bool,
    pub(super) tell_networks: bool,
    pub(super) weigh_networks: bool,
    pub(super) embedding: bool,
    pub(super) dscp: u8,
    pub(super) policies: Option<Arc<Policies>>,
    pub(super) mdns: MdnsMode,
    pub(super) path_mtu: u16,
    pub(super) timing: Unusual<Timing>,
    pub(super) limits: Unusual<Limits>,
}

impl From<AgentConfig> for Settings {
    fn from(config: AgentConfig) -> Self {
        let AgentConfig {
            // The checklists, the generation and the streams have them.
            role: _,
            credentials: _,
            components: _,
            lite,
            signalling,
            continual,
            release_candidates,
            nomination,
            strict_nomination,
            ufrag_prefix,
            loopback,
            answer_unauthenticated,
            consent,
            icmp,
            trace,
            statistics,
            tell_networks,
            weigh_networks,
            embedding,
            dscp,
            policies,
            mdns,
            path_mtu,
            timing,
            limits,
        } = config;
        Self {
            lite,
            signalling,
            continual,
            release_candidates,
            nomination,
            strict_nomination,
            ufrag_prefix,
            loopback,
            answer_unauthenticated,
            consent,
            icmp,
            trace,
            statistics,
            tell_networks,
            weigh_networks,
            embedding,
            dscp,
            policies,
            mdns,
            path_mtu,
            timing: timing.into(),
            limits: limits.into(),
        }
    }
}

/// A value that takes room only where it is not the usual one.
#[derive(Clone, Debug)]
pub(super) struct Unusual<T>(Option<Box<T>>);

/// A type with a value that is the usual one.
pub(super) trait Usual: PartialEq + 'static {
    const USUAL: &Self;
}

impl Usual for Timing {
    const USUAL: &Self = &Self::DEFAULT;
}

impl Usual for Limits {
    const USUAL: &Self = &Self::DEFAULT;
}

impl<T: Usual> From<T> for Unusual<T> {
    fn from(value: T) -> Self {
        Self((value != *T::USUAL).then(|| Box::new(value)))
    }
}

impl<T: Usual> Deref for Unusual<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::USUAL)
    }
}
