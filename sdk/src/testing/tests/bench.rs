//! The bench keeps the trainer's rules.

use crate::{
    Dtype, Loss, LossContext, Predictions, Result, Targets, Terms, bail,
    testing::{LossBench, assert_close, tensor},
};

/// A loss whose pass 1 is a closure.
struct OnTargets<F>(F);

impl<F: FnMut(&mut Targets, &LossContext) -> Result<()> + Send> Loss for OnTargets<F> {
    fn targets(&mut self, targets: &mut Targets, cx: &LossContext) -> Result<()> {
        self.0(targets, cx)
    }
}

/// A loss whose pass 2 is a closure.
struct OnTerms<F>(F);

impl<F: FnMut(&mut Terms, &Predictions) -> Result<()> + Send> Loss for OnTerms<F> {
    fn terms(&mut self, terms: &mut Terms, preds: &Predictions, _: &Targets, _: &LossContext) -> Result<()> {
        self.0(terms, preds)
    }
}

fn bench() -> LossBench {
    LossBench::new(tensor(&[0.5, 0.25, 0.0, 0.0], &[1, 2, 2])).target("boxes", tensor(&[0.0; 8], &[1, 2, 4]))
}

fn targets(f: impl FnMut(&mut Targets, &LossContext) -> Result<()> + Send) -> Result<Vec<f64>> {
    bench().targets(&mut OnTargets(f))?.to_vec()
}

fn terms(bench: &mut LossBench, f: impl FnMut(&mut Terms, &Predictions) -> Result<()> + Send) -> Result<()> {
    bench.terms(&mut OnTerms(f))
}

fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    format!("{:#}", result.unwrap_err())
}

#[test]
fn targets_follow_from_the_scores() {
    let doubled = targets(|targets, cx| {
        assert_eq!((cx.num_classes, cx.image_ids), (2, &[0][..]));
        assert_eq!(targets.0.names(), ["scores", "foreground", "weights", "normaliser", "boxes"]);
        assert_close(&targets.foreground()?.to_vec()?, &[1.0, 0.0], 0.0);
        assert_close(&targets.weights()?.to_vec()?, &[0.75, 0.0], 0.0);
        let normaliser = targets.normaliser()?;
        assert_eq!((normaliser.to_vec()?, normaliser.size()), (vec![1.0], vec![]));
        targets.set_scores(&targets.scores()?.mul_scalar(2.0)?)
    });
    assert_close(&doubled.unwrap(), &[1.0, 0.5, 0.0, 0.0], 0.0);
}

#[test]
fn only_scores_may_be_replaced_by_their_like() {
    let narrower = targets(|targets, _| targets.set_scores(&targets.scores()?.narrow(2, 0, 1)?));
    assert_eq!(message(narrower), "`scores` must stay Tensor[1, 2, 2] Dtype(7), not Tensor[1, 2, 1] Dtype(7)");
    let single = targets(|targets, _| targets.set_scores(&targets.scores()?.to_dtype(Dtype::F32)?));
    assert!(message(single).contains("must stay"));
    let boxes = targets(|targets, _| targets.0.set("boxes", &targets.boxes()?));
    assert_eq!(message(boxes), "`boxes` is fixed by the assignment; only `scores` may be replaced");
    let missing = targets(|targets, _| targets.object_boxes().map(drop));
    assert!(message(missing).starts_with("there is no `object_boxes`; there are scores, foreground"));
}

#[test]
fn terms_are_scalars_that_are_computed_when_somebody_asks() {
    let logits = tensor(&[0.0; 4], &[1, 2, 2]);
    let mut bench = bench().offer("box", || bail!("was computed")).term("cls", 0.5).prediction("scores", logits);
    terms(&mut bench, |terms, preds| {
        let mut preds = preds.0;
        assert!(message(preds.set("scores", &preds.get("scores")?)).contains("read-only"));
        assert_eq!(message(terms.set("mean", &tensor(&[1.0], &[1]))), "term `mean` must be a scalar, not [1]");
        terms.set("cls", &terms.get("cls")?.mul_scalar(3.0)?)?;
        terms.offer("new", || Ok(tensor(&[2.0], &[])))
    })
    .unwrap();
    assert_eq!(bench.names(), ["box", "cls", "new"]);
    assert_eq!((bench.value("cls").unwrap(), bench.value("new").unwrap()), (1.5, 2.0));
    assert_eq!(message(bench.value("box")), "was computed");
    assert_eq!(message(bench.value("box")), "the computation of term `box` has failed before");
    terms(&mut bench, |terms, _| terms.remove("box")).unwrap();
    let again = terms(&mut bench, |terms, _| terms.remove("box"));
    assert_eq!(message(again), "there is no term `box` to remove; there are cls, new");
}

#[test]
fn a_computation_that_panics_is_an_error() {
    assert_eq!(message(bench().offer("box", || panic!("oops")).value("box")), "panicked: oops");
}
