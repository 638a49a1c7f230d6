//! Recurrent matrix and bias of a network whose readout is fed back ([`Feedback`](crate::Feedback)).

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::CtrnnModule;
use crate::parameters::host_tensor;

impl<B: Backend> CtrnnModule<B> {
    /// Returns `W_fb [N,O]`, if the readout is fed back.
    pub fn feedback(&self) -> Option<Tensor<B, 2>> {
        let weights = self.feedback_weights.as_ref()?;
        Some(host_tensor(weights.clone(), &self.device()))
    }

    /// Returns the recurrent matrix and the bias of the closed loop, given those without feedback and the weights and the bias of the
    /// readout.
    pub(crate) fn closed_loop(
        &self,
        w_rc: Tensor<B, 2>,
        bias: Tensor<B, 1>,
        w_out: &Tensor<B, 2>,
        bias_out: &Tensor<B, 1>,
    ) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let Some(feedback) = self.feedback() else {
            return (w_rc, bias);
        };
        let n = self.config().n_units;
        let constant = feedback.clone().matmul(bias_out.clone().unsqueeze_dim(1));
        let constant = constant.reshape([n]);
        (w_rc + feedback.matmul(w_out.clone()), bias + constant)
    }
}
