//! The built-in schedules against curves worked out by hand, and what `staged` refuses.

use std::fs;

use trainer_sdk::{
    Rates,
    testing::{SimulatedRun, assert_close},
};

use crate::{
    config::{ComponentConfig, RunConfig},
    registry::Registry,
    settings::{self, Request},
};

/// A run with an optimizer of rate 0.02 and momentum 0.9.
fn run(name: &str, options: &str, epochs: usize, steps_per_epoch: usize) -> Vec<[Rates; 3]> {
    let mut scheduler = Registry::built_in().scheduler(name, options).unwrap();
    let run = SimulatedRun { epochs, steps_per_epoch, lr0: 0.02, momentum: 0.9 };
    run.rates(scheduler.as_mut(), |_| Vec::new()).unwrap()
}

/// Each epoch's rate as a share of the optimizer's, without warm-up; the same for all groups, and momentum stays.
fn shares(name: &str, options: &str, epochs: usize) -> Vec<f64> {
    let steps = run(name, options, epochs, 2);
    for [weight, norm, bias] in &steps {
        assert_eq!([weight.lr; 2], [norm.lr, bias.lr]);
        assert_eq!([weight.momentum, norm.momentum, bias.momentum], [0.9; 3]);
    }
    assert!(steps.chunks(2).all(|epoch| epoch[0][0].lr == epoch[1][0].lr), "once an epoch");
    steps.iter().step_by(2).map(|[weight, ..]| weight.lr / 0.02).collect()
}

