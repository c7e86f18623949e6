//! The augmentations of a run: their keys and defaults for each scale, and their statistics on real pictures against
//! the reference's (tests/golden/augment_stats.json).

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path};

use serde::Deserialize;
use serde_json::Value;
use trainer::{
    augment::{EpochContext, OnError, Pipeline, Stage},
    config::RunConfig,
    data::{DataYaml, Dataset, OpenOptions, Split, loader::Source as _},
    registry::Registry,
    settings::{self, Request},
};
use trainer_sdk::Rng;

use crate::golden;

/// The configuration that `key=value` words make.
fn resolve(words: &str) -> Result<RunConfig, String> {
    let keys = words.split_whitespace().map(|word| word.split_once('=').unwrap());
    let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let request = Request { keys, ..Request::default() };
    settings::resolve(&request, settings::training, &mut Registry::built_in()).map_err(|error| format!("{error:#}"))
}

/// `stage.option` of a configuration.
fn option(config: &RunConfig, name: &str) -> Value {
    let (stage, option) = name.split_once('.').unwrap();
    let stage = config.augment.iter().find(|placed| placed.name == stage).unwrap();
    stage.options[option].clone()
}

#[test]
fn the_recipe_follows_the_model_and_keys_work_verbatim() {
    let scaled = ["perspective.scale", "mixup.p", "copy_paste.p"];
    for (model, values) in [
        ("n", [0.5, 0.0, 0.1]),
        ("s", [0.9, 0.05, 0.15]),
        ("m", [0.9, 0.15, 0.4]),
        ("l", [0.9, 0.15, 0.5]),
        ("x", [0.9, 0.2, 0.6]),
    ] {
        let config = resolve(&format!("data=x.yaml model=yolo12{model}")).unwrap();
        assert_eq!(scaled.map(|name| option(&config, name)), values.map(Value::from), "{model}");
        let text = toml::to_string(&config).unwrap();
        assert!(text.contains(&format!("p = {:?}", values[2])), "run.toml holds the values:\n{text}");
    }
    let words = "mosaic=0.9 mixup=0.1 cutmix=0.2 copy_paste=0.3 copy_paste_mode=mixup degrees=5 translate=0.2 scale=0.4 \
        shear=2 perspective=0.001 hsv_h=0.01 hsv_s=0.5 hsv_v=0.3 flipud=0.1 fliplr=0.4 bgr=0.05 close_mosaic=7";
    let config = resolve(&format!("data=x.yaml model=yolo12x {words}")).unwrap();
    for (name, value) in [
        ("mosaic.p", 0.9),
        ("mixup.p", 0.1),
        ("cutmix.p", 0.2),
        ("copy_paste.p", 0.3),
        ("perspective.degrees", 5.0),
        ("perspective.translate", 0.2),
        ("perspective.scale", 0.4),
        ("perspective.shear", 2.0),
        ("perspective.perspective", 0.001),
        ("hsv.h", 0.01),
        ("hsv.s", 0.5),
        ("hsv.v", 0.3),
        ("flip.vertical", 0.1),
        ("flip.horizontal", 0.4),
        ("bgr.p", 0.05),
        ("mosaic.close", 7.0),
        ("copy_paste.close", 7.0),
        ("mixup.close", 7.0),
        ("cutmix.close", 7.0),
    ] {
        assert_eq!(option(&config, name).as_f64(), Some(value), "{name}");
    }
    let order: Vec<_> = config.augment.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(order[..4], ["mosaic", "perspective", "copy_paste", "mixup"], "objects of others come after the warp");
    let range = resolve("scale=(0.3,1.2)").unwrap();
    assert_eq!(option(&range, "perspective.scale"), serde_json::json!([0.3, 1.2]));
}

#[test]
fn multi_scale_is_a_switch_or_a_share() {
    let share = |text: &str| resolve(&format!("multi_scale={text}")).map(|config| config.train.multi_scale);
    assert_eq!(["True", "False", "0.25"].map(|text| share(text).unwrap()), [0.5, 0.0, 0.25]);
    let refused = "multi_scale=1.5 must be True (0.5), False or a share from 0 to below 1";
    assert_eq!(share("1.5").unwrap_err(), refused);
    assert_eq!(share("yes").unwrap_err(), refused.replace("1.5 ", "yes "));
    let in_file: RunConfig = toml::from_str("[train]\nmulti_scale = true\n").unwrap();
    assert_eq!(in_file.train.multi_scale, 0.5);
    let too_large = resolve("scale=2").unwrap_err();
    assert!(too_large.starts_with("option `perspective.scale`: 2 is greater than the maximum of 1"), "{too_large}");
    assert!(resolve("copy_paste_mode=paste").unwrap_err().contains("copy_paste.mode"));
}

