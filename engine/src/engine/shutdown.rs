//! How an engine ends: by itself, in order, or at once.

use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

use fulmar_arena::sync::atomic::Ordering;

use super::{BUILT, Engine, STOPPED, STOPPING};
use crate::handle::Handle;
use crate::post::LOGGER;
use crate::scheduler::on_service_thread;

impl Engine {
    /// Waits until no service is left (the harbor service does not count, it follows the others), then ends the threads. Not to be called
    /// from a service, which would wait for itself.
    ///
    /// On a deterministic engine it runs it, and returns when nothing is left to do.
    pub fn wait(&self) {
        if self.0.scheduler.as_seeded().is_some() {
            return self.run_until_idle();
        }
        let mut live = self.live();
        while live.counted > 0 {
            live = self.0.ended.wait(live).unwrap_or_else(PoisonError::into_inner);
        }
        self.transition_to(STOPPING); // under the lock: nobody is launched between the count and this
        drop(live);
        self.retire_all(|_| true); // the harbor service
        let mut live = self.live();
        while live.uncounted > 0 {
            live = self.0.ended.wait(live).unwrap_or_else(PoisonError::into_inner);
        }
        drop(live);
        self.finish(None);
    }

    /// Ends the engine in order, within about `deadline`. True when every service ended in time.
    ///
    /// 1. Launches are refused from now on.
    /// 2. The hooks run, the latest first.
    /// 3. All services but logger and harbor are retired; each stops on a worker and answers what it still holds.
    /// 4. When they have ended, the harbor and then the logger follow, so that last lines are still written.
    /// 5. Timer, workers and monitor end. A thread that is still stuck in a service when the deadline has passed is left behind.
    ///
    /// Step 4 has up to a second of its own when the deadline passes before it: lines about those who are stuck are to be read.
    ///
    /// Called from a service it cannot wait for itself: it does steps 1 and 2, retires everything, and returns false; then
    /// [`Engine::wait`] elsewhere does the rest.
    pub fn shutdown(&self, deadline: Duration) -> bool {
        let until = after(deadline);
        let never_started = self.phase() == BUILT;
        {
            let _live = self.live(); // nobody is launched past this
            self.transition_to(STOPPING);
        }
        let hooks = std::mem::take(&mut *self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner));
        for hook in hooks.into_iter().rev() {
            hook(self);
        }
        if on_service_thread() {
            self.abort();
            return false;
        }
        let logger = self.names().query(LOGGER);
        let harbor = self.harbor_service();
        let mut in_time = true;
        let last: Vec<Handle> = harbor.into_iter().chain(logger).collect();
        self.retire_all(|handle| !last.contains(&handle));
        in_time &= self.settle(until, never_started, last.len());
        let late = until.max(after(LAST_WORDS));
        let stuck = {
            let live = self.live();
            (live.counted + live.uncounted).saturating_sub(last.len())
        };
        for (index, handle) in last.iter().enumerate() {
            self.retire(*handle);
            in_time &= self.settle(late, never_started, stuck + last.len() - index - 1);
        }
        self.finish(Some(until));
        in_time
    }

    /// Retires every service at once, as skynet's ABORT: no notice to the exit monitor, queued work is answered with errors. Launches
    /// are refused from now on.
    ///
    /// The logger ends when all others have, and writes what it was sent until then.
    pub fn abort(&self) {
        {
            let _live = self.live(); // nobody is launched past this
            // Relaxed: `retire_last` reads it after the lock of the count, which whoever ends last takes before or after us.
            self.0.aborted.store(true, Ordering::Relaxed);
        }
        let logger = self.names().query(LOGGER);
        self.retire_all(|handle| Some(handle) != logger);
        self.retire_last();
    }

    /// Runs `hook` when [`Engine::shutdown`] begins. Later hooks run first.
    pub fn on_shutdown(&self, hook: impl FnOnce(&Engine) + Send + 'static) {
        self.0
            .hooks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(hook));
    }

    /// After an abort: retires the logger when nobody else is left.
    pub(super) fn retire_last(&self) {
        let alone = {
            let live = self.live();
            live.counted + live.uncounted == 1
        };
        // Relaxed: if the abort took the lock before us, it happened before; otherwise it will find the count as we do.
        if alone
            && self.0.aborted.load(Ordering::Relaxed)
            && let Some(logger) = self.names().query(LOGGER)
        {
            self.retire(logger);
        }
    }

    fn retire_all(&self, which: impl Fn(Handle) -> bool) {
        self.handles()
            .into_iter()
            .filter(|handle| which(*handle))
            .for_each(|handle| {
                self.retire(handle);
            });
    }

    /// Waits until no more than `rest` services are left. False when the time is up.
    fn settle(&self, until: Instant, never_started: bool, rest: usize) -> bool {
        if self.0.scheduler.as_seeded().is_some() {
            self.run_until_idle();
        } else if never_started {
            self.0.scheduler.run_here(self);
        }
        let mut live = self.live();
        live.awaited = live.awaited.max(rest);
        while live.counted + live.uncounted > rest {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.0.scheduler.as_seeded().is_some() {
                return false;
            }
            live = self
                .0
                .ended
                .wait_timeout(live, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// Ends the threads and waits for them, those that are stuck only until `until`; nothing is owed any more.
    fn finish(&self, until: Option<Instant>) {
        self.transition_to(STOPPED);
        self.0.sockets.stop();
        self.0.timer.stop();
        self.0.scheduler.stop();
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads.fixed.into_iter().chain(threads.own) {
            while until.is_some_and(|until| Instant::now() < until) && !thread.join.is_finished() {
                thread::sleep(Duration::from_millis(1));
            }
            if until.is_none() || thread.join.is_finished() {
                // A panic outside of every service has been reported by the panic hook.
                let _ = thread.join.join();
            }
        }
        self.debts().clear();
    }

    /// Moves on in life, never back; threads of single services wait for the first step.
    fn transition_to(&self, phase: u8) {
        // AcqRel: as in `start`.
        self.0.phase.fetch_max(phase, Ordering::AcqRel);
        self.threads()
            .own
            .iter()
            .for_each(|own| own.join.thread().unpark());
    }
}

/// The moment when `limit` has passed; one far away when the clock does not reach that far.
fn after(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit).unwrap_or(now + A_YEAR)
}

/// What harbor and logger have at least.
const LAST_WORDS: Duration = Duration::from_secs(1);
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
