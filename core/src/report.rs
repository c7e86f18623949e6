//! Report: the only part that prints during a run. A progress bar on a terminal, a line an epoch elsewhere; beside it
//! `results.csv` (the columns that YOLO users parse) and `metrics.jsonl`.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, IsTerminal as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};
use tch::Device;
use trainer_sdk::Rates;

use crate::{
    config::DataConfig,
    crash,
    data::{cache::CacheKind, loader::Queue},
    memory::Peaks,
    progress::RunProgress,
    validate::Outcome,
};

/// Steps between lines in `metrics.jsonl`; reading the losses waits for the device.
pub const STEPS_PER_LINE: usize = 10;

/// Writes what happens.
pub struct Report {
    csv: File,
    jsonl: File,
    bar: ProgressBar,
    start: Instant,
    epoch_start: Instant,
    images: usize,
    columns: Vec<String>,
    /// How far the loader was as the last batch was asked for.
    queue: Queue,
    /// What may be done where it is too slow.
    advice: String,
    device: Device,
}

/// The share of an epoch's time, spent on waiting for batches, that is worth a word.
const WAITING: f64 = 0.05;

/// The columns of results.csv after `epoch` and `time`, as YOLO users know them.
const METRICS: [&str; 4] = ["metrics/precision(B)", "metrics/recall(B)", "metrics/mAP50(B)", "metrics/mAP50-95(B)"];

impl Report {
    /// Opens the files in the run's directory; `data` says how images are loaded, `device` where memory is counted.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn new(dir: &Path, data: &DataConfig, device: Device) -> Result<Self> {
        let open = |name: &str| {
            let path = dir.join(name);
            let file = OpenOptions::new().create(true).write(true).truncate(true).open(&path);
            file.with_context(|| format!("cannot write {}", path.display()))
        };
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len} {msg}");
        bar.set_style(style.context("the bar's template is valid")?);
        let now = Instant::now();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            csv: open("results.csv")?,
            jsonl: open("metrics.jsonl")?,
            bar,
            start: now,
            epoch_start: now,
            images: 0,
            columns: Vec::new(),
            queue: Queue::default(),
            advice: advice(data, cores),
            device,
        })
    }

    /// An epoch begins.
    pub fn epoch(&mut self, at: &RunProgress) {
        self.epoch_start = Instant::now();
        self.images = 0;
        self.queue = Queue::default();
        self.bar.reset();
        self.bar.set_length(at.steps_per_epoch as u64);
        self.bar.set_prefix(format!("epoch {}/{}", at.epoch + 1, at.epochs));
    }

    /// A batch of `images` is done, which the loader had as `queue` tells; `losses` are given every [`STEPS_PER_LINE`]
    /// steps.
    ///
    /// # Errors
    /// If metrics.jsonl cannot be written.
    pub fn step(
        &mut self,
        at: &RunProgress,
        images: usize,
        queue: Queue,
        losses: Option<&[(String, f64)]>,
        rates: &[Rates],
    ) -> Result<()> {
        self.images += images;
        self.queue = queue;
        self.bar.inc(1);
        let Some(losses) = losses else { return Ok(()) };
        let rate = self.images as f64 / self.epoch_start.elapsed().as_secs_f64().max(1e-9);
        let shown: Vec<String> = losses.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
        let left = self.time_left(at);
        let Queue { ready, ahead, .. } = queue;
        let loader = if ahead > 0 { format!("loader {ready}/{ahead} ready, ") } else { String::new() };
        self.bar.set_message(format!("{} {rate:.1} img/s, {loader}{} left", shown.join(" "), hms(left)));
        let lr: Map<String, Value> = rates.iter().map(|r| (r.group().to_owned(), json!(r.lr))).collect();
        let momentum: Map<String, Value> = rates.iter().map(|r| (r.group().to_owned(), json!(r.momentum))).collect();
        let line = json!({
            "step": at.step, "epoch": at.epoch + 1, "loss": object(losses), "lr": lr, "momentum": momentum,
            "loader": { "ready": ready, "ahead": ahead },
        });
        self.line(&line)
    }

    fn time_left(&self, at: &RunProgress) -> Duration {
        let done = (at.step + 1) as f64;
        let total = (at.epochs * at.steps_per_epoch) as f64;
        Duration::from_secs_f64(self.start.elapsed().as_secs_f64() * ((total - done) / done).max(0.0))
    }

    /// An epoch is trained and validated: a row in each file, a line on the terminal.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn epoch_done(
        &mut self,
        at: &RunProgress,
        losses: &[(String, f64)],
        outcome: &Outcome,
        rates: &[Rates],
    ) -> Result<()> {
        let seconds = self.epoch_start.elapsed().as_secs_f64();
        let training = (seconds - outcome.seconds).max(1e-9);
        let images_per_second = self.images as f64 / training;
        let waited = (self.queue.waited.as_secs_f64() / training).min(1.0);
        let figures = &outcome.figures;
        let metrics = [figures.precision, figures.recall, figures.map50, figures.map50_95];

        let mut row: Vec<(String, f64)> = Vec::new();
        row.extend(losses.iter().map(|(name, value)| (format!("train/{name}_loss"), *value)));
        row.extend(METRICS.iter().zip(metrics).map(|(name, value)| ((*name).to_owned(), value)));
        row.extend(outcome.losses.iter().map(|(name, value)| (format!("val/{name}_loss"), *value)));
        row.extend(rates.iter().enumerate().map(|(i, rates)| (format!("lr/pg{i}"), rates.lr)));
        if self.columns.is_empty() {
            self.columns = row.iter().map(|(name, _)| name.clone()).collect();
            writeln!(self.csv, "epoch,time,{}", self.columns.join(","))?;
        }
        let value =
            |column: &String| row.iter().find(|(name, _)| name == column).map_or(String::new(), |(_, v)| v.to_string());
        let values: Vec<String> = self.columns.iter().map(value).collect();
        writeln!(self.csv, "{},{:.3},{}", at.epoch + 1, self.start.elapsed().as_secs_f64(), values.join(","))?;
        self.csv.flush()?;

        let peaks = Peaks::now(self.device);
        let line = json!({
            "epoch": at.epoch + 1, "train_loss": object(losses), "val_loss": object(&outcome.losses),
            "precision": figures.precision, "recall": figures.recall,
            "map50": figures.map50, "map50_95": figures.map50_95,
            "seconds": seconds, "validation_seconds": outcome.seconds, "images_per_second": images_per_second,
            "loader_wait": waited, "peak_bytes": { "tensors": peaks.tensors, "process": peaks.process },
        });
        self.line(&line)?;
        let shown: Vec<String> = losses.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
        let waiting = waiting(waited, &self.advice);
        self.say(&format!(
            "epoch {}/{}: {} | mAP50 {:.4} mAP50-95 {:.4} | {images_per_second:.1} img/s, {seconds:.1} s, {} left{waiting}",
            at.epoch + 1,
            at.epochs,
            shown.join(" "),
            figures.map50,
            figures.map50_95,
            hms(self.time_left(at)),
        ));
        Ok(())
    }

    /// A line for the user, above the bar.
    pub fn say(&self, text: &str) {
        if std::io::stderr().is_terminal() {
            self.bar.println(text);
        } else {
            print_line(text);
        }
    }

    /// The run is over.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn line(&mut self, value: &Value) -> Result<()> {
        writeln!(self.jsonl, "{value}").context("cannot write metrics.jsonl")?;
        self.jsonl.flush().context("cannot write metrics.jsonl")
    }
}

