//! Ports and their queues: finding, configuring, starting, and what they say of themselves.

use std::ffi::CStr;
use std::marker::PhantomData;

use dpdk_sys::{rte_ether_addr, shim_rss};
use thiserror::Error;

use super::eal::last_complaint;
use super::{BURST_MAX, Burst, Eal, Errno, LogText, Mempool, beneath, c_string, text_of};
use crate::addr::MacAddr;

/// Why a device gives no port.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DeviceError {
    /// The description cannot be read, or no driver is called that.
    #[error(
        "no such device: {device} ({cause}). A device is a PCI address bound to vfio-pci (dpdk-devbind.py --status) \
         or a virtual device such as net_af_packet0,iface=eth0"
    )]
    Unknown {
        /// The description of the device.
        device: String,
        /// What the EAL or the driver said.
        cause: String,
    },
    /// Somebody else uses it.
    #[error(
        "{device} is in use by another program or port ({cause}); stop that, or choose another device"
    )]
    Busy {
        /// The description of the device.
        device: String,
        /// What the EAL or the driver said.
        cause: String,
    },
    /// The process may not open it.
    #[error(
        "{device} may not be opened ({cause}). Run as root, or give the capabilities that docs/operation.md lists"
    )]
    Permission {
        /// The description of the device.
        device: String,
        /// What the EAL or the driver said.
        cause: String,
    },
    /// The driver failed.
    #[error(
        "{device} does not start: {cause} ({errno}). Mend its arguments (https://doc.dpdk.org/guides/nics/ has each driver's), \
         and see what the kernel says of it (dmesg){}",
        beneath(log)
    )]
    Driver {
        /// The description of the device.
        device: String,
        /// What the driver returned.
        errno: Errno,
        /// The line of the log that tells most.
        cause: String,
        /// What the EAL and the driver said.
        log: String,
    },
}

impl DeviceError {
    fn new(device: &str, errno: Errno, log: &str) -> Self {
        use nix::libc::{EACCES, EBUSY, EEXIST, ENODEV, ENOENT};
        let device = device.to_owned();
        let cause = last_complaint(log);
        let lower = log.to_lowercase();
        match errno.0 {
            EBUSY | EEXIST => Self::Busy { device, cause },
            _ if lower.contains("resource busy") || lower.contains("already in use") => {
                Self::Busy { device, cause }
            }
            // Not EPERM: it is 1, and many drivers return -1 for whatever went wrong.
            EACCES => Self::Permission { device, cause },
            _ if lower.contains("permission denied")
                || lower.contains("operation not permitted")
                // The driver keeps the reason to itself; there is hardly another one.
                || lower.contains("could not open af_packet socket") =>
            {
                Self::Permission { device, cause }
            }
            ENODEV | ENOENT => Self::Unknown { device, cause },
            _ if lower.contains("cannot find bus")
                || lower.contains("no driver")
                || lower.contains("failed to parse device") =>
            {
                Self::Unknown { device, cause }
            }
            _ => Self::Driver {
                device,
                errno,
                cause,
                log: log.to_owned(),
            },
        }
    }
}

/// A device as the operator writes it, and the port it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device(u16);

impl Device {
    /// Takes up the device that `description` names: a PCI address, or a virtual device with its arguments
    /// (`net_af_packet0,iface=eth0`).
    ///
    /// # Errors
    /// [`DeviceError`], which names cause and remedy.
    pub fn probe(_eal: &Eal, description: &str) -> Result<Self, DeviceError> {
        let text = c_string(description);
        let name = c_string(description.split(',').next().unwrap_or_default());
        let mut log = LogText::new();
        // SAFETY: `text` is terminated and `log` as large as said; the EAL runs, as `_eal` proves.
        let result =
            unsafe { dpdk_sys::shim_dev_probe(text.as_ptr(), log.as_mut_ptr(), log.size()) };
        let log = log.into_string();
        if let Err(errno) = Errno::check(result) {
            return Err(DeviceError::new(description, errno, &log));
        }
        let mut port = 0;
        // SAFETY: `name` is terminated and `port` written on success only.
        match Errno::check(unsafe { dpdk_sys::shim_dev_port(name.as_ptr(), &raw mut port) }) {
            Ok(_) => Ok(Self(port)),
            Err(errno) => Err(DeviceError::new(description, errno, &log)),
        }
    }
}

