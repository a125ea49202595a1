//! The stock `gate`: accepts connections, tells a watchdog of them, and passes their frames on to agents.

use std::collections::HashMap;

use fulmar_arena::BufMut;

use crate::{
    Body, Context, Event, EventKind, FrameError, FramePrefix, FrameReader, Framing, Handle, ListenOptions,
    Message, MessageType, Module, Service, StartError,
};

/// The module `gate`. Its argument is `<S|L> <watchdog> <address> <client type> <max>`: frames with lengths of two or four
/// bytes; `:handle`, `.name`, or `!` for none; `ip:port` or `port`; the message type of frames, 0 for `CLIENT`; the most
/// connections.
///
/// | message | effect |
/// |---|---|
/// | `TEXT` `start <id>` | reads the connection from now on |
/// | `TEXT` `kick <id>` | closes it |
/// | `TEXT` `forward <id> :<agent> :<client>` | its frames go to the agent, with the client as their source |
/// | `TEXT` `broker <name>` | the frames of all connections go to this service |
/// | `TEXT` `close` | accepts no more |
/// | `CLIENT`, any bytes and an id of four bytes, the lowest first | the bytes are sent to that connection as they are |
///
/// To the watchdog it sends the texts `<id> open <id> <address>:0`, `<id> close`, and, for frames that nobody else gets, `<id>
/// data <bytes>`. The session of a message with a frame is the connection's id. Empty frames are not passed on; one of 16 MiB
/// or more ends its connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate;

impl Module for Gate {
    fn create(&self) -> Box<dyn Service> {
        Box::new(Running {
            listener: None,
            watchdog: None,
            broker: None,
            client_type: MessageType::CLIENT,
            framing: Framing {
                prefix: FramePrefix::U16Be,
                limit_bytes: MOST_BYTES,
            },
            max: 0,
            connections: HashMap::new(),
        })
    }
}

struct Running {
    listener: Option<i32>,
    watchdog: Option<Handle>,
    broker: Option<Handle>,
    client_type: MessageType,
    framing: Framing,
    max: usize,
    connections: HashMap<i32, Connection>,
}

struct Connection {
    /// Who gets the frames, and in whose name.
    agent: Option<(Handle, Handle)>,
    frames: FrameReader<BufMut>,
}

impl Service for Running {
    fn start(&mut self, cx: &Context, args: &str) -> Result<(), StartError> {
        self.open(cx, args)
            .inspect_err(|reason| cx.log(reason.to_string()))
    }

    fn receive(&mut self, cx: &Context, message: Message) {
        match message.message_type() {
            MessageType::TEXT => self.command(cx, &String::from_utf8_lossy(message.bytes())),
            MessageType::CLIENT => self.write(cx, message),
            MessageType::SOCKET => {
                if let Some(event) = Event::parse(message.bytes()) {
                    self.handle_event(cx, event);
                }
            }
            _ => {}
        }
    }

    fn stop(&mut self, cx: &Context) {
        for id in self.listener.into_iter().chain(self.connections.keys().copied()) {
            cx.engine().sockets().shutdown(cx.handle(), id);
        }
    }
}

