//! `trainer plugin check` on misfits in C: components that Rust makes hard to write, and files that are wrong as a whole.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::conformance::{Checked, assert_failures};

/// A fixture, compiled.
fn cc(source: &str, defines: &[&str], folder: &Path) -> PathBuf {
    let (root, product) = (env!("CARGO_MANIFEST_DIR"), folder.join("misfit.so"));
    let flags = "-std=gnu11 -O2 -Wall -Wextra -Werror -Wno-unused-value -shared -fPIC -fvisibility=hidden";
    let mut command = Command::new("cc");
    command.args(flags.split(' ')).arg(format!("-I{root}/../sdk/include")).args(defines);
    command.arg(format!("{root}/plugins/misfits/c/{source}")).args(["-pthread", "-o"]).arg(&product);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    product.canonicalize().unwrap()
}

/// The beginnings of what each misfit is told, in the order of the checks.
const MISFITS: [(&str, &[(&str, &str)]); 27] = [
    ("scheduler Upper", &[("descriptors", "the name `Upper` is not lower_snake; take lower-case letters")]),
    ("scheduler dumb", &[("descriptors", "it has no sentence on what it does; write one after its name")]),
    ("scheduler misled", &[("descriptors", "alias `short` stands for the option `long`, which does not exist")]),
    (
        "scheduler credulous",
        &[("options", "`create` accepts `lr_range` = {\"a\":[1]}, which its schema forbids; read it as the type that")],
    ),
    ("scheduler deaf", &[("options", "`create` accepts a text of 1 MB; refuse what is no object of options")]),
    ("scheduler leaky", &[("instances", "1000 instances leave 20")]),
    ("scheduler open", &[("instances", "1000 instances leave 1000 files open; close what is opened")]),
    (
        "scheduler shared",
        &[
            (
                "instances",
                "two instances in turn do otherwise in step 0 than one alone; keep all state in the instance",
            ),
            ("state", "a fresh instance with the saved state goes on differently in step 1 after 14"),
        ],
    ),
    ("scheduler drifting", &[("state", "`save` after `load` writes other bytes (8 and 8); write the same state")]),
    (
        "scheduler gullible",
        &[("state", "`load` accepts its state cut off after 0 bytes; begin a state with its version")],
    ),
    (
        "scheduler personal",
        &[(
            "determinism",
            "two processes differ in step 0 although all they are given is the same; use no random numbers",
        )],
    ),
    ("augmentation fickle", &[("values", "`partners` says 1, then 0; it is always the same number")]),
    (
        "augmentation classy",
        &[("values", "on a 1 x 1 sample with 0 objects (number 0): class 80 afterwards, of a data set")],
    ),
    (
        "augmentation heavy",
        &[("values", "on a 1 x 1 sample with 0 objects (number 0): an object's weight is -1 afterwards")],
    ),
    (
        "augmentation counting",
        &[("determinism", "it does otherwise from 4 threads than from one; keep no state between")],
    ),
    ("augmentation hoarding", &[("instances", "24 calls leave 234")]),
    ("loss threaded", &[("instances", "it leaves threads running (trainer); end them, or do without")]),
    ("loss late", &[("failures", "it goes on where call ")]),
    ("loss single", &[]),
    ("exporter todo", &[("exporter", "format one: plugin ~ failed in `export`: not written yet")]),
    ("exporter constant", &[("exporter", "format one: it writes the same bytes for a model of other tensors")]),
    ("exporter absent", &[("exporter", "format one: the artifact ")]),
    (
        "exporter outside",
        &[("exporter", "format one: the artifact HOME/misfit lies outside the directory of the asked")],
    ),
    ("exporter empty", &[("exporter", "format one: the artifact ")]),
    ("exporter fresh", &[("exporter", "format one: best.txt differs from one export of the same model to the next")]),
    ("exporter boastful", &[("exporter", "format one: it says that it wrote into a directory that cannot be written")]),
    ("exporter folder", &[]),
];

#[test]
fn each_misfit_fails_for_the_right_reason() {
    let place = tempfile::tempdir().unwrap();
    let file = cc("misfits.c", &[], place.path());
    assert_failures(&file, &MISFITS);
    let greedy = Checked::new(&format!("{} --component greedy --only values", file.display())).bad();
    let wanted =
        "values augmentation greedy: `partners` asks for 65 samples; the trainer keeps no more than 64 at hand";
    assert_eq!(greedy, [wanted]);
}

