//! The fused sweep on GPU backends: tensors as buffers of the device, and back, without a copy of the trajectory.
//!
//! The kernels do not recompute: `SweepTensors::recompute` changes nothing here.

use burn::tensor::{DType, Shape as TensorShape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, IntElement};
use ctrnn_kernels::gpu::{
    AdamBuffers, Keep, SweepBuffers, TrajectoryBuffers, adam, backward, clipped, forward, norm,
    squared_error, sum_of_squares,
};
use ctrnn_kernels::{Form, NoiseSource, Operands, Shape, SweepResults};
use cubecl::prelude::ComputeClient;
use cubecl::server::Handle;

use super::{
    GradientTensors, NormalTensors, Pullback, RecurrenceBackend, ResultTensors, SweepTensors,
    plain_sweep, primitive, tensor,
};
use crate::fused_ops::assert_errors_fit;
use crate::trajectory::no_outputs;
use crate::{AdamUpdate, FusedOps};

/// The GPU backend: burn's, without its fusion layer, whatever features other crates of a program turn on.
#[cfg(feature = "wgpu")]
pub type Gpu = CubeBackend<burn_wgpu::WgpuRuntime, f32, i32, u32>;

/// The CUDA backend: burn's, without its fusion layer, whatever features other crates of a program turn on.
#[cfg(feature = "cuda")]
pub type Cuda = CubeBackend<cubecl::cuda::CudaRuntime, f32, i32, u8>;

/// A backend of any CubeCL runtime.
type Cube<R, I, BT> = CubeBackend<R, f32, I, BT>;

impl<R: CubeRuntime, I: IntElement, BT: BoolElement> RecurrenceBackend for Cube<R, I, BT> {
    fn sweep(sweep: SweepTensors<Self>) -> ResultTensors<Self> {
        if !sweep.has_gpu_kernels() {
            return plain_sweep(sweep);
        }
        let keep = Keep {
            responses: false,
            potentials: sweep.record.potentials,
        };
        Device::new(&sweep.operands.w_rc).run(&sweep, keep).0
    }

    fn sweep_with_pullback(
        sweep: &SweepTensors<Self>,
        wanted: Operands<bool>,
    ) -> Option<(ResultTensors<Self>, Pullback<Self>)> {
        if !sweep.has_gpu_kernels() {
            return None;
        }
        let device = Device::new(&sweep.operands.w_rc);
        let keep = Keep {
            responses: sweep.form == Form::Rate,
            potentials: sweep.record.potentials || (wanted.decay && sweep.form == Form::Voltage),
        };
        let (results, buffers, trajectory) = device.run(sweep, keep);
        let operands = sweep.operands.clone();
        let pullback = Pullback::new(move |upstream| {
            device.run_back::<I, BT>(&buffers, &trajectory, &operands, wanted, upstream)
        });
        Some((results, pullback))
    }
}

impl<R: CubeRuntime, I: IntElement, BT: BoolElement> FusedOps for Cube<R, I, BT> {
    fn squared_error(
        y: Tensor<Self, 3>,
        target: Tensor<Self, 3>,
        weights: Tensor<Self, 3>,
    ) -> (Tensor<Self, 1>, Tensor<Self, 3>) {
        assert_errors_fit([&y, &target, &weights]);
        let shape = y.dims();
        let n = shape.iter().product();
        if n == 0 {
            return (Tensor::zeros([1], &y.device()), y);
        }
        let width = n / weights.shape().num_elements();
        let tensors = [y, target, weights].map(primitive);
        let device = Device::new(&tensors[0]);
        let buffers = tensors.map(buffer);
        let (sum, gradient) = squared_error(&device.client, buffers.each_ref(), n, width);
        (device.tensor(sum, [1]), device.tensor(gradient, shape))
    }

    fn sum_of_squares(tensors: &[&Tensor<Self, 1>]) -> Tensor<Self, 1> {
        let device = Device::of(tensors[0]);
        device.tensor(sum_of_squares(&device.client, &flat_buffers(tensors)), [1])
    }

