//! Address rewriting: candidates with addresses that the caller knows and the host does not have,
//! such as those of a NAT that maps one to one.

use core::net::IpAddr;

use crate::candidate::{CandidateKind, Transport};

use super::prefix::IpPrefix;
use super::{NetworkType, Selection, TransportPolicy};

/// What becomes of the address that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RewriteMode {
    /// The external addresses take its place. Without any, there is no candidate.
    Replace,
    /// The external addresses stand beside it.
    Append,
}

/// One rule: which local addresses of which kind of candidate get which external ones.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressRewriteRule {
    /// The addresses to tell. All of them have the port of the socket. None, together with
    /// [`RewriteMode::Replace`], drops the candidate; together with [`RewriteMode::Append`] it keeps
    /// it as it is, where another rule would have changed it.
    pub external: Vec<IpAddr>,
    /// The one local address to which the rule applies, whatever the family of the external ones.
    /// Without it the rule is for all local addresses: of the family of `prefix` if that is given,
    /// else of an external address's own family, so that IPv4 ones get the IPv4 ones.
    pub local: Option<IpAddr>,
    /// The interface to which the rule is limited.
    pub interface: Option<String>,
    /// The local addresses to which the rule is limited.
    pub prefix: Option<IpPrefix>,
    /// The kind of candidate: host, server-reflexive or relayed.
    pub kind: CandidateKind,
    /// Whether the address that was found is replaced.
    pub mode: RewriteMode,
    /// The networks to which the rule is limited.
    pub networks: Selection<NetworkType>,
}

impl AddressRewriteRule {
    /// A rule for all local addresses: it replaces those of host candidates, and stands beside
    /// those of others.
    #[must_use]
    pub fn new(kind: CandidateKind, external: Vec<IpAddr>) -> Self {
        let mode = match kind {
            CandidateKind::Host => RewriteMode::Replace,
            _ => RewriteMode::Append,
        };
        Self {
            external,
            local: None,
            interface: None,
            prefix: None,
            kind,
            mode,
            networks: Selection::default(),
        }
    }

    /// Whether it can ever apply, and says nothing that cannot be.
    fn check(&self) -> Result<(), RewriteCause> {
        if self.kind == CandidateKind::PeerReflexive {
            return Err(RewriteCause::Kind);
        }
        if self.external.iter().any(|ip| !is_unicast(*ip)) {
            return Err(RewriteCause::External);
        }
        if self.interface.as_deref() == Some("") {
            return Err(RewriteCause::Interface);
        }
        if let (Some(local), Some(prefix)) = (self.local, self.prefix) {
            if !prefix.contains(local) {
                return Err(RewriteCause::LocalOutsidePrefix);
            }
        }
        let applies = [NetworkType::Udp4, NetworkType::Udp6, NetworkType::Tcp4, NetworkType::Tcp6]
            .into_iter()
            .any(|network| self.networks.has(network) && self.is_for_family(network.is_ipv6()));
        if applies { Ok(()) } else { Err(RewriteCause::Networks) }
    }

    /// Whether it is for local addresses of this family.
    fn is_for_family(&self, ipv6: bool) -> bool {
        match (self.local, self.prefix) {
            (Some(local), _) => local.is_ipv6() == ipv6,
            (None, Some(prefix)) => prefix.is_ipv6() == ipv6,
            (None, None) => {
                self.external.is_empty() || self.external.iter().any(|ip| ip.is_ipv6() == ipv6)
            }
        }
    }

    fn matches(&self, local: IpAddr, interface: &str, network: NetworkType) -> bool {
        self.local.is_none_or(|only| only == local)
            && self.interface.as_deref().is_none_or(|only| only == interface)
            && self.prefix.is_none_or(|prefix| prefix.contains(local))
            && self.networks.has(network)
            && self.is_for_family(local.is_ipv6())
    }

