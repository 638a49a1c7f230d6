//! Memory of this machine.

use std::fs;

/// Returns the MiB of memory that this process and its children may still take: what the machine has available, or what its
/// control group leaves if that is less. Unknown on other systems than Linux.
pub fn available_mib() -> Option<f64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| meminfo_mib(&text));
    let number = |name: &str| -> Option<f64> {
        let text = fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse().ok() // `max` is no limit
    };
    let group = number("memory.max").zip(number("memory.current"));
    let group = group.map(|(most, now)| (most - now) / f64::from(1 << 20));
    match (machine, group) {
        (Some(machine), Some(group)) => Some(machine.min(group)),
        (machine, group) => machine.or(group),
    }
}

fn meminfo_mib(text: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read() {
        let text = "MemTotal:       24000000 kB\nMemAvailable:    2097152 kB\n";
        assert_eq!(meminfo_mib(text), Some(2048.0));
        assert_eq!(meminfo_mib("MemTotal: 1 kB\n"), None);
    }
}
