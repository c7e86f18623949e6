//! The planner: from the cost of a few probe steps to the fastest way to run a batch within a budget. No tensors here.
//!
//! For each level of recomputation the bytes of a step are a line over the images of a micro-batch, `fixed + per_image *
//! images`, and so is its time. Of the micro-batches that fit the largest is taken, of the levels the faster one.

use anyhow::{Result, anyhow};

use super::bytes::Bytes;

/// An image's bytes are taken for so much more than measured: batches differ in their objects.
const MARGIN: f64 = 1.05;

/// Four images are probed where two took less than this, in seconds.
const CHEAP: f64 = 1.0;

/// Levels whose times differ by less than this share count as equally fast; the larger micro-batch goes first then.
const TIE: f64 = 0.03;

/// The most images that `batch=auto` takes.
const MOST: usize = 1024;

/// What a plan has to fit.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Images of the batch; `None` for as many as fit.
    pub batch: Option<usize>,
    /// Images in an epoch.
    pub images: usize,
    /// Bytes for everything.
    pub budget: u64,
    /// Bytes of the process that no tensor holds.
    pub outside: u64,
    /// Bytes of tensors that a probe does not hold and a run does: state of the optimizer, average, gradients.
    pub kept: u64,
    /// Bytes outside of tensors for each image of the batch: batches that wait in the loader.
    pub waiting: u64,
    /// Levels to choose from: without recomputation, with it, or both in this order.
    pub levels: Vec<bool>,
}

/// What a probe step took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// The most bytes of tensors during the step; weights and gradients count.
    pub bytes: u64,
    /// Its time.
    pub seconds: f64,
}

/// Takes probe steps.
pub trait Measure {
    /// A step of so many images, with or without recomputation; `None` where it does not fit.
    ///
    /// # Errors
    /// If the step fails for another reason than memory.
    fn step(&mut self, checkpointing: bool, images: usize) -> Result<Option<Cost>>;
}

/// A level as it was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// Whether blocks are computed again.
    pub checkpointing: bool,
    /// Bytes that do not depend on the images, of a probe and of what a run keeps beside it.
    pub fixed: u64,
    /// Bytes an image, with the margin.
    pub per_image: u64,
    /// Images of the largest micro-batch that fits; 0 for none.
    pub most: usize,
    /// Seconds of a step apart from its images, and for an image.
    pub seconds: [f64; 2],
}

impl Level {
    /// The bytes of tensors with so many images at once.
    #[must_use]
    pub fn bytes(&self, images: usize) -> u64 {
        self.fixed + self.per_image * images as u64
    }
}

/// What was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Images of the batch.
    pub batch: usize,
    /// Images of the largest of its micro-batches, which differ by at most one.
    pub micro_batch: usize,
    /// The place of its level among `levels`.
    pub chosen: usize,
    /// All levels that were measured.
    pub levels: Vec<Level>,
    /// Bytes that tensors may hold.
    pub limit: u64,
}

impl Demand {
    /// Bytes that tensors may hold beside a batch of so many images.
    fn limit(&self, batch: usize) -> u64 {
        self.budget.saturating_sub(self.outside + self.waiting * batch as u64)
    }

    /// Images that a batch really has where so many may go through the network at once.
    fn batch_of(&self, most: usize) -> usize {
        self.batch.map_or_else(|| round_down(most), |batch| batch.min(self.images).max(1))
    }

    /// Seconds an image.
    fn seconds(&self, level: &Level) -> f64 {
        let (batch, [step, image]) = (self.batch_of(level.most), level.seconds);
        image + step * batch.div_ceil(level.most) as f64 / batch as f64
    }