#[test]
fn linear_falls_by_equal_steps() {
    let curve = shares("linear", r#"{"lrf": 0.2, "warmup_epochs": 0}"#, 8);
    assert_close(&curve, &[1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3], 1e-12);
}

#[test]
fn cosine_falls_slowly_at_both_ends() {
    // (1 + cos(k pi / 6)) / 2 is 1, (2 + √3) / 4, 3/4, 1/2, 1/4, (2 - √3) / 4; times 0.8, plus 0.2.
    let curve = shares("cosine", r#"{"lrf": 0.2, "warmup_epochs": 0}"#, 6);
    let root = 3f64.sqrt() * 0.2;
    assert_close(&curve, &[1.0, 0.6 + root, 0.8, 0.6, 0.4, 0.6 - root], 1e-12);
}

#[test]
fn staged_goes_through_its_breakpoints() {
    let options = r#"{"warmup_epochs": 0, "breakpoints": [
        {"epoch": 0, "rate": 1}, {"epoch": 2, "rate": 0.5, "curve": "linear"},
        {"epoch": 7, "rate": 3, "curve": "cosine"}, {"epoch": 10, "rate": 0.2}]}"#;
    let curve = shares("staged", options, 12);
    // Constant, then a jump; a straight line that rises by 0.5; (1 + cos(k pi / 3)) / 2 = 1, 3/4, 1/4 of 2.8; constant.
    assert_close(&curve, &[1.0, 1.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 2.3, 0.9, 0.2, 0.2], 1e-12);
    assert_eq!(shares("staged", r#"{"warmup_epochs": 0}"#, 3), [1.0; 3], "without breakpoints");
    let end =
        r#"{"warmup_epochs": 0, "breakpoints": [{"epoch": 0, "rate": 1, "curve": "linear"}, {"epoch": 4, "rate": 0}]}"#;
    assert_close(&shares("staged", end, 4), &[1.0, 0.75, 0.5, 0.25], 1e-12);
}

#[test]
fn all_warm_up_alike() {
    // 60 batches an epoch, two epochs of warm-up: at batch 90 three quarters are done.
    let warmup = r#""warmup_epochs": 2, "warmup_momentum": 0.5, "warmup_bias_lr": 0.1"#;
    let staged = r#""breakpoints": [{"epoch": 0, "rate": 1}, {"epoch": 1, "rate": 0.5}]"#;
    for (name, own, shares) in [
        ("linear", r#""lrf": 0.5"#, [1.0, 0.875, 0.75]),
        ("cosine", r#""lrf": 0"#, [1.0, 0.5 + 2f64.sqrt() / 4.0, 0.5]),
        ("staged", staged, [1.0, 0.5, 0.5]),
    ] {
        let steps = run(name, &format!("{{{own}, {warmup}}}"), 4, 60);
        for (step, warm, share) in [(0, 0.0, shares[0]), (90, 0.75, shares[1]), (120, 1.0, shares[2])] {
            let [weight, norm, bias] = &steps[step];
            let lr = 0.02 * share * warm;
            assert_close(&[weight.lr, norm.lr, bias.lr], &[lr, lr, lr + 0.1 * (1.0 - warm)], 1e-12);
            assert_close(&[weight.momentum, bias.momentum], &[0.5 + 0.4 * warm; 2], 1e-12);
        }
        assert_close(
            &[steps[239][0].lr, steps[239][2].lr, steps[239][0].momentum],
            &[steps[239][1].lr, steps[239][1].lr, 0.9],
            1e-12,
        );
    }
}

/// Resolves a run file and words; a message without the file's folder.
fn resolve(file: &str, keys: &[(&str, &str)]) -> Result<RunConfig, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.toml");
    fs::write(&path, file).unwrap();
    let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let request = Request { file: Some(path), keys, ..Request::default() };
    let resolved = settings::resolve(&request, settings::training, &mut Registry::built_in());
    resolved.map_err(|error| format!("{error:#}").replace(&format!("{}/", dir.path().display()), ""))
}

#[test]
fn breakpoints_are_written_in_a_run_file_or_on_the_command_line() {
    let inline = "[schedule]\nuse = 'staged'\nbreakpoints = [\n  { epoch = 0, rate = 1, curve = 'cosine' },\n  { epoch = 60, rate = 0.1 },\n]\n";
    let tables = "[schedule]\nuse = 'staged'\n[[schedule.breakpoints]]\nepoch = 0\nrate = 1\ncurve = 'cosine'\n[[schedule.breakpoints]]\nepoch = 60\nrate = 0.1\n";
    let words =
        [("schedule", "staged"), ("staged.breakpoints", "[{epoch=0, rate=1, curve='cosine'}, {epoch=60, rate=0.1}]")];
    let wanted = serde_json::json!([{ "epoch": 0, "rate": 1, "curve": "cosine" }, { "epoch": 60, "rate": 0.1 }]);
    for config in [resolve(inline, &[]), resolve(tables, &[]), resolve("", &words)].map(Result::unwrap) {
        let ComponentConfig { name, options } = &config.schedule;
        assert_eq!((name.as_str(), &options["breakpoints"]), ("staged", &wanted));
        let saved = resolve(&toml::to_string_pretty(&config).unwrap(), &[]).unwrap();
        assert_eq!(saved.schedule, config.schedule, "run.toml holds the breakpoints");
    }
    let config = resolve("", &[("schedule", "staged"), ("warmup_epochs", "1.5")]).unwrap();
    assert_eq!(config.schedule.options["warmup_epochs"], 1.5);
}

#[test]
fn breakpoints_that_cannot_be_meant_are_refused_by_file_and_line() {
    let refused =
        |points: &str| resolve(&format!("[schedule]\nuse = 'staged'\nbreakpoints = [\n{points}]\n"), &[]).unwrap_err();
    assert_eq!(refused(""), "run.toml:3: option `staged.breakpoints`: [] has less than 1 item");
    let second = |point: &str| refused(&format!("  {{ epoch = 0, rate = 1 }},\n  {{ {point} }},\n"));
    let at = "run.toml:5: option `staged.breakpoints.1";
    assert_eq!(second("epoch = -3, rate = 1"), format!("{at}.epoch`: -3 is less than the minimum of 0"));
    assert_eq!(second("epoch = 3, rate = -0.1"), format!("{at}.rate`: -0.1 is less than the minimum of 0.0"));
    assert_eq!(second("epoch = 2.5, rate = 1"), format!("{at}.epoch`: 2.5 is not of type \"integer\""));
    let curves = "\"constant\", \"linear\" or \"cosine\"";
    assert_eq!(second("epoch = 3, rate = 1, curve = 'step'"), format!("{at}.curve`: \"step\" is not one of {curves}"));
    assert_eq!(second("epoch = 3"), format!("{at}`: \"rate\" is a required property"));
    let unknown = second("epoch = 3, rate = 1, lr = 2");
    assert!(unknown.starts_with(at) && unknown.contains("'lr' was unexpected"), "{unknown}");
}

#[test]
fn breakpoints_that_do_not_fit_the_run_are_refused_before_it() {
    let refused = |points: &str| {
        let options = format!(r#"{{"breakpoints": [{points}]}}"#);
        let mut scheduler = Registry::built_in().scheduler("staged", &options).unwrap();
        let mut ready = trainer_sdk::ReadyContext::default();
        ready.epochs = 90;
        scheduler.ready(&ready).err().map(|error| error.to_string())
    };
    let start = r#"{"epoch": 0, "rate": 1}, {"epoch": 60, "rate": 0.1}"#;
    assert_eq!(refused(start), None);
    assert_eq!(refused(&format!(r#"{start}, {{"epoch": 90, "rate": 0}}"#)), None);
    let message = |text: &str| Some(format!("staged.breakpoints{text}"));
    let first = message(": the first must stand at epoch 0, where the run begins");
    assert_eq!(refused(r#"{"epoch": 1, "rate": 1}"#), first);
    assert_eq!(refused(""), first);
    for epoch in [30, 60] {
        let order = message(&format!(".2: epoch {epoch} must come after the one before, 60"));
        assert_eq!(refused(&format!(r#"{start}, {{"epoch": {epoch}, "rate": 0.01}}"#)), order);
    }
    let beyond = message(".2: epoch 91 lies beyond the end of the run, epochs=90");
    assert_eq!(refused(&format!(r#"{start}, {{"epoch": 91, "rate": 0.01}}"#)), beyond);
    let nowhere = message(
        ".0: the last has no next to go to; leave its curve out, or add a breakpoint where it shall lead, at the latest \
         { epoch = 90, rate = … }",
    );
    assert_eq!(refused(r#"{"epoch": 0, "rate": 1, "curve": "cosine"}"#), nowhere);
}
