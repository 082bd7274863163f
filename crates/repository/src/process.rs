//! Whether a process of this computer is alive.

/// Whether there is a process with this number. Where the system cannot be asked, the answer is yes.
#[cfg(unix)]
pub(crate) fn is_alive(pid: u32) -> bool {
    use rustix::{io::Errno, process};
    let number = i32::try_from(pid).ok().and_then(process::Pid::from_raw);
    match number.map(process::test_kill_process) {
        // Not permitted to signal it: so it is there.
        Some(Ok(()) | Err(Errno::PERM)) => true,
        Some(Err(_)) | None => false,
    }
}

#[cfg(not(unix))]
pub(crate) fn is_alive(_pid: u32) -> bool {
    true
}