/// What a driver says of its port.
#[derive(Clone, Debug)]
pub struct PortInfo {
    /// The driver's name.
    pub driver: String,
    /// DPDK's name of the device.
    pub device: String,
    /// The NUMA node it hangs on, or -1.
    pub socket: i32,
    /// The smallest MTU, in octets.
    pub min_mtu: u16,
    /// The largest MTU, in octets.
    pub max_mtu: u16,
    /// The most receive queues.
    pub max_rx_queues: u16,
    /// The most transmit queues.
    pub max_tx_queues: u16,
    /// Whether it can spread packets over queues by their IPv4 addresses.
    pub rss_ipv4: bool,
}

/// By which address packets are spread over receive queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rss {
    /// Not at all, or as the driver pleases.
    None,
    /// Over both addresses.
    Both,
    /// Over the source address, so that one end system's packets keep one order.
    Source,
    /// Over the destination address.
    Destination,
}

/// How a port is to be configured.
#[derive(Clone, Copy, Debug)]
pub struct QueueDemand {
    /// Receive queues.
    pub rx_queues: u16,
    /// Transmit queues.
    pub tx_queues: u16,
    /// Descriptors of each receive queue.
    pub rx_descriptors: u16,
    /// Descriptors of each transmit queue.
    pub tx_descriptors: u16,
    /// The largest IP packet, in octets.
    pub mtu: u16,
    /// How to spread packets over receive queues.
    pub rss: Rss,
}

/// What became of a [`QueueDemand`].
#[derive(Clone, Copy, Debug)]
pub struct PortConfigured {
    /// What the driver agreed to.
    pub rss: Rss,
    /// Descriptors of each receive queue.
    pub rx_descriptors: u16,
    /// Descriptors of each transmit queue.
    pub tx_descriptors: u16,
    /// Whether the driver took the MTU.
    pub mtu_set: bool,
}

/// Why a port could not be configured, started or asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PortError {
    /// More queues are wanted than the port offers.
    #[error(
        "{device} offers {offered} {direction} queues and {wanted} are wanted: \
         use fewer workers, or fewer queues on this port"
    )]
    Queues {
        /// DPDK's name of the device.
        device: String,
        /// `receive` or `transmit`.
        direction: &'static str,
        /// How many it offers.
        offered: u16,
        /// How many are wanted.
        wanted: u16,
    },
    /// A step of the driver failed.
    #[error(
        "{device}: {step} fails ({errno}). The driver may not do what the port's keys ask for (`mtu`, `mac`, `rx-queues`, `rss`) \
         or lack memory for its queues: try with the defaults, and see what it logs with `args = [\"--log-level=pmd:debug\"]` in [eal]"
    )]
    Step {
        /// DPDK's name of the device.
        device: String,
        /// What was being done.
        step: String,
        /// What the driver returned.
        errno: Errno,
    },
}

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whether frames pass.
    pub up: bool,
    /// In Mbit/s, where known.
    pub speed_mbps: Option<u32>,
    /// Whether both directions are used at once.
    pub full_duplex: bool,
    /// Whether the speed was negotiated.
    pub autonegotiated: bool,
}

/// The driver's own counters, since its start or the last [`Port::clear_stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Octets received.
    pub rx_octets: u64,
    /// Octets sent.
    pub tx_octets: u64,
    /// Frames dropped because the receive queue was full.
    pub rx_missed: u64,
    /// Frames received with an error.
    pub rx_errors: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
    /// Receptions that found no packet buffer.
    pub rx_no_mbuf: u64,
}

/// One of a driver's own named counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xstat {
    /// The driver's name for it.
    pub name: String,
    /// Its value.
    pub value: u64,
}

/// A port, owned: dropped it is stopped, closed and taken off its bus.
#[derive(Debug)]
pub struct Port {
    id: u16,
    device: String,
    started: bool,
    /// Queues to be handed out, which refer to the running port, and the descriptors of each transmit queue.
    configured: Option<(u16, u16, u16)>,
}

impl Port {
    /// Takes the port of a probed device.
    ///
    /// # Errors
    /// The driver does not describe it.
    pub fn new(device: Device) -> Result<Self, PortError> {
        let mut port = Self {
            id: device.0,
            device: format!("port {}", device.0),
            started: false,
            configured: None,
        };
        port.device = port.info()?.device;
        Ok(port)
    }

