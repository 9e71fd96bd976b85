//! Rows ★32 and ★33 of the behaviours that another agent's tests describe, and their neighbours:
//! precedence, scopes, modes, families.

use core::net::IpAddr;

use proptest::prelude::*;

use super::ip;
use crate::candidate::CandidateKind::{self, Host, PeerReflexive, Relayed, ServerReflexive};
use crate::candidate::Transport::{Tcp, Udp};
use crate::policy::{
    AddressRewriteRule, AddressRewriteRules, NetworkType, RewriteCause, RewriteError, RewriteMode,
    Rewritten, Selection, TransportPolicy,
};

const KINDS: [CandidateKind; 3] = [Host, ServerReflexive, Relayed];

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| ip(text)).collect()
}

fn rule(external: &[&str]) -> AddressRewriteRule {
    AddressRewriteRule::new(Host, ips(external))
}

trait Scoped {
    fn local(self, local: &str) -> Self;
    fn interface(self, interface: &str) -> Self;
    fn prefix(self, prefix: &str) -> Self;
    fn kind(self, kind: CandidateKind) -> Self;
    fn mode(self, mode: RewriteMode) -> Self;
    fn networks<const N: usize>(self, networks: [NetworkType; N]) -> Self;
}

impl Scoped for AddressRewriteRule {
    fn local(self, local: &str) -> Self {
        Self { local: Some(ip(local)), ..self }
    }

    fn interface(self, interface: &str) -> Self {
        Self { interface: Some(interface.to_owned()), ..self }
    }

    fn prefix(self, prefix: &str) -> Self {
        Self { prefix: Some(prefix.parse().unwrap()), ..self }
    }

    fn kind(self, kind: CandidateKind) -> Self {
        Self { kind, ..self }
    }

    fn mode(self, mode: RewriteMode) -> Self {
        Self { mode, ..self }
    }

    fn networks<const N: usize>(self, networks: [NetworkType; N]) -> Self {
        Self { networks: Selection::from_iter(networks), ..self }
    }
}

fn rules<const N: usize>(rules: [AddressRewriteRule; N]) -> AddressRewriteRules {
    AddressRewriteRules::new(rules.into()).unwrap()
}

fn cause(rule: AddressRewriteRule) -> RewriteCause {
    AddressRewriteRules::new(vec![rule]).unwrap_err().cause
}

fn replaced(external: &[&str]) -> Rewritten {
    Rewritten { original: false, external: ips(external) }
}

fn appended(external: &[&str]) -> Rewritten {
    Rewritten { original: true, external: ips(external) }
}

fn unchanged() -> Rewritten {
    appended(&[])
}

fn host(rules: &AddressRewriteRules, local: &str, interface: &str) -> Rewritten {
    rules.apply(Host, ip(local), interface, Udp)
}

// ★32: which rule applies.

#[test]
fn precedence_matrix_explicit_local_before_prefix_before_all() {
    let rules = rules([
        rule(&["203.0.113.200"]).prefix("10.0.0.0/24"),
        rule(&["198.51.100.200"]),
        rule(&["192.0.2.50"]).local("10.0.0.50"),
    ]);
    for interface in ["", "eth0"] {
        assert_eq!(host(&rules, "10.0.0.50", interface), replaced(&["192.0.2.50"]));
        assert_eq!(host(&rules, "10.0.0.25", interface), replaced(&["203.0.113.200"]));
        assert_eq!(host(&rules, "172.16.0.1", interface), replaced(&["198.51.100.200"]));
    }
}

