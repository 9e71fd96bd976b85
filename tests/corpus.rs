//! The corpora of the fuzz targets on the stable toolchain: every input that a fuzzer has found
//! worth keeping still finds nothing wrong. `fuzz/README.md` says how they come about.

use std::fs;
use std::path::{Path, PathBuf};

#[expect(unreachable_pub, reason = "a crate of its own, whose public items these are")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

/// A corpus of fewer files is not the one that was committed.
const LEAST: usize = 20;

fn files(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn replay(target: &str) {
    let files = files(target);
    assert!(files.len() >= LEAST, "{target}: {} files", files.len());
    let (_, run) = targets::TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    for file in files {
        // Shown when the test fails: the last one is the culprit.
        println!("{}", file.display());
        #[expect(clippy::disallowed_methods, reason = "a test reads its corpus")]
        let bytes = fs::read(&file).unwrap();
        run(&bytes);
    }
}

#[test]
fn the_corpus_of_agent_finds_nothing() {
    replay("agent");
}

#[test]
fn the_corpus_of_codec_finds_nothing() {
    replay("codec");
}

#[test]
fn the_corpus_of_mdns_finds_nothing() {
    replay("mdns");
}

#[test]
fn the_corpus_of_scenario_finds_nothing() {
    replay("scenario");
}

#[test]
fn the_corpus_of_replay_finds_nothing() {
    replay("replay");
}

#[test]
fn the_corpus_of_sdp_finds_nothing() {
    replay("sdp");
}

#[test]
fn the_corpus_of_stun_finds_nothing() {
    replay("stun");
}

#[test]
fn the_corpus_of_world_finds_nothing() {
    replay("world");
}

/// A target without a corpus, or a corpus without a target, is not replayed by anyone.
#[test]
fn every_target_has_a_corpus() {
    let mut folders = files("");
    folders.retain(|path| path.is_dir());
    let names: Vec<_> = folders.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(names, targets::TARGETS.map(|(name, _)| name));
}
