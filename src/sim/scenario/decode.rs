//! Scenarios out of bytes, as a fuzzer has them. Every string of bytes is some scenario, one that
//! ends early is filled up with zeros, and a longer one goes on with more transitions.

use super::{Families, MAX_MORE, MAX_SITES, Scenario, Side, Site, Tcp, Transition, Who};
use crate::config::{NominationMode, Role};
use crate::sim::scope::{Filtering, Mapping};

/// Bytes, and zeros after them.
struct Source<'a>(core::slice::Iter<'a, u8>);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    /// A number below a small bound.
    fn below(&mut self, bound: u8) -> u8 {
        self.byte().checked_rem(bound).unwrap_or(0)
    }

    fn who(&mut self) -> Who {
        if self.byte() & 1 == 0 { Who::First } else { Who::Second }
    }

    /// None, or one of so many sites.
    fn site(&mut self, sites: usize) -> Option<usize> {
        let choices = u8::try_from(sites).unwrap_or(u8::MAX).saturating_add(1);
        usize::from(self.below(choices)).checked_sub(1)
    }
}

impl Scenario {
    /// The scenario that these bytes stand for. Every string of bytes stands for one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        let mut source = Source(bytes.iter());
        let mut scenario = Self::new(source.byte().into());
        scenario.delay = source.byte().into();
        scenario.loss = source.byte().checked_sub(200).map_or(0, |loss| loss.min(20));
        for number in 0..source.below(4).min(u8::try_from(MAX_SITES).unwrap_or(u8::MAX)) {
            scenario.sites.push(site(&mut source, number.into()));
        }
        let sites = scenario.sites.len();
        scenario.sides = [side(&mut source, sites), side(&mut source, sites)];
        while source.0.len() > 0 {
            let wait = u32::from(source.byte()).saturating_mul(100);
            scenario.transitions.push((wait, transition(&mut source)));
        }
        scenario.transitions.truncate(super::MAX_TRANSITIONS);
        scenario
    }
}

fn site(source: &mut Source<'_>, earlier: usize) -> Site {
    let mapping = match source.below(3) {
        0 => Mapping::EndpointIndependent,
        1 => Mapping::AddressDependent,
        _ => Mapping::AddressAndPortDependent,
    };
    let filtering = match source.below(3) {
        0 => Filtering::EndpointIndependent,
        1 => Filtering::AddressDependent,
        _ => Filtering::AddressAndPortDependent,
    };
    let mut site = Site::nat(mapping, filtering);
    site.within = source.site(earlier);
    let flags = source.byte();
    site.hairpinning = flags & 1 == 0;
    site.udp = flags & 0xe != 0xe;
    site.guarded = flags & 0x30 == 0x30;
    site.servers_only = flags & 0xc0 == 0xc0;
    site
}

fn side(source: &mut Source<'_>, sites: usize) -> Side {
    let mut side = Side::new();
    side.site = source.site(sites);
    let flags = source.byte();
    side.reflexive = flags & 1 != 0;
    side.relayed = flags & 2 != 0;
    side.complete = flags & 4 != 0;
    side.relayed_over_tcp = flags & 0x10 != 0;
    side.role = match flags >> 5 {
        1 => Some(Role::Controlling),
        2 => Some(Role::Controlled),
        _ => None,
    };
    let more = source.byte();
    side.families = match more & 3 {
        1 => Families::Ipv6,
        2 => Families::Both,
        _ => Families::Ipv4,
    };
    side.nomination = match more >> 2 & 3 {
        1 => NominationMode::Aggressive,
        2 => NominationMode::Renomination { automatic: false },
        3 => NominationMode::Renomination { automatic: true },
        _ => NominationMode::Regular,
    };
    side.tcp = match more >> 4 & 3 {
        1 => Tcp::Active,
        2 => Tcp::Passive,
        3 => Tcp::Both,
        _ => Tcp::None,
    };
    for _ in 0..usize::from(more >> 6).min(MAX_MORE) {
        side.more.push(source.site(sites));
    }
    side.signalling = if flags & 8 == 0 { 0 } else { u16::from(source.byte()).saturating_mul(10) };
    side
}

fn transition(source: &mut Source<'_>) -> Transition {
    match source.below(15) {
        0 => Transition::Restart(source.who()),
        1 => Transition::Delay(source.byte().into()),
        2 => Transition::RebootNat(source.byte().into()),
        3 => Transition::Down(source.who()),
        4 => Transition::Up(source.who()),
        5 => Transition::Move(source.who()),
        6 => Transition::Partition,
        7 => Transition::Heal,
        8 => Transition::Loss(source.below(21)),
        9 => Transition::CrashServer,
        10 => Transition::StopServer,
        11 => Transition::StartServer,
        12 => Transition::InterfaceDown(source.who(), source.byte().into()),
        13 => Transition::InterfaceUp(source.who(), source.byte().into()),
        _ => Transition::Renominate(source.who(), source.byte().into()),
    }
}
