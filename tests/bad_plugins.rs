//! Plugins that go wrong once they are loaded: whatever they do, the call is an error that says so. What goes wrong while
//! a plugin is loaded is tested beside the loader; crashes in tests/crash.rs; wrong values in tests/conformance.rs.

use trainer_loader::{LoadedFactory, conformance};
use trainer_sdk::{
    ExportContext, ReadyContext, Result, Rng, Size,
    testing::{AugmentBench, LossBench, ModelBench, SimulatedRun, picture, tensor},
};

use crate::run::{Run, built};

/// The factory of a component in a file of the workspace.
fn factory(file: &str, kind: &str, name: &str) -> LoadedFactory {
    trainer::torch::install();
    let components = trainer_loader::open_unchecked(&built(file)).unwrap_or_else(|error| panic!("{error}"));
    let found = components.into_iter().find(|it| it.entry.kind == kind && it.entry.name == name);
    found.unwrap_or_else(|| panic!("{file} has no {kind} {name}")).factory
}

/// The calls that a run makes of a component of a kind, in order, and what comes of them.
fn life(kind: &str, factory: &LoadedFactory, options: &str) -> Result<()> {
    let run = ReadyContext::default();
    match kind {
        "loss" => {
            let mut loss = factory.loss(options)?;
            loss.ready(&run)?;
            loss.load(&loss.save()?)?;
            let mut bench = LossBench::new(tensor(&[0.8, 0.0], &[1, 1, 2]));
            bench.targets(loss.as_mut())?;
            bench.terms(loss.as_mut())
        }
        "augmentation" => {
            let mut augmentation = factory.augmentation(options)?;
            augmentation.ready(&run)?;
            augmentation.partners();
            AugmentBench::default().apply(augmentation.as_ref(), &picture(Size::square(8))).map(drop)
        }
        "scheduler" => {
            let mut scheduler = factory.scheduler(options)?;
            scheduler.ready(&run)?;
            scheduler.load(&scheduler.save()?)?;
            let run = SimulatedRun { epochs: 1, steps_per_epoch: 1, lr0: 0.1, momentum: 0.9 };
            run.rates(scheduler.as_mut(), |_| Vec::new()).map(drop)
        }
        _ => {
            let mut exporter = factory.exporter(options)?;
            exporter.ready(&run)?;
            exporter.load(&exporter.save()?)?;
            exporter.formats()?;
            let cx = ExportContext { format: "x".into(), imgsz: 32, batch: 1 };
            let folder = tempfile::tempdir()?;
            exporter.export(&ModelBench::default().view(), &folder.path().join("x"), &cx).map(drop)
        }
    }
}

/// The components of the fixture, and the functions in which they can be told to panic.
const PANICKY: [(&str, &str, &str); 4] = [
    ("loss", "panicky", "create ready save load targets terms"),
    ("augmentation", "panicky_pixels", "create ready apply"),
    ("scheduler", "panicky_rates", "create ready save load rates"),
    ("exporter", "panicky_files", "create ready save load formats export"),
];

