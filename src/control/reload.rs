//! What a new configuration can change in a running router, and what it cannot.

use thiserror::Error;

use crate::config::Config;

/// Why a configuration cannot be taken over at all.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReloadError {
    /// Routes and virtual routers name ports; with other ports they would mean something else.
    #[error(
        "nothing is changed: the ports were {before} and would be {after}. \
         Ports come and go with a restart only"
    )]
    Ports {
        /// The names in force.
        before: String,
        /// The names in the file.
        after: String,
    },
}

/// A configuration that can be in force, and what the file says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Reload {
    /// The file's, with the present values where they cannot change.
    pub config: Config,
    /// The keys that need a restart to change, as the operator writes them.
    pub needs_restart: Vec<String>,
}

/// Takes from `new` what can change while the router runs: routes, virtual routers, the ports' addresses, the log's level.
///
/// # Errors
/// The ports are others.
pub fn merge(present: &Config, new: Config) -> Result<Reload, ReloadError> {
    let names = |config: &Config| -> Vec<String> {
        config
            .ports
            .iter()
            .map(|port| port.name.value.clone())
            .collect()
    };
    if names(present) != names(&new) {
        return Err(ReloadError::Ports {
            before: names(present).join(", "),
            after: names(&new).join(", "),
        });
    }
    let mut config = new;
    let mut needs_restart = Vec::new();
    // Every key is named here or can change: who adds one to a table decides which.
    macro_rules! keep {
        ($place:expr, $mine:expr, $theirs:expr, $($field:ident),+) => {
            $(if $mine.$field != $theirs.$field {
                needs_restart.push(format!("{} of {}", stringify!($field).replace('_', "-"), $place));
                $mine.$field = $theirs.$field.clone();
            })+
        };
    }
    keep!(
        "[eal]",
        config.eal,
        present.eal,
        in_memory,
        huge_pages,
        memory_mib,
        file_prefix,
        telemetry,
        args
    );
    keep!(
        "[workers]",
        config.workers,
        present.workers,
        count,
        cpus,
        control_cpu,
        idle_sleep,
        burst_size,
        mbufs,
        backlog
    );
    keep!(
        "[control]",
        config.control,
        present.control,
        socket,
        tick,
        realtime_priority
    );
    keep!("[log]", config.log, present.log, format);
    for (mine, theirs) in config.ports.iter_mut().zip(&present.ports) {
        let place = format!("port \"{}\"", theirs.name.value);
        keep!(place, mine, theirs, device, mac, mtu, rx_queues, rss);
    }
    Ok(Reload {
        config,
        needs_restart,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Machine;

    const TEXT: &str = r#"
        [workers]
        mbufs = 4096
        [[port]]
        name = "lan"
        device = "net_null0"
        addresses = ["192.0.2.2/24"]
        [[route]]
        prefix = "0.0.0.0/0"
        via = "192.0.2.1"
    "#;

    fn config(text: &str) -> Config {
        Config::parse("t", text, &Machine::default()).unwrap()
    }

    #[test]
    fn the_same_file_changes_nothing() {
        let present = config(TEXT);
        let reload = merge(&present, present.clone()).unwrap();
        assert_eq!(reload.config, present);
        assert!(reload.needs_restart.is_empty());
    }

    #[test]
    fn what_can_change_is_taken_and_what_cannot_is_named_and_kept() {
        let present = config(TEXT);
        let new = TEXT
            .replace("mbufs = 4096", "mbufs = 8192")
            .replace("net_null0\"", "net_null1\"\nmtu = 1400")
            .replace("192.0.2.1\"", "192.0.2.9\"")
            .replace("192.0.2.2/24", "192.0.2.3/24");
        let reload = merge(&present, config(&new)).unwrap();
        assert_eq!(
            reload.needs_restart,
            [
                "mbufs of [workers]",
                "device of port \"lan\"",
                "mtu of port \"lan\""
            ]
        );
        assert_eq!(reload.config.workers.mbufs, Some(4096));
        assert_eq!(reload.config.ports[0].device, present.ports[0].device);
        assert_eq!(
            reload.config.ports[0].addresses[0].to_string(),
            "192.0.2.3/24"
        );
        assert_ne!(reload.config.routes, present.routes);
    }

    #[test]
    fn other_ports_are_refused() {
        let error = merge(&config(TEXT), config(&TEXT.replace("lan", "wan"))).unwrap_err();
        assert!(error.to_string().contains("lan") && error.to_string().contains("restart"));
    }
}
