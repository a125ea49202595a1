//! `fulmar bench chat`: the chat server of `examples/chat` in a process of its own, and a crowd of clients in this one.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs, process};

use clap::Args;
use fulmar_engine::{Engine, ServiceOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::crowd::{Crowd, Phase, Tally};
use super::plot;
use crate::cli::report::Failure;

#[derive(Args)]
pub(crate) struct Options {
    /// Connections, each a client of its own.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    clients: u32,
    /// Clients in a room: so many hear each thing that is said.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    room: u32,
    /// What all clients together say, in messages a second.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// How long they talk.
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Worker threads of the server.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
}

pub(crate) fn chat(options: &Options) -> Result<ExitCode, Failure> {
    make_room_for(options.clients)?;
    let server = Server::start(options.threads)?;
    let tally = Arc::new(Mutex::new(Tally::new()));
    let engine = Engine::builder()
        .threads(1)
        .build()
        .map_err(|error| Failure::of(&error))?;
    let crowd = Crowd::new(
        Arc::clone(&tally),
        server.port,
        options.clients,
        options.room,
        options.rate,
    );
    engine
        .spawn(crowd, ServiceOptions::default())
        .map_err(|error| Failure::of(&error))?;
    engine.start();

    let outcome = watch(options, &tally);
    engine.shutdown(Duration::from_secs(5));
    outcome?;
    let resident = server.resident_kib();
    drop(server);
    let tally = lock(&tally);
    // A reader that has gone needs no report.
    let _ = report(&mut io::stdout().lock(), options, &tally, resident);
    let complete = tally.lost == 0 && tally.delivered == tally.expected;
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Leads the crowd through its phases and shows how far it is.
fn watch(options: &Options, tally: &Mutex<Tally>) -> Result<(), Failure> {
    let mut progress = Progress::new();
    let begun = Instant::now();
    loop {
        thread::sleep(STEP);
        let now = lock(tally);
        progress.show(&format!(
            "{} of {} clients have joined",
            now.joined, options.clients
        ));
        if now.joined == options.clients {
            break;
        }
        if now.lost > 0 || begun.elapsed() > JOIN_LIMIT {
            let what = format!(
                "{} clients have joined, {} connections were lost",
                now.joined, now.lost
            );
            return Err(Failure::new(what).advise("try fewer with --clients"));
        }
    }
    lock(tally).phase = Phase::Talking;
    let (begun, length) = (Instant::now(), Duration::from_secs(options.seconds.into()));
    while begun.elapsed() < length {
        thread::sleep(STEP);
        let (spoken, delivered) = {
            let now = lock(tally);
            (now.said, now.delivered)
        };
        let seconds = begun.elapsed().as_secs_f64();
        progress.show(&format!(
            "{seconds:.0} of {} s: {spoken} messages said, {:.0} deliveries a second",
            options.seconds,
            delivered as f64 / seconds,
        ));
    }
    lock(tally).phase = Phase::Listening;
    let begun = Instant::now();
    while begun.elapsed() < STRAGGLERS_LIMIT {
        thread::sleep(STEP);
        let now = lock(tally);
        if now.delivered == now.expected {
            break;
        }
    }
    progress.end();
    Ok(())
}

fn report(
    out: &mut impl Write,
    options: &Options,
    tally: &Tally,
    resident_kib: Option<u64>,
) -> io::Result<()> {
    writeln!(
        out,
        "{} clients in rooms of {}: {} messages said in {} s, {} deliveries, {:.0} a second",
        options.clients,
        options.room,
        tally.said,
        options.seconds,
        tally.delivered,
        tally.delivered as f64 / f64::from(options.seconds),
    )?;
    if tally.delivered != tally.expected || tally.lost > 0 {
        writeln!(
            out,
            "MISSING: {} deliveries; {} connections were lost",
            tally.expected - tally.delivered,
            tally.lost
        )?;
    }
    if let Some(kib) = resident_kib {
        writeln!(out, "the server holds {} MiB in memory", kib >> 10)?;
    }
    writeln!(
        out,
        "\nfrom saying to hearing it, clients and server on this machine:"
    )?;
    plot::draw(out, &tally.latency)
}

/// The server's process and its folder; both go with it.
struct Server {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Server {
    fn start(threads: u16) -> Result<Server, Failure> {
        let fail = |what: &str, error: io::Error| Failure::new(format!("{what}: {error}"));
        let folder = env::temp_dir().join(format!("fulmar-bench-{}", process::id()));
        fs::create_dir_all(&folder).map_err(|error| fail("cannot make a folder for the server", error))?;
        let config = format!(
            "thread = {threads}\nharbor = 0\nstart = \"main\"\nlogger = \"log\"\nluaservice = \"./?.lua\"\nlua_path = \"./?.lua\"\n\
             chat_port = 0\n"
        );
        let files = FILES.iter().copied().chain([("config", &*config)]);
        for (name, text) in files {
            fs::write(folder.join(name), text)
                .map_err(|error| fail("cannot write the server's files", error))?;
        }
        let binary = env::current_exe().map_err(|error| fail("cannot find this program's file", error))?;
        let mut child = Command::new(binary)
            .args(["run", "config"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| fail("cannot start the server", error))?;
        let words = child.stdout.take().expect("piped above");
        let mut server = Server {
            child,
            folder,
            port: 0,
        };
        server.port = BufReader::new(words)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| port_in(&line))
            .ok_or_else(|| {
                let log = fs::read_to_string(server.folder.join("log")).unwrap_or_default();
                Failure::new(format!("the server has not started\n{log}"))
            })?;
        Ok(server)
    }

    /// What it occupies now; none where the system does not say.
    fn resident_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim_end_matches("kB").trim().parse().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; a folder that stays behind spoils no later run.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The port in `The chat is open at 127.0.0.1:8888. In another terminal:`.
fn port_in(line: &str) -> Option<u16> {
    let address = line.strip_prefix("The chat is open at ")?;
    let (_, rest) = address.split_once(':')?;
    rest.split_once('.')?.0.parse().ok()
}

/// Raises the limit on descriptors, for this process and the server, to what so many clients need.
fn make_room_for(clients: u32) -> Result<(), Failure> {
    let needed = u64::from(clients) + SPARE_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|error| {
        let what = format!("{clients} clients need {needed} open files: {error}");
        Failure::new(what).advise("raise the limit (ulimit -n), or take fewer with --clients")
    })
}

/// One line that changes, on a terminal only.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new() -> Progress {
        Progress {
            shown: io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, text: &str) {
        if self.shown {
            eprint!("\r\x1b[K{text}");
        }
    }

    fn end(&mut self) {
        self.show("");
    }
}

/// The example's files, so that the installed binary needs no source tree.
const FILES: &[(&str, &str)] = &[
    (
        "settings.lua",
        include_str!("../../../../examples/chat/settings.lua"),
    ),
    (
        "protocol.lua",
        include_str!("../../../../examples/chat/protocol.lua"),
    ),
    (
        "client.sproto",
        include_str!("../../../../examples/chat/client.sproto"),
    ),
    (
        "server.sproto",
        include_str!("../../../../examples/chat/server.sproto"),
    ),
    ("main.lua", include_str!("../../../../examples/chat/main.lua")),
    (
        "watchdog.lua",
        include_str!("../../../../examples/chat/watchdog.lua"),
    ),
    ("agent.lua", include_str!("../../../../examples/chat/agent.lua")),
    ("hall.lua", include_str!("../../../../examples/chat/hall.lua")),
];

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().expect("the crowd does not panic")
}

const STEP: Duration = Duration::from_millis(100);
const JOIN_LIMIT: Duration = Duration::from_secs(60);
const STRAGGLERS_LIMIT: Duration = Duration::from_secs(10);
const SPARE_DESCRIPTORS: u64 = 100;
