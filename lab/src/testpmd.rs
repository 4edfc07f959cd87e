//! `dpdk-testpmd` as the other end of a memif: it generates, answers ARP, or sends back what it gets. Huge pages are not
//! needed.

use std::time::Duration;

use crate::namespace::Namespace;
use crate::process::Process;
use crate::{LabError, Result, poll};

/// How long it may take to start, or to obey.
const PATIENCE: Duration = Duration::from_secs(20);
const PROMPT: &str = "testpmd> ";

/// What its one port forwarded between a start and a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// Packets received.
    pub received: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets made that found the transmit ring full, and so were never sent.
    pub unsent: u64,
}

/// A running testpmd with one port.
#[derive(Debug)]
pub struct Testpmd {
    process: Process,
    /// Octets of output that were read already.
    read: usize,
}

impl Testpmd {
    /// Starts one with a virtual device, its lcores on the given CPU. Nothing is forwarded yet.
    ///
    /// # Errors
    /// With what it printed, when it does not start.
    pub fn start(machine: &Namespace, vdev: &str, cpu: usize) -> Result<Self> {
        // Its prompt would otherwise overtake what it prints, which waits in a buffer.
        let mut command = machine.command("stdbuf");
        command
            .args(["--output=L", "dpdk-testpmd"])
            .args([
                "--no-huge",
                "--no-pci",
                "-m",
                "192",
                "--no-telemetry",
                "--lcores",
                &format!("(0,1)@{cpu}"),
            ])
            .args(["--file-prefix", &format!("testpmd-{}-{cpu}", machine.pid())])
            .arg(format!("--vdev={vdev}"))
            .args([
                "--",
                "--interactive",
                "--port-topology=loop",
                "--nb-cores=1",
                "--total-num-mbufs=8192",
                "--no-flush-rx",
            ]);
        let mut testpmd = Self {
            process: Process::spawn_listening(command)?,
            read: 0,
        };
        testpmd.process.wait_for(PROMPT, PATIENCE)?;
        testpmd.answer()?;
        Ok(testpmd)
    }

    /// Chooses what it does with packets (`flowgen`, `icmpecho`, `rxonly`, `io`, `mac`, …) and starts doing it.
    ///
    /// # Errors
    /// When it has ended.
    pub fn forward(&mut self, mode: &str) -> Result<()> {
        self.obey(&format!("set fwd {mode}"))?;
        let answer = self.obey("start")?;
        if answer.contains("Not all ports were started") {
            return Err(LabError::Unreadable {
                what: "testpmd starting".into(),
                text: answer,
            });
        }
        Ok(())
    }

    /// Stops; what was forwarded since the start.
    ///
    /// # Errors
    /// When it has ended, or prints its statistics in another way.
    pub fn stop(&mut self) -> Result<Forwarded> {
        let text = self.obey("stop")?;
        read_statistics(&text).ok_or_else(|| LabError::Unreadable {
            what: "testpmd's statistics".into(),
            text,
        })
    }

    /// The state of its port: up when the other end of the memif is there.
    ///
    /// # Errors
    /// When it has ended.
    pub fn link_is_up(&mut self) -> Result<bool> {
        Ok(self.obey("show port info 0")?.contains("Link status: up"))
    }

    fn obey(&mut self, line: &str) -> Result<String> {
        self.process.tell(line)?;
        self.answer()
    }

    /// What it prints up to its next prompt.
    fn answer(&mut self) -> Result<String> {
        let read = self.read;
        let process = &mut self.process;
        let output = poll::until("testpmd's prompt", PATIENCE, || {
            let output = process.stdout();
            let prompted = output
                .get(read..)
                .is_some_and(|fresh| fresh.ends_with(PROMPT));
            match process.ended()? {
                Some(status) if !prompted => {
                    let output = output + &process.stderr();
                    Err(LabError::Command {
                        command: "dpdk-testpmd".into(),
                        status,
                        output,
                    })
                }
                _ => Ok(prompted.then_some(output)),
            }
        })?;
        self.read = output.len();
        Ok(output[read..].into())
    }
}

fn read_statistics(text: &str) -> Option<Forwarded> {
    let mut port = text
        .lines()
        .skip_while(|line| !line.contains("Forward statistics for port 0"));
    let number = |line: &str, name: &str| {
        line.split_once(name)?
            .1
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    let received = port.find_map(|line| number(line, "RX-packets:"))?;
    let line = port.next()?;
    Some(Forwarded {
        received,
        sent: number(line, "TX-packets:")?,
        unsent: number(line, "TX-dropped:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistics_of_a_stop_are_read() {
        let text = "Done.\n  ---------------------- Forward statistics for port 0  ----------------------\n  \
            RX-packets: 100            RX-dropped: 0             RX-total: 100\n  \
            TX-packets: 110            TX-dropped: 7             TX-total: 117\n  -----\n";
        assert_eq!(
            read_statistics(text),
            Some(Forwarded {
                received: 100,
                sent: 110,
                unsent: 7
            })
        );
        assert_eq!(read_statistics("Packet forwarding not started"), None);
    }
}
