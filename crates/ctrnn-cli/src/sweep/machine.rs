//! Memory of this machine.

use std::fs;
use std::path::Path;

/// Names in a memory control group: its limit, what it takes, and the entry in `memory.stat` of cached files, which are freed on demand.
struct GroupFiles {
    limit: &'static str,
    taken: &'static str,
    cached: &'static str,
}

const VERSION_1: GroupFiles = GroupFiles {
    limit: "memory.limit_in_bytes",
    taken: "memory.usage_in_bytes",
    cached: "total_inactive_file",
};
const VERSION_2: GroupFiles = GroupFiles {
    limit: "memory.max",
    taken: "memory.current",
    cached: "inactive_file",
};

/// Returns the MiB of memory that this process and its children may still take: what the machine has available, or what its
/// control groups leave if that is less. Unknown on other systems than Linux.
pub fn available_mib() -> Option<f64> {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| meminfo_mib(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = groups_mib(&groups, Path::new("/sys/fs/cgroup"));
    match (machine, groups) {
        (Some(machine), Some(groups)) => Some(machine.min(groups)),
        (machine, groups) => machine.or(groups),
    }
}

fn meminfo_mib(text: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Returns the MiB that the control groups in `text`, which is `/proc/self/cgroup`, and the groups around them leave; `None` without a limit. A job
/// of a cluster has its limit in a group of its own, or in one above.
fn groups_mib(text: &str, root: &Path) -> Option<f64> {
    let left = text.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (
            fields.next().unwrap_or_default(),
            fields.next().unwrap_or_default(),
        );
        let (names, root) = match controllers {
            "" => (VERSION_2, root.to_owned()),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (VERSION_1, root.join("memory"))
            }
            _ => return Vec::new(),
        };
        let path = Path::new(path.trim_start_matches('/'));
        let groups = path.ancestors().map(|group| root.join(group));
        groups
            .filter_map(|group| left_mib(&group, &names))
            .collect()
    });
    left.min_by(f64::total_cmp)
}

fn left_mib(group: &Path, names: &GroupFiles) -> Option<f64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| -> Option<f64> { read(name)?.trim().parse().ok() }; // `max` is no limit
    let (limit, taken) = (number(names.limit)?, number(names.taken)?);
    let stat = read("memory.stat").unwrap_or_default();
    let mut entries = stat.lines().filter_map(|line| line.split_once(' '));
    let cached = entries.find(|(name, _)| *name == names.cached);
    let cached = cached.and_then(|(_, bytes)| bytes.parse().ok());
    Some((limit - taken + cached.unwrap_or(0.0)) / f64::from(1 << 20))
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

    /// The tightest group around the process counts, and cached files are no memory that is taken.
    #[test]
    fn memory_of_control_groups_is_read() {
        const MIB: u64 = 1 << 20;
        let root = tempfile::tempdir().unwrap();
        let write = |group: &str, names: &GroupFiles, limit: &str, taken: u64, cached: u64| {
            let group = root.path().join(group);
            fs::create_dir_all(&group).unwrap();
            fs::write(group.join(names.limit), format!("{limit}\n")).unwrap();
            fs::write(group.join(names.taken), format!("{}\n", taken * MIB)).unwrap();
            let stat = format!("anon 5\n{} {}\n", names.cached, cached * MIB);
            fs::write(group.join("memory.stat"), stat).unwrap();
        };
        let left = |text: &str| groups_mib(text, root.path());
        assert_eq!(left("0::/slurm/job_1/step_0\n"), None);
        write("slurm/job_1/step_0", &VERSION_2, "max", 300, 0);
        assert_eq!(left("0::/slurm/job_1/step_0\n"), None);
        write(
            "slurm/job_1",
            &VERSION_2,
            &(1000 * MIB).to_string(),
            900,
            700,
        );
        assert_eq!(left("0::/slurm/job_1/step_0\n"), Some(800.0));
        assert_eq!(left("0::/\n"), None);
        write("memory/job", &VERSION_1, &(50 * MIB).to_string(), 20, 1);
        assert_eq!(
            left("3:cpu,cpuacct:/\n4:memory:/job\n0::/slurm/job_1\n"),
            Some(31.0)
        );
    }
}
