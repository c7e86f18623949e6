//! The interpreter that computes nothing: it learns which tensors a network needs, and counts what it would do.

use anyhow::{Result, ensure};

use super::{
    Yolo12,
    head::BINS,
    interpreter::{Attention, ChannelScale, Conv1x1, ConvBnAct, Interpreter, WeightInit},
};

/// One tensor of a network.
#[derive(Clone, Debug)]
pub struct TensorSpec {
    /// The reference's name.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<i64>,
    /// What it is for.
    pub role: Role,
    /// How it starts.
    pub start: Start,
}

/// What a tensor is for; decides its optimizer group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Convolution weights and layer scales: weight decay.
    Weight,
    /// Scales of batch normalisation: no decay.
    Norm,
    /// Everything named bias: no decay.
    Bias,
    /// A parameter that is never trained (the bins' values).
    Constant,
    /// Statistics, not trained.
    Buffer,
}

/// How a tensor starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// All elements equal.
    Fill(f64),
    /// U(±bound).
    Uniform(f64),
    /// N(0, std).
    Normal(f64),
    /// 0, 1, 2, …
    Range,
    /// The integer 0 (`num_batches_tracked`).
    Counter,
}

/// Channels, height and width of a map; (A, C) of flattened levels is height A, width 1.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    channels: i64,
    height: i64,
    width: i64,
}

/// What one stage holds and does.
#[derive(Clone, Debug)]
pub struct StageSummary {
    /// E.g. `model.6`.
    pub name: String,
    /// Trained parameters inside.
    pub parameters: i64,
    /// (channels, height, width) of its output.
    pub output: (i64, i64, i64),
}

/// What a network holds and does, for one image.
#[derive(Debug, Default)]
pub struct Survey {
    /// All tensors, in the order of use.
    pub tensors: Vec<TensorSpec>,
    /// The stages, the head last.
    pub stages: Vec<StageSummary>,
    /// Multiply-adds of convolutions.
    pub conv_macs: i64,
    /// Multiply-adds of attention (QK and AV products), which published figures leave out.
    pub attention_macs: i64,
}

impl Survey {
    /// Runs the description on an image of `height` x `width`.
    ///
    /// # Errors
    /// If the size does not suit the network.
    pub fn of(network: &Yolo12, height: i64, width: i64) -> Result<Self> {
        ensure!(height % 32 == 0 && width % 32 == 0, "the input's sides must be multiples of 32, not {width}x{height}");
        let mut survey = Self::default();
        let out = network.forward(&mut survey, &Shape { channels: 3, height, width })?;
        survey.declare("model.21.dfl.conv.weight", &[1, BINS, 1, 1], Role::Constant, Start::Range);
        let before: i64 = survey.stages.iter().map(|stage| stage.parameters).sum();
        let output = (out.distribution.channels + out.scores.channels, out.scores.height, 1);
        survey.stages.push(StageSummary { name: "model.21".into(), parameters: survey.parameters() - before, output });
        Ok(survey)
    }

    /// Number of parameters as published: all but the statistics, the constant bins' values included.
    #[must_use]
    pub fn parameters(&self) -> i64 {
        let held = self.tensors.iter().filter(|tensor| tensor.role != Role::Buffer);
        held.map(|tensor| tensor.shape.iter().product::<i64>()).sum()
    }

    /// Operations of the convolutions, two per multiply-add, in units of 10^9.
    #[must_use]
    pub fn conv_gflops(&self) -> f64 {
        2.0 * self.conv_macs as f64 / 1e9
    }

    /// Operations of the attention products, two per multiply-add, in units of 10^9.
    #[must_use]
    pub fn attention_gflops(&self) -> f64 {
        2.0 * self.attention_macs as f64 / 1e9
    }

    fn declare(&mut self, name: impl Into<String>, shape: &[i64], role: Role, start: Start) {
        self.tensors.push(TensorSpec { name: name.into(), shape: shape.to_vec(), role, start });
    }
}

impl Interpreter for Survey {
    type Value = Shape;

    fn stage(
        &mut self,
        name: &str,
        inputs: &[Shape],
        stage: &dyn Fn(&mut Self, &[Shape]) -> Result<Shape>,
    ) -> Result<Shape> {
        let before = self.parameters();
        let output = stage(self, inputs)?;
        let shape = (output.channels, output.height, output.width);
        let parameters = self.parameters() - before;
        self.stages.push(StageSummary { name: name.to_owned(), parameters, output: shape });
        Ok(output)
    }

