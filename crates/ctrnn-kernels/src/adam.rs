//! What an update of the optimizer needs to know.

/// The numbers of an update of Adam or AdamW.
///
/// ```text
/// g' = g + penalty w
/// m' = beta_1 m + (1 - beta_1) g'     s' = beta_2 s + (1 - beta_2) g'^2
/// w' = keep w - rate m' / (sqrt(s') + eps)
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// What remains of a weight before the update: 1, or less in AdamW.
    pub keep: f32,
    /// What the gradient gets of the weight: 0, or more in Adam with weight decay.
    pub penalty: f32,
    /// What remains of the moments.
    pub betas: [f32; 2],
    /// The learning rate, with the corrections of both moments for how young they are.
    pub rate: f32,
    /// The term that keeps the quotient finite, with the correction of the second moment.
    pub eps: f32,
}
