//! The plugin over a simulated run.

// ANCHOR: test
use trainer_sdk::testing::{self, SimulatedRun};

#[test]
fn the_rate_falls_every_two_epochs() {
    let options = r#"{"every": 2, "factor": 0.5}"#;
    let mut scheduler = testing::component("scheduler", "step_decay").make_scheduler(options).unwrap();
    let run = SimulatedRun { epochs: 5, steps_per_epoch: 200, lr0: 0.01, momentum: 0.9 };
    let rates = run.rates(scheduler.as_mut(), |_epoch| Vec::new()).unwrap();
    let at = |step: usize| rates[step][0].lr; // of the group of decayed weights
    testing::assert_close(&[at(0), at(300), at(700), at(900)], &[0.0, 0.005, 0.005, 0.0025], 1e-12);
}
// ANCHOR_END: test

#[test]
fn options_are_checked() {
    let component = testing::component("scheduler", "step_decay");
    assert_eq!(component.options_default()["every"], 30);
    assert!(component.make_scheduler(r#"{"every": 0}"#).is_err());
}