#[derive(Deserialize)]
struct Stats {
    imgsz: u32,
    samples: usize,
    recipes: BTreeMap<String, Recipe>,
}

#[derive(Deserialize)]
struct Recipe {
    labels: String,
    options: BTreeMap<String, f64>,
    figures: BTreeMap<String, Summary>,
}

#[derive(Deserialize)]
struct Summary {
    mean: f64,
    deviation: f64,
    quantiles: Vec<f64>,
}

/// All recipes of the reference's statistics name each of these.
const OFF: &str = "degrees=0 translate=0 scale=0 shear=0 perspective=0 hsv_h=0 hsv_s=0 hsv_v=0 flipud=0 fliplr=0 \
    mosaic=0 mixup=0 copy_paste=0 blur.p=0 median_blur.p=0 gray.p=0 clahe.p=0";

/// Samples whose pixels are looked at.
const DRAWN: usize = 500;

/// The critical distance of a two-sample Kolmogorov-Smirnov test at 0.001, for so many independent values a side. The
/// objects of a sample are not independent of each other, so the samples are counted.
fn critical(ours: usize, theirs: usize) -> f64 {
    let (n, m) = (ours as f64, theirs as f64);
    1.95 * ((n + m) / (n * m)).sqrt()
}

impl Summary {
    /// The largest distance of the two distribution functions at the stored quantiles.
    fn distance(&self, ours: &[f64]) -> f64 {
        let share = |is_in: &dyn Fn(f64) -> bool| ours.iter().filter(|v| is_in(**v)).count() as f64 / ours.len() as f64;
        let distances = (1..).zip(&self.quantiles).map(|(i, &quantile)| {
            let p = f64::from(i) / (self.quantiles.len() + 1) as f64;
            let (below, up_to) = (share(&|v| v < quantile * (1.0 - 1e-6)), share(&|v| v <= quantile * (1.0 + 1e-6)));
            (p - up_to).max(below - p).max(0.0)
        });
        distances.fold(0.0, f64::max)
    }
}

/// Twice the signed area of an outline `x y x y …`.
fn area(outline: &[f64]) -> f64 {
    let points: Vec<_> = outline.as_chunks::<2>().0.iter().collect();
    let next = points.iter().cycle().skip(1);
    points.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f64>().abs()
}

/// coco-open's training pictures as a YOLO folder, with the labels that augment_stats.py makes.
fn dataset(data: &Path, kind: &str, imgsz: u32) -> (tempfile::TempDir, Dataset) {
    let text = fs::read_to_string(data.join("annotations/instances_train2017.json")).unwrap();
    let truth: Value = serde_json::from_str(&text).unwrap();
    let list = |key: &str| truth[key].as_array().unwrap();
    let mut categories: Vec<_> = list("categories").iter().map(|it| it["id"].as_u64().unwrap()).collect();
    categories.sort_unstable();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    ["images", "labels"].iter().for_each(|name| fs::create_dir(root.join(name)).unwrap());
    for image in list("images") {
        let name = image["file_name"].as_str().unwrap();
        let [width, height] = ["width", "height"].map(|key| image[key].as_f64().unwrap());
        symlink(data.join("images/train2017").join(name), root.join("images").join(name)).unwrap();
        let mut rows = String::new();
        for annotation in list("annotations").iter().filter(|it| it["image_id"] == image["id"]) {
            let numbers =
                |value: &Value| value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect::<Vec<_>>();
            let bbox = numbers(&annotation["bbox"]);
            if annotation["iscrowd"] == 1 || bbox[2].min(bbox[3]) <= 0.0 {
                continue;
            }
            let values = match kind {
                "boxes" => vec![bbox[0] + bbox[2] / 2.0, bbox[1] + bbox[3] / 2.0, bbox[2], bbox[3]],
                _ => {
                    let outlines = annotation["segmentation"].as_array().unwrap().iter().map(numbers);
                    outlines.max_by(|a, b| area(a).total_cmp(&area(b))).unwrap()
                }
            };
            let class = categories.binary_search(&annotation["category_id"].as_u64().unwrap()).unwrap();
            rows += &class.to_string();
            for (i, value) in values.iter().enumerate() {
                rows += &format!(" {:.6}", (value / [width, height][i % 2]).clamp(0.0, 1.0));
            }
            rows += "\n";
        }
        fs::write(root.join("labels").join(name).with_extension("txt"), rows).unwrap();
    }
    let names = (0..categories.len()).map(|i| format!("  {i}: c{i}\n")).collect::<String>();
    fs::write(root.join("data.yaml"), format!("path: .\ntrain: images\nval: images\nnames:\n{names}")).unwrap();
    let yaml = DataYaml::read(&root.join("data.yaml")).unwrap();
    let set = Dataset::open(&yaml, Split::Train, &OpenOptions { cache: None, ..OpenOptions::new(imgsz) }).unwrap();
    (folder, set)
}

