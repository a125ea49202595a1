//! The stock `harbor` of a single node: the outlet for messages to other nodes and to global names.
//!
//! There are no other nodes here, so a message to a handle of one is dropped and its sender told. Global names work
//! within the node: `cdummy` registers them, and what was sent to a name before that waits, in order, until then.

use std::collections::HashMap;

use crate::{Context, Handle, Message, MessageType, Module, RemoteMessage, RemoteName, Service, StartError};

/// The module `harbor`. Its argument is `<harbor id> <handle of cdummy, decimal>`.
///
/// | message | effect |
/// |---|---|
/// | `SYSTEM` with a [`RemoteMessage`] | delivered, kept until its name is registered, or, when that can never be, answered with `ERROR` |
/// | `HARBOR` `N <name>` | the global name now belongs to the message's source; what waited for it is delivered |
///
/// To cdummy it sends the text `Q <name>` when the first message to an unknown name arrives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Harbor;

impl Module for Harbor {
    fn create(&self) -> Box<dyn Service> {
        Box::new(Outlet {
            slave: Handle::from_bits(0),
            names: HashMap::new(),
        })
    }
}

/// One running harbor.
struct Outlet {
    slave: Handle,
    names: HashMap<String, Name>,
}

/// What is known of a global name.
enum Name {
    Owned(Handle),
    /// Nobody has it; these wait, in order of arrival.
    Awaited(Vec<Message>),
}

impl Service for Outlet {
    fn start(&mut self, cx: &Context, args: &str) -> Result<(), StartError> {
        let mut words = args.split_ascii_whitespace();
        let id = words.next().and_then(|id| id.parse::<u8>().ok());
        let slave = words.next().and_then(|slave| slave.parse::<u32>().ok());
        let (Some(_), Some(slave)) = (id, slave) else {
            return Err(StartError::new(format!(
                "expected `harbor <id> <slave handle>`, found `{args}`"
            )));
        };
        self.slave = Handle::from_bits(slave);
        cx.engine().set_harbor_service(cx.handle());
        Ok(())
    }

    fn receive(&mut self, cx: &Context, message: Message) {
        match message.message_type() {
            MessageType::SYSTEM => {
                if let Ok(remote) = message.take_typed::<RemoteMessage>() {
                    self.route(cx, *remote);
                }
            }
            MessageType::HARBOR => self.command(cx, &message),
            _ => {}
        }
    }

    fn stop(&mut self, cx: &Context) {
        for name in std::mem::take(&mut self.names).into_values() {
            if let Name::Awaited(waiting) = name {
                waiting
                    .into_iter()
                    .for_each(|message| refuse(cx, message, cx.handle()));
            }
        }
    }
}

impl Outlet {
    fn route(&mut self, cx: &Context, remote: RemoteMessage) {
        let RemoteMessage { destination, message } = remote;
        let name = match destination {
            RemoteName::Handle(handle) => return deliver(cx, handle, message),
            RemoteName::Name(name) if !is_global(&name) => {
                cx.log(format!("Invalid global name {name}"));
                return refuse(cx, message, cx.handle());
            }
            RemoteName::Name(name) => name,
        };
        match self.names.get_mut(&name) {
            Some(Name::Owned(handle)) => deliver(cx, *handle, message),
            Some(Name::Awaited(waiting)) => waiting.push(message),
            None => {
                let question = cx.bytes(format!("Q {name}").as_bytes());
                self.names.insert(name, Name::Awaited(vec![message]));
                if let Ok(question) = question {
                    // A slave that is gone answers nobody; the message waits all the same.
                    let _ = cx.send(self.slave, MessageType::TEXT, 0, question);
                }
            }
        }
    }

    fn command(&mut self, cx: &Context, message: &Message) {
        let text = String::from_utf8_lossy(message.bytes());
        let (command, argument) = match text.split_once(' ') {
            Some((command, argument)) => (command, argument),
            None => (&*text, ""),
        };
        match command {
            "N" if !is_global(argument) => {
                cx.log(format!("Invalid global name {argument}"));
            }
            "N" => self.register(cx, argument, message.source()),
            // Links to other nodes: nothing connects to a single node.
            "S" | "A" => cx.log(format!("Invalid command {command} {argument}")),
            _ => cx.log(format!("Unknown command {text}")),
        }
    }

    fn register(&mut self, cx: &Context, name: &str, handle: Handle) {
        if let Some(Name::Awaited(waiting)) = self.names.insert(name.to_owned(), Name::Owned(handle)) {
            waiting
                .into_iter()
                .for_each(|message| deliver(cx, handle, message));
        }
    }
}

/// Passes `message` on to `to`, or tells its sender that this cannot be done.
fn deliver(cx: &Context, to: Handle, message: Message) {
    let (source, session, kind) = (message.source(), message.session(), message.message_type());
    if cx.is_remote(to) {
        cx.log(format!(
            "Drop message to harbor {} from {:x} to {:x} (session = {session}, msgsz = {})",
            to.harbor(),
            source.bits(),
            to.bits(),
            message.len(),
        ));
        return refuse(cx, message, to);
    }
    if cx.engine().deliver(to, message).is_err() {
        answer_error(cx, source, session, kind, to);
    }
}

/// Answers the sender of `message` with an error in the name of `to`.
fn refuse(cx: &Context, message: Message, to: Handle) {
    if !cx.is_remote(message.source()) {
        cx.engine().answer_dropped(to, message);
    }
}

fn answer_error(cx: &Context, source: Handle, session: i32, kind: MessageType, to: Handle) {
    // An error is never answered with an error, and the system expects no answer.
    if kind != MessageType::ERROR && source.bits() != 0 && !cx.is_remote(source) {
        cx.engine().answer_error(to, source, session);
    }
}

/// Whether somebody may ever register `name`.
fn is_global(name: &str) -> bool {
    (1..=MAX_NAME_LEN).contains(&name.len())
}

/// Longest global name, in bytes.
const MAX_NAME_LEN: usize = 15;
