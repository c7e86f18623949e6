//! The batches of an epoch as an iterator over what its threads make.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use crossbeam_channel::{Receiver, Sender, unbounded};
use trainer_sdk::{Image, Size};

use super::buffers::{Buffers, Part, Split};
use super::plan::Planned;
use super::work::{Made, Work};
use super::{BatchObject, RawBatch};

/// The batches of one epoch, in order. Dropping it stops the threads and waits for them; after an error it ends.
pub struct Batches {
    work: Arc<Work>,
    buffers: Arc<Buffers>,
    /// The next batch to hand out, and the number of batches.
    next: usize,
    total: usize,
    /// The batches in work or waiting, from `next` on.
    open: VecDeque<Result<Open>>,
    tasks: Option<Sender<Task>>,
    results: Receiver<Done>,
    threads: Vec<JoinHandle<()>>,
    /// How many batches may be open.
    ahead: usize,
    ready: usize,
    waited: Duration,
}

/// How well a loader keeps up with who uses its batches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Queue {
    /// Batches that were ready when the last one was asked for, that one included.
    pub ready: usize,
    /// The most that can be.
    pub ahead: usize,
    /// How long all callers of the epoch have waited for their batches so far.
    pub waited: Duration,
}

/// A batch that is being made.
struct Open {
    size: Size,
    pixels: Split,
    /// What has become of each sample.
    samples: Vec<Option<Result<Made>>>,
    missing: usize,
}

/// A sample to be made.
struct Task {
    batch: usize,
    slot: usize,
    position: usize,
    size: Size,
    pixels: Part,
}

/// A sample that was made.
struct Done {
    batch: usize,
    slot: usize,
    made: Result<Made>,
}

impl Task {
    fn run(mut self, work: &Work) -> Done {
        let made = work.sample(self.position, self.size, self.pixels.bytes_mut());
        Done { batch: self.batch, slot: self.slot, made } // the pixels are let go
    }
}

impl Batches {
    /// Starts the threads on the batches from number `first` on.
    pub(super) fn start(work: Arc<Work>, buffers: Arc<Buffers>, first: usize) -> Self {
        let (options, total) = (&work.options, work.plan.batches.len());
        let left = work.plan.batches.get(first).map_or(0, |batch| work.plan.order.len() - batch.positions.start);
        let workers = options.workers.min(left);
        let own = workers.div_ceil(options.batch);
        let ahead = if workers == 0 { 0 } else { options.prefetch.saturating_add(own).min(total - first) };
        let (tasks, task_queue) = unbounded::<Task>();
        let (result_queue, results) = unbounded();
        let spawn = |i: usize| {
            let (work, tasks, results) = (Arc::clone(&work), task_queue.clone(), result_queue.clone());
            let run = move || {
                for task in tasks {
                    if results.send(task.run(&work)).is_err() {
                        return;
                    }
                }
            };
            thread::Builder::new().name(format!("loader-{i}")).spawn(run)
        };
        let threads: Vec<_> = (0..workers).map_while(|i| spawn(i).ok()).collect(); // without any, the caller does the work
        buffers.keep(ahead + 1);
        let mut batches = Self {
            work,
            buffers,
            next: first,
            total,
            open: VecDeque::new(),
            tasks: Some(tasks),
            results,
            ahead: if threads.is_empty() { 0 } else { ahead },
            threads,
            ready: 0,
            waited: Duration::ZERO,
        };
        batches.queue();
        batches
    }

    /// How well the loader keeps up.
    #[must_use]
    pub fn status(&self) -> Queue {
        Queue { ready: self.ready, ahead: self.ahead, waited: self.waited }
    }