    fn norm(tensors: &[&Tensor<Self, 1>]) -> Tensor<Self, 1> {
        let device = Device::of(tensors[0]);
        device.tensor(norm(&device.client, &flat_buffers(tensors)), [1])
    }

    fn clipped(
        tensors: Vec<Tensor<Self, 1>>,
        norm: &Tensor<Self, 1>,
        max: f64,
    ) -> Vec<Tensor<Self, 1>> {
        let device = Device::of(norm);
        let buffers = flat_buffers(&tensors.iter().collect::<Vec<_>>());
        let norm = buffer(primitive(norm.clone()));
        let found = clipped(&device.client, &buffers, &norm, max as f32);
        let pairs = found.into_iter().zip(buffers);
        pairs.map(|(x, (_, n))| device.tensor(x, [n])).collect()
    }

    fn adam(updates: Vec<AdamUpdate<Self>>) -> Vec<[Tensor<Self, 1>; 3]> {
        let Some(first) = updates.first() else {
            return Vec::new();
        };
        let device = Device::of(&first.weights);
        let flat = |x: Tensor<Self, 1>| buffer(primitive(x));
        let parameter = |update: AdamUpdate<Self>| AdamBuffers {
            step: update.step,
            n: update.weights.dims()[0],
            weights: flat(update.weights),
            gradient: flat(update.gradient),
            moments: update.moments.map(flat),
        };
        let parameters: Vec<_> = updates.into_iter().map(parameter).collect();
        let next = adam(&device.client, &parameters);
        let pairs = next.into_iter().zip(&parameters);
        pairs
            .map(|(next, of)| next.map(|handle| device.tensor(handle, [of.n])))
            .collect()
    }
}

/// Returns the buffers of tensors, with their lengths.
fn flat_buffers<R: CubeRuntime, I: IntElement, BT: BoolElement>(
    tensors: &[&Tensor<Cube<R, I, BT>, 1>],
) -> Vec<(Handle, usize)> {
    let flat = |x: &&Tensor<_, 1>| (buffer(primitive((*x).clone())), x.dims()[0]);
    tensors.iter().map(flat).collect()
}

/// Device of tensors, and the client that launches kernels there.
#[derive(Clone)]
struct Device<R: CubeRuntime> {
    client: ComputeClient<R>,
    device: R::Device,
}

impl<R: CubeRuntime> Device<R> {
    fn new(tensor: &CubeTensor<R>) -> Self {
        Self {
            client: tensor.client.clone(),
            device: tensor.device.clone(),
        }
    }

    fn of<I: IntElement, BT: BoolElement, const D: usize>(
        tensor: &Tensor<Cube<R, I, BT>, D>,
    ) -> Self {
        Self::new(&primitive(tensor.clone()))
    }

    fn primitive(&self, handle: Handle, shape: &[usize]) -> CubeTensor<R> {
        CubeTensor::new_contiguous(
            self.client.clone(),
            self.device.clone(),
            TensorShape::from(shape.to_vec()),
            handle,
            DType::F32,
        )
    }

    fn tensor<I: IntElement, BT: BoolElement, const D: usize>(
        &self,
        handle: Handle,
        shape: [usize; D],
    ) -> Tensor<Cube<R, I, BT>, D> {
        tensor(self.primitive(handle, &shape))
    }

    fn zeros(&self, shape: &[usize]) -> CubeTensor<R> {
        let zeros: Tensor<Cube<R, i32, u32>, 1> =
            Tensor::zeros([shape.iter().product::<usize>()], &self.device);
        let zeros = primitive(zeros);
        self.primitive(zeros.handle, shape)
    }