    fn step(&self, step: &str, result: i32) -> Result<(), PortError> {
        match Errno::check(result) {
            Ok(_) => Ok(()),
            Err(errno) => Err(PortError::Step {
                device: self.device.clone(),
                step: step.to_owned(),
                errno,
            }),
        }
    }

    /// DPDK's name of the device.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// What the driver says of the port.
    ///
    /// # Errors
    /// The driver does not say.
    pub fn info(&self) -> Result<PortInfo, PortError> {
        let mut info = dpdk_sys::shim_port_info::default();
        // SAFETY: `info` is written for a port that exists as long as `self` does.
        self.step("asking what it is", unsafe {
            dpdk_sys::shim_port_info(self.id, &raw mut info)
        })?;
        Ok(PortInfo {
            driver: text_of(&info.driver),
            device: text_of(&info.device),
            socket: info.socket,
            min_mtu: info.min_mtu,
            max_mtu: info.max_mtu,
            max_rx_queues: info.max_rx_queues,
            max_tx_queues: info.max_tx_queues,
            rss_ipv4: info.rss_ipv4 != 0,
        })
    }

    /// Configures the port and its queues; frames are received into buffers of `pool`. To be called once, before
    /// [`Port::start`].
    ///
    /// # Errors
    /// Too many queues are wanted, or a step of the driver fails.
    pub fn configure(
        &mut self,
        demand: &QueueDemand,
        pool: &Mempool,
    ) -> Result<PortConfigured, PortError> {
        let info = self.info()?;
        for (direction, offered, wanted) in [
            ("receive", info.max_rx_queues, demand.rx_queues),
            ("transmit", info.max_tx_queues, demand.tx_queues),
        ] {
            if wanted > offered {
                return Err(PortError::Queues {
                    device: info.device,
                    direction,
                    offered,
                    wanted,
                });
            }
        }
        let config = dpdk_sys::shim_port_config {
            rx_queues: demand.rx_queues,
            tx_queues: demand.tx_queues,
            rx_descriptors: demand.rx_descriptors,
            tx_descriptors: demand.tx_descriptors,
            mtu: demand.mtu,
            rss: match demand.rss {
                Rss::None => shim_rss::SHIM_RSS_NONE,
                Rss::Both => shim_rss::SHIM_RSS_BOTH,
                Rss::Source => shim_rss::SHIM_RSS_SOURCE,
                Rss::Destination => shim_rss::SHIM_RSS_DESTINATION,
            },
            pool: pool.as_ptr(),
        };
        let mut done = dpdk_sys::shim_port_configured::default();
        // SAFETY: both structures are read and written as declared. The pool outlives the port: a pool that still has
        // buffers out is never freed, and the driver's buffers return when the port closes.
        let result =
            unsafe { dpdk_sys::shim_port_configure(self.id, &raw const config, &raw mut done) };
        let step = if done.step.is_null() {
            "configuring".into()
        } else {
            // SAFETY: the shim stores string literals.
            unsafe { CStr::from_ptr(done.step) }.to_string_lossy()
        };
        self.step(&step, result)?;
        self.configured = Some((demand.rx_queues, demand.tx_queues, done.tx_descriptors));
        Ok(PortConfigured {
            rss: match done.rss {
                shim_rss::SHIM_RSS_BOTH => Rss::Both,
                shim_rss::SHIM_RSS_SOURCE => Rss::Source,
                shim_rss::SHIM_RSS_DESTINATION => Rss::Destination,
                _ => Rss::None,
            },
            rx_descriptors: done.rx_descriptors,
            tx_descriptors: done.tx_descriptors,
            mtu_set: done.mtu_set != 0,
        })
    }

    /// Starts the port and hands out its queues, each of which one thread may use at a time.
    ///
    /// # Errors
    /// The port is not configured, was started before, or the driver fails.
    pub fn start(&mut self) -> Result<(Vec<RxQueue>, Vec<TxQueue>), PortError> {
        let Some((rx_queues, tx_queues, tx_descriptors)) = self.configured.take() else {
            return self
                .step("starting a port that is not configured", -nix::libc::EINVAL)
                .map(|()| (vec![], vec![]));
        };
        // SAFETY: the port is configured and its queues are set up.
        self.step("starting", unsafe { dpdk_sys::rte_eth_dev_start(self.id) })?;
        self.started = true;
        let receive = (0..rx_queues)
            .map(|queue| RxQueue {
                port: self.id,
                queue,
                _not_sync: PhantomData,
            })
            .collect();
        let transmit = (0..tx_queues)
            .map(|queue| TxQueue {
                port: self.id,
                queue,
                descriptors: tx_descriptors,
                _not_sync: PhantomData,
            })
            .collect();
        Ok((receive, transmit))
    }

