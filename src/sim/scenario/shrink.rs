//! The smallest scenario that shows the same.

use super::{Families, Scenario, ScenarioFailure, Side, Site, Tcp};
use crate::config::NominationMode;

impl ScenarioFailure {
    /// Leaves out of the scenario whatever it does without and is still wrong in the same way, one
    /// thing after the other, until there is nothing more to leave out.
    #[must_use]
    pub fn shrink(self) -> Self {
        let mut smallest = self;
        loop {
            let smaller = simpler(&smallest.scenario).find_map(|scenario| {
                let failure = scenario.run().err()?;
                (failure.violation == smallest.violation).then_some(failure)
            });
            match smaller {
                Some(failure) => smallest = *failure,
                None => return smallest,
            }
        }
    }
}

/// What is simpler than a scenario by one thing.
fn simpler(scenario: &Scenario) -> impl Iterator<Item = Scenario> {
    let mut all = Vec::new();
    for position in 0..scenario.transitions.len() {
        let mut simpler = scenario.clone();
        simpler.transitions.remove(position);
        all.push(simpler);
    }
    all.push(Scenario { loss: 0, ..scenario.clone() });
    let [first, second] = &scenario.sides;
    for side in less(first) {
        all.push(scenario.clone().first(side));
    }
    for side in less(second) {
        all.push(scenario.clone().second(side));
    }
    for (position, site) in scenario.sites.iter().enumerate() {
        let mut simpler = scenario.clone();
        if let Some(place) = simpler.sites.get_mut(position) {
            *place = Site::nat(site.mapping, site.filtering);
        }
        all.push(simpler);
    }
    let scenario = scenario.clone();
    all.into_iter().filter(move |simpler| *simpler != scenario)
}

fn less(side: &Side) -> Vec<Side> {
    let mut less = vec![
        Side { site: None, ..side.clone() },
        Side { families: Families::Ipv4, ..side.clone() },
        Side { role: None, ..side.clone() },
        Side { reflexive: false, ..side.clone() },
        Side { relayed: false, ..side.clone() },
        Side { relayed_over_tcp: false, ..side.clone() },
        Side { tcp: Tcp::None, ..side.clone() },
        Side { complete: false, ..side.clone() },
        Side { signalling: 0, ..side.clone() },
        Side { nomination: NominationMode::Regular, ..side.clone() },
    ];
    if side.families == Families::Both {
        less.push(Side { families: Families::Ipv6, ..side.clone() });
    }
    if side.tcp == Tcp::Both {
        less.extend([Tcp::Active, Tcp::Passive].map(|tcp| Side { tcp, ..side.clone() }));
    }
    for position in 0..side.more.len() {
        let mut less_connected = side.clone();
        less_connected.more.remove(position);
        less.push(less_connected);
    }
    less
}
