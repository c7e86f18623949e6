//! The network is described once, against this trait; interpreters give the description a meaning: training on
//! libtorch ([`Network`](super::Network)), counting shapes and operations ([`Survey`](super::Survey)).

use anyhow::Result;

/// A convolution without bias, batch normalisation, and SiLU where `act` is set. Tensors: `{name}.conv.weight`,
/// `{name}.bn.{weight,bias,running_mean,running_var,num_batches_tracked}`.
#[derive(Clone, Debug)]
pub struct ConvBnAct {
    /// Path of its tensors.
    pub name: String,
    /// Channels in.
    pub c_in: i64,
    /// Channels out.
    pub c_out: i64,
    /// Side of the kernel; padding is half of it.
    pub kernel: i64,
    /// Stride.
    pub stride: i64,
    /// Groups; `c_in` for a depthwise convolution.
    pub groups: i64,
    /// SiLU after the normalisation.
    pub act: bool,
    /// How its weight starts.
    pub init: WeightInit,
}

/// How a convolution's weight starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightInit {
    /// U(±1/sqrt(fan_in)), torch's default for convolutions.
    Uniform,
    /// N(0, 0.02), the reference's choice inside attention blocks.
    Normal,
}

impl ConvBnAct {
    /// `kernel` x `kernel`, stride 1, SiLU.
    #[must_use]
    pub fn new(name: impl Into<String>, c_in: i64, c_out: i64, kernel: i64) -> Self {
        let init = WeightInit::Uniform;
        Self { name: name.into(), c_in, c_out, kernel, stride: 1, groups: 1, act: true, init }
    }

    /// With another stride.
    #[must_use]
    pub fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    /// With groups.
    #[must_use]
    pub fn groups(self, groups: i64) -> Self {
        Self { groups, ..self }
    }

    /// Without SiLU.
    #[must_use]
    pub fn linear(self) -> Self {
        Self { act: false, ..self }
    }

    /// With N(0, 0.02) weights.
    #[must_use]
    pub fn normal_init(self) -> Self {
        Self { init: WeightInit::Normal, ..self }
    }
}

/// A 1x1 convolution with bias: `{name}.weight`, `{name}.bias`.
#[derive(Clone, Debug)]
pub struct Conv1x1 {
    /// Path of its tensors.
    pub name: String,
    /// Channels in.
    pub c_in: i64,
    /// Channels out.
    pub c_out: i64,
    /// What every bias starts with.
    pub bias: f64,
}

/// Multi-head self-attention within `area` horizontal strips of the map.
#[derive(Clone, Debug)]
pub struct Attention {
    /// Channels of the output; the projection that comes in has three times as many, `[q k v]` for each head.
    pub channels: i64,
    /// Number of heads; `channels / heads` is 32 everywhere.
    pub heads: i64,
    /// Strips of equal token count, in raster order.
    pub area: i64,
}

/// A learned factor per channel: the tensor `name`.
#[derive(Clone, Debug)]
pub struct ChannelScale {
    /// Path of its tensor.
    pub name: String,
    /// Number of channels.
    pub channels: i64,
    /// What every factor starts with.
    pub start: f64,
}

/// A part of a network with one input, that may be run at a later time.
pub type Block<I> = Box<dyn Fn(&mut I, &<I as Interpreter>::Value) -> Result<<I as Interpreter>::Value>>;

/// What the description of a network may ask for. Values are maps (B, C, H, W) unless said otherwise.
pub trait Interpreter: Sized + 'static {
    /// A map while the network runs: a tensor, a shape, a node of a graph.
    type Value: Clone;

    /// One stage of the network (`model.4`), for reports by name.
    ///
    /// # Errors
    /// Those of `stage`.
    fn stage(
        &mut self,
        name: &str,
        inputs: &[Self::Value],
        stage: &dyn Fn(&mut Self, &[Self::Value]) -> Result<Self::Value>,
    ) -> Result<Self::Value> {
        let _ = name;
        stage(self, inputs)
    }

    /// A unit of recomputation: its maps need not be kept, since the block can be run on its input again. Each parameter
    /// is in one region at most.
    ///
    /// # Errors
    /// Those of `block`.
    fn region(&mut self, input: &Self::Value, block: Block<Self>) -> Result<Self::Value> {
        block(self, input)
    }

    /// Convolution, normalisation, activation.
    ///
    /// # Errors
    /// If the map does not have `c_in` channels.
    fn conv_bn_act(&mut self, conv: &ConvBnAct, x: &Self::Value) -> Result<Self::Value>;

    /// Plain 1x1 convolution.
    ///
    /// # Errors
    /// If the map does not have `c_in` channels.
    fn conv1x1(&mut self, conv: &Conv1x1, x: &Self::Value) -> Result<Self::Value>;

    /// Attention over a `[q k v]` projection; returns the attended map and the values as a map.
    ///
    /// # Errors
    /// If height times width is not a multiple of `area`.
    fn attention(&mut self, attention: &Attention, qkv: &Self::Value) -> Result<(Self::Value, Self::Value)>;

    /// Element-wise sum.
    ///
    /// # Errors
    /// If the shapes differ.
    fn add(&mut self, a: &Self::Value, b: &Self::Value) -> Result<Self::Value>;

    /// Each channel times its learned factor.
    ///
    /// # Errors
    /// If the number of channels differs.
    fn scale(&mut self, scale: &ChannelScale, x: &Self::Value) -> Result<Self::Value>;

    /// Joined along channels.
    ///
    /// # Errors
    /// If heights or widths differ.
    fn concat(&mut self, maps: &[Self::Value]) -> Result<Self::Value>;

    /// Cut into `parts` equal ranges of channels.
    ///
    /// # Errors
    /// If the channels do not divide.
    fn split(&mut self, x: &Self::Value, parts: i64) -> Result<Vec<Self::Value>>;

    /// Twice the height and width, nearest neighbour.
    ///
    /// # Errors
    /// Those of the backend.
    fn upsample(&mut self, x: &Self::Value) -> Result<Self::Value>;

    /// Maps of several levels as one (B, A, C): levels in order, anchors in raster order.
    ///
    /// # Errors
    /// If the channels differ.
    fn flatten(&mut self, levels: &[Self::Value]) -> Result<Self::Value>;
}
