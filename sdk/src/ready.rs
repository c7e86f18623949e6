//! What a component learns about the run before its first call.

use serde::{Deserialize, Serialize};

/// The run that a component takes part in. Crosses the boundary as JSON; fields that a host does not know stay at
/// their defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ReadyContext {
    /// The model's name, e.g. `yolo12n`.
    pub model: String,
    /// The class names, in order.
    pub class_names: Vec<String>,
    /// The side of the square network input, in pixels.
    pub imgsz: u32,
    /// Images in a batch.
    pub batch: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// Training images.
    pub num_images: usize,
    /// The run's seed.
    pub seed: u64,
}