    /// How closely it says to what it applies: rules that name the local address are equal, then
    /// the interface counts more than the prefix.
    fn specificity(&self) -> (bool, bool, bool) {
        match self.local {
            Some(_) => (true, true, true),
            None => (false, self.interface.is_some(), self.prefix.is_some()),
        }
    }

    fn applied_to(&self, local: IpAddr) -> Rewritten {
        let scoped = self.local.is_some() || self.prefix.is_some();
        let original = self.mode == RewriteMode::Append;
        let mut external: Vec<IpAddr> = Vec::new();
        for ip in self.external.iter().copied() {
            let fits = scoped || ip.is_ipv6() == local.is_ipv6();
            if fits && !external.contains(&ip) && !(original && ip == local) {
                external.push(ip);
            }
        }
        Rewritten { original, external }
    }
}

/// Rules that have been checked, in the order in which they were given.
///
/// ```
/// use frazil::{AddressRewriteRules, CandidateKind, Transport};
///
/// let rules = AddressRewriteRules::nat_1to1(CandidateKind::Host, ["203.0.113.9/10.0.0.5"])?;
/// let rewritten = rules.apply(CandidateKind::Host, "10.0.0.5".parse()?, "eth0", Transport::Udp);
/// assert!(!rewritten.original);
/// assert_eq!(rewritten.external, ["203.0.113.9".parse::<std::net::IpAddr>()?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRewriteRules(pub(super) Vec<AddressRewriteRule>);

impl AddressRewriteRules {
    /// Rules that are evaluated in this order.
    ///
    /// # Errors
    /// The first rule that contradicts itself or can never apply.
    pub fn new(mut rules: Vec<AddressRewriteRule>) -> Result<Self, RewriteError> {
        for (index, rule) in rules.iter_mut().enumerate() {
            rule.local = rule.local.map(|ip| ip.to_canonical());
            rule.external.iter_mut().for_each(|ip| *ip = ip.to_canonical());
            rule.check().map_err(|cause| RewriteError { rule: index, cause })?;
        }
        Ok(Self(rules))
    }

    /// The rules of a NAT that maps one to one: `"external"` for all local addresses of that
    /// family, at most once for each family, or `"external/local"` for one of them.
    ///
    /// # Errors
    /// The first text that makes no rule.
    pub fn nat_1to1<'a>(
        kind: CandidateKind,
        mappings: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, RewriteError> {
        let mut rules: Vec<AddressRewriteRule> = Vec::new();
        for (index, mapping) in mappings.into_iter().enumerate() {
            let error = |cause| RewriteError { rule: index, cause };
            let (external, local) = read_mapping(mapping).map_err(error)?;
            let is_same = |other: &AddressRewriteRule| match (local, other.local) {
                (None, None) => other.external.iter().any(|ip| ip.is_ipv6() == external.is_ipv6()),
                (ours, theirs) => ours == theirs,
            };
            if rules.iter().any(is_same) {
                return Err(error(RewriteCause::Duplicate));
            }
            rules.push(AddressRewriteRule {
                local,
                ..AddressRewriteRule::new(kind, vec![external])
            });
        }
        Self::new(rules)
    }

    /// Whether every rule is about a kind of candidate that is gathered.
    ///
    /// # Errors
    /// The first rule that is not: [`RewriteCause::NotGathered`].
    pub fn check_gathered(
        &self,
        policy: TransportPolicy,
        kinds: &Selection<CandidateKind>,
    ) -> Result<(), RewriteError> {
        let idle = |rule: &AddressRewriteRule| !policy.allows(rule.kind) || !kinds.has(rule.kind);
        match self.0.iter().position(idle) {
            Some(rule) => Err(RewriteError { rule, cause: RewriteCause::NotGathered }),
            None => Ok(()),
        }
    }

    #[cfg(feature = "replay")]
    pub(crate) fn rules(&self) -> &[AddressRewriteRule] {
        &self.0
    }