    /// Runs the forward sweep and keeps what its backward pass needs.
    fn run<I: IntElement, BT: BoolElement>(
        &self,
        sweep: &SweepTensors<Cube<R, I, BT>>,
        keep: Keep,
    ) -> (
        ResultTensors<Cube<R, I, BT>>,
        SweepBuffers,
        TrajectoryBuffers,
    ) {
        let buffers = buffers(sweep);
        let found = forward(&self.client, &buffers, keep);
        let shape = &buffers.shape;
        let Shape {
            trials: b,
            steps: t,
            units: n,
            ..
        } = *shape;
        let owned = SweepResults {
            outputs: (shape.outputs > 0).then(|| found.outputs.clone()),
            rates: None,
            potentials: found.potentials.clone().filter(|_| sweep.record.potentials),
            final_state: found.final_state.clone().map(Some),
            ..SweepResults::default()
        };
        let owned = owned
            .zip(SweepResults::shapes(shape))
            .map(|(handle, shape)| handle.map(|handle| self.primitive(handle, &shape)));
        let results = ResultTensors::<Cube<R, I, BT>> {
            rates: sweep.record.rates.then(|| {
                let all = self.tensor::<I, BT, 3>(found.rates.clone(), [t + 1, b, n]);
                primitive(all.slice([1..t + 1, 0..b, 0..n]))
            }),
            outputs: (owned.outputs).or_else(|| {
                Some(primitive(no_outputs::<Cube<R, I, BT>>(
                    [t, b],
                    &self.device,
                )))
            }),
            ..owned
        };
        (results, buffers, found)
    }

    /// Runs the backward sweep.
    fn run_back<I: IntElement, BT: BoolElement>(
        &self,
        sweep: &SweepBuffers,
        trajectory: &TrajectoryBuffers,
        operands: &Operands<CubeTensor<R>>,
        wanted: Operands<bool>,
        upstream: ResultTensors<Cube<R, I, BT>>,
    ) -> GradientTensors<Cube<R, I, BT>> {
        let shape = sweep.shape;
        let n = shape.units;
        // In the voltage form the gradient of gain is computed from those of the weights.
        let gain_from_weights = wanted.gain && sweep.form == Form::Voltage;
        let asked = Operands {
            w_in: wanted.w_in || gain_from_weights,
            w_rc: wanted.w_rc || gain_from_weights,
            left: wanted.left || gain_from_weights,
            noise_scale: wanted.noise_scale && !sweep.eps.is_none(),
            ..wanted
        };
        let upstream = upstream.map(|gradient| gradient.map(buffer));
        let found = backward(&self.client, sweep, trajectory, &upstream, asked);
        let sums = self.tensor::<I, BT, 2>(found.units, [4, n]);
        let of_units = |row: usize| sums.clone().slice([row..row + 1, 0..n]).reshape([n]);
        let bias = of_units(0);
        let matrix =
            |handle: &Handle, columns| self.tensor::<I, BT, 2>(handle.clone(), [n, columns]);
        let gain = |found: &Operands<Option<Handle>>| match sweep.form {
            Form::Rate => of_units(2),
            Form::Voltage => {
                let matrices = [
                    (&operands.w_in, &found.w_in, shape.inputs),
                    (&operands.w_rc, &found.w_rc, n),
                    (&operands.left, &found.left, shape.rank),
                ];
                let matrices = matrices.into_iter().filter_map(|(w, g, columns)| {
                    Some([tensor(w.clone()), matrix(g.as_ref()?, columns)])
                });
                gain_gradient(operands, matrices, bias.clone())
            }
        };
        let gain = wanted.gain.then(|| primitive(gain(&found.operands)));
        // The kernels take the right factor divided by N.
        let right = (found.operands.right)
            .map(|g| buffer(primitive(matrix(&g, shape.rank) * (1.0 / n as f64))));
        let found = Operands {
            right,
            ..found.operands
        };
        let of_units = Operands {
            bias: wanted.bias.then(|| primitive(bias)),
            decay: wanted.decay.then(|| primitive(of_units(1))),
            gain,
            noise_scale: wanted.noise_scale.then(|| primitive(of_units(3))),
            ..Operands::default()
        };
        // Gradients that no kernel wrote are zero: those of a network without inputs, or of a readout that the loss does not use.
        let whole = found
            .zip(of_units)
            .zip(Operands::shapes(&shape))
            .zip(wanted);
        whole.map(|(((handle, of_units), shape), is_wanted)| {
            let of_kernels = || handle.map(|handle| self.primitive(handle, &shape));
            is_wanted.then(|| {
                let found = of_units.or_else(of_kernels);
                found.unwrap_or_else(|| self.zeros(&shape))
            })
        })
    }
}

