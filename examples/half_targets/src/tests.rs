//! The plugin on the test kit, which needs no trainer.

// ANCHOR: test
use trainer_sdk::testing::{self, LossBench};

#[test]
fn targets_are_halved() {
    let mut loss = testing::component("loss", "half_targets").make_loss("{}").unwrap();
    // One image, two anchors, three classes: an object of class 0 on the first anchor.
    let mut batch = LossBench::new(testing::tensor(&[0.8, 0.0, 0.0, 0.0, 0.0, 0.0], &[1, 2, 3]));
    let halved = batch.targets(loss.as_mut()).unwrap().to_vec().unwrap();
    testing::assert_close(&halved, &[0.4, 0.0, 0.0, 0.0, 0.0, 0.0], 1e-15);
}
// ANCHOR_END: test

#[test]
fn it_takes_no_options() {
    assert!(testing::component("loss", "half_targets").make_loss(r#"{"share": 0.5}"#).is_err());
}
