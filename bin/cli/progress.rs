//! How far work has come, on standard error, once it takes more than a second.

use crate::ProgressWhen;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Work shorter than this shows nothing.
const QUIET: Duration = Duration::from_secs(1);
/// How many times a second the line is drawn anew.
const DRAWS_A_SECOND: u8 = 5;

/// Bytes that were worked on. Threads may add at the same time. The line goes when it is dropped.
pub struct Progress {
    is_shown: bool,
    start: Instant,
    bytes: AtomicU64,
    bar: OnceLock<ProgressBar>,
}

impl Progress {
    /// Nothing done yet.
    pub fn new(when: ProgressWhen) -> Progress {
        let (start, bytes, bar) = (Instant::now(), AtomicU64::new(0), OnceLock::new());
        Progress { is_shown: when.is_shown(), start, bytes, bar }
    }

    /// What is being worked on, in a few words, made only if they are shown.
    pub fn tell(&self, words: impl FnOnce() -> String) {
        if let Some(bar) = self.bar.get() {
            bar.set_message(words());
        }
    }

    /// So many more bytes are done.
    pub fn add(&self, bytes: u64) {
        let total = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if self.is_shown && self.start.elapsed() >= QUIET {
            self.bar.get_or_init(new_bar).set_position(total);
        }
    }
}

fn new_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed_precise} {bytes} {bytes_per_sec} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(Line), DRAWS_A_SECOND);
    ProgressBar::with_draw_target(None, target).with_style(style)
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

/// Standard error as indicatif sees it: also when it is no terminal, which `--progress always` asks for; and that it is
/// closed is no error.
#[derive(Debug)]
struct Line;

impl indicatif::TermLike for Line {
    fn width(&self) -> u16 {
        80
    }

    fn move_cursor_up(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> std::io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> std::io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> std::io::Result<()> {
        use std::io::Write as _;
        let _ = std::io::stderr().write_all(text.as_bytes());
        Ok(())
    }

    fn clear_line(&self) -> std::io::Result<()> {
        self.write_str("\r\x1b[K")
    }

    fn flush(&self) -> std::io::Result<()> {
        Ok(())
    }
}
