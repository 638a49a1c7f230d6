//! The fused sweep on GPU backends: tensors as buffers of the device, and back, without a copy of the trajectory.
//!
//! The kernels do not recompute: `Sweep::recompute` changes nothing here.

use burn::tensor::{DType, Shape as TensorShape, Tensor, TensorPrimitive};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, IntElement};
use ctrnn_kernels::gpu::{
    Kept, Normals, Problem, Size, Trajectory, Upstream as UpstreamBuffers, Wanted as WantedBuffers,
    adam, backward, forward, squared_error, sum_of_squares,
};
use ctrnn_kernels::{AdamStep, Form, NoiseTarget, Shape};
use cubecl::prelude::ComputeClient;
use cubecl::server::Handle;

use super::{
    NoiseSource, Pullback, RecurrenceBackend, Sweep, SweepGradients, Swept, Upstream, Wanted,
    assert_errors_fit,
};

/// The GPU backend: burn's, without its fusion layer, whatever features other crates of a program turn on.
#[cfg(feature = "wgpu")]
pub type Gpu = CubeBackend<burn_wgpu::WgpuRuntime, f32, i32, u32>;

/// The same through CUDA.
#[cfg(feature = "cuda")]
pub type Cuda = CubeBackend<cubecl::cuda::CudaRuntime, f32, i32, u8>;

/// A backend of any CubeCL runtime.
type Cube<R, I, BT> = CubeBackend<R, f32, I, BT>;

impl<R: CubeRuntime, I: IntElement, BT: BoolElement> RecurrenceBackend for Cube<R, I, BT> {
    fn sweep(sweep: Sweep<Self>) -> Swept<Self> {
        let record = Kept {
            responses: false,
            potentials: sweep.record.potentials,
        };
        Device::of(&sweep.w_rc).run(&sweep, record).0
    }