/// Returns `(b g_b + sum of W g_W over matrices and their columns) / gain` per unit: in the voltage form gain scales the whole drive.
fn gain_gradient<R: CubeRuntime, I: IntElement, BT: BoolElement>(
    operands: &Operands<CubeTensor<R>>,
    matrices: impl Iterator<Item = [Tensor<Cube<R, I, BT>, 2>; 2]>,
    g_bias: Tensor<Cube<R, I, BT>, 1>,
) -> Tensor<Cube<R, I, BT>, 1> {
    let [n] = g_bias.dims();
    let bias = tensor::<Cube<R, I, BT>, 1>(operands.bias.clone()) * g_bias;
    let sum = matrices.fold(bias, |sum, [w, g]| sum + (w * g).sum_dim(1).reshape([n]));
    sum / tensor(operands.gain.clone())
}

/// Returns the elements of a tensor in the order of its shape; a copy only where memory has another order.
fn buffer<R: CubeRuntime>(tensor: CubeTensor<R>) -> Handle {
    into_contiguous(tensor).handle
}

/// Returns the buffers of a sweep.
fn buffers<R: CubeRuntime, I: IntElement, BT: BoolElement>(
    sweep: &SweepTensors<Cube<R, I, BT>>,
) -> SweepBuffers {
    let shape = sweep.shape();
    let bias = buffer(sweep.operands.bias.clone());
    let lens = Operands::lens(&shape);
    // An empty tensor has no buffer; nothing is read from the one in its place.
    let operands = sweep.operands.clone().zip(lens).map(|(operand, len)| {
        if len == 0 {
            bias.clone()
        } else {
            buffer(operand)
        }
    });
    let operand = |operand: &CubeTensor<R>| tensor::<Cube<R, I, BT>, 2>(operand.clone());
    let w_rc = operand(&sweep.operands.w_rc);
    let (operands, w_forward, w_backward) = if shape.rank == 0 {
        let w_backward = operands.w_rc.clone();
        (operands, buffer(primitive(w_rc.transpose())), w_backward)
    } else {
        let left = operand(&sweep.operands.left);
        let right = operand(&sweep.operands.right) * (1.0 / shape.units as f64);
        let full = (!shape.without_full).then_some(w_rc);
        let factors = [left.clone(), right.clone()];
        let w_backward = joined(full.clone(), factors);
        let w_forward = joined(full.map(Tensor::transpose), [right.clone(), left]);
        let right = buffer(primitive(right));
        (Operands { right, ..operands }, w_forward, w_backward)
    };
    SweepBuffers {
        shape,
        form: sweep.form,
        activation: sweep.activation,
        noise_target: sweep.noise_target,
        operands,
        w_forward,
        w_backward,
        eps: source(&sweep.preactivation),
        xi: source(&sweep.postactivation),
        sigma_post: sweep.readout_noise as f32,
    }
}

/// Returns the full matrix, if there is one, and two factors in one buffer.
fn joined<R: CubeRuntime, I: IntElement, BT: BoolElement>(
    full: Option<Tensor<Cube<R, I, BT>, 2>>,
    factors: [Tensor<Cube<R, I, BT>, 2>; 2],
) -> Handle {
    let matrices = full.into_iter().chain(factors);
    let rows = matrices.map(|matrix| matrix.flatten::<1>(0, 1)).collect();
    buffer(primitive(Tensor::cat(rows, 0)))
}

fn source<R: CubeRuntime, I: IntElement, BT: BoolElement>(
    source: &NormalTensors<Cube<R, I, BT>>,
) -> NoiseSource<Handle> {
    source.clone().map(|normals| buffer(primitive(normals)))
}
