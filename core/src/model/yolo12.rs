//! YOLOv12 in five scales: 21 stages and the head, as a description (the layout that ultralytics calls `yolo12`).

use std::{str::FromStr, sync::Arc};

use anyhow::{Result, bail};

use super::{
    blocks::{A2C2f, AreaAttention, C3k2},
    head::{Detect, RawPredictions},
    interpreter::{ConvBnAct, Interpreter},
};

/// The stages that the head reads: P3, P4, P5.
const PYRAMID: [usize; 3] = [14, 17, 20];

/// The names of the models that can be built.
pub const MODELS: [&str; 5] = ["yolo12n", "yolo12s", "yolo12m", "yolo12l", "yolo12x"];

/// Size of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Nano.
    N,
    /// Small.
    S,
    /// Medium.
    M,
    /// Large.
    L,
    /// Extra large.
    X,
}

impl FromStr for Scale {
    type Err = anyhow::Error;

    /// Reads `yolo12n` (also `yolov12n` and `yolo12n.yaml`, as people type it).
    fn from_str(name: &str) -> Result<Self> {
        if let Some(stem) = name.strip_suffix(".pt") {
            bail!(
                "`{name}`: .pt files are not read yet; `{stem}` starts from fresh weights, weights=FILE.safetensors from trained ones"
            );
        }
        let stem = name.strip_suffix(".yaml").unwrap_or(name);
        Ok(match stem.strip_prefix("yolov12").or_else(|| stem.strip_prefix("yolo12")) {
            Some("n") => Self::N,
            Some("s") => Self::S,
            Some("m") => Self::M,
            Some("l") => Self::L,
            Some("x") => Self::X,
            _ => bail!("unknown model `{name}`; known are {}", MODELS.join(", ")),
        })
    }
}

/// What a scale changes: depth, width, the most channels before the width factor.
struct Factors {
    depth: f64,
    width: f64,
    max_channels: i64,
    large: bool,
}

impl Scale {
    fn factors(self) -> Factors {
        let (depth, width, max_channels, large) = match self {
            Self::N => (0.5, 0.25, 1024, false),
            Self::S => (0.5, 0.5, 1024, false),
            Self::M => (0.5, 1.0, 512, false),
            Self::L => (1.0, 1.0, 512, true),
            Self::X => (1.0, 1.5, 512, true),
        };
        Factors { depth, width, max_channels, large }
    }
}

/// One stage: what it does and which earlier stages it reads (its predecessor unless said otherwise).
#[derive(Clone, Debug)]
struct Stage {
    name: String,
    from: Vec<usize>,
    layer: Layer,
}

#[derive(Clone, Debug)]
enum Layer {
    Conv(ConvBnAct),
    C3k2(Arc<C3k2>),
    A2C2f(Arc<A2C2f>),
    Upsample,
    Concat,
}

impl Layer {
    fn forward<I: Interpreter>(&self, net: &mut I, inputs: &[I::Value]) -> Result<I::Value> {
        match self {
            Self::Conv(conv) => net.conv_bn_act(conv, &inputs[0]),
            Self::C3k2(block) => {
                let block = Arc::clone(block);
                net.region(&inputs[0], Box::new(move |net, x| block.forward(net, x)))
            }
            Self::A2C2f(block) => {
                let block = Arc::clone(block);
                net.region(&inputs[0], Box::new(move |net, x| block.forward(net, x)))
            }
            Self::Upsample => net.upsample(&inputs[0]),
            Self::Concat => net.concat(inputs),
        }
    }
}

/// A YOLOv12 detector as a description: no tensors, only names and shapes.
#[derive(Clone, Debug)]
pub struct Yolo12 {
    /// Its name, e.g. `yolo12n`.
    pub name: String,
    /// Number of classes.
    pub num_classes: i64,
    stages: Vec<Stage>,
    head: Detect,
}

