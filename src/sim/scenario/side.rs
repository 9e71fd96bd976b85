//! Where the sides of a scenario are, and what they are.

use core::fmt;

use crate::config::{NominationMode, Role};
use crate::sim::scope::{Filtering, Mapping};

/// A network behind a NAT.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Site {
    /// The site around it, by the number of an earlier one; the internet otherwise.
    pub within: Option<usize>,
    /// The mapping of its NAT.
    pub mapping: Mapping,
    /// The filter of its NAT.
    pub filtering: Filtering,
    /// Whether its NAT turns round.
    pub hairpinning: bool,
    /// Whether UDP leaves it at all.
    pub udp: bool,
    /// Whether a firewall lets in only what belongs to a flow that was opened from inside, be it
    /// translated or not.
    pub guarded: bool,
    /// Whether nothing leaves it but TCP to the port of servers.
    pub servers_only: bool,
}

impl Site {
    /// A site in the internet behind such a NAT, which turns round and lets UDP out. IPv6 is not
    /// translated.
    #[must_use]
    pub const fn nat(mapping: Mapping, filtering: Filtering) -> Self {
        Self {
            within: None,
            mapping,
            filtering,
            hairpinning: true,
            udp: true,
            guarded: false,
            servers_only: false,
        }
    }

    /// The same site within an earlier one.
    #[must_use]
    pub const fn within(mut self, site: usize) -> Self {
        self.within = Some(site);
        self
    }

    /// The same site behind a NAT that does not turn round.
    #[must_use]
    pub const fn without_hairpinning(mut self) -> Self {
        self.hairpinning = false;
        self
    }

    /// The same site with a firewall that lets no UDP out.
    #[must_use]
    pub const fn without_udp(mut self) -> Self {
        self.udp = false;
        self
    }

    /// The same site with a firewall that lets in only what was asked for.
    #[must_use]
    pub const fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// The same site with a firewall that lets out nothing but TCP to the port of servers.
    #[must_use]
    pub const fn servers_only(mut self) -> Self {
        self.servers_only = true;
        self
    }
}

/// The address families that a side has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Families {
    /// IPv4 alone.
    #[default]
    Ipv4,
    /// IPv6 alone: servers are not reached.
    Ipv6,
    /// Both, on each interface.
    Both,
}

impl Families {
    /// Whether a family is among them.
    pub(super) const fn has(self, ipv6: bool) -> bool {
        match self {
            Self::Ipv4 => !ipv6,
            Self::Ipv6 => ipv6,
            Self::Both => true,
        }
    }
}

/// The TCP candidates that a side has on each of its addresses (RFC 6544).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tcp {
    /// None.
    #[default]
    None,
    /// One that opens connections.
    Active,
    /// One that accepts them.
    Passive,
    /// One of each.
    Both,
}

impl Tcp {
    /// Whether there is one that opens connections.
    pub(super) const fn opens(self) -> bool {
        matches!(self, Self::Active | Self::Both)
    }

    /// Whether there is one that accepts them.
    pub(super) const fn accepts(self) -> bool {
        matches!(self, Self::Passive | Self::Both)
    }
}

/// One side of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Side {
    /// The site where it is; the internet otherwise.
    pub site: Option<usize>,
    /// Where its further interfaces are, each as `site` says it of the first.
    pub more: Vec<Option<usize>>,
    /// The address families of its interfaces.
    pub families: Families,
    /// The role that it starts with; that of its place otherwise, controlling for the first.
    pub role: Option<Role>,
    /// It asks a STUN server.
    pub reflexive: bool,
    /// It has an allocation on a TURN server.
    pub relayed: bool,
    /// It has one that it has asked for over TCP.
    pub relayed_over_tcp: bool,
    /// Its TCP candidates.
    pub tcp: Tcp,
    /// It signals all at once, and not candidate by candidate.
    pub complete: bool,
    /// How long its signals take, in milliseconds.
    pub signalling: u16,
    /// How it nominates.
    pub nomination: NominationMode,
}

impl Default for Side {
    fn default() -> Self {
        Self::new()
    }
}

