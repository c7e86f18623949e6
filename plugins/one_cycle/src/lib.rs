//! One cycle: the rate rises to its peak and falls far below its start, momentum goes the other way, step by step over
//! the whole run. Smith & Topin 2018, "Super-Convergence", with the numbers of PyTorch's OneCycleLR.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{Progress, Rates, ReadyContext, Result, Scheduler, ensure, export_plugin};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct OneCycle {
    /// The peak as a multiple of the optimizer's rate (lr0).
    #[schemars(range(min = 0.0, max = 1000.0))]
    max_lr: f64,
    /// Share of the run in which the rate rises; with three phases at most 0.5.
    #[schemars(range(min = 0.0, max = 1.0))]
    pct_start: f64,
    /// The way from one value to the next.
    anneal: Anneal,
    /// The first rate is the peak / this.
    #[schemars(range(min = 1.0, max = 1e9))]
    div_factor: f64,
    /// The last rate is the first / this.
    #[schemars(range(min = 1.0, max = 1e9))]
    final_div_factor: f64,
    /// The rate falls back to the first as fast as it rose, then on to the last; else straight to the last.
    three_phase: bool,
    /// Momentum falls while the rate rises and the other way round; else it stays as the optimizer has it.
    cycle_momentum: bool,
    /// Momentum at the peak.
    #[schemars(range(min = 0.0, max = 0.9999))]
    base_momentum: f64,
    /// Momentum at both ends.
    #[schemars(range(min = 0.0, max = 0.9999))]
    max_momentum: f64,
}

// ANCHOR: enum
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Anneal {
    /// Half a cosine.
    Cos,
    /// A straight line.
    Linear,
}
// ANCHOR_END: enum

impl Default for OneCycle {
    fn default() -> Self {
        Self {
            max_lr: 1.0,
            pct_start: 0.3,
            anneal: Anneal::Cos,
            div_factor: 25.0,
            final_div_factor: 1e4,
            three_phase: false,
            cycle_momentum: true,
            base_momentum: 0.85,
            max_momentum: 0.95,
        }
    }
}

impl OneCycle {
    /// Factor of the optimizer's rate, and momentum, at step `step` of `total`.
    fn at(&self, step: usize, total: usize) -> (f64, f64) {
        let first = (self.max_lr / self.div_factor, self.max_momentum);
        let peak = (self.max_lr, self.base_momentum);
        let last = (first.0 / self.final_div_factor, self.max_momentum);
        let rise = self.pct_start * total as f64 - 1.0;
        let fall = 2.0 * self.pct_start * total as f64 - 2.0;
        let end = total as f64 - 1.0;
        let phases = match self.three_phase {
            true => [(0.0, rise, first, peak), (rise, fall, peak, first), (fall, end, first, last)],
            false => [(0.0, rise, first, peak), (rise, end, peak, last), (end, end, last, last)],
        };
        let step = step as f64;
        let phase = phases.iter().find(|phase| phase.0 < phase.1 && step <= phase.1);
        let Some(&(start, end, from, to)) = phase else { return last };
        let done = (step - start) / (end - start);
        let share = match self.anneal {
            Anneal::Cos => (1.0 - (std::f64::consts::PI * done).cos()) / 2.0,
            Anneal::Linear => done,
        };
        (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
    }
}

impl Scheduler for OneCycle {
    fn ready(&mut self, _run: &ReadyContext) -> Result<()> {
        let p = self.pct_start;
        ensure!(!self.three_phase || p <= 0.5, "one_cycle.pct_start={p}: with three_phase it is at most 0.5");
        Ok(())
    }

    fn rates(&mut self, at: &Progress, groups: &mut [Rates]) -> Result<()> {
        let (factor, momentum) = self.at(at.step, at.epochs * at.steps_per_epoch);
        for rates in groups {
            rates.lr = rates.initial_lr * factor;
            rates.momentum = if self.cycle_momentum { momentum } else { rates.initial_momentum };
        }
        Ok(())
    }
}

export_plugin! {
    scheduler "one_cycle" "the rate rises to its peak and falls far below its start, momentum goes the other way": OneCycle
}

#[cfg(test)]
mod tests {
    use trainer_sdk::{
        ReadyContext,
        testing::{self, SimulatedRun, assert_close},
    };

