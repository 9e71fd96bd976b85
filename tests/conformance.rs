//! `docs/conformance.md` answers every requirement, and every test that it names exists.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::path::Path;

const TABLE: &str = include_str!("../docs/conformance.md");

/// The ids of the checklist: a letter, and how many there are of it.
const IDS: [(char, usize); 18] = [
    ('A', 6),
    ('C', 22),
    ('D', 13),
    ('G', 17),
    ('H', 4),
    ('K', 6),
    ('L', 10),
    ('M', 6),
    ('N', 15),
    ('P', 10),
    ('Q', 15),
    ('R', 8),
    ('S', 10),
    ('T', 14),
    ('U', 26),
    ('V', 21),
    ('W', 30),
    ('X', 9),
];

/// The rows of the table: id and answer.
fn rows() -> BTreeMap<&'static str, &'static str> {
    let mut rows = BTreeMap::new();
    for line in TABLE.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let is_id = cells[0].len() > 1
            && cells[0].starts_with(|first: char| first.is_ascii_uppercase())
            && cells[0][1..].bytes().all(|byte| byte.is_ascii_digit());
        if is_id {
            assert_eq!(cells.len(), 3, "a row has three cells: {line}");
            assert!(rows.insert(cells[0], cells[2]).is_none(), "{} occurs twice", cells[0]);
        }
    }
    rows
}

#[test]
fn every_requirement_is_answered() {
    let rows = rows();
    let mut expected = 0;
    for (letter, count) in IDS {
        for number in 1..=count {
            let id = format!("{letter}{number}");
            let answer = rows.get(id.as_str()).unwrap_or_else(|| panic!("{id} has no row"));
            let answered = answer.contains("::")
                || answer.starts_with("waits for ")
                || answer.starts_with("does not apply: ");
            assert!(answered, "{id} is not answered: {answer}");
        }
        expected += count;
    }
    assert_eq!(rows.len(), expected, "there are rows for ids that do not exist");
}

#[test]
fn every_named_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut checked = 0;
    for (id, answer) in rows() {
        for name in answer.split('`').skip(1).step_by(2) {
            let Some((file, test)) = name.split_once("::") else { continue };
            let source = read_to_string(root.join(file))
                .unwrap_or_else(|error| panic!("{id} names {file}: {error}"));
            let (head, _) = source
                .split_once(&format!("fn {test}("))
                .unwrap_or_else(|| panic!("{id} names {test}, which is not in {file}"));
            let attributes = head.rsplit("\n\n").next().unwrap_or(head);
            assert!(
                attributes.contains("#[test]") || head.contains("proptest!"),
                "{id} names {test} in {file}, which is no test"
            );
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} tests are named");
}
