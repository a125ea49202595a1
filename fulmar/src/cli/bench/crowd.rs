//! The clients of `fulmar bench chat`: one service that holds all their connections.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use fulmar_engine::{
    Context, Event, EventKind, FramePrefix, FrameReader, Framing, Message, MessageType, Service,
    SocketOptions, StartError,
};
use fulmar_sproto::{Host, Incoming, Schema, Struct, parse};
use hdrhistogram::Histogram;

/// What the crowd has seen, and what it shall do.
pub(crate) struct Tally {
    pub(crate) phase: Phase,
    pub(crate) joined: u32,
    pub(crate) lost: u32,
    pub(crate) said: u64,
    /// Deliveries that there must be for what was said.
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    /// Nanoseconds from saying to hearing.
    pub(crate) latency: Histogram<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Joining,
    Talking,
    /// Nothing more is said; the last of it is still heard.
    Listening,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            phase: Phase::Joining,
            joined: 0,
            lost: 0,
            said: 0,
            expected: 0,
            delivered: 0,
            latency: Histogram::new_with_max(MAX_LATENCY_NS, 3).expect("three digits are allowed"),
        }
    }
}

/// The service. Each tick it connects some more clients, later it lets as many speak as the rate asks for.
pub(crate) struct Crowd {
    tally: Arc<Mutex<Tally>>,
    port: u16,
    size: u32,
    room_size: u32,
    rate: u32,
    to_server: Arc<Schema>,
    host: Host,
    clients: HashMap<i32, Client>,
    /// Those that have joined; the next to speak.
    speakers: Vec<i32>,
    next: usize,
    started: u32,
    /// Messages that are due, in hundredths.
    due: u64,
    ticks: i32,
}

struct Client {
    number: u32,
    stream: FrameReader<Vec<u8>>,
}

