//! CUDA graphs: the kernels of a piece of work, captured once and replayed with one call. What it reads and writes are the
//! same tensors each time, of the same shapes.

#![allow(unsafe_code)] // functions of our library for GPUs, and handles of its objects

use std::{marker::PhantomData, ptr::null_mut};

use anyhow::Result;
use trainer_sdk::abi::Opaque;

use super::{Cuda, Current, Stream, open};

/// Work that was captured. Its tensors live in a pool of memory of its own, as long as it does.
pub struct Graph {
    cuda: &'static Cuda,
    handle: Opaque,
    stream: Stream,
    index: usize,
}

impl Graph {
    /// An empty graph for GPU `index`, to be captured on a stream of its own.
    ///
    /// # Errors
    /// If there is no GPU of that number.
    pub fn new(index: usize) -> Result<Self> {
        let (cuda, stream, mut handle) = (open()?, Stream::new(index, false)?, null_mut());
        // SAFETY: the place outlives the call.
        cuda.table.call(|table, error| unsafe { (table.graph_new)(&raw mut handle, error) })?;
        let graph = Self { cuda, handle, stream, index };
        // SAFETY: a live graph.
        cuda.table.call(|table, error| unsafe { (table.graph_register_generator)(handle, index as i32, error) })?;
        Ok(graph)
    }

    /// The stream that it is captured on. Run the work there some times before it is captured, so that libraries have
    /// chosen their algorithms.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Captures what this thread does, without running it, until [`Capture::end`]. Work that synchronises fails meanwhile.
    /// With `shared`, memory comes from that graph's pool: both are always replayed in the order of their capture.
    ///
    /// # Errors
    /// The driver's message.
    pub fn capture(&self, shared: Option<&Self>) -> Result<Capture<'_>> {
        self.cuda.synchronize(self.index)?;
        let stream = self.stream.enter(self.index)?;
        let pool_of = shared.map_or(null_mut(), |graph| graph.handle);
        // SAFETY: live graphs.
        self.cuda.table.call(|table, error| unsafe { (table.graph_begin)(self.handle, pool_of, error) })?;
        Ok(Capture { graph: self, is_over: false, stream, of_thread: PhantomData })
    }

    /// Runs the captured work on this thread's current stream.
    ///
    /// # Errors
    /// If nothing was captured; or the driver's message.
    pub fn replay(&self) -> Result<()> {
        // SAFETY: a live graph.
        self.cuda.table.call(|table, error| unsafe { (table.graph_replay)(self.handle, error) })
    }

    fn end(&self) -> Result<()> {
        // SAFETY: a live graph.
        self.cuda.table.call(|table, error| unsafe { (table.graph_end)(self.handle, error) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: ours, and not used again.
        unsafe { (self.cuda.table.graph_free)(self.handle) };
    }
}

/// A capture that is going on. Dropped without an end, as after an error, it is given up.
#[must_use]
pub struct Capture<'a> {
    graph: &'a Graph,
    is_over: bool,
    #[expect(dead_code, reason = "the stream is left when this is dropped, after the capture has ended")]
    stream: Current,
    of_thread: PhantomData<*const ()>,
}

impl Capture<'_> {
    /// The work is complete.
    ///
    /// # Errors
    /// If something in it cannot be captured.
    pub fn end(mut self) -> Result<()> {
        self.is_over = true;
        self.graph.end()
    }
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.graph.end(); // the work has failed, which its own error tells
        }
    }
}
