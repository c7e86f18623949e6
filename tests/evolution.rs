//! The plugin ABI over time: released plugins in this host, plugins of a later version in this host, this version's
//! plugin in a later host, and what must be refused. tests/abi/build.py makes the changed copies.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use tch::{Device, Kind, Tensor};
use trainer::{
    loss::{LossChain, LossParameters, LossPoint, Objects},
    model::{Anchors, RawPredictions},
    registry::Registry,
};
use trainer_loader::{Found, LoadError, LoadOptions, Plugin, Policy, Provenance};
use trainer_sdk::{
    ExportContext, Progress, Rates, Size,
    testing::{AugmentBench, ModelBench, picture},
};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/abi");

/// Runs build.py; one at a time, since the variants share a folder of compiled dependencies.
fn build(what: &str, variant: &str, out: &Path) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let run = Command::new("python3").args([&format!("{HERE}/build.py"), what, variant]).arg(out).output().unwrap();
    assert!(run.status.success(), "{what} {variant}: {}", String::from_utf8_lossy(&run.stderr));
}

/// A folder with the plugin of a variant in it.
fn variant(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("fixture.so");
    build("plugin", name, &file);
    (dir, file)
}

fn load(file: &Path, cache: &Path) -> Result<Plugin, LoadError> {
    let found = Found { path: file.canonicalize().unwrap(), provenance: Provenance::Explicit };
    let options = LoadOptions { policy: Some(Policy::Off), cache: Some(cache.into()), ..LoadOptions::default() };
    let _tensors = Registry::built_in();
    trainer_loader::load(&found, &options)
}

/// The sum of class targets after the plugin's loss, against that without it.
fn target_share(plugin: &Plugin, options: &str) -> f64 {
    let component = plugin.components.iter().find(|it| it.entry.name == "fixture_loss").unwrap();
    let loss = component.factory.loss(options).unwrap();
    let wave = |shape: [i64; 3]| {
        let count: i64 = shape.iter().product();
        (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.37).sin().reshape(shape).set_requires_grad(true)
    };
    let (raw, anchors) = (
        RawPredictions { distribution: wave([1, 84, 64]), scores: wave([1, 84, 3]) },
        Anchors::new(64, 64, Kind::Double, Device::Cpu),
    );
    let objects = Objects {
        classes: Tensor::from_slice(&[2i64]).reshape([1, 1]),
        boxes: Tensor::from_slice(&[8.0f64, 8.0, 40.0, 48.0]).reshape([1, 1, 4]),
        valid: Tensor::from_slice(&[true]).reshape([1, 1]),
    };
    let cls = |links| {
        let mut chain: LossChain =
            LossChain::new(links, Default::default(), LossParameters::new(Kind::Double, Device::Cpu, true));
        let at = LossPoint { epochs: 1, size: (64, 64), image_ids: &[0], ..LossPoint::default() };
        let values = chain.evaluate(&raw, &anchors, &objects, at).unwrap().values().unwrap();
        values.iter().find(|(name, _)| name == "cls").unwrap().1
    };
    let detection = || ("detection".to_owned(), Registry::built_in().loss("detection", "{}").unwrap());
    let plain = cls(vec![detection()]);
    plain - cls(vec![detection(), ("fixture".into(), loss)])
}

