//! Known answers: cases worked out by hand, and pycocotools' figures on real COCO detections.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::*;

fn rect(x: f64, y: f64, width: f64, height: f64) -> Rect {
    Rect { x, y, width, height }
}

fn scored(score: f64, rect: Rect) -> Scored {
    Scored { class: 0, rect, score }
}

fn truth(rect: Rect) -> Truth {
    Truth { class: 0, rect, crowd: false }
}

fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "found {found}, expected {expected}");
}

#[test]
fn perfect_and_empty() {
    let square = rect(0.0, 0.0, 10.0, 10.0);
    let mut evaluator = Evaluator::new(2);
    assert_eq!(evaluator.figures(COCO_MAX_DET).map50_95, 0.0, "nothing added");
    evaluator.add(&[], &[truth(square)]).unwrap();
    let missed = evaluator.figures(COCO_MAX_DET);
    assert_eq!((missed.map50, missed.precision, missed.recall, missed.confidence), (0.0, 0.0, 0.0, 0.0));

    let mut evaluator = Evaluator::new(2);
    evaluator.add(&[scored(0.9, square)], &[truth(square)]).unwrap();
    evaluator.add(&[], &[]).unwrap();
    let figures = evaluator.figures(COCO_MAX_DET);
    assert_eq!((figures.images, figures.instances, figures.classes.len()), (2, 1, 1), "class 1 has no truth");
    assert_close(figures.map50_95, 1.0);
    assert_close(figures.precision, 1.0);
    assert_close(figures.recall, 1.0);
}

#[test]
fn hit_miss_hit() {
    // three objects; found, false alarm, found: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3.
    // 34 of 101 recalls (0 to .33) read 1, the next 33 (.34 to .66) read 2/3, the rest 0
    let objects = [0.0, 100.0, 200.0].map(|x| truth(rect(x, 0.0, 10.0, 10.0)));
    let detections = [
        scored(0.9, rect(0.0, 0.0, 10.0, 10.0)),
        scored(0.8, rect(50.0, 0.0, 10.0, 10.0)),
        scored(0.7, rect(200.0, 0.0, 10.0, 10.0)),
    ];
    let mut evaluator = Evaluator::new(1);
    evaluator.add(&detections, &objects).unwrap();
    let figures = evaluator.figures(COCO_MAX_DET);
    assert_close(figures.map50_95, (34.0 + 33.0 * 2.0 / 3.0) / 101.0);
    // up to confidence .7 all three are accepted: the best F1
    assert_close(figures.precision, 2.0 / 3.0);
    assert_close(figures.recall, 2.0 / 3.0);
    assert!(figures.confidence < 0.7, "{}", figures.confidence);

    let best_one = evaluator.figures(1);
    assert_close(best_one.map50, 34.0 / 101.0);
}

#[test]
fn thresholds_and_duplicates() {
    // IoU 0.6: a hit at .50, .55 and .60; the weaker duplicate is a false alarm and costs nothing at recall 1
    let mut evaluator = Evaluator::new(1);
    let detections = [scored(0.5, rect(0.0, 0.0, 10.0, 10.0)), scored(0.9, rect(0.0, 0.0, 10.0, 6.0))];
    evaluator.add(&detections, &[truth(rect(0.0, 0.0, 10.0, 10.0))]).unwrap();
    let ap = evaluator.figures(COCO_MAX_DET).classes[0].ap;
    // beyond .60 the exact but weaker box is the hit, at precision 1/2
    assert_eq!(ap.map(|ap| (ap * 1e6).round()), [1e6, 1e6, 1e6, 5e5, 5e5, 5e5, 5e5, 5e5, 5e5, 5e5]);
}

#[test]
fn crowds_count_for_nothing() {
    let crowd = Truth { crowd: true, ..truth(rect(100.0, 0.0, 100.0, 100.0)) };
    let object = truth(rect(0.0, 0.0, 10.0, 10.0));
    let detections = [
        scored(0.9, rect(110.0, 10.0, 10.0, 10.0)), // inside the crowd: ignored
        scored(0.8, rect(120.0, 10.0, 10.0, 10.0)), // and another
        scored(0.7, rect(0.0, 0.0, 10.0, 10.0)),
    ];
    let mut evaluator = Evaluator::new(1);
    evaluator.add(&detections, &[crowd, object]).unwrap();
    let figures = evaluator.figures(COCO_MAX_DET);
    assert_eq!(figures.instances, 1);
    assert_close(figures.map50_95, 1.0);

    let mut only_crowd = Evaluator::new(1);
    only_crowd.add(&detections, &[crowd]).unwrap();
    assert!(only_crowd.figures(COCO_MAX_DET).classes.is_empty());
}