    /// Whether there is a rule of this kind.
    pub(crate) fn has(&self, kind: CandidateKind) -> bool {
        self.0.iter().any(|rule| rule.kind == kind)
    }

    /// Whether a rule of this kind replaces addresses. Servers are not asked for server-reflexive
    /// candidates then: all that would come of it is the address that the rules say is wrong.
    #[must_use]
    pub fn replaces(&self, kind: CandidateKind) -> bool {
        self.0.iter().any(|rule| rule.kind == kind && rule.mode == RewriteMode::Replace)
    }

    /// The addresses that a candidate is told with.
    ///
    /// `local` is the address of a host candidate, the base of a server-reflexive one, and for a
    /// relayed one the address from which the server is asked; `interface` is its name, or empty
    /// where it is not known.
    ///
    /// A rule that names the local address comes before all others; then one that names interface
    /// and prefix, the interface, the prefix, neither. Among equals the first counts. Exactly one
    /// rule applies; without any, nothing changes.
    #[must_use]
    pub fn apply(
        &self,
        kind: CandidateKind,
        local: IpAddr,
        interface: &str,
        transport: Transport,
    ) -> Rewritten {
        let local = local.to_canonical();
        let network = NetworkType::of(transport, local);
        let mut best: Option<&AddressRewriteRule> = None;
        for rule in self.0.iter().filter(|rule| rule.kind == kind) {
            let better = best.is_none_or(|best| rule.specificity() > best.specificity());
            if better && rule.matches(local, interface, network) {
                best = Some(rule);
            }
        }
        match best {
            Some(rule) => rule.applied_to(local),
            None => Rewritten { original: true, external: Vec::new() },
        }
    }
}

/// What a candidate becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// Whether there is a candidate with the address that was found.
    pub original: bool,
    /// The addresses of further candidates on the same socket, in the order of the rule.
    pub external: Vec<IpAddr>,
}

/// `external` or `external/local`.
fn read_mapping(mapping: &str) -> Result<(IpAddr, Option<IpAddr>), RewriteCause> {
    let read = |text: &str| match text.trim().parse::<IpAddr>() {
        Ok(ip) => Ok(ip.to_canonical()),
        Err(_) => Err(RewriteCause::Address),
    };
    let (external, local) = match mapping.split_once('/') {
        Some((_, local)) if local.contains('/') => return Err(RewriteCause::Slashes),
        Some((external, local)) => (external, Some(read(local)?)),
        None => (mapping, None),
    };
    Ok((read(external)?, local))
}

fn is_unicast(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || broadcast)
}

/// Which rule or mapping is refused, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {cause}")]
#[non_exhaustive]
pub struct RewriteError {
    /// Its place, from 0.
    pub rule: usize,
    /// What is wrong with it.
    #[source]
    pub cause: RewriteCause,
}

/// Why a rule is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RewriteCause {
    /// Peer-reflexive addresses are what the peer has seen; they are not told.
    #[error("kind: must be host, server-reflexive or relayed")]
    Kind,
    /// An external address is unspecified, multicast or broadcast.
    #[error("external: not a unicast address")]
    External,
    /// The name of the interface is empty.
    #[error("interface: an empty name")]
    Interface,
    /// The local address is not within the prefix.
    #[error("local: not within the prefix")]
    LocalOutsidePrefix,
    /// The rule is for local addresses of a family that its networks do not have.
    #[error("networks: without the family of the addresses that the rule is for")]
    Networks,
    /// No candidates of this kind are gathered.
    #[error("kind: not gathered")]
    NotGathered,
    /// A text is no IP address.
    #[error("mapping: must be an IP address, or two with a slash between them")]
    Address,
    /// A text has more than one slash.
    #[error("mapping: has at most one slash")]
    Slashes,
    /// A local address is mapped twice, or all of a family are.
    #[error("mapping: these local addresses have one already")]
    Duplicate,
}
