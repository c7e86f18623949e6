//! Plugins of every kind in whole runs: each takes its socket and has its effect, and a failing one loses nothing.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::{project::make, run::Run};

const RUN: &str = "epochs=2 project=out name=run";

/// The lines of metrics.jsonl of a run that goes well.
fn lines(words: &str) -> Vec<Value> {
    let run = Run::new().keys(RUN).keys(words);
    run.expect(0);
    run.read("out/run/metrics.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_scheduler_takes_the_schedule_s_place() {
    let words = "lr0=0.01 --plugin one_cycle.so one_cycle.anneal=linear one_cycle.div_factor=20";
    let first = &lines(words)[0];
    assert_eq!((first["step"].as_u64(), first["lr"]["weight"].as_f64()), (Some(0), Some(0.01 / 20.0)));
    assert_eq!(first["momentum"]["weight"], 0.95, "the momentum at both ends");
}

#[test]
fn two_schedulers_are_one_too_many_unless_the_run_file_chooses() {
    let message = Run::new().keys("--plugin one_cycle.so --plugin plateau.so").expect(1);
    assert_eq!(
        message,
        "plugin BIN/libplateau.so brings the scheduler plateau, but the run has one_cycle already, and a run has one: \
         give one plugin, or list both under `plugins` in a run file and name the scheduler in its [schedule]"
    );
    let file = "plugins = [\"one_cycle.so\", \"plateau.so\"]\n[schedule]\nuse = \"plateau\"\nwarmup_epochs = 0\n";
    Run::new().write("run.toml", file).keys("--config run.toml").expect(0);
}

#[test]
fn an_augmentation_changes_what_the_network_sees() {
    let box_loss = |words: &str| lines(words)[0]["loss"]["box"].as_f64().unwrap();
    let plain = box_loss("");
    assert_eq!(box_loss("--plugin gridmask.so gridmask.p=0"), plain, "random numbers of other stages are their own");
    assert_ne!(box_loss("--plugin gridmask.so gridmask.p=1 gridmask.ramp=0"), plain);
}

#[test]
fn an_exporter_writes_what_was_trained() {
    let run = Run::new().keys(RUN);
    run.expect(0);
    let export = |words: &str| {
        let out = Command::new(&run.trainer)
            .args(["export", "weights=out/run/weights/best.safetensors"])
            .args(words.split(' '))
            .current_dir(run.path(""))
            .env_clear()
            .envs([("HOME", run.path("home")), ("XDG_CACHE_HOME", run.path("home/cache"))])
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, said, log) = export("format=npz --plugin npz.so --json");
    assert_eq!(code, Some(0), "{log}");
    let said: Value = serde_json::from_str(&said).unwrap();
    let file = said["artifacts"][0]["path"].as_str().unwrap();
    assert_eq!((said["format"].as_str(), file), (Some("npz"), "out/run/weights/best.npz"));
    assert!(fs::read(run.path(file)).unwrap().starts_with(b"PK"));

    assert_eq!(export("out=a.safetensors").0, Some(0));
    assert_eq!(export("out=b.safetensors").0, Some(0));
    assert_eq!(fs::read(run.path("a.safetensors")).unwrap(), fs::read(run.path("b.safetensors")).unwrap());
    let (tensors, _) = trainer::checkpoint::read(&run.path("a.safetensors")).unwrap();
    let (trained, _) = trainer::checkpoint::read(&run.path("out/run/weights/best.safetensors")).unwrap();
    assert!(tensors.len() == trained.len() && trained.iter().all(|(name, tensor)| tensor.equal(&tensors[name])));

    let (code, _, log) = export("format=nppz --plugin npz.so");
    assert_eq!(code, Some(1));
    let wanted = "error: no exporter makes format=nppz, known are safetensors, npz (a plugin adds more by --plugin \
                  FILE.so); did you mean `npz`?\n";
    assert!(log.ends_with(wanted), "{log}");
}

/// Builds an example in C.
fn built_example(name: &str, library: &str) -> String {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples")).join(name).canonicalize().unwrap();
    make(&folder);
    folder.join(library).display().to_string()
}

#[test]
fn plugins_in_c_take_part_in_a_run() {
    let (loss, augmentation) =
        (built_example("c_loss", "confidence.so"), built_example("c_augmentation", "salt_pepper.so"));
    let mut run = Run::new().keys(RUN).keys("--plugin");
    run.words.extend([loss, "--plugin".into(), augmentation]);
    run.expect(0);
    let first: Value = serde_json::from_str(run.read("out/run/metrics.jsonl").lines().next().unwrap()).unwrap();
    assert!(first["loss"]["confidence"].as_f64().is_some_and(|term| term > 0.0), "{first}");
}

#[test]
fn a_failing_loss_stops_the_run_with_the_last_whole_step_saved() {
    let run = Run::new().keys("epochs=2 nbs=2 --plugin panicky.so panicky.at=terms panicky.step=1");
    let message = run.expect(2);
    assert!(message.starts_with("loss panicky: plugin BIN/libpanicky.so failed in `terms`"), "{message}");
    let weights = run.path("runs/train/train/weights/last.safetensors");
    let (tensors, card) = trainer::checkpoint::read(&weights).unwrap();
    assert_eq!((tensors.len() > 600, card.unwrap().epoch), (true, 0), "no epoch was finished, one step was");
    assert!(!run.path("runs/train/train/weights/best.safetensors").exists());
}
