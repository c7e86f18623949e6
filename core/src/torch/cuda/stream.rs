//! Streams and events of a GPU: what runs beside what, and what waits for what.

#![allow(unsafe_code)] // functions of our library for GPUs, and handles of its objects

use std::{marker::PhantomData, ptr::null_mut};

use anyhow::Result;
use tch::Tensor;
use trainer_sdk::abi::Opaque;

use super::{Cuda, open};

/// A queue of work on one GPU.
pub struct Stream {
    cuda: &'static Cuda,
    handle: Opaque,
}

// SAFETY: a stream is a number of the driver's, which all threads may use.
unsafe impl Send for Stream {}

impl Stream {
    /// One of libtorch's streams on GPU `index`, beside the default one; an urgent one goes before others.
    ///
    /// # Errors
    /// If there is no GPU of that number.
    pub fn new(index: usize, is_urgent: bool) -> Result<Self> {
        let (cuda, index, mut handle) = (open()?, index as i32, null_mut());
        // SAFETY: the place outlives the call.
        cuda.table.call(|table, error| unsafe { (table.stream_new)(index, is_urgent, &raw mut handle, error) })?;
        Ok(Self { cuda, handle })
    }

    /// The one that this thread gives its work on GPU `index` to.
    ///
    /// # Errors
    /// If there is no GPU of that number.
    pub fn current(index: usize) -> Result<Self> {
        let (cuda, mut handle) = (open()?, null_mut());
        // SAFETY: the place outlives the call.
        cuda.table.call(|table, error| unsafe { (table.stream_current)(index as i32, &raw mut handle, error) })?;
        Ok(Self { cuda, handle })
    }

    /// This thread gives its work to this stream until the guard is dropped.
    ///
    /// # Errors
    /// The driver's message.
    pub fn enter(&self, index: usize) -> Result<Current> {
        let before = Self::current(index)?;
        self.make_current()?;
        Ok(Current { before, of_thread: PhantomData })
    }

    fn make_current(&self) -> Result<()> {
        // SAFETY: a live stream.
        self.cuda.table.call(|table, error| unsafe { (table.stream_make_current)(self.handle, error) })
    }

    /// Waits until all its work is done.
    ///
    /// # Errors
    /// What went wrong there meanwhile.
    pub fn synchronize(&self) -> Result<()> {
        // SAFETY: a live stream.
        self.cuda.table.call(|table, error| unsafe { (table.stream_synchronize)(self.handle, error) })
    }

    /// What it is given from now on waits for the event; the processor does not.
    ///
    /// # Errors
    /// The driver's message.
    pub fn wait(&self, event: &Event) -> Result<()> {
        // SAFETY: both live.
        self.cuda.table.call(|table, error| unsafe { (table.stream_wait)(self.handle, event.handle, error) })
    }

    /// The tensor's memory serves no other purpose before this stream's present work is done. For tensors that another
    /// stream has made.
    ///
    /// # Errors
    /// The driver's message.
    pub fn record(&self, tensor: &Tensor) -> Result<()> {
        let tensor = tensor.as_ptr().cast_mut().cast();
        // SAFETY: both live.
        self.cuda.table.call(|table, error| unsafe { (table.stream_record)(self.handle, tensor, error) })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: ours, and not used again. The stream itself stays in libtorch's pool.
        unsafe { (self.cuda.table.stream_free)(self.handle) };
    }
}

/// While this lives, this thread gives its work to the stream that was entered.
#[must_use]
pub struct Current {
    before: Stream,
    of_thread: PhantomData<*const ()>,
}

impl Drop for Current {
    fn drop(&mut self) {
        let _ = self.before.make_current(); // it was the current one before, so it can be
    }
}

/// A mark in a stream.
pub struct Event {
    cuda: &'static Cuda,
    handle: Opaque,
}

// SAFETY: an event of the driver's, which all threads may use.
unsafe impl Send for Event {}

impl Event {
    /// One that is nowhere yet; a timed one can tell how much time has passed since another.
    ///
    /// # Errors
    /// If there is no GPU.
    pub fn new(is_timed: bool) -> Result<Self> {
        let (cuda, mut handle) = (open()?, null_mut());
        // SAFETY: the place outlives the call.
        cuda.table.call(|table, error| unsafe { (table.event_new)(is_timed, &raw mut handle, error) })?;
        Ok(Self { cuda, handle })
    }

    /// Marks the end of what the stream was given so far; without one, this thread's current stream.
    ///
    /// # Errors
    /// The driver's message.
    pub fn record(&self, stream: Option<&Stream>) -> Result<()> {
        let stream = stream.map_or(null_mut(), |stream| stream.handle);
        // SAFETY: a live event; a null stream is the current one.
        self.cuda.table.call(|table, error| unsafe { (table.event_record)(self.handle, stream, error) })
    }

    /// Whether the stream has come so far.
    ///
    /// # Errors
    /// What went wrong there meanwhile.
    pub fn is_done(&self) -> Result<bool> {
        let mut is_done = false;
        // SAFETY: a live event; the place outlives the call.
        self.cuda.table.call(|table, error| unsafe { (table.event_is_done)(self.handle, &raw mut is_done, error) })?;
        Ok(is_done)
    }

    /// Waits until the stream has come so far.
    ///
    /// # Errors
    /// What went wrong there meanwhile.
    pub fn synchronize(&self) -> Result<()> {
        // SAFETY: a live event.
        self.cuda.table.call(|table, error| unsafe { (table.event_synchronize)(self.handle, error) })
    }

    /// Seconds from `start` to this one; both are timed and done.
    ///
    /// # Errors
    /// If one is not.
    pub fn seconds_since(&self, start: &Self) -> Result<f64> {
        let mut milliseconds = 0.0;
        // SAFETY: both live; the place outlives the call.
        self.cuda.table.call(|table, error| unsafe {
            (table.event_elapsed)(start.handle, self.handle, &raw mut milliseconds, error)
        })?;
        Ok(milliseconds / 1e3)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, and not used again.
        unsafe { (self.cuda.table.event_free)(self.handle) };
    }
}