    fn conv_bn_act(&mut self, conv: &ConvBnAct, x: &Shape) -> Result<Shape> {
        ensure!(x.channels == conv.c_in, "{} takes {} channels, not {}", conv.name, conv.c_in, x.channels);
        let ConvBnAct { name, c_out, kernel, .. } = conv;
        let fan_in = conv.c_in / conv.groups * kernel * kernel;
        let start = match conv.init {
            WeightInit::Uniform => Start::Uniform(1.0 / (fan_in as f64).sqrt()),
            WeightInit::Normal => Start::Normal(0.02),
        };
        self.declare(
            format!("{name}.conv.weight"),
            &[*c_out, conv.c_in / conv.groups, *kernel, *kernel],
            Role::Weight,
            start,
        );
        self.declare(format!("{name}.bn.weight"), &[*c_out], Role::Norm, Start::Fill(1.0));
        self.declare(format!("{name}.bn.bias"), &[*c_out], Role::Bias, Start::Fill(0.0));
        self.declare(format!("{name}.bn.running_mean"), &[*c_out], Role::Buffer, Start::Fill(0.0));
        self.declare(format!("{name}.bn.running_var"), &[*c_out], Role::Buffer, Start::Fill(1.0));
        self.declare(format!("{name}.bn.num_batches_tracked"), &[], Role::Buffer, Start::Counter);
        let side = |length: i64| (length + 2 * (kernel / 2) - kernel) / conv.stride + 1;
        let out = Shape { channels: *c_out, height: side(x.height), width: side(x.width) };
        self.conv_macs += c_out * fan_in * out.height * out.width;
        Ok(out)
    }

    fn conv1x1(&mut self, conv: &Conv1x1, x: &Shape) -> Result<Shape> {
        ensure!(x.channels == conv.c_in, "{} takes {} channels, not {}", conv.name, conv.c_in, x.channels);
        let start = Start::Uniform(1.0 / (conv.c_in as f64).sqrt());
        self.declare(format!("{}.weight", conv.name), &[conv.c_out, conv.c_in, 1, 1], Role::Weight, start);
        self.declare(format!("{}.bias", conv.name), &[conv.c_out], Role::Bias, Start::Fill(conv.bias));
        self.conv_macs += conv.c_out * conv.c_in * x.height * x.width;
        Ok(Shape { channels: conv.c_out, ..*x })
    }

    fn attention(&mut self, attention: &Attention, qkv: &Shape) -> Result<(Shape, Shape)> {
        let tokens = qkv.height * qkv.width;
        ensure!(tokens % attention.area == 0, "{tokens} tokens cannot be cut into {} strips", attention.area);
        self.attention_macs += 2 * tokens * (tokens / attention.area) * attention.channels;
        let out = Shape { channels: attention.channels, ..*qkv };
        Ok((out, out))
    }

    fn add(&mut self, a: &Shape, b: &Shape) -> Result<Shape> {
        ensure!(a.channels == b.channels, "cannot add {} and {} channels", a.channels, b.channels);
        Ok(*a)
    }

    fn scale(&mut self, scale: &ChannelScale, x: &Shape) -> Result<Shape> {
        self.declare(scale.name.clone(), &[scale.channels], Role::Weight, Start::Fill(scale.start));
        Ok(*x)
    }

    fn concat(&mut self, maps: &[Shape]) -> Result<Shape> {
        Ok(Shape { channels: maps.iter().map(|map| map.channels).sum(), ..maps[0] })
    }

    fn split(&mut self, x: &Shape, parts: i64) -> Result<Vec<Shape>> {
        Ok(vec![Shape { channels: x.channels / parts, ..*x }; parts as usize])
    }

    fn upsample(&mut self, x: &Shape) -> Result<Shape> {
        Ok(Shape { height: 2 * x.height, width: 2 * x.width, ..*x })
    }

    fn flatten(&mut self, levels: &[Shape]) -> Result<Shape> {
        let anchors = levels.iter().map(|level| level.height * level.width).sum();
        Ok(Shape { channels: levels[0].channels, height: anchors, width: 1 })
    }
}
