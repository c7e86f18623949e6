//! The building blocks of YOLOv12: Conv, Bottleneck, C3k, C3k2, A2C2f and its attention block, as descriptions.
//! Names of tensors are the reference's. After Tian, Ye, Doermann 2025, "YOLOv12: Attention-Centric Real-Time Object
//! Detectors".

use anyhow::Result;

use super::interpreter::{Attention, ChannelScale, ConvBnAct, Interpreter};

/// Two 3x3 convolutions with a residual.
#[derive(Clone, Debug)]
pub struct Bottleneck {
    cv1: ConvBnAct,
    cv2: ConvBnAct,
}

impl Bottleneck {
    /// `expansion` is the hidden share of the channels.
    #[must_use]
    pub fn new(name: &str, channels: i64, expansion: f64) -> Self {
        let hidden = (channels as f64 * expansion) as i64;
        Self {
            cv1: ConvBnAct::new(format!("{name}.cv1"), channels, hidden, 3),
            cv2: ConvBnAct::new(format!("{name}.cv2"), hidden, channels, 3),
        }
    }

    fn forward<I: Interpreter>(&self, net: &mut I, x: &I::Value) -> Result<I::Value> {
        let y = net.conv_bn_act(&self.cv1, x)?;
        let y = net.conv_bn_act(&self.cv2, &y)?;
        net.add(x, &y)
    }
}

/// A cross-stage-partial block of two bottlenecks.
#[derive(Clone, Debug)]
pub struct C3k {
    cv1: ConvBnAct,
    cv2: ConvBnAct,
    cv3: ConvBnAct,
    bottlenecks: Vec<Bottleneck>,
}

impl C3k {
    /// As many channels out as in.
    #[must_use]
    pub fn new(name: &str, channels: i64) -> Self {
        let hidden = channels / 2;
        Self {
            cv1: ConvBnAct::new(format!("{name}.cv1"), channels, hidden, 1),
            cv2: ConvBnAct::new(format!("{name}.cv2"), channels, hidden, 1),
            cv3: ConvBnAct::new(format!("{name}.cv3"), 2 * hidden, channels, 1),
            bottlenecks: (0..2).map(|i| Bottleneck::new(&format!("{name}.m.{i}"), hidden, 1.0)).collect(),
        }
    }

    fn forward<I: Interpreter>(&self, net: &mut I, x: &I::Value) -> Result<I::Value> {
        let mut y = net.conv_bn_act(&self.cv1, x)?;
        for bottleneck in &self.bottlenecks {
            y = bottleneck.forward(net, &y)?;
        }
        let shortcut = net.conv_bn_act(&self.cv2, x)?;
        let joined = net.concat(&[y, shortcut])?;
        net.conv_bn_act(&self.cv3, &joined)
    }
}

/// Half of the channels go through inner blocks, each of whose outputs is kept for the last convolution.
#[derive(Clone, Debug)]
pub struct C3k2 {
    cv1: ConvBnAct,
    cv2: ConvBnAct,
    inner: Vec<C3k2Inner>,
}

#[derive(Clone, Debug)]
enum C3k2Inner {
    C3k(C3k),
    Bottleneck(Bottleneck),
}

impl C3k2 {
    /// `repeats` inner blocks of `expansion * c_out` channels; C3k ones where `c3k` is set, else bottlenecks.
    #[must_use]
    pub fn new(name: &str, c_in: i64, c_out: i64, repeats: i64, c3k: bool, expansion: f64) -> Self {
        let hidden = (c_out as f64 * expansion) as i64;
        let inner = |i| {
            let name = format!("{name}.m.{i}");
            if c3k {
                C3k2Inner::C3k(C3k::new(&name, hidden))
            } else {
                C3k2Inner::Bottleneck(Bottleneck::new(&name, hidden, 0.5))
            }
        };
        Self {
            cv1: ConvBnAct::new(format!("{name}.cv1"), c_in, 2 * hidden, 1),
            cv2: ConvBnAct::new(format!("{name}.cv2"), (2 + repeats) * hidden, c_out, 1),
            inner: (0..repeats).map(inner).collect(),
        }
    }

    /// (B, c_in, H, W) to (B, c_out, H, W).
    ///
    /// # Errors
    /// Those of the interpreter.
    pub fn forward<I: Interpreter>(&self, net: &mut I, x: &I::Value) -> Result<I::Value> {
        let projected = net.conv_bn_act(&self.cv1, x)?;
        let mut maps = net.split(&projected, 2)?;
        for block in &self.inner {
            let latest = maps.last().cloned().expect("split returns two maps");
            maps.push(match block {
                C3k2Inner::C3k(c3k) => c3k.forward(net, &latest)?,
                C3k2Inner::Bottleneck(bottleneck) => bottleneck.forward(net, &latest)?,
            });
        }
        let joined = net.concat(&maps)?;
        net.conv_bn_act(&self.cv2, &joined)
    }
}