    fn sweep_with_pullback(
        sweep: &Sweep<Self>,
        wanted: Wanted,
    ) -> Option<(Swept<Self>, Pullback<Self>)> {
        let device = Device::of(&sweep.w_rc);
        let kept = Kept {
            responses: sweep.form == Form::Rate,
            potentials: sweep.record.potentials || (wanted.decay && sweep.form == Form::Voltage),
        };
        let (swept, problem, trajectory) = device.run(sweep, kept);
        let weights = WeightTensors {
            w_in: sweep.w_in.clone(),
            w_rc: sweep.w_rc.clone(),
            bias: sweep.bias.clone(),
            gain: sweep.gain.clone(),
        };
        let pullback = Pullback::new(move |upstream| {
            device.run_back(&problem, &trajectory, &weights, wanted, upstream)
        });
        Some((swept, pullback))
    }

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
        let device = Device::of(&y);
        let width = n / weights.shape().num_elements();
        let buffers = [&y, &target, &weights].map(buffer);
        let (sum, gradient) = squared_error(&device.client, buffers.each_ref(), n, width);
        (device.tensor(sum, [1]), device.tensor(gradient, shape))
    }

    fn sum_of_squares(tensors: &[&Tensor<Self, 1>]) -> Tensor<Self, 1> {
        let device = Device::of(tensors[0]);
        let buffers: Vec<_> = tensors.iter().map(|&x| (buffer(x), x.dims()[0])).collect();
        device.tensor(sum_of_squares(&device.client, &buffers), [1])
    }

    fn adam(
        step: &AdamStep,
        weights: &Tensor<Self, 1>,
        gradient: &Tensor<Self, 1>,
        moments: [&Tensor<Self, 1>; 2],
    ) -> Option<[Tensor<Self, 1>; 3]> {
        let device = Device::of(weights);
        let [n] = weights.dims();
        let [moment_1, moment_2] = moments.map(buffer);
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

/// What the gradient of gain is worked out from.
struct WeightTensors<R: CubeRuntime, I: IntElement, BT: BoolElement> {
    w_in: Tensor<Cube<R, I, BT>, 2>,
    w_rc: Tensor<Cube<R, I, BT>, 2>,
    bias: Tensor<Cube<R, I, BT>, 1>,
    gain: Tensor<Cube<R, I, BT>, 1>,
}

/// Where tensors live.
#[derive(Clone)]
struct Device<R: CubeRuntime> {
    client: ComputeClient<R>,
    device: R::Device,
}

impl<R: CubeRuntime> Device<R> {
    fn of<I: IntElement, BT: BoolElement, const D: usize>(
        tensor: &Tensor<Cube<R, I, BT>, D>,
    ) -> Self {
        let primitive = primitive(tensor);
        Self {
            client: primitive.client,
            device: primitive.device,
        }
    }

    fn tensor<I: IntElement, BT: BoolElement, const D: usize>(
        &self,
        handle: Handle,
        shape: [usize; D],
    ) -> Tensor<Cube<R, I, BT>, D> {
        let tensor = CubeTensor::new_contiguous(
            self.client.clone(),
            self.device.clone(),
            TensorShape::from(shape),
            handle,
            DType::F32,
        );
        Tensor::from_primitive(TensorPrimitive::Float(tensor))
    }

    /// The forward sweep, and what the way back needs.
    fn run<I: IntElement, BT: BoolElement>(
        &self,
        sweep: &Sweep<Cube<R, I, BT>>,
        kept: Kept,
    ) -> (Swept<Cube<R, I, BT>>, Problem, Trajectory) {
        let problem = problem(sweep);
        let found = forward(&self.client, &problem, kept);
        let Shape {
            trials: b,
            steps: t,
            units: n,
            outputs: o,
            ..
        } = problem.size.shape;
        let swept = Swept {
            outputs: self.tensor(found.outputs.clone(), [t, b, o]),
            rates: sweep.record.rates.then(|| {
                let all = self.tensor::<I, BT, 3>(found.rates.clone(), [t + 1, b, n]);
                all.slice([1..t + 1, 0..b, 0..n])
            }),
            potentials: found
                .potentials
                .clone()
                .filter(|_| sweep.record.potentials)
                .map(|v| self.tensor(v, [t, b, n])),
            final_state: self.tensor(found.final_state.clone(), [b, n]),
        };
        (swept, problem, found)
    }

    /// The backward sweep.
    fn run_back<I: IntElement, BT: BoolElement>(
        &self,
        problem: &Problem,
        trajectory: &Trajectory,
        weights: &WeightTensors<R, I, BT>,
        wanted: Wanted,
        upstream: Upstream<Cube<R, I, BT>>,
    ) -> SweepGradients<Cube<R, I, BT>> {
        let Shape {
            trials: b,
            steps: t,
            inputs: i,
            units: n,
            outputs: o,
        } = problem.size.shape;
        let gain_from_weights = wanted.gain && problem.form == Form::Voltage;
        let found = backward(
            &self.client,
            problem,
            trajectory,
            &UpstreamBuffers {
                outputs: upstream.outputs.as_ref().map(buffer),
                rates: upstream.rates.as_ref().map(buffer),
                potentials: upstream.potentials.as_ref().map(buffer),
                final_state: upstream.final_state.as_ref().map(buffer),
            },
            WantedBuffers {
                inputs: wanted.inputs,
                w_in: wanted.w_in || gain_from_weights,
                w_rc: wanted.w_rc || gain_from_weights,
                w_out: wanted.w_out,
                decay: wanted.decay,
                noise_scale: wanted.noise_scale && !matches!(problem.eps, Normals::None),
            },
        );
        let sums = self.tensor::<I, BT, 2>(found.units, [4, n]);
        let of_units = |row: usize| sums.clone().slice([row..row + 1, 0..n]).reshape([n]);
        let matrix = |handle: Option<Handle>, shape: [usize; 2]| {
            handle.map(|handle| self.tensor::<I, BT, 2>(handle, shape))
        };
        let zeros = |shape: [usize; 2]| Tensor::zeros(shape, &self.device);
        let w_in = matrix(found.w_in, [n, i]);
        let w_rc = matrix(found.w_rc, [n, n]);
        let bias = of_units(0);
        let gain = wanted.gain.then(|| match problem.form {
            Form::Rate => of_units(2),
            Form::Voltage => weights.gain_gradient(w_in.clone(), w_rc.clone(), bias.clone()),
        });
        SweepGradients {
            inputs: wanted.inputs.then(|| match found.inputs {
                Some(handle) => self.tensor(handle, [t, b, i]),
                None => Tensor::zeros([t, b, i], &self.device),
            }),
            w_in: wanted.w_in.then(|| w_in.unwrap_or_else(|| zeros([n, i]))),
            w_rc: w_rc.filter(|_| wanted.w_rc),
            bias,
            w_out: wanted
                .w_out
                .then(|| matrix(found.w_out, [o, n]).unwrap_or_else(|| zeros([o, n]))),
            bias_out: match found.bias_out {
                Some(handle) => self.tensor(handle, [o]),
                None => Tensor::zeros([o], &self.device),
            },
            decay: wanted.decay.then(|| of_units(1)),
            gain,
            noise_scale: wanted.noise_scale.then(|| of_units(3)),
            initial_state: wanted
                .initial_state
                .then(|| self.tensor(found.initial_state, [b, n])),
        }
    }
}

impl<R: CubeRuntime, I: IntElement, BT: BoolElement> WeightTensors<R, I, BT> {
    /// `(W_rc g_W_rc + W_in g_W_in + b g_b) / gain` per unit: in the voltage form gain scales the whole drive.
    fn gain_gradient(
        &self,
        g_w_in: Option<Tensor<Cube<R, I, BT>, 2>>,
        g_w_rc: Option<Tensor<Cube<R, I, BT>, 2>>,
        g_bias: Tensor<Cube<R, I, BT>, 1>,
    ) -> Tensor<Cube<R, I, BT>, 1> {
        let [n] = self.gain.dims();
        type Matrix<R, I, BT> = Tensor<Cube<R, I, BT>, 2>;
        let rows =
            |w: &Matrix<R, I, BT>, g: Matrix<R, I, BT>| (w.clone() * g).sum_dim(1).reshape([n]);
        let mut sum = self.bias.clone() * g_bias;
        if let Some(g) = g_w_in {
            sum = sum + rows(&self.w_in, g);
        }
        if let Some(g) = g_w_rc {
            sum = sum + rows(&self.w_rc, g);
        }
        sum / self.gain.clone()
    }
}

fn primitive<R: CubeRuntime, I: IntElement, BT: BoolElement, const D: usize>(
    tensor: &Tensor<Cube<R, I, BT>, D>,
) -> CubeTensor<R> {
    tensor.clone().into_primitive().tensor()
}

/// The numbers of a tensor in the order of its shape; a copy only where memory has another order.
fn buffer<R: CubeRuntime, I: IntElement, BT: BoolElement, const D: usize>(
    tensor: &Tensor<Cube<R, I, BT>, D>,
) -> Handle {
    into_contiguous(primitive(tensor)).handle
}

/// The buffers of a sweep.
fn problem<R: CubeRuntime, I: IntElement, BT: BoolElement>(
    sweep: &Sweep<Cube<R, I, BT>>,
) -> Problem {
    let [steps, trials, inputs] = sweep.inputs.dims();
    let [outputs, units] = sweep.w_out.dims();
    let bias = buffer(&sweep.bias);
    // An empty tensor has no buffer; nothing is read from its place.
    let (u, w_in) = match inputs {
        0 => (bias.clone(), bias.clone()),
        _ => (buffer(&sweep.inputs), buffer(&sweep.w_in)),
    };
    let (w_out, bias_out) = match outputs {
        0 => (bias.clone(), bias.clone()),
        _ => (buffer(&sweep.w_out), buffer(&sweep.bias_out)),
    };
    Problem {
        size: Size {
            networks: 1,
            shape: Shape {
                trials,
                steps,
                inputs,
                units,
                outputs,
            },
        },
        form: sweep.form,
        activation: sweep.activation,
        noise_target: match sweep.form {
            Form::Rate if !sweep.noise_on_state => NoiseTarget::Drive,
            _ => NoiseTarget::State,
        },
        inputs: u,
        w_in,
        w_rc: buffer(&sweep.w_rc),
        w_rc_transposed: buffer(&sweep.w_rc.clone().transpose()),
        bias,
        w_out,
        bias_out,
        decay: buffer(&sweep.decay),
        gain: buffer(&sweep.gain),
        noise_scale: buffer(&sweep.noise_scale),
        initial_state: buffer(&sweep.initial_state),
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
        NoiseSource::Given(normals) => Normals::Given(buffer(normals)),
        NoiseSource::Drawn(draws) => Normals::Drawn(ctrnn_kernels::Draws {
            key: draws.key,
            step: draws.step,
            first_trial: draws.first_trial,
            first_time_block: 0,
        }),
    }
}
