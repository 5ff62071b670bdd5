//! What the measurement runs on.

use std::{fs, thread, time::Duration};

use crate::Result;

/// Linux counts processor time towards programs in hundredths of a second, on every architecture
/// that we know.
fn in_ticks(count: u64) -> Duration {
    Duration::from_millis(count * 10)
}

/// Cores and model of the processor: `2 cores, AMD EPYC`.
pub fn description() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!("{cores} cores, {}", model.map_or("of an unknown model", |(_, model)| model))
}

/// The processor time that all processes and the kernel have used since the machine was started,
/// on all cores together, what a hypervisor took from it included.
pub fn busy_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    // proc(5): user, nice, system, idle, iowait, irq, softirq, steal, in ticks.
    let cpu = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let ticks = cpu.map(str::parse::<u64>).collect::<std::result::Result<Vec<_>, _>>()?;
    let idle = ticks.iter().skip(3).take(2).sum::<u64>();
    Ok(in_ticks(ticks.iter().sum::<u64>() - idle))
}

/// The processor time that a process of ours has used, in user mode and in the kernel.
pub fn cpu_time(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, the second field, may hold anything, so count from its closing bracket: utime and
    // stime are fields 14 and 15 (proc(5)).
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks =
        fields.skip(11).take(2).map(str::parse::<u64>).sum::<std::result::Result<u64, _>>()?;
    Ok(in_ticks(ticks))
}

/// The memory that a process of ours has now (`VmRSS`), in bytes.
pub fn memory(process: u32) -> Result<u64> {
    status(process, "VmRSS:")
}

/// The most that it had at any time (`VmHWM`), in bytes.
pub fn peak_memory(process: u32) -> Result<u64> {
    status(process, "VmHWM:")
}

/// proc(5): in kilobytes, by which it means 1,024 bytes.
fn status(process: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
