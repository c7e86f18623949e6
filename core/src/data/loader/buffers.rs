//! Buffers: memory for the pixels of batches, used again from batch to batch, and written in parts by several threads.

#![allow(unsafe_code)] // one block, many writers

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};

/// Bytes that stay at one place until they are dropped.
pub trait Block: Any + Send {
    /// All of them.
    fn bytes(&self) -> &[u8];
    /// All of them, to be written.
    fn bytes_mut(&mut self) -> &mut [u8];
}

impl Block for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

/// Where blocks come from.
pub trait Memory: Send + Sync {
    /// A block of `len` bytes with any content.
    ///
    /// # Errors
    /// If there is not so much.
    fn block(&self, len: usize) -> Result<Box<dyn Block>>;

    /// Whether a block may be written again as soon as its batch is dropped. Where a device may still be reading it,
    /// it goes back to its own allocator instead, which knows when.
    fn is_reusable(&self) -> bool {
        true
    }
}

/// The process's ordinary memory.
pub struct Heap;

impl Memory for Heap {
    fn block(&self, len: usize) -> Result<Box<dyn Block>> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).context("not enough memory")?;
        bytes.resize(len, 0); // once a block, not once a batch
        Ok(Box::new(bytes))
    }
}

/// The buffers of one or more loaders. Those that are free are kept for the next batch.
pub struct Buffers {
    memory: Box<dyn Memory>,
    free: Mutex<Free>,
}

#[derive(Default)]
struct Free {
    blocks: Vec<Box<dyn Block>>,
    /// More are not kept.
    most: usize,
}

impl Buffers {
    /// Without any yet.
    #[must_use]
    pub fn new(memory: impl Memory + 'static) -> Arc<Self> {
        Arc::new(Self { memory: Box::new(memory), free: Mutex::default() })
    }

    /// From now on keeps at most `most` free buffers.
    pub(super) fn keep(&self, most: usize) {
        let mut free = self.free();
        free.most = most;
        free.blocks.truncate(most);
    }

    /// A buffer of `len` bytes with any content. A free block that is too small makes room for a larger one.
    ///
    /// # Errors
    /// If there is not so much memory.
    pub(super) fn take(self: &Arc<Self>, len: usize) -> Result<Buffer> {
        let free = self.free().blocks.pop();
        let block = match free.filter(|block| block.bytes().len() >= len) {
            Some(block) => block,
            None => self.memory.block(len)?,
        };
        Ok(Buffer { block, len, home: Some(Arc::clone(self)) })
    }

    /// The number of free blocks.
    #[cfg(test)]
    pub(super) fn num_free(&self) -> usize {
        self.free().blocks.len()
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner) // no code that could panic runs under this lock
    }
}

/// The pixels of a batch. Dropped, its memory serves another batch.
pub struct Buffer {
    block: Box<dyn Block>,
    len: usize,
    home: Option<Arc<Buffers>>,
}

impl Buffer {
    /// The block, where it is a `T`.
    #[must_use]
    pub fn block<T: Block>(&self) -> Option<&T> {
        (&*self.block as &dyn Any).downcast_ref()
    }

    /// Moves the bytes from `from` on to `to`, which lies before it, and forgets as many at the end.
    pub(super) fn close_gap(&mut self, to: usize, from: usize) {
        let len = self.len;
        self.block.bytes_mut()[..len].copy_within(from.., to);
        self.len -= from - to;
    }

    /// Cuts the bytes into parts of `size` for threads of their own. The buffer comes back from [`Split::join`] when
    /// they are gone.
    pub(super) fn split(mut self, size: usize) -> (Split, Vec<Part>) {
        let len = self.len;
        let parts: Vec<_> = self.block.bytes_mut()[..len].chunks_mut(size.max(1)).collect();
        let parts: Vec<_> = parts.into_iter().map(|part| (part.as_mut_ptr(), part.len())).collect();
        let whole = Arc::new(Mutex::new(self));
        let part = |(start, len)| Part { start, len, _whole: Arc::clone(&whole) };
        (Split(Arc::clone(&whole)), parts.into_iter().map(part).collect())
    }
}

/// A buffer whose parts are being written. Nobody looks into it before they are gone.
pub(super) struct Split(Arc<Mutex<Buffer>>);

impl Split {
    /// The buffer again, if no part is left.
    pub fn join(self) -> Option<Buffer> {
        Arc::into_inner(self.0).map(|whole| whole.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Some of a buffer's bytes, which nobody else reads or writes.
pub(super) struct Part {
    start: *mut u8,
    len: usize,
    /// Keeps the block alive.
    _whole: Arc<Mutex<Buffer>>,
}

// SAFETY: the bytes are this part's alone, and the block may be dropped by any thread.
unsafe impl Send for Part {}

impl Part {
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: split() made this range from disjoint chunks of a block that stays at its place; the buffer is not
        // touched before all parts are dropped.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(home) = self.home.take().filter(|home| home.memory.is_reusable()) else { return };
        let mut free = home.free();
        if free.blocks.len() < free.most {
            free.blocks.push(std::mem::replace(&mut self.block, Box::new(Vec::new())));
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.block.bytes()[..self.len]
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len(), block: Box::new(bytes), home: None }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        self.to_vec().into()
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_written_by_threads_and_joined() {
        let buffers = Buffers::new(Heap);
        let (split, parts) = buffers.take(10).unwrap().split(4);
        std::thread::scope(|scope| {
            for (i, mut part) in parts.into_iter().enumerate() {
                scope.spawn(move || part.bytes_mut().fill(i as u8 + 1));
            }
        });
        let mut joined = split.join().unwrap();
        assert_eq!(*joined, [1, 1, 1, 1, 2, 2, 2, 2, 3, 3]);
        joined.close_gap(2, 5);
        assert_eq!(*joined, [1, 1, 2, 2, 2, 3, 3]);
        let (split, parts) = joined.split(7);
        assert!(split.join().is_none(), "a part is left");
        drop(parts);
    }

    #[test]
    fn memory_is_used_again() {
        let buffers = Buffers::new(Heap);
        buffers.keep(2);
        let places = [100, 60, 100].map(|len| {
            let buffer = buffers.take(len).unwrap();
            assert_eq!(buffer.len(), len);
            buffer.as_ptr()
        });
        assert!(places.iter().all(|place| *place == places[0]), "the same block, of which a part may be used");
        let larger = buffers.take(101).unwrap();
        assert_eq!((larger.len(), buffers.num_free()), (101, 0), "the smaller one is gone");
        drop([buffers.take(1).unwrap(), buffers.take(1).unwrap(), larger]);
        assert_eq!(buffers.num_free(), 2, "no more than are kept");
        buffers.keep(1);
        assert_eq!(buffers.num_free(), 1);
    }

    #[test]
    fn what_a_device_may_still_read_is_not_used_again() {
        struct Read;
        impl Memory for Read {
            fn block(&self, len: usize) -> Result<Box<dyn Block>> {
                Heap.block(len)
            }
            fn is_reusable(&self) -> bool {
                false
            }
        }
        let buffers = Buffers::new(Read);
        buffers.keep(5);
        let buffer = buffers.take(8).unwrap();
        assert_eq!(buffer.block::<Vec<u8>>().map(Vec::len), Some(8));
        drop(buffer);
        assert_eq!(buffers.num_free(), 0);
        assert!(Heap.block(usize::MAX / 2).is_err());
    }
}