    /// Rate and momentum of all ten steps, of an optimizer with rate 1 and momentum 0.9.
    fn run(options: &str) -> (Vec<f64>, Vec<f64>) {
        let mut scheduler = testing::component("scheduler", "one_cycle").make_scheduler(options).unwrap();
        let run = SimulatedRun { epochs: 2, steps_per_epoch: 5, lr0: 1.0, momentum: 0.9 };
        let rates = run.rates(scheduler.as_mut(), |_| Vec::new()).unwrap();
        assert!(rates.iter().all(|[weight, norm, bias]| weight.lr == norm.lr && norm.lr == bias.lr));
        rates.iter().map(|[weight, ..]| (weight.lr, weight.momentum)).unzip()
    }

    #[test]
    fn rises_over_three_of_ten_steps_and_falls_over_the_rest() {
        let (lr, momentum) = run("{}");
        assert_close(&lr[..3], &[0.04, 0.52, 1.0], 1e-12);
        let cosine = |k: f64| (1.0 + (std::f64::consts::PI * k / 7.0).cos()) / 2.0;
        assert_close(&lr[3..9], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(|k| 4e-6 + (1.0 - 4e-6) * cosine(k)), 1e-12);
        assert_close(&lr[9..], &[0.04 / 1e4], 1e-15);
        assert_close(&[momentum[0], momentum[1], momentum[2], momentum[9]], &[0.95, 0.9, 0.85, 0.95], 1e-12);
    }

    #[test]
    fn three_phases_return_to_the_start_before_they_fall() {
        let options =
            r#"{"three_phase": true, "anneal": "linear", "max_lr": 2, "div_factor": 4, "final_div_factor": 5}"#;
        let (lr, momentum) = run(options);
        assert_close(&lr, &[0.5, 1.25, 2.0, 1.25, 0.5, 0.42, 0.34, 0.26, 0.18, 0.1], 1e-12);
        assert_close(&momentum, &[0.95, 0.9, 0.85, 0.9, 0.95, 0.95, 0.95, 0.95, 0.95, 0.95], 1e-12);
    }

    #[test]
    fn runs_too_short_for_a_phase_leave_it_out() {
        let (lr, momentum) = run(r#"{"pct_start": 0, "anneal": "linear", "cycle_momentum": false}"#);
        assert!(lr[0] > 0.8 && lr.windows(2).all(|pair| pair[0] > pair[1]), "{lr:?}");
        assert_eq!(momentum, [0.9; 10]);
        let mut scheduler = testing::component("scheduler", "one_cycle").make_scheduler("{}").unwrap();
        let run = SimulatedRun { epochs: 1, steps_per_epoch: 1, lr0: 1.0, momentum: 0.9 };
        assert!(run.rates(scheduler.as_mut(), |_| Vec::new()).unwrap()[0][0].lr.is_finite());
    }

    #[test]
    fn options_have_torchs_defaults_and_are_checked() {
        let component = testing::component("scheduler", "one_cycle");
        let options = component.options_default();
        assert_eq!((&options["pct_start"], &options["anneal"]), (&0.3.into(), &"cos".into()));
        assert!(component.make_scheduler(r#"{"anneal": "sine"}"#).is_err());
        assert!(component.make_scheduler(r#"{"max_momentum": 1}"#).is_err());
        let mut three = component.make_scheduler(r#"{"three_phase": true, "pct_start": 0.6}"#).unwrap();
        let refused = three.ready(&ReadyContext::default()).unwrap_err().to_string();
        assert_eq!(refused, "one_cycle.pct_start=0.6: with three_phase it is at most 0.5");
    }
}
