//! keepalived, the witness, on the hub of these tests.

use std::collections::BTreeMap;

use lab::keepalived;
use lab::link::End;

use crate::network::{
    INTERFACE, Lan, PREFIX_LEN, REALTIME_PRIORITY, VIRTUAL, VRID, address_of, peer_of,
    virtual_address,
};
use crate::settings::Settings;

/// A running keepalived on a router's machine.
pub(crate) struct Keepalived<'a>(keepalived::Keepalived<'a>);

impl<'a> Keepalived<'a> {
    pub(crate) fn start(lan: &'a Lan, index: usize, settings: &Settings) -> Keepalived<'a> {
        let end = End::of(lan.router(index), INTERFACE);
        let address = format!("{}/{PREFIX_LEN}", address_of(index));
        let text = configuration(index, settings);
        let started = keepalived::Keepalived::start(end, &address, VIRTUAL, &text);
        Keepalived(started.expect("keepalived"))
    }

    pub(crate) fn is_master(&self) -> bool {
        self.0.is_master().expect("addresses")
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(self) {
        self.0.kill().expect("an end");
    }

    /// Ends it as an operator would.
    pub(crate) fn stop(self) {
        self.0.stop().expect("an end");
    }

    pub(crate) fn statistics(&self) -> BTreeMap<String, u64> {
        self.0.statistics().expect("statistics")
    }

    pub(crate) fn refusals(&self) -> Vec<String> {
        self.0.refusals().expect("statistics")
    }

    pub(crate) fn said(&self) -> String {
        self.0.said()
    }
}

fn configuration(index: usize, settings: &Settings) -> String {
    let Settings {
        version,
        priority,
        interval_ms,
        preempt,
        preempt_delay_ms,
        groups: _,
        addresses,
        password,
        unicast,
        checksum: _,
    } = settings;
    let interval = *interval_ms as f64 / 1000.0;
    let preemption = match (preempt, preempt_delay_ms) {
        (false, _) => "nopreempt".to_owned(),
        (true, 0) => String::new(),
        (true, delay) => format!("preempt_delay {}", *delay as f64 / 1000.0),
    };
    let addresses: String = (0..*addresses)
        .map(|number| {
            format!(
                "    {}/{PREFIX_LEN} dev {INTERFACE}\n",
                virtual_address(number)
            )
        })
        .collect();
    let authentication = password.map_or(String::new(), |password| {
        format!("authentication {{\n auth_type PASS\n auth_pass {password}\n }}")
    });
    let peers = if *unicast {
        let (own, other) = (address_of(index), peer_of(index));
        format!("unicast_src_ip {own}\n unicast_peer {{\n {other}\n }}")
    } else {
        String::new()
    };
    format!(
        "global_defs {{
  router_id witness
  vrrp_rt_priority {REALTIME_PRIORITY}
  vrrp_garp_master_delay 0
  vrrp_garp_master_repeat 2
}}
vrrp_instance witness {{
  version {version}
  state BACKUP
  interface {INTERFACE}
  virtual_router_id {VRID}
  priority {priority}
  advert_int {interval}
  accept
  {preemption}
  {authentication}
  {peers}
  virtual_ipaddress {{
{addresses}  }}
}}
"
    )
}
