//! The layout of every type, pinned in sdk/abi/layout.txt.

use std::{env, fs, path::Path};

use super::types;

/// What somebody needs to know who changed a type, by accident or not.
const ADVICE: &str = "\
Tables are frozen for each id: a plugin that was built against the old layout would read the wrong bytes.
- By accident? Undo it.
- Growth: leave the released type alone and add a new one under a new id (trainer.loss/2); hosts and plugins use the
  newest that they share. A wholly new type or id is added here by blessing, too.
- While the ABI's version still ends in -rc.N a type may change: raise the number (sdk/abi/Cargo.toml), run this test with
  TRAINER_BLESS=1, mirror the change in sdk/include/trainer_plugin.h and write a line into CHANGELOG.md.";

#[test]
fn layouts_are_those_of_layout_txt() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("layout.txt");
    let built = types::listing();
    let pinned = fs::read_to_string(&file).unwrap_or_default();
    let mut changes = changes(&pinned, &built);
    let may_change = trainer_abi::VERSION.contains("-rc") || changes.iter().all(|line| is_growth(line, &pinned));
    if env::var_os("TRAINER_BLESS").is_some() && may_change {
        fs::write(&file, &built).unwrap();
        changes.clear();
    }
    assert!(
        changes.is_empty(),
        "the ABI's layout differs from sdk/abi/layout.txt:\n{}\n\n{ADVICE}",
        changes.join("\n")
    );
}

/// Whether a change leaves all released types as they are: a new type with its fields, or a new constant.
fn is_growth(change: &str, pinned: &str) -> bool {
    let owner = change.strip_prefix("+ ").and_then(|line| line.split(['.', ':']).next());
    owner.is_some_and(|owner| change.contains("::") || !pinned.contains(&format!("{owner}: ")))
}

/// The lines that only one side has, each below the type that it belongs to.
fn changes(pinned: &str, built: &str) -> Vec<String> {
    let (old, new) = (qualified(pinned), qualified(built));
    let gone = old.iter().filter(|line| !new.contains(line)).map(|line| format!("- {line}"));
    let come = new.iter().filter(|line| !old.contains(line)).map(|line| format!("+ {line}"));
    let mut changes: Vec<_> = gone.chain(come).collect();
    changes.sort_by_key(|line| line[2..].split([':', '.']).next().map(str::to_owned));
    changes
}

/// Each line by itself: those of fields with the name of their type in front.
fn qualified(listing: &str) -> Vec<String> {
    let mut owner = "";
    let mut lines = Vec::new();
    for text in listing.lines() {
        if !text.starts_with(' ') {
            owner = text.split(':').next().unwrap_or_default();
        }
        lines.push(match text.strip_prefix("  ") {
            Some(field) => format!("{owner}. {}", field.trim_start()),
            None => text.to_owned(),
        });
    }
    lines
}

#[test]
fn a_change_is_told_by_type_and_field() {
    let old = "A: 8 bytes, aligned to 4\n    0 x: u32\n    4 y: u32\nB: 4 bytes, aligned to 4\n    0 x: u32\nabi::ID = \"a/1\"\n";
    let new = "A: 8 bytes, aligned to 4\n    0 x: u32\n    4 y: i32\nB: 4 bytes, aligned to 4\n    0 x: u32\nabi::ID = \"a/2\"\n";
    assert!(is_growth("+ C. 0 x: u32", old) && is_growth("+ tag::NEW = 12", old));
    assert!(!is_growth("- B. 0 x: u32", old) && !is_growth("+ B. 4 y: u32", old));
    assert_eq!(changes(old, old), Vec::<String>::new());
    assert_eq!(changes(old, new), ["- A. 4 y: u32", "+ A. 4 y: i32", "- abi::ID = \"a/1\"", "+ abi::ID = \"a/2\""]);
}
