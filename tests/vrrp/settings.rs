//! How a router takes part, whether it is ours or keepalived.

/// What both can be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) version: u8,
    /// 255 for the owner: ours then has the virtual address as one of its own.
    pub(crate) priority: u8,
    pub(crate) interval_ms: u64,
    pub(crate) preempt: bool,
    pub(crate) preempt_delay_ms: u64,
    pub(crate) groups: u8,
    /// Virtual addresses of a group.
    pub(crate) addresses: u8,
    /// Version 2's authentication type 1.
    pub(crate) password: Option<&'static str>,
    /// The first two routers advertise to each other alone.
    pub(crate) unicast: bool,
    /// How ours computes the checksum of version 3. keepalived counts the pseudo-header, and refuses what does not.
    pub(crate) checksum: &'static str,
}

impl Settings {
    pub(crate) fn new(version: u8, priority: u8) -> Settings {
        Settings {
            version,
            priority,
            // The least that the version can say, or not much more.
            interval_ms: if version == 2 { 1000 } else { 100 },
            preempt: true,
            preempt_delay_ms: 0,
            groups: 1,
            addresses: 1,
            password: None,
            unicast: false,
            checksum: "with-pseudo-header",
        }
    }

    /// The same with another priority.
    pub(crate) fn with_priority(self, priority: u8) -> Settings {
        Settings { priority, ..self }
    }

    /// The same for a router that ousts nobody.
    pub(crate) fn without_preemption(self) -> Settings {
        Settings {
            preempt: false,
            ..self
        }
    }

    /// The silence after which a backup of this priority takes over, in milliseconds; the part of it that is not whole is left off.
    pub(crate) fn down_interval_ms(&self) -> u64 {
        let skewed = if self.version == 2 {
            1000
        } else {
            self.interval_ms
        };
        3 * self.interval_ms + u64::from(256 - u16::from(self.priority)) * skewed / 256
    }
}
