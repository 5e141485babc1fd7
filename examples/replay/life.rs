//! Signs of life of a long phase: a bar on a terminal, and a line every few seconds elsewhere.

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How long nothing is said where there is no terminal.
const PAUSE: Duration = Duration::from_secs(5);

/// A phase that goes on until this is dropped.
pub(crate) struct Life {
    bar: ProgressBar,
    speaker: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Life {
    /// A phase of so many things. Without their number it only says that it goes on.
    pub(crate) fn of(phase: &'static str, things: Option<usize>) -> Life {
        let bar = things.map_or_else(ProgressBar::no_length, |things| ProgressBar::new(u64::try_from(things).unwrap_or(u64::MAX)));
        let template =
            if things.is_some() { "{msg} {bar:40} {pos}/{len}, {per_sec}, {eta} left" } else { "{msg} {spinner} {elapsed}" };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = bar.with_style(style).with_message(phase);
        bar.enable_steady_tick(Duration::from_millis(200));
        let speaker = bar.is_hidden().then(|| speak(phase, bar.clone()));
        Life { bar, speaker }
    }

    /// One more thing is done.
    pub(crate) fn advance(&self) {
        self.bar.inc(1);
    }

    /// So many things are done.
    pub(crate) fn reach(&self, things: u64) {
        self.bar.set_position(things);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if let Some((end, thread)) = self.speaker.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}

/// Says every few seconds how far the phase is. Whoever does not listen is no reason to end.
fn speak(phase: &'static str, bar: ProgressBar) -> (Sender<()>, JoinHandle<()>) {
    let (end, ended) = mpsc::channel();
    let began = Instant::now();
    let thread = thread::spawn(move || {
        while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            let done = bar.length().map(|things| format!(", {} of {things}", bar.position())).unwrap_or_default();
            let _ = writeln!(io::stderr(), "{phase}{done}, for {} s", began.elapsed().as_secs());
        }
    });
    (end, thread)
}
