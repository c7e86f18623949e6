//! Images a second out of the loader, for `scripts/bench-loader`, which runs this beside others and compares.
//!
//! `loader WORK DATA [cache] [threads] [seconds]` prints one figure. WORK is `equal` (mosaic, warp, HSV, flip: what the
//! reference's data set object does in the same words), `recipe:MODEL` (that model's own recipe), or `built-in` and
//! `plugin` (GridMask behind the equal work, in both forms).

mod common;
#[allow(dead_code)] // what its tests use
#[path = "../../plugins/gridmask/src/lib.rs"]
mod gridmask;

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::{Context as _, Result, bail};
use trainer::{
    augment::{OnError, Pipeline, Stage, recipe},
    config::ComponentConfig,
    data::{
        DataYaml, Dataset, OpenOptions, Split,
        cache::{self, CacheKind},
        loader::{Loader, LoaderOptions},
    },
    registry::Registry,
};
use trainer_sdk::component::Maker;

const IMGSZ: u32 = 640;

fn main() -> Result<()> {
    trainer::allocator::keep_freed_memory(); // as the trainer does
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [work, data, rest @ ..] = &words[..] else {
        println!("loader: run by scripts/bench-loader");
        return Ok(());
    };
    let word = |i: usize, default: &'static str| rest.get(i).map_or(default, String::as_str);
    let (threads, seconds) = (word(1, "1").parse::<usize>()?, word(2, "5").parse::<f64>()?);

    let cache = match word(0, "none") {
        "ram" => CacheKind::Ram,
        "disk" => CacheKind::Disk,
        _ => CacheKind::None,
    };
    let yaml = DataYaml::read(Path::new(data))?;
    let mut sets = [Dataset::open(&yaml, Split::Train, &OpenOptions::new(IMGSZ))?];
    let folder = std::env::temp_dir().join("trainer-bench-loader"); // not the user's cache
    cache::attach(&mut sets, cache, Some(&folder), &yaml, 2)?;
    let [dataset] = sets;
    let options = LoaderOptions {
        batch: 16,
        imgsz: IMGSZ,
        epochs: 1000,
        seed: 0,
        shuffle: true,
        rect: None,
        workers: if threads == 1 { 0 } else { threads }, // one thread is this one
        prefetch: 4,
    };
    let loader = Loader::new(Arc::new(dataset), pipeline(work)?, options);
    let run = |epoch| loader.epoch(epoch).try_fold(0, |sum, batch| anyhow::Ok(sum + batch?.samples.len()));

    run(0)?; // reads the files into memory once
    let (start, mut images, mut epoch) = (Instant::now(), 0, 1);
    while start.elapsed().as_secs_f64() < seconds {
        images += run(epoch)?;
        epoch += 1;
    }
    println!("{:.1}", images as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

fn pipeline(work: &str) -> Result<Pipeline> {
    let registry = Registry::built_in();
    let built_in = |stage: &ComponentConfig| {
        let options = serde_json::to_string(&stage.options)?;
        Ok(Stage::new(&stage.name, registry.augmentation(&stage.name, &options)?, OnError::Fail))
    };
    let named = |names: &[&str], model: &str| {
        let mut stages: Vec<_> = names.iter().map(|name| ComponentConfig::named(name)).collect();
        recipe::fill(&mut stages, model);
        stages.iter().map(built_in).collect::<Result<Vec<_>>>()
    };
    let mut stages = match work.strip_prefix("recipe:") {
        Some(model) => named(&recipe::STAGES, model)?,
        None => named(&["mosaic", "perspective", "hsv", "flip"], "yolo12n")?,
    };
    let options = r#"{"p": 1.0, "ramp": 0.0}"#;
    let gridmask = match work {
        "built-in" => match common::built_in("augmentation", "gridmask") {
            Maker::Augmentation(make) => Some(make(options).context("these are its options")?),
            _ => bail!("asked by kind"),
        },
        "plugin" => Some(common::loaded("libgridmask.so", "augmentation", "gridmask").augmentation(options)?),
        _ => None,
    };
    stages.extend(gridmask.map(|it| Stage::new("gridmask", it, OnError::Fail)));
    Ok(Pipeline { stages })
}
