//! Configurations right and wrong: what each says, and where each mistake is found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use proptest::prelude::*;

use super::*;

/// A machine of four processors, with the interfaces and devices that the examples name.
fn machine() -> Machine {
    let driver = |name: &str| Some(name.to_owned());
    Machine {
        cpus: Some(BTreeSet::from([0, 1, 2, 3, 9])),
        scheduled: Some(BTreeSet::from([0, 1, 2, 3])),
        interfaces: Some(BTreeSet::from(["lo", "veth0", "veth1"].map(str::to_owned))),
        pci: Some(BTreeMap::from([
            ("0000:03:00.0".to_owned(), driver("vfio-pci")),
            ("0000:03:00.1".to_owned(), driver("ixgbe")),
        ])),
    }
}

const RIGHT: &str = r#"
[eal]
file-prefix = "r1"
huge-pages = "off"
memory-mib = 512

[workers]
cpus = [1, 2]
idle-sleep = "50us"

[[port]]
name = "lan"
device = "net_af_packet0,iface=veth0"
addresses = ["192.0.2.2/24", "192.0.2.3/24"]
mac = "02:00:00:00:00:01"

[[port]]
name = "wan"
device = "03:00.0"
addresses = ["198.51.100.2/30"]
mtu = 9000

[[route]]
prefix = "0.0.0.0/0"
via = "198.51.100.1"

[[route]]
prefix = "203.0.113.0/24"
unreachable = true

[[virtual-router]]
vrid = 7
port = "lan"
virtual-addresses = ["192.0.2.1"]
advertisement-interval = "10ms"
track = [{ port = "wan", weight = -50 }, { address = "198.51.100.1" }]
"#;

fn problems(text: &str) -> Vec<Problem> {
    match Config::parse("test.toml", text, &machine()) {
        Ok(config) => panic!("no mistake found in:\n{text}\n{config:?}"),
        Err(problems) => problems,
    }
}

#[test]
fn a_right_file_is_read_with_every_default_filled_in() {
    let config = Config::parse("test.toml", RIGHT, &machine()).unwrap_or_else(|problems| {
        panic!("{}", LoadError::Mistakes(problems));
    });
    assert_eq!(config.workers.count.value, 2);
    assert_eq!(config.workers.burst_size, 64);
    assert_eq!(config.ports[0].mtu, 1500);
    assert_eq!(config.ports[1].device.name(), "0000:03:00.0");
    assert_eq!(config.control.socket, Path::new(DEFAULT_SOCKET));
    let protocol = config.virtual_routers[0].protocol().unwrap();
    assert_eq!(protocol.priority, 100);
    protocol.validate([192, 0, 2, 2].into()).unwrap();
    crate::control::plan::check(&config).unwrap();
}

#[test]
fn what_a_configuration_serializes_to_reads_back_as_the_same() {
    let config = Config::parse("test.toml", RIGHT, &machine()).unwrap();
    let text = toml::to_string(&config).unwrap();
    let again = Config::parse("again.toml", &text, &machine()).unwrap_or_else(|problems| {
        panic!("{text}\n{}", LoadError::Mistakes(problems));
    });
    assert_eq!(config, again);
}

#[test]
fn a_password_is_not_shown() {
    let text = RIGHT.replace("vrid = 7", "vrid = 7\nversion = 2\npassword = \"opensesa\"");
    let text = text.replace("advertisement-interval = \"10ms\"\n", "");
    let config = Config::parse("test.toml", &text, &machine()).unwrap();
    let shown = toml::to_string(&config).unwrap();
    assert!(shown.contains("password = \"********\""), "{shown}");
    assert!(!shown.contains("opensesa"));
}

/// The example with a group that shares its load, authenticated with what `keys` says.
fn sharing(keys: &str) -> String {
    format!(
        "{RIGHT}[virtual-router.load-sharing]\n{keys}\nend-systems = [\"192.0.2.17\", \"192.0.2.64/30\"]\n\
         node = [{{ address = \"192.0.2.9\", end-systems = [\"10.1.0.0/31\"] }}]\n"
    )
}

