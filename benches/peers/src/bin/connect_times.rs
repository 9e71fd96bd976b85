//! Prints how long two agents take to connect in virtual time, by world and implementation, and
//! what was seen of each on the wire.

use std::env;

use frazil_peers::times::{Figures, Name, Summary, World, head};

const USAGE: &str = "usage: connect-times [--seeds N] [--quick] [--only WORLD]";

/// What the command line says.
struct Options {
    /// Runs of each implementation in each world.
    seeds: u64,
    /// Only worlds whose section and row contain this.
    only: Option<String>,
}

impl Options {
    fn from_args(mut args: impl Iterator<Item = String>) -> Self {
        let mut options = Self { seeds: 200, only: None };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => options.seeds = 20,
                "--seeds" => {
                    let seeds = args.next().and_then(|seeds| seeds.parse().ok());
                    options.seeds = seeds.filter(|seeds| *seeds > 0).expect(USAGE);
                }
                "--only" => options.only = Some(args.next().expect(USAGE)),
                _ => panic!("{USAGE}"),
            }
        }
        options
    }

    fn wants(&self, world: World) -> bool {
        let name = format!("{}: {}", world.section(), world.row());
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }
}

fn main() {
    let options = Options::from_args(env::args().skip(1));
    let worlds: Vec<_> = World::all().into_iter().filter(|world| options.wants(*world)).collect();
    let mut summary = Summary::default();
    for section in worlds.chunk_by(|one, other| one.section() == other.section()) {
        println!("### {}\n\n{}", section[0].section(), head());
        for world in section {
            let outcomes = Name::ALL
                .map(|name| (0..options.seeds).map(|seed| name.run(*world, seed)).collect());
            let figures = Figures::new(*world, &outcomes);
            println!("{}", figures.lines());
            summary.add(&figures, &outcomes);
        }
        println!();
    }
    println!("### All of these worlds\n\n{}", summary.tables());
}
