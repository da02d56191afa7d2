//! How busy this machine's processors are and how full its memory is.
//!
//! Figures are those of `/proc/stat` and `/proc/meminfo` (`Documentation/filesystems/proc.rst` in the kernel's tree): of
//! the whole machine, or of what a container's own `/proc` shows as such. The limits of control groups are not looked
//! at. What cannot be read, or makes no sense, is unknown and never zero.

use std::path::Path;

use crate::host::Host;
use crate::quota::pulse::Cpu;

/// Times of the processors since the boot.
const STAT: &str = "/proc/stat";
/// Amounts of memory.
const MEMINFO: &str = "/proc/meminfo";

/// From the text of `/proc/stat`: its line `cpu  USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ STEAL GUEST GUEST_NICE`, of
/// which old kernels have the first four only. What guests take is contained in user and nice.
pub fn cpu(text: &str) -> Option<Cpu> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Result<Vec<u64>, _> = line.split_whitespace().take(8).map(str::parse).collect();
    let ticks = ticks.ok().filter(|ticks| ticks.len() >= 4)?;
    let sum = |mut ticks: std::slice::Iter<'_, u64>| ticks.try_fold(0_u64, |sum, tick| sum.checked_add(*tick));
    let idle = ticks[3].checked_add(ticks.get(4).copied().unwrap_or(0))?;
    let total = sum(ticks.iter())?;
    Some(Cpu { busy: total - idle, total })
}

/// Bytes of memory in use and in all, from the text of `/proc/meminfo`. In use is what is not available to programs; what
/// is available is estimated as free memory, buffers and cache where the kernel does not say it (before 3.14).
pub fn memory(text: &str) -> Option<(u64, u64)> {
    let bytes = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kibibytes: u64 = value.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    let total = bytes("MemTotal").filter(|total| *total > 0)?;
    let estimate = || bytes("MemFree")?.checked_add(bytes("Buffers")?)?.checked_add(bytes("Cached")?);
    let available = bytes("MemAvailable").or_else(estimate)?;
    Some((total.saturating_sub(available), total))
}

/// This machine's processors.
///
/// # Errors
///
/// Says why nothing is known of them.
pub fn read_cpu(host: &dyn Host) -> Result<Cpu, String> {
    read(host, STAT, cpu)
}

/// This machine's memory, as [`memory`].
///
/// # Errors
///
/// Says why nothing is known of it.
pub fn read_memory(host: &dyn Host) -> Result<(u64, u64), String> {
    read(host, MEMINFO, memory)
}

fn read<T>(host: &dyn Host, path: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    let text = host.read(Path::new(path)).map_err(|error| error.to_string())?;
    parse(&text).ok_or_else(|| format!("{path} is not as the kernel writes it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::pulse::Load;

    #[test]
    fn busy_is_all_but_idle_and_waiting() {
        let text = "cpu  100 20 30 1000 50 1 2 3 90 10\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5\n";
        assert_eq!(cpu(text), Some(Cpu { busy: 156, total: 1206 }), "guests are not counted twice");
        assert_eq!(cpu("cpu 1 2 3 4\n"), Some(Cpu { busy: 6, total: 10 }));
        assert_eq!(cpu("cpu 1 2 3 4 5"), Some(Cpu { busy: 6, total: 15 }));
        let most = format!("cpu {} 1 0 0", u64::MAX);
        for wrong in ["", "cpu0 1 2 3 4", "cpu 1 2 3", "cpu 1 2 x 4", "cpu 1 -2 3 4", &most] {
            assert_eq!(cpu(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_share_is_that_of_the_time_in_between() {
        let before = Cpu { busy: 100, total: 1000 };
        let since = |busy, total| Cpu { busy, total }.since(&before);
        assert_eq!(since(125, 1100), Some(Load(2500)));
        assert_eq!((since(100, 1100), since(200, 1100)), (Some(Load(0)), Some(Load::FULL)));
        assert_eq!(since(100, 1000), None, "no time in between");
        assert_eq!((since(99, 1100), since(110, 999), since(1, 10)), (None, None, None), "started anew");
        assert_eq!(since(150, 1010), None, "idle time fell");
    }

    #[test]
    fn memory_in_use_is_what_programs_cannot_have() {
        let text = "MemTotal:        8000 kB\nMemFree:          100 kB\nMemAvailable:    6000 kB\nBuffers:  1 kB\n";
        assert_eq!(memory(text), Some((2000 * 1024, 8000 * 1024)));
        let old = "MemTotal: 8000 kB\nMemFree: 100 kB\nBuffers: 200 kB\nCached: 700 kB\nSwapCached: 9 kB\n";
        assert_eq!(memory(old), Some((7000 * 1024, 8000 * 1024)));
        assert_eq!(memory("MemTotal: 8 kB\nMemAvailable: 9 kB\n"), Some((0, 8192)), "a container's may not agree");
        for wrong in [
            "",
            "MemTotal: 8 kB\n",
            "MemAvailable: 9 kB\n",
            "MemTotal: 0 kB\nMemAvailable: 0 kB\n",
            "MemTotal: 8\nMemAvailable: 1 kB\n",
            "MemTotal: -8 kB\nMemAvailable: 1 kB\n",
            "MemTotal: 8 kB\nMemFree: 1 kB\nBuffers: 1 kB\n",
            "MemTotal: 18446744073709551615 kB\nMemAvailable: 1 kB\n",
        ] {
            assert_eq!(memory(wrong), None, "{wrong:?}");
        }
    }
}
