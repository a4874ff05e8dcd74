//! Segment files, made and recycled off the shards' threads.
//!
//! Creating a file, prewriting it and syncing a directory block for milliseconds; a shard never does
//! them while it serves. One housekeeping thread per process does, on a glommio executor (O_DIRECT
//! writes through its own ring, which leaves the page cache alone); where glommio cannot start, the
//! same thread uses plain writes. It does not know what is in a segment.
//!
//! The rule kept: requests of one log are done in order, and each directory change is durable before
//! the next one begins. So segments leave oldest first over any crash, and a segment that a log is
//! given exists under its final name after a power loss.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use glommio::io::DmaFile;
use glommio::{LocalExecutorBuilder, Placement};

use super::segment;

const CHUNK_BYTES: usize = 1 << 20;

/// A segment file that is ready under its final name, or why it is not.
pub(super) type Prepared = (u64, io::Result<Arc<File>>);

enum Job {
    Prepare {
        dir: PathBuf,
        sequence: u64,
        segment_bytes: u64,
        reply: Sender<Prepared>,
    },
    Retire {
        dir: PathBuf,
        sequence: u64,
        spares_max: usize,
    },
    /// Ends the thread; clients that are still there do their own work from then on.
    Stop,
}

/// The housekeeping thread. Dropping it finishes what was asked, then stops the thread.
#[derive(Debug)]
pub struct Preparer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Preparer {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the system says when it cannot start a thread.
    pub fn spawn() -> io::Result<Preparer> {
        let (jobs, inbox) = channel();
        let thread = std::thread::Builder::new()
            .name("log-preparer".into())
            .spawn(move || serve(&inbox))?;
        Ok(Preparer {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// A handle for one log. Cheap; one per shard.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.jobs.clone())
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        if let Some(jobs) = self.jobs.take() {
            // A thread that is gone already needs no stopping.
            let _ = jobs.send(Job::Stop);
        }
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the panic hook; there is nothing to add here.
            let _ = thread.join();
        }
    }
}

/// One log's line to the [`Preparer`].
#[derive(Debug)]
pub struct Client {
    jobs: Option<Sender<Job>>,
    reply: Sender<Prepared>,
    ready: Receiver<Prepared>,
}

impl Client {
    fn new(jobs: Option<Sender<Job>>) -> Client {
        let (reply, ready) = channel();
        Client { jobs, reply, ready }
    }

    /// A client that does everything at once in the calling thread: for offline tools and tests.
    #[must_use]
    pub fn inline() -> Client {
        Client::new(None)
    }

    fn send(&self, job: Job) {
        match &self.jobs {
            Some(jobs) => {
                if let Err(unsent) = jobs.send(job) {
                    // The thread is gone (shutdown, or it panicked): the log must still go on.
                    perform(unsent.0, plain_prewrite);
                }
            }
            None => perform(job, plain_prewrite),
        }
    }

    pub(super) fn prepare(&self, dir: &Path, sequence: u64, segment_bytes: u64) {
        let (dir, reply) = (dir.to_owned(), self.reply.clone());
        self.send(Job::Prepare {
            dir,
            sequence,
            segment_bytes,
            reply,
        });
    }

    pub(super) fn retire(&self, dir: &Path, sequence: u64, spares_max: usize) {
        self.send(Job::Retire {
            dir: dir.to_owned(),
            sequence,
            spares_max,
        });
    }