#[test]
fn specificity_interface_and_prefix_before_interface_before_prefix_before_all_in_any_order() {
    let all = rule(&["198.51.100.0"]);
    let prefix = rule(&["198.51.100.1"]).prefix("10.0.0.0/24");
    let interface = rule(&["198.51.100.2"]).interface("eth0");
    let both = rule(&["198.51.100.3"]).interface("eth0").prefix("10.0.0.0/24");
    let orders = [
        rules([all.clone(), prefix.clone(), interface.clone(), both.clone()]),
        rules([both, interface, prefix, all]),
    ];
    for rules in orders {
        assert_eq!(host(&rules, "10.0.0.5", "eth0"), replaced(&["198.51.100.3"]));
        assert_eq!(host(&rules, "10.0.1.5", "eth0"), replaced(&["198.51.100.2"]));
        assert_eq!(host(&rules, "10.0.0.5", "eth1"), replaced(&["198.51.100.1"]));
        assert_eq!(host(&rules, "10.0.0.5", ""), replaced(&["198.51.100.1"]));
        assert_eq!(host(&rules, "10.0.1.5", "eth1"), replaced(&["198.51.100.0"]));
    }
}

#[test]
fn rule_order_the_earliest_of_equals_wins() {
    let catch_all = rules([rule(&["203.0.113.1"]), rule(&["203.0.113.2"])]);
    assert_eq!(host(&catch_all, "10.0.0.5", "eth0"), replaced(&["203.0.113.1"]));

    // All that name the local address are equals, whatever else they name.
    let explicit = rules([
        rule(&["203.0.113.1"]).local("10.0.0.5"),
        rule(&["203.0.113.2"]).local("10.0.0.5").interface("eth0").prefix("10.0.0.0/24"),
    ]);
    assert_eq!(host(&explicit, "10.0.0.5", "eth0"), replaced(&["203.0.113.1"]));
}

#[test]
fn an_explicit_local_address_beats_an_earlier_rule_with_interface_and_prefix() {
    let rules = rules([
        rule(&["203.0.113.1"]).interface("eth0").prefix("10.0.0.0/24"),
        rule(&["203.0.113.2"]).local("10.0.0.5"),
    ]);
    assert_eq!(host(&rules, "10.0.0.5", "eth0"), replaced(&["203.0.113.2"]));
    assert_eq!(host(&rules, "10.0.0.6", "eth0"), replaced(&["203.0.113.1"]));
}

#[test]
fn interface_scope_another_or_an_unknown_interface_is_not_meant() {
    let rules = rules([rule(&["203.0.113.1"]).interface("eth0")]);
    assert_eq!(host(&rules, "10.0.0.5", "eth0"), replaced(&["203.0.113.1"]));
    for interface in ["eth1", "eth", "eth00", ""] {
        assert_eq!(host(&rules, "10.0.0.5", interface), unchanged(), "{interface}");
    }
    let local =
        AddressRewriteRules::new(vec![rule(&["203.0.113.1"]).local("10.0.0.5").interface("eth0")]);
    assert_eq!(host(&local.unwrap(), "10.0.0.5", "eth1"), unchanged());
}

#[test]
fn prefix_filter_an_address_outside_is_not_meant() {
    let rules = rules([rule(&["203.0.113.1"]).prefix("10.0.0.0/24")]);
    assert_eq!(host(&rules, "10.0.0.255", "eth0"), replaced(&["203.0.113.1"]));
    assert_eq!(host(&rules, "10.0.1.0", "eth0"), unchanged());
    assert_eq!(host(&rules, "fd00::1", "eth0"), unchanged());
}

// ★33: what it does.

#[test]
fn host_modes_replace_and_append() {
    let external = ["203.0.113.1", "203.0.113.2"];
    let replace = rules([rule(&external)]);
    assert_eq!(host(&replace, "10.0.0.5", "eth0"), replaced(&external));
    let append = rules([rule(&external).mode(RewriteMode::Append)]);
    assert_eq!(host(&append, "10.0.0.5", "eth0"), appended(&external));
}

#[test]
fn default_modes_host_addresses_are_replaced_others_are_added_to() {
    for (kind, mode) in [
        (Host, RewriteMode::Replace),
        (ServerReflexive, RewriteMode::Append),
        (Relayed, RewriteMode::Append),
    ] {
        assert_eq!(AddressRewriteRule::new(kind, ips(&["203.0.113.1"])).mode, mode, "{kind}");
    }
}