#[test]
fn bad_input_is_an_error() {
    let mut evaluator = Evaluator::new(1);
    let other = Truth { class: 1, ..truth(rect(0.0, 0.0, 1.0, 1.0)) };
    assert_eq!(evaluator.add(&[], &[other]).unwrap_err().to_string(), "class 1 in an evaluation of 1 classes");
    let nan = scored(f64::NAN, rect(0.0, 0.0, 1.0, 1.0));
    assert!(evaluator.add(&[nan], &[]).unwrap_err().to_string().contains("not a finite number"));
    assert_eq!(evaluator.figures(COCO_MAX_DET).images, 0);
    let no_box = scored(0.5, rect(f64::NAN, 0.0, f64::NAN, 1.0));
    evaluator.add(&[no_box], &[truth(rect(0.0, 0.0, 1.0, 1.0))]).unwrap();
    assert_eq!(evaluator.figures(COCO_MAX_DET).map50, 0.0);
}

#[test]
fn core_types_convert() {
    let bbox = Bbox::new(1.0, 2.0, 4.0, 8.0);
    let mut object = Object::new(3, bbox);
    let truth = Truth::from(&object);
    assert_eq!((truth.class, truth.rect, truth.crowd), (3, rect(1.0, 2.0, 3.0, 6.0), false));
    object.ignore = true;
    assert!(Truth::from(&object).crowd);
    let scored = Scored::from(&Detection { bbox, score: 0.5, class: 3 });
    assert_eq!((scored.class, scored.rect, scored.score), (3, rect(1.0, 2.0, 3.0, 6.0), 0.5));
}

#[derive(Deserialize)]
struct Annotations {
    images: Vec<Id>,
    annotations: Vec<Box>,
    categories: Vec<Id>,
}

#[derive(Deserialize)]
struct Id {
    id: u64,
}

#[derive(Deserialize)]
struct Box {
    image_id: u64,
    category_id: u64,
    bbox: [f64; 4],
    #[serde(default)]
    score: f64,
    #[serde(default)]
    iscrowd: u8,
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn equals_pycocotools_on_real_detections() {
    let data = std::env::var_os("TRAINER_REAL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let oracle = data.join("coco-eval-oracle");
    if !oracle.is_dir() {
        eprintln!("left out: no {} (TRAINER_REAL_DATA names the directory of the real data)", oracle.display());
        return;
    }
    let annotations: Annotations = read(&oracle.join("instances_val2014_100.json"));
    let detections: Vec<Box> = read(&oracle.join("instances_val2014_fakebbox100_results.json"));

    let mut categories: Vec<u64> = annotations.categories.iter().map(|c| c.id).collect();
    categories.sort_unstable();
    let class = |b: &Box| categories.binary_search(&b.category_id).unwrap() as u32;
    let rect = |b: &Box| Rect { x: b.bbox[0], y: b.bbox[1], width: b.bbox[2], height: b.bbox[3] };
    let mut images: BTreeMap<u64, (Vec<Scored>, Vec<Truth>)> = BTreeMap::new();
    for image in &annotations.images {
        images.entry(image.id).or_default();
    }
    for b in &detections {
        images.get_mut(&b.image_id).unwrap().0.push(Scored { class: class(b), rect: rect(b), score: b.score });
    }
    for b in &annotations.annotations {
        let truth = Truth { class: class(b), rect: rect(b), crowd: b.iscrowd != 0 };
        images.get_mut(&b.image_id).unwrap().1.push(truth);
    }

    let mut evaluator = Evaluator::new(categories.len());
    for (detections, truths) in images.values() {
        evaluator.add(detections, truths).unwrap();
    }
    let figures = evaluator.figures(COCO_MAX_DET);
    // EXPECTED.md of the oracle, six places
    assert!((figures.map50_95 - 0.504581).abs() < 1e-6, "AP {}", figures.map50_95);
    assert!((figures.map50 - 0.696973).abs() < 1e-6, "AP50 {}", figures.map50);
    let ap75 = mean(figures.classes.iter().map(|c| c.ap[5]));
    assert!((ap75 - 0.572982).abs() < 1e-6, "AP75 {ap75}");
}
