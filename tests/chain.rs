//! What links of a loss chain may do to each other's targets and terms, and that gradients flow through a link written
//! against the SDK as they do through tch.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};
use trainer::{
    ema::Ema,
    loss::{LossChain, LossParameters, LossPoint, LossValues, Objects},
    model::{Anchors, Network, RawPredictions, Scale, Yolo12},
    optimizer::{Algorithm, Optimizer, Rule},
    registry::Registry,
    torch::from_sdk,
};
use trainer_sdk::{Arg, Init, Loss, LossContext, Predictions, Result, Targets, Terms, bail};

const BATCH: i64 = 2;
const CLASSES: i64 = 3;

/// A link made of two closures.
struct Link<T, M>(T, M);

impl<T, M> Loss for Link<T, M>
where
    T: FnMut(&mut Targets, &LossContext) -> Result<()> + Send,
    M: FnMut(&mut Terms, &Predictions, &Targets) -> Result<()> + Send,
{
    fn targets(&mut self, targets: &mut Targets, cx: &LossContext) -> Result<()> {
        (self.0)(targets, cx)
    }

    fn terms(&mut self, terms: &mut Terms, preds: &Predictions, targets: &Targets, _: &LossContext) -> Result<()> {
        (self.1)(terms, preds, targets)
    }
}

fn targets(f: impl FnMut(&mut Targets, &LossContext) -> Result<()> + Send + 'static) -> Box<dyn Loss> {
    Box::new(Link(f, |_: &mut Terms, _: &Predictions, _: &Targets| Ok(())))
}

fn terms(f: impl FnMut(&mut Terms, &Predictions, &Targets) -> Result<()> + Send + 'static) -> Box<dyn Loss> {
    Box::new(Link(|_: &mut Targets, _: &LossContext| Ok(()), f))
}

/// Predictions that record gradients, for an input of 64 x 64 with one object an image.
fn inputs() -> (RawPredictions<Tensor>, Anchors, Objects) {
    let wave = |shape: [i64; 3]| {
        let count: i64 = shape.iter().product();
        (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.37).sin().reshape(shape).set_requires_grad(true)
    };
    let objects = Objects {
        classes: Tensor::from_slice(&[0i64, 2]).reshape([BATCH, 1]),
        boxes: Tensor::from_slice(&[8.0f64, 8.0, 40.0, 48.0, 20.0, 4.0, 60.0, 30.0]).reshape([BATCH, 1, 4]),
        valid: Tensor::from_slice(&[true, true]).reshape([BATCH, 1]),
    };
    let anchors = Anchors::new(64, 64, Kind::Double, Device::Cpu);
    (RawPredictions { distribution: wave([BATCH, 84, 64]), scores: wave([BATCH, 84, CLASSES]) }, anchors, objects)
}

fn evaluate(links: Vec<Box<dyn Loss>>, gains: &[(&str, f64)]) -> Result<LossValues> {
    evaluate_on(&inputs(), links, gains)
}

fn evaluate_on(
    (raw, anchors, objects): &(RawPredictions<Tensor>, Anchors, Objects),
    links: Vec<Box<dyn Loss>>,
    gains: &[(&str, f64)],
) -> Result<LossValues> {
    let detection = Registry::built_in().loss("detection", "{}")?;
    let chain = std::iter::once(detection).chain(links).enumerate().map(|(i, link)| (format!("link{i}"), link));
    let gains: BTreeMap<String, f64> = gains.iter().map(|&(name, gain)| (name.to_owned(), gain)).collect();
    let at = LossPoint {
        epoch: 3,
        epochs: 10,
        step: 7,
        size: (64, 64),
        image_ids: &[11, 12],
        is_training: true,
        ..LossPoint::default()
    };
    LossChain::new(chain.collect(), gains, LossParameters::new(Kind::Double, Device::Cpu, true))
        .evaluate(raw, anchors, objects, at)
}

fn message(links: Vec<Box<dyn Loss>>) -> String {
    format!("{:#}", evaluate(links, &[]).unwrap_err())
}

/// A scalar of this value that depends on the predictions.
fn scalar(predictions: &Predictions, value: f64) -> Result<trainer_sdk::Tensor> {
    predictions.scores()?.sum()?.mul_scalar(0.0)?.add_scalar(value)
}

#[test]
fn a_replaced_term_is_never_computed() {
    let offers = terms(|terms, _, _| terms.offer("mine", || bail!("was computed")));
    let replaces = terms(|terms, preds, _| terms.set("mine", &scalar(preds, 2.0)?));
    let values = evaluate(vec![offers, replaces], &[("mine", 3.0)]).unwrap();
    let mine = values.values().unwrap().into_iter().find(|(name, _)| name == "mine").unwrap();
    assert_eq!(mine.1, 6.0);
    let offers = terms(|terms, _, _| terms.offer("mine", || bail!("was computed")));
    assert_eq!(message(vec![offers]), "loss link1: was computed");
}

