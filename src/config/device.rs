//! What a port is made of: a PCI device, or one of DPDK's virtual devices with its arguments.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

use super::machine::Machine;
use super::mistake::Mistake;

/// A device as DPDK names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Device {
    /// A PCI address, domain included: `0000:03:00.0`.
    Pci(String),
    /// A virtual device.
    Virtual {
        /// Driver and number, as in `net_af_packet0`.
        name: String,
        /// What the driver is told, as in `iface=veth0`; empty for nothing.
        arguments: String,
    },
}

/// Why a text names no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ParseDeviceError {
    /// Neither form.
    #[error("neither a PCI address nor a virtual device, whose name starts with net_")]
    Neither,
    /// A virtual device without its number.
    #[error("a virtual device's name ends in a number, as in net_null0")]
    Number,
}

impl Device {
    /// The name under which DPDK knows the port.
    pub fn name(&self) -> &str {
        match self {
            Self::Pci(address) => address,
            Self::Virtual { name, .. } => name,
        }
    }

    /// The value of one of a virtual device's arguments.
    pub fn argument(&self, key: &str) -> Option<&str> {
        let Self::Virtual { arguments, .. } = self else {
            return None;
        };
        arguments
            .split(',')
            .filter_map(|argument| argument.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// The kernel's interface that the device opens, if it opens one.
    pub fn kernel_interface(&self) -> Option<&str> {
        match self.driver()? {
            "net_af_packet" | "net_af_xdp" | "net_pcap" => self.argument("iface"),
            _ => None,
        }
    }

    fn driver(&self) -> Option<&str> {
        match self {
            Self::Pci(_) => None,
            Self::Virtual { name, .. } => Some(name.trim_end_matches(|c: char| c.is_ascii_digit())),
        }
    }

    /// Whether the machine has what the device needs.
    pub(super) fn check(&self, machine: &Machine) -> Result<(), Mistake> {
        match self {
            Self::Pci(address) => check_pci(address, machine),
            Self::Virtual { .. } => {
                self.check_interface(machine)?;
                self.check_capture()
            }
        }
    }

    fn check_interface(&self, machine: &Machine) -> Result<(), Mistake> {
        let (Some(wanted), Some(present)) = (self.kernel_interface(), &machine.interfaces) else {
            return Ok(());
        };
        if present.contains(wanted) {
            return Ok(());
        }
        let present = present.iter().map(String::as_str).collect::<Vec<_>>();
        Err(Mistake::new(
            format!("there is no interface {wanted} here"),
            format!(
                "create it (`ip link add {wanted} …`), run in its network namespace, or name one of {}",
                present.join(", ")
            ),
        ))
    }

    fn check_capture(&self) -> Result<(), Mistake> {
        match self.argument("rx_pcap") {
            Some(file) if !Path::new(file).is_file() => Err(Mistake::new(
                format!("there is no capture file {file}"),
                "name a pcap file that exists",
            )),
            _ => Ok(()),
        }
    }
}

/// Kernel drivers under which DPDK can use a PCI device: those that hand it over, and those it works beside.
const PCI_DRIVERS: [&str; 6] = [
    "vfio-pci",
    "igb_uio",
    "uio_pci_generic",
    "mlx4_core",
    "mlx5_core",
    "mana",
];

fn check_pci(address: &str, machine: &Machine) -> Result<(), Mistake> {
    let Some(devices) = &machine.pci else {
        return Ok(());
    };
    let Some(driver) = devices.get(address) else {
        return Err(Mistake::new(
            format!("there is no PCI device {address}"),
            "see `dpdk-devbind.py --status-dev net` for those that there are",
        ));
    };
    let bind = format!("bind it first: `dpdk-devbind.py --bind vfio-pci {address}`");
    match driver.as_deref() {
        Some(driver) if PCI_DRIVERS.contains(&driver) => Ok(()),
        Some(driver) => Err(Mistake::new(
            format!("PCI device {address} is in the hands of the kernel's driver {driver}"),
            bind,
        )),
        None => Err(Mistake::new(
            format!("PCI device {address} is bound to no driver"),
            bind,
        )),
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pci(address) => f.write_str(address),
            Self::Virtual { name, arguments } if arguments.is_empty() => f.write_str(name),
            Self::Virtual { name, arguments } => write!(f, "{name},{arguments}"),
        }
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Device {
    type Err = ParseDeviceError;

    fn from_str(text: &str) -> Result<Self, ParseDeviceError> {
        if let Some(address) = pci_address(text) {
            return Ok(Self::Pci(address));
        }
        let (name, arguments) = text.split_once(',').unwrap_or((text, ""));
        let plain = name
            .bytes()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
        if !plain || !(name.starts_with("net_") || name.starts_with("eth_")) {
            return Err(ParseDeviceError::Neither);
        }
        if !name.ends_with(|c: char| c.is_ascii_digit()) {
            return Err(ParseDeviceError::Number);
        }
        Ok(Self::Virtual {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        })
    }
}

/// `text` with its domain, if it is a PCI address with or without one.
fn pci_address(text: &str) -> Option<String> {
    let hexadecimal =
        |part: &str, len: usize| part.len() == len && part.bytes().all(|c| c.is_ascii_hexdigit());
    let (slot, function) = text.rsplit_once('.')?;
    let parts: Vec<&str> = slot.split(':').collect();
    let (domain, bus, device) = match parts[..] {
        [bus, device] => ("0000", bus, device),
        [domain, bus, device] => (domain, bus, device),
        _ => return None,
    };
    (hexadecimal(domain, 4)
        && hexadecimal(bus, 2)
        && hexadecimal(device, 2)
        && hexadecimal(function, 1))
    .then(|| format!("{domain}:{bus}:{device}.{function}").to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_a_pci_address_or_a_virtual_device_with_arguments() {
        assert_eq!(
            "03:00.1".parse(),
            Ok(Device::Pci("0000:03:00.1".to_owned()))
        );
        assert_eq!(
            "0000:AF:00.0".parse(),
            Ok(Device::Pci("0000:af:00.0".to_owned()))
        );
        let device: Device = "net_af_packet0,iface=veth0,qpairs=2".parse().unwrap();
        assert_eq!(device.name(), "net_af_packet0");
        assert_eq!(device.kernel_interface(), Some("veth0"));
        assert_eq!(device.to_string(), "net_af_packet0,iface=veth0,qpairs=2");
        let tap: Device = "net_tap0,iface=made".parse().unwrap();
        assert_eq!(tap.kernel_interface(), None);
    }

    #[test]
    fn what_names_no_device_is_refused() {
        for text in [
            "",
            "eth0",
            "veth0",
            "03:00",
            "3:0.0",
            "0000:03:00.00",
            "net_,",
            "net null0",
        ] {
            assert!(text.parse::<Device>().is_err(), "{text:?}");
        }
        assert_eq!("net_null".parse::<Device>(), Err(ParseDeviceError::Number));
    }
}
