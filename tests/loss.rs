//! Loss, assigner and gradients against the reference's (8.3.63; the 16 px floor against 8.4.190).

use std::collections::BTreeMap;

use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use trainer::{
    loss::{LossChain, LossParameters, LossPoint, Objects},
    model::{Anchors, RawPredictions},
    registry::Registry,
};

use crate::golden::{self, Sampled};

#[derive(Deserialize)]
struct Golden {
    cases: BTreeMap<String, Case>,
    floor16: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    nc: i64,
    batch: i64,
    height: i64,
    width: i64,
    boxes: BoxLogits,
    scores: ScoreLogits,
    targets: Vec<[f64; 6]>,
    items: BTreeMap<String, f64>,
    total: f64,
    foreground_count: usize,
    grad_boxes: Gradient,
    grad_scores: Gradient,
    tie_sensitive: String,
    /// Image, anchor, object, class target.
    foreground: Vec<(i64, i64, i64, f64)>,
}

#[derive(Deserialize)]
struct BoxLogits {
    amp: f64,
    peak: f64,
    bins: [i64; 3],
}

#[derive(Deserialize)]
struct ScoreLogits {
    amp: f64,
    shift: f64,
}

#[derive(Deserialize)]
struct Gradient {
    #[serde(flatten)]
    sampled: Sampled,
    l2: f64,
    sum: f64,
    /// Entries of the foreground's rows (F, 64), since the gradient of boxes is zero elsewhere.
    foreground_samples: Option<Vec<f64>>,
}

impl Gradient {
    /// The worst difference, relative to the norm and to the largest stored entry.
    fn error(&self, gradient: &Tensor, case: &Case) -> f64 {
        let scale = self.l2.max(1e-12);
        let norm = (gradient.norm().double_value(&[]) - self.l2).abs() / scale;
        let sum = (gradient.sum(Kind::Double).double_value(&[]) - self.sum).abs() / scale;
        let totals = norm.max(sum);
        if self.l2 == 0.0 || case.tie_sensitive == "yes" {
            return totals; // which of the tied anchors is taken differs between machines
        }
        let samples = match &self.foreground_samples {
            None => self.sampled.error(gradient),
            Some(samples) => {
                let rows =
                    case.foreground.iter().map(|&(image, anchor, ..)| gradient.select(0, image).select(1, anchor));
                let rows = Tensor::stack(&rows.collect::<Vec<_>>(), 0);
                Sampled { shape: rows.size(), samples: samples.clone() }.error(&rows)
            }
        };
        totals.max(samples)
    }
}

impl Case {
    /// The head's outputs (B, 64, A) and (B, C, A) by the formula.
    fn outputs(&self, name: &str) -> (Tensor, Tensor) {
        let anchors: Vec<i64> =
            [8, 16, 32].iter().map(|stride| (self.height / stride) * (self.width / stride)).collect();
        let total: i64 = anchors.iter().sum();
        let peaks = Tensor::zeros([64, total], (Kind::Double, Device::Cpu));
        let mut first = 0;
        for (count, bin) in anchors.iter().zip(self.boxes.bins) {
            for side in 0..4 {
                let _ = peaks.narrow(0, side * 16 + bin, 1).narrow(1, first, *count).fill_(self.boxes.peak);
            }
            first += count;
        }
        let u = |part: &str, rows| golden::unit_tensor(&format!("{name}.{part}"), &[self.batch, rows, total]);
        let boxes = (u("boxes", 64) * 2.0 - 1.0) * self.boxes.amp + peaks;
        (boxes, (u("scores", self.nc) * 2.0 - 1.0) * self.scores.amp + self.scores.shift)
    }

    fn objects(&self, kind: Kind) -> Objects {
        let mut rows = vec![Vec::new(); self.batch as usize];
        for target in &self.targets {
            rows[target[0] as usize].push(*target);
        }
        let most = rows.iter().map(Vec::len).max().unwrap_or(0);
        let (mut classes, mut boxes, mut valid) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            for i in 0..most {
                let [_, class, cx, cy, w, h] = row.get(i).copied().unwrap_or_default();
                classes.push(class as i64);
                let (sx, sy) = (self.width as f64, self.height as f64);
                boxes.extend([
                    (cx * sx - w * sx / 2.0),
                    (cy * sy - h * sy / 2.0),
                    (cx * sx + w * sx / 2.0),
                    (cy * sy + h * sy / 2.0),
                ]);
                valid.push(i < row.len());
            }
        }
        let shape = [self.batch, most as i64];
        Objects {
            classes: Tensor::from_slice(&classes).reshape(shape),
            boxes: Tensor::from_slice(&boxes).reshape([self.batch, most as i64, 4]).to_kind(kind),
            valid: Tensor::from_slice(&valid).reshape(shape),
        }
    }

    /// The worst relative error of items, total and gradients.
    fn error(&self, name: &str, options: &str, kind: Kind) -> f64 {
        let registry = Registry::built_in();
        let detection = registry.loss("detection", options).unwrap();
        let gains = [("box", 7.5), ("cls", 0.5), ("dfl", 1.5)].map(|(name, gain)| (name.to_owned(), gain));
        let mut chain = LossChain::new(
            vec![("detection".into(), detection)],
            gains.into_iter().collect(),
            LossParameters::new(Kind::Double, Device::Cpu, true),
        );
        let (boxes, scores) = self.outputs(name);
        let leaf = |x: &Tensor| x.to_kind(kind).set_requires_grad(true);
        let (boxes, scores) = (leaf(&boxes), leaf(&scores));
        let raw = RawPredictions { distribution: boxes.transpose(1, 2), scores: scores.transpose(1, 2) };
        let anchors = Anchors::new(self.height, self.width, kind, Device::Cpu);
        let at = LossPoint { size: (self.height, self.width), ..LossPoint::default() };
        let values = chain.evaluate(&raw, &anchors, &self.objects(kind), at).unwrap();
        values.total.backward();
        let relative = |got: f64, wanted: f64| (got - wanted).abs() / wanted.abs().max(1.0);
        let mut worst = relative(values.total.double_value(&[]), self.total);
        for (term, value) in &values.terms {
            worst = worst.max(relative(value.double_value(&[]), self.items[term]));
        }
        let gradient = |x: &Tensor| if x.grad().defined() { x.grad() } else { x.zeros_like() };
        worst = worst.max(self.grad_boxes.error(&gradient(&boxes), self));
        worst.max(self.grad_scores.error(&gradient(&scores), self))
    }
}

fn check(kind: Kind, tolerance: f64) {
    let golden: Golden = golden::read("loss.json");
    assert!(golden.cases.len() >= 8 && golden.floor16.len() >= 3);
    let cases = golden.cases.iter().map(|(name, case)| (name, case, "{}"));
    let floored = golden.floor16.iter().map(|(name, case)| (name, case, r#"{"min_side":16}"#));
    for (name, case, options) in cases.chain(floored) {
        let error = case.error(name, options, kind);
        println!("{name} {options} ({} foreground anchors): {error:.1e}", case.foreground_count);
        assert!(error < tolerance, "{name} {options}: {error:e}");
    }
}

#[test]
fn loss_and_gradients_equal_the_reference_in_float64() {
    check(Kind::Double, 1e-6);
}

#[test]
fn loss_and_gradients_equal_the_reference_in_float32() {
    check(Kind::Float, 1e-4);
}
