//! Waiting for something to come true, with a deadline. The only place that sleeps.

use std::time::{Duration, Instant};

use crate::{LabError, Result};

/// Pause between two looks: short beside what is waited for, long beside a look.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks again and again until there is an answer; an error of the question itself ends the wait.
///
/// # Errors
/// [`LabError::Deadline`] when there was none in time.
pub fn until<T>(
    awaited: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if start.elapsed() > deadline {
            return Err(LabError::Deadline {
                awaited: awaited.into(),
                deadline,
                detail: String::new(),
            });
        }
        std::thread::sleep(PAUSE);
    }
}
