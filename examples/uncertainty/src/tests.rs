//! Runs the loss as the trainer does, on a term and a parameter of known values.

use trainer_sdk::testing::{self, LossBench};

fn bench() -> LossBench {
    LossBench::new(testing::tensor(&[1.0, 0.0], &[1, 1, 2])).term("cls", 6.0)
}

// ANCHOR: test
#[test]
fn the_class_term_counts_by_the_parameter() {
    let mut loss = testing::component("loss", "uncertainty").make_loss("{}").unwrap();
    let mut bench = bench().parameter("log_variance", testing::tensor(&[2f64.ln()], &[1]));
    bench.terms(loss.as_mut()).unwrap();
    assert_eq!(bench.names(), ["cls", "uncertainty"]);
    testing::assert_close(
        &[bench.value("cls").unwrap(), bench.value("uncertainty").unwrap()],
        &[3.0, 2f64.ln()],
        1e-12,
    );
}
// ANCHOR_END: test

#[test]
fn it_starts_where_the_option_says() {
    let mut loss = testing::component("loss", "uncertainty").make_loss(r#"{"start": -1}"#).unwrap();
    let mut bench = bench();
    bench.terms(loss.as_mut()).unwrap();
    testing::assert_close(&[bench.value("cls").unwrap()], &[6.0 * 1f64.exp()], 1e-12);
}
