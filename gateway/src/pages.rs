//! How the kernel backs the memory of an edge with many idle connections.

/// Keeps the kernel from backing this process's memory with huge pages. Of what a connection has
/// allocated for its buffers most is never written while it is idle; with huge pages all of it is
/// resident, which for 10,000 idle connections is half as much again. Calls are not slower.
///
/// For a process that is nothing but the edge, before it serves. Where the kernel knows nothing of
/// this, all stays as it is.
pub fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        // Before there is a log. It takes more memory, and that is all.
        eprintln!("gateway: huge pages stay allowed: {error}");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn the_kernel_is_told() {
        super::use_small_pages();
        assert_eq!(rustix::thread::transparent_huge_pages_are_disabled(), Ok(true));
    }
}
