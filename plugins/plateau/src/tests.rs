//! Runs whose figures are known in advance.

use trainer_sdk::{
    Metric, Progress, Rates, Scheduler,
    testing::{self, SimulatedRun, assert_close},
};

fn make(options: &str) -> Box<dyn Scheduler> {
    testing::component("scheduler", "plateau").make_scheduler(options).unwrap()
}

/// The rate at the last step of each epoch, where `figures` are those after each; an optimizer with rate 1.
fn rates(options: &str, metric: &'static str, figures: &[f64]) -> Vec<f64> {
    let run = SimulatedRun { epochs: figures.len() + 1, steps_per_epoch: 3, lr0: 1.0, momentum: 0.9 };
    let figure = |epoch: usize| vec![(metric, figures.get(epoch).copied().unwrap_or(0.0))];
    let all = run.rates(make(options).as_mut(), figure).unwrap();
    all.chunks(3).map(|epoch| epoch[2][0].lr).collect()
}

#[test]
fn falls_after_more_than_patience_epochs_and_counts_each_epoch_once() {
    let options = r#"{"patience": 1, "factor": 0.5, "warmup_epochs": 0}"#;
    let figures = [0.2, 0.3, 0.3, 0.29, 0.3, 0.31, 0.3, 0.3];
    assert_close(&rates(options, "map50_95", &figures), &[1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25], 1e-12);
}

#[test]
fn a_threshold_is_a_share_or_an_amount() {
    let figures = [0.5, 0.54, 0.56];
    let rel = r#"{"patience": 0, "factor": 0.5, "threshold": 0.1, "warmup_epochs": 0}"#;
    assert_close(&rates(rel, "map50_95", &figures), &[1.0, 1.0, 0.5, 0.5], 1e-12);
    let abs = r#"{"patience": 0, "factor": 0.5, "threshold": 0.1, "threshold_mode": "abs", "warmup_epochs": 0}"#;
    assert_close(&rates(abs, "map50_95", &figures), &[1.0, 1.0, 0.5, 0.25], 1e-12);
}

#[test]
fn loss_terms_are_better_when_they_fall_unless_mode_says_otherwise() {
    let options = r#"{"metric": "val/box", "patience": 0, "factor": 0.5, "warmup_epochs": 0}"#;
    assert_close(&rates(options, "val/box", &[2.0, 1.0, 3.0]), &[1.0, 1.0, 1.0, 0.5], 1e-12);
    let options = r#"{"metric": "val/box", "mode": "max", "patience": 0, "factor": 0.5, "warmup_epochs": 0}"#;
    assert_close(&rates(options, "val/box", &[2.0, 1.0, 3.0]), &[1.0, 1.0, 0.5, 0.5], 1e-12);
}

#[test]
fn cooldown_epochs_do_not_count_and_min_lr_ends_the_fall() {
    let options = r#"{"patience": 0, "factor": 0.1, "cooldown": 2, "min_lr": 0.05, "warmup_epochs": 0}"#;
    let wanted = [1.0, 1.0, 0.1, 0.1, 0.1, 0.05];
    assert_close(&rates(options, "map50_95", &[0.5; 5]), &wanted, 1e-12);
    assert_close(&rates(options, "map50_95", &[f64::NAN; 2]), &[1.0, 0.1, 0.1], 1e-12);
}

#[test]
fn the_warm_up_is_that_of_the_sdk() {
    let run = SimulatedRun { epochs: 2, steps_per_epoch: 100, lr0: 0.01, momentum: 0.937 };
    let all = run.rates(make(r#"{"warmup_epochs": 1}"#).as_mut(), |_| vec![("map50_95", 0.1)]).unwrap();
    assert_close(&[all[0][0].lr, all[50][0].lr, all[100][0].lr], &[0.0, 0.005, 0.01], 1e-12);
    assert_close(&[all[0][0].momentum, all[150][0].momentum], &[0.8, 0.937], 1e-12);
}

#[test]
fn an_unknown_figure_is_an_error_that_lists_those_there_are() {
    let metrics = [Metric::new("map50_95", 0.1), Metric::new("val/cls", 1.0)];
    let at = Progress { epoch: 1, steps_per_epoch: 1, epochs: 2, step: 1, metrics: &metrics };
    let refused = make(r#"{"metric": "map"}"#).rates(&at, &mut [Rates::new("weight", 0.01, 0.9)]).unwrap_err();
    assert_eq!(refused.to_string(), "plateau.metric=map: there is no such figure, there are map50_95, val/cls");
}

#[test]
fn a_state_that_was_saved_goes_on_where_it_was() {
    let options = r#"{"patience": 1, "factor": 0.5, "cooldown": 1, "warmup_epochs": 0}"#;
    let figures = [0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1];
    let mut scheduler = make(options);
    let mut resumed = Vec::new();
    for epoch in 0..=figures.len() {
        let last = epoch.checked_sub(1).map(|last| Metric::new("map50_95", figures[last]));
        for step in 0..2 {
            let at =
                Progress { epoch, step: epoch * 2 + step, steps_per_epoch: 2, epochs: 9, metrics: last.as_slice() };
            let mut groups = [Rates::new("weight", 1.0, 0.9)];
            scheduler.rates(&at, &mut groups).unwrap();
            let saved = scheduler.save().unwrap();
            scheduler = make(options);
            scheduler.load(&saved).unwrap();
            assert_eq!(scheduler.save().unwrap(), saved);
            resumed.push(groups[0].lr);
        }
    }
    let resumed: Vec<_> = resumed.chunks(2).map(|epoch| epoch[1]).collect();
    assert_eq!(resumed, rates(options, "map50_95", &figures));
    assert_eq!(resumed, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]);
}

#[test]
fn other_states_are_refused() {
    let mut scheduler = make("{}");
    let saved = scheduler.save().unwrap();
    let other = String::from_utf8(saved.clone()).unwrap().replace(r#""version":1"#, r#""version":2"#);
    let refused = scheduler.load(other.as_bytes()).unwrap_err().to_string();
    assert_eq!(refused, "this is state 2 of plateau; this plugin reads state 1");
    let negative = String::from_utf8(saved.clone()).unwrap().replace(r#""scale":1.0"#, r#""scale":-1.0"#);
    let bad: [&[u8]; 5] = [b"", b"\x00\xff\x17", b"{}", b"[1]", negative.as_bytes()];
    assert!(bad.iter().all(|bytes| scheduler.load(bytes).is_err()));
    assert_eq!(scheduler.save().unwrap(), saved, "a refused state changes nothing");
}

#[test]
fn options_have_torchs_defaults_and_are_checked() {
    let component = testing::component("scheduler", "plateau");
    let options = component.options_default();
    assert_eq!((&options["patience"], &options["factor"]), (&10.into(), &0.1.into()));
    assert_eq!((&options["metric"], &options["mode"]), (&"map50_95".into(), &"auto".into()));
    assert!(component.make_scheduler(r#"{"factor": 1.5}"#).is_err());
    assert!(component.make_scheduler(r#"{"mode": "up"}"#).is_err());
    assert!(component.make_scheduler(r#"{"state": {}}"#).is_err());
}
