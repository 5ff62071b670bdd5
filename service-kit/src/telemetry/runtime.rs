//! What a process uses of the machine. Where several services share a process, each tells the
//! same.

use std::{
    fs,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use opentelemetry::{KeyValue, metrics::Meter};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Handle, RuntimeMetrics};

/// Makes `meter` report on this process. In its tokio runtime.
pub(crate) fn report(meter: &Meter) {
    static STARTED: OnceLock<f64> = OnceLock::new();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let started = *STARTED.get_or_init(|| now.as_secs_f64());
    let version = [KeyValue::new("version", env!("CARGO_PKG_VERSION"))];
    meter
        .u64_observable_gauge("assent_build_info")
        .with_description("1, with the version of this program")
        .with_callback(move |gauge| gauge.observe(1, &version))
        .build();
    meter
        .f64_observable_gauge("process_start_time")
        .with_unit("s")
        .with_description("When the process started, in seconds since 1970")
        .with_callback(move |gauge| gauge.observe(started, &[]))
        .build();
    meter
        .f64_observable_counter("process_cpu")
        .with_unit("s")
        .with_description("Time of all processors that the process used")
        .with_callback(|count| {
            let used = clock_gettime(ClockId::ProcessCPUTime);
            if let Ok(used) = Duration::try_from(used) {
                count.observe(used.as_secs_f64(), &[]);
            }
        })
        .build();
    of_the_kernel(meter);
    let runtime = Handle::current().metrics();
    of_the_runtime(meter, &runtime);
}

/// What Linux tells in /proc; nothing elsewhere.
fn of_the_kernel(meter: &Meter) {
    meter
        .u64_observable_gauge("process_resident_memory")
        .with_unit("By")
        .with_description("Memory of the process that is in RAM")
        .with_callback(|gauge| {
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            if let Some(kilobytes) = number_after(&status, "VmRSS:") {
                gauge.observe(kilobytes * 1024, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("process_open_fds")
        .with_description("Open file descriptors, connections included")
        .with_callback(|gauge| {
            if let Ok(open) = fs::read_dir("/proc/self/fd") {
                gauge.observe(open.count() as u64, &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("process_max_fds")
        .with_description("How many file descriptors may be open")
        .with_callback(|gauge| {
            let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
            if let Some(most) = number_after(&limits, "Max open files") {
                gauge.observe(most, &[]);
            }
        })
        .build();
}

fn of_the_runtime(meter: &Meter, runtime: &RuntimeMetrics) {
    let gauge = |name, description, read: fn(&RuntimeMetrics) -> usize| {
        let runtime = runtime.clone();
        meter
            .u64_observable_gauge(name)
            .with_description(description)
            .with_callback(move |gauge| gauge.observe(read(&runtime) as u64, &[]))
            .build();
    };
    gauge("tokio_workers", "Threads that run tasks", RuntimeMetrics::num_workers);
    gauge("tokio_alive_tasks", "Tasks that have not ended", RuntimeMetrics::num_alive_tasks);
    gauge(
        "tokio_global_queue_depth",
        "Tasks that could run and wait for any worker",
        RuntimeMetrics::global_queue_depth,
    );
    let runtime = runtime.clone();
    meter
        .f64_observable_counter("tokio_workers_busy")
        .with_unit("s")
        .with_description("Time that workers spent running tasks, of all workers together")
        .with_callback(move |count| {
            let busy = (0..runtime.num_workers()).map(|at| runtime.worker_total_busy_duration(at));
            count.observe(busy.sum::<Duration>().as_secs_f64(), &[]);
        })
        .build();
}

/// The first number after a name in a file of /proc.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = text.split_once(name)?;
    rest.split_whitespace().next()?.parse().ok()
}
