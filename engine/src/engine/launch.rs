//! How services come to be: by value, or by the name of their module.

use std::sync::Arc;
use std::thread;

use crossbeam_epoch as epoch;

use super::{BUILT, Engine, Running, spawn};
use crate::error::LaunchError;
use crate::handle::Handle;
use crate::scheduler::OwnThread;
use crate::service::{Lane, Module, Placement, Service, ServiceCell, ServiceOptions};

impl Engine {
    /// Starts a service: gives it a handle and runs its `start` in this thread. What is sent to it in the meantime waits.
    ///
    /// # Errors
    /// [`LaunchError`]: no handle, worker or thread for it, a shutdown under way, or its own refusal. Its handle is then retired, and what
    /// was sent to it answered.
    pub fn spawn(
        &self,
        service: impl Service + 'static,
        options: ServiceOptions,
    ) -> Result<Handle, LaunchError> {
        self.spawn_boxed(Box::new(service), options)
    }

    /// [`Engine::spawn`] of a service of unknown type.
    ///
    /// # Errors
    /// As [`Engine::spawn`].
    pub fn spawn_boxed(
        &self,
        service: Box<dyn Service>,
        options: ServiceOptions,
    ) -> Result<Handle, LaunchError> {
        let own = options.placement == Placement::OwnThread && self.0.scheduler.as_seeded().is_none();
        let own = own.then(|| Arc::new(OwnThread::new()));
        let lane = match (options.placement, &own) {
            (_, Some(thread)) => Lane::Own(Arc::clone(thread)),
            (Placement::Worker(asked), _) if self.0.scheduler.as_seeded().is_none() => {
                let workers = self.0.scheduler.workers();
                if asked >= workers {
                    return Err(LaunchError::NoWorker { asked, workers });
                }
                self.0.scheduler.pin(asked);
                Lane::Worker(asked)
            }
            _ => Lane::Any,
        };
        let signal_target = service.signal_target();
        {
            // Under the lock, so that a shutdown that looks at the count knows of us or we of it.
            let mut live = self.live();
            if self.is_ending() {
                return Err(LaunchError::ShuttingDown);
            }
            live.counted += 1;
        }
        let inserted = self.0.table.insert(&epoch::pin(), |handle| {
            Arc::new(ServiceCell::new(
                self.clone(),
                handle,
                service,
                signal_target,
                lane,
                options.mailbox,
            ))
        });
        let Ok(cell) = inserted else {
            self.live().counted -= 1;
            self.0.ended.notify_all();
            self.retire_last();
            return Err(LaunchError::NoHandle);
        };
        // Looked at again, because whoever ends everything may have listed the handles before ours was among them.
        let ready = match own {
            _ if self.is_ending() => Err(LaunchError::ShuttingDown),
            Some(thread) => self.run_own_thread(thread, Arc::clone(&cell)),
            None => Ok(()),
        };
        if let Err(error) = ready {
            // SAFETY: made above; nobody starts it.
            unsafe { cell.give_up() };
            return Err(error);
        }
        // SAFETY: made above; nobody else starts it.
        unsafe { cell.start(&options.name, &options.args) }.map(|()| cell.handle)
    }

    /// Starts a service of a registered module, with `LAUNCH module args` or `error: launch module FAILED` in the log.
    ///
    /// # Errors
    /// As [`Engine::spawn`], and [`LaunchError::UnknownModule`].
    pub fn launch(&self, module: &str, args: &str) -> Result<Handle, LaunchError> {
        let found = self.modules().get(module).cloned();
        let Some(found) = found else {
            return Err(LaunchError::UnknownModule(module.to_owned()));
        };
        let options = ServiceOptions {
            name: module.to_owned(),
            args: args.to_owned(),
            ..found.options()
        };
        self.spawn_boxed(found.create(), options)
    }

    /// Makes a kind of service launchable by name, in place of what had that name.
    pub fn register_module(&self, name: impl Into<String>, module: Arc<dyn Module>) {
        self.modules().insert(name.into(), module);
    }

    /// Whether a module of this name is registered.
    pub fn has_module(&self, name: &str) -> bool {
        self.modules().contains_key(name)
    }

    fn run_own_thread(&self, thread: Arc<OwnThread>, cell: Arc<ServiceCell>) -> Result<(), LaunchError> {
        let engine = self.clone();
        let slot = Some(Arc::clone(thread.slot()));
        let handle = cell.handle;
        let run = move || {
            while engine.phase() == BUILT {
                thread::park();
            }
            thread.run(&engine, &cell);
        };
        let mut threads = self.threads();
        threads.own.retain(|own| !own.join.is_finished());
        match spawn(format!("service-{:x}", handle.bits()), run) {
            Ok(join) => {
                threads.own.push(Running { slot, join });
                Ok(())
            }
            Err(error) => Err(LaunchError::Thread(error)),
        }
    }
}
