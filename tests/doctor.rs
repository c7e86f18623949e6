//! `trainer doctor`: what it finds, and how it judges.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use crate::run::built;

/// `trainer doctor WORDS` in an environment of its own: exit code, standard output, standard error.
fn doctor(words: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let home = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } = Command::new(built("trainer"))
        .arg("doctor")
        .args(words)
        .env_clear()
        .env("HOME", home.path())
        .env("OMP_NUM_THREADS", "1")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn facts(words: &[&str], environment: &[(&str, &str)]) -> Value {
    let (_, stdout, stderr) = doctor(&[&["device=cpu", "--json"], words].concat(), environment);
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}\n{stdout}{stderr}"))
}

#[test]
fn one_fact_a_line() {
    let (code, stdout, stderr) = doctor(&["device=cpu"], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let line = |name: &str| {
        let found = stdout.lines().find(|line| line.starts_with(&format!("{name:<12} ")));
        found.unwrap_or_else(|| panic!("no line {name}\n{stdout}"))[13..].to_owned()
    };
    assert!(line("trainer").ends_with(built("trainer").canonicalize().unwrap().to_str().unwrap()), "{stdout}");
    assert!(line("libtorch").starts_with("2.11.0  /"), "{stdout}");
    assert_eq!((line("threads"), line("wait")), ("1".into(), "one thread waits for nobody".into()));
    assert_eq!(line("device"), "cpu: what follows was tried there");
    assert!(line("float32").ends_with(" GFLOP/s in a convolution"), "{stdout}");
    assert!(line("bfloat16").contains(" x float32, "), "{stdout}");
    assert!(line("attention").ends_with("as in yolo12s at 640 pixels; libtorch takes flash"), "{stdout}");
    assert!(line("  math").starts_with("runs in float32: ") && line("  math").ends_with(" of float64"), "{stdout}");
    assert_eq!(line("  efficient"), "does not run in float32: libtorch has it for GPUs alone");
    assert_eq!(line("gloo"), "there");
}

#[test]
fn kernels_are_told_by_what_they_did() {
    let facts = facts(&[], &[]);
    let trials = facts["attention"].as_array().unwrap();
    let names: Vec<_> = trials.iter().map(|trial| trial["kernel"].as_str().unwrap()).collect();
    assert_eq!(names, ["flash", "efficient", "math", "cudnn"]);
    assert_eq!(facts["attention_taken"], "flash");
    for trial in [&trials[0], &trials[2]] {
        let (seconds, error) = (trial["cost"]["seconds"].as_f64(), trial["cost"]["error"].as_f64());
        assert!(seconds.unwrap() > 0.0 && error.unwrap() < 2e-6 && error.unwrap() > 0.0, "{trial}");
    }
    assert!(trials[1]["cost"].is_null() && trials[3]["cost"].is_null());
    assert_eq!(facts["libtorch"]["version"], facts["libtorch"]["built_for"]);
    assert_eq!(facts["unmet"], Value::Array(Vec::new()));
}

#[test]
fn kernels_are_timed_in_each_type() {
    let run = Command::new(built("trainer"))
        .args(["bench", "attention", "device=cpu", "imgsz=64", "batch=1", "--json"])
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(document["shape"], serde_json::json!({ "rows": 4, "heads": 4, "tokens": 4, "channels": 32 }));
    let trials = document["trials"].as_array().unwrap();
    let dtypes: Vec<_> = trials.iter().step_by(4).map(|trial| trial["dtype"].as_str().unwrap()).collect();
    assert_eq!((trials.len(), dtypes), (8, vec!["float32", "bfloat16"]));
    let (flash, math) = (&trials[0]["cost"], &trials[2]["cost"]);
    assert!(math["seconds"].as_f64().unwrap() > 0.0 && flash["error"].as_f64().unwrap() < 1e-6, "{document}");
    // The output and three gradients of 4 x 4 x 4 x 32 floats, 8 KiB each, at the least.
    assert!(flash["peak_bytes"].as_u64().unwrap() >= 4 * 8192, "{document}");
}

#[test]
fn what_is_required_and_does_not_hold_is_exit_code_1() {
    let (code, _, stderr) = doctor(&["device=cpu", "--require", "attention=math,gloo", "--require", "device=cpu"], &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let (code, stdout, stderr) =
        doctor(&["device=cpu", "--require", "attention=efficient", "--require=gloo", "--json"], &[]);
    let fault = "required attention=efficient: it does not run on cpu in float32: libtorch has it for GPUs alone";
    assert_eq!((code, stderr), (1, format!("error: {fault}\n")));
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["unmet"], serde_json::json!([fault]), "the document is whole all the same");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let message = |words: &[&str]| {
        let (code, stdout, stderr) = doctor(words, &[]);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        stderr
    };
    assert_eq!(
        message(&["--require", "atention=flash"]),
        "error: there is no requirement `atention=flash`; there are attention=KERNEL, device=DEVICE, bf16, gloo, nccl, \
         tensorrt, plugins, one-of-each; did you mean `attention`?\n"
    );
    assert!(message(&["--require", "attention=flsh"]).ends_with("did you mean `flash`?\n"));
    assert_eq!(message(&["imgsz=640"]), "error: `imgsz` is no key of doctor, which takes device=DEVICE alone\n");
    assert!(message(&["device=tpu"]).starts_with("error: device=tpu must be auto, cpu, or a GPU"));
}

#[test]
fn what_the_environment_slips_in_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().canonicalize().unwrap();
    let make = |file: &Path| {
        let source = place.join("empty.c");
        fs::write(&source, "").unwrap();
        let status = Command::new("cc").args(["-shared", "-o"]).arg(file).arg(&source).status().unwrap();
        assert!(status.success());
        file.to_str().unwrap().to_owned()
    };
    let preloaded = make(&place.join("libc10.so.7"));
    let folder = place.join("cuda-12");
    fs::create_dir(&folder).unwrap();
    make(&folder.join("libcublas.so.12"));

    let environment = [("LD_PRELOAD", preloaded.as_str()), ("LD_LIBRARY_PATH", folder.to_str().unwrap())];
    let facts = facts(&["--require", "one-of-each"], &environment);
    assert_eq!(facts["environment"]["search_path"][folder.to_str().unwrap()][0], "libcublas.so.12");
    let warnings = facts["warnings"].to_string();
    assert!(warnings.contains(&format!("LD_PRELOAD puts {preloaded} in front of the library")), "{warnings}");
    assert!(warnings.contains("libc10 is in this process 2 times: ") && warnings.contains(&preloaded), "{warnings}");
    let unmet = facts["unmet"].to_string();
    assert!(unmet.contains("required one-of-each: libc10 is in this process 2 times"), "{unmet}");
}