impl Running {
    fn open(&mut self, cx: &Context, args: &str) -> Result<(), StartError> {
        let words: Vec<_> = args.split_ascii_whitespace().collect();
        let &[style, watchdog, address, client_type, max] = &words[..] else {
            return Err(StartError::new(format!("Invalid gate parm {args}")));
        };
        let client_type = client_type
            .parse()
            .map_err(|_| StartError::new(format!("Invalid gate parm {args}")))?;
        self.max = match max.parse() {
            Ok(max) if max > 0 => max,
            _ => return Err(StartError::new("Need max connection")),
        };
        self.framing.prefix = match style {
            "S" => FramePrefix::U16Be,
            "L" => FramePrefix::U32Be,
            _ => return Err(StartError::new("Invalid data header style")),
        };
        if client_type != 0 {
            self.client_type = MessageType(client_type);
        }
        if watchdog != "!" {
            let found = service_of(cx, watchdog);
            let found = found.ok_or_else(|| StartError::new(format!("Invalid watchdog {watchdog}")))?;
            self.watchdog = Some(found);
        }
        let (host, port) = address.rsplit_once(':').unwrap_or(("", address));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| StartError::new(format!("Invalid gate address {address}")))?;
        let sockets = cx.engine().sockets();
        let listener = sockets
            .listen(cx.handle(), host, port, &ListenOptions::default())
            .map_err(StartError::new)?;
        sockets.start(cx.handle(), listener);
        self.listener = Some(listener);
        Ok(())
    }

    fn command(&mut self, cx: &Context, text: &str) {
        let mut words = text.split_ascii_whitespace();
        let name = words.next().unwrap_or("");
        let argument = words.next().unwrap_or("");
        let id = argument.parse().unwrap_or(-1);
        let sockets = cx.engine().sockets();
        match name {
            "start" if self.connections.contains_key(&id) => sockets.start(cx.handle(), id),
            "kick" if self.connections.contains_key(&id) => sockets.close(cx.handle(), id),
            "forward" => {
                let mut handle = || words.next().and_then(Handle::parse);
                if let (Some(connection), Some(agent), Some(client)) =
                    (self.connections.get_mut(&id), handle(), handle())
                {
                    connection.agent = Some((agent, client));
                }
            }
            "broker" => self.broker = service_of(cx, argument),
            "close" => {
                if let Some(listener) = self.listener.take() {
                    sockets.close(cx.handle(), listener);
                }
            }
            // of connections that have gone in the meantime
            "start" | "kick" => {}
            _ => cx.log(format!("[gate] Unknown command : {name}")),
        }
    }

    /// Sends bytes to the connection whose id stands behind them.
    fn write(&self, cx: &Context, message: Message) {
        let source = message.source().bits();
        let Some((bytes, id)) = message
            .bytes()
            .split_last_chunk()
            .filter(|(bytes, _)| !bytes.is_empty())
        else {
            return cx.log(format!("Invalid client message from {source:x}"));
        };
        let (len, id) = (bytes.len(), i32::from_le_bytes(*id));
        if !self.connections.contains_key(&id) {
            return cx.log(format!("Invalid client id {id} from {source:x}"));
        }
        let buf = match message.into_body() {
            Body::Block(block) => block.freeze(),
            Body::Shared(buf) => buf,
            Body::Empty | Body::Typed(_) => return,
        };
        cx.engine().sockets().send(id, buf.slice(..len), false);
    }

    fn handle_event(&mut self, cx: &Context, event: Event<'_>) {
        let id = event.id;
        match event.kind {
            EventKind::Data => self.handle_data(cx, id, &event.bytes[..event.ud as usize]),
            EventKind::Accept => self.handle_accept(cx, event.ud, &String::from_utf8_lossy(event.bytes)),
            EventKind::Close => {
                if self.connections.remove(&id).is_some() {
                    cx.engine().sockets().close(cx.handle(), id);
                    self.tell(cx, 0, format!("{id} close").as_bytes());
                }
            }
            // CLOSE follows
            EventKind::Error if self.listener != Some(id) => cx.engine().sockets().shutdown(cx.handle(), id),
            EventKind::Warning => cx.log(format!("fd ({id}) send buffer ({})K", event.ud)),
            EventKind::Connect | EventKind::Error | EventKind::Udp => {}
        }
    }

    fn handle_accept(&mut self, cx: &Context, id: i32, address: &str) {
        if self.connections.len() >= self.max {
            return cx.engine().sockets().shutdown(cx.handle(), id);
        }
        let connection = Connection {
            agent: None,
            frames: FrameReader::new(self.framing),
        };
        self.connections.insert(id, connection);
        cx.log(format!("socket open: {id:x}"));
        self.tell(cx, 0, format!("{id} open {id} {address}:0").as_bytes());
    }

    fn handle_data(&mut self, cx: &Context, id: i32, mut bytes: &[u8]) {
        loop {
            let Some(connection) = self.connections.get_mut(&id) else {
                cx.log(format!("Drop unknown connection {id} message"));
                return cx.engine().sockets().shutdown(cx.handle(), id);
            };
            let agent = connection.agent;
            match connection.frames.poll(&mut bytes, |len| cx.loan(len)) {
                Ok(None) => return,
                Ok(Some((_, 0))) => {}
                Ok(Some((frame, _))) => self.pass_on(cx, id, agent, frame),
                Err(FrameError::TooLong(_)) => {
                    cx.log("Recv socket message > 16M");
                    return cx.engine().sockets().shutdown(cx.handle(), id);
                }
                Err(FrameError::Loan(error)) => return self.give_up(cx, id, &error.to_string()),
            }
        }
    }

    fn pass_on(&self, cx: &Context, id: i32, agent: Option<(Handle, Handle)>, frame: BufMut) {
        let (to, source) = match (self.broker, agent) {
            (Some(broker), _) => (broker, cx.handle()),
            (None, Some(agent)) => agent,
            (None, None) => return self.tell(cx, id, &[format!("{id} data ").as_bytes(), &frame].concat()),
        };
        // A receiver that has gone is the watchdog's business.
        let _ = cx.send_as(source, to, self.client_type, id, Body::Block(frame));
    }

    fn tell(&self, cx: &Context, session: i32, text: &[u8]) {
        let Some(watchdog) = self.watchdog else { return };
        match cx.bytes(text) {
            // A gate without a watchdog goes on: it may have agents.
            Ok(body) => drop(cx.send(watchdog, MessageType::TEXT, session, body)),
            Err(error) => self.give_up(cx, session, &error.to_string()),
        }
    }

    /// A frame is lost for want of memory: its connection cannot go on.
    fn give_up(&self, cx: &Context, id: i32, why: &str) {
        cx.log(format!("gate: close ({id}): {why}"));
        cx.engine().sockets().shutdown(cx.handle(), id);
    }
}

/// The service that a word names: `:hex` or `.name`.
fn service_of(cx: &Context, word: &str) -> Option<Handle> {
    match word.strip_prefix('.') {
        Some(name) => cx.engine().names().query(name),
        None => Handle::parse(word),
    }
}

/// The longest frame.
const MOST_BYTES: usize = (16 << 20) - 1;
