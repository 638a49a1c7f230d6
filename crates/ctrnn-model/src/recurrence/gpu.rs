//! The fused sweep on GPU backends: tensors as buffers of the device, and back, without a copy of the trajectory.
//!
//! The kernels do not recompute: `Sweep::recompute` changes nothing here.

use burn::tensor::{DType, Shape as TensorShape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, IntElement};
use ctrnn_kernels::gpu::{
    Kept, Normals, Problem, Size, Trajectory, adam, backward, forward, squared_error,
    sum_of_squares,
};
use ctrnn_kernels::{AdamStep, Form, Operands, Shape};
use cubecl::prelude::ComputeClient;
use cubecl::server::Handle;

use super::{
    GradientTensors, NoiseSource, Pullback, RecurrenceBackend, ResultTensors, Sweep, primitive,
    tensor,
};
use crate::FusedOps;
use crate::fused_ops::assert_errors_fit;

/// The GPU backend: burn's, without its fusion layer, whatever features other crates of a program turn on.
#[cfg(feature = "wgpu")]
pub type Gpu = CubeBackend<burn_wgpu::WgpuRuntime, f32, i32, u32>;

/// The same through CUDA.
#[cfg(feature = "cuda")]
pub type Cuda = CubeBackend<cubecl::cuda::CudaRuntime, f32, i32, u8>;

/// A backend of any CubeCL runtime.
type Cube<R, I, BT> = CubeBackend<R, f32, I, BT>;

impl<R: CubeRuntime, I: IntElement, BT: BoolElement> RecurrenceBackend for Cube<R, I, BT> {
    fn sweep(sweep: Sweep<Self>) -> ResultTensors<Self> {
        let record = Kept {
            responses: false,
            potentials: sweep.record.potentials,
        };
        Device::of(&sweep.operands.w_rc).run(&sweep, record).0
    }

