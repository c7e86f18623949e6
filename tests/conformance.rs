//! `trainer plugin check`: what ships passes, and each misfit of tests/plugins fails the right check for the right
//! reason.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use trainer_sdk::component;

use crate::run::built;

/// One run of the command, as its JSON document shows it.
pub struct Checked {
    pub exit: i32,
    rows: Vec<Value>,
    pub home: TempDir,
}

impl Checked {
    pub fn new(words: &str) -> Self {
        Self::with(words, &[])
    }

    fn with(words: &str, environment: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(built("trainer"));
        command.args(["plugin", "check", "--json"]).args(words.split(' ')).current_dir(home.path());
        command.env_clear().env("HOME", home.path()).envs(environment.iter().copied());
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let document: Value = serde_json::from_str(&text)
            .unwrap_or_else(|reason| panic!("{reason}: {text}{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(document["exit"], output.status.code().unwrap());
        let rows = document["checks"].as_array().unwrap().clone();
        Self { exit: output.status.code().unwrap(), rows, home }
    }

    /// The rows of an outcome, as `check component: reason`.
    pub fn of(&self, outcome: &str) -> Vec<String> {
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        let home = self.home.path().to_str().unwrap();
        let line = |row: &Value| {
            format!("{} {}: {}", text(row, "check"), text(row, "component"), text(row, "reason").replace(home, "HOME"))
        };
        self.rows.iter().filter(|row| row["outcome"] == outcome).map(line).collect()
    }

    pub fn bad(&self) -> Vec<String> {
        ["failed", "crashed", "refused"].iter().flat_map(|outcome| self.of(outcome)).collect()
    }
}

#[test]
fn what_ships_passes() {
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins");
    let folders = fs::read_dir(plugins).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    for name in folders.map(|entry| entry.file_name().into_string().unwrap()) {
        let checked = Checked::new(&built(&format!("lib{name}.so")).display().to_string());
        assert_eq!((checked.exit, checked.bad()), (0, vec![]), "{name}");
        let passed = checked.of("passed").len();
        assert!((8..=10).contains(&passed), "{name}: {passed} checks");
    }
}

#[test]
fn built_in_components_pass() {
    let _links_the_trainer = trainer::registry::Registry::built_in();
    let checked = Checked::new("--builtin");
    assert_eq!((checked.exit, checked.bad()), (0, vec![]));
    let seen = checked.rows.iter().filter(|row| row["check"] == "options").count();
    assert_eq!(seen, component::all().len());
    for (check, count) in
        [("failures", 15), ("determinism", 17), ("state", 5), ("loss", 1), ("values", 16), ("exporter", 1)]
    {
        assert_eq!(checked.rows.iter().filter(|row| row["check"] == check).count(), count, "{check}");
    }
}

/// Reasons of a component, as a check and the beginning of what it is told, in the order of the checks.
pub type Reasons = &'static [(&'static str, &'static str)];

/// Stands for the checks that call a loss before check 10 does, and which all tell of a call that fails.
const CALLING: &str = "calling";

const MISFITS: [(&str, Reasons); 13] = [
    (
        "loss loss_nan",
        &[("loss", "on a batch with objects in double precision: term `cls` is NaN; look for logarithms")],
    ),
    (
        "loss loss_vector",
        &[
            (CALLING, "loss loss_vector: plugin ~ failed in `terms`: term `cls` must be a scalar, not [2, 84, 3]"),
            (
                "loss",
                "on a batch with objects in double precision: loss loss_vector: plugin ~ failed in `terms`: term ",
            ),
        ],
    ),
    (
        "loss loss_detached",
        &[
            (CALLING, "term `cls` of loss loss_detached has no gradient"),
            ("loss", "on a batch with objects in double precision: term `cls` of loss loss_detached has no gradient"),
        ],
    ),
    (
        "loss loss_panics_terms",
        &[
            (
                CALLING,
                "loss loss_panics_terms: plugin ~ failed in `terms`: panicked at tests/plugins/misfits/src/losses.",
            ),
            (
                "loss",
                "on a batch with objects in double precision: loss loss_panics_terms: plugin ~ failed in `terms`: ",
            ),
        ],
    ),
    (
        "loss loss_leaks",
        &[
            ("instances", "48 tensor handles are left after 48 calls of an instance that has ended; release every"),
            ("failures", "1 tensor handles are left after a call; release every handle once"),
        ],
    ),
    (
        "loss loss_syncs",
        &[
            ("failures", "it goes on where call 1 into the trainer (aten::to) fails; pass the error on"),
            ("loss", "it synchronises the device 1 times a call, first by to_bytes; keep values in tensors"),
        ],
    ),
    (
        "loss loss_random",
        &[("determinism", "two fresh instances differ in step 0 although all they are given is the same")],
    ),
    ("loss loss_bad_gradient", &[("loss", "the gradient of term `cls` by scores[")]),
    (
        "scheduler scheduler_nan",
        &[
            ("state", "`load` panics on random bytes (number 0 of --seed 0): plugin ~ failed in `load`: panicked at "),
            ("values", "lr of group weight is NaN at step 0 of 1 epochs x 1 steps"),
        ],
    ),
    (
        "scheduler scheduler_forgets",
        &[
            ("options", "option `undocumented` has no description; write a doc comment above the field"),
            ("state", "a fresh instance with the saved state goes on differently in step 1 after"),
        ],
    ),
    ("augmentation augmentation_outside", &[("values", "on a 1 x 1 sample with 1 objects (number 6): a box is (")]),
    (
        "augmentation augmentation_random",
        &[
            ("options", "`create` accepts an unknown option; put #[serde(deny_unknown_fields)] on the struct"),
            ("determinism", "two fresh instances differ in step "),
        ],
    ),
    (
        "exporter exporter_litters",
        &[
            ("failures", "it leaves best.log behind where call 0 into the trainer (metadata) fails"),
            ("exporter", "format names: it leaves best.log behind, which is no artifact; delete it or name it"),
        ],
    ),
];

/// Asserts that each component of the file fails for these reasons and no others; `~` stands for the file.
pub fn assert_failures(file: &Path, wanted: &[(&str, Reasons)]) {
    let name = |component: &str| component.split_once(' ').unwrap().1.to_owned();
    let names: String = wanted.iter().map(|(component, _)| format!(" --component {}", name(component))).collect();
    let checked = Checked::new(&format!("{}{names}", file.display()));
    let failed = checked.of("failed").iter().map(|line| line.replace(file.to_str().unwrap(), "~")).collect::<Vec<_>>();
    assert_eq!((checked.exit, checked.bad().len()), (1, failed.len()), "{:#?}", checked.bad());
    for (component, reasons) in wanted {
        let of_it = failed.iter().filter(|line| line.contains(&format!(" {component}: "))).collect::<Vec<_>>();
        let checks =
            |check| if check == CALLING { vec!["instances", "failures", "determinism", "state"] } else { vec![check] };
        let all = reasons.iter().flat_map(|&(check, words)| checks(check).into_iter().map(move |check| (check, words)));
        let begins = all.map(|(check, words)| format!("{check} {component}: {words}")).collect::<Vec<_>>();
        let is_so =
            of_it.len() == begins.len() && of_it.iter().zip(&begins).all(|(line, begin)| line.starts_with(begin));
        assert!(is_so, "{component} {of_it:#?} {begins:#?}");
    }
}

#[test]
fn each_misfit_fails_for_the_right_reason() {
    assert_failures(&built("libmisfits.so"), &MISFITS);
}

#[test]
fn a_crash_an_exit_and_a_hang_are_told_apart() {
    let components = "--component loss_exits --component loss_aborts --component loss_hangs --component loss_nan";
    let file = built("libmisfits.so").display().to_string();
    let checked = Checked::new(&format!("{file} --only 10 --timeout 3 {components}"));
    assert_eq!(checked.exit, 2);
    let crashed = checked.of("crashed");
    assert_eq!(crashed[0], "loss loss loss_exits: called exit in `terms`; it must return an error instead");
    let (start, end) =
        ("loss loss loss_aborts: crashed in `terms` with SIGABRT at ", "; its last words: told to abort");
    assert!(crashed[1].starts_with(start) && crashed[1].ends_with(end), "{}", crashed[1]);
    assert!(crashed[1].contains("misfits/src/losses.rs:"), "{}", crashed[1]);
    assert_eq!(crashed[2..], ["loss loss loss_hangs: hangs: no answer after 3 s"]);
    assert_eq!(checked.of("failed").len(), 1, "the component after the crashes has its turn");
}

#[test]
fn printing_and_threads_fail_the_second_check() {
    let file = built("librogue.so").display().to_string();
    let words = format!("{file} --only loads");
    assert_eq!(Checked::new(&words).bad(), Vec::<String>::new());
    let prints = Checked::with(&words, &[("ROGUE", "print")]);
    let wanted = "loads loss rogue: it wrote 14 bytes to standard output in this check, which belongs to the trainer's user; log \
                  instead (in Rust: trainer_sdk::tracing)";
    assert_eq!((prints.exit, prints.bad()), (1, vec![wanted.to_owned()]));
    let threads = Checked::with(&words, &[("ROGUE", "thread")]);
    let wanted = "loads loss rogue: it leaves threads running (trainer); end them, or do without";
    assert_eq!((threads.exit, threads.bad()), (1, vec![wanted.to_owned()]));
}

#[test]
fn a_refused_file_is_refused_once_and_junit_says_so() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("text.so");
    fs::write(&file, "no library").unwrap();
    let checked = Checked::new(&format!("{} --junit report.xml --component loss_nan", file.display()));
    assert_eq!(checked.exit, 2);
    assert_eq!((checked.of("refused").len(), checked.of("skipped").len()), (1, 11));
    assert!(checked.of("refused")[0].ends_with("[not-elf]"), "{:?}", checked.of("refused"));
    let report = fs::read_to_string(checked.home.path().join("report.xml")).unwrap();
    assert!(report.contains(r#" tests="12" failures="0" errors="1" skipped="11""#), "{report}");
    assert!(report.contains(r#"name="1 static""#) && report.contains("[not-elf]"), "{report}");
}

#[test]
fn one_process_is_enough_for_a_debugger() {
    let file = built("liblabel_smooth.so").display().to_string();
    let checked = Checked::new(&format!("{file} --in-process"));
    assert_eq!((checked.exit, checked.bad()), (0, vec![]));
    assert_eq!(checked.of("passed").len(), 10);
}

/// Exit code and standard error of a check of `label_smooth` with these words.
fn ended(words: &str, stdout: Stdio) -> (Option<i32>, String) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(built("trainer"));
    command.args(["plugin", "check"]).arg(built("liblabel_smooth.so")).args(words.split_whitespace()).stdout(stdout);
    let output = command.current_dir(home.path()).env_clear().env("HOME", home.path()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_wrong_command_line_is_told_before_any_check() {
    for (words, told) in [
        ("--timeout 0", "error: invalid value '0' for '--timeout <SECONDS>': 0 is not in 1..=86400"),
        ("--timeout 18446744073709551615", "error: invalid value '18446744073709551615' for '--timeout"),
        ("--component nothing", "error: --component nothing: there is none of that name; there are label_smooth"),
        ("--junit nowhere/report.xml", "error: --junit: there is no folder nowhere; make it first"),
    ] {
        let (code, said) = ended(words, Stdio::piped());
        assert!(code == Some(1) && said.starts_with(told), "{words}: {said}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_an_error_and_one_that_nobody_reads_is_none() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let told = "error: cannot write to standard output: No space left on device (os error 28)\n";
    assert_eq!(ended("--only descriptors", full.into()), (Some(1), told.into()));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(ended("--only descriptors", writer.into()), (Some(0), String::new()));
}

#[test]
fn a_file_may_have_a_name_of_any_bytes() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join(OsStr::from_bytes(b"label\xff.so"));
    fs::copy(built("liblabel_smooth.so"), &file).unwrap();
    let mut command = Command::new(built("trainer"));
    command.args(["plugin", "check", "--only", "descriptors"]).arg(&file).env_clear().env("HOME", place.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.ends_with("\n1 passed\n"), "{output:?}");
}
