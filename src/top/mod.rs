//! `manifold top`: a live view of a router that runs, in the whole of the terminal. It asks over the control socket like any other client.
//!
//! | file | what lives there |
//! |---|---|
//! | this one | the loop: figures, keys, signals, and the terminal as it was at the end |
//! | `sample.rs` | what a router answers at one time, as far as it is shown |
//! | `model.rs` | what is remembered from one sample to the next: moves, the latest failure |
//! | `view.rs` | how that looks |

mod model;
mod sample;
mod view;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use thiserror::Error;

use crate::ctl::Client;
use crate::request::AskError;
use model::Model;
use sample::Sample;

/// From one sample to the next: often enough to see end systems change hands, seldom enough not to be felt.
const PERIOD: Duration = Duration::from_millis(500);
/// How long a key or a signal may wait.
const LOOK: Duration = Duration::from_millis(50);

/// A sample, or why there is none.
type Taken = Result<Sample, AskError>;

/// Why there is no view.
#[derive(Debug, Error)]
pub enum TopError {
    /// Nobody could see it.
    #[error(
        "this is for a terminal\n  remedy: for programs there is `manifold ctl --json show flow-rates`"
    )]
    NoTerminal,
    /// The terminal, or the system, failed.
    #[error("{0}")]
    Terminal(#[from] io::Error),
}

/// What is wanted with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    End,
    NextGroup,
}

/// Shows the router behind the socket until a key or a signal ends it. One that cannot be reached is tried again and again.
///
/// # Errors
/// [`TopError`]. The terminal is as it was before, in any case.
pub fn run(socket: &Path) -> Result<(), TopError> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(TopError::NoTerminal);
    }
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    let (_stop, samples) = sampler(Client::new(socket))?;
    let start = Instant::now();
    let mut model = Model::new(socket);
    let mut screen = Screen::open()?;
    while !ended.load(Ordering::Relaxed) {
        for sample in samples.try_iter() {
            model.take(start.elapsed(), sample);
        }
        screen
            .0
            .draw(|frame| view::draw(frame, &model, start.elapsed()))?;
        match key()? {
            Some(Wish::End) => break,
            Some(Wish::NextGroup) => model.next_group(),
            None => {}
        }
    }
    Ok(())
}

/// The terminal, taken over; given back when dropped, and by a panic.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> io::Result<Self> {
        ratatui::try_init()
            .map(Self)
            .inspect_err(|_| ratatui::restore())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Takes samples on a thread of its own, since a router may be slow to answer, and keys shall not wait for it. It ends when what it returns
/// is dropped.
fn sampler(client: Client) -> io::Result<(Sender<()>, Receiver<Taken>)> {
    let (stop, stopped) = bounded::<()>(0);
    let (sender, samples) = bounded(1);
    thread::Builder::new()
        .name("sampler".into())
        .spawn(move || {
            loop {
                if sender.send(Sample::take(&client)).is_err() {
                    return;
                }
                if stopped.recv_timeout(PERIOD) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
    Ok((stop, samples))
}

/// Waits for a key, for a moment.
fn key() -> io::Result<Option<Wish>> {
    match event::poll(LOOK) {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        // By a signal, which is looked at next.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
        Err(error) => return Err(error),
    }
    let Event::Key(key) = event::read()? else {
        return Ok(None);
    };
    Ok(wish(key))
}

fn wish(key: KeyEvent) -> Option<Wish> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::End),
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::End),
        KeyCode::Tab => Some(Wish::NextGroup),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_control_c_end_it_and_tab_goes_on() {
        let key = |code| wish(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(key(KeyCode::Char('q')), Some(Wish::End));
        assert_eq!(key(KeyCode::Esc), Some(Wish::End));
        assert_eq!(key(KeyCode::Tab), Some(Wish::NextGroup));
        assert_eq!(key(KeyCode::Char('c')), None);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(wish(control_c), Some(Wish::End));
    }
}