#[test]
fn a_panic_anywhere_is_an_error_with_its_place() {
    for (kind, name, entries) in PANICKY {
        let factory = factory("libpanicky.so", kind, name);
        life(kind, &factory, "{}").unwrap();
        for entry in entries.split(' ') {
            let error = format!("{:#}", life(kind, &factory, &format!(r#"{{"at": "{entry}"}}"#)).unwrap_err());
            let start = format!("libpanicky.so failed in `{entry}`: panicked at tests/plugins/panicky/src/lib.rs:");
            assert!(error.contains(&start), "{kind} {entry}: {error}");
            assert!(error.ends_with(&format!(": told to panic in {entry}")), "{kind} {entry}: {error}");
        }
    }
}

#[test]
fn a_panic_where_no_error_can_be_told_is_harmless() {
    for (kind, name, _) in PANICKY {
        life(kind, &factory("libpanicky.so", kind, name), r#"{"at": "drop"}"#).unwrap();
    }
    let pixels = factory("libpanicky.so", "augmentation", "panicky_pixels");
    let augmentation = pixels.augmentation(r#"{"at": "partners"}"#).unwrap();
    assert_eq!(augmentation.partners(), 0);
    let error = AugmentBench::default().apply(augmentation.as_ref(), &picture(Size::square(8))).unwrap_err();
    assert!(format!("{error:#}").ends_with("failed in `apply`: panicked in an earlier call"), "{error:#}");
}

#[test]
fn what_was_offered_fails_as_its_plugin() {
    let message = Run::new().keys("--plugin panicky.so panicky.at=offered").expect(2);
    let start =
        "loss panicky: plugin BIN/libpanicky.so failed in `terms`: panicked at tests/plugins/panicky/src/lib.rs:";
    assert!(message.starts_with(start) && message.ends_with(": told to panic in offered"), "{message}");
}

#[test]
fn a_scheduler_s_failure_names_it() {
    let message = Run::new().keys("--plugin panicky.so panicky_rates.at=rates").expect(2);
    assert!(message.starts_with("scheduler panicky_rates: plugin BIN/libpanicky.so failed in `rates`: "), "{message}");
}

#[test]
fn a_class_that_the_data_has_not_is_told_with_its_picture() {
    let message = Run::new().keys("--plugin panicky.so panicky_pixels.at=class workers=0 seed=0").expect(1);
    let (path, rest) = message.strip_prefix("the augmentations give ").unwrap().split_once(" an object").unwrap();
    assert!(path.starts_with("data/images/train/"), "{message}");
    assert_eq!(rest, " of class 1000; the data has 2 classes");
}

#[test]
fn what_are_no_options_is_refused_in_a_few_words() {
    let mut rng = Rng::from_seed(0);
    let mut noise = |length: usize| (0..length).map(|_| rng.below(256) as u8).collect::<Vec<u8>>();
    let mut garbage: Vec<Vec<u8>> = (0..200).map(|i| noise(i * 7)).collect();
    garbage.push(noise(1 << 20));
    garbage.push(vec![b'['; 1 << 20]);
    garbage.push([b"{\"epsilon\": \"", vec![b'x'; 1 << 20].as_slice(), b"\"}"].concat());
    garbage.push([b"{\"", vec![b'x'; 1 << 20].as_slice(), b"\": 1}"].concat());
    let smooth = factory("liblabel_smooth.so", "loss", "label_smooth");
    for options in garbage {
        let error = format!("{:#}", conformance::construct(&smooth, &options).unwrap_err());
        assert!(!error.contains("panicked") && error.len() < 1000, "{} bytes: {error}", error.len());
    }
}

#[test]
fn a_megabyte_of_option_is_refused_in_a_few_words() {
    let text = format!(
        "plugins = [\"label_smooth.so\"]\n[[loss]]\nuse = \"label_smooth\"\nepsilon = \"{}\"\n",
        "x".repeat(1 << 20)
    );
    let message = Run::new().write("run.toml", text).keys("--config run.toml").expect(1);
    assert!(message.contains("epsilon") && message.len() < 600, "{} bytes: {message:.700}", message.len());
}

#[test]
fn a_choice_that_is_none_gets_the_choices_and_the_near_one() {
    let message = Run::new().keys("--plugin panicky.so panicky.at=offerd").expect(1);
    let (start, end) = ("option `panicky.at`: \"offerd\" is not one of \"nowhere\", ", "; did you mean `offered`?");
    assert!(message.contains(start) && message.ends_with(end), "{message}");
}

#[test]
fn two_files_with_one_name_are_one_too_many() {
    let run = Run::new().write("other.so", std::fs::read(built("liblabel_smooth.so")).unwrap());
    let message = run.keys("--plugin label_smooth.so --plugin ./other.so").expect(1);
    assert_eq!(
        message,
        "plugin ~/other.so provides loss `label_smooth`, which plugin label_smooth provides already; load only one of them"
    );
}