    fn sweep_with_pullback(
        sweep: &Sweep<Self>,
        wanted: Operands<bool>,
    ) -> Option<(ResultTensors<Self>, Pullback<Self>)> {
        let device = Device::of(&sweep.operands.w_rc);
        let kept = Kept {
            responses: sweep.form == Form::Rate,
            potentials: sweep.record.potentials || (wanted.decay && sweep.form == Form::Voltage),
        };
        let (results, problem, trajectory) = device.run(sweep, kept);
        let operands = sweep.operands.clone();
        let pullback = Pullback::new(move |upstream| {
            device.run_back::<I, BT>(&problem, &trajectory, &operands, wanted, upstream)
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
        let device = Device::of(&tensors[0]);
        let buffers = tensors.map(buffer);
        let (sum, gradient) = squared_error(&device.client, buffers.each_ref(), n, width);
        (device.tensor(sum, [1]), device.tensor(gradient, shape))
    }

    fn sum_of_squares(tensors: &[&Tensor<Self, 1>]) -> Tensor<Self, 1> {
        let device = Device::of(&primitive(tensors[0].clone()));
        let buffers: Vec<_> = tensors
            .iter()
            .map(|&x| (buffer(primitive(x.clone())), x.dims()[0]))
            .collect();
        device.tensor(sum_of_squares(&device.client, &buffers), [1])
    }

    fn adam(
        step: &AdamStep,
        weights: &Tensor<Self, 1>,
        gradient: &Tensor<Self, 1>,
        moments: [&Tensor<Self, 1>; 2],
    ) -> Option<[Tensor<Self, 1>; 3]> {
        let [n] = weights.dims();
        let [weights, gradient, moment_1, moment_2] =
            [weights, gradient, moments[0], moments[1]].map(|x| primitive(x.clone()));
        let device = Device::of(&weights);
        let [moment_1, moment_2] = [moment_1, moment_2].map(buffer);
        let next = adam(
            &device.client,
            step,
            &buffer(weights),
            &buffer(gradient),
            [&moment_1, &moment_2],
            n,
        );
        Some(next.map(|handle| device.tensor(handle, [n])))
    }
}

/// Where tensors live.
#[derive(Clone)]
struct Device<R: CubeRuntime> {
    client: ComputeClient<R>,
    device: R::Device,
}

impl<R: CubeRuntime> Device<R> {
    fn of(tensor: &CubeTensor<R>) -> Self {
        Self {
            client: tensor.client.clone(),
            device: tensor.device.clone(),
        }
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
        sweep: &Sweep<Cube<R, I, BT>>,
        kept: Kept,
    ) -> (ResultTensors<Cube<R, I, BT>>, Problem, Trajectory) {
        let problem = problem(sweep);
        let found = forward(&self.client, &problem, kept);
        let Shape {
            trials: b,
            steps: t,
            units: n,
            outputs: o,
            ..
        } = problem.size.shape;
        let results = ResultTensors::<Cube<R, I, BT>> {
            outputs: Some(self.primitive(found.outputs.clone(), &[t, b, o])),
            rates: sweep.record.rates.then(|| {
                let all = self.tensor::<I, BT, 3>(found.rates.clone(), [t + 1, b, n]);
                primitive(all.slice([1..t + 1, 0..b, 0..n]))
            }),
            potentials: found
                .potentials
                .clone()
                .filter(|_| sweep.record.potentials)
                .map(|v| self.primitive(v, &[t, b, n])),
            final_state: Some(self.primitive(found.final_state.clone(), &[b, n])),
        };
        (results, problem, found)
    }

    /// Runs the backward sweep.
    fn run_back<I: IntElement, BT: BoolElement>(
        &self,
        problem: &Problem,
        trajectory: &Trajectory,
        operands: &Operands<CubeTensor<R>>,
        wanted: Operands<bool>,
        upstream: ResultTensors<Cube<R, I, BT>>,
    ) -> GradientTensors<Cube<R, I, BT>> {
        let shape = problem.size.shape;
        let n = shape.units;
        let gain_from_weights = wanted.gain && problem.form == Form::Voltage;
        let asked = Operands {
            w_in: wanted.w_in || gain_from_weights,
            w_rc: wanted.w_rc || gain_from_weights,
            noise_scale: wanted.noise_scale && !matches!(problem.eps, Normals::None),
            ..wanted
        };
        let upstream = upstream.map(|gradient| gradient.map(buffer));
        let found = backward(&self.client, problem, trajectory, &upstream, asked);
        let sums = self.tensor::<I, BT, 2>(found.units, [4, n]);
        let of_units = |row: usize| sums.clone().slice([row..row + 1, 0..n]).reshape([n]);
        let bias = of_units(0);
        let gain = |w_in: &Option<Handle>, w_rc: &Option<Handle>| match problem.form {
            Form::Rate => of_units(2),
            Form::Voltage => {
                let matrix = |handle: &Handle, columns| self.tensor(handle.clone(), [n, columns]);
                gain_gradient(
                    operands,
                    w_in.as_ref().map(|g| matrix(g, shape.inputs)),
                    w_rc.as_ref().map(|g| matrix(g, n)),
                    bias.clone(),
                )
            }
        };
        let gain = wanted
            .gain
            .then(|| primitive(gain(&found.w_in, &found.w_rc)));
        // Gradients that no kernel wrote are zero: those of a network without inputs, or of a readout that the loss does not use.
        let written = Operands {
            inputs: found.inputs,
            w_in: found.w_in,
            w_rc: found.w_rc,
            w_out: found.w_out,
            bias_out: found.bias_out,
            initial_state: Some(found.initial_state),
            ..Operands::default()
        };
        let whole = written.zip(Operands::shapes(&shape)).zip(wanted).map(
            |((handle, shape), is_wanted)| {
                is_wanted.then(|| match handle {
                    Some(handle) => self.primitive(handle, &shape),
                    None => self.zeros(&shape),
                })
            },
        );
        Operands {
            bias: wanted.bias.then(|| primitive(bias)),
            decay: wanted.decay.then(|| primitive(of_units(1))),
            gain,
            noise_scale: wanted.noise_scale.then(|| primitive(of_units(3))),
            ..whole
        }
    }
}

/// Returns `(W_rc g_W_rc + W_in g_W_in + b g_b) / gain` per unit: in the voltage form gain scales the whole drive.
fn gain_gradient<R: CubeRuntime, I: IntElement, BT: BoolElement>(
    operands: &Operands<CubeTensor<R>>,
    g_w_in: Option<Tensor<Cube<R, I, BT>, 2>>,
    g_w_rc: Option<Tensor<Cube<R, I, BT>, 2>>,
    g_bias: Tensor<Cube<R, I, BT>, 1>,
) -> Tensor<Cube<R, I, BT>, 1> {
    let [n] = g_bias.dims();
    let rows = |w: &CubeTensor<R>, g: Tensor<Cube<R, I, BT>, 2>| {
        (tensor::<Cube<R, I, BT>, 2>(w.clone()) * g)
            .sum_dim(1)
            .reshape([n])
    };
    let mut sum = tensor::<Cube<R, I, BT>, 1>(operands.bias.clone()) * g_bias;
    if let Some(g) = g_w_in {
        sum = sum + rows(&operands.w_in, g);
    }
    if let Some(g) = g_w_rc {
        sum = sum + rows(&operands.w_rc, g);
    }
    sum / tensor(operands.gain.clone())
}

/// Returns the elements of a tensor in the order of its shape; a copy only where memory has another order.
fn buffer<R: CubeRuntime>(tensor: CubeTensor<R>) -> Handle {
    into_contiguous(tensor).handle
}

/// Returns the buffers of a sweep.
fn problem<R: CubeRuntime, I: IntElement, BT: BoolElement>(
    sweep: &Sweep<Cube<R, I, BT>>,
) -> Problem {
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
    let w_rc: Tensor<Cube<R, I, BT>, 2> = tensor(sweep.operands.w_rc.clone());
    Problem {
        size: Size { networks: 1, shape },
        form: sweep.form,
        activation: sweep.activation,
        noise_target: sweep.noise_target,
        operands,
        w_rc_transposed: buffer(primitive(w_rc.transpose())),
        eps: source(&sweep.preactivation),
        xi: source(&sweep.postactivation),
        sigma_post: sweep.readout_noise as f32,
    }
}

fn source<R: CubeRuntime, I: IntElement, BT: BoolElement>(
    source: &NoiseSource<Cube<R, I, BT>>,
) -> Normals {
    match source {
        NoiseSource::None => Normals::None,
        NoiseSource::Given(normals) => Normals::Given(buffer(primitive(normals.clone()))),
        NoiseSource::Drawn(draws) => Normals::Drawn(*draws),
    }
}