    /// The port's Ethernet address.
    ///
    /// # Errors
    /// The driver does not say.
    pub fn mac(&self) -> Result<MacAddr, PortError> {
        let mut mac = rte_ether_addr::default();
        // SAFETY: `mac` is written for a port that exists.
        self.step("asking its address", unsafe {
            dpdk_sys::rte_eth_macaddr_get(self.id, &raw mut mac)
        })?;
        Ok(MacAddr(mac.addr_bytes))
    }

    /// Gives the port another Ethernet address.
    ///
    /// # Errors
    /// The driver cannot.
    pub fn set_mac(&mut self, mac: MacAddr) -> Result<(), PortError> {
        let mut mac = rte_ether_addr { addr_bytes: mac.0 };
        // SAFETY: `mac` is read only.
        self.step("setting its address", unsafe {
            dpdk_sys::rte_eth_dev_default_mac_addr_set(self.id, &raw mut mac)
        })
    }

    /// Receives frames for one more Ethernet address.
    ///
    /// # Errors
    /// The driver has no filter, or no room in it; [`Port::receive_everything`] remains.
    pub fn add_mac(&mut self, mac: MacAddr) -> Result<(), PortError> {
        let mut mac = rte_ether_addr { addr_bytes: mac.0 };
        // SAFETY: `mac` is read only.
        self.step("adding an address", unsafe {
            dpdk_sys::rte_eth_dev_mac_addr_add(self.id, &raw mut mac, 0)
        })
    }

    /// Receives frames for an added Ethernet address no more.
    ///
    /// # Errors
    /// The driver cannot.
    pub fn remove_mac(&mut self, mac: MacAddr) -> Result<(), PortError> {
        let mut mac = rte_ether_addr { addr_bytes: mac.0 };
        // SAFETY: `mac` is read only.
        self.step("removing an address", unsafe {
            dpdk_sys::rte_eth_dev_mac_addr_remove(self.id, &raw mut mac)
        })
    }

    /// Receives every frame, whoever it is for.
    ///
    /// # Errors
    /// The driver cannot.
    pub fn receive_everything(&mut self) -> Result<(), PortError> {
        // SAFETY: sets a mode of a port that exists.
        self.step("receiving everything", unsafe {
            dpdk_sys::rte_eth_promiscuous_enable(self.id)
        })
    }

    /// Receives every multicast frame.
    ///
    /// # Errors
    /// The driver cannot.
    pub fn receive_all_multicast(&mut self) -> Result<(), PortError> {
        // SAFETY: sets a mode of a port that exists.
        self.step("receiving multicast", unsafe {
            dpdk_sys::rte_eth_allmulticast_enable(self.id)
        })
    }

    /// The state of the link, as last heard.
    ///
    /// # Errors
    /// The driver does not say.
    pub fn link(&self) -> Result<Link, PortError> {
        let mut link = dpdk_sys::shim_link::default();
        // SAFETY: `link` is written for a port that exists.
        self.step("asking its link", unsafe {
            dpdk_sys::shim_port_link(self.id, &raw mut link)
        })?;
        Ok(Link {
            up: link.up != 0,
            speed_mbps: (link.speed_mbps != u32::MAX && link.speed_mbps != 0)
                .then_some(link.speed_mbps),
            full_duplex: link.full_duplex != 0,
            autonegotiated: link.autonegotiated != 0,
        })
    }

    /// The driver's counters.
    ///
    /// # Errors
    /// The driver does not count.
    pub fn stats(&self) -> Result<PortStats, PortError> {
        let mut stats = dpdk_sys::rte_eth_stats::default();
        // SAFETY: `stats` is written for a port that exists.
        self.step("reading its counters", unsafe {
            dpdk_sys::rte_eth_stats_get(self.id, &raw mut stats)
        })?;
        Ok(PortStats {
            rx_packets: stats.ipackets,
            tx_packets: stats.opackets,
            rx_octets: stats.ibytes,
            tx_octets: stats.obytes,
            rx_missed: stats.imissed,
            rx_errors: stats.ierrors,
            tx_errors: stats.oerrors,
            rx_no_mbuf: stats.rx_nombuf,
        })
    }

