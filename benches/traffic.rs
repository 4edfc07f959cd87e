//! The frames that the throughput benchmark replays, written as pcap files, and the routes that go with them.
//!
//! Every frame is 60 octets (64 on the wire with its checksum), IPv4 and UDP, with a correct header checksum, from a
//! host of 10.0.0.0/8 to the MAC address that is asked for. Not here: anything about ports or timing.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::Ipv4Addr;
use std::path::Path;

/// Octets of a frame, without the frame check sequence.
pub(crate) const FRAME_OCTETS: usize = 60;

/// One of the two loads of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Load {
    /// 512 packets of 512 source hosts over 16 routes: all that is touched stays in the first caches.
    Small,
    /// 65,536 packets of 65,536 source hosts to 131,072 destinations over 100,000 routes: next to nothing does.
    Large,
}

impl Load {
    /// The name in tables and JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Load::Small => "small",
            Load::Large => "large",
        }
    }

    /// How many frames the file holds, one a source host.
    pub(crate) fn packets(self) -> u32 {
        match self {
            Load::Small => 512,
            Load::Large => 65_536,
        }
    }

    /// The source of packet `index`: host `index` of 10.0.0.0/16.
    pub(crate) fn source(self, index: u32) -> Ipv4Addr {
        Ipv4Addr::from(0x0a00_0000 | (index & 0xffff))
    }

    /// The routes, as network and prefix length.
    ///
    /// Small: 16 of length 24 below 172.16.0.0. Large: 100,000 of length 24 from 20.0.0.0 upward, so that each lies
    /// in a group of the FIB of its own.
    pub(crate) fn routes(self) -> Vec<(Ipv4Addr, u8)> {
        let (first, count) = match self {
            Load::Small => (0xac10_0000_u32, 16),
            Load::Large => (0x1400_0000, 100_000),
        };
        (0..count)
            .map(|route| (Ipv4Addr::from(first + (route << 8)), 24))
            .collect()
    }

    /// The destination of packet `index`, spread over all routes.
    ///
    /// Large draws from 131,072 destinations (hosts 1 and 2 behind 65,536 of the routes, picked by a full-period
    /// multiplicative walk), of which one replay of the file sees 65,536.
    pub(crate) fn destination(self, index: u32) -> Ipv4Addr {
        match self {
            Load::Small => Ipv4Addr::from(0xac10_0001 + ((index % 16) << 8)),
            Load::Large => {
                let walk = index.wrapping_mul(40_503) & 0xffff;
                let route = (u64::from(walk) * 100_000 / 65_536) as u32;
                Ipv4Addr::from(0x1400_0001 + (route << 8) + (index & 1))
            }
        }
    }

    /// Writes the load to `path`, every frame addressed to `to`.
    pub(crate) fn write_pcap(self, path: &Path, to: [u8; 6]) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        // Magic of microsecond stamps, version 2.4, no time zone, no accuracy, snap length, Ethernet.
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
            file.write_all(&word.to_le_bytes())?;
        }
        for index in 0..self.packets() {
            for word in [0, 0, FRAME_OCTETS as u32, FRAME_OCTETS as u32] {
                file.write_all(&word.to_le_bytes())?;
            }
            file.write_all(&self.frame(index, to))?;
        }
        file.flush()
    }

    fn frame(self, index: u32, to: [u8; 6]) -> [u8; FRAME_OCTETS] {
        let mut frame = [0; FRAME_OCTETS];
        frame[..6].copy_from_slice(&to);
        frame[6..12].copy_from_slice(&[2, 0, 0, 1, (index >> 8) as u8, index as u8]);
        frame[12..14].copy_from_slice(&[8, 0]);
        let total = (FRAME_OCTETS - 14) as u16;
        let header = &mut frame[14..34];
        header[0] = 0x45;
        header[2..4].copy_from_slice(&total.to_be_bytes());
        header[4..6].copy_from_slice(&(index as u16).to_be_bytes());
        header[8] = 64;
        header[9] = 17;
        header[12..16].copy_from_slice(&self.source(index).octets());
        header[16..20].copy_from_slice(&self.destination(index).octets());
        let sum: u32 = header
            .chunks(2)
            .map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])))
            .sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        frame[34..36].copy_from_slice(&1024_u16.to_be_bytes());
        frame[36..38].copy_from_slice(&9_u16.to_be_bytes());
        frame[38..40].copy_from_slice(&(total - 20).to_be_bytes());
        frame
    }
}
