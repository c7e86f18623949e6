//! What is told of files without running them.

use std::fs;

use trainer_loader::{Policy, Provenance, Trust, libraries};

use crate::place::Place;

#[test]
fn nothing_is_run_or_written() {
    let mut place = Place::new(Policy::Lock);
    place.rogue("segfault");
    let seen = place.inspect("x.so");
    assert_eq!(seen.manifest.as_ref().unwrap().id, "rogue");
    assert_eq!((seen.policy, seen.provenance, seen.trust), (Policy::Lock, Provenance::Explicit, Trust::Unknown));
    assert_eq!(seen.refusal.unwrap().code(), "not-trusted");
    assert!(seen.probed.is_none() && seen.warnings.is_empty());
    assert_eq!(place.probed(), 0);
    assert!(!place.path("cache").exists());
}

#[test]
fn what_an_earlier_probe_found_is_shown() {
    let place = Place::new(Policy::Off);
    place.load("x.so").unwrap();
    let seen = place.inspect("x.so");
    assert!(seen.refusal.is_none());
    let components = seen.probed.unwrap().components;
    assert_eq!((components.len(), components[0].name.as_str()), (1, "rogue"));
    assert_eq!(components[0].schema["properties"]["amount"]["default"], 0.0);
}

#[test]
fn other_files_have_their_refusal() {
    let place = Place::empty(Policy::Off);
    assert_eq!(place.inspect("none.so").refusal.unwrap().code(), "unreadable");
    place.write("x.so", "text");
    let seen = place.inspect("x.so");
    assert_eq!(seen.refusal.unwrap().code(), "not-elf");
    assert!(seen.manifest.is_none() && seen.sha256.is_some());
}

#[test]
fn a_folder_lists_its_libraries_by_name() {
    let place = Place::new(Policy::Off);
    place.write("b.so", "");
    place.write("a.so", "");
    place.write("c.txt", "");
    fs::create_dir(place.path("d.so")).unwrap();
    let found = libraries(&place.path(""));
    let names: Vec<_> = found.iter().map(|found| found.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["a.so", "b.so", "x.so"]);
    assert!(found.iter().all(|found| found.provenance == Provenance::Searched));
}