    /// A reply, if one is there.
    pub(super) fn poll(&self) -> Option<Prepared> {
        // It is never disconnected: `self.reply` is a sender.
        self.ready.try_recv().ok()
    }
}

fn serve(inbox: &Receiver<Job>) {
    let work = inbox.iter().take_while(|job| !matches!(job, Job::Stop));
    // The executor's only task waits for jobs on the channel: nothing else runs on this thread.
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .name("log-preparer")
        .io_memory(64 << 10)
        .ring_depth(32)
        .make();
    match executor {
        Ok(executor) => {
            for job in work {
                perform(job, |path, bytes| {
                    executor.run(dma_prewrite(path, bytes)).or_else(|error| {
                        tracing::warn!(%error, "direct prewriting failed, writing through the cache");
                        plain_prewrite(path, bytes)
                    })
                });
            }
        }
        Err(error) => {
            tracing::info!(%error, "no io_uring for housekeeping, using plain writes");
            for job in work {
                perform(job, plain_prewrite);
            }
        }
    }
}

fn perform(job: Job, prewrite: impl Fn(&Path, u64) -> io::Result<()>) {
    match job {
        Job::Stop => {}
        Job::Prepare {
            dir,
            sequence,
            segment_bytes,
            reply,
        } => {
            let prepared = prepare(&dir, sequence, segment_bytes, |path| {
                prewrite(path, segment_bytes)
            })
            .map(Arc::new);
            // A log that closed meanwhile finds the file at its next start.
            let _ = reply.send((sequence, prepared));
        }
        Job::Retire {
            dir,
            sequence,
            spares_max,
        } => {
            if let Err(error) = retire(&dir, sequence, spares_max) {
                // The file stays; recovery reads it again as what it is: old effects in old order.
                tracing::warn!(dir = %dir.display(), sequence, %error, "cannot retire a log segment");
            }
        }
    }
}

/// Puts a segment file under its final name: a spare of `segment_bytes` if there is one, else a new
/// one that `prewrite` makes and fills, so that later writes neither allocate blocks nor convert
/// extents.
pub(super) fn prepare(
    dir: &Path,
    sequence: u64,
    segment_bytes: u64,
    prewrite: impl Fn(&Path) -> io::Result<()>,
) -> io::Result<File> {
    let path = segment::path(dir, sequence);
    let mut found = None;
    for spare in segment::list(dir)?.spares {
        let spare = segment::spare_path(dir, spare);
        if std::fs::metadata(&spare)?.len() == segment_bytes {
            found = Some(spare);
            break;
        }
        // The segment size was changed; the old size is of no use any more.
        std::fs::remove_file(&spare)?;
    }
    let found = match found {
        Some(spare) => spare,
        None => {
            let new = dir.join(format!("{sequence:016x}.tmp"));
            if let Err(error) = prewrite(&new) {
                // A half-written file would hold the space that a later attempt needs.
                let _ = std::fs::remove_file(&new);
                return Err(error);
            }
            new
        }
    };
    std::fs::rename(found, &path)?;
    segment::sync_dir(dir)?;
    segment::open_direct(&path)
}

/// Turns a segment into a spare, or deletes it when there are `spares_max` already.
pub(super) fn retire(dir: &Path, sequence: u64, spares_max: usize) -> io::Result<()> {
    let path = segment::path(dir, sequence);
    if segment::list(dir)?.spares.len() < spares_max {
        std::fs::rename(path, segment::spare_path(dir, sequence))?;
    } else {
        std::fs::remove_file(path)?;
    }
    segment::sync_dir(dir)
}

/// Zeros through the page cache, then one sync. O(bytes).
pub(super) fn plain_prewrite(path: &Path, bytes: u64) -> io::Result<()> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path)?;
    let zeros = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    while offset < bytes {
        let len = (bytes - offset).min(CHUNK_BYTES as u64);
        file.write_all_at(&zeros[..len as usize], offset)?;
        offset += len;
    }
    file.sync_all()
}

async fn dma_prewrite(path: &Path, bytes: u64) -> io::Result<()> {
    let file = DmaFile::create(path).await?;
    let mut offset = 0;
    let mut result = Ok(());
    let filled = |len: usize| {
        let mut zeros = file.alloc_dma_buffer(len);
        zeros.as_bytes_mut().fill(0);
        Rc::new(zeros)
    };
    // Filled once: the device copies from it, and zeroing it for each write is work for nothing.
    let mut zeros = filled(CHUNK_BYTES.min(bytes as usize));
    while offset < bytes && result.is_ok() {
        let left = (bytes - offset) as usize;
        if left < zeros.len() {
            // After a short write the chunks end elsewhere; the file must not grow beyond its size.
            zeros = filled(left);
        }
        match file.write_rc_at(Rc::clone(&zeros), offset).await {
            // A short write leaves the rest to the next round; not even a block means no space.
            Ok(written) if written < super::BLOCK_BYTES => {
                result = Err(io::ErrorKind::StorageFull.into());
            }
            Ok(written) => offset += (written / super::BLOCK_BYTES * super::BLOCK_BYTES) as u64,
            Err(error) => result = Err(error.into()),
        }
    }
    if result.is_ok() {
        result = file.fdatasync().await.map_err(Into::into);
    }
    file.close().await?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(client: &Client) -> Prepared {
        loop {
            if let Some(prepared) = client.poll() {
                return prepared;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    #[test]
    fn the_thread_prepares_zeros_and_recycles_spares() {
        let dir = tempfile::tempdir().unwrap();
        let preparer = Preparer::spawn().unwrap();
        let client = preparer.client();
        client.prepare(dir.path(), 1, 2 << 20);
        let (sequence, file) = wait(&client);
        assert_eq!(sequence, 1);
        assert_eq!(file.unwrap().metadata().unwrap().len(), 2 << 20);
        let content = std::fs::read(segment::path(dir.path(), 1)).unwrap();
        assert!(content.iter().all(|byte| *byte == 0));

        client.retire(dir.path(), 1, 1);
        client.prepare(dir.path(), 2, 2 << 20);
        client.prepare(dir.path(), 3, 2 << 20);
        assert!(wait(&client).1.is_ok());
        assert!(wait(&client).1.is_ok());
        client.retire(dir.path(), 2, 1);
        client.retire(dir.path(), 3, 1);
        drop(preparer);
        let listing = segment::list(dir.path()).unwrap();
        assert_eq!((listing.segments, listing.spares), (vec![], vec![2]));
        assert!(listing.unfinished.is_empty());
    }

    #[test]
    fn a_failure_is_told_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let full = |path: &Path| {
            std::fs::write(path, "half")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        assert!(prepare(dir.path(), 1, 1 << 20, full).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
