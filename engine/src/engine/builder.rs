//! The engine's builder: every parameter, with its default.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;
use std::time::Duration;

use fulmar_arena::Arena;
use fulmar_arena::sync::atomic::{AtomicBool, AtomicU8, AtomicU32};

use super::owners::WeakEngine;
use super::{BUILT, Engine, Inner};
use crate::clock::Clock;
use crate::env::Env;
use crate::error::{BuildError, MAX_WORKERS};
use crate::handle::{Names, Table};
use crate::net::Sockets;
use crate::owed::Debts;
use crate::scheduler::Scheduler;
use crate::service::Module;
use crate::timer::Timer;

/// Sets an engine up.
///
/// ```
/// use fulmar_engine::{Clock, Engine};
/// let engine = Engine::builder().threads(2).harbor(1).env([("key", "value")]).build()?;
/// assert_eq!(engine.env().get("key").as_deref(), Some("value"));
/// # Ok::<(), fulmar_engine::BuildError>(())
/// ```
pub struct EngineBuilder {
    threads: usize,
    seed: Option<u64>,
    harbor: u8,
    profile: bool,
    arena: Option<Arena>,
    clock: Option<Clock>,
    env: BTreeMap<String, String>,
    modules: HashMap<String, Arc<dyn Module>>,
    endless_after: Duration,
}

impl EngineBuilder {
    /// The number of workers, 1 to 1024; by default as many as the machine has processors for us.
    pub fn threads(self, threads: usize) -> EngineBuilder {
        EngineBuilder { threads, ..self }
    }

    /// No threads: services run inside [`Engine::run_until_idle`], in an order drawn from `seed`, on a clock that stands still until
    /// nothing is left to do. The same seed gives the same run.
    pub fn deterministic(self, seed: u64) -> EngineBuilder {
        EngineBuilder {
            seed: Some(seed),
            ..self
        }
    }

    /// The number of this node, 0 by default.
    pub fn harbor(self, harbor: u8) -> EngineBuilder {
        EngineBuilder { harbor, ..self }
    }

    /// Whether services are charged for the time they use. On by default; costs a clock read per turn.
    pub fn profile(self, profile: bool) -> EngineBuilder {
        EngineBuilder { profile, ..self }
    }

    /// The arena for messages; by default the process's.
    pub fn arena(self, arena: Arena) -> EngineBuilder {
        EngineBuilder {
            arena: Some(arena),
            ..self
        }
    }

    /// The clock; by default the system's, or a manual one that starts at zero for a deterministic engine.
    pub fn clock(self, clock: Clock) -> EngineBuilder {
        EngineBuilder {
            clock: Some(clock),
            ..self
        }
    }

    /// Adds to the environment.
    pub fn env<K: Into<String>, V: Into<String>>(
        mut self,
        values: impl IntoIterator<Item = (K, V)>,
    ) -> EngineBuilder {
        self.env
            .extend(values.into_iter().map(|(key, value)| (key.into(), value.into())));
        self
    }

    /// Makes a kind of service launchable by name.
    pub fn module(mut self, name: impl Into<String>, module: impl Module + 'static) -> EngineBuilder {
        self.modules.insert(name.into(), Arc::new(module));
        self
    }

    /// The monitor's period: a message that lasts from one look to the next is reported as endless, and one of a service that is retired is
    /// interrupted with signal 0 from the second report on. Memory that a flood has left is looked for as often, see [`Arena::shrink`].
    /// 5 seconds by default.
    pub fn endless_after(self, period: Duration) -> EngineBuilder {
        EngineBuilder {
            endless_after: period,
            ..self
        }
    }

    /// Builds the engine. Services can be launched; none handles a message before [`Engine::start`].
    ///
    /// # Errors
    /// [`BuildError::Threads`] when the number of workers is out of range.
    pub fn build(self) -> Result<Engine, BuildError> {
        if !(1..=MAX_WORKERS).contains(&self.threads) {
            return Err(BuildError::Threads { asked: self.threads });
        }
        let clock = self.clock.unwrap_or_else(|| match self.seed {
            Some(_) => Clock::manual(0),
            None => Clock::system(),
        });
        let scheduler = match self.seed {
            Some(seed) => Scheduler::seeded(seed),
            None => Scheduler::with_workers(self.threads),
        };
        Ok(Engine(Arc::new_cyclic(|engine: &Weak<Inner>| {
            let weak = Weak::clone(engine);
            let expire = move |to, session| {
                if let Some(engine) = weak.upgrade() {
                    Engine(engine).expire(to, session);
                }
            };
            let arena = self.arena.unwrap_or_else(Arena::process);
            Inner {
                harbor: self.harbor,
                profile: self.profile,
                arena,
                sockets: Sockets::new(
                    arena,
                    clock.clone(),
                    self.seed.is_none(),
                    Box::new(WeakEngine(Weak::clone(engine))),
                ),
                timer: Timer::new(clock.clone(), Arc::new(expire)),
                clock,
                env: Env::new(self.env),
                table: Table::new(self.harbor),
                names: Names::default(),
                modules: Mutex::new(self.modules),
                scheduler,
                endless_after: self.endless_after,
                phase: AtomicU8::new(BUILT),
                aborted: AtomicBool::new(false),
                live: Mutex::default(),
                ended: Condvar::new(),
                exit_monitor: AtomicU32::new(0),
                harbor_service: AtomicU32::new(0),
                threads: Mutex::default(),
                hooks: Mutex::default(),
                debts: Debts::new(arena),
                retired: Mutex::default(),
            }
        })))
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("threads", &self.threads)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine with all defaults, to be changed and built.
    pub fn builder() -> EngineBuilder {
        EngineBuilder {
            threads: thread::available_parallelism().map_or(1, |n| n.get().min(MAX_WORKERS)),
            seed: None,
            harbor: 0,
            profile: true,
            arena: None,
            clock: None,
            env: BTreeMap::new(),
            modules: HashMap::new(),
            endless_after: Duration::from_secs(5),
        }
    }
}
