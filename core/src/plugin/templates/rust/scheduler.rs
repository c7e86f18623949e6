//! plugin_name: the rates fall along a power of the part of the run that is left.

use trainer_sdk::{Progress, Rates, Result, Scheduler, export_plugin, schedule};

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PluginName {
    /// The exponent: 1 is a straight line, more falls earlier.
    #[schemars(range(min = 0.1, max = 10.0))]
    power: f64,
}

impl Default for PluginName {
    fn default() -> Self {
        Self { power: 2.0 }
    }
}

impl Scheduler for PluginName {
    fn rates(&mut self, at: &Progress, groups: &mut [Rates]) -> Result<()> {
        let done = at.step as f64 / (at.epochs * at.steps_per_epoch).max(1) as f64;
        for rates in groups.iter_mut() {
            rates.lr = rates.initial_lr * (1.0 - done.min(1.0)).powf(self.power);
            rates.momentum = rates.initial_momentum;
        }
        let warmup = schedule::Warmup { epochs: 3.0, momentum: 0.8, bias_lr: 0.0 };
        schedule::warmup(&warmup, at, groups);
        Ok(())
    }
}

export_plugin! { scheduler "plugin_name" "rates fall along a power of what is left": PluginName }

#[cfg(test)]
mod tests {
    use trainer_sdk::testing::{self, SimulatedRun};

    #[test]
    fn a_quarter_is_left_in_the_middle() {
        let component = testing::component("scheduler", "plugin_name");
        let mut scheduler = component.make_scheduler("{}").unwrap();
        let run = SimulatedRun { epochs: 10, steps_per_epoch: 100, lr0: 0.01, momentum: 0.9 };
        let rates = run.rates(scheduler.as_mut(), |_epoch| Vec::new()).unwrap();
        let [first, middle] = [0, 500].map(|step| rates[step][0].lr); // of the decayed weights
        testing::assert_close(&[first, middle], &[0.0, 0.0025], 1e-12);
    }
}
