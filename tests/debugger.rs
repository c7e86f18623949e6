//! A plugin stops in a debugger: at a line of its source, with its options to be read. Needs gdb or lldb; where one is
//! missing, the test of it says so and is no test.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::run::{Run, built};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// label_smooth as `cargo build` makes it for debugging.
fn debug_plugin() -> PathBuf {
    let target = built("trainer").parent().unwrap().join("../debugger");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "--locked", "--package", "label_smooth", "--target-dir"])
        .arg(&target)
        .current_dir(ROOT)
        .status()
        .unwrap();
    assert!(status.success(), "label_smooth does not build for debugging");
    target.join("debug/liblabel_smooth.so").canonicalize().unwrap()
}

/// The line of label_smooth's source that holds this.
fn line_of(code: &str) -> usize {
    let source = fs::read_to_string(Path::new(ROOT).join("plugins/label_smooth/src/lib.rs")).unwrap();
    1 + source.lines().position(|line| line.contains(code)).unwrap()
}

/// What scripts/debug-plugin prints, or none where the debugger is not installed.
fn debugged(debugger: &str, commands: &[&str]) -> Option<String> {
    if Command::new(debugger).arg("--version").output().is_err() {
        // Past the capture of the test's output, since a test that did not run must be seen.
        let _ = writeln!(std::io::stderr(), "\nSKIPPED: {debugger} is not installed, so no plugin was stopped in it\n");
        return None;
    }
    let plugin = debug_plugin();
    let run = Run::new().keys(&format!("--plugin {} label_smooth.epsilon=0.125", plugin.display()));
    let stop = format!("lib.rs:{}", line_of("let scores = targets.scores()"));
    let place = format!("label_smooth/src/{stop}");
    let mut script = Command::new(Path::new(ROOT).join("scripts/debug-plugin"));
    script.args(["--debugger", debugger, "--batch", "--break", &place]);
    commands.iter().for_each(|command| _ = script.args(["--do", command]));
    let output = script
        .arg("--")
        .arg(&run.trainer)
        .args(&run.words)
        .current_dir(run.path(""))
        .env("XDG_CACHE_HOME", run.path("cache"))
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(said.contains(&stop), "no stop at {place}\n{said}"); // lldb leaves the folder out
    Some(said)
}

#[test]
fn gdb_stops_in_a_plugin_and_prints_its_option() {
    let Some(said) = debugged("gdb", &["print self.epsilon", "backtrace 1"]) else { return };
    assert!(said.contains("$1 = 0.125"), "{said}");
    assert!(said.contains("label_smooth::{impl#") && said.contains("::targets"), "{said}");
}

#[test]
fn lldb_stops_in_a_plugin_and_prints_its_option() {
    let Some(said) = debugged("lldb", &["print self->epsilon"]) else { return };
    assert!(said.contains("= 0.125"), "{said}");
}