impl Yolo12 {
    /// The detector of a scale for `num_classes` classes.
    #[must_use]
    pub fn new(scale: Scale, num_classes: i64) -> Self {
        let f = scale.factors();
        let ch = |c: i64| ((c.min(f.max_channels) as f64 * f.width / 8.0).ceil() * 8.0) as i64;
        let repeats = |n: i64| ((n as f64 * f.depth).round() as i64).max(1);
        // From scale m on, C3k2 uses C3k inside wherever it stands; n and s do so in the last stage only.
        let c3k = !matches!(scale, Scale::N | Scale::S);
        let area = |area| {
            let (mlp_ratio, residual) = if f.large { (1.2, true) } else { (2.0, false) };
            Some(AreaAttention { area, mlp_ratio, residual })
        };
        let (c64, c128, c256, c512, c1024) = (ch(64), ch(128), ch(256), ch(512), ch(1024));

        let down = |i: usize, c_in, c_out| Layer::Conv(ConvBnAct::new(format!("model.{i}"), c_in, c_out, 3).stride(2));
        let c3k2 = |i: usize, c_in, c_out, c3k, e| {
            Layer::C3k2(C3k2::new(&format!("model.{i}"), c_in, c_out, repeats(2), c3k, e).into())
        };
        let a2c2f = |i: usize, c_in, c_out, n, attention| {
            Layer::A2C2f(A2C2f::new(&format!("model.{i}"), c_in, c_out, repeats(n), attention).into())
        };
        let layers: [(Layer, &[usize]); 21] = [
            (down(0, 3, c64), &[]),
            (down(1, c64, c128), &[0]),
            (c3k2(2, c128, c256, c3k, 0.25), &[1]),
            (down(3, c256, c256), &[2]),
            (c3k2(4, c256, c512, c3k, 0.25), &[3]),
            (down(5, c512, c512), &[4]),
            (a2c2f(6, c512, c512, 4, area(4)), &[5]),
            (down(7, c512, c1024), &[6]),
            (a2c2f(8, c1024, c1024, 4, area(1)), &[7]),
            (Layer::Upsample, &[8]),
            (Layer::Concat, &[9, 6]),
            (a2c2f(11, c1024 + c512, c512, 2, None), &[10]),
            (Layer::Upsample, &[11]),
            (Layer::Concat, &[12, 4]),
            (a2c2f(14, c512 + c512, c256, 2, None), &[13]),
            (down(15, c256, c256), &[14]),
            (Layer::Concat, &[15, 11]),
            (a2c2f(17, c256 + c512, c512, 2, None), &[16]),
            (down(18, c512, c512), &[17]),
            (Layer::Concat, &[18, 8]),
            (c3k2(20, c512 + c1024, c1024, true, 0.5), &[19]),
        ];
        let stage = |(i, (layer, from)): (usize, (Layer, &[usize]))| Stage {
            name: format!("model.{i}"),
            from: from.to_vec(),
            layer,
        };
        Self {
            name: format!("yolo12{}", format!("{scale:?}").to_lowercase()),
            num_classes,
            stages: layers.into_iter().enumerate().map(stage).collect(),
            head: Detect::new("model.21", [c256, c512, c1024], num_classes),
        }
    }

    /// Whether the tensor of that name belongs to the head's class branch.
    #[must_use]
    pub fn is_class_branch(&self, tensor: &str) -> bool {
        self.head.is_class_branch(tensor)
    }

    /// From images (B, 3, H, W) to raw predictions; H and W are multiples of 32.
    ///
    /// # Errors
    /// Those of the interpreter.
    pub fn forward<I: Interpreter>(&self, net: &mut I, images: &I::Value) -> Result<RawPredictions<I::Value>> {
        let mut outputs: Vec<Option<I::Value>> = Vec::with_capacity(self.stages.len());
        let needed = |outputs: &[Option<I::Value>], i: usize| outputs[i].clone().expect("kept up to its last use");
        for (i, stage) in self.stages.iter().enumerate() {
            let inputs: Vec<I::Value> = match stage.from.as_slice() {
                [] => vec![images.clone()],
                from => from.iter().map(|&i| needed(&outputs, i)).collect(),
            };
            for &used in stage.from.iter().filter(|&&used| self.last_use(used) == i) {
                outputs[used] = None;
            }
            outputs.push(Some(net.stage(&stage.name, &inputs, &|net, inputs| stage.layer.forward(net, inputs))?));
        }
        let pyramid = PYRAMID.map(|i| needed(&outputs, i));
        drop(outputs);
        self.head.forward(net, &pyramid)
    }

    /// The last stage that reads stage `i`; none of them where the head does.
    fn last_use(&self, i: usize) -> usize {
        let last = self.stages.iter().rposition(|stage| stage.from.contains(&i));
        if PYRAMID.contains(&i) { self.stages.len() } else { last.unwrap_or(i) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_people_type_them() {
        for name in ["yolo12s", "yolov12s", "yolo12s.yaml"] {
            assert_eq!(name.parse::<Scale>().unwrap(), Scale::S);
        }
        let error = "yolo12s.pt".parse::<Scale>().unwrap_err().to_string();
        assert!(
            error.starts_with("`yolo12s.pt`: .pt files are not read yet; `yolo12s` starts from fresh weights"),
            "{error}"
        );
        let error = "yolo12".parse::<Scale>().unwrap_err().to_string();
        assert_eq!(error, "unknown model `yolo12`; known are yolo12n, yolo12s, yolo12m, yolo12l, yolo12x");
    }
}
