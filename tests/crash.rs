//! A plugin that ends the process: the report names it, the exit is what it would have been, and what was saved stays.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitStatus},
};

use crate::run::Run;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/crashy/src/lib.rs");

/// The end of a run with these words, and the lines of its report.
fn crash(run: &Run) -> (ExitStatus, Vec<String>) {
    let output = Command::new(&run.trainer)
        .args(&run.words)
        .current_dir(run.path(""))
        .env_clear()
        .env("HOME", run.path("home"))
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines = stderr.lines().skip_while(|line| !line.starts_with("error: ")).map(str::to_owned).collect::<Vec<_>>();
    let file = run.trainer.with_file_name("libcrashy.so");
    (output.status, lines.into_iter().map(|line| line.replace(file.to_str().unwrap(), "FILE")).collect())
}

fn run(words: &str) -> Run {
    Run::new().keys("epochs=2 project=out name=run --plugin crashy.so").keys(words)
}

/// The line of the fixture's source that ends in this.
fn source_line(end: &str) -> usize {
    let source = fs::read_to_string(SOURCE).unwrap();
    1 + source.lines().position(|line| line.ends_with(end)).unwrap()
}

/// Asserts that the report's second line is the line of the fixture's source that ends in this.
fn assert_place(lines: &[String], end: &str) {
    let wanted = format!("crashy/src/lib.rs:{}", source_line(end));
    assert!(lines.len() == 2 && lines[1].starts_with("  at ") && lines[1].ends_with(&wanted), "{wanted}\n{lines:#?}");
}

#[test]
fn a_null_pointer_is_told_with_its_line_and_saved_weights_stay() {
    let run = run("crashy.how=null crashy.epoch=1");
    let (status, lines) = crash(&run);
    assert_eq!(status.signal(), Some(11));
    assert_eq!(lines[0], "error: plugin FILE (crashy) crashed in `terms` with SIGSEGV at address 0x0");
    assert_place(&lines, "// dereferences");
    assert_eq!(run.read("out/run/results.csv").lines().count(), 2, "the heading and the first epoch");
    let weights = format!("weights={}", run.path("out/run/weights/last.safetensors").display());
    let mut val = run;
    val.words = vec!["val".into(), weights, "data=data/data.yaml".into()];
    val.expect(0);
}

#[test]
fn an_abort_is_told_with_the_line_of_the_plugin_that_led_to_it() {
    let (status, lines) = crash(&run("crashy.how=abort"));
    assert_eq!(status.signal(), Some(6));
    assert_eq!(lines[0], "error: plugin FILE (crashy) crashed in `terms` with SIGABRT");
    assert_place(&lines, "// aborts");
}

#[test]
fn a_stack_overflow_is_told_as_such() {
    let (status, lines) = crash(&run("crashy.how=overflow"));
    assert_eq!(status.signal(), Some(11));
    let (start, end) =
        ("error: plugin FILE (crashy) crashed in `terms` with SIGSEGV at address 0x", ": its stack has overflowed");
    assert!(lines[0].starts_with(start) && lines[0].ends_with(end), "{lines:#?}");
    assert!(lines[1].contains("crashy/src/lib.rs:"), "{lines:#?}");
}

#[test]
fn a_crash_on_a_loader_thread_is_told_too() {
    let (status, lines) = crash(&run("crashy_pixels.how=null workers=2"));
    assert_eq!(status.signal(), Some(11));
    assert_eq!(lines[0], "error: plugin FILE (crashy_pixels) crashed in `apply` with SIGSEGV at address 0x0");
    assert_place(&lines, "// dereferences");
}

#[test]
fn exit_in_a_plugin_is_a_failure_of_the_plugin() {
    let (status, lines) = crash(&run("crashy.how=exit"));
    assert_eq!(status.code(), Some(2));
    assert_eq!(lines, ["error: plugin FILE (crashy) called exit in `terms`; it must return an error instead"]);
}

#[test]
fn exit_on_a_thread_of_a_plugin_does_not_look_like_success() {
    let (status, lines) = crash(&run("crashy.how=aside"));
    assert_eq!(status.code(), Some(2));
    let told = "error: exit was called while the trainer was at work, outside of all calls: by a thread of a plugin, most \
                likely, which must not end the process";
    assert_eq!(lines, [told]);
}

#[test]
fn a_crash_on_a_thread_that_no_plugin_was_called_on_is_what_it_would_have_been() {
    let (status, lines) = crash(&run("crashy.how=thread"));
    assert_eq!((status.signal(), lines), (Some(11), Vec::new()));
}
