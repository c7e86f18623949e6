//! Small batches for losses: two images of 64 x 64 pixels, 84 anchors, three classes.

use anyhow::Result;
use tch::{Device, Kind, Tensor};
use trainer_sdk::Rng;

use crate::{
    loss::Objects,
    model::{Anchors, BINS, RawPredictions},
};

const IMAGES: i64 = 2;
const ANCHORS: i64 = 84;
const CLASSES: i64 = 3;

/// What is special about a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Objects in both images.
    Plain,
    /// None in the second.
    OneEmpty,
    /// None at all.
    AllEmpty,
    /// Logits of plus and minus 50.
    Extreme,
}

impl Scene {
    /// For messages, after "on".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Plain => "a batch with objects",
            Self::OneEmpty => "a batch with an image without objects",
            Self::AllEmpty => "a batch without any object",
            Self::Extreme => "logits of plus and minus 50",
        }
    }
}

/// One batch as the loss chain takes it.
pub struct Case {
    pub raw: RawPredictions<Tensor>,
    pub anchors: Anchors,
    pub objects: Objects,
}

impl Case {
    /// A batch whose predictions record gradients.
    pub fn new(kind: Kind, scene: Scene) -> Self {
        let mut rng = Rng::from_key(&[ANCHORS as u64]);
        let mut logits = |size: [i64; 3], amplitude: f64| {
            let value = |_| match scene {
                Scene::Extreme => {
                    if rng.chance(0.5) {
                        50.0
                    } else {
                        -50.0
                    }
                }
                _ => amplitude * rng.normal(),
            };
            let values: Vec<f64> = (0..size.iter().product()).map(value).collect();
            Tensor::from_slice(&values).reshape(size).to_kind(kind).set_requires_grad(true)
        };
        let raw = RawPredictions {
            distribution: logits([IMAGES, ANCHORS, 4 * BINS], 1.0),
            scores: logits([IMAGES, ANCHORS, CLASSES], 2.0),
        };
        let valid = match scene {
            Scene::Plain | Scene::Extreme => [true, true, true, false],
            Scene::OneEmpty => [true, true, false, false],
            Scene::AllEmpty => [false; 4],
        };
        let boxes = [8.0, 8.0, 40.0, 48.0, 20.0, 4.0, 60.0, 30.0, 2.0, 10.0, 34.0, 62.0, 0.0, 0.0, 0.0, 0.0];
        let boxes: Vec<f64> = boxes.iter().enumerate().map(|(i, x)| if valid[i / 4] { *x } else { 0.0 }).collect();
        let objects = Objects {
            classes: Tensor::from_slice(&[0i64, 2, 1, 0]).reshape([IMAGES, 2]),
            boxes: Tensor::from_slice(&boxes).reshape([IMAGES, 2, 4]).to_kind(kind),
            valid: Tensor::from_slice(&valid).reshape([IMAGES, 2]),
        };
        Self { raw, anchors: Anchors::new(64, 64, kind, Device::Cpu), objects }
    }

    /// The same batch, its predictions new leaves without a gradient yet.
    pub fn fresh(&self) -> Self {
        let leaf = |tensor: &Tensor| tensor.detach().copy().set_requires_grad(true);
        self.like(leaf(&self.raw.distribution), leaf(&self.raw.scores))
    }

    /// The same batch with one entry of a prediction moved.
    pub fn moved(&self, of_scores: bool, entry: i64, by: f64) -> Result<Self> {
        let moved = self.fresh();
        let tensor = if of_scores { &moved.raw.scores } else { &moved.raw.distribution };
        let flat = tensor.detach().view([-1]); // shares the leaf's memory
        let _ = flat.get(entry).f_add_scalar_(by)?;
        Ok(moved)
    }

    fn like(&self, distribution: Tensor, scores: Tensor) -> Self {
        let Objects { classes, boxes, valid } = &self.objects;
        let Anchors { centres, strides } = &self.anchors;
        Self {
            raw: RawPredictions { distribution, scores },
            anchors: Anchors { centres: centres.shallow_clone(), strides: strides.shallow_clone() },
            objects: Objects {
                classes: classes.shallow_clone(),
                boxes: boxes.shallow_clone(),
                valid: valid.shallow_clone(),
            },
        }
    }

    /// The gradients of distribution and scores after a backward pass; zeros where none came.
    pub fn gradients(&self) -> [Tensor; 2] {
        let of = |leaf: &Tensor| if leaf.grad().defined() { leaf.grad() } else { leaf.detach().zeros_like() };
        [of(&self.raw.distribution), of(&self.raw.scores)].map(|gradient| gradient.to_kind(Kind::Double))
    }

    /// Numbers of all elements of a tensor, as doubles.
    pub fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
        Ok(Vec::<f64>::try_from(tensor.to_kind(Kind::Double).reshape([-1]))?)
    }
}
