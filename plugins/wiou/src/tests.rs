//! One image, three anchors; the last is background. Numbers by hand from the paper's formulas.

use trainer_sdk::{
    Loss,
    testing::{self, LossBench},
};

/// Anchor 0: two squares of side 2, the right one moved by 1: IoU 1/3, centres 1 apart, hull 3 x 2.
/// Anchor 1: equal boxes. Class targets 0.5 and 1, so weights 0.5 and 1 and normaliser 1.5.
fn bench() -> LossBench {
    let scores = testing::tensor(&[0.5, 0.0, 0.0, 1.0, 0.0, 0.0], &[1, 3, 2]);
    let truth = testing::tensor(&[0.0, 0.0, 2.0, 2.0, 3.0, 3.0, 5.0, 7.0, 0.0, 0.0, 0.0, 0.0], &[1, 3, 4]);
    let boxes = testing::tensor(&[1.0, 0.0, 3.0, 2.0, 3.0, 3.0, 5.0, 7.0, 9.0, 9.0, 8.0, 8.0], &[1, 3, 4]);
    LossBench::new(scores).target("boxes", truth).prediction("boxes", boxes)
}

fn make(options: &str) -> Box<dyn Loss> {
    testing::component("loss", "wiou").make_loss(options).unwrap()
}

/// The term, where the running mean is `mean`.
fn term(options: &str, mean: f64) -> f64 {
    let mut loss = make(options);
    loss.load(&[&[1][..], &mean.to_le_bytes()].concat()).unwrap();
    let mut bench = bench().offer("box", || panic!("the built-in term is computed in vain"));
    bench.terms(loss.as_mut()).unwrap();
    assert_eq!(bench.names(), ["box"]);
    bench.value("box").unwrap()
}

/// Version 1 of anchor 0, whose weight and the normaliser give 0.5 / 1.5; anchor 1 has no loss.
fn version_1() -> f64 {
    (1.0f64 / 13.0).exp() * (2.0 / 3.0) * 0.5 / 1.5
}

#[test]
fn version_1_is_the_overlap_times_the_attention() {
    testing::assert_close(&[term(r#"{"version": 1}"#, 0.5)], &[version_1()], 1e-6);
}

#[test]
fn version_2_raises_the_outlier_degree_to_gamma() {
    let outlier = 2.0 / 3.0 / 0.5f64;
    testing::assert_close(&[term(r#"{"version": 2}"#, 0.5)], &[version_1() * outlier.sqrt()], 1e-6);
    testing::assert_close(&[term(r#"{"version": 2, "gamma": 0}"#, 0.5)], &[version_1()], 1e-6);
}

#[test]
fn version_3_focuses_on_ordinary_boxes() {
    let outlier = 2.0 / 3.0 / 0.5f64;
    let gain = outlier / (3.0 * 1.9f64.powf(outlier - 3.0));
    testing::assert_close(&[term("{}", 0.5)], &[version_1() * gain], 1e-6);
    // At an outlier degree of delta the gain is 1, whatever alpha.
    for alpha in ["1.4", "1.9"] {
        let options = format!(r#"{{"alpha": {alpha}, "delta": 2}}"#);
        testing::assert_close(&[term(&options, 1.0 / 3.0)], &[version_1()], 1e-6);
    }
}

#[test]
fn nothing_is_learnt_where_no_gradients_are_recorded() {
    let mut loss = make(r#"{"momentum": 0.5}"#);
    let before = loss.save().unwrap();
    bench().terms(loss.as_mut()).unwrap();
    assert_eq!(loss.save().unwrap(), before);
}

#[test]
fn a_batch_of_background_gives_0() {
    let zeros = || testing::tensor(&[0.0; 8], &[1, 2, 4]);
    let scores = testing::tensor(&[0.0; 4], &[1, 2, 2]);
    let mut bench = LossBench::new(scores).target("boxes", zeros()).prediction("boxes", zeros());
    bench.terms(make("{}").as_mut()).unwrap();
    assert_eq!(bench.value("box").unwrap(), 0.0);
}

#[test]
fn options_are_checked() {
    let component = testing::component("loss", "wiou");
    let options = component.options_default();
    assert_eq!((&options["version"], &options["alpha"], &options["delta"]), (&3.into(), &1.9.into(), &3.0.into()));
    testing::assert_close(&[options["momentum"].as_f64().unwrap()], &[1.0 - 0.05f64.powf(1.0 / 7000.0)], 3e-6);
    for refused in [r#"{"version": 4}"#, r#"{"version": 0}"#, r#"{"alpha": 0.5}"#, r#"{"mean": 1}"#] {
        assert!(component.make_loss(refused).is_err(), "{refused}");
    }
}
