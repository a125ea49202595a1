//! The side that reads.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use fulmar_arena::Buf;
use fulmar_arena::sync::thread::{self, Thread};

use crate::stm_box::{Snapshot, State, StmBox, Version};
use crate::waiters::Ticket;

/// Reads a box: holds the version that it has moved to last, until it moves on.
///
/// Shape: two pointers and two words. A clone holds the same version and moves on by itself.
pub struct Reader<T = Buf> {
    stm_box: Arc<StmBox<T>>,
    snapshot: Option<Snapshot<T>>,
    /// The waker that it has left behind.
    waiting: Option<Ticket>,
}

/// The writers are gone: there will be no further version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the writers of this box are gone")]
pub struct Closed;

/// Why [`Reader::wait_timeout`] has no new version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The time is over.
    #[error("no new version within the time")]
    TimedOut,
    /// There will be none.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl<T> Reader<T> {
    pub(crate) fn new(stm_box: Arc<StmBox<T>>) -> Reader<T> {
        Reader {
            stm_box,
            snapshot: None,
            waiting: None,
        }
    }

    /// Moves to the newest version, if that is not the one it holds. The first time there always is one.
    ///
    /// Cost: one atomic load when there is nothing new; else the newest version is loaded without waiting, and the one before is freed if
    /// this was its last reader.
    #[inline]
    pub fn update(&mut self) -> Option<&Snapshot<T>> {
        if self.has_new() {
            Some(self.move_on())
        } else {
            None
        }
    }

    /// Moves to the newest version, and gives it whether it is new or not.
    #[inline]
    pub fn latest(&mut self) -> &Snapshot<T> {
        if self.has_new() {
            self.move_on();
        }
        self.snapshot.as_ref().expect("there is a version from the start")
    }

    /// Whether there is a version that this reader has not taken.
    ///
    /// Cost: one atomic load.
    #[inline]
    pub fn has_new(&self) -> bool {
        self.is_behind(self.stm_box.state())
    }

    /// The version that it holds; none before it has taken one. It stays what it is until this reader moves on.
    #[inline]
    pub fn snapshot(&self) -> Option<&Snapshot<T>> {
        self.snapshot.as_ref()
    }

    /// Whether the writers are gone. The last version may still be to be taken.
    ///
    /// Cost: one atomic load.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.stm_box.state().is_closed()
    }

    /// Waits until there is a version that this reader has not taken, and moves to it. Blocks the thread.
    ///
    /// ```
    /// use fulmar_stm::{Closed, Writer};
    ///
    /// let writer = Writer::new(1);
    /// let mut reader = writer.copy();
    /// assert_eq!(**reader.wait()?, 1);
    /// let thread = std::thread::spawn(move || {
    ///     writer.commit(2);
    /// });
    /// assert_eq!(**reader.wait()?, 2);
    /// thread.join().unwrap();
    /// assert_eq!(reader.wait().unwrap_err(), Closed);
    /// # Ok::<(), Closed>(())
    /// ```
    ///
    /// # Errors
    /// [`Closed`] when there will be none.
    pub fn wait(&mut self) -> Result<&Snapshot<T>, Closed> {
        match self.rest_until(None) {
            Err(WaitError::Closed(closed)) => Err(closed),
            _ => Ok(self.latest()),
        }
    }

    /// The same, for no longer than `limit`.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] when there is none by then; [`WaitError::Closed`] when there will be none.
    pub fn wait_timeout(&mut self, limit: Duration) -> Result<&Snapshot<T>, WaitError> {
        // A time that no clock reaches is none.
        self.rest_until(Instant::now().checked_add(limit))?;
        Ok(self.latest())
    }

    fn rest_until(&mut self, deadline: Option<Instant>) -> Result<(), WaitError> {
        if self.has_new() {
            return Ok(());
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(ready) = self.poll_new(&mut context) {
                return Ok(ready?);
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => {
                    self.forget_waker();
                    return Err(WaitError::TimedOut);
                }
                Some(left) => thread::park_timeout(left),
            }
        }
    }

    /// Moves to the version that this reader has not taken; without one it leaves the waker of `context`, to be woken once by the next
    /// commit, or when the box is closed. At most one waker is left at a time: the last one.
    ///
    /// ```
    /// use std::future::poll_fn;
    /// # use std::task::{Context, Poll, Waker};
    /// # fn block_on<F: Future>(future: F) -> F::Output {
    /// #     let mut future = std::pin::pin!(future);
    /// #     let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { panic!() };
    /// #     output
    /// # }
    ///
    /// let writer = fulmar_stm::Writer::new("news");
    /// let mut reader = writer.copy();
    /// let length = block_on(async {
    ///     poll_fn(|context| reader.poll_update(context).map_ok(|snapshot| snapshot.len())).await
    /// });
    /// assert_eq!(length, Ok(4));
    /// ```
    ///
    /// # Errors
    /// [`Closed`] when there will be none.
    pub fn poll_update(&mut self, context: &mut Context<'_>) -> Poll<Result<&Snapshot<T>, Closed>> {
        match self.poll_new(context) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(self.latest())),
            Poll::Ready(Err(closed)) => Poll::Ready(Err(closed)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The same, but it stays where it is: ready says that there is a version to be taken.
    fn poll_new(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.forget_waker();
        if let Some(ready) = self.look() {
            return Poll::Ready(ready);
        }
        self.waiting = Some(self.stm_box.waiters.enter(context.waker().clone()));
        match self.look() {
            Some(ready) => {
                self.forget_waker();
                Poll::Ready(ready)
            }
            None => Poll::Pending,
        }
    }

    /// Takes back the waker that was left. False when there is none, or it has been woken or is about to be.
    pub fn forget_waker(&mut self) -> bool {
        let waiting = self.waiting.take();
        waiting
            .and_then(|ticket| self.stm_box.waiters.withdraw(ticket))
            .is_some()
    }

    fn look(&self) -> Option<Result<(), Closed>> {
        let state = self.stm_box.state();
        if self.is_behind(state) {
            Some(Ok(()))
        } else if state.is_closed() {
            Some(Err(Closed))
        } else {
            None
        }
    }

    #[inline]
    fn is_behind(&self, state: State) -> bool {
        let held = self.snapshot.as_ref().map_or(Version::NONE, Snapshot::version);
        state.version() > held
    }

    fn move_on(&mut self) -> &Snapshot<T> {
        self.snapshot.insert(self.stm_box.newest())
    }
}

impl<T> Clone for Reader<T> {
    fn clone(&self) -> Self {
        Reader {
            stm_box: Arc::clone(&self.stm_box),
            snapshot: self.snapshot.clone(),
            waiting: None,
        }
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.forget_waker();
    }
}

impl<T> fmt::Debug for Reader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("holds", &self.snapshot.as_ref().map(Snapshot::version))
            .field("newest", &self.stm_box.state().version())
            .finish_non_exhaustive()
    }
}

/// Wakes a thread that rests in [`Reader::wait`].
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
