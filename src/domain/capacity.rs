//! What the machine allows: descriptors per core, and memory at full load. Printed at the start,
//! with a warning where the configuration asks for more.

use std::time::Duration;

use crate::base::limits::{
    ADDRESS_CELLS, LABEL_BYTES_MAX, LABELS_MAX, LANE_MESSAGES_MAX, LOG_LINES_MAX,
    PENDING_CONNS_MAX, RESERVED_FDS, SEGMENT_BYTES_MIN,
};

use super::kernel_memory::{Crowd, beat_bytes};

/// Bytes of a row, and what its table may have spare by growing in doublings.
pub(super) const ROW_BYTES: u64 = 128 * 2;

/// The bitrate and the beat that are planned with, and the pages of nearly every machine.
const PLANNED_KBIT: u64 = 128;
const PLANNED_BEAT: Duration = Duration::from_secs(1);
const PAGE_BYTES: u64 = 4096;

/// Bytes of a log line; the longest have a user agent and a referrer of 256 bytes each.
const LOG_LINE_BYTES: u64 = 1024;

/// Bytes of a message in a lane, at most; what it points to is counted elsewhere.
const MESSAGE_BYTES: u64 = 128;

/// Bytes of a connection whose head is being read, its buffer included.
const PENDING_BYTES: u64 = 4 * 1024;

/// What is known of the machine and the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Listener cores.
    pub cores: u64,
    /// Descriptors each core's table may hold.
    pub descriptors_per_core: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Memory the kernel lets all TCP sockets hold, in bytes; 0 = unknown.
    pub tcp_bytes: u64,
}

/// What it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Listeners one core can hold.
    pub listeners_per_core: u64,
    /// Listeners all cores can hold.
    pub listeners: u64,
    /// Most listeners the server takes: the configured limit, or what the machine allows.
    pub listeners_max: u64,
    /// Memory of the process at that many and with every ceiling reached, in bytes, mounts left
    /// out.
    pub process_bytes: u64,
    /// Memory of one mount at 128 kbit/s, in bytes.
    pub mount_bytes: u64,
    /// Memory of the kernel at that many, in bytes.
    pub kernel_bytes: u64,
    /// What of it counts against `tcp_mem`, in bytes.
    pub kernel_bytes_charged: u64,
    /// The same as `kernel_bytes` if all of them stopped reading at once, in bytes.
    pub kernel_bytes_stopped: u64,
}

/// What the configuration asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Listeners; 0 = as many as the machine can.
    pub listeners: u64,
    /// Bytes of a request head.
    pub header_bytes: u64,
    /// Bytes a listener may fall behind.
    pub lag_bytes: u64,
}

/// Where the configuration asks for more than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Descriptors: more listeners are configured than tables can hold.
    Descriptors,
    /// `tcp_mem`: the kernel would drop connections before the limit is reached.
    TcpMemory,
    /// Memory of the machine.
    Memory,
}

impl Machine {
    /// What the machine allows of what is asked for.
    pub fn capacity(&self, wanted: &Wanted) -> Capacity {
        let listeners_per_core = self.descriptors_per_core.saturating_sub(RESERVED_FDS);
        let listeners = listeners_per_core * self.cores;
        let listeners_max = if wanted.listeners == 0 { listeners } else { wanted.listeners };
        let labels = (LABELS_MAX * LABEL_BYTES_MAX) as u64 * self.cores;
        // Twice, because those who were told to give way may still be there.
        let pending =
            2 * PENDING_CONNS_MAX as u64 * (PENDING_BYTES + wanted.header_bytes) * self.cores;
        let log = 2 * LOG_LINES_MAX as u64 * LOG_LINE_BYTES;
        let lanes = LANE_MESSAGES_MAX as u64 * MESSAGE_BYTES * (4 * self.cores + 2);
        let addresses = 2 * ADDRESS_CELLS as u64 * 8;
        let on = listeners_max.min(listeners);
        let crowd = Crowd {
            listeners: on,
            beat_bytes: beat_bytes(PLANNED_KBIT, PLANNED_BEAT),
            page_bytes: PAGE_BYTES,
        };
        Capacity {
            listeners_per_core,
            listeners,
            listeners_max,
            process_bytes: on * ROW_BYTES + labels + pending + log + lanes + addresses,
            mount_bytes: wanted.lag_bytes + 2 * SEGMENT_BYTES_MIN as u64,
            kernel_bytes: crowd.kernel_bytes(),
            kernel_bytes_charged: crowd.charged_bytes(),
            kernel_bytes_stopped: crowd.kernel_bytes_stopped(),
        }
    }

    /// Where `capacity` is more than there is.
    pub fn shortages(&self, capacity: &Capacity) -> Vec<Shortage> {
        let mut shortages = Vec::new();
        if capacity.listeners_max > capacity.listeners {
            shortages.push(Shortage::Descriptors);
        }
        if self.tcp_bytes > 0 && capacity.kernel_bytes_charged > self.tcp_bytes {
            shortages.push(Shortage::TcpMemory);
        }
        if self.memory_bytes > 0
            && capacity.kernel_bytes + capacity.process_bytes > self.memory_bytes
        {
            shortages.push(Shortage::Memory);
        }
        shortages
    }
}

impl Shortage {
    /// What the operator can do about it, as one sentence.
    pub fn cure(self) -> &'static str {
        match self {
            Self::Descriptors => {
                "limits.listeners is more than the descriptor limit allows: raise LimitNOFILE \
                 (ulimit -Hn), or name more cores in server.cores, since each has its own table"
            }
            Self::TcpMemory => {
                "at limits.listeners the kernel's TCP memory would run out and connections break: \
                 raise sysctl net.ipv4.tcp_mem (floe tune shows and sets it), or lower \
                 limits.listeners"
            }
            Self::Memory => {
                "at limits.listeners the machine's memory would run out: lower limits.listeners"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine {
        cores: 8,
        descriptors_per_core: 20_000,
        memory_bytes: 24 << 30,
        tcp_bytes: 2_200 << 20,
    };

    fn wanted(listeners: u64) -> Wanted {
        Wanted { listeners, header_bytes: 8192, lag_bytes: 512 * 1024 }
    }

    #[test]
    fn descriptors_count_per_core() {
        let capacity = MACHINE.capacity(&wanted(0));
        assert_eq!(capacity.listeners, 8 * (20_000 - RESERVED_FDS));
        assert_eq!(capacity.listeners_max, capacity.listeners);
        assert!(!MACHINE.shortages(&capacity).contains(&Shortage::Descriptors));
    }

    #[test]
    fn more_than_the_machine_has_is_named() {
        let capacity = MACHINE.capacity(&wanted(250_000));
        let shortages = MACHINE.shortages(&capacity);
        assert_eq!(shortages, [Shortage::Descriptors, Shortage::TcpMemory]);
        let small = Machine { memory_bytes: 1 << 30, ..MACHINE };
        assert!(small.shortages(&small.capacity(&wanted(100_000))).contains(&Shortage::Memory));
        let modest = MACHINE.capacity(&wanted(10_000));
        assert!(MACHINE.shortages(&modest).is_empty());
    }
}
