//! `trainer data view`: a sheet of pictures with their objects, as they are or as training would show them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::data::place;
use super::keys;
use crate::augment::Pipeline;
use crate::checkpoint;
use crate::config::RunConfig;
use crate::data::loader::{Loader, LoaderOptions};
use crate::data::{Dataset, Split};
use crate::near::near;
use crate::pictures::sheet::Sheet;
use crate::registry::Registry;
use crate::run;
use crate::settings::{self, Join, Request};

/// Partners of mixing augmentations come from the samples before: so many batches later there is a choice of them.
const WARM: usize = 8;

#[derive(clap::Args)]
pub struct Args {
    /// A data.yaml, or the folder of a data set
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// The part of the data set
    #[arg(long, default_value = "train", value_parser = PossibleValuesParser::new(Split::ALL.map(Split::key)).map(split))]
    split: Split,
    /// The sheet to write, .jpg or .png
    #[arg(long, value_name = "FILE", default_value = "sheet.jpg")]
    out: PathBuf,
    /// Replace the sheet if it exists
    #[arg(long)]
    force: bool,
    /// Images on the sheet
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100))]
    count: u32,
    /// Decides which images, and how they are augmented
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The side of the square that images are scaled into, a multiple of 32
    #[arg(long, value_name = "PIXELS", default_value_t = 320, value_parser = clap::value_parser!(u32).range(32..=1280))]
    imgsz: u32,
    /// Only images with an object of this class
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Show images as training sees them in its first epoch; keys of a run may follow, such as mosaic=1
    #[arg(long, value_name = "KEY=VALUE", num_args = 0..)]
    augment: Option<Vec<String>>,
    /// Plugin whose augmentations take part; may be repeated
    #[arg(long, value_name = "FILE", requires = "augment")]
    plugin: Vec<PathBuf>,
}

fn split(key: String) -> Split {
    Split::ALL.into_iter().find(|split| split.key() == key).unwrap_or(Split::Train) // clap has checked it
}

/// Writes the sheet and returns where it is.
///
/// # Errors
/// A file that exists or cannot be written, a class that is not there, and as training for data and keys.
pub fn view(args: &Args) -> Result<&Path> {
    let out = args.out.as_path();
    let suffix = out.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default().to_lowercase();
    let is_png = suffix == "png";
    ensure!(is_png || ["jpg", "jpeg"].contains(&suffix.as_str()), "{}: a sheet is a .jpg or a .png", out.display());
    ensure!(args.force || !out.exists(), "{} exists: give another --out, or --force to replace it", out.display());

    let mut registry = Registry::built_in();
    let config = configure(args, &mut registry)?;
    let mut set = run::datasets(&config, &[(args.split, config.data.fraction)])?.remove(0);
    let mut title = format!("{}: ", args.split);
    if let Some(class) = &args.class {
        set = Arc::new(with_class(Arc::unwrap_or_clone(set), class, args.split)?);
        title = format!("{}, class {class}: ", args.split);
    }
    let (names, images) = (set.names.clone(), set.records.len());
    let count = images.min(args.count as usize);
    title += &format!("{count} of {images} images");
    if let Some(words) = &args.augment {
        title += &format!(", augmented {}", words.join(" "));
    }

    let pipeline = if args.augment.is_some() {
        run::tell_of_recipe(&config, &set);
        run::pipeline(&config, &registry, &run::ready_context(&config, &names, images))?
    } else {
        Pipeline::default()
    };
    let first = if pipeline.has_partners() { (images / count).saturating_sub(1).min(WARM) } else { 0 };
    let options = LoaderOptions {
        batch: count,
        imgsz: config.model.imgsz,
        epochs: config.train.epochs,
        seed: config.train.seed,
        shuffle: true,
        rect: None,
        workers: 0,
        prefetch: 0,
    };
    let batch = Loader::new(set, pipeline, options).epoch_from(0, first).next().context("no images")??;
    for (path, reason) in &batch.skipped {
        tracing::warn!("image {} left out: {reason}", path.display());
    }
    ensure!(!batch.samples.is_empty(), "none of the chosen images can be read; the warnings above say why");
    let sheet = Sheet { title: title.trim_end(), names: &names, side: config.model.imgsz }.draw(&batch)?;
    checkpoint::write(out, &if is_png { sheet.png()? } else { sheet.jpeg()? })?;
    Ok(out)
}

/// The run that would show the images so.
fn configure(args: &Args, registry: &mut Registry) -> Result<RunConfig> {
    let mut defaults = RunConfig::default();
    defaults.data.path = Some(place(&args.data));
    (defaults.model.imgsz, defaults.train.seed) = (args.imgsz, args.seed);
    let keys = keys(args.augment.as_deref().unwrap_or_default())?;
    let request = Request { file: None, plugins: args.plugin.clone(), join: Join::All, keys };
    settings::resolve(&request, |_| defaults, registry)
}

/// The images that have an object of the class.
fn with_class(mut set: Dataset, name: &str, split: Split) -> Result<Dataset> {
    let Some(class) = set.names.iter().position(|known| known == name) else {
        bail!("--class {name}: the data has no such class{}", near(name, set.names.iter().map(String::as_str)));
    };
    set.records.retain(|record| record.objects.iter().any(|object| object.class as usize == class && !object.ignore));
    ensure!(!set.records.is_empty(), "--class {name}: no {split} image has an object of that class");
    Ok(set)
}
