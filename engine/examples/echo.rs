//! A TCP server that sends back what it gets, without a copy: `cargo run --release -p fulmar-engine --example echo 127.0.0.1:7777`.

use std::error::Error;

use fulmar_engine::{
    Body, Context, Engine, Event, EventKind, ListenOptions, Message, Service, ServiceOptions, StartError,
};

struct Echo;

impl Service for Echo {
    fn start(&mut self, cx: &Context, address: &str) -> Result<(), StartError> {
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| StartError::new("an address is HOST:PORT"))?;
        let port = port.parse().map_err(StartError::new)?;
        let listener = cx
            .sockets()
            .listen(host, port, &ListenOptions::default())
            .map_err(StartError::new)?;
        cx.sockets().start(listener);
        Ok(())
    }

    fn receive(&mut self, cx: &Context, message: Message) {
        let Some(event) = Event::parse(message.bytes()) else {
            return;
        };
        let (kind, id, len) = (event.kind, event.id, event.bytes.len());
        match kind {
            EventKind::Accept => cx.sockets().start(event.ud),
            // The block that was read into goes out again.
            EventKind::Data => {
                if let Body::Block(block) = message.into_body() {
                    cx.sockets().send(id, block.freeze().slice(..len));
                }
            }
            EventKind::Close | EventKind::Error => cx.sockets().close(id),
            EventKind::Connect | EventKind::Udp | EventKind::Warning => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".into());
    let engine = Engine::builder().build()?;
    engine.spawn(Echo, ServiceOptions::named("echo").args(address))?;
    engine.start();
    engine.wait();
    Ok(())
}