#[test]
fn reflexive_modes_replace_keeps_servers_from_being_asked_and_append_does_not() {
    let reflexive = rule(&["203.0.113.1"]).kind(ServerReflexive);
    let replace = rules([reflexive.clone().mode(RewriteMode::Replace)]);
    assert!(replace.replaces(ServerReflexive));
    assert_eq!(replace.apply(ServerReflexive, ip("10.0.0.5"), "", Udp), replaced(&["203.0.113.1"]));
    let append = rules([reflexive.mode(RewriteMode::Append)]);
    assert!(!append.replaces(ServerReflexive));
    assert_eq!(append.apply(ServerReflexive, ip("10.0.0.5"), "", Udp), appended(&["203.0.113.1"]));
}

#[test]
fn relay_modes_the_address_from_which_the_server_is_asked_decides() {
    let relayed = rule(&["203.0.113.1"]).kind(Relayed).local("10.0.0.5");
    let replace = rules([relayed.clone().mode(RewriteMode::Replace)]);
    assert_eq!(replace.apply(Relayed, ip("10.0.0.5"), "eth0", Udp), replaced(&["203.0.113.1"]));
    assert_eq!(replace.apply(Relayed, ip("10.0.0.6"), "eth0", Udp), unchanged());
    let append = rules([relayed.mode(RewriteMode::Append)]);
    assert_eq!(append.apply(Relayed, ip("10.0.0.5"), "eth0", Udp), appended(&["203.0.113.1"]));
}

#[test]
fn a_rule_of_one_kind_leaves_the_others_alone() {
    for kind in KINDS {
        let rules = rules([rule(&["203.0.113.1"]).kind(kind).mode(RewriteMode::Replace)]);
        for other in KINDS.into_iter().filter(|other| *other != kind) {
            assert_eq!(rules.apply(other, ip("10.0.0.5"), "eth0", Udp), unchanged());
            assert!(!rules.replaces(other));
        }
        assert!(rules.replaces(kind));
    }
}

#[test]
fn empty_external_replace_drops_the_candidate_and_append_keeps_it() {
    for kind in KINDS {
        let drop = rules([rule(&[]).kind(kind).mode(RewriteMode::Replace)]);
        let keep = rules([rule(&[]).kind(kind).mode(RewriteMode::Append)]);
        for local in ["10.0.0.5", "fd00::5"] {
            assert_eq!(drop.apply(kind, ip(local), "eth0", Udp), replaced(&[]));
            assert_eq!(keep.apply(kind, ip(local), "eth0", Udp), unchanged());
        }
    }
}

#[test]
fn an_empty_append_of_one_interface_is_an_exception_from_a_rule_for_all() {
    let rules = rules([
        rule(&[]).mode(RewriteMode::Replace),
        rule(&[]).mode(RewriteMode::Append).interface("eth0"),
    ]);
    assert_eq!(host(&rules, "10.0.0.5", "eth0"), unchanged());
    assert_eq!(host(&rules, "10.0.0.5", "docker0"), replaced(&[]));
}

#[test]
fn unmatched_keeps_the_original() {
    let rules = rules([rule(&["203.0.113.1"]).local("10.0.0.5")]);
    assert_eq!(host(&rules, "10.0.0.6", "eth0"), unchanged());
    assert_eq!(host(&AddressRewriteRules::default(), "10.0.0.6", "eth0"), unchanged());
}

// Families and networks.

#[test]
fn mixed_family_application_each_family_gets_its_own_external_addresses() {
    let mixed = rules([rule(&["203.0.113.1", "2001:db8::1", "203.0.113.2"])]);
    assert_eq!(host(&mixed, "10.0.0.5", "eth0"), replaced(&["203.0.113.1", "203.0.113.2"]));
    assert_eq!(host(&mixed, "fd00::5", "eth0"), replaced(&["2001:db8::1"]));
    let ipv4 = rules([rule(&["203.0.113.1"])]);
    assert_eq!(host(&ipv4, "fd00::5", "eth0"), unchanged());
}