#[test]
fn a_group_that_shares_its_load_is_read_with_every_default_filled_in() {
    let text = sharing("authentication = \"none\"");
    let config = Config::parse("test.toml", &text, &machine()).unwrap_or_else(|problems| {
        panic!("{}", LoadError::Mistakes(problems));
    });
    crate::control::plan::check(&config).unwrap();
    let sharing = config.virtual_routers[0].load_sharing.as_ref().unwrap();
    assert_eq!(sharing.mode, vrrpd::sharing::names::Mode::Sequence);
    assert_eq!(sharing.weight, 100);
    let address = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap();
    let systems: Vec<_> = sharing.end_systems().collect();
    assert_eq!(
        systems,
        [
            (address("192.0.2.17"), None),
            (address("192.0.2.65"), None),
            (address("192.0.2.66"), None),
            (address("10.1.0.0"), Some(address("192.0.2.9"))),
            (address("10.1.0.1"), Some(address("192.0.2.9"))),
        ]
    );
    let again = toml::to_string(&config).unwrap();
    let again = Config::parse("again.toml", &again, &machine()).unwrap_or_else(|problems| {
        panic!("{again}\n{}", LoadError::Mistakes(problems));
    });
    assert_eq!(config, again);
}

#[test]
fn secrets_are_read_from_the_file_or_another_and_never_shown() {
    let path = std::env::temp_dir().join(format!("manifold-secret-{}", std::process::id()));
    fs::write(&path, "another secret of many octets\n").unwrap();
    let keys = format!(
        "keys = [{{ id = 1, secret = \"a secret of sixteen octets\" }}, {{ id = 2, secret-file = \"{}\" }}]",
        path.display()
    );
    let config = Config::parse("test.toml", &sharing(&keys), &machine());
    fs::remove_file(&path).unwrap();
    let config = config.unwrap();
    let shown = toml::to_string(&config).unwrap() + &format!("{config:?}");
    assert!(shown.contains("secret = \"********\""), "{shown}");
    assert!(!shown.contains("octets\""), "{shown}");
    let keys = |config: &Config| {
        let sharing = config.virtual_routers[0].load_sharing.as_ref();
        sharing.unwrap().keys.keys.clone()
    };
    let written = "keys = [{ id = 2, secret = \"another secret of many octets\" }]";
    let written = Config::parse("test.toml", &sharing(written), &machine()).unwrap();
    let (both, written) = (keys(&config), keys(&written));
    assert_eq!(both[1].secret, written[0].secret);
    assert_ne!(both[0].secret, written[0].secret);
}

