//! What the verbs do.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;
use tch::Kind;

use crate::{
    checkpoint::{self, Card},
    config::{ComponentConfig, RunConfig},
    data::{DataYaml, Split, demo},
    device,
    export::Calibration,
    model::{Network, Scale, Survey, Yolo12},
    process,
    registry::Registry,
    report::{print_line, print_result},
    run,
    settings::{self, Request},
    validate::{self, nms::NmsOptions},
};

/// Trains, and says where the results are.
pub(super) fn train(request: &Request, json: bool) -> Result<()> {
    let (config, registry) = resolve(request, settings::training)?;
    let device = device::parse(&config.train.device)?;
    process::prepare(&config.train, device, config.train.amp.kind(device, device::has_bf16(device))?)?;
    let summary = crate::train::train(&config, &registry)?;
    let weights = summary.dir.join("weights/best.safetensors");
    if json {
        let document = json!({
            "dir": summary.dir, "weights": weights, "best_epoch": summary.best_epoch,
            "map50": summary.map50, "map50_95": summary.map50_95, "seconds": summary.seconds,
        });
        print_result(&document.to_string());
    } else {
        print_line(&format!(
            "trained in {:.0} s; best epoch {}: mAP50 {:.4}, mAP50-95 {:.4}",
            summary.seconds, summary.best_epoch, summary.map50, summary.map50_95
        ));
        print_result(&weights.display().to_string());
    }
    Ok(())
}

/// Scores weights; writes the detections as COCO results where `save_json` is asked for.
pub(super) fn val(request: &Request, json: bool) -> Result<()> {
    let mut request = request.clone();
    let save = take(&mut request, "save_json");
    let missing = "give the weights to score: weights=FILE.safetensors";
    let (config, _, network, card) = resolve_with_weights(&request, RunConfig::default(), missing)?;
    let dataset = run::datasets(&config, &[(Split::Val, 1.0)])?.remove(0);
    anyhow::ensure!(
        dataset.names.len() == card.names.len(),
        "the weights know {} classes, the data has {}",
        card.names.len(),
        dataset.names.len()
    );
    let RunConfig { val, train, model, data, .. } = &config;
    let names = dataset.names.clone();
    let is_rect = data.rect.unwrap_or(true);
    let loader = validate::loader(dataset, train.batch, model.imgsz, data.workers, is_rect);
    let options = NmsOptions { conf: val.conf, iou: val.iou, max_det: val.max_det, ..NmsOptions::val() };
    let outcome = validate::validate(&network, &loader, &options, None)?;
    for (path, reason) in &outcome.skipped {
        tracing::warn!("image {} left out: {reason}", path.display());
    }
    if let Some(path) = save.as_deref().filter(|text| !["False", "false"].contains(text)) {
        let path = if ["True", "true"].contains(&path) { "predictions.json" } else { path };
        let rows = serde_json::to_vec(&validate::coco_rows(&outcome.detections))?;
        checkpoint::write(Path::new(path), &rows)?;
    }
    let figures = &outcome.figures;
    if json {
        let class = |c: &crate::validate::ap::ClassFigures| {
            json!({
                "name": names[c.class as usize], "images": c.images, "instances": c.instances,
                "precision": c.precision, "recall": c.recall, "map50": c.ap[0], "map50_95": c.ap50_95(),
            })
        };
        let document = json!({
            "images": figures.images, "instances": figures.instances,
            "precision": figures.precision, "recall": figures.recall,
            "map50": figures.map50, "map50_95": figures.map50_95,
            "classes": figures.classes.iter().map(class).collect::<Vec<_>>(), "seconds": outcome.seconds,
        });
        print_result(&document.to_string());
        return Ok(());
    }
    print_result(&format!(
        "{:<16} {:>7} {:>9} {:>7} {:>7} {:>7} {:>9}",
        "class", "images", "instances", "P", "R", "mAP50", "mAP50-95"
    ));
    let row = |name: &str, images, instances, figures: [f64; 4]| {
        let [p, r, map50, map] = figures;
        print_result(&format!("{name:<16} {images:>7} {instances:>9} {p:>7.3} {r:>7.3} {map50:>7.4} {map:>9.4}"));
    };
    row("all", figures.images, figures.instances, [figures.precision, figures.recall, figures.map50, figures.map50_95]);
    for class in &figures.classes {
        let name = &names[class.class as usize];
        row(name, class.images, class.instances, [class.precision, class.recall, class.ap[0], class.ap50_95()]);
    }
    Ok(())
}

