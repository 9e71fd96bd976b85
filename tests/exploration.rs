//! Two agents in worlds so small that everything that can happen in them is tried: every order of
//! datagrams, signals and timeouts, with a loss and a copy at every place. Every state is held
//! against the rules, and from every end both sides must come to agree.
//!
//! A broken rule is reported with the shortest trace that leads to it, as a story and as one line.
//! `EXPLORE_TRACE="name of the world: d0 t d1"` plays such a line again. `EXPLORE_DEEP=1` goes
//! further, and compares what is taken for equal to the last field.

mod common;
#[path = "exploration/moves.rs"]
mod moves;
#[path = "exploration/search.rs"]
mod search;
#[path = "exploration/side.rs"]
mod side;
#[path = "exploration/stage.rs"]
mod stage;
#[path = "exploration/world.rs"]
mod world;

use frazil::{NominationMode, Role};
use search::{Effort, explore, replay};
use world::{Act, Start, World};

/// States after which a world is left unfinished.
const STATES: usize = 6_000;
const DEEP_STATES: usize = 2_000_000;

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "how far to go is the caller's choice")]
    std::env::var(name).ok()
}

fn holds(world: &World) {
    if let Some(trace) = variable("EXPLORE_TRACE") {
        if let Some(moves) = trace.strip_prefix(&format!("{}: ", world.name)) {
            let (story, result) = replay(world, &moves::read(moves));
            println!("{story}");
            result.unwrap();
        }
        return;
    }
    let deep = variable("EXPLORE_DEEP").is_some();
    let states = variable("EXPLORE_STATES")
        .map_or(if deep { DEEP_STATES } else { STATES }, |n| n.parse().unwrap());
    let found = explore(world, Effort { states, thorough: deep });
    println!(
        "\n{}: {} states, {} steps, {} states of a side, {} ends, {} moves deep, {}",
        world.name,
        found.states,
        found.steps,
        found.sides,
        found.leaves,
        found.depth,
        if found.finished { "all of it" } else { "not all of it" },
    );
    if let Some((broken, moves)) = found.broken {
        let (story, _) = replay(world, &moves);
        panic!("{broken}\nafter {} moves:\n{story}", moves.len());
    }
    assert!(found.states >= world.floor, "too little was explored: {} states", found.states);
}

#[test]
fn one_path() {
    holds(&World::new("one path"));
}

#[test]
fn two_addresses_on_one_side() {
    holds(&World::new("two addresses on one side").addresses([2, 1]));
    holds(&World::new("two addresses on the other side").addresses([1, 2]));
}

#[test]
fn two_addresses_on_both_sides() {
    holds(&World::new("two addresses on both sides").addresses([2, 2]));
    holds(&World::new("one foundation").addresses([2, 2]).one_host());
}

#[test]
fn two_components() {
    holds(&World::new("two components").components(2));
}

#[test]
fn both_in_one_role() {
    for role in [Role::Controlling, Role::Controlled] {
        for seeds in [[1, 2], [2, 1]] {
            let name = match (role, seeds) {
                (Role::Controlling, [1, 2]) => "both controlling",
                (Role::Controlling, _) => "both controlling, seeds changed",
                (Role::Controlled, [1, 2]) => "both controlled",
                (Role::Controlled, _) => "both controlled, seeds changed",
            };
            holds(&World::new(name).roles([role; 2], seeds));
        }
    }
}

#[test]
fn both_in_one_role_with_equal_tie_breakers() {
    for (name, role) in [
        ("both controlling, equal tie breakers", Role::Controlling),
        ("both controlled, equal tie breakers", Role::Controlled),
    ] {
        // Late messages of before can leave both in one role; then only consent checks show it.
        holds(&World::new(name).roles([role; 2], [1, 2]).equal_ties().consent().settles(20_000));
    }
}

#[test]
fn restarts() {
    holds(&World::new("a restart by one side").acts(&[Act::Restart(0)]).start(Start::Completed));
    holds(&World::new("a restart by the other side").acts(&[Act::Restart(1)]));
    holds(&World::new("a restart by both").acts(&[Act::Restart(0), Act::Restart(1)]));
}

#[test]
fn competing_nominations() {
    holds(
        &World::new("every check nominates")
            .addresses([2, 1])
            .nomination(NominationMode::Aggressive),
    );
}

#[test]
fn renominations() {
    holds(
        &World::new("renomination")
            .addresses([2, 1])
            .nomination(NominationMode::Renomination { automatic: true })
            .start(Start::Completed)
            .acts(&[Act::Renominate(0), Act::Renominate(0)]),
    );
}

#[test]
fn late_candidates() {
    holds(&World::new("signals one by one").start(Start::Unsignalled).trickle());
    holds(&World::new("a late address").continual().acts(&[Act::AddLocal(0), Act::AddLocal(1)]));
}

#[test]
fn lite_and_full() {
    holds(&World::new("full and lite").addresses([2, 1]).lite(1));
    holds(
        &World::new("lite and full, both controlling")
            .roles([Role::Controlling; 2], [1, 2])
            .addresses([1, 2])
            .lite(0),
    );
}

#[test]
fn failover() {
    holds(
        &World::new("the selected path is cut")
            .addresses([2, 1])
            .consent()
            .start(Start::Completed)
            .acts(&[Act::Cut])
            .delay(0)
            .horizon(11_000)
            .settles(20_000),
    );
}
