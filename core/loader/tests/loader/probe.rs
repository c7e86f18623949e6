//! Plugins that misbehave while they are loaded or constructed: in another process, once.

use std::fs;

use trainer_loader::{LoadError, Policy};

use crate::place::Place;

/// The refusal of a plugin that does `what`, and how often it was tried out in two loads; `FILE` is its cached result.
fn two_refusals(what: &str, code: &str) -> (String, usize) {
    let mut place = Place::new(Policy::Off);
    place.rogue(what);
    let first = place.refusal("x.so", code);
    assert_eq!(first, place.refusal("x.so", code));
    if place.probed() > 1 {
        return (first, place.probed());
    }
    let result = place.only_file("cache/probes");
    let shown = place.short(result.to_str().unwrap());
    assert!(first.contains(&shown), "{first} names {shown}");

    assert_eq!(place.inspect("x.so").refusal.unwrap().code(), code, "a list shows the quarantine");
    fs::remove_file(result).unwrap();
    place.rogue("");
    assert!(place.load("x.so").is_ok(), "it is tried again when the result is gone");
    (first.replace(&shown, "FILE"), place.probed() - 1)
}

#[test]
fn a_crash_is_kept() {
    let crashed = |signal: &str| {
        format!(
            "plugin ~/x.so crashed with signal {signal} when it was tried out in another process; rebuild it, or delete \
             FILE to try it again"
        )
    };
    assert_eq!(two_refusals("segfault", "probe-crashed"), (crashed("11 (SIGSEGV)"), 1));
    assert_eq!(two_refusals("abort", "probe-crashed"), (crashed("6 (SIGABRT) (`told to abort`)"), 1));
}

#[test]
fn an_exit_is_kept() {
    let exited = "plugin ~/x.so ended its process with exit code 0 when it was tried out; a plugin must not call exit: \
                  rebuild it, or delete FILE to try it again";
    assert_eq!(two_refusals("exit", "probe-exited"), (exited.into(), 1));
}

#[test]
fn a_hang_is_kept() {
    let hung = "plugin ~/x.so was not ready after 5 s when it was tried out; a plugin must load and construct at once: \
                rebuild it, or delete FILE to try it again";
    assert_eq!(two_refusals("hang", "probe-timed-out"), (hung.into(), 1));
}

#[test]
fn a_refusal_or_panic_is_an_error_and_tried_again() {
    let refused = |words: &str| {
        format!(
            "plugin ~/x.so cannot construct loss rogue with its default options: it {words}; \
             a component must accept its default options"
        )
    };
    let told = refused("refuses the options: cannot take these options: told to refuse");
    assert_eq!(two_refusals("refuse", "probe-refused"), (told, 2));
    let (message, count) = two_refusals("panic", "probe-refused");
    let start =
        "plugin ~/x.so cannot construct loss rogue with its default options: it failed in `create`: panicked at ";
    assert!(message.starts_with(start) && message.contains(": told to panic; "), "{message}");
    assert_eq!(count, 2);
    let (message, _) = two_refusals("tensors", "probe-refused");
    assert!(message.contains("construction and load use no tensors: leave them to the first call"), "{message}");
}

#[test]
fn printing_is_counted_and_harmless() {
    let mut place = Place::new(Policy::Off);
    place.rogue("print");
    let printed = "plugin rogue wrote 14 bytes to standard output when it was loaded; it should log instead";
    assert_eq!(place.warnings("x.so"), [printed]);
    assert_eq!(place.warnings("x.so"), [printed], "also from the cache");
    assert_eq!(place.probed(), 1);
    assert_eq!(place.inspect("x.so").warnings, [printed]);
}

#[test]
fn threads_are_counted() {
    let mut place = Place::new(Policy::Off);
    place.rogue("thread");
    place.load("x.so").unwrap();
    assert_eq!(place.inspect("x.so").probed.unwrap().threads, 1);
}

