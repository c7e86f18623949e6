//! `trainer data`: what a data set holds, what would be refused, and how it looks.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Subcommand;

use super::view;
use crate::data::check::{self, Check};
use crate::data::stats::{self, SplitStats, Spread, Stats};
use crate::data::{DataYaml, OpenOptions};
use crate::report::{print_line, print_result};

/// So many messages of a kind are printed a split; `--json` has them all.
const MAX_PRINTED: usize = 20;

/// So many rows a table of classes has at most.
const MAX_CLASSES: usize = 100;

/// The verbs below `trainer data`.
#[derive(Subcommand)]
pub enum Verb {
    /// Say what would be refused or left out, with file and line; exits 1 where training would not start
    Check(Args),
    /// Count images, objects, classes, box sizes, duplicates
    Stats(Args),
    /// Draw a sheet of images with their boxes and polygons
    View(view::Args),
}

#[derive(clap::Args)]
pub struct Args {
    /// A data.yaml, or the folder of a data set
    #[arg(value_name = "DATA")]
    data: PathBuf,
    /// The longer side that images are scaled to, for the sizes of boxes
    #[arg(long, value_name = "PIXELS", default_value_t = 640, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    imgsz: u32,
    /// Print one JSON document on standard output
    #[arg(long)]
    json: bool,
}

/// Runs one verb.
///
/// # Errors
/// A data set that cannot be found.
pub fn run(verb: &Verb) -> Result<ExitCode> {
    match verb {
        Verb::Check(args) => {
            let (yaml, options) = open(args)?;
            let found = check::check(&yaml, &options);
            if args.json {
                print_result(&serde_json::to_string(&found).context("the check cannot be written as JSON")?);
            } else {
                print_check(&found);
            }
            Ok(ExitCode::from(u8::from(!found.ok)))
        }
        Verb::Stats(args) => {
            let (yaml, options) = open(args)?;
            let found = stats::stats(&yaml, &options)?;
            if args.json {
                print_result(&serde_json::to_string(&found).context("the figures cannot be written as JSON")?);
            } else {
                print_stats(&found);
            }
            Ok(ExitCode::SUCCESS)
        }
        Verb::View(args) => {
            print_result(&view::view(args)?.display().to_string());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn open(args: &Args) -> Result<(DataYaml, OpenOptions)> {
    Ok((DataYaml::read(&place(&args.data))?, OpenOptions::new(args.imgsz)))
}

/// `data=…` is understood too, since every other verb takes it so.
pub(super) fn place(data: &Path) -> PathBuf {
    data.to_str().and_then(|text| text.strip_prefix("data=")).map_or(data.to_owned(), PathBuf::from)
}

fn print_check(found: &Check) {
    let mut refused = 0;
    for split in &found.splits {
        print_result(&format!("{}: {} images, {} objects", split.split, split.images, split.objects));
        split.error.iter().for_each(|error| print_result(&format!("  refused: {error}")));
        print_some("refused", split.refused.iter().map(ToString::to_string));
        print_some("left out", split.left_out.iter().map(|it| format!("{}: {}", it.path.display(), it.reason)));
        split.warnings.iter().for_each(|warning| print_result(&format!("  note: {warning}")));
        refused += split.refused.len() + usize::from(split.error.is_some());
    }
    let classes = found.names.len();
    match refused {
        0 => print_line(&format!("format {}, {classes} classes: training may start", found.format)),
        _ => print_line(&format!("format {}, {classes} classes: {refused} refused; mend them first", found.format)),
    }
}

fn print_some(kind: &str, messages: impl ExactSizeIterator<Item = String>) {
    let more = messages.len().saturating_sub(MAX_PRINTED);
    messages.take(MAX_PRINTED).for_each(|message| print_result(&format!("  {kind}: {message}")));
    if more > 0 {
        print_result(&format!("  {kind}: and {more} more; --json has them all"));
    }
}

fn print_stats(found: &Stats) {
    type Row<'a> = (&'a str, fn(&SplitStats) -> usize);
    const ROWS: [Row; 14] = [
        ("images", |it| it.images),
        ("  left out", |it| it.left_out),
        ("  without objects", |it| it.without_objects),
        ("  without labels", |it| it.without_labels),
        ("objects", |it| it.objects),
        ("  small  (< 32 x 32)", |it| it.small_medium_large[0]),
        ("  medium", |it| it.small_medium_large[1]),
        ("  large  (>= 96 x 96)", |it| it.small_medium_large[2]),
        ("crowds", |it| it.crowds),
        ("regions to ignore", |it| it.ignored),
        ("labels refused", |it| it.refused),
        ("  repeated", |it| it.duplicates),
        ("  without area", |it| it.empty_boxes),
        ("  cut", |it| it.cut),
    ];
    let line = |name: &str, cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("{cell:>14}")).collect();
        print_result(&format!("{name:<24}{cells}"));
    };
    let each = |cell: &dyn Fn(&SplitStats) -> String| found.splits.iter().map(cell).collect::<Vec<_>>();
    line(&format!("format {}", found.format), each(&|it| it.split.to_string()));
    for (name, value) in ROWS {
        line(name, each(&|it| value(it).to_string()));
    }
    let spreads: [(String, fn(&SplitStats) -> &Spread); 2] = [
        ("objects an image".to_owned(), |it| &it.objects_an_image),
        (format!("box side, px at {}", found.imgsz), |it| &it.box_side),
    ];
    for (name, spread) in spreads {
        line(&name, each(&|it| format!("{:.1}", spread(it).mean)));
        line(
            "  5, 50, 95 %",
            each(&|it| [spread(it).p5, spread(it).median, spread(it).p95].map(|v| format!("{v:.0}")).join(" ")),
        );
        line("  least, most", each(&|it| [spread(it).min, spread(it).max].map(|v| format!("{v:.0}")).join(" ")));
    }
    print_classes(found, &line);
    if !found.identical.is_empty() {
        print_result(&format!("identical images: {} groups", found.identical.len()));
        let group =
            |paths: &Vec<PathBuf>| paths.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(", ");
        print_some("identical", found.identical.iter().map(group));
    }
}

/// The classes by falling number of objects.
fn print_classes(found: &Stats, line: &dyn Fn(&str, Vec<String>)) {
    let mut order: Vec<usize> = (0..found.names.len()).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(found.splits.iter().map(|it| it.classes[class]).sum::<usize>()));
    line("class", vec![String::new(); found.splits.len()]);
    for &class in order.iter().take(MAX_CLASSES) {
        let counts = found.splits.iter().map(|it| it.classes[class].to_string()).collect();
        line(&format!("  {class} {}", found.names[class]), counts);
    }
    if order.len() > MAX_CLASSES {
        print_result(&format!("  and {} more classes; --json has them all", order.len() - MAX_CLASSES));
    }
}
