//! Projects that `trainer plugin new` writes: each kind in each language builds as it is, passes its own test and
//! the conformance checks, and does what its README says.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use trainer_loader::{Found, LoadOptions, LoadedFactory, Policy, Provenance};
use trainer_sdk::{
    ExportContext, Size,
    testing::{self, AugmentBench, LossBench, ModelBench, SimulatedRun},
};

use crate::{
    project::{cargo, folder, library, make, passes_checks},
    run::built,
};

const KINDS: [&str; 4] = ["augmentation", "scheduler", "loss", "exporter"];

/// `trainer plugin new` in `dir`: exit code, standard output, standard error.
fn new(dir: &Path, words: &str) -> (i32, String, String) {
    let words = ["plugin", "new"].into_iter().chain(words.split_whitespace());
    let output = Command::new(built("trainer")).args(words).current_dir(dir).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Writes the projects of all kinds, each called my_KIND, in place of older ones.
fn write_all(lang: &str) -> PathBuf {
    let dir = folder(lang);
    fs::create_dir_all(&dir).unwrap();
    for kind in KINDS {
        let _ = fs::remove_dir_all(dir.join(format!("my_{kind}")));
        let (code, out, err) = new(&dir, &format!("my_{kind} --kind {kind} --lang {lang} --json"));
        assert_eq!((code, err.as_str()), (0, ""), "{out}");
        let document: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&document["kind"], &document["lang"]), (&kind.into(), &lang.into()));
        for file in document["files"].as_array().unwrap() {
            assert!(dir.join(document["dir"].as_str().unwrap()).join(file.as_str().unwrap()).is_file(), "{file}");
        }
    }
    dir
}

/// Loads a library and makes its only component with these options.
fn load(library: &Path) -> LoadedFactory {
    trainer::torch::install();
    let found = Found { path: library.canonicalize().unwrap(), provenance: Provenance::Explicit };
    let options = LoadOptions { policy: Some(Policy::Off), cache: Some(folder("cache")), ..LoadOptions::default() };
    let plugin = trainer_loader::load(&found, &options).unwrap_or_else(|error| panic!("{error}"));
    assert!(plugin.warnings.is_empty() && plugin.components.len() == 1, "{:?}", plugin.warnings);
    let component = plugin.components.into_iter().next().unwrap();
    let options = component.schema["properties"].as_object().unwrap();
    assert!(options.values().all(|it| it["default"] != Value::Null && it["description"] != Value::Null), "{options:?}");
    component.factory
}

