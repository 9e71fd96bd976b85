//! The search: breadth first, so that the first broken rule is reached by the fewest moves.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;

use super::moves::{Move, written};
use super::side::Broken;
use super::stage::{Node, Stage};
use super::world::World;

/// How much is explored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// States after which a search ends unfinished.
    pub(crate) states: usize,
    /// Sides that are merged are compared to the last field.
    pub(crate) thorough: bool,
}

/// What a search came to.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// Different states of one side.
    pub(crate) sides: usize,
    /// States from which only a run without faults was followed.
    pub(crate) leaves: usize,
    /// The fewest moves to the deepest state.
    pub(crate) depth: usize,
    /// Nothing was left unexplored within the horizon.
    pub(crate) finished: bool,
    pub(crate) broken: Option<(Broken, Vec<Move>)>,
}

/// Explores a world.
pub(crate) fn explore(world: &World, effort: Effort) -> Found {
    let mut search = Search {
        world,
        stage: Stage::new(world, effort.thorough, false),
        seen: BTreeSet::new(),
        path: Vec::new(),
        settled: BTreeSet::new(),
    };
    search.run(effort.states)
}

struct Search<'w> {
    world: &'w World,
    stage: Stage<'w>,
    seen: BTreeSet<u128>,
    /// How each state was reached: the state before, and the move.
    path: Vec<(usize, Move)>,
    /// States from which both sides are known to come to agree.
    settled: BTreeSet<u128>,
}

impl Search<'_> {
    fn run(&mut self, most: usize) -> Found {
        let mut found = Found {
            states: 0,
            steps: 0,
            sides: 0,
            leaves: 0,
            depth: 0,
            finished: false,
            broken: None,
        };
        found.broken = self.search(most, &mut found).err();
        found.states = self.path.len();
        found.sides = self.stage.distinct_sides();
        found
    }

    fn search(&mut self, most: usize, found: &mut Found) -> Result<(), (Broken, Vec<Move>)> {
        let origin = self.stage.begin().map_err(|broken| (broken, Vec::new()))?;
        self.seen.insert(origin.key());
        self.path.push((0, Move::Time));
        let mut frontier = VecDeque::from([(0, origin)]);
        while let Some((at, node)) = frontier.pop_front() {
            if self.stage.is_leaf(&node) {
                found.leaves += 1;
                self.settle(&node).map_err(|broken| (broken, self.moves_to(at)))?;
            }
            for step in self.stage.moves(&node) {
                found.steps += 1;
                let next = self.stage.make(&node, step).map_err(|broken| {
                    let mut moves = self.moves_to(at);
                    moves.push(step);
                    (broken, moves)
                })?;
                if self.seen.insert(next.key()) {
                    if self.path.len() >= most {
                        return Ok(());
                    }
                    self.path.push((at, step));
                    frontier.push_back((self.path.len() - 1, next));
                }
            }
            if frontier.is_empty() {
                found.depth = self.moves_to(at).len();
            }
        }
        found.finished = true;
        Ok(())
    }

    /// From here on the network is at its best: both sides come to agree.
    fn settle(&mut self, node: &Node) -> Result<(), Broken> {
        let until = node.now + self.world.settles;
        let mut node = self.stage.spent(node);
        let mut passed = Vec::new();
        while node.now < until && !self.settled.contains(&node.key()) {
            passed.push(node.key());
            let Some(next) = self.stage.fair(&node)? else { break };
            node = next;
        }
        if !self.settled.contains(&node.key()) {
            self.stage.agreement(&node)?;
        }
        self.settled.extend(passed);
        Ok(())
    }

    fn moves_to(&self, mut at: usize) -> Vec<Move> {
        let mut moves = Vec::new();
        while at > 0 {
            let (before, step) = self.path[at];
            moves.push(step);
            at = before;
        }
        moves.reverse();
        moves
    }
}

/// Plays a trace, and goes on without faults: what happened, line by line, and how it ended.
pub(crate) fn replay(world: &World, moves: &[Move]) -> (String, Result<(), Broken>) {
    let mut story = format!("world: {}\nmoves: {}\n", world.name, written(moves));
    let result = play(world, moves, &mut story);
    (story, result)
}

fn play(world: &World, moves: &[Move], story: &mut String) -> Result<(), Broken> {
    let mut stage = Stage::new(world, false, true);
    let mut node = stage.begin()?;
    stage.take_told();
    let mut told = |node: &Node, text: String| {
        let _ = writeln!(story, "{:>6.1} ms  {text}", node.now.as_nanos() as f64 / 1e6);
    };
    for &step in moves {
        if !stage.moves(&node).contains(&step) {
            return Err(format!("no such move here: {step}"));
        }
        told(&node, stage.describe(&node, step));
        let next = stage.make(&node, step);
        for line in stage.take_told() {
            told(&node, line);
        }
        node = next?;
    }
    if !stage.is_leaf(&node) {
        return Ok(());
    }
    told(&node, "from here on without faults".to_owned());
    let until = node.now + world.settles;
    node = stage.spent(&node);
    while node.now < until {
        let next = stage.fair(&node);
        for line in stage.take_told() {
            told(&node, line);
        }
        match next? {
            Some(next) => node = next,
            None => break,
        }
    }
    stage.agreement(&node)
}
