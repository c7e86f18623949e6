//! The loader with everything that a run has: its batches are the same for any number of threads, from any batch on and
//! with any cache, square or rectangular; and validation in rectangles loses nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use image::{Rgb, RgbImage};
use serde_json::Value;
use trainer::{
    augment::{OnError, Pipeline, Stage, recipe},
    config::{ComponentConfig, RunConfig},
    data::{
        DataYaml, Dataset, OpenOptions, Split,
        cache::{self, CacheKind},
        loader::{Loader, LoaderOptions, RawBatch},
    },
    registry::Registry,
    settings::{self, Request},
    validate,
};
use trainer_sdk::Bbox;

use crate::{data_real, run::Run};

const SIDE: u32 = 160;

/// Sixteen images of several aspects with boxes, outlines and nothing.
fn synthetic(root: &Path) -> PathBuf {
    for part in ["images", "labels"] {
        fs::create_dir(root.join(part)).unwrap();
    }
    for seed in 0..16_u32 {
        let noise = |x: u32, y: u32| Rgb([(x * (seed + 3)) as u8, (y * 7 + seed) as u8, (x * y / 9) as u8]);
        let (width, height) = [(200, 150), (150, 200), (160, 160), (240, 90)][seed as usize % 4];
        RgbImage::from_fn(width, height, noise).save(root.join(format!("images/{seed}.png"))).unwrap();
        let rows = ["0 0.4 0.4 0.2 0.2\n1 0.1 0.6 0.3 0.6 0.3 0.9 0.1 0.9\n", "1 0.7 0.5 0.2 0.6\n", ""];
        fs::write(root.join(format!("labels/{seed}.txt")), rows[seed as usize % 3]).unwrap();
    }
    let yaml = root.join("data.yaml");
    fs::write(&yaml, "path: .\ntrain: images\nval: images\nnames: [cat, dog]\n").unwrap();
    yaml
}

/// A data.yaml in `folder` for the outlines and crowds of a COCO set in `root`.
fn coco(root: &Path, folder: &Path) -> PathBuf {
    let yaml = folder.join("data.yaml");
    let [train, val] = ["train", "val"].map(|split| format!("annotations/instances_{split}2017.json"));
    fs::write(&yaml, format!("path: {}\ntrain: {train}\nval: {val}\n", root.display())).unwrap();
    yaml
}

fn open(yaml: &Path, split: Split, fraction: f64) -> Dataset {
    let options = OpenOptions { cache: None, fraction, ..OpenOptions::new(SIDE) };
    Dataset::open(&DataYaml::read(yaml).unwrap(), split, &options).unwrap()
}

/// The recipe of yolo12x, its rare stages often enough to act.
fn pipeline(is_rect: bool) -> Pipeline {
    let words = "data=x model=yolo12x blur.p=0.2 median_blur.p=0.2 gray.p=0.1 clahe.p=0.2 cutmix=0.3 degrees=5";
    let keys = words.split_whitespace().map(|word| word.split_once('=').unwrap());
    let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let mut registry = Registry::built_in();
    let config: RunConfig =
        settings::resolve(&Request { keys, ..Request::default() }, settings::training, &mut registry).unwrap();
    let stages = if is_rect { recipe::rectangular(&config.augment).0 } else { config.augment };
    let stage = |placed: &ComponentConfig| {
        let options = Value::Object(placed.options.clone()).to_string();
        Stage::new(&placed.name, registry.augmentation(&placed.name, &options).unwrap(), OnError::Fail)
    };
    Pipeline { stages: stages.iter().map(stage).collect() }
}

fn loader(set: &Arc<Dataset>, rect: Option<f64>, workers: usize) -> Loader {
    let options =
        LoaderOptions { batch: 5, imgsz: SIDE, epochs: 20, seed: 3, shuffle: true, rect, workers, prefetch: 2 };
    Loader::new(Arc::clone(set) as _, pipeline(rect.is_some()), options)
}

fn batches(loader: &Loader, first: usize) -> Vec<RawBatch> {
    let epochs = [0, 11].into_iter().flat_map(|epoch| loader.epoch_from(epoch, first)); // 11: the last ten are closed
    epochs.collect::<Result<_, _>>().unwrap()
}