/// Shows a model's size; with `data=`, for that data's classes, else for the 80 of COCO.
pub(super) fn info(request: &Request, json: bool) -> Result<()> {
    const COCO_CLASSES: i64 = 80;
    let (config, _) = resolve(request, |_| RunConfig::default())?;
    let num_classes = match &config.data.path {
        Some(path) => DataYaml::read(path)?.class_names(config.data.single_cls).len() as i64,
        None => COCO_CLASSES,
    };
    let imgsz = i64::from(config.model.imgsz);
    let network = Yolo12::new(config.model.name.parse::<Scale>()?, num_classes);
    let survey = Survey::of(&network, imgsz, imgsz)?;
    let trained = survey.parameters();
    if json {
        let stage = |stage: &crate::model::StageSummary| json!({ "name": stage.name, "parameters": stage.parameters, "output": stage.output });
        let document = json!({
            "model": network.name, "classes": num_classes, "imgsz": imgsz, "parameters": trained,
            "gflops": { "convolutions": survey.conv_gflops(), "attention": survey.attention_gflops() },
            "strides": crate::model::STRIDES, "layers": survey.stages.iter().map(stage).collect::<Vec<_>>(),
        });
        print_result(&document.to_string());
        return Ok(());
    }
    print_result(&format!("{:<10} {:>12}  {}", "layer", "parameters", "output"));
    for stage in &survey.stages {
        let (channels, height, width) = stage.output;
        print_result(&format!("{:<10} {:>12}  {channels} x {height} x {width}", stage.name, stage.parameters));
    }
    print_result(&format!(
        "{} for {num_classes} classes at {imgsz} px: parameters {trained}, GFLOPs {:.2} (convolutions) + {:.2} (attention), strides {}",
        network.name,
        survey.conv_gflops(),
        survey.attention_gflops(),
        crate::model::STRIDES.map(|stride| stride.to_string()).join(" "),
    ));
    Ok(())
}

/// Writes weights in another format; with `data=`, its validation images are there for calibration.
pub(super) fn export(request: &Request, json: bool) -> Result<()> {
    let mut defaults = RunConfig::default();
    defaults.train.batch = 1;
    let missing = "give the weights to export: weights=FILE.safetensors";
    let (config, registry, network, card) = resolve_with_weights(request, defaults, missing)?;
    let calibration = match &config.data.path {
        None => None,
        Some(_) => {
            let dataset = run::datasets(&config, &[(Split::Val, 1.0)])?.remove(0);
            let RunConfig { train, model, data, .. } = &config;
            Some(Calibration::new(&validate::loader(dataset, train.batch, model.imgsz, data.workers, false)))
        }
    };
    let artifacts = crate::export::export(&config, &registry, &network, &card, calibration)?;
    if json {
        print_result(&json!({ "format": config.export.format, "artifacts": artifacts }).to_string());
    } else {
        artifacts.iter().for_each(|artifact| print_result(&format!("{}  {}", artifact.path.display(), artifact.doc)));
    }
    Ok(())
}

/// Makes the demo data.
pub(super) fn demo() -> Result<()> {
    let path = demo::cached()?;
    print_line("the demo data is ready; `trainer` alone trains on it");
    print_result(&path.display().to_string());
    Ok(())
}

/// The resolved configuration and the components; a line for each plugin.
pub(super) fn resolve(request: &Request, defaults: impl FnOnce(bool) -> RunConfig) -> Result<(RunConfig, Registry)> {
    let mut registry = Registry::built_in();
    let config = settings::resolve(request, defaults, &mut registry)?;
    tell_plugins(&registry, &config);
    Ok((config, registry))
}

/// As [`resolve`] for weights that exist, which set the size of the network input unless the user says otherwise.
fn resolve_with_weights(
    request: &Request,
    mut defaults: RunConfig,
    missing: &'static str,
) -> Result<(RunConfig, Registry, Network, Card)> {
    let mut registry = Registry::built_in();
    let config = settings::resolve(request, |_| defaults.clone(), &mut registry)?;
    let weights = config.model.weights.context(missing)?;
    let device = device::parse(&config.train.device)?;
    process::prepare(&config.train, device, Kind::Float)?;
    let (network, card) = checkpoint::load(&weights, device)?;
    defaults.model.imgsz = card.imgsz;
    let config = settings::resolve(request, |_| defaults, &mut registry)?;
    tell_plugins(&registry, &config);
    Ok((config, registry, network, card))
}

/// Says which plugins were loaded, and with which options their components take part.
fn tell_plugins(registry: &Registry, config: &RunConfig) {
    for plugin in registry.plugins() {
        let manifest = &plugin.manifest;
        let names = manifest.components.iter().map(|component| format!("{} {}", component.kind, component.name));
        tracing::info!(
            "plugin {} {}: {}; sha256 {}, loaded in {:.1} ms from {}",
            manifest.id,
            manifest.version,
            names.collect::<Vec<_>>().join(", "),
            &plugin.sha256[..12],
            plugin.load_time.as_secs_f64() * 1e3,
            plugin.path.display()
        );
    }
    let placed = [
        ("augmentation", config.augment.as_slice()),
        ("loss", &config.loss),
        ("scheduler", std::slice::from_ref(&config.schedule)),
        ("exporter", &config.exporter),
    ];
    for (kind, ComponentConfig { name, options }) in
        placed.iter().flat_map(|(kind, all)| all.iter().map(move |it| (kind, it)))
    {
        let is_loaded = registry.find(kind, name).is_some_and(|entry| entry.plugin.is_some());
        if is_loaded && !options.is_empty() {
            let options = options.iter().map(|(option, value)| format!("{option}={value}")).collect::<Vec<_>>();
            tracing::info!("{kind} {name}: {}", options.join(" "));
        }
    }
}

/// Takes a key that belongs to one verb alone out of the request.
pub(super) fn take(request: &mut Request, key: &str) -> Option<String> {
    let at = request.keys.iter().position(|(known, _)| known == key)?;
    Some(request.keys.remove(at).1)
}