#[test]
fn cross_family_through_an_explicit_local_address_or_a_prefix() {
    let local = rules([rule(&["203.0.113.1"]).local("fd00::5")]);
    assert_eq!(host(&local, "fd00::5", "eth0"), replaced(&["203.0.113.1"]));
    let prefix = rules([rule(&["203.0.113.1"]).prefix("fd00::/8")]);
    assert_eq!(host(&prefix, "fd00::5", "eth0"), replaced(&["203.0.113.1"]));
    assert_eq!(host(&prefix, "10.0.0.5", "eth0"), unchanged());
}

#[test]
fn networks_filter_limits_the_family_and_an_empty_one_nothing() {
    let both = || rule(&["203.0.113.1", "2001:db8::1"]);
    let udp4 = rules([both().networks([NetworkType::Udp4])]);
    assert_eq!(host(&udp4, "10.0.0.5", "eth0"), replaced(&["203.0.113.1"]));
    assert_eq!(host(&udp4, "fd00::5", "eth0"), unchanged());
    let empty = rules([both().networks([])]);
    assert_eq!(host(&empty, "10.0.0.5", "eth0"), replaced(&["203.0.113.1"]));
    assert_eq!(host(&empty, "fd00::5", "eth0"), replaced(&["2001:db8::1"]));
}

#[test]
fn networks_filter_limits_the_transport_as_well() {
    let rules = rules([rule(&["203.0.113.1"]).networks([NetworkType::Tcp4])]);
    assert_eq!(rules.apply(Host, ip("10.0.0.5"), "eth0", Tcp), replaced(&["203.0.113.1"]));
    assert_eq!(rules.apply(Host, ip("10.0.0.5"), "eth0", Udp), unchanged());
}

#[test]
fn mapped_addresses_are_the_ipv4_addresses_that_they_stand_for() {
    let rules = rules([rule(&["::ffff:203.0.113.1"]).local("::ffff:10.0.0.5")]);
    for local in ["10.0.0.5", "::ffff:10.0.0.5"] {
        assert_eq!(host(&rules, local, "eth0"), replaced(&["203.0.113.1"]));
    }
}

#[test]
fn dedupe_an_external_address_is_told_once_and_not_beside_itself() {
    let twice = ["203.0.113.1", "203.0.113.1", "::ffff:203.0.113.1"];
    assert_eq!(host(&rules([rule(&twice)]), "10.0.0.5", "eth0"), replaced(&["203.0.113.1"]));
    let append = rules([rule(&["203.0.113.1", "10.0.0.5"]).mode(RewriteMode::Append)]);
    assert_eq!(host(&append, "10.0.0.5", "eth0"), appended(&["203.0.113.1"]));
}

// Validation.

#[test]
fn each_contradiction_has_its_cause() {
    let rows = [
        (rule(&["203.0.113.1"]).kind(PeerReflexive), RewriteCause::Kind),
        (rule(&["0.0.0.0"]), RewriteCause::External),
        (rule(&["::"]), RewriteCause::External),
        (rule(&["203.0.113.1", "224.0.0.1"]), RewriteCause::External),
        (rule(&["ff02::1"]), RewriteCause::External),
        (rule(&["255.255.255.255"]), RewriteCause::External),
        (rule(&["203.0.113.1"]).interface(""), RewriteCause::Interface),
        (
            rule(&["203.0.113.1"]).local("10.0.1.5").prefix("10.0.0.0/24"),
            RewriteCause::LocalOutsidePrefix,
        ),
        (
            rule(&["203.0.113.1"]).local("fd00::5").prefix("10.0.0.0/24"),
            RewriteCause::LocalOutsidePrefix,
        ),
        // A family that the networks do not have: of the local address, the prefix, all external ones.
        (
            rule(&["2001:db8::1"]).local("fd00::5").networks([NetworkType::Udp4]),
            RewriteCause::Networks,
        ),
        (
            rule(&["203.0.113.1"]).prefix("fd00::/8").networks([NetworkType::Udp4]),
            RewriteCause::Networks,
        ),
        (
            rule(&["2001:db8::1"]).networks([NetworkType::Udp4, NetworkType::Tcp4]),
            RewriteCause::Networks,
        ),
    ];
    for (rule, expected) in rows {
        assert_eq!(cause(rule.clone()), expected, "{rule:?}");
    }
}

