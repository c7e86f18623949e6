//! The rate falls by a factor whenever a figure of the validation has not improved for some epochs, as PyTorch's
//! ReduceLROnPlateau has it; warm-up is that of the built-in schedules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{Context, Progress, Rates, Result, Scheduler, ensure, export_plugin, schedule, tracing};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Plateau {
    /// The figure that is watched: map50_95, map50, precision, recall, or a mean loss term such as val/box.
    metric: String,
    /// Which way is better; auto: max, and min for loss terms.
    mode: Mode,
    /// What the rate is multiplied by.
    #[schemars(range(min = 0.0, max = 1.0))]
    factor: f64,
    /// Epochs without improvement that are put up with.
    patience: u32,
    /// What the figure has to change by to count as better.
    #[schemars(range(min = 0.0, max = 1.0))]
    threshold: f64,
    /// Whether the threshold is a share of the best figure or an amount.
    threshold_mode: ThresholdMode,
    /// Epochs after a fall that do not count.
    cooldown: u32,
    /// The rate does not fall below this.
    #[schemars(range(min = 0.0, max = 1.0))]
    min_lr: f64,
    /// Length of the warm-up in epochs, at least 100 batches unless 0.
    #[schemars(range(min = 0.0))]
    warmup_epochs: f64,
    /// Momentum at the first batch.
    #[schemars(range(min = 0.0, max = 1.0))]
    warmup_momentum: f64,
    /// Rate of the biases at the first batch.
    #[schemars(range(min = 0.0, max = 1.0))]
    warmup_bias_lr: f64,
    #[serde(skip)]
    state: State,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Auto,
    Max,
    Min,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ThresholdMode {
    Rel,
    Abs,
}

/// What has happened so far.
#[derive(Serialize, Deserialize)]
struct State {
    version: u32,
    /// Epochs that were counted.
    epochs: usize,
    best: Option<f64>,
    bad_epochs: u32,
    cooldown: u32,
    /// What the rate is multiplied by now.
    scale: f64,
}

const VERSION: u32 = 1;

impl Default for State {
    fn default() -> Self {
        Self { version: VERSION, epochs: 0, best: None, bad_epochs: 0, cooldown: 0, scale: 1.0 }
    }
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            metric: "map50_95".into(),
            mode: Mode::Auto,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_mode: ThresholdMode::Rel,
            cooldown: 0,
            min_lr: 0.0,
            warmup_epochs: 3.0,
            warmup_momentum: 0.8,
            warmup_bias_lr: 0.0,
            state: State::default(),
        }
    }
}

impl Plateau {
    fn is_better(&self, figure: f64) -> bool {
        let Some(best) = self.state.best else { return figure.is_finite() };
        let margin = match self.threshold_mode {
            ThresholdMode::Rel => self.threshold * best,
            ThresholdMode::Abs => self.threshold,
        };
        let falls = self.mode == Mode::Min || self.mode == Mode::Auto && self.metric.contains('/');
        figure.is_finite() && if falls { figure < best - margin } else { figure > best + margin }
    }

    /// Counts one epoch.
    fn count(&mut self, figure: f64) {
        if self.is_better(figure) {
            (self.state.best, self.state.bad_epochs) = (Some(figure), 0);
        } else {
            self.state.bad_epochs += 1;
        }
        if self.state.cooldown > 0 {
            (self.state.cooldown, self.state.bad_epochs) = (self.state.cooldown - 1, 0);
        }
        if self.state.bad_epochs > self.patience {
            (self.state.cooldown, self.state.bad_epochs) = (self.cooldown, 0);
            self.state.scale *= self.factor;
            let (metric, patience, scale) = (&self.metric, self.patience, self.state.scale);
            tracing::info!(
                "{metric} has not improved for more than {patience} epochs: rates are {scale:e} of the first"
            );
        }
    }
}

impl Scheduler for Plateau {
    fn rates(&mut self, at: &Progress, groups: &mut [Rates]) -> Result<()> {
        if at.epoch > self.state.epochs && !at.metrics.is_empty() {
            let figure = at.metric(&self.metric).with_context(|| {
                let known: Vec<_> = at.metrics.iter().map(|metric| metric.name()).collect();
                format!("plateau.metric={}: there is no such figure, there are {}", self.metric, known.join(", "))
            })?;
            self.count(figure);
            self.state.epochs = at.epoch;
        }
        for rates in groups.iter_mut() {
            rates.lr = (rates.initial_lr * self.state.scale).max(self.min_lr.min(rates.initial_lr));
            rates.momentum = rates.initial_momentum;
        }
        let Self { warmup_epochs: epochs, warmup_momentum: momentum, warmup_bias_lr: bias_lr, .. } = *self;
        schedule::warmup(&schedule::Warmup { epochs, momentum, bias_lr }, at, groups);
        Ok(())
    }

    // ANCHOR: state
    fn save(&self) -> Result<Vec<u8>> {
        Ok(serde_json::to_vec(&self.state)?)
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        let state: State = serde_json::from_slice(state).context("this is no state of plateau")?;
        let version = state.version;
        ensure!(version == VERSION, "this is state {version} of plateau; this plugin reads state {VERSION}");
        ensure!((0.0..=1.0).contains(&state.scale), "a state of plateau scales rates by 0 to 1, not {}", state.scale);
        self.state = state;
        Ok(())
    }
    // ANCHOR_END: state
}

export_plugin! {
    scheduler "plateau" "the rate falls by a factor when a validation figure has stopped improving": Plateau,
    alias "warmup_epochs" = "warmup_epochs", alias "warmup_momentum" = "warmup_momentum",
    alias "warmup_bias_lr" = "warmup_bias_lr"
}

#[cfg(test)]
mod tests;
