//! Lines on their way to a slow reader: whoever logs never waits, and what there is no room for is counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Lines that wait at most.
const WAITING_MAX: usize = 4096;

/// What goes to the thread.
enum Entry {
    Line(Vec<u8>),
    End,
}

/// The way in for lines. Each is one [`Write::write_all`].
#[derive(Clone, Debug)]
pub(super) struct Lines {
    queue: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

/// The thread that writes. Dropping this waits until everything that was logged before is written; what is logged after that goes straight to
/// standard error.
#[derive(Debug)]
pub struct Writer {
    queue: SyncSender<Entry>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread, which writes to `out`, and tells by `tell` how many lines were lost since the start when there are more.
pub(super) fn start(
    out: impl Write + Send + 'static,
    tell: impl Fn(u64) + Send + 'static,
) -> io::Result<(Lines, Writer)> {
    let (queue, entries) = sync_channel(WAITING_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let thread = Builder::new().name("log".into()).spawn({
        let lost = Arc::clone(&lost);
        move || write(&entries, &lost, out, tell)
    })?;
    let lines = Lines {
        queue: queue.clone(),
        lost,
    };
    let thread = Some(thread);
    Ok((lines, Writer { queue, thread }))
}

fn write(entries: &Receiver<Entry>, lost: &AtomicU64, mut out: impl Write, tell: impl Fn(u64)) {
    let mut told = 0;
    let mut ending = false;
    loop {
        let entry = if ending {
            entries.try_recv().ok()
        } else {
            entries.recv().ok()
        };
        // One entry was taken out, so that there is room for what is told now. If others were faster, it is told again.
        let lost = lost.load(Ordering::Relaxed);
        if lost > told {
            tell(lost);
            told = lost;
        }
        match entry {
            Some(Entry::Line(line)) => {
                // If nobody reads, there is nobody to tell.
                let _ = out.write_all(&line);
            }
            Some(Entry::End) => ending = true,
            None => return,
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.queue.try_send(Entry::Line(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySendError::Disconnected(_)) => io::stderr().write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.queue.send(Entry::End);
        if let Some(thread) = self.thread.take() {
            // Its panic has been told on standard error.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// A reader that stands still over its first line for as long as it is held.
    struct Held {
        hold: Receiver<()>,
        taken: Sender<String>,
    }

    impl Write for Held {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.taken.send(String::from_utf8_lossy(line).into_owned());
            let _ = self.hold.recv();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_stops_nobody_and_is_told_what_it_missed() {
        let (held, hold) = channel();
        let (taken, seen) = channel();
        let way_in: Arc<OnceLock<Lines>> = Arc::default();
        let (mut lines, writer) = start(Held { hold, taken }, {
            let way_in = Arc::clone(&way_in);
            move |lost| {
                let mut lines = way_in.get().unwrap().clone();
                lines.write_all(format!("{lost} lost").as_bytes()).unwrap();
            }
        })
        .unwrap();
        way_in.set(lines.clone()).unwrap();
        lines.write_all(b"first").unwrap();
        assert_eq!(seen.recv().unwrap(), "first");
        for n in 0..WAITING_MAX + 100 {
            lines.write_all(n.to_string().as_bytes()).unwrap();
        }
        drop(held);
        for n in 0..WAITING_MAX {
            assert_eq!(seen.recv().unwrap(), n.to_string());
        }
        assert_eq!(seen.recv().unwrap(), "100 lost");
        lines.write_all(b"last").unwrap();
        drop(writer);
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["last"]);
    }
}
