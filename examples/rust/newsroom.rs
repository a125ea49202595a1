//! newsroom: the engine in a Rust program, without Lua. A press fills one large block, which all its readers read where it lies;
//! they answer with a Rust value; and everybody looks at a front page that the press publishes in a box.
//!
//! `cargo run --release --example newsroom [READERS]`

use std::error::Error;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use fulmar::prelude::*;
use fulmar::stm;

const EDITION_BYTES: usize = 1 << 20;

/// What everybody may look at at any time.
struct FrontPage {
    headline: &'static str,
}

/// What a reader answers. It travels by pointer.
struct Review {
    letters: usize,
    headline: &'static str,
}

struct Reader {
    front: stm::Reader<FrontPage>,
}

impl Service for Reader {
    fn receive(&mut self, cx: &Context, message: Message) {
        let Payload::Shared(edition) = message.payload() else {
            return;
        };
        let review = Review {
            letters: edition.iter().filter(|byte| byte.is_ascii_alphabetic()).count(),
            headline: self.front.latest().headline,
        };
        let (press, session) = (message.source(), message.session());
        // A press that has closed needs no reviews.
        let _ = cx.send(press, MessageType::RESPONSE, session, Body::typed(review));
    }
}

/// Prints an edition when it is told to, and reports when every reader has reviewed it.
struct Press {
    readers: Vec<Handle>,
    front: stm::Writer<FrontPage>,
    reviews: Vec<Review>,
    arena_mib: f64,
    report: Sender<Report>,
}

struct Report {
    reviews: Vec<Review>,
    arena_mib: f64,
}

impl Press {
    fn print(&mut self, cx: &Context) -> Result<(), Box<dyn Error>> {
        let mut edition = cx.loan(EDITION_BYTES)?;
        edition.fill(b'n');
        self.front.commit(FrontPage {
            headline: "bytes travel without being moved",
        });
        let edition = edition.freeze();
        for reader in &self.readers {
            // One more count of the one block.
            let copy = Body::Shared(edition.clone());
            cx.send(*reader, MessageType::TEXT, cx.new_session(), copy)?;
        }
        self.arena_mib = cx.engine().arena().stats().used_bytes as f64 / f64::from(1 << 20);
        Ok(())
    }
}

impl Service for Press {
    fn receive(&mut self, cx: &Context, message: Message) {
        match message.take_typed::<Review>() {
            Ok(review) => self.reviews.push(*review),
            Err(_order) => self.print(cx).expect("there is room for an edition"),
        }
        if self.reviews.len() == self.readers.len() {
            let reviews = std::mem::take(&mut self.reviews);
            let arena_mib = self.arena_mib;
            // Whoever ordered the edition may have lost patience.
            let _ = self.report.send(Report { reviews, arena_mib });
        }
    }
}

/// Runs a newsroom with so many readers. The letters that all of them have counted.
pub(crate) fn run(readers: usize) -> Result<usize, Box<dyn Error>> {
    let engine = Engine::builder().build()?;
    let front = stm::Writer::new(FrontPage {
        headline: "nothing yet",
    });
    let handles = (0..readers)
        .map(|_| {
            let front = front.copy();
            engine.spawn(Reader { front }, ServiceOptions::default())
        })
        .collect::<Result<Vec<Handle>, _>>()?;
    let (report, reported) = channel();
    let press = Press {
        readers: handles,
        front,
        reviews: Vec::new(),
        arena_mib: 0.0,
        report,
    };
    let press = engine.spawn(press, ServiceOptions::default())?;
    engine.start();

    let began = Instant::now();
    engine.send(Handle::SYSTEM, press, MessageType::TEXT, 0, Body::Empty)?;
    let Report { reviews, arena_mib } = reported.recv_timeout(Duration::from_secs(60))?;
    let took = began.elapsed();
    engine.shutdown(Duration::from_secs(5));

    let letters = reviews.iter().map(|review| review.letters).sum();
    println!("{readers} readers, {letters} letters read in {took:.1?}");
    println!(
        "headline: {}",
        reviews.first().map_or("none", |review| review.headline)
    );
    println!(
        "the arena held {arena_mib:.1} MiB meanwhile; copies would have taken {} MiB",
        (readers * EDITION_BYTES) >> 20
    );
    Ok(letters)
}

#[allow(dead_code, reason = "the test that includes this file calls `run`")]
fn main() -> Result<(), Box<dyn Error>> {
    let readers = std::env::args().nth(1).map_or(Ok(1000), |text| text.parse())?;
    run(readers).map(drop)
}