fn loss_scales_targets(factory: &LoadedFactory) {
    let mut loss = factory.loss(r#"{"factor": 0.5}"#).unwrap();
    let scores = LossBench::new(testing::tensor(&[0.8, 0.0, 0.0, 0.2], &[1, 2, 2])).targets(loss.as_mut()).unwrap();
    testing::assert_close(&scores.to_vec().unwrap(), &[0.4, 0.0, 0.0, 0.1], 1e-12);
}

fn augmentation_changes_pixels_alone(factory: &LoadedFactory) {
    let picture = testing::picture(Size::new(32, 24));
    let changed = factory.augmentation(r#"{"strength": 0.5}"#).unwrap();
    let changed = AugmentBench::default().apply(changed.as_ref(), &picture).unwrap();
    assert!(changed.objects == picture.objects && changed.render() != picture.render());
    let same = factory.augmentation(r#"{"strength": 0}"#).unwrap();
    assert_eq!(AugmentBench::default().apply(same.as_ref(), &picture).unwrap().render(), picture.render());
}

fn scheduler_leaves_a_quarter_in_the_middle(factory: &LoadedFactory) {
    let run = SimulatedRun { epochs: 10, steps_per_epoch: 100, lr0: 0.01, momentum: 0.9 };
    let rates = run.rates(factory.scheduler("{}").unwrap().as_mut(), |_| Vec::new()).unwrap();
    testing::assert_close(&[rates[0][0].lr, rates[500][0].lr], &[0.0, 0.0025], 1e-12);
}

fn exporter_writes_a_line_for_each_tensor(factory: &LoadedFactory) {
    let mut exporter = factory.exporter("{}").unwrap();
    let format = exporter.formats().unwrap().remove(0);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a \"model\".txt");
    let mut model = ModelBench::default().tensor("conv.weight", &[2], &[0.5, 1.0]).tensor("scale", &[], &[2.0]);
    let cx = ExportContext { format: format.name, imgsz: 640, batch: 1 };
    let written = exporter.export(&model.view(), &out, &cx).unwrap();
    assert_eq!((written.len(), &written[0].path), (1, &out));
    let text = fs::read_to_string(&out).unwrap();
    let names = text.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.starts_with('{'));
    assert!(names.eq(["conv.weight", "scale"]), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

fn behaves(kind: &str, factory: &LoadedFactory) {
    match kind {
        "loss" => loss_scales_targets(factory),
        "augmentation" => augmentation_changes_pixels_alone(factory),
        "scheduler" => scheduler_leaves_a_quarter_in_the_middle(factory),
        _ => exporter_writes_a_line_for_each_tensor(factory),
    }
}

#[test]
fn rust_projects_build_and_pass_their_test_and_the_checks() {
    let dir = write_all("rust");
    for kind in KINDS {
        let project = dir.join(format!("my_{kind}"));
        // The workspace's versions, since those are there without a network.
        fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"), project.join("Cargo.lock")).unwrap();
        cargo("build", &project);
        let tested = cargo("test", &project);
        assert!(tested.contains("test result: ok. 1 passed"), "{tested}");
        let library = library(&format!("my_{kind}"));
        behaves(kind, &load(&library));
        passes_checks(&library);
    }
}

#[test]
fn c_projects_build_and_pass_the_checks() {
    let dir = write_all("c");
    for kind in KINDS {
        let project = dir.join(format!("my_{kind}"));
        make(&project);
        let library = project.join(format!("my_{kind}.so"));
        behaves(kind, &load(&library));
        passes_checks(&library);
    }
}

#[test]
fn what_to_type_next_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, _) = new(dir.path(), "my_loss --kind loss");
    let words = "wrote my_loss (Cargo.toml, src/lib.rs, README.md, .github/workflows/ci.yml, .gitignore, \
                 rustfmt.toml)\n\n\
                 now type\n  cd my_loss\n";
    assert!(code == 0 && out.starts_with(words), "{out}");
    let commands: Vec<_> = out.lines().skip(4).map(|line| line.split(" #").next().unwrap().trim()).collect();
    let wanted = [
        "cargo test --release",
        "cargo build --release",
        "trainer plugin check target/release/libmy_loss.so",
        "trainer --plugin target/release/libmy_loss.so my_loss.factor=0.8",
    ];
    assert_eq!(commands, wanted);
    let (_, out, _) = new(dir.path(), "to_text --kind exporter --lang c");
    let usage = "trainer export weights=best.safetensors format=to_text --plugin to_text.so to_text.metadata=False";
    assert!(out.contains(usage), "{out}");
}

#[test]
fn a_project_is_written_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |words: &str| {
        let (code, out, err) = new(dir.path(), words);
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        err.trim_end().strip_prefix("error: ").unwrap().to_owned()
    };
    fs::create_dir(dir.path().join("taken")).unwrap();
    let taken = "taken exists already; take another name, or another folder by --dir";
    assert_eq!(refused("taken --kind loss"), taken);
    let folder = "--dir nowhere is no folder; make it first, or name another";
    assert_eq!(refused("x --kind loss --dir nowhere"), folder);
    let name = "`My-Loss` cannot be a plugin's name: give lower snake case, a letter first, then letters, digits and \
                single underscores, e.g. my_loss; did you mean `my_loss`?";
    assert_eq!(refused("My-Loss --kind loss"), name);
    let kind = refused("x --kind optimizer");
    assert!(kind.contains("possible values: augmentation, scheduler, loss, exporter"), "{kind}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(fs::read_dir(dir.path().join("taken")).unwrap().next().is_none());
}