#[test]
fn an_error_names_the_rule() {
    let wrong = rule(&["203.0.113.1"]).interface("");
    let error = AddressRewriteRules::new(vec![rule(&["203.0.113.1"]), wrong]).unwrap_err();
    assert_eq!(error, RewriteError { rule: 1, cause: RewriteCause::Interface });
    assert_eq!(error.to_string(), "rule 1: interface: an empty name");
}

#[test]
fn ineffective_a_rule_about_candidates_that_are_not_gathered() {
    let all = Selection::default();
    let not_gathered = Err(RewriteError { rule: 0, cause: RewriteCause::NotGathered });
    for kind in KINDS {
        let rules = rules([rule(&["203.0.113.1"]).kind(kind)]);
        assert_eq!(rules.check_gathered(TransportPolicy::All, &all), Ok(()));
        let others = KINDS.into_iter().filter(|other| *other != kind).collect();
        assert_eq!(rules.check_gathered(TransportPolicy::All, &others), not_gathered);
        let only = Selection::from_iter([kind]);
        assert_eq!(rules.check_gathered(TransportPolicy::All, &only), Ok(()));
        let relay = if kind == Relayed { Ok(()) } else { not_gathered };
        assert_eq!(rules.check_gathered(TransportPolicy::Relay, &all), relay);
    }
}

// The plain form.

#[test]
fn nat_1to1_one_external_address_for_all_of_its_family() {
    let rules = AddressRewriteRules::nat_1to1(Host, ["203.0.113.1", " 2001:db8::1 "]).unwrap();
    assert_eq!(host(&rules, "10.0.0.5", "eth0"), replaced(&["203.0.113.1"]));
    assert_eq!(host(&rules, "fd00::5", "eth0"), replaced(&["2001:db8::1"]));
    let reflexive = AddressRewriteRules::nat_1to1(ServerReflexive, ["203.0.113.1"]).unwrap();
    assert!(!reflexive.replaces(ServerReflexive));
    assert_eq!(
        reflexive.apply(ServerReflexive, ip("10.0.0.5"), "", Udp),
        appended(&["203.0.113.1"])
    );
}

#[test]
fn nat_1to1_a_pair_maps_one_local_address() {
    let mappings = ["203.0.113.1/10.0.0.5", "203.0.113.2/10.0.0.6", "203.0.113.3"];
    let rules = AddressRewriteRules::nat_1to1(Host, mappings).unwrap();
    assert_eq!(host(&rules, "10.0.0.5", "eth0"), replaced(&["203.0.113.1"]));
    assert_eq!(host(&rules, "10.0.0.6", "eth0"), replaced(&["203.0.113.2"]));
    assert_eq!(host(&rules, "10.0.0.7", "eth0"), replaced(&["203.0.113.3"]));
}

#[test]
fn nat_1to1_each_mistake_has_its_cause() {
    let rows: [(&[&str], RewriteCause); 10] = [
        (&[""], RewriteCause::Address),
        (&["example.org"], RewriteCause::Address),
        (&["203.0.113.1/"], RewriteCause::Address),
        (&["/10.0.0.5"], RewriteCause::Address),
        (&["203.0.113.1/eth0"], RewriteCause::Address),
        (&["203.0.113.1/10.0.0.5/24"], RewriteCause::Slashes),
        (&["203.0.113.1", "203.0.113.2"], RewriteCause::Duplicate),
        (&["2001:db8::1", "2001:db8::2"], RewriteCause::Duplicate),
        (&["203.0.113.1/10.0.0.5", "203.0.113.2/10.0.0.5"], RewriteCause::Duplicate),
        (&["0.0.0.0"], RewriteCause::External),
    ];
    for (mappings, expected) in rows {
        let refused = AddressRewriteRules::nat_1to1(Host, mappings.iter().copied()).unwrap_err();
        let error = RewriteError { rule: mappings.len() - 1, cause: expected };
        assert_eq!(refused, error, "{mappings:?}");
    }
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    let texts = ["10.0.0.5", "10.0.1.5", "192.168.1.5", "fd00::5", "fd00:1::5"];
    prop::sample::select(texts.map(ip).to_vec())
}