fn are_functions_of_seed_and_epoch(yaml: &Path, fraction: f64) {
    let plain = Arc::new(open(yaml, Split::Train, fraction));
    let folder = tempfile::tempdir().unwrap();
    let cached = |kind| {
        let mut sets = [open(yaml, Split::Train, fraction)];
        cache::attach(&mut sets, kind, Some(folder.path()), &DataYaml::read(yaml).unwrap(), 2).unwrap();
        let [set] = sets;
        Arc::new(set)
    };
    for rect in [None, Some(0.0)] {
        let alone = batches(&loader(&plain, rect, 0), 0);
        let (per_epoch, num_objects) = (alone.len() / 2, alone.iter().map(|batch| batch.objects.len()).sum::<usize>());
        assert!(per_epoch >= 4 && num_objects > 0);
        for workers in [1, 2, 7] {
            assert!(batches(&loader(&plain, rect, workers), 0) == alone, "{workers} workers, rect {rect:?}");
        }
        let rest = batches(&loader(&plain, rect, 2), 2);
        assert!(rest == [&alone[2..per_epoch], &alone[per_epoch + 2..]].concat(), "from batch 2 on, rect {rect:?}");
        for kind in [CacheKind::Ram, CacheKind::Disk] {
            let set = cached(kind);
            for pass in 0..2 {
                assert!(batches(&loader(&set, rect, 2), 0) == alone, "{kind:?}, pass {pass}, rect {rect:?}");
            }
        }
    }
}

#[test]
fn batches_of_made_up_images_are_functions_of_seed_and_epoch() {
    let root = tempfile::tempdir().unwrap();
    are_functions_of_seed_and_epoch(&synthetic(root.path()), 1.0);
}

#[test]
fn batches_of_photos_are_functions_of_seed_and_epoch() {
    let Some(root) = data_real::set("coco-open") else { return };
    let folder = tempfile::tempdir().unwrap();
    are_functions_of_seed_and_epoch(&coco(&root, folder.path()), 0.3);
}

/// What is in the images of a set, as validation sees it: in pixels of the files.
fn truths(set: &Arc<Dataset>, is_rect: bool) -> BTreeMap<u64, Vec<(u32, Bbox)>> {
    let mut truths = BTreeMap::new();
    for batch in validate::loader(Arc::clone(set), 7, SIDE, 2, is_rect).epoch(0) {
        let batch = batch.unwrap();
        assert!(batch.size.width.is_multiple_of(32) && batch.size.height.is_multiple_of(32));
        for (i, sample) in batch.samples.iter().enumerate() {
            let back = sample.to_input.inverse().unwrap();
            let objects = batch.objects.iter().filter(|object| object.image as usize == i).map(|found| &found.object);
            let boxes = objects.map(|object| {
                let [a, b] = [[object.bbox.x1, object.bbox.y1], [object.bbox.x2, object.bbox.y2]];
                let [[x1, y1], [x2, y2]] = [a, b].map(|corner| back.apply(corner.map(f64::from)).map(|c| c as f32));
                (object.class, Bbox { x1, y1, x2, y2 })
            });
            assert!(truths.insert(sample.id, boxes.collect()).is_none(), "each image once");
        }
    }
    truths
}

#[test]
fn validation_in_rectangles_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut sets = vec![synthetic(folder.path())];
    let real = tempfile::tempdir().unwrap();
    sets.extend(data_real::set("coco-open").map(|root| coco(&root, real.path())));
    sets.extend(data_real::set("bccd").map(|root| root.join("data.yaml")));
    for yaml in sets {
        let set = Arc::new(open(&yaml, Split::Val, 1.0));
        let (square, rect) = (truths(&set, false), truths(&set, true));
        assert_eq!(rect.len(), set.records.len(), "{}", yaml.display());
        for ((id, square), (_, rect)) in square.iter().zip(&rect) {
            let record = &set.records[*id as usize];
            assert_eq!((square.len(), rect.len()), (record.objects.len(), record.objects.len()));
            for ((class, found), object) in square.iter().chain(rect).zip(record.objects.iter().cycle()) {
                let wanted = object.bbox;
                let [a, b] = [found, &wanted].map(|b| [b.x1, b.y1, b.x2, b.y2]);
                let distance = a.into_iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(*class == object.class && distance < 0.01, "{}: {found:?}, {wanted:?}", record.path.display());
            }
        }
    }
}