#[test]
fn terms_are_gained_summed_and_times_the_images() {
    let adds = terms(|terms, preds, _| terms.set("mine", &scalar(preds, 2.0)?));
    let drops = terms(|terms, _, _| {
        assert_eq!(terms.names(), ["box", "cls", "dfl", "mine"]);
        ["box", "cls", "dfl"].iter().try_for_each(|name| terms.remove(name))
    });
    let values = evaluate(vec![adds, drops], &[("box", 7.5)]).unwrap();
    assert_eq!(values.values().unwrap(), [("mine".to_owned(), 2.0)]);
    assert_eq!(values.total.double_value(&[]), 2.0 * BATCH as f64);
}

#[test]
fn a_gain_without_a_term_is_refused() {
    let error = evaluate(vec![], &[("bxo", 7.5)]).unwrap_err().to_string();
    let wanted = "train.gains.bxo: the loss has no term of that name, it has box, cls, dfl";
    assert_eq!(error, wanted);
}

#[test]
fn only_scores_of_the_same_shape_replace_targets() {
    let shape = targets(|targets, _| targets.set_scores(&targets.scores()?.narrow(2, 0, 1)?));
    assert_eq!(message(vec![shape]), "loss link1: `scores` must stay [2, 84, 3] Double, not [2, 84, 1] Double");
    let weights = targets(|targets, _| targets.0.set("weights", &targets.weights()?));
    let wanted = "loss link1: `weights` is fixed by the assignment; only `scores` may be replaced";
    assert_eq!(message(vec![weights]), wanted);
    let vector = terms(|terms, preds, _| terms.set("mine", &preds.scores()?));
    assert_eq!(message(vec![vector]), "loss link1: term `mine` must be a scalar, not [2, 84, 3]");
}

#[test]
fn links_see_the_run_s_place() {
    let sees = targets(|targets, cx| {
        assert_eq!((cx.epoch, cx.epochs, cx.step, cx.height, cx.width, cx.num_classes), (3, 10, 7, 64, 64, 3));
        assert_eq!((cx.image_ids, cx.is_training), (&[11, 12][..], true));
        let weights = from_sdk(&targets.weights()?);
        let scores = from_sdk(&targets.scores()?).sum_dim_intlist(&[-1i64][..], false, Kind::Double);
        assert!(weights.equal(&scores) && weights.double_value(&[0, 0]) >= 0.0);
        Ok(())
    });
    evaluate(vec![sees], &[]).unwrap();
}

#[test]
fn gradients_flow_through_the_sdk_as_through_tch() {
    let only_mine = || {
        terms(|terms, preds, _| {
            let scores = preds.scores()?;
            // aten::add with its Scalar `alpha`, lists, an int, a reduction with its default arguments
            let sum = trainer_sdk::Tensor::call(
                "aten::add.Tensor",
                &[Arg::Tensor(&scores), Arg::Tensor(&scores.exp()?), Arg::Float(0.5)],
            )?
            .remove(0);
            let mine = sum.log_softmax(-1)?.pow_scalar(2.0)?.sum_dims(&[1, 2], false)?.sum()?;
            terms.set("mine", &mine)?;
            ["box", "cls", "dfl"].iter().try_for_each(|name| terms.remove(name))
        })
    };
    let inputs = inputs();
    evaluate_on(&inputs, vec![only_mine()], &[]).unwrap().total.backward();
    let scores = inputs.0.scores.detach().set_requires_grad(true);
    let sum = &scores + scores.exp() * 0.5;
    (sum.log_softmax(-1, Kind::Double).square().sum(Kind::Double) * BATCH).backward();
    let difference = (inputs.0.scores.grad() - scores.grad()).abs().max().double_value(&[]);
    assert!(difference < 1e-13 && scores.grad().abs().max().double_value(&[]) > 0.1, "{difference:e}");
}

#[test]
fn an_operator_s_refusal_is_a_text() {
    let bad = terms(|terms, preds, _| terms.set("mine", &preds.scores()?.add(&preds.distribution()?)?));
    let error = message(vec![bad]);
    assert!(error.starts_with("loss link1: aten::add.Tensor: The size of tensor a (3) must match"), "{error}");
    let unknown = terms(|_, _, _| trainer_sdk::Tensor::call("aten::nonsense", &[]).map(drop));
    assert!(message(vec![unknown]).starts_with("loss link1: "));
}

#[test]
fn a_term_without_gradient_or_number_is_refused_by_name() {
    let detached = terms(|terms, preds, _| terms.set("mine", &preds.scores()?.sum()?.detach()?));
    let wanted = "term `mine` of loss link1 has no gradient: it was detached, or computed without the predictions; \
                  compute it from them or give its gradients by set_with_gradients";
    assert_eq!(message(vec![detached]), wanted);
    let nan = terms(|terms, preds, _| terms.set("mine", &scalar(preds, f64::NAN)?));
    let values = evaluate(vec![nan], &[]).unwrap().values().unwrap_err();
    let text = format!("{values:#}");
    assert!(text.starts_with("term `mine` of loss link1: the loss is not finite any more (box="), "{text}");
}

