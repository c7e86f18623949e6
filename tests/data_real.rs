//! Real data in several formats: the same photos read as YOLO, Pascal VOC and COCO json give the same objects.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use trainer::data::{DataYaml, Dataset, Format, OpenOptions, Record, Split, loader::Source as _};

/// The folder of a set, unless it is not there.
pub fn set(name: &str) -> Option<PathBuf> {
    let data = env::var_os("TRAINER_REAL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let found = fs::canonicalize(data.join(name)).ok();
    if found.is_none() {
        eprintln!("left out: no {name} in {} (TRAINER_REAL_DATA names the directory of the real data)", data.display());
    }
    found
}

fn options() -> OpenOptions {
    OpenOptions { cache: None, ..OpenOptions::new(320) }
}

/// A split of the set in `root`, as a data.yaml of this text, elsewhere, says.
fn open(root: &Path, yaml: &str, split: Split) -> Dataset {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data.yaml");
    fs::write(&file, format!("path: {}\n{yaml}", root.display())).unwrap();
    Dataset::open(&DataYaml::read(&file).unwrap(), split, &options()).unwrap()
}

fn own(root: &Path, split: Split) -> Dataset {
    Dataset::open(&DataYaml::read(root).unwrap(), split, &options()).unwrap()
}

fn by_name(set: &Dataset) -> BTreeMap<&str, &Record> {
    set.records.iter().map(|record| (record.path.file_stem().unwrap().to_str().unwrap(), record)).collect()
}

/// Objects that are neither crowd nor ignored, of each class.
fn class_counts(set: &Dataset) -> Vec<usize> {
    let mut counts = vec![0; set.names.len()];
    for object in set.records.iter().flat_map(|record| &record.objects).filter(|it| !it.crowd && !it.ignore) {
        counts[object.class as usize] += 1;
    }
    counts
}

/// Every box of `a` stands in `b`, in the same order, no edge further away than `limit` pixels.
fn same_boxes(a: &Dataset, b: &Dataset, limit: f32) {
    let (a, b) = (by_name(a), by_name(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, record) in a {
        let plain = |record: &Record| {
            let own = record.objects.iter().filter(|object| !object.crowd);
            own.map(|object| (object.class, object.bbox)).collect::<Vec<_>>()
        };
        let (left, right) = (plain(record), plain(b[name]));
        assert_eq!((record.size, left.len()), (b[name].size, right.len()), "{name}");
        for ((class_a, a), (class_b, b)) in left.into_iter().zip(right) {
            assert_eq!(class_a, class_b, "{name}");
            for (a, b) in [(a.x1, b.x1), (a.y1, b.y1), (a.x2, b.x2), (a.y2, b.y2)] {
                assert!((a - b).abs() <= limit, "{name}: {a} and {b}");
            }
        }
    }
}

#[test]
fn yolo_sets_have_the_counts_of_their_files() {
    for (name, split, images, objects) in [
        ("bccd", Split::Train, 205, 2804),
        ("bccd", Split::Val, 87, 1137),
        ("bccd", Split::Test, 72, 945),
        ("coco-open", Split::Train, 92, 820),
        ("coco-open", Split::Val, 66, 552),
    ] {
        let Some(root) = set(name) else { continue };
        let set = own(&root, split);
        assert_eq!((set.len(), set.report.objects), (images, objects)); // rows of the label files, counted by grep
        assert!(set.report.warnings().is_empty(), "{:?}", set.report.warnings());
        let sample = set.load(set.len() - 1).unwrap();
        assert_eq!(sample.size().width.max(sample.size().height), 320);
    }
}

#[test]
fn blood_cells_are_the_same_as_pascal_voc() {
    let Some(root) = set("bccd") else { return };
    let lists =
        "format: voc\ntrain: ImageSets/Main/train.txt\nval: ImageSets/Main/val.txt\ntest: ImageSets/Main/test.txt\n";
    let voc = format!("{lists}names: [RBC, WBC, Platelets]");
    let mut num_empty = 0;
    for split in Split::ALL {
        let (voc, yolo) = (open(&root, &voc, split), own(&root, split));
        assert_eq!(class_counts(&voc), class_counts(&yolo));
        same_boxes(&voc, &yolo, 0.001); // six decimals of 640 pixels
        num_empty += voc.report.empty_boxes;
    }
    assert_eq!(num_empty, 2, "xmin = xmax in BloodImage_00338 and _00343");
    assert_eq!(open(&root, lists, Split::Val).names, ["Platelets", "RBC", "WBC"], "as the files name them, sorted");
}

#[test]
fn coco_json_is_the_same_as_its_yolo_labels() {
    let Some(root) = set("coco-open") else { return };
    let yaml = "train: annotations/instances_train2017.json\nval: annotations/instances_val2017.json";
    let mut polygons = 0;
    for (split, annotations, crowds) in [(Split::Train, 829, 9), (Split::Val, 560, 8)] {
        let (coco, yolo) = (open(&root, yaml, split), own(&root, split));
        assert_eq!(coco.names, yolo.names, "80 names, though ids go to 90");
        assert_eq!(coco.report.objects, annotations);
        let objects = || coco.records.iter().flat_map(|record| &record.objects);
        assert_eq!(objects().filter(|object| object.crowd).count(), crowds);
        assert_eq!(class_counts(&coco), class_counts(&yolo));
        same_boxes(&coco, &yolo, 0.001);
        polygons += objects().filter(|object| !object.polygon.is_empty()).count();
        assert!(coco.report.warnings().is_empty(), "{:?}", coco.report.warnings());
    }
    assert_eq!(polygons, 1372);
}

#[test]
fn a_folder_of_coco_json_needs_no_data_yaml() {
    let Some(root) = set("coco-open") else { return };
    let dir = tempfile::tempdir().unwrap();
    for part in ["annotations", "images"] {
        std::os::unix::fs::symlink(root.join(part), dir.path().join(part)).unwrap();
    }
    let yaml = DataYaml::read(dir.path()).unwrap();
    let set = Dataset::open(&yaml, Split::Val, &options()).unwrap();
    assert_eq!((yaml.format, set.len(), set.report.objects), (Format::Coco, 66, 560));
    let one = Dataset::open(&yaml, Split::Val, &OpenOptions { single_cls: true, ..options() }).unwrap();
    assert_eq!((one.names, class_counts(&set).iter().sum::<usize>()), (vec!["item".to_owned()], 552));
    assert!(one.records.iter().flat_map(|record| &record.objects).all(|object| object.class == 0));
}

#[test]
fn kept_sizes_give_the_same_data() {
    let Some(root) = set("bccd") else { return };
    let cache = tempfile::tempdir().unwrap();
    let yaml = DataYaml::read(&root).unwrap();
    let open = |cache: Option<PathBuf>| {
        let set = Dataset::open(&yaml, Split::Train, &OpenOptions { cache, ..options() }).unwrap();
        (set.names, set.records, set.report)
    };
    let plain = open(None);
    let kept = || Some(cache.path().join("deep/er"));
    assert!(open(kept()) == plain && open(kept()) == plain);
    let files: Vec<_> = fs::read_dir(kept().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let text = fs::read_to_string(&files[0]).unwrap();
    assert_eq!(text.matches(".jpg").count(), 205);
    fs::write(&files[0], &text[..1000]).unwrap();
    assert!(open(kept()) == plain);
    assert_eq!(fs::read_to_string(&files[0]).unwrap(), text, "a damaged file is written anew");
}