/// What is wrong with a file, what it was asked, and the row that it gets.
const FILES: [(&[&str], &str, &str, &str); 13] = [
    (
        &["-DCOMPONENTS=\",\" COMPONENT(\"flat\")"],
        "",
        "refused",
        "loads : plugin ~ provides scheduler `flat` more than once; its author must name each component once",
    ),
    (
        &["-DFACTORIES=AND FACTORY(\"hidden\")"],
        "--only abi",
        "failed",
        "abi : scheduler hidden is among the factories but not in the manifest; list it there",
    ),
    (
        &["-DFACTORIES=AND FACTORY(\"flat\")"],
        "--only abi",
        "failed",
        "abi : scheduler flat is among the factories more than once; name each once",
    ),
    (
        &["-DEXTENSION=1"],
        "--only abi",
        "failed",
        "abi : scheduler flat answers the id \"\" with a table; answer only trainer.",
    ),
    (
        &["-DAT_LOAD=puts(\"hello\")"],
        "",
        "failed",
        "loads : it wrote 6 bytes to standard output while it was loaded, which belongs to the trainer's user; log instead",
    ),
    (&["-DAT_LOAD=usleep(600000)"], "--only loads", "failed", "loads scheduler flat: loading takes 6"),
    (
        &["-DAT_END=abort()"],
        "",
        "crashed",
        "loads : crashes with signal 6 (SIGABRT), after all was done; look at destructors of static objects",
    ),
    (
        &["-DAT_END=pause()"],
        "--timeout 1 --only loads",
        "crashed",
        "loads : hangs: no answer after 1 s, after all was done; look at",
    ),
    (
        &["-DAT_END=_exit(4)"],
        "--only loads",
        "crashed",
        "loads : ends the process with exit code 4; a plugin must not call exit but return an error, after all was done",
    ),
    (
        &["-DIN_RATES=leave_a_process()"],
        "--only values",
        "failed",
        "values : it leaves a process behind; wait for each process that it starts, or do without",
    ),
    (
        &["-DIN_RATES=exit_aside()"],
        "--only values",
        "crashed",
        "values scheduler flat: exit was called while the trainer was at work, outside of all calls: by a thread of a",
    ),
    (
        &["-DIN_CREATE=if (json.len > 1000) raise(SIGSEGV)"],
        "--only options",
        "crashed",
        "options scheduler flat: crashed in `create` with SIGSEGV",
    ),
    (
        &["-DIN_RATES=return trainer_fail(error, \"\\x1b[31mred\\x01\")"],
        "--only values",
        "failed",
        "values scheduler flat: at step 0 of 1 epochs x 1 steps: plugin ~ failed in `rates`: [31mred",
    ),
];

#[test]
fn what_is_wrong_with_a_file_is_found() {
    for (defines, words, outcome, wanted) in FILES {
        let place = tempfile::tempdir().unwrap();
        let file = cc("file.c", defines, place.path()).display().to_string();
        let checked = Checked::new(format!("{file} --junit report.xml {words}").trim_end());
        let bad: Vec<_> = checked.bad().iter().map(|line| line.replace(&file, "~")).collect();
        assert_eq!((bad.len(), checked.of(outcome).len()), (1, 1), "{defines:?}: {bad:#?}");
        assert!(bad[0].starts_with(wanted), "{defines:?}: {bad:#?}");
        let report = std::fs::read_to_string(checked.home.path().join("report.xml")).unwrap();
        assert!(!report.contains(|c: char| c.is_control() && c != '\n'), "{report}");
    }
}

#[test]
fn a_file_that_is_never_ready_is_refused_once_and_leaves_nothing_running() {
    let place = tempfile::tempdir().unwrap();
    let file = cc("file.c", &["-DAT_LOAD=pause()"], place.path());
    let checked = Checked::new(&format!("{} --timeout 1", file.display()));
    assert_eq!((checked.exit, checked.of("skipped").len()), (2, 10), "{:#?}", checked.bad());
    let refused = checked.of("refused");
    assert!(refused.len() == 1 && refused[0].ends_with("[probe-timed-out]"), "{refused:#?}");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let words = processes.filter_map(|it| std::fs::read_to_string(it.path().join("cmdline")).ok());
    let home = checked.home.path().to_str().unwrap();
    assert_eq!(words.filter(|words| words.contains(home)).collect::<Vec<_>>(), Vec::<String>::new());
}
