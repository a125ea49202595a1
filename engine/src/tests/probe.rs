//! A service that writes down what it receives and lends its context to the test.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{Context, Engine, Handle, Message, MessageType, Service, ServiceOptions, StartError};

/// A message, as a probe saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) source: Handle,
    pub(super) message_type: MessageType,
    pub(super) session: i32,
    pub(super) bytes: Vec<u8>,
}

impl Seen {
    /// The bytes as text.
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).expect("the tests send text")
    }
}

/// A running probe, from outside.
pub(super) struct Probe {
    pub(super) cx: Context,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Probe {
    /// Starts a probe.
    pub(super) fn spawn(engine: &Engine) -> Probe {
        Probe::spawn_with(engine, ServiceOptions::default())
    }

    pub(super) fn spawn_with(engine: &Engine, options: ServiceOptions) -> Probe {
        let (cx, seen) = (Arc::default(), Arc::default());
        let service = Recorder {
            cx: Arc::clone(&cx),
            seen: Arc::clone(&seen),
        };
        engine.spawn(service, options).expect("a probe starts");
        let cx = cx
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .expect("set when it started");
        Probe { cx, seen }
    }

    /// Starts a probe that takes the engine's log.
    pub(super) fn logger(engine: &Engine) -> Probe {
        let probe = Probe::spawn(engine);
        assert!(engine.names().register("logger", probe.cx.handle()));
        probe
    }

    pub(super) fn handle(&self) -> Handle {
        self.cx.handle()
    }

    /// What has come since the last call.
    pub(super) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What has come since the last call, as texts.
    pub(super) fn take_texts(&self) -> Vec<String> {
        self.take().iter().map(|seen| seen.text().to_owned()).collect()
    }
}

struct Recorder {
    cx: Arc<Mutex<Option<Context>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Service for Recorder {
    fn start(&mut self, cx: &Context, _args: &str) -> Result<(), StartError> {
        *self.cx.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.clone());
        Ok(())
    }

    fn receive(&mut self, _cx: &Context, message: Message) {
        let seen = Seen {
            source: message.source(),
            message_type: message.message_type(),
            session: message.session(),
            bytes: message.bytes().to_vec(),
        };
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seen);
    }
}
