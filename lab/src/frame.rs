//! Ethernet frames made to measure, right or wrong in a chosen place. Sending them is `packet_socket.rs`'s business.

use std::net::Ipv4Addr;

/// A link address.
pub type Mac = [u8; 6];

/// Reads a link address as `ip link` prints it.
#[must_use]
pub fn read_mac(text: &str) -> Option<Mac> {
    let mut octets = text
        .trim()
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16).ok());
    let mac = std::array::from_fn(|_| octets.next().flatten());
    let [Some(a), Some(b), Some(c), Some(d), Some(e), Some(f)] = mac else {
        return None;
    };
    octets.next().is_none().then_some([a, b, c, d, e, f])
}

/// A frame with an IPv4 packet in it. What is not given is computed, and right.
#[derive(Clone, Debug)]
pub struct Ipv4Frame {
    /// Who is to receive the frame.
    pub to_mac: Mac,
    /// Who sends it.
    pub from_mac: Mac,
    /// The packet's source.
    pub from: Ipv4Addr,
    /// Its destination.
    pub to: Ipv4Addr,
    /// Its time to live.
    pub ttl: u8,
    /// Its protocol number.
    pub protocol: u8,
    /// Its identification.
    pub identification: u16,
    /// Flags and fragment offset, as they stand in the header.
    pub fragment: u16,
    /// Options; a multiple of four octets.
    pub options: Vec<u8>,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// Octets before the IPv4 header.
pub const ETHERNET_OCTETS: usize = 14;
/// Flag "don't fragment" in [`Ipv4Frame::fragment`].
pub const DONT_FRAGMENT: u16 = 0x4000;
/// Flag "more fragments" in [`Ipv4Frame::fragment`].
pub const MORE_FRAGMENTS: u16 = 0x2000;
/// Protocol number of UDP.
pub const UDP: u8 = 17;

impl Ipv4Frame {
    /// A UDP datagram without a UDP checksum, which RFC 768 allows.
    #[must_use]
    pub fn udp(
        to_mac: Mac,
        from_mac: Mac,
        from: (Ipv4Addr, u16),
        to: (Ipv4Addr, u16),
        data: &[u8],
    ) -> Self {
        let mut payload = Vec::with_capacity(8 + data.len());
        payload.extend(from.1.to_be_bytes());
        payload.extend(to.1.to_be_bytes());
        // A datagram longer than the field can say has a wrong length in it; that is the maker's wish.
        payload.extend(((8 + data.len()) as u16).to_be_bytes());
        payload.extend([0, 0]);
        payload.extend(data);
        Self {
            to_mac,
            from_mac,
            from: from.0,
            to: to.0,
            ttl: 64,
            protocol: UDP,
            identification: 0,
            fragment: 0,
            options: Vec::new(),
            payload,
        }
    }

    /// The octets, from the destination MAC to the end of the packet.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        let header_octets = 20 + self.options.len();
        let mut frame = Vec::with_capacity(ETHERNET_OCTETS + header_octets + self.payload.len());
        frame.extend(self.to_mac);
        frame.extend(self.from_mac);
        frame.extend([0x08, 0x00]);
        frame.extend([0x40 | (header_octets / 4) as u8, 0]);
        frame.extend(((header_octets + self.payload.len()) as u16).to_be_bytes());
        frame.extend(self.identification.to_be_bytes());
        frame.extend(self.fragment.to_be_bytes());
        frame.extend([self.ttl, self.protocol, 0, 0]);
        frame.extend(self.from.octets());
        frame.extend(self.to.octets());
        frame.extend(&self.options);
        frame.extend(&self.payload);
        fill_header_checksum(&mut frame);
        frame
    }
}

/// Makes the IPv4 header checksum of a frame right again after something in the header was changed. A header that says
/// to be longer than the frame is summed up as far as there is one.
pub fn fill_header_checksum(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(ETHERNET_OCTETS..) else {
        return;
    };
    let header_octets = packet
        .first()
        .map_or(0, |first| usize::from(first & 0x0f) * 4)
        .min(packet.len());
    if header_octets < 12 {
        return;
    }
    packet[10..12].fill(0);
    let checksum = !sum(&packet[..header_octets]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// The Internet checksum's sum (RFC 1071): all ones over octets that carry a right checksum.
#[must_use]
pub fn sum(octets: &[u8]) -> u16 {
    let words = octets
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_address_is_read_as_ip_prints_it() {
        assert_eq!(
            read_mac("02:00:5e:10:0a:ff\n"),
            Some([2, 0, 0x5e, 0x10, 0x0a, 0xff])
        );
        for wrong in [
            "",
            "02:00:5e:10:0a",
            "02:00:5e:10:0a:ff:01",
            "02:00:5e:10:0a:gg",
        ] {
            assert_eq!(read_mac(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_frame_has_the_lengths_and_the_checksum_of_what_is_in_it() {
        let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let mut made = Ipv4Frame::udp([1; 6], [2; 6], (a, 1), (b, 2), b"abcd");
        made.options = vec![1; 4];
        let frame = made.octets();
        assert_eq!(frame.len(), 14 + 24 + 8 + 4);
        assert_eq!(frame[14], 0x46);
        assert_eq!(frame[16..18], [0, 36]);
        assert_eq!(sum(&frame[14..38]), 0xffff);
    }

    #[test]
    fn a_checksum_of_a_header_that_is_not_there_is_not_filled() {
        for length in 0..=ETHERNET_OCTETS + 11 {
            let mut frame = vec![0x4f; length];
            let before = frame.clone();
            fill_header_checksum(&mut frame);
            assert_eq!(frame, before, "{length} octets");
        }
    }
}
