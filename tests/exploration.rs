//! Two agents in worlds so small that everything that can happen in them is tried: every order of
//! datagrams, signals and timeouts, with a loss and a copy at every place. Every state is held
//! against the rules, and from every end both sides must come to agree.
//!
//! A broken rule is reported with the shortest trace that leads to it, as a story and as one line.
//! `EXPLORE_TRACE="name of the world: d0 t d1"` plays such a line again, `EXPLORE_STATES` goes
//! further, `EXPLORE_THOROUGH` compares what is taken for equal to the last field.

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
use search::{Effort, Found, explore, replay};
use world::{Act, Start, World};

/// States after which a world is left unfinished; `EXPLORE_STATES` says another number.
const STATES: usize = 12_000;
/// The same where everything arrives in time, which is to be finished.
const STATES_IN_TIME: usize = 100_000;
/// Fewer show that nothing was explored.
const FLOOR: usize = 500;
/// The same where everything arrives in time.
const FLOOR_IN_TIME: usize = 20;

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "how far to go is the caller's choice")]
    std::env::var(name).ok()
}

/// Explores a world twice: to its end where everything that arrives does so in the instant in which
/// it was sent, and then with delays, as far as the number of states allows.
fn holds(world: &World) {
    let in_time = world.clone().delay(0).named("in time");
    if let Some(found) = held(&in_time, STATES_IN_TIME) {
        assert!(found.finished && found.states >= FLOOR_IN_TIME, "{found:?}");
    }
    if world.delay > in_time.delay {
        if let Some(found) = held(world, STATES) {
            assert!(found.states >= FLOOR, "{found:?}");
        }
    }
}

/// Explores one world, or plays the trace that was asked for.
fn held(world: &World, states: usize) -> Option<Found> {
    if let Some(trace) = variable("EXPLORE_TRACE") {
        if let Some(moves) = trace.strip_prefix(&format!("{}: ", world.name)) {
            let (story, result) = replay(world, &moves::read(moves));
            println!("{story}");
            result.unwrap();
        }
        return None;
    }
    let states =
        variable("EXPLORE_STATES").map_or(states, |most| states.max(most.parse().unwrap()));
    let thorough = variable("EXPLORE_THOROUGH").is_some();
    let found = explore(world, Effort { states, thorough });
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
    if let Some((broken, moves)) = &found.broken {
        let (story, _) = replay(world, moves);
        panic!("{broken}\nafter {} moves:\n{story}", moves.len());
    }
    Some(found)
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
        // Late messages of before can leave both in one role, which only consent checks show. A side
        // that was selected for while it was controlled, and then becomes controlling, nominates
        // nothing: where a copy or a delay brings that about is not explored here.
        let world = World::new(name).roles([role; 2], [1, 2]).equal_ties().faults(1, 0);
        let delay = if role == Role::Controlling { 60 } else { 0 };
        holds(&world.consent().settles(20_000).delay(delay));
    }
}

#[test]
fn restarts() {
    holds(&World::new("a restart by one side").acts(&[Act::Restart(0)]).start(Start::Completed));
    holds(&World::new("a restart by the other side").acts(&[Act::Restart(1)]));
    let world = World::new("a restart by both").start(Start::Completed).faults(1, 0);
    holds(&world.acts(&[Act::Restart(0), Act::Restart(1)]));
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

/// What a trace leads to does not depend on what was explored before it.
#[test]
fn a_trace_can_be_told_and_played_again() {
    let world = World::new("one path").faults(1, 0);
    let moves = moves::read("d1 l1 t d0");
    assert_eq!(moves::written(&moves), "d1 l1 t d0");
    let (story, result) = replay(&world, &moves);
    assert_eq!(result, Ok(()));
    assert!(story.contains("is lost: answer"), "{story}");
    assert_eq!(replay(&world, &moves).0, story);
    let (_, impossible) = replay(&world, &moves::read("d0 s0"));
    assert_eq!(impossible, Err("no such move here: s0".to_owned()));
}

/// A lost answer and a triggered check: the controlling side once settled on the worse pair.
#[test]
fn regression_aggressive_nomination_ends_on_two_pairs() {
    let world = World::new("every check nominates").addresses([2, 1]);
    let world = world.nomination(NominationMode::Aggressive);
    let (story, result) = replay(&world, &moves::read("d1 l1 t d0 d0 d0 d0 d0 d0"));
    assert_eq!(result, Ok(()), "{story}");
}