/// A wrong configuration: what it replaces in the right one and by what; the text that the mistake stands at; and parts
/// of the cause and of the remedy.
struct Wrong(
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

#[rustfmt::skip] // One line each, to be read as a table.
const WRONG: &[Wrong] = &[
    Wrong("mtu = 9000", "mtv = 9000", "mtv", "unknown key `mtv` in [[port]]", "did you mean `mtu`?"),
    Wrong("mtu = 9000", "colour = 1", "colour", "unknown key `colour`", "knows `name`, `device`"),
    Wrong("[eal]", "[eel]", "eel", "unknown table `eel`", "did you mean `eal`?"),
    Wrong("name = \"wan\"", "name = \"lan\"", "\"lan\"\ndevice = \"03", "two ports are called \"lan\"", "name of its own"),
    Wrong("name = \"wan\"", "", "[[port]]\n\ndevice", "this [[port]] has no `name`", "add a line such as `name = \"lan\"`"),
    Wrong("name = \"wan\"", "name = \"1\"", "\"1\"", "cannot be the name of a port", "a letter first"),
    Wrong("\"03:00.0\"", "\"net_af_packet0,iface=veth1\"", "\"net_af_packet0,iface=veth1\"", "device net_af_packet0 is port \"lan\" already", "device of its own"),
    Wrong("\"03:00.0\"", "\"net_af_packet1,iface=veth0\"", "\"net_af_packet1,iface=veth0\"", "interface veth0 is port \"lan\" already", "interface of its own"),
    Wrong("iface=veth0", "iface=eth9", "\"net_af_packet0,iface=eth9\"", "there is no interface eth9 here", "ip link add eth9"),
    Wrong("\"03:00.0\"", "\"04:00.0\"", "\"04:00.0\"", "there is no PCI device 0000:04:00.0", "dpdk-devbind.py --status-dev net"),
    Wrong("\"03:00.0\"", "\"03:00.1\"", "\"03:00.1\"", "in the hands of the kernel's driver ixgbe", "--bind vfio-pci 0000:03:00.1"),
    Wrong("\"03:00.0\"", "\"eth0\"", "\"eth0\"", "neither a PCI address nor a virtual device", "net_af_packet0,iface=veth0"),
    Wrong("\"03:00.0\"", "\"net_pcap0,rx_pcap=/none.pcap\"", "\"net_pcap0,rx", "no capture file /none.pcap", "that exists"),
    Wrong("02:00:00:00:00:01", "02:00:00:00:00", "\"02:00:00:00:00\"", "is not a MAC address", "02:00:00:00:00:01"),
    Wrong("02:00:00:00:00:01", "01:00:00:00:00:01", "\"01:00", "not the address of one station", "even first octet"),
    Wrong("\"198.51.100.2/30\"", "\"198.51.100.2/30\", \"192.0.2.2/24\"", "\"192.0.2.2/24\"]", "192.0.2.2 is an address of port \"lan\" already", "to one port, once"),
    Wrong("\"198.51.100.2/30\"", "\"198.51.100.2/30\", \"192.0.2.130/25\"", "\"192.0.2.130/25\"", "192.0.2.128/25 overlaps 192.0.2.0/24 of port \"lan\"", "at one port only"),
    Wrong("198.51.100.2/30", "198.51.100.2/33", "\"198.51.100.2/33\"", "a number from 0 to 32", "192.0.2.1/24"),
    Wrong("198.51.100.2/30", "198.51.100.2", "\"198.51.100.2\"", "an address and a length", "192.0.2.1/24"),
    Wrong("198.51.100.2/30", "198.51.100.0/30", "\"198.51.100.0/30\"", "is the network address of 198.51.100.0/30", "between 198.51.100.1 and 198.51.100.2"),
    Wrong("198.51.100.2/30", "198.51.100.3/30", "\"198.51.100.3/30\"", "is the broadcast address", "between 198.51.100.1 and 198.51.100.2"),
    Wrong("198.51.100.2/30", "100.0.0.2/7", "\"100.0.0.2/7\"", "100.0.0.0/7 is too large for a connected network", "/8 or longer"),
    Wrong("198.51.100.2/30", "224.0.0.5/30", "\"224.0.0.5/30\"", "not the address of a host", "unicast address"),
    Wrong("mtu = 9000", "mtu = 67", "67", "`mtu`: 67 is out of range", "choose 68 to 9600 octets"),
    Wrong("mtu = 9000", "mtu = \"9000\"", "\"9000\"", "expected an integer, found a string", "write an integer"),
    Wrong("mtu = 9000", "rx-queues = 3", "3\n\n[[route]]", "3 receive queues, but only 2", "`count` of [workers]"),
    Wrong("mtu = 9000", "rss = \"sauce\"", "\"sauce\"", "is none of \"none\", \"both\", \"source\", \"destination\"", "did you mean \"source\"?"),
    Wrong("via = \"198.51.100.1\"", "via = \"203.0.113.1\"", "\"203.0.113.1\"", "gateway 203.0.113.1 is in no connected prefix", "in the prefix of one of the ports"),
    Wrong("via = \"198.51.100.1\"", "via = \"198.51.100.2\"", "\"198.51.100.2\"", "is this router itself", "another router"),
    Wrong("via = \"198.51.100.1\"", "via = \"192.0.2.1\"", "\"192.0.2.1\"\n", "gateway 192.0.2.1 is a virtual address of this router itself, of VRID 7", "another router's own address"),
    Wrong("via = \"198.51.100.1\"", "via = \"198.51.100.1\"\nport = \"lan\"", "\"lan\"\n\n[[route]]", "is at port \"wan\", not at \"lan\"", "leave `port` out"),
    Wrong("via = \"198.51.100.1\"", "via = \"198.51.100.1\"\nblackhole = true", "true\n\n[[route]]", "via and blackhole at once", "keep one"),
    Wrong("via = \"198.51.100.1\"", "", "[[route]]\nprefix = \"0.0.0.0/0\"", "leads nowhere", "blackhole = true"),
    Wrong("via = \"198.51.100.1\"", "port = \"lan\"", "\"0.0.0.0/0\"", "0.0.0.0/0 is too large for a connected network", "a gateway for all beyond"),
    Wrong("via = \"198.51.100.1\"", "port = \"lam\"", "\"lam\"", "no port is called \"lam\"", "did you mean \"lan\"?"),
    Wrong("prefix = \"0.0.0.0/0\"", "prefix = \"10.0.0.1/8\"", "\"10.0.0.1/8\"", "has bits set behind its length", "write \"10.0.0.0/8\""),
    Wrong("prefix = \"0.0.0.0/0\"", "prefix = \"192.0.2.0/24\"", "\"192.0.2.0/24\"", "connected at port \"lan\" already", "remove the route"),
    Wrong("prefix = \"0.0.0.0/0\"", "prefix = \"203.0.113.0/24\"", "\"203.0.113.0/24\"\nunreachable", "two routes to 203.0.113.0/24", "keep one"),
    Wrong("unreachable = true", "unreachable = false", "false", "says nothing", "write `true`"),
    Wrong("cpus = [1, 2]", "cpus = [1, 2]\ncount = 3", "3\n", "3 workers, but `cpus` names 2", "leave `count` out"),
    Wrong("cpus = [1, 2]", "cpus = [1, 1]", "1]", "processor 1 is given to two workers", "once"),
    Wrong("cpus = [1, 2]", "cpus = [1, 7]", "7]", "may not run on processor 7", "choose from 0, 1, 2, 3, 9"),
    Wrong("cpus = [1, 2]\nidle-sleep = \"50us\"", "count = 5", "5\n", "5 workers poll without a pause", "lower `count`"),
    Wrong("cpus = [1, 2]", "cpus = 2", "2\nidle", "is a integer, not an array", "brackets"),
    Wrong("idle-sleep = \"50us\"", "idle-sleep = 50", "50", "expected a duration", "\"10ms\""),
    Wrong("idle-sleep = \"50us\"", "idle-sleep = \"50\"", "\"50\"", "\"50\" is not a duration", "us, ms, s, min"),
    Wrong("idle-sleep = \"50us\"", "idle-sleep = \"1s\"", "\"1s\"", "out of range", "choose 0s to 10ms"),
    Wrong("idle-sleep = \"50us\"", "idle-sleep = \"5ms\"", "\"10ms\"", "sleep for 5ms when idle", "be 2ms at most"),
    Wrong("memory-mib = 512", "args = [\"--vdev=net_null0\"]", "\"--vdev", "--vdev follows from other keys", "`device` of [[port]]"),
    Wrong("memory-mib = 512", "[control]\nsocket = \"run/x\"", "\"run/x\"", "no absolute path", "whole path"),
    Wrong("vrid = 7", "vrid = 0", "0\nport", "`vrid`: 0 is out of range", "choose 1 to 255"),
    Wrong("vrid = 7", "vrid = 256", "256", "`vrid`: 256 is out of range", "choose 1 to 255"),
    Wrong("[[virtual-router]]", "[[virtual-router]]\nvrid = 7\nport = \"lan\"\nvirtual-addresses = [\"192.0.2.9\"]\n[[virtual-router]]", "7\nport = \"lan\"\nvirtual-addresses = [\"192.0.2.1\"]", "two virtual routers with VRID 7 on port \"lan\"", "VRID of its own"),
    Wrong("port = \"lan\"\nvirtual", "port = \"lab\"\nvirtual", "\"lab\"", "no port is called \"lab\"", "did you mean \"lan\"?"),
    Wrong("[\"192.0.2.1\"]", "[\"198.51.100.1\"]", "\"198.51.100.1\"]", "outside the prefix of port \"lan\", 192.0.2.0/24", "a neighbour's"),
    Wrong("[\"192.0.2.1\"]", "[\"192.0.2.255\"]", "\"192.0.2.255\"", "is the broadcast address", "between 192.0.2.1"),
    Wrong("[\"192.0.2.1\"]", "[\"192.0.2.1\", \"192.0.2.1\"]", "\"192.0.2.1\"]\nadv", "192.0.2.1 is given twice", "once"),
    Wrong("vrid = 7", "vrid = 7\nunicast-peers = [\"224.0.0.1\"]", "\"224.0.0.1\"", "224.0.0.1 is not the address of a host", "unicast address"),
    Wrong("vrid = 7", "vrid = 7\nunicast-peers = [\"0.0.0.0\"]", "\"0.0.0.0\"]", "0.0.0.0 is not the address of a host", "unicast address"),
    Wrong("vrid = 7", "vrid = 7\nunicast-peers = [\"192.0.2.255\"]", "\"192.0.2.255\"", "the broadcast address of 192.0.2.0/24", "between 192.0.2.1"),
    Wrong("vrid = 7", "vrid = 7\nunicast-peers = [\"192.0.2.3\"]", "\"192.0.2.3\"]\nport", "peer 192.0.2.3 is this router itself", "the other routers only"),
    Wrong("vrid = 7", "vrid = 7\nunicast-peers = [\"192.0.2.1\"]", "\"192.0.2.1\"]\nport", "is given twice", "as virtual address or as peer"),
    Wrong("[[virtual-router]]", "[[virtual-router]]\nvrid = 8\nport = \"lan\"\nvirtual-addresses = [\"192.0.2.9\", \"192.0.2.1\"]\n[[virtual-router]]", "\"192.0.2.1\"]\nadv", "192.0.2.1 is a virtual address of VRID 8 on port \"lan\" already", "to one virtual router"),
    Wrong("[\"192.0.2.1\"]", "[]", "[[virtual-router]]", "has no `virtual-addresses`", "\"192.0.2.1\""),
    Wrong("[\"192.0.2.1\"]", "[\"192.0.2.2\"]", "\"192.0.2.2\"]", "makes it the owner", "priority = 255"),
    Wrong("vrid = 7", "vrid = 7\npriority = 255", "255\nport", "255 is for the owner", "choose 1 to 254"),
    Wrong("vrid = 7", "vrid = 7\npriority = 0", "0\nport", "`priority`: 0 is out of range", "choose 1 to 255"),
    Wrong("\"10ms\"", "\"41s\"", "\"41s\"", "version 3 cannot say an interval of 41s", "from 10ms to 40950ms"),
    Wrong("\"10ms\"", "\"0s\"", "\"0s\"", "cannot say an interval of 0s", "from 10ms"),
    Wrong("\"10ms\"", "\"15ms\"", "\"15ms\"", "cannot say an interval of 15ms", "hundredths of a second"),
    Wrong("\"10ms\"", "\"1500ms\"\nversion = 2", "\"1500ms\"", "version 2 cannot say an interval of 1500ms", "whole seconds from 1s to 255s"),
    Wrong("vrid = 7", "vrid = 7\npassword = \"secret\"", "\"secret\"", "version 3 has no password", "version = 2"),
    Wrong("port = \"wan\", weight = -50", "port = \"wam\"", "\"wam\"", "no port is called \"wam\"", "did you mean \"wan\"?"),
    Wrong("port = \"wan\", weight = -50", "port = \"wan\", weight = 0", "0 }", "weight of 0", "leave `weight` out"),
    Wrong("port = \"wan\", weight = -50", "port = \"wan\", fall = 2", "2 }, {", "a port's link is not asked", "remove this"),
    Wrong("port = \"wan\", weight = -50", "weight = 5", "{ weight = 5", "watches nothing", "either `port"),
    Wrong("port = \"wan\", weight = -50", "port = \"wan\" }, { port = \"wan\"", "\"wan\" }, { address", "wan is watched twice", "keep one"),
    Wrong("vrid = 7", "vrid = 7\nnotify = [\"notify.sh\"]", "\"notify.sh\"", "no absolute path", "without a shell"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = {}", "{}", "has no `keys`", "authentication = \"none\""),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { keys = [{ id = 1, secret = \"short\" }] }", "\"short\"", "5 octets can be guessed", "at least 16"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { keys = [{ id = 0, secret = \"0123456789abcdef\" }] }", "0, sec", "`id`: 0 is out of range", "1 to 255"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { keys = [{ id = 1 }] }", "{ id = 1", "has no `secret`", "secret-file"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { keys = [{ id = 1, secret-file = \"/none.key\" }] }", "\"/none.key\"", "cannot read /none.key", "may read"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { keys = [{ id = 1, secret-file = \"/dev/zero\" }] }", "\"/dev/zero\"", "cannot read /dev/zero: it is no regular file", "may read"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { keys = [{ id = 1, secret = \"0123456789abcdef\" }], authentication = \"none\" }", "\"none\"", "no authentication is wanted", "keep either"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { keys = [{ id = 1, secret = \"0123456789abcdef\" }, { id = 1, secret = \"0123456789abcdef\" }] }", "1, secret = \"0123456789abcdef\" }]", "two keys with the id 1", "id of its own"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", mode = \"sequenz\" }", "\"sequenz\"", "is none of \"sequence\", \"timer\"", "did you mean \"sequence\"?"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", delivery = \"steer\" }", "\"steer\"", "is none of \"flood\"", "choose one of \"flood\""),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", recording-room = 65537 }", "65537", "`recording-room`: 65537 is out of range", "choose 64 to 65536 packets"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", router-id = \"0.0.0.0\" }", "\"0.0.0.0\" }", "names no router", "leave `router-id` out"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", plain-members = [\"198.51.100.1\"] }", "\"198.51.100.1\"] }", "in no prefix of port \"lan\"", "on this link"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", end-systems = [\"10.0.0.1\"] }", "\"10.0.0.1\"", "in no prefix of port \"lan\"", "behind a further router"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", end-systems = [\"10.0.0.0/8\"] }", "\"10.0.0.0/8\"", "more hosts than", "/12 or longer"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", end-systems = [\"192.0.2.9\", \"192.0.2.8/29\"] }", "\"192.0.2.8/29\"", "192.0.2.9 is given twice", "each end system once"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", end-systems-max = 4, end-systems = [\"192.0.2.8/29\"] }", "\"192.0.2.8/29\"", "more end systems than `end-systems-max`, 4", "raise"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", node = [{ address = \"192.0.2.9\", end-systems = [\"224.0.0.1\"] }] }", "\"224.0.0.1\"", "224.0.0.1 is no host's address", "that hosts have"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", review-hold = \"1s\" }", "\"1s\" }", "shorter than `review-window`, 10s", "as long as the window"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", tolerance-percent = 20 }", "20 }", "not less than `review-difference-percent`, 20", "raise the difference"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", node = [{ end-systems = [] }] }", "{ end-systems", "has no `address`", "\"192.0.2.9\""),
    Wrong("[\"192.0.2.1\"]\n", "[\"192.0.2.2\"]\npriority = 255\nload-sharing = { authentication = \"none\", role = \"substitution-server\" }\n", "255\nload", "never is master", "1 to 254"),
    Wrong("vrid = 7", "vrid = 7\nload-sharing = { authentication = \"none\", role = \"server\" }", "\"server\"", "server", "substitution-server"),
    Wrong("vrid = 7", "vrid = 7\nsource-mac = \"virtual\"\nload-sharing = { authentication = \"none\" }", "\"virtual\"\nload", "deliver everything to one router", "remove `source-mac`"),
    Wrong("[workers]", "[[workers]]", "[[workers]]", "there is only one [workers]", "write `[workers]`"),
    Wrong("[workers]", "[log]\nlevel = \"loud\"\n[workers]", "\"loud\"", "none of \"error\", \"warn\"", "choose one of"),
    Wrong("name = \"wan\"", "name = wan", "wan\n", "not TOML", "strings in quotation marks"),
    Wrong("mtu = 9000", "mtu = 9000\nmtu = 1500", "mtu = 1500", "duplicate key", "keep one"),
];

/// Why the wrong configuration is not found out as it says, if it is not.
fn complaint(Wrong(right, wrong, at, cause, remedy): &Wrong) -> Option<String> {
    assert_eq!(
        RIGHT.matches(right).count(),
        1,
        "{right} is not in the example once"
    );
    let text = RIGHT.replace(right, wrong);
    let found = problems(&text);
    let [problem] = &found[..] else {
        return Some(LoadError::Mistakes(found).to_string());
    };
    let (before, _) = text
        .split_once(at)
        .unwrap_or_else(|| panic!("{at} is not there"));
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let right = (problem.line, problem.column) == (line, column)
        && problem.mistake.cause.contains(cause)
        && problem.mistake.remedy.contains(remedy);
    (!right).then(|| format!("expected {line}:{column}: {cause} / {remedy}; found\n{problem}"))
}

#[test]
fn each_mistake_alone_is_named_with_its_place_cause_and_remedy() {
    let complaints: Vec<String> = WRONG.iter().filter_map(complaint).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

#[test]
fn all_mistakes_are_named_at_once_in_the_order_of_the_file() {
    let mut text = RIGHT.to_owned();
    for (right, wrong) in [
        ("memory-mib = 512", "memory = 512"),
        ("mtu = 9000", "mtu = 0"),
        ("via = \"198.51.100.1\"", "via = \"203.0.113.1\""),
        ("vrid = 7", "vrid = 0"),
    ] {
        text = text.replace(right, wrong);
    }
    let lines: Vec<usize> = problems(&text).iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [5, 21, 25, 32]);
}

/// What follows from a mistake is not a mistake of its own.
#[test]
fn an_address_that_cannot_be_read_accuses_no_gateway() {
    let found = problems(&RIGHT.replace("198.51.100.2/30", "198.51.100.2/99"));
    assert_eq!(found.len(), 1, "{}", LoadError::Mistakes(found));
}

#[test]
fn too_many_virtual_addresses_are_refused_at_the_first_too_many() {
    let many: Vec<String> = (0..256)
        .map(|n| format!("\"10.0.{}.{}\"", 1 + n / 250, 1 + n % 250))
        .collect();
    let text = RIGHT
        .replace("\"192.0.2.2/24\", \"192.0.2.3/24\"", "\"10.0.0.1/16\"")
        .replace("[\"192.0.2.1\"]", &format!("[{}]", many.join(", ")));
    let found = problems(&text);
    assert_eq!(found.len(), 1, "{}", LoadError::Mistakes(found));
    assert!(found[0].mistake.cause.contains("256 virtual addresses"));
}

#[test]
fn too_many_unicast_peers_are_refused_at_the_first_too_many() {
    let many: Vec<String> = (0..256)
        .map(|n| format!("\"10.0.{}.{}\"", n / 250, 1 + n % 250))
        .collect();
    let text = RIGHT.replace(
        "vrid = 7",
        &format!("vrid = 7\nunicast-peers = [{}]", many.join(", ")),
    );
    let found = problems(&text);
    assert_eq!(found.len(), 1, "{}", LoadError::Mistakes(found));
    assert!(found[0].mistake.cause.contains("256 unicast peers"));
}

#[test]
fn an_empty_file_lacks_a_port() {
    let found = problems("");
    assert_eq!(found.len(), 1);
    assert!(found[0].mistake.cause.contains("there is no port"));
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_a_remedy() {
    let missing = Config::load(Path::new("/nonexistent/m.toml"), &machine()).unwrap_err();
    let text = missing.to_string();
    assert!(
        text.contains("/nonexistent/m.toml") && text.contains("remedy:"),
        "{text}"
    );
    let directory = Config::load(Path::new("/"), &machine()).unwrap_err();
    assert!(
        directory.to_string().contains("not of a directory"),
        "{directory}"
    );
}

/// A file of this test's own under a name of its own.
fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("manifold-config-{}-{name}", std::process::id()))
}

#[test]
fn a_pipe_that_nobody_writes_to_is_refused_and_holds_nobody_up() {
    let pipe = scratch("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let refused = Config::load(&pipe, &machine()).unwrap_err().to_string();
    fs::remove_file(&pipe).unwrap();
    assert!(
        refused.contains("no regular file") && refused.contains("not of a directory, a pipe"),
        "{refused}"
    );
}

#[test]
fn a_file_larger_than_any_configuration_is_refused() {
    let large = scratch("large");
    let file = fs::File::create(&large).unwrap();
    file.set_len(FILE_OCTETS_MAX + 1).unwrap();
    let refused = Config::load(&large, &machine()).unwrap_err().to_string();
    fs::remove_file(&large).unwrap();
    assert!(refused.contains("more than 67108864 octets"), "{refused}");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = Config::parse("x", &text, &machine());
    }

    #[test]
    fn no_damage_to_a_right_file_makes_the_reader_panic(
        at in 0..RIGHT.len(), len in 0..20usize, insert in "[\\[\\]\"=.,0-9a-z\\-\n{} ]{0,6}",
    ) {
        let end = (at + len).min(RIGHT.len());
        let text = format!("{}{insert}{}", &RIGHT[..at], &RIGHT[end..]);
        let _ = Config::parse("x", &text, &machine()).map_err(LoadError::Mistakes).map_err(|e| e.to_string());
    }
}

/// The example with a group on the carrier's side that says `follows`, and one on the LAN's that says `leads`.
fn tied(leads: &str, follows: &str) -> String {
    let text = RIGHT
        .replace("via = \"198.51.100.1\"", "blackhole = true")
        .replace(
            "vrid = 7",
            &format!("vrid = 7\nload-sharing = {{ authentication = \"none\"{leads} }}"),
        );
    format!(
        "{text}\n[[virtual-router]]\nvrid = 8\nport = \"wan\"\nvirtual-addresses = [\"198.51.100.1\"]\n\
         [virtual-router.load-sharing]\nauthentication = \"none\"\n{follows}\n"
    )
}

#[test]
fn a_group_may_follow_another_and_says_so() {
    let text = tied("", "match = \"destination\"\nfollow = \"lan/7\"");
    let config = Config::parse("test.toml", &text, &machine()).unwrap_or_else(|problems| {
        panic!("{}", LoadError::Mistakes(problems));
    });
    let shown = toml::to_string(&config).unwrap();
    assert!(shown.contains("follow = \"lan/7\""), "{shown}");
    assert_eq!(
        Config::parse("again.toml", &shown, &machine()).unwrap(),
        config
    );
}

#[test]
fn whoever_cannot_be_followed_is_refused_with_the_line_and_a_remedy() {
    let to_lan = "match = \"destination\"\nfollow = \"lan/7\"\n";
    let to_lan_with = |more: &str| format!("{to_lan}{more}");
    let naming = |name: &str| format!("match = \"destination\"\nfollow = \"{name}\"");
    let chain = "[[virtual-router]]\nvrid = 9\nport = \"wan\"\nvirtual-addresses = [\"198.51.100.1\"]\n\
                 load-sharing = { authentication = \"none\", follow = \"wan/8\" }\n";
    for (leads, follows, at, cause, remedy) in [
        (
            "",
            naming("lan"),
            "\"lan\"\n",
            "names no virtual router",
            "as in \"lan/7\"",
        ),
        (
            "",
            naming("lan/0"),
            "\"lan/0\"",
            "names no virtual router",
            "as in \"lan/7\"",
        ),
        (
            "",
            naming("lan/9"),
            "\"lan/9\"",
            "no virtual router lan/9",
            "follow \"lan/7\"",
        ),
        (
            "",
            naming("wan/8"),
            "\"wan/8\"",
            "cannot follow itself",
            "end systems' side",
        ),
        (
            ", match = \"destination\"",
            to_lan.to_owned(),
            "\"lan/7\"\n",
            "the same address",
            "there alone",
        ),
        (
            "",
            to_lan_with("router-id = \"1.2.3.4\""),
            "\"1.2.3.4\"",
            "this router is 192.0.2.2 in lan/7",
            "leave `router-id` out",
        ),
        (
            "",
            to_lan_with("end-systems = [\"192.0.2.9\"]"),
            "\"192.0.2.9\"",
            "end systems are those of lan/7",
            "name them there",
        ),
        (
            ", follow = \"wan/8\"",
            to_lan.to_owned(),
            "\"lan/7\"\n",
            "lan/7 follows this group in turn",
            "remove `follow`",
        ),
        (
            "",
            to_lan_with(chain),
            "\"wan/8\"",
            "wan/8 follows lan/7 itself",
            "follow \"lan/7\"",
        ),
    ] {
        let text = tied(leads, &follows);
        let problems = problems(&text);
        let place = text.rfind(at).unwrap();
        let line = text[..place].matches('\n').count() + 1;
        let found = problems.iter().any(|problem| {
            problem.line == line
                && problem.mistake.cause.contains(cause)
                && problem.mistake.remedy.contains(remedy)
        });
        assert!(found, "{cause}: {}", LoadError::Mistakes(problems));
    }
    let text = tied("", to_lan).replace("load-sharing = { authentication = \"none\" }\n", "");
    let problems = problems(&text);
    assert!(
        problems[0]
            .mistake
            .cause
            .contains("lan/7 does not share its load")
    );
    assert!(
        problems[0]
            .mistake
            .remedy
            .contains("[virtual-router.load-sharing]")
    );
}