    /// Opens batches until enough are.
    fn queue(&mut self) {
        while self.open.len() < self.ahead && self.next + self.open.len() < self.total {
            let opened = self.open(self.next + self.open.len());
            let is_last = opened.is_err();
            self.open.push_back(opened.map(|(open, tasks)| {
                tasks.into_iter().for_each(|task| {
                    let _ = self.tasks.as_ref().map(|queue| queue.send(task)); // threads end no earlier than this queue
                });
                open
            }));
            if is_last {
                self.total = self.next + self.open.len();
            }
        }
    }

    /// A batch without samples, and the tasks that make them.
    fn open(&self, number: usize) -> Result<(Open, Vec<Task>)> {
        let Planned { positions, size } = &self.work.plan.batches[number];
        let (count, size) = (positions.len(), *size);
        let picture = size.area().checked_mul(Image::CHANNELS);
        let taken = picture.and_then(|picture| picture.checked_mul(count)).context("not enough memory");
        let (Size { width, height }, picture) = (size, picture.unwrap_or(usize::MAX));
        let taken = taken.and_then(|len| self.buffers.take(len));
        let buffer = taken.with_context(|| format!("no memory for a batch of {count} images of {width}x{height}"))?;
        let (pixels, parts) = buffer.split(picture);
        let task = |(slot, (position, pixels))| Task { batch: number, slot, position, size, pixels };
        let tasks = positions.clone().zip(parts).enumerate().map(task).collect();
        Ok((Open { size, pixels, samples: (0..count).map(|_| None).collect(), missing: count }, tasks))
    }

    fn put(&mut self, done: Done) {
        if let Some(Ok(open)) = self.open.get_mut(done.batch - self.next) {
            open.samples[done.slot] = Some(done.made);
            open.missing -= 1;
        }
    }

    /// The next batch as soon as it is ready.
    fn receive(&mut self) -> Result<RawBatch> {
        while let Ok(done) = self.results.try_recv() {
            self.put(done);
        }
        let is_ready = |open: &&Result<Open>| open.as_ref().is_ok_and(|open| open.missing == 0);
        self.ready = self.open.iter().filter(is_ready).count();
        while let Some(Ok(Open { missing: 1.., .. })) = self.open.front() {
            let done = self.results.recv().map_err(|_| anyhow!("all loader threads have ended"))?;
            self.put(done);
        }
        self.open.pop_front().context("no batch is in work")??.finish()
    }

    /// The next batch, made by the calling thread.
    fn make(&mut self) -> Result<RawBatch> {
        let (mut open, tasks) = self.open(self.next)?;
        for task in tasks {
            let Done { slot, made, .. } = task.run(&self.work);
            open.samples[slot] = Some(Ok(made?));
        }
        open.finish()
    }
}

impl Open {
    /// The batch, without the samples that cannot be read.
    fn finish(self) -> Result<RawBatch> {
        let (objects, samples, skipped) = (Vec::new(), Vec::with_capacity(self.samples.len()), Vec::new());
        let pixels = self.pixels.join().context("a sample of the batch is still in work")?;
        let picture = self.size.area() * Image::CHANNELS;
        let mut batch = RawBatch { pixels, size: self.size, objects, samples, skipped };
        for made in self.samples.into_iter().flatten() {
            let image = batch.samples.len() as u32;
            match made? {
                Made::Drawn(info, objects) => {
                    batch.samples.push(info);
                    batch.objects.extend(objects.into_iter().map(|object| BatchObject { image, object }));
                }
                Made::Skipped(path, reason) => {
                    let gap = image as usize * picture;
                    batch.pixels.close_gap(gap, gap + picture);
                    batch.skipped.push((path, reason));
                }
            }
        }
        Ok(batch)
    }
}

impl Iterator for Batches {
    type Item = Result<RawBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.total {
            return None;
        }
        let asked = Instant::now();
        let batch = if self.threads.is_empty() { self.make() } else { self.receive() };
        self.waited += asked.elapsed();
        self.work.forget_up_to(self.next);
        self.next += 1;
        match batch {
            Ok(_) => self.queue(),
            Err(_) => self.total = self.next,
        }
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