fn arbitrary_rules() -> impl Strategy<Value = AddressRewriteRules> {
    let externals = ips(&["203.0.113.1", "203.0.113.2", "2001:db8::1"]);
    let one = (
        prop::sample::subsequence(externals, 0..=3),
        prop::option::of(addresses()),
        prop::option::of(prop::sample::select(vec!["eth0", "eth1"])),
        prop::option::of(prop::sample::select(vec!["10.0.0.0/24", "10.0.0.0/8", "fd00::/8"])),
        prop::sample::select(KINDS.to_vec()),
        any::<bool>(),
    );
    let one = one.prop_map(|(external, local, interface, prefix, kind, replace)| {
        let mode = if replace { RewriteMode::Replace } else { RewriteMode::Append };
        AddressRewriteRule {
            external,
            local,
            interface: interface.map(str::to_owned),
            prefix: prefix.map(|prefix| prefix.parse().unwrap()),
            kind,
            mode,
            networks: Selection::default(),
        }
    });
    prop::collection::vec(one, 0..6)
        .prop_filter_map("contradictory", |rules| AddressRewriteRules::new(rules).ok())
}

proptest! {
    /// The rule of the documentation, said in another way: by scores and the place in the list.
    #[test]
    fn the_rule_that_applies_is_the_first_of_the_most_specific(
        rules in arbitrary_rules(),
        local in addresses(),
        interface in prop::sample::select(vec!["", "eth0", "eth1"]),
        kind in prop::sample::select(KINDS.to_vec()),
    ) {
        let scored = rules.0.iter().enumerate().filter_map(|(place, rule)| {
            let family = match (rule.local, rule.prefix) {
                (None, None) if !rule.external.is_empty() => {
                    rule.external.iter().any(|ip| ip.is_ipv4() == local.is_ipv4())
                }
                _ => true,
            };
            let applies = rule.kind == kind
                && family
                && [None, Some(local)].contains(&rule.local)
                && [None, Some(interface)].contains(&rule.interface.as_deref())
                && rule.prefix.is_none_or(|prefix| prefix.contains(local));
            let score = if rule.local.is_some() {
                4
            } else {
                2 * usize::from(rule.interface.is_some()) + usize::from(rule.prefix.is_some())
            };
            applies.then_some((score, usize::MAX - place, rule))
        });
        let chosen = scored.max_by_key(|(score, place, _)| (*score, *place)).map(|(.., rule)| rule);
        let rewritten = rules.apply(kind, local, interface, Udp);
        match chosen {
            None => prop_assert_eq!(rewritten, unchanged()),
            Some(rule) => {
                prop_assert_eq!(rewritten.original, rule.mode == RewriteMode::Append);
                prop_assert!(rewritten.external.iter().all(|ip| rule.external.contains(ip)));
                let same_family =
                    rule.external.iter().filter(|ip| ip.is_ipv4() == local.is_ipv4());
                prop_assert!(same_family.clone().all(|ip| rewritten.external.contains(ip)));
            }
        }
    }

    #[test]
    fn any_mapping_is_read_without_a_panic(mapping in "[0-9a-f:./ ]{0,24}") {
        if let Ok(rules) = AddressRewriteRules::nat_1to1(Host, [mapping.as_str()]) {
            prop_assert_eq!(rules.0.len(), 1);
        }
    }
}
