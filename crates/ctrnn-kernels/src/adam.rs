//! Coefficients of an update of the optimizer Adam.

/// Coefficients of an update of Adam or AdamW.
///
/// ```text
/// g' = g + penalty w
/// m' = beta_1 m + (1 - beta_1) g'     s' = beta_2 s + (1 - beta_2) g'^2
/// w' = keep w - rate m' / (sqrt(s') + eps)
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Factor of the weight before the update: 1, or less with AdamW's weight decay.
    pub keep: f32,
    /// Weight decay (L2): this fraction of the weight is added to its gradient; 0 in AdamW.
    pub penalty: f32,
    /// Decay rates of the two moments.
    pub betas: [f32; 2],
    /// Learning rate with the bias corrections of both moments applied.
    pub rate: f32,
    /// Term that keeps the quotient finite, with the bias correction of the second moment applied.
    pub eps: f32,
}
