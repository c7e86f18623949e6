//! Loss functions. `target` has the size of `self` unless said otherwise; with [`Reduction::None`] results have it too.

use anyhow::Result;

use super::{Arg, Reduction, Tensor, methods::methods};

methods! {
    /// Binary cross entropy of logits: `-(pos_weight * target * log(sigmoid(self)) + (1 - target) * log(1 -
    /// sigmoid(self)))`, times `weight`; both weights broadcast.
    fn binary_cross_entropy_with_logits(
        &self, target: &Self, weight: Option<&Self>, pos_weight: Option<&Self>, reduction: Reduction
    ) -> Self = "aten::binary_cross_entropy_with_logits"(self, target, weight, pos_weight, reduction);
    /// Binary cross entropy of probabilities, times `weight`; logarithms are at least -100.
    fn binary_cross_entropy(&self, target: &Self, weight: Option<&Self>, reduction: Reduction) -> Self
        = "aten::binary_cross_entropy"(self, target, weight, reduction);
    /// Cross entropy of logits `[batch, classes, ...]` (or `[classes]`). `target` holds classes, int64 `[batch, ...]`, of
    /// which those equal to `ignore_index` (PyTorch's default is -100) do not count; or probabilities in the size of
    /// `self`. `weight` is `[classes]`; `label_smoothing` 0..=1 is the share spread over all classes.
    fn cross_entropy(
        &self, target: &Self, weight: Option<&Self>, reduction: Reduction, ignore_index: i64, label_smoothing: f64
    ) -> Self = "aten::cross_entropy_loss"(self, target, weight, reduction, ignore_index, label_smoothing);
    /// Negative log likelihood: as [`cross_entropy`](Self::cross_entropy) with classes, of logarithms of probabilities.
    fn nll_loss(&self, target: &Self, weight: Option<&Self>, reduction: Reduction, ignore_index: i64) -> Self
        = "aten::nll_loss_nd"(self, target, weight, reduction, ignore_index);
    /// `(self - target)^2`.
    fn mse_loss(&self, target: &Self, reduction: Reduction) -> Self = "aten::mse_loss"(self, target, reduction);
    /// `|self - target|`.
    fn l1_loss(&self, target: &Self, reduction: Reduction) -> Self = "aten::l1_loss"(self, target, reduction);
    /// `d^2 / (2 beta)` below `beta`, else `d - beta / 2`, where `d = |self - target|`.
    fn smooth_l1_loss(&self, target: &Self, reduction: Reduction, beta: f64) -> Self
        = "aten::smooth_l1_loss"(self, target, reduction, beta);
    /// `d^2 / 2` up to `delta`, else `delta * (d - delta / 2)`, where `d = |self - target|`.
    fn huber_loss(&self, target: &Self, reduction: Reduction, delta: f64) -> Self
        = "aten::huber_loss"(self, target, reduction, delta);
    /// `target * (log(target) - self)`: `self` holds logarithms of probabilities, `target` probabilities or, with
    /// `log_target`, their logarithms.
    fn kl_div(&self, target: &Self, reduction: Reduction, log_target: bool) -> Self
        = "aten::kl_div"(self, target, reduction, log_target);
}
