//! `--plugin label_smooth.so` in whole runs: what it changes, what it must not change, and that neither it nor the
//! number of loader threads makes a run differ from itself.

use std::process::Command;

use serde_json::Value;

use crate::run::{Run, built};

/// The lines of metrics.jsonl, without the times.
fn metrics(words: &str) -> Vec<Value> {
    let run = Run::new().keys("epochs=2 batch=2 project=out name=run imgsz=64").keys(words);
    run.expect(0);
    let timeless = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        for key in ["seconds", "validation_seconds", "images_per_second", "loader", "loader_wait"] {
            line.as_object_mut().unwrap().remove(key);
        }
        line
    };
    run.read("out/run/metrics.jsonl").lines().map(timeless).collect()
}

#[test]
fn epsilon_zero_is_bit_identical_to_no_plugin() {
    assert_eq!(metrics("--plugin label_smooth.so label_smooth.epsilon=0"), metrics(""));
}

#[test]
fn epsilon_changes_the_class_loss_of_the_first_step_alone() {
    let (plain, smooth) = (metrics(""), metrics("--plugin label_smooth.so label_smooth.epsilon=0.1"));
    let first = |lines: &[Value], term: &str| lines[0]["loss"][term].as_f64().unwrap();
    assert_eq!(plain[0]["step"], 0);
    assert_ne!(first(&plain, "cls"), first(&smooth, "cls"));
    assert_eq!(first(&plain, "box"), first(&smooth, "box"));
    assert_eq!(first(&plain, "dfl"), first(&smooth, "dfl"));
}

#[test]
fn results_do_not_depend_on_workers() {
    assert_eq!(metrics("workers=0"), metrics("workers=3"));
}

#[test]
fn rates_that_the_user_set_are_logged_as_used() {
    let lines = metrics("optimizer=auto lr0=0.004 momentum=0.7 warmup_epochs=0");
    assert_eq!(lines[0]["lr"]["weight"], 0.004);
    assert_eq!(lines[0]["momentum"]["weight"], 0.7);
    let warm = metrics("optimizer=auto warmup_bias_lr=0.05 warmup_momentum=0.6");
    assert_eq!(warm[0]["lr"]["bias"], 0.05);
    assert_eq!(warm[0]["lr"]["weight"], 0.0);
    assert_eq!(warm[0]["momentum"]["bias"], 0.6);
}

#[test]
fn a_run_is_reproduced_by_its_own_run_toml() {
    let first =
        Run::new().keys("project=out name=run imgsz=64 --plugin label_smooth.so label_smooth.epsilon=0.2 seed=7");
    first.expect(0);
    let file = first.path("out/run/run.toml");
    let weights = |name: &str| std::fs::read(first.path(name)).unwrap();
    let original = weights("out/run/weights/last.safetensors");
    let mut again = first;
    again.words = vec!["--config".into(), file.display().to_string(), "name=again".into()];
    again.expect(0);
    assert!(original == std::fs::read(again.path("out/again/weights/last.safetensors")).unwrap());
}

#[test]
fn the_plugin_links_no_libtorch() {
    let output = Command::new("nm").args(["-D", "--undefined-only"]).arg(built("liblabel_smooth.so")).output().unwrap();
    let symbols = String::from_utf8(output.stdout).unwrap();
    assert!(symbols.contains("malloc"), "nm shows the undefined symbols");
    let torch: Vec<&str> = symbols.lines().filter(|line| line.contains("torch") || line.contains("c10")).collect();
    assert!(torch.is_empty(), "{torch:?}");
}

#[test]
fn val_takes_the_weights_size_and_writes_coco_rows() {
    let mut run = Run::new().keys("imgsz=64 project=out name=run");
    run.expect(0);
    let weights = "weights=out/run/weights/best.safetensors";
    let words = |run: &mut Run, line: &str| run.words = line.split(' ').map(str::to_owned).collect();
    words(&mut run, &format!("val {weights} data=data/data.yaml conf=0 save_json=found.json --plugin label_smooth.so"));
    run.expect(0);
    let rows: Vec<Value> = serde_json::from_str(&run.read("found.json")).unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| ["e", "f"].contains(&row["image_id"].as_str().unwrap())));
    let inside = |row: &Value| {
        let bbox: Vec<f64> = row["bbox"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        bbox.iter().all(|&v| v >= 0.0) && bbox[0] + bbox[2] <= 64.0 && bbox[1] + bbox[3] <= 64.0
    };
    assert!(rows.iter().all(inside), "boxes are clipped to the image");
    words(&mut run, "val data=data/data.yaml --plugin nowhere.so");
    assert!(run.expect(2).starts_with("plugin nowhere.so not found"), "a plugin is never ignored");
    words(&mut run, "val data=data/data.yaml");
    assert_eq!(run.expect(1), "give the weights to score: weights=FILE.safetensors");
    let run = run.write("run.toml", "[model]\nimgsz = 96\n");
    let mut run = run;
    words(&mut run, "info --config run.toml imgsz=100");
    assert_eq!(run.expect(1), "imgsz=100 is not a multiple of 32; take imgsz=128");
}
