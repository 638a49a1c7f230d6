//! Graphics adapters of this machine, and the choice of one for a run.

use burn_wgpu::WgpuDevice;
use burn_wgpu::graphics::{AutoGraphicsApi, GraphicsApi};
use ctrnn_config::AdapterChoice;
use wgpu::{DeviceType, Instance, InstanceDescriptor, Limits};

use crate::failure::{DEVICE, Failure};

/// Environment variable that chooses an adapter by its index or a part of its name if a configuration says only `wgpu`.
pub const VARIABLE: &str = "CTRNN_ADAPTER";

/// An adapter of this machine.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// Index in the list of `info`.
    pub index: usize,
    /// Name according to the driver.
    pub name: String,
    /// `discrete`, `integrated`, `virtual`, `cpu` (a software driver) or `other`.
    pub kind: &'static str,
    /// Driver and its version.
    pub driver: String,
    /// Limits on kernels and buffers.
    pub limits: Limits,
    /// Device in burn; none for an adapter that burn cannot select.
    pub device: Option<WgpuDevice>,
}

impl Adapter {
    /// Returns the size of the largest buffer, in bytes.
    pub fn largest_buffer(&self) -> u64 {
        let limits = &self.limits;
        limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size)
    }

    /// Returns its place in the order of preference, from 0.
    fn rank(&self) -> usize {
        let order = ["discrete", "integrated", "virtual", "cpu"];
        let place = order.iter().position(|kind| *kind == self.kind);
        place.unwrap_or(order.len())
    }

    /// Checks that the kernels can run on the adapter.
    ///
    /// # Errors
    /// If the kernels need more than the adapter allows.
    pub fn check(&self) -> Result<(), Failure> {
        let limits = &self.limits;
        let needs = [
            (
                "threads of a workgroup",
                limits.max_compute_invocations_per_workgroup,
                256,
            ),
            (
                "bytes of workgroup memory",
                limits.max_compute_workgroup_storage_size,
                16 << 10,
            ),
            (
                "storage buffers of a kernel",
                limits.max_storage_buffers_per_shader_stage,
                16,
            ),
        ];
        match needs.into_iter().find(|(_, has, needed)| has < needed) {
            None => Ok(()),
            Some((what, has, needed)) => Err(Failure::new(
                DEVICE,
                "G004",
                format!("{} allows {has} {what}, but {needed} are needed", self.name),
                "choose another adapter (`train-ctrnn info` lists them), or train on the CPU: --device cpu",
            )),
        }
    }
}

/// Lists the adapters of this machine, in the order of their drivers.
pub fn adapters() -> Vec<Adapter> {
    let backend = AutoGraphicsApi::backend();
    let instance = Instance::new(InstanceDescriptor {
        backends: backend.into(),
        ..InstanceDescriptor::new_without_display_handle()
    });
    let found = cubecl::future::block_on(instance.enumerate_adapters(backend.into()));
    let kinds: Vec<DeviceType> = found.iter().map(|a| a.get_info().device_type).collect();
    let describe = |(index, adapter): (usize, wgpu::Adapter)| {
        let info = adapter.get_info();
        let before = &kinds[..index];
        let of_kind = before.iter().filter(|k| **k == kinds[index]).count();
        let (kind, device) = match info.device_type {
            DeviceType::DiscreteGpu => ("discrete", Some(WgpuDevice::DiscreteGpu(of_kind))),
            DeviceType::IntegratedGpu => ("integrated", Some(WgpuDevice::IntegratedGpu(of_kind))),
            DeviceType::VirtualGpu => ("virtual", Some(WgpuDevice::VirtualGpu(of_kind))),
            DeviceType::Cpu => ("cpu", (of_kind == 0).then_some(WgpuDevice::Cpu)),
            DeviceType::Other => ("other", None),
        };
        Adapter {
            index,
            name: info.name,
            kind,
            driver: format!("{} {}", info.driver, info.driver_info)
                .trim()
                .to_owned(),
            limits: adapter.limits(),
            device,
        }
    };
    found.into_iter().enumerate().map(describe).collect()
}

/// Chooses the adapter of a run, and returns it with its device.
///
/// # Errors
/// If there is none, or none of that index or name.
pub fn choose(choice: &AdapterChoice) -> Result<(Adapter, WgpuDevice), Failure> {
    let adapters = adapters();
    if adapters.is_empty() {
        return Err(Failure::new(
            DEVICE,
            "G002",
            "no graphics adapter was found",
            "install the Vulkan driver of the graphics card, or train on the CPU: --device cpu",
        ));
    }
    let by_variable = std::env::var(VARIABLE).ok().filter(|word| !word.is_empty());
    let choice = match (choice, by_variable) {
        (AdapterChoice::Best, Some(word)) => AdapterChoice::of(&word),
        (choice, _) => choice.clone(),
    };
    let found = match &choice {
        AdapterChoice::Best => adapters.iter().min_by_key(|adapter| adapter.rank()),
        AdapterChoice::Index(index) => adapters.get(*index),
        AdapterChoice::Named(part) => adapters.iter().find(|a| contains(&a.name, part)),
    };
    found
        .and_then(|adapter| Some((adapter.clone(), adapter.device.clone()?)))
        .ok_or_else(|| unusable(&choice, &adapters))
}

/// Creates the error of an adapter that does not exist or that burn cannot select.
fn unusable(choice: &AdapterChoice, adapters: &[Adapter]) -> Failure {
    let names: Vec<String> = adapters
        .iter()
        .map(|a| format!("wgpu:{} is {}", a.index, a.name))
        .collect();
    Failure::new(
        DEVICE,
        "G003",
        format!("{choice} is not a usable graphics adapter"),
        format!("choose one of {}", names.join(", ")),
    )
}

fn contains(name: &str, part: &str) -> bool {
    name.to_lowercase().contains(&part.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(limits: Limits) -> Adapter {
        Adapter {
            index: 0,
            name: "Small".to_owned(),
            kind: "integrated",
            driver: String::new(),
            limits,
            device: None,
        }
    }

    #[test]
    fn an_adapter_that_is_too_small_is_refused_with_the_limit() {
        let enough = Limits {
            max_storage_buffers_per_shader_stage: 16,
            ..Limits::default()
        };
        assert!(adapter(enough.clone()).check().is_ok());
        let buffers = Limits {
            max_storage_buffers_per_shader_stage: 8,
            ..enough.clone()
        };
        let threads = Limits {
            max_compute_invocations_per_workgroup: 128,
            ..enough.clone()
        };
        let memory = Limits {
            max_compute_workgroup_storage_size: 8192,
            ..enough
        };
        for (limits, words) in [
            (buffers, "8 storage buffers of a kernel, and 16"),
            (threads, "128 threads of a workgroup, and 256"),
            (memory, "8192 bytes of workgroup memory, and 16384"),
        ] {
            let failure = adapter(limits).check().unwrap_err();
            assert_eq!(failure.exit_code, DEVICE);
            let text = failure.render(false);
            assert!(text.contains("G004") && text.contains(words), "{text}");
        }
    }
}