impl Crowd {
    pub(crate) fn new(tally: Arc<Mutex<Tally>>, port: u16, size: u32, room_size: u32, rate: u32) -> Crowd {
        let schema = |text| Arc::new(parse(text, "chat.sproto").expect("the example's schema is one"));
        let from_server = schema(include_str!("../../../../examples/chat/server.sproto"));
        Crowd {
            tally,
            port,
            size,
            room_size,
            rate,
            to_server: schema(include_str!("../../../../examples/chat/client.sproto")),
            host: Host::new(from_server, "package").expect("the schema has its package"),
            clients: HashMap::new(),
            speakers: Vec::new(),
            next: 0,
            started: 0,
            due: 0,
            ticks: 0,
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().expect("nobody panics with it")
    }

    fn tick(&mut self, cx: &Context) -> Result<(), StartError> {
        self.ticks = self.ticks.wrapping_add(1);
        cx.timeout(1, self.ticks)?;
        let more = (self.size - self.started).min(CONNECTS_A_TICK);
        for number in self.started..self.started + more {
            let id =
                cx.engine()
                    .sockets()
                    .connect(cx.handle(), "127.0.0.1", self.port, &SocketOptions::default());
            let id = id.map_err(StartError::new)?;
            let stream = FrameReader::new(FRAMING);
            self.clients.insert(id, Client { number, stream });
        }
        self.started += more;
        if self.tally().phase == Phase::Talking {
            self.due += u64::from(self.rate);
            while self.due >= TICKS_A_SECOND {
                self.due -= TICKS_A_SECOND;
                self.speak(cx);
            }
        }
        Ok(())
    }

    /// The next one's turn. What it says is the time.
    fn speak(&mut self, cx: &Context) {
        let Some(id) = self.speakers.get(self.next).copied() else {
            return;
        };
        self.next = (self.next + 1) % self.speakers.len();
        let room = self.clients[&id].number / self.room_size;
        let hearers = self.room_size.min(self.size - room * self.room_size);
        let text = format!("{:020} {PADDING}", cx.engine().hpc_ns());
        if self.request(cx, id, "say", &Struct::new().with("text", text), None) {
            let mut tally = self.tally();
            tally.said += 1;
            tally.expected += u64::from(hearers);
        }
    }

    fn request(&mut self, cx: &Context, id: i32, name: &str, fields: &Struct, session: Option<i64>) -> bool {
        let packed = self
            .host
            .request(&self.to_server, name, Some(fields), session, None);
        let packed = packed.expect("the fields are the schema's");
        let header = u16::try_from(packed.len())
            .expect("requests are short")
            .to_be_bytes();
        match cx.loan(header.len() + packed.len()) {
            Ok(mut block) => {
                block[..header.len()].copy_from_slice(&header);
                block[header.len()..].copy_from_slice(&packed);
                cx.engine().sockets().send(id, block.freeze(), false)
            }
            Err(_) => false,
        }
    }

    fn handle_event(&mut self, cx: &Context, event: Event<'_>) {
        match event.kind {
            EventKind::Connect => {
                let Some(client) = self.clients.get(&event.id) else {
                    return;
                };
                let number = client.number;
                let fields = Struct::new()
                    .with("name", format!("client-{number}"))
                    .with("room", format!("room-{}", number / self.room_size));
                self.request(cx, event.id, "join", &fields, Some(number.into()));
            }
            EventKind::Data => self.handle_data(cx, event.id, &event.bytes[..event.ud as usize]),
            EventKind::Close | EventKind::Error => {
                if self.clients.remove(&event.id).is_some() {
                    self.tally().lost += 1;
                }
            }
            EventKind::Accept | EventKind::Udp | EventKind::Warning => {}
        }
    }

    fn handle_data(&mut self, cx: &Context, id: i32, mut bytes: &[u8]) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let now_ns = cx.engine().hpc_ns();
        let mut tally = self.tally.lock().expect("nobody panics with it");
        while let Ok(Some((frame, _))) = client
            .stream
            .poll(&mut bytes, |len| Ok::<_, Infallible>(vec![0; len]))
        {
            match self.host.dispatch(&frame) {
                Ok(Incoming::Request(request)) if &*request.name == "said" => {
                    let fields = request.content.value().ok().flatten();
                    let said_ns = fields.as_ref().and_then(said_ns);
                    tally.delivered += 1;
                    tally
                        .latency
                        .saturating_record(now_ns.saturating_sub(said_ns.unwrap_or(0)));
                }
                Ok(Incoming::Request(_)) => {}
                Ok(Incoming::Response(reply)) => {
                    let fields = reply.content.value().ok().flatten().unwrap_or_default();
                    if fields.get("people").is_some() {
                        tally.joined += 1;
                        self.speakers.push(id);
                    } else {
                        tally.lost += 1;
                    }
                }
                Err(_) => tally.lost += 1,
            }
        }
    }
}

impl Service for Crowd {
    fn start(&mut self, cx: &Context, _args: &str) -> Result<(), StartError> {
        self.tick(cx)
    }

    fn receive(&mut self, cx: &Context, message: Message) {
        match message.message_type() {
            MessageType::RESPONSE => self.tick(cx).unwrap_or_else(|_| self.tally().lost += 1),
            MessageType::SOCKET => {
                if let Some(event) = Event::parse(message.bytes()) {
                    self.handle_event(cx, event);
                }
            }
            _ => {}
        }
    }

    fn stop(&mut self, cx: &Context) {
        for id in self.clients.keys() {
            cx.engine().sockets().shutdown(cx.handle(), *id);
        }
    }
}

/// What the gate speaks.
const FRAMING: Framing = Framing {
    prefix: FramePrefix::U16Be,
    limit_bytes: u16::MAX as usize,
};

/// When this was said.
fn said_ns(fields: &Struct) -> Option<u64> {
    fields.get("text")?.as_str()?.split(' ').next()?.parse().ok()
}

const TICKS_A_SECOND: u64 = 100;
const CONNECTS_A_TICK: u32 = 20;

/// What takes longer counts as this.
const MAX_LATENCY_NS: u64 = 100_000_000_000;

/// Makes a message as long as what people say.
const PADDING: &str = "the quick brown fox jumps over the lazy dog";