/// A line on standard error, where everything goes that is not a result.
pub fn print_line(text: &str) {
    eprintln!("{text}");
}

/// A result on standard output. Where nobody reads any longer, work goes on in silence; where it cannot be written, the
/// process ends.
pub fn print_result(text: &str) {
    let Err(reason) = writeln!(std::io::stdout(), "{text}") else { return };
    if reason.kind() != ErrorKind::BrokenPipe {
        print_line(&format!("error: cannot write to standard output: {reason}"));
        crash::end(1);
    }
}

/// What is said of the share of an epoch that was spent on waiting for batches, if anything.
fn waiting(share: f64, advice: &str) -> String {
    match share > WAITING {
        true => format!(", waited {:.0} % for the loader ({advice})", 100.0 * share),
        false => String::new(),
    }
}

/// How images are loaded, and what may be faster on so many cores.
fn advice(data: &DataConfig, cores: usize) -> String {
    let mut helpful = Vec::new();
    if data.workers < cores {
        helpful.push("more workers");
    }
    if data.cache == CacheKind::None {
        helpful.push("cache=ram");
    }
    let helpful = if helpful.is_empty() { String::new() } else { format!(", {} may help", helpful.join(" or ")) };
    format!("workers={}{helpful}", data.workers)
}

fn object(values: &[(String, f64)]) -> Map<String, Value> {
    values.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
}

fn hms(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_loader_is_told_with_what_may_help() {
        let data = |workers, cache| DataConfig { workers, cache, ..DataConfig::default() };
        let told = |share, data: &DataConfig| waiting(share, &advice(data, 2));
        let text = told(0.312, &data(2, CacheKind::None));
        assert_eq!(text, ", waited 31 % for the loader (workers=2, cache=ram may help)");
        assert_eq!(told(0.05, &data(2, CacheKind::None)), "");
        let text = told(0.5, &data(1, CacheKind::None));
        assert_eq!(text, ", waited 50 % for the loader (workers=1, more workers or cache=ram may help)");
        assert_eq!(told(1.0, &data(8, CacheKind::Disk)), ", waited 100 % for the loader (workers=8)");
    }
}
