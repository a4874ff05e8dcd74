//! Where a comparison is, for whoever waits: an estimate at the start, then a line per cell.
//!
//! On stderr, for stdout is the report's. The first estimate adds what is assumed of starting and
//! filling to the time of the loads; later ones extend what the cells so far have taken.

use std::time::{Duration, Instant};

/// Assumed time of a cell beside its filling and its load: start, coming to rest, end.
const CELL_OVERHEAD: Duration = Duration::from_secs(1);

/// Counts cells.
#[derive(Debug)]
pub struct Progress {
    cells: usize,
    done: usize,
    started: Instant,
}

impl Progress {
    /// Announces so many cells, each of which fills and loads its server for `work` on average.
    pub fn announce(what: &str, cells: usize, work: Duration) -> Progress {
        let estimate = (work + CELL_OVERHEAD) * cells as u32;
        eprintln!("{what}: {cells} cells, about {}", human(estimate));
        Progress {
            cells,
            done: 0,
            started: Instant::now(),
        }
    }

    /// Says which cell begins, and how long the rest may take.
    pub fn begin(&self, cell: &str) {
        let left = self.left(self.started.elapsed());
        let left = left.map_or(String::new(), |left| format!(", {} left", human(left)));
        eprint!("[{}/{}{left}] {cell}: ", self.done + 1, self.cells);
    }

    /// Ends the line with what the cell found.
    pub fn end(&mut self, found: &str) {
        self.done += 1;
        eprintln!("{found}");
    }

    /// The rest at the pace so far; `None` before the first cell is done.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let rest = self.cells.saturating_sub(self.done) as u32;
        (self.done > 0).then(|| elapsed / self.done as u32 * rest)
    }
}

/// `40 s`, `12 min`, `1 h 5 min`: as precise as a guess may be.
fn human(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    let minutes = (seconds + 30) / 60;
    match (seconds, minutes) {
        (..100, _) => format!("{seconds} s"),
        (_, ..100) => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_guessed_from_the_cells_that_are_done() {
        let mut progress = Progress::announce("test", 10, Duration::from_secs(1));
        assert_eq!(progress.left(Duration::from_secs(5)), None);
        progress.begin("a cell");
        progress.end("");
        progress.end("");
        let left = progress.left(Duration::from_secs(8));
        assert_eq!(left, Some(Duration::from_secs(32)));
    }

    #[test]
    fn times_are_told_as_precisely_as_they_are_known() {
        let told = |seconds| human(Duration::from_secs(seconds));
        assert_eq!(told(99), "99 s");
        assert_eq!(told(100), "2 min");
        assert_eq!(told(3599), "60 min");
        assert_eq!(told(2 * 3600 + 90), "2 h 2 min");
    }
}