/// A run on images of two aspects.
fn two_aspects() -> Run {
    let wide = |width: u32, height: u32| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let noise = |x: u32, y: u32| Rgb([(x * 7 + y * 13) as u8, (x * y) as u8, (x * x + y) as u8]);
        RgbImage::from_fn(width, height, noise).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let run = Run::new().keys("imgsz=64 epochs=1 project=out name=run exist_ok=True");
    let run = run.write("data/images/train/a.png", wide(64, 32)).write("data/images/train/b.png", wide(64, 30));
    run.write("data/images/val/e.png", wide(30, 64))
}

/// The lines of metrics.jsonl without what depends on the time.
fn metrics(run: &Run) -> Vec<Value> {
    let lines = run.read("out/run/metrics.jsonl");
    let timeless = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        for key in ["seconds", "validation_seconds", "images_per_second", "loader", "loader_wait"] {
            line.as_object_mut().unwrap().remove(key);
        }
        line
    };
    lines.lines().map(timeless).collect()
}

#[test]
fn rect_is_for_validation_unless_it_is_said() {
    let train = |words: &str| {
        let run = two_aspects().keys(words);
        let said = run.expect(0);
        let loss = |lines: &[Value], place: &str| lines[1][place]["box"].as_f64().unwrap();
        let lines = metrics(&run);
        (loss(&lines, "train_loss"), loss(&lines, "val_loss"), said.contains("rect=True: mosaic off"))
    };
    let (unset, both, neither) = (train(""), train("rect=True"), train("rect=False"));
    assert_eq!((unset.0, unset.2, neither.2), (neither.0, false, false), "training is square");
    assert_ne!(unset.1, neither.1, "validation is not");
    assert!(both.2 && both.0 != unset.0, "{both:?}");
    train("rect=True multi_scale=True");
    let refused = Run::new().keys("rect=maybe").expect(1);
    assert_eq!(refused, "rect=maybe: invalid type: string \"maybe\", expected a boolean");
}

#[test]
fn a_run_is_the_same_with_any_cache_and_says_what_the_loader_does() {
    let run = two_aspects();
    run.expect(0);
    let plain = metrics(&run);
    let lines = run.read("out/run/metrics.jsonl");
    let [step, epoch] = [0, 1].map(|i| serde_json::from_str::<Value>(lines.lines().nth(i).unwrap()).unwrap());
    assert_eq!(step["loader"], serde_json::json!({ "ready": 0, "ahead": 0 }), "workers=0 prepares nothing");
    assert!((0.0..=1.0).contains(&epoch["loader_wait"].as_f64().unwrap()));

    let ram = two_aspects().keys("cache=True");
    ram.expect(0);
    assert_eq!(metrics(&ram), plain);
    assert!(ram.read("out/run/run.toml").contains("cache = \"ram\""));

    let disk = two_aspects().keys("cache=disk workers=2");
    let said = disk.expect(0);
    assert!(said.contains("train: writing the cache ~/home/cache/trainer/images/"), "{said}");
    assert_eq!(metrics(&disk), plain);
    let step: Value = serde_json::from_str(disk.read("out/run/metrics.jsonl").lines().next().unwrap()).unwrap();
    assert_eq!(step["loader"]["ahead"], 2, "as many batches as there are");
    let kept = fs::read_dir(disk.path("home/cache/trainer/images")).unwrap().count();
    assert_eq!(kept, 4, "a file and its lock for train and for val");
    fs::remove_dir_all(disk.path("out")).unwrap();
    let said = disk.expect(0);
    assert!(!said.contains("writing the cache"), "{said}");
    assert_eq!(metrics(&disk), plain);

    let elsewhere = Run::new().keys("cache=disk cache_dir=kept/here");
    elsewhere.expect(0);
    assert_eq!(fs::read_dir(elsewhere.path("kept/here")).unwrap().count(), 4);
    let refused = Run::new().keys("cache=gpu").expect(1);
    assert_eq!(refused, "cache=gpu: expected none, ram, disk, true or false");
    let refused = Run::new().keys("cache=disk cache_dir=data/data.yaml/x").expect(1);
    assert!(refused.starts_with("cannot write the cache data/data.yaml/x/"), "{refused}");
}