/// All four kinds do what they say.
fn works(plugin: &Plugin) {
    let component = |name: &str| &plugin.components.iter().find(|it| it.entry.name == name).unwrap().factory;
    let half = target_share(plugin, r#"{"factor": 0.5}"#);
    assert!(half != 0.0 && target_share(plugin, r#"{"factor": 1.0}"#) == 0.0, "{half}");

    let mut loss = component("fixture_loss").loss(r#"{"factor": 0.25}"#).unwrap();
    let state = loss.save().unwrap();
    assert_eq!(state, 0.25f64.to_le_bytes());
    loss.load(&2.0f64.to_le_bytes()).unwrap();
    assert_eq!(loss.save().unwrap(), 2.0f64.to_le_bytes());
    let refusal = loss.load(b"123").unwrap_err().to_string();
    assert!(refusal.ends_with("fixture.so failed in `load`: the state has 3 bytes, not 8"), "{refusal}");

    let mut groups = [Rates::new("weight", 0.1, 0.9)];
    component("fixture_schedule").scheduler("{}").unwrap().rates(&Progress::default(), &mut groups).unwrap();
    assert_eq!(groups[0].lr, 0.05);

    let mirror = component("fixture_mirror").augmentation("{}").unwrap();
    let mirrored = AugmentBench::default().apply(mirror.as_ref(), &picture(Size::new(40, 20))).unwrap();
    assert_eq!(mirrored.from_original().apply([0.0, 5.0]), [40.0, 5.0]);

    let mut names = component("fixture_names").exporter("{}").unwrap();
    assert_eq!(names.formats().unwrap()[0].extension, "txt");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("model.txt");
    let mut model = ModelBench::default().tensor("a", &[1], &[1.0]).tensor("b", &[2], &[1.0, 2.0]);
    let cx = ExportContext { format: "names".into(), imgsz: 64, batch: 1 };
    let written = names.export(&model.view(), &out, &cx).unwrap();
    assert_eq!((written[0].path.as_path(), std::fs::read_to_string(&out).unwrap().as_str()), (out.as_path(), "a\nb"));
}

/// Every plugin that was released (or, before the freeze, the last release candidate's) loads and works for ever.
#[test]
fn released_plugins_work_in_this_host() {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = Path::new(HERE).join("fixtures").join(&target);
    let files: Vec<_> = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|it| it.path()).collect();
    let released: Vec<_> = files.iter().filter(|path| path.extension().is_some_and(|it| it == "so")).collect();
    if released.is_empty() {
        eprintln!(
            "SKIPPED: no fixtures of the plugin ABI for {target}; build.py fixtures makes them on such a machine"
        );
        assert_ne!(target, "x86_64-unknown-linux-gnu", "the fixtures of {target} are gone");
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    for file in released {
        // A file that others may write is refused, and a checkout's permissions are not ours to choose.
        let copy = cache.path().join("fixture.so");
        let _ = std::fs::remove_file(&copy);
        std::fs::copy(file, &copy).unwrap();
        std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        works(&load(&copy, cache.path()).unwrap_or_else(|reason| panic!("{}: {reason}", file.display())));
    }
}

#[test]
fn a_newer_plugin_works_in_this_host() {
    let (dir, file) = variant("newer");
    let plugin = load(&file, dir.path()).unwrap();
    assert_eq!(plugin.manifest.abi, "1.1.0");
    works(&plugin);
    let schema = &plugin.components.iter().find(|it| it.entry.name == "fixture_loss").unwrap().schema;
    assert_eq!(schema["properties"]["added"]["default"], true, "an option that this host has never heard of");
    // A status that this host does not know reads as a failure, with the plugin's words.
    let factory = &plugin.components.iter().find(|it| it.entry.name == "fixture_loss").unwrap().factory;
    let busy = factory.loss("{}").unwrap().load(b"busy").unwrap_err().to_string();
    assert!(busy.ends_with("fixture.so failed in `load`: busy, try again"), "{busy}");
}

#[test]
fn this_plugin_works_in_a_newer_host() {
    let dir = tempfile::tempdir().unwrap();
    build("host", "newer", dir.path());
    let run = |file: &Path| {
        let out = Command::new(dir.path().join("host")).arg(file).output().unwrap();
        (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let lines = |busy: &str| {
        format!(
            "loss fixture_loss: state [0, 0, 0, 0, 0, 0, 208, 63], busy: {busy}\nscheduler fixture_schedule: lr 0.05\n\
             augmentation fixture_mirror: 0 partners\n\
             exporter fixture_names: [Format {{ name: \"names\", extension: \"txt\", doc: \"the tensors' names\" }}]\n"
        )
    };
    let (_dir, current) = variant("current");
    let (said, tables) = run(&current);
    assert_eq!((said, tables.as_str()), (lines("the state has 4 bytes, not 8"), "fixture_loss: trainer.loss/1\n"));
    let (_dir, newer) = variant("newer");
    let (said, tables) = run(&newer);
    assert_eq!((said, tables.as_str()), (lines("busy, try again"), "fixture_loss: trainer.loss/2\n"));
}

/// The refusal of a variant, without what follows `rebuild`.
fn refusal(name: &str) -> String {
    let (dir, file) = variant(name);
    let error = load(&file, dir.path()).err().expect("it is refused").to_string();
    let error = error.replace(&file.canonicalize().unwrap().display().to_string(), "FILE");
    error.split("; rebuild it").next().unwrap().to_owned()
}

#[test]
fn a_plugin_that_aborts_instead_of_unwinding_is_refused() {
    assert_eq!(
        refusal("aborts"),
        "plugin FILE is built with panic=abort, so that a panic in it would end the training; take `panic = \"abort\"` \
         out of its Cargo.toml [panic-abort]"
    );
}

#[test]
fn what_does_not_fit_is_refused_with_both_sides() {
    let ours = trainer_sdk::abi::VERSION;
    assert_eq!(
        refusal("changed_struct"),
        format!(
            "plugin FILE does not fit this trainer's plugin ABI {ours}: in LossTable.targets (LossContext), size in \
             bytes: 88 in this trainer, 96 in the plugin; number of fields: 11 in this trainer, 12 in the plugin; \
             field: `is_training` in this trainer, `added` in the plugin"
        )
    );
    assert_eq!(
        refusal("changed_parameter"),
        format!(
            "plugin FILE does not fit this trainer's plugin ABI {ours}: in AugmentationTable.partners (u32), type: u32 \
             in this trainer, u64 in the plugin"
        )
    );
    assert_eq!(
        refusal("other_major"),
        format!(
            "plugin FILE was built for plugin ABI 2.0.0, this trainer has {ours}: the major versions must be equal"
        )
    );
    assert_eq!(
        refusal("other_abi_stable"),
        "plugin FILE cannot be loaded: it was built with abi_stable 0.12, this trainer with 0.11"
    );
}