    /// The driver's own named counters; none if it has none.
    #[must_use]
    pub fn xstats(&self) -> Vec<Xstat> {
        // SAFETY: with no room given, the number of counters is returned and nothing written.
        let count = unsafe { dpdk_sys::rte_eth_xstats_get_names(self.id, std::ptr::null_mut(), 0) };
        let Ok(count) = u32::try_from(count) else {
            return Vec::new();
        };
        let mut names = vec![dpdk_sys::rte_eth_xstat_name::default(); count as usize];
        let mut values = vec![dpdk_sys::rte_eth_xstat::default(); count as usize];
        // SAFETY: both arrays have `count` places.
        let written = unsafe {
            let names = dpdk_sys::rte_eth_xstats_get_names(self.id, names.as_mut_ptr(), count);
            names.min(dpdk_sys::rte_eth_xstats_get(
                self.id,
                values.as_mut_ptr(),
                count,
            ))
        };
        // A driver that now has more counters than it said returns their number and writes nothing.
        let written = usize::try_from(written)
            .ok()
            .filter(|&written| written <= names.len())
            .unwrap_or(0);
        values
            .iter()
            .take(written)
            .filter_map(|stat| {
                let name = names.get(usize::try_from(stat.id).ok()?)?;
                Some(Xstat {
                    name: text_of(&name.name),
                    value: stat.value,
                })
            })
            .collect()
    }

    /// Sets the driver's counters to zero, the named ones too.
    pub fn clear_stats(&mut self) {
        // SAFETY: resets counters of a port that exists; a driver that cannot says so and does nothing.
        unsafe {
            dpdk_sys::rte_eth_stats_reset(self.id);
            dpdk_sys::rte_eth_xstats_reset(self.id);
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // SAFETY: queues are used by workers only, which are joined before ports are dropped (see `Dataplane`); a burst
        // on a stopped port is answered by DPDK with nothing done.
        unsafe {
            if self.started {
                dpdk_sys::rte_eth_dev_stop(self.id);
            }
            dpdk_sys::shim_port_remove(self.id);
        }
    }
}

/// A receive queue of a started port.
#[derive(Debug)]
pub struct RxQueue {
    port: u16,
    queue: u16,
    /// One thread at a time: the queue may move to a thread, and is used through `&mut`.
    _not_sync: PhantomData<std::cell::Cell<()>>,
}

impl RxQueue {
    /// Receives up to `max` frames into an empty `burst`; returns how many.
    #[inline]
    pub fn receive(&mut self, burst: &mut Burst, max: usize) -> usize {
        burst.clear();
        let max = max.min(BURST_MAX) as u16;
        // SAFETY: the burst has room for `max`; the queue is this value's alone.
        let received =
            unsafe { dpdk_sys::shim_rx_burst(self.port, self.queue, burst.as_raw(), max) };
        // SAFETY: DPDK initialised the first `received` slots and handed the buffers over.
        unsafe { burst.set_len(usize::from(received)) };
        usize::from(received)
    }
}

/// A transmit queue of a started port.
#[derive(Debug)]
pub struct TxQueue {
    port: u16,
    queue: u16,
    descriptors: u16,
    _not_sync: PhantomData<std::cell::Cell<()>>,
}

impl TxQueue {
    /// How many packets it holds at most.
    #[must_use]
    pub fn descriptors(&self) -> u16 {
        self.descriptors
    }

    /// Whether all that was put into it has been sent; none if the driver does not say.
    #[must_use]
    pub fn is_idle(&self) -> Option<bool> {
        // SAFETY: the queue exists and is this value's alone; a driver that cannot say answers with an error.
        match unsafe { dpdk_sys::shim_tx_idle(self.port, self.queue, self.descriptors) } {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// Sends packets from the front of `burst`, as many as the queue takes; the rest stays in it. Returns how many.
    #[inline]
    pub fn transmit(&mut self, burst: &mut Burst) -> usize {
        if burst.is_empty() {
            return 0;
        }
        let count = burst.len() as u16;
        // SAFETY: the first `count` slots are initialised; the queue is this value's alone.
        let sent = usize::from(unsafe {
            dpdk_sys::shim_tx_burst(self.port, self.queue, burst.as_raw(), count)
        });
        // SAFETY: the driver took over the first `sent`.
        unsafe { burst.forget_front(sent) };
        sent
    }
}