impl Side {
    /// A side in the internet with a host candidate only.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            site: None,
            more: Vec::new(),
            families: Families::Ipv4,
            role: None,
            reflexive: false,
            relayed: false,
            relayed_over_tcp: false,
            tcp: Tcp::None,
            complete: false,
            signalling: 0,
            nomination: NominationMode::Regular,
        }
    }

    /// The same side at a site.
    #[must_use]
    pub const fn at(mut self, site: usize) -> Self {
        self.site = Some(site);
        self
    }

    /// The same side with one more interface, at a site.
    #[must_use]
    pub fn also_at(mut self, site: usize) -> Self {
        self.more.push(Some(site));
        self
    }

    /// The same side with one more interface, in the internet.
    #[must_use]
    pub fn also_outside(mut self) -> Self {
        self.more.push(None);
        self
    }

    /// The same side with these address families.
    #[must_use]
    pub const fn families(mut self, families: Families) -> Self {
        self.families = families;
        self
    }

    /// The same side, starting with this role.
    #[must_use]
    pub const fn role(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    /// The same side with a server-reflexive candidate.
    #[must_use]
    pub const fn reflexive(mut self) -> Self {
        self.reflexive = true;
        self
    }

    /// The same side with a relayed candidate.
    #[must_use]
    pub const fn relayed(mut self) -> Self {
        self.relayed = true;
        self
    }

    /// The same side with a relayed candidate of a server that it reaches over TCP.
    #[must_use]
    pub const fn relayed_over_tcp(mut self) -> Self {
        self.relayed_over_tcp = true;
        self
    }

    /// The same side with these TCP candidates.
    #[must_use]
    pub const fn tcp(mut self, tcp: Tcp) -> Self {
        self.tcp = tcp;
        self
    }

    /// The same side with complete signalling.
    #[must_use]
    pub const fn complete(mut self) -> Self {
        self.complete = true;
        self
    }

    /// The same side, whose signals take so many milliseconds.
    #[must_use]
    pub const fn signalling(mut self, millis: u16) -> Self {
        self.signalling = millis;
        self
    }

    /// The same side, nominating like this.
    #[must_use]
    pub const fn nominating(mut self, nomination: NominationMode) -> Self {
        self.nomination = nomination;
        self
    }

    /// Where its interfaces are.
    pub(super) fn places(&self) -> impl Iterator<Item = Option<usize>> {
        core::iter::once(self.site).chain(self.more.iter().copied().take(super::MAX_MORE))
    }

    /// How many interfaces it has.
    pub(super) fn interfaces(&self) -> usize {
        self.places().count()
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Site::nat(Mapping::{:?}, Filtering::{:?})", self.mapping, self.filtering)?;
        if let Some(site) = self.within {
            write!(f, ".within({site})")?;
        }
        if !self.hairpinning {
            f.write_str(".without_hairpinning()")?;
        }
        if !self.udp {
            f.write_str(".without_udp()")?;
        }
        if self.guarded {
            f.write_str(".guarded()")?;
        }
        if self.servers_only {
            f.write_str(".servers_only()")?;
        }
        Ok(())
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Side::new()")?;
        if let Some(site) = self.site {
            write!(f, ".at({site})")?;
        }
        for place in &self.more {
            match place {
                Some(site) => write!(f, ".also_at({site})")?,
                None => f.write_str(".also_outside()")?,
            }
        }
        if self.families != Families::Ipv4 {
            write!(f, ".families(Families::{:?})", self.families)?;
        }
        if let Some(role) = self.role {
            write!(f, ".role(Role::{role:?})")?;
        }
        if self.tcp != Tcp::None {
            write!(f, ".tcp(Tcp::{:?})", self.tcp)?;
        }
        let words = [
            (self.reflexive, "reflexive"),
            (self.relayed, "relayed"),
            (self.relayed_over_tcp, "relayed_over_tcp"),
            (self.complete, "complete"),
        ];
        for (set, word) in words {
            if set {
                write!(f, ".{word}()")?;
            }
        }
        if self.signalling > 0 {
            write!(f, ".signalling({})", self.signalling)?;
        }
        if self.nomination != NominationMode::Regular {
            write!(f, ".nominating(NominationMode::{:?})", self.nomination)?;
        }
        Ok(())
    }
}
