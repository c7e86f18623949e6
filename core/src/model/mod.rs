//! YOLOv12: one description of the network ([`Yolo12`]) against the [`Interpreter`] trait, and its interpreters.

mod blocks;
mod head;
mod interpreter;
mod network;
mod pass;
mod survey;
mod yolo12;

pub use head::{Anchors, BINS, Detect, RawPredictions, STRIDES};
pub use interpreter::{Attention, ChannelScale, Conv1x1, ConvBnAct, Interpreter, WeightInit};
pub use network::{Keep, Network, Training};
pub use survey::{Role, StageSummary, Start, Survey, TensorSpec};
pub use yolo12::{MODELS, Scale, Yolo12};