#[test]
fn gradients_of_ones_own_are_spliced_into_the_graph() {
    // mine = sum of squares, once by libtorch's graph and once by value and gradient.
    let by_graph = terms(|terms, preds, _| {
        let scores = preds.scores()?;
        terms.set("mine", &scores.mul(&scores)?.sum()?)
    });
    let by_hand = terms(|terms, preds, _| {
        let scores = preds.scores()?;
        let seen = scores.detach()?;
        let value = seen.mul(&seen)?.sum()?;
        terms.set_with_gradients("mine", &value, &[(&scores, &seen.mul_scalar(2.0)?)])
    });
    let [(value_a, gradient_a), (value_b, gradient_b)] = [by_graph, by_hand].map(|link| {
        let inputs = inputs();
        let values = evaluate_on(&inputs, vec![link], &[("mine", 0.5)]).unwrap();
        values.total.backward();
        (values.total.double_value(&[]), inputs.0.scores.grad())
    });
    assert!((value_a - value_b).abs() < 1e-9 * value_a.abs(), "{value_a} {value_b}");
    assert!(gradient_a.allclose(&gradient_b, 1e-12, 1e-12, false), "{}", (gradient_a - gradient_b).abs().max());
    let wrong = terms(|terms, preds, _| {
        let scores = preds.scores()?;
        terms.set_with_gradients("mine", &scores.sum()?, &[(&scores, &preds.boxes()?)])
    });
    assert_eq!(message(vec![wrong]), "loss link1: a gradient of shape [2, 84, 4] for an input of shape [2, 84, 3]");
}

/// Multiplies `cls` by a trainable factor of a given start.
struct Scaled(f64);

impl Loss for Scaled {
    fn terms(&mut self, terms: &mut Terms, _: &Predictions, _: &Targets, cx: &LossContext) -> Result<()> {
        let factor = cx.parameter("factor", &[1], Init::Constant(self.0))?;
        terms.set("cls", &terms.get("cls")?.mul(&factor)?.sum()?)
    }
}

#[test]
fn a_loss_s_parameter_is_trained_averaged_and_followed() {
    let detection = || ("detection".to_owned(), Registry::built_in().loss("detection", "{}").unwrap());
    let chain = |is_trained| {
        let links = vec![detection(), ("scaled".to_owned(), Box::new(Scaled(2.0)) as Box<dyn Loss>)];
        LossChain::new(links, BTreeMap::new(), LossParameters::new(Kind::Double, Device::Cpu, is_trained))
    };
    let (mut trained, mut validated) = (chain(true), chain(false));
    let (raw, anchors, objects) = inputs();
    let at = LossPoint {
        epoch: 0,
        epochs: 1,
        step: 0,
        size: (64, 64),
        image_ids: &[0, 1],
        is_training: true,
        ..LossPoint::default()
    };
    let values = trained.evaluate(&raw, &anchors, &objects, at).unwrap();
    let plain = evaluate(vec![], &[]).unwrap();
    assert!((values.terms[1].1.double_value(&[]) - 2.0 * plain.terms[1].1.double_value(&[])).abs() < 1e-12);

    let network = Network::new(Yolo12::new("yolo12n".parse::<Scale>().unwrap(), 1), 0, Kind::Double, Device::Cpu);
    let network = network.unwrap();
    let rule = Rule { algorithm: Algorithm::SgdNesterov, lr: 0.1, momentum: 0.0 };
    let (mut optimizer, mut ema) = (Optimizer::new(&network, rule, 0.5).unwrap(), Ema::new(&network).unwrap());
    let named = &trained.parameters().all()[0];
    assert_eq!((named.0.as_str(), named.1.size()), ("scaled/factor", vec![1]));
    optimizer.adopt(&named.1);
    ema.adopt(named);
    let zero: Tensor =
        network.tensors().filter(|(_, t)| t.requires_grad()).map(|(_, t)| (t * 0.0).sum(Kind::Double)).sum();
    (values.total + zero).backward();
    let gradient = named.1.grad().double_value(&[0]);
    assert!((gradient - BATCH as f64 * plain.terms[1].1.double_value(&[])).abs() < 1e-12, "{gradient}");
    optimizer.step(&optimizer.rates()).unwrap();
    ema.update().unwrap();
    let moved = named.1.double_value(&[0]);
    let clipped = gradient.min(10.0); // the only gradient, so its size is the norm
    assert!((moved - (2.0 - 0.1 * clipped)).abs() < 1e-5, "{moved}: no weight decay, clipped to 10");
    let average = ema.adopted()[0].1.double_value(&[0]);
    assert!((average - (2.0 + (moved - 2.0) * (1.0 - trainer::ema::decay(1)))).abs() < 1e-12, "{average}");

    validated.follow(&trained, ema.adopted()).unwrap();
    let raw = RawPredictions { distribution: raw.distribution.detach(), scores: raw.scores.detach() };
    let seen = tch::no_grad(|| validated.evaluate(&raw, &anchors, &objects, at)).unwrap();
    let wanted = average * plain.terms[1].1.double_value(&[]);
    assert!((seen.terms[1].1.double_value(&[]) - wanted).abs() < 1e-12);
}