    /// The line through the probes of a level, and how far it reaches.
    fn level(&self, checkpointing: bool, most: usize, measure: &mut dyn Measure) -> Result<Level> {
        let (mut probes, mut reach) = (Vec::<(usize, Cost)>::new(), most);
        for images in [1, 2, 4].into_iter().filter(|&images| images <= most) {
            if images == 4 && probes.last().is_some_and(|(_, cost)| cost.seconds >= CHEAP) {
                break;
            }
            match measure.step(checkpointing, images)? {
                Some(cost) => probes.push((images, cost)),
                None => {
                    reach = images - 1;
                    break;
                }
            }
        }
        let (Some(first), Some(last)) = (probes.first(), probes.last()) else {
            return Ok(Level { checkpointing, fixed: 0, per_image: 0, most: 0, seconds: [0.0; 2] });
        };
        let slope =
            |pair: &[(usize, Cost)]| pair[1].1.bytes.saturating_sub(pair[0].1.bytes) / (pair[1].0 - pair[0].0) as u64;
        let per_image = probes.windows(2).map(slope).max().unwrap_or(0);
        let fixed = probes.iter().map(|(images, cost)| cost.bytes.saturating_sub(per_image * *images as u64)).max();
        let fixed = fixed.unwrap_or(0) + self.kept;
        let per_image = (per_image as f64 * MARGIN) as u64;
        let limit = |images| self.limit(if self.batch.is_some() { self.batch_of(1) } else { images });
        let fits = |images: &usize| fixed + per_image * *images as u64 <= limit(*images);
        let most = (1..=reach).take_while(fits).last().unwrap_or(0);
        let image = ((last.1.seconds - first.1.seconds) / (last.0 - first.0).max(1) as f64).max(0.0);
        Ok(Level { checkpointing, fixed, per_image, most, seconds: [(first.1.seconds - image).max(0.0), image] })
    }

    /// What does not fit, and what may help.
    fn too_large(&self, levels: &[Level]) -> anyhow::Error {
        let least = levels.iter().filter(|level| level.fixed > 0).map(|level| Bytes(level.bytes(1))).min();
        let least = least.map_or_else(|| "more".to_owned(), |bytes| bytes.to_string());
        let Self { budget, outside, .. } = *self;
        let batch = self.batch_of(1);
        let waiting = self.waiting * batch as u64;
        let left = Bytes(self.limit(batch));
        let mut advice = vec!["a larger memory_budget", "a smaller imgsz", "a smaller model"];
        if waiting > outside {
            advice.insert(1, "a smaller batch");
        }
        if self.levels == [false] {
            advice.insert(1, "gradient_checkpointing=auto");
        }
        anyhow!(
            "not even one image at a time fits: of {} the program itself takes {} and batches of {batch} that wait to be \
             trained {}, which leaves {left} for tensors, and they need {least}; give {}",
            Bytes(budget),
            Bytes(outside),
            Bytes(waiting),
            advice.join(", or "),
        )
    }
}

/// Measures the levels and chooses.
///
/// # Errors
/// If a probe fails, or not even one image fits; the message says what is too large and what to change.
pub fn choose(demand: &Demand, measure: &mut dyn Measure) -> Result<Choice> {
    let most = demand.batch.unwrap_or(MOST).min(demand.images).max(1);
    let mut levels: Vec<Level> = Vec::new();
    for &checkpointing in &demand.levels {
        if demand.batch.is_some() && levels.iter().any(|level| level.most == most) {
            break; // the whole batch fits already, and recomputing costs time
        }
        let mut level = demand.level(checkpointing, most, measure)?;
        if let Some(plain) = levels.iter().find(|plain| plain.most > 0) {
            // The same work and more: whatever a busy machine makes of the measurement.
            level.seconds[1] = level.seconds[1].max(plain.seconds[1]);
        }
        levels.push(level);
    }
    let fitting = || levels.iter().enumerate().filter(|(_, level)| level.most > 0);
    let fastest = fitting().map(|(_, level)| demand.seconds(level)).fold(f64::INFINITY, f64::min);
    let fast = fitting().filter(|(_, level)| demand.seconds(level) <= fastest * (1.0 + TIE));
    let Some((chosen, level)) = fast.max_by_key(|(_, level)| (level.most, !level.checkpointing)) else {
        return Err(demand.too_large(&levels));
    };
    let batch = demand.batch_of(level.most);
    let micro_batch = batch.div_ceil(batch.div_ceil(level.most));
    let limit = demand.limit(batch);
    Ok(Choice { batch: demand.batch.unwrap_or(batch), micro_batch, chosen, levels, limit })
}

/// The largest of 1, 2, 3, 4, 6, 8, 12, 16, 24 … up to a number from 1 up.
fn round_down(number: usize) -> usize {
    let power = 1 << number.ilog2();
    if number >= power / 2 * 3 && power > 1 { power / 2 * 3 } else { power }
}

#[cfg(test)]
mod tests;