#[test]
fn a_result_is_kept_by_content_and_a_damaged_one_made_again() {
    let mut place = Place::new(Policy::Off);
    place.rogue("");
    place.load("x.so").unwrap();
    place.load("x.so").unwrap();
    assert_eq!(place.probed(), 1);
    let result = place.only_file("cache/probes");
    for damaged in ["", "{", "{\"ok\":{}}", "[1]"] {
        fs::write(&result, damaged).unwrap();
        place.load("x.so").unwrap();
    }
    assert_eq!(place.probed(), 5);
    let sha256 = place.inspect("x.so").sha256.unwrap();
    assert!(trainer_loader::forget_probe(&sha256, &place.options).unwrap());
    assert!(!trainer_loader::forget_probe(&sha256, &place.options).unwrap());
    place.load("x.so").unwrap();
    assert_eq!(place.probed(), 6);
    let mut bytes = fs::read(place.path("x.so")).unwrap();
    bytes.push(0);
    place.write("x.so", bytes);
    place.load("x.so").unwrap();
    assert_eq!(place.probed(), 7, "other bytes, another plugin");
}

#[test]
fn a_plugin_must_be_what_it_was() {
    let place = Place::new(Policy::Off);
    place.load("x.so").unwrap();
    let result = place.only_file("cache/probes");
    let whole = fs::read_to_string(&result).unwrap();
    let differs = |from: &str, to: &str| {
        fs::write(&result, whole.replace(from, to)).unwrap();
        place.refusal("x.so", "probe-differs")
    };
    let message = |what: &str| {
        format!(
            "plugin ~/x.so differs from what it was when it was tried out: {what}; a plugin must be the same each time"
        )
    };
    assert_eq!(differs("\"amount\"", "\"number\""), message("the options of loss rogue"));
    assert_eq!(differs("\"rogue\"", "\"saint\""), message("loss saint then, loss rogue now"));
    let none = "{\"ok\":{\"components\":[],\"printed\":0,\"threads\":0}}";
    assert_eq!(differs(&whole, none), message("0 components then, 1 now"));
}

#[test]
fn the_probe_itself_is_missing_or_broken() {
    let mut place = Place::new(Policy::Off);
    place.options.probe = Some(place.path("nowhere/trainer-probe"));
    assert_eq!(
        place.refusal("x.so", "probe-missing"),
        "plugin ~/x.so cannot be tried out: trainer-probe is neither in ~/nowhere; install it beside the trainer"
    );
    place.options.probe = Some(place.write("probe", "not executable"));
    let message = place.refusal("x.so", "probe-unusable");
    let start = "plugin ~/x.so cannot be tried out: ~/probe cannot be run: ";
    assert!(message.starts_with(start) && message.ends_with("; build it with the trainer"), "{message}");
    place.options.probe = None;
    assert!(place.load("x.so").is_ok(), "found above the test's own folder");
}

#[test]
fn what_the_probe_cannot_open_is_said_as_the_loader_says_it() {
    let place = Place::empty(Policy::Off);
    let manifest = r#"{\"schema\":1,\"id\":\"c\",\"version\":\"1\",\"license\":\"\",\"abi\":\"ABI\",\"rustc\":\"\",\"target\":\"\",\"panic\":\"\",\"components\":[]}"#;
    let manifest = manifest.replace("ABI", trainer_sdk::abi::VERSION);
    let length = manifest.replace('\\', "").len();
    let source = format!(
        "__attribute__((section(\".trainer.manifest\"), used)) static const char manifest[{length}] = \"{manifest}\";
         extern int nowhere(void); int f(void) {{ return nowhere(); }}"
    );
    place.cc("x.so", &source, &["-shared", "-fPIC"]);
    let error = place.load("x.so").err().unwrap();
    assert!(matches!(error, LoadError::Open { .. }));
    let message = place.message(&error, "cannot-open");
    assert!(message.starts_with("plugin ~/x.so cannot be loaded: "), "{message}");
}

#[test]
fn a_layout_or_a_start_that_fails_there_is_refused_as_here() {
    let mut place = Place::new(Policy::Off);
    let mut refusal = |code: &str| {
        let answer = format!("#!/bin/sh\necho '{{\"{code}\":\"the reason\"}}'\n");
        place.options.probe = Some(place.write("probe.sh", answer));
        place.mode("probe.sh", 0o755);
        place.refusal("x.so", code)
    };
    let version = trainer_sdk::abi::VERSION;
    assert_eq!(
        refusal("abi-layout"),
        format!(
            "plugin ~/x.so does not fit this trainer's plugin ABI {version}: the reason; \
             rebuild it with the trainer-sdk of this trainer"
        )
    );
    assert_eq!(refusal("init-failed"), "plugin ~/x.so failed to start: the reason");
}
