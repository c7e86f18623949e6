//! The batches of an epoch as an iterator over what its threads make.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};
use crossbeam_channel::{Receiver, Sender, bounded};

use super::RawBatch;
use super::work::Work;

/// The batches of one epoch, in order. Dropping it stops the threads and waits for them; after an error it ends.
pub struct Batches {
    work: Arc<Work>,
    /// The next batch to hand out, the next to queue, and the number of batches.
    next: usize,
    queued: usize,
    total: usize,
    /// Batches that were ready before their turn.
    early: BTreeMap<usize, Result<RawBatch>>,
    tasks: Option<Sender<usize>>,
    results: Receiver<(usize, Result<RawBatch>)>,
    threads: Vec<JoinHandle<()>>,
    /// How many batches may be in work or waiting; as many fit into each channel, so that no send ever waits.
    ahead: usize,
}

impl Batches {
    /// Starts the threads on the batches from number `first` on, out of `total`.
    pub(super) fn start(work: Arc<Work>, first: usize, total: usize) -> Self {
        let left = total.saturating_sub(first);
        let workers = work.options.workers.min(left);
        let ahead = workers.saturating_add(work.options.prefetch).min(left);
        let (tasks, task_queue) = bounded::<usize>(ahead);
        let (result_queue, results) = bounded(ahead);
        let spawn = |i: usize| {
            let (work, tasks, results) = (Arc::clone(&work), task_queue.clone(), result_queue.clone());
            let run = move || {
                for number in tasks {
                    if results.send((number, work.batch(number))).is_err() {
                        return;
                    }
                }
            };
            thread::Builder::new().name(format!("loader-{i}")).spawn(run)
        };
        let threads = (0..workers).map_while(|i| spawn(i).ok()).collect(); // without any, the caller does the work
        let mut batches = Self {
            work,
            next: first,
            queued: first,
            total,
            early: BTreeMap::new(),
            tasks: Some(tasks),
            results,
            threads,
            ahead,
        };
        batches.queue();
        batches
    }

    fn queue(&mut self) {
        let Some(tasks) = self.tasks.as_ref().filter(|_| !self.threads.is_empty()) else { return };
        while self.queued < self.total.min(self.next + self.ahead) && tasks.send(self.queued).is_ok() {
            self.queued += 1;
        }
    }

    fn receive(&mut self) -> Result<RawBatch> {
        loop {
            if let Some(batch) = self.early.remove(&self.next) {
                return batch;
            }
            let (number, batch) = self.results.recv().map_err(|_| anyhow!("all loader threads have ended"))?;
            self.early.insert(number, batch);
        }
    }
}

impl Iterator for Batches {
    type Item = Result<RawBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.total {
            return None;
        }
        let batch = if self.threads.is_empty() { self.work.batch(self.next) } else { self.receive() };
        self.next += 1;
        if batch.is_err() {
            self.total = self.next;
        }
        self.work.forget_before(self.next);
        self.queue();
        Some(batch)
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.work.stop();
        self.tasks = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // its panics were caught and reported sample by sample
        }
    }
}