/// Area attention and a two-layer perceptron, each with a residual; no normalisation besides the convolutions' own.
#[derive(Clone, Debug)]
pub struct AttentionBlock {
    qkv: ConvBnAct,
    attention: Attention,
    position: ConvBnAct,
    project: ConvBnAct,
    mlp: [ConvBnAct; 2],
}

impl AttentionBlock {
    /// Heads of 32 channels; the perceptron's hidden layer has `mlp_ratio * channels`.
    #[must_use]
    pub fn new(name: &str, channels: i64, area: i64, mlp_ratio: f64) -> Self {
        let attn = format!("{name}.attn");
        let hidden = (channels as f64 * mlp_ratio) as i64;
        let linear = |part: &str, c_in, c_out, kernel| ConvBnAct::new(part, c_in, c_out, kernel).linear().normal_init();
        Self {
            qkv: linear(&format!("{attn}.qkv"), channels, 3 * channels, 1),
            attention: Attention { channels, heads: channels / 32, area },
            position: linear(&format!("{attn}.pe"), channels, channels, 7).groups(channels),
            project: linear(&format!("{attn}.proj"), channels, channels, 1),
            mlp: [
                ConvBnAct::new(format!("{name}.mlp.0"), channels, hidden, 1).normal_init(),
                linear(&format!("{name}.mlp.1"), hidden, channels, 1),
            ],
        }
    }

    fn forward<I: Interpreter>(&self, net: &mut I, x: &I::Value) -> Result<I::Value> {
        let qkv = net.conv_bn_act(&self.qkv, x)?;
        let (attended, values) = net.attention(&self.attention, &qkv)?;
        let position = net.conv_bn_act(&self.position, &values)?;
        let attended = net.add(&attended, &position)?;
        let attended = net.conv_bn_act(&self.project, &attended)?;
        let x = net.add(x, &attended)?;
        let hidden = net.conv_bn_act(&self.mlp[0], &x)?;
        let mixed = net.conv_bn_act(&self.mlp[1], &hidden)?;
        net.add(&x, &mixed)
    }
}

/// R-ELAN: like [`C3k2`] with one entry map, inner blocks of two attention blocks or one C3k, and for the large
/// scales a residual whose branch starts at a hundredth.
#[derive(Clone, Debug)]
pub struct A2C2f {
    cv1: ConvBnAct,
    cv2: ConvBnAct,
    inner: Vec<A2C2fInner>,
    gamma: Option<ChannelScale>,
}

#[derive(Clone, Debug)]
enum A2C2fInner {
    Attention([AttentionBlock; 2]),
    C3k(C3k),
}

/// The attention inside an [`A2C2f`].
#[derive(Clone, Copy, Debug)]
pub struct AreaAttention {
    /// Strips per map.
    pub area: i64,
    /// Hidden share of the perceptron.
    pub mlp_ratio: f64,
    /// Whether the block has a scaled residual.
    pub residual: bool,
}

impl A2C2f {
    /// `repeats` inner blocks of half the channels: attention blocks, or C3k where there is no `attention`.
    #[must_use]
    pub fn new(name: &str, c_in: i64, c_out: i64, repeats: i64, attention: Option<AreaAttention>) -> Self {
        let hidden = c_out / 2;
        let inner = |i| {
            let name = format!("{name}.m.{i}");
            match attention {
                None => A2C2fInner::C3k(C3k::new(&name, hidden)),
                Some(a) => A2C2fInner::Attention(
                    [0, 1].map(|j| AttentionBlock::new(&format!("{name}.{j}"), hidden, a.area, a.mlp_ratio)),
                ),
            }
        };
        let gamma = || ChannelScale { name: format!("{name}.gamma"), channels: c_out, start: 0.01 };
        Self {
            cv1: ConvBnAct::new(format!("{name}.cv1"), c_in, hidden, 1),
            cv2: ConvBnAct::new(format!("{name}.cv2"), (1 + repeats) * hidden, c_out, 1),
            inner: (0..repeats).map(inner).collect(),
            gamma: attention.is_some_and(|a| a.residual).then(gamma),
        }
    }

    /// (B, c_in, H, W) to (B, c_out, H, W).
    ///
    /// # Errors
    /// Those of the interpreter.
    pub fn forward<I: Interpreter>(&self, net: &mut I, x: &I::Value) -> Result<I::Value> {
        let mut maps = vec![net.conv_bn_act(&self.cv1, x)?];
        for block in &self.inner {
            let mut latest = maps.last().cloned().expect("there is the entry map");
            match block {
                A2C2fInner::C3k(c3k) => latest = c3k.forward(net, &latest)?,
                A2C2fInner::Attention(pair) => {
                    for attention in pair {
                        latest = attention.forward(net, &latest)?;
                    }
                }
            }
            maps.push(latest);
        }
        let joined = net.concat(&maps)?;
        let y = net.conv_bn_act(&self.cv2, &joined)?;
        match &self.gamma {
            None => Ok(y),
            Some(gamma) => {
                let scaled = net.scale(gamma, &y)?;
                net.add(x, &scaled)
            }
        }
    }
}