/// Each figure's values over so many samples, by the names of the golden file.
fn figures(set: &Dataset, words: &str, imgsz: u32, samples: usize) -> BTreeMap<&'static str, Vec<f64>> {
    let (config, registry) = (resolve(words).unwrap(), Registry::built_in());
    let stage = |placed: &trainer::config::ComponentConfig| {
        let options = Value::Object(placed.options.clone()).to_string();
        Stage::new(&placed.name, registry.augmentation(&placed.name, &options).unwrap(), OnError::Fail)
    };
    let pipeline = Pipeline { stages: config.augment.iter().map(stage).collect() };
    let decoded: Vec<_> = (0..set.len()).map(|index| set.load(index).unwrap()).collect();
    let mut figures = BTreeMap::<_, Vec<f64>>::new();
    let mut put = |name: &'static str, value: f64| figures.entry(name).or_default().push(value);
    for number in 0..samples {
        // Partners come from the epoch before, too, so that the first samples of an epoch have a choice.
        let (epoch, at) = (number / set.len(), number % set.len());
        let order = |epoch: usize| Rng::from_key(&[1, epoch as u64]).permutation(set.len());
        let order = [order(epoch), order(epoch + 1)].concat();
        let load = |position: usize| Ok(decoded[order[position]].clone());
        let position = set.len() + at;
        let (window, epochs) = (set.len(), usize::MAX);
        let context = EpochContext {
            seed: 1,
            epoch: epoch + 1,
            epochs,
            imgsz,
            canvas: None,
            order: &order,
            window,
            decoded: &load,
        };
        let sample = pipeline.run(load(position).unwrap(), position, &context).unwrap();
        put("count", sample.objects.len() as f64);
        for object in &sample.objects {
            let [x1, y1, x2, y2] = [object.bbox.x1, object.bbox.y1, object.bbox.x2, object.bbox.y2].map(f64::from);
            let side = f64::from(imgsz);
            put("x", (x1 + x2) / 2.0 / side);
            put("y", (y1 + y2) / 2.0 / side);
            put("width", (x2 - x1) / side);
            put("height", (y2 - y1) / side);
            put("aspect", ((x2 - x1) / (y2 - y1)).ln());
        }
        if number < DRAWN {
            let pixels = sample.render();
            let mean = pixels.iter().map(|&v| f64::from(v)).sum::<f64>() / pixels.len() as f64;
            let squares = pixels.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>();
            put("pixel_mean", mean);
            put("pixel_variance", squares / pixels.len() as f64);
        }
    }
    figures
}

#[test]
fn statistics_on_real_pictures_agree_with_the_reference() {
    let root = std::env::var_os("TRAINER_REAL_DATA").map(std::path::PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let data = root.join("coco-open");
    if !data.is_dir() {
        eprintln!("left out: no {} (TRAINER_REAL_DATA names the directory of the real data)", data.display());
        return;
    }
    let stats: Stats = golden::read("augment_stats.json");
    let mut far = Vec::new();
    for (name, recipe) in &stats.recipes {
        let (_folder, set) = dataset(&data, &recipe.labels, stats.imgsz);
        let options: String = recipe.options.iter().map(|(key, value)| format!(" {key}={value}")).collect();
        let ours = figures(&set, &format!("{OFF}{options}"), stats.imgsz, stats.samples);
        for (figure, theirs) in &recipe.figures {
            let values = &ours[figure.as_str()];
            let samples = if figure.starts_with("pixel") { DRAWN } else { stats.samples };
            let (distance, most) = (theirs.distance(values), critical(samples, stats.samples));
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let line = format!(
                "{name} {figure}: distance {distance:.4} of {most:.4}; mean {mean:.4} against {:.4}, deviation {:.4}",
                theirs.mean, theirs.deviation
            );
            println!("{line}");
            if distance > most {
                far.push(line);
            }
        }
    }
    assert!(far.is_empty(), "{}", far.join("\n"));
}
