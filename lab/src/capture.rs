//! What passes an interface, written to a file by tcpdump and read back by tshark.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::link::End;
use crate::namespace::Namespace;
use crate::process::Process;
use crate::{Result, poll};

/// How long tcpdump may take to start and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running capture.
#[derive(Debug)]
pub struct Capture<'a> {
    machine: &'a Namespace,
    name: String,
    tcpdump: Process,
}

impl<'a> Capture<'a> {
    /// Starts capturing what passes the interface and matches the filter (pcap-filter(7); empty for all).
    ///
    /// # Errors
    /// When tcpdump does not start.
    pub fn start(end: End<'a>, filter: &str) -> Result<Self> {
        let End { machine, interface } = end;
        let name = format!("{interface}-{}.pcap", std::process::id());
        let path = format!("/run/{name}");
        let mut words = vec![
            "tcpdump",
            "-i",
            interface,
            "-w",
            &path,
            "--immediate-mode",
            "-U",
            "-s",
            "0",
            "-Z",
            "root",
            "-n",
        ];
        words.extend(filter.split_whitespace());
        let mut tcpdump = machine.spawn(&words)?;
        tcpdump.wait_for("listening on", PATIENCE)?;
        Ok(Self {
            machine,
            name,
            tcpdump,
        })
    }

    /// Waits until a number of packets is in the file.
    ///
    /// # Errors
    /// When they do not come.
    pub fn wait_for(&self, packets: usize, deadline: Duration) -> Result<()> {
        let awaited = format!("a capture of {packets} packets");
        poll::until(&awaited, deadline, || {
            let seen = std::fs::read(self.file()).map_or(0, |octets| packets_in(&octets));
            Ok((seen >= packets).then_some(()))
        })
    }

    /// Ends the capture.
    ///
    /// # Errors
    /// When tcpdump does not end.
    pub fn finish(self) -> Result<Captured> {
        let file = self.file();
        self.tcpdump.signal(Signal::SIGINT)?;
        self.tcpdump.succeed(PATIENCE)?;
        Ok(Captured {
            file,
            dissector: None,
        })
    }

    fn file(&self) -> PathBuf {
        self.machine.run_file(&self.name)
    }
}

/// A finished capture. Its file is gone when its machine is.
#[derive(Debug)]
pub struct Captured {
    file: PathBuf,
    dissector: Option<PathBuf>,
}

impl Captured {
    /// What somebody else wrote into a pcap file.
    #[must_use]
    pub fn in_file(file: PathBuf) -> Self {
        Self {
            file,
            dissector: None,
        }
    }

    /// The same, read with a dissector of one's own.
    #[must_use]
    pub fn with_dissector(self, script: &Path) -> Self {
        Self {
            dissector: Some(script.into()),
            ..self
        }
    }

    /// The pcap file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// One line per packet that matches a display filter: the fields asked for, separated by tabs.
    ///
    /// # Errors
    /// When tshark does not know a field or the filter.
    pub fn fields(&self, display_filter: &str, fields: &[&str]) -> Result<Vec<String>> {
        self.fields_with(&[], display_filter, fields)
    }

    /// The same with further options of tshark.
    ///
    /// # Errors
    /// When tshark does not know a field, the filter or an option.
    pub fn fields_with(
        &self,
        options: &[&str],
        display_filter: &str,
        fields: &[&str],
    ) -> Result<Vec<String>> {
        let mut tshark = crate::process::command("tshark");
        tshark
            .args(["-n", "-r"])
            .arg(&self.file)
            .args(options)
            .args(["-Y", display_filter, "-T", "fields"]);
        if let Some(script) = &self.dissector {
            tshark.arg("-X");
            tshark.arg(format!("lua_script:{}", script.display()));
        }
        fields.iter().for_each(|field| {
            tshark.args(["-e", field]);
        });
        Ok(Process::spawn(tshark)?
            .succeed(PATIENCE)?
            .lines()
            .map(Into::into)
            .collect())
    }
}

/// Whole packets in a pcap file of this machine's octet order.
fn packets_in(file: &[u8]) -> usize {
    const FILE_HEADER: usize = 24;
    const PACKET_HEADER: usize = 16;
    let mut rest = file.get(FILE_HEADER..).unwrap_or_default();
    let mut packets = 0;
    while let Some(length) = rest.get(8..12).and_then(|length| length.first_chunk()) {
        let octets = PACKET_HEADER + u32::from_ne_bytes(*length) as usize;
        match rest.get(octets..) {
            Some(behind) => (rest, packets) = (behind, packets + 1),
            None => break,
        }
    }
    packets
}
