//! The detection head: per level a box branch (16 distance bins a side) and a class branch; anchors and decoding.

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use super::interpreter::{Conv1x1, ConvBnAct, Interpreter};

/// Distance bins of each box side.
pub const BINS: i64 = 16;
/// Strides of the levels P3, P4, P5 in pixels.
pub const STRIDES: [i64; 3] = [8, 16, 32];

/// The head as a description.
#[derive(Clone, Debug)]
pub struct Detect {
    /// What the names of the class branch's tensors begin with.
    class_branch: String,
    levels: Vec<Level>,
}

#[derive(Clone, Debug)]
struct Level {
    boxes: ([ConvBnAct; 2], Conv1x1),
    classes: ([ConvBnAct; 4], Conv1x1),
}

/// What the head predicts, before decoding.
#[derive(Debug)]
pub struct RawPredictions<V> {
    /// Logits of the distance bins (B, A, 4 * 16), side-major: left, top, right, bottom.
    pub distribution: V,
    /// Class logits (B, A, C).
    pub scores: V,
}

impl Detect {
    /// For maps of `channels` at P3, P4, P5.
    #[must_use]
    pub fn new(name: &str, channels: [i64; 3], num_classes: i64) -> Self {
        let box_width = (channels[0] / 4).max(4 * BINS);
        let class_width = channels[0].max(num_classes.min(100));
        let level = |(i, c): (usize, i64)| {
            let (b, s) = (format!("{name}.cv2.{i}"), format!("{name}.cv3.{i}"));
            // Scores start as if 5 objects lay in an image of 640 px, of any class and cell alike: a rare foreground must
            // not drown in the background at first (the prior of Lin et al. 2017, "Focal Loss").
            let prior = (5.0 / num_classes as f64 / (640.0 / STRIDES[i] as f64).powi(2)).ln();
            Level {
                boxes: (
                    [
                        ConvBnAct::new(format!("{b}.0"), c, box_width, 3),
                        ConvBnAct::new(format!("{b}.1"), box_width, box_width, 3),
                    ],
                    Conv1x1 { name: format!("{b}.2"), c_in: box_width, c_out: 4 * BINS, bias: 1.0 },
                ),
                classes: (
                    [
                        ConvBnAct::new(format!("{s}.0.0"), c, c, 3).groups(c),
                        ConvBnAct::new(format!("{s}.0.1"), c, class_width, 1),
                        ConvBnAct::new(format!("{s}.1.0"), class_width, class_width, 3).groups(class_width),
                        ConvBnAct::new(format!("{s}.1.1"), class_width, class_width, 1),
                    ],
                    Conv1x1 { name: format!("{s}.2"), c_in: class_width, c_out: num_classes, bias: prior },
                ),
            }
        };
        Self { class_branch: format!("{name}.cv3."), levels: channels.into_iter().enumerate().map(level).collect() }
    }

    /// Whether the tensor of that name belongs to the class branch.
    #[must_use]
    pub fn is_class_branch(&self, tensor: &str) -> bool {
        tensor.starts_with(&self.class_branch)
    }

    /// From the maps of P3, P4, P5.
    ///
    /// # Errors
    /// Those of the interpreter.
    pub fn forward<I: Interpreter>(&self, net: &mut I, maps: &[I::Value]) -> Result<RawPredictions<I::Value>> {
        let branch = |net: &mut I, convs: &[ConvBnAct], last: &Conv1x1, x: &I::Value| {
            let mut y = x.clone();
            for conv in convs {
                y = net.conv_bn_act(conv, &y)?;
            }
            net.conv1x1(last, &y)
        };
        let (mut boxes, mut classes) = (Vec::new(), Vec::new());
        for (level, x) in self.levels.iter().zip(maps) {
            boxes.push(branch(net, &level.boxes.0, &level.boxes.1, x)?);
            classes.push(branch(net, &level.classes.0, &level.classes.1, x)?);
        }
        Ok(RawPredictions { distribution: net.flatten(&boxes)?, scores: net.flatten(&classes)? })
    }
}

/// Where the anchors of all levels lie.
#[derive(Debug)]
pub struct Anchors {
    /// Centres x y in grid units, (A, 2).
    pub centres: Tensor,
    /// Stride of each in pixels, (A, 1).
    pub strides: Tensor,
}

impl Anchors {
    /// For an input of `height` x `width` pixels: levels in order, raster order inside.
    #[must_use]
    pub fn new(height: i64, width: i64, kind: Kind, device: Device) -> Self {
        let (mut centres, mut strides) = (Vec::new(), Vec::new());
        for stride in STRIDES {
            for y in 0..height / stride {
                for x in 0..width / stride {
                    centres.extend([x as f64 + 0.5, y as f64 + 0.5]);
                    strides.push(stride as f64);
                }
            }
        }
        let tensor =
            |data: &[f64], columns| Tensor::from_slice(data).reshape([-1, columns]).to_kind(kind).to_device(device);
        Self { centres: tensor(&centres, 2), strides: tensor(&strides, 1) }
    }

    /// Boxes x1 y1 x2 y2 in grid units, (B, A, 4), from bin logits (B, A, 4 * 16): each side's distance is the
    /// expectation over its bins (Li et al. 2020, "Generalized Focal Loss").
    ///
    /// # Errors
    /// If the number of anchors differs.
    pub fn decode(&self, distribution: &Tensor) -> Result<Tensor> {
        let (batch, anchors, _) = distribution.size3()?;
        let bins = Tensor::f_arange(BINS, (distribution.kind(), distribution.device()))?;
        let distances =
            distribution.f_view([batch, anchors, 4, BINS])?.f_softmax(-1, distribution.kind())?.f_matmul(&bins)?;
        let sides = distances.f_chunk(2, -1)?;
        let (top_left, bottom_right) = (self.centres.f_sub(&sides[0])?, self.centres.f_add(&sides[1])?);
        Ok(Tensor::f_cat(&[top_left, bottom_right], -1)?)
    }
}
