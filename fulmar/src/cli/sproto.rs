//! `fulmar sproto`: look at schemas, compare two versions, turn JSON into messages and back, generate types.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use fulmar_sproto::{MAX_MESSAGE_BYTES, Schema, Type, compare, generate, pack, parse, serde, unpack};

use super::report::{self, Failure, Paint};

/// What to do with schemas. A schema is a text, or a bundle made of one.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say whether schemas are sound, and what a new version breaks.
    Check {
        /// The schemas.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// An older version of the schema: fails when peers that have it would misread messages.
        #[arg(long, value_name = "OLD")]
        against: Option<PathBuf>,
    },
    /// Print types and protocols with their tags.
    Dump {
        /// The schemas.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Turn JSON into a message.
    Encode(Codec),
    /// Turn a message into JSON.
    Decode(Codec),
    /// Compile a schema into a bundle, as sprotoloader takes it.
    Bundle {
        /// The schema.
        file: PathBuf,
        /// Where to write it; standard output by default.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Generate types from a schema.
    Generate {
        /// The schema.
        file: PathBuf,
        /// For which language.
        #[arg(long, value_enum)]
        lang: Language,
        /// Where to write them; standard output by default.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// How to read and write a message.
#[derive(Args)]
pub(crate) struct Codec {
    /// The schema.
    file: PathBuf,
    /// The type of the message.
    #[arg(value_name = "TYPE")]
    of: String,
    /// What to read; standard input by default.
    input: Option<PathBuf>,
    /// The message is zero-packed.
    #[arg(long)]
    packed: bool,
    /// The message is hexadecimal text.
    #[arg(long)]
    hex: bool,
}

/// What types are generated for.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Language {
    /// Structures that derive `Sproto`.
    Rust,
    /// Classes for the Lua language server.
    Lua,
}

pub(crate) fn sproto(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Check { files, against } => check(files, against.as_deref()),
        Command::Dump { files } => {
            for file in files {
                report::show(&load(file)?.to_string())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Encode(codec) => encode(codec),
        Command::Decode(codec) => decode(codec),
        Command::Bundle { file, output } => write(output.as_deref(), &load(file)?.to_bundle()),
        Command::Generate { file, lang, output } => {
            let schema = load(file)?;
            let text = match lang {
                Language::Rust => generate::rust(&schema),
                Language::Lua => generate::lua(&schema),
            };
            write(output.as_deref(), text.as_bytes())
        }
    }
}

fn check(files: &[PathBuf], against: Option<&Path>) -> Result<ExitCode, Failure> {
    let paint = Paint::of(&io::stdout());
    let old = against.map(load).transpose()?;
    let mut broken = 0;
    for file in files {
        let schema = load(file)?;
        let (types, protocols) = (schema.types().len(), schema.protocols().len());
        report::show(&format!(
            "{}: {types} types, {protocols} protocols: {}\n",
            file.display(),
            paint.green("sound")
        ))?;
        for of in schema.types() {
            for field in of
                .fields()
                .iter()
                .filter(|field| LUA_WORDS.contains(&field.name()))
            {
                let note = paint.yellow("note:");
                report::show(&format!(
                    "  {note} {}.{} is a word of Lua: write t[\"{}\"]\n",
                    of.name(),
                    field.name(),
                    field.name()
                ))?;
            }
        }
        for change in old.iter().flat_map(|old| compare(old, &schema)) {
            broken += usize::from(change.breaking);
            let text = change.to_string();
            let text = if change.breaking { paint.red(&text) } else { text };
            report::show(&format!("  {text}\n"))?;
        }
    }
    match (broken, against) {
        (1.., Some(old)) => Err(Failure::new(format!(
            "peers that have {} would misread {broken} things",
            old.display()
        ))
        .advise("give what is new a tag of its own, and leave the old one as it was")),
        _ => Ok(ExitCode::SUCCESS),
    }
}

const LUA_WORDS: &[&str] = &[
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "global", "goto", "if", "in",
    "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
];

fn encode(codec: &Codec) -> Result<ExitCode, Failure> {
    let schema = load(&codec.file)?;
    let of = find(&schema, &codec.of)?;
    let text = read(codec.input.as_deref())?;
    let json: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|error| Failure::new(format!("{} is no JSON: {error}", input_name(codec))))?;
    let mut message = serde::to_vec(&schema, of, &json).map_err(|error| Failure::new(&error))?;
    if codec.packed {
        let plain = std::mem::take(&mut message);
        pack(&plain, &mut message);
    }
    if codec.hex {
        let mut text: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push('\n');
        message = text.into_bytes();
    }
    write(None, &message)
}

fn decode(codec: &Codec) -> Result<ExitCode, Failure> {
    let schema = load(&codec.file)?;
    let of = find(&schema, &codec.of)?;
    let mut message = read(codec.input.as_deref())?;
    if codec.hex {
        message = unhex(&message)
            .ok_or_else(|| Failure::new(format!("{} is not hexadecimal", input_name(codec))))?;
    }
    if codec.packed {
        let packed = std::mem::take(&mut message);
        unpack(&packed, &mut message).map_err(|error| Failure::of(&error))?;
    }
    let json: serde_json::Value = serde::from_slice(&schema, of, &message).map_err(|error| {
        Failure::new(&error).advise("is it packed (--packed), or hexadecimal (--hex), or of another type?")
    })?;
    write(None, format!("{json:#}\n").as_bytes())
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| char::from(*byte).to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// A schema from a file: a text by its ending, else a bundle.
fn load(file: &Path) -> Result<Schema, Failure> {
    let shown = file.display();
    let bytes = fs::read(file).map_err(|error| Failure::new(format!("cannot read {shown}: {error}")))?;
    if file.extension() != Some("sproto".as_ref())
        && let Ok(schema) = Schema::from_bundle(&bytes)
    {
        return Ok(schema);
    }
    let text = String::from_utf8_lossy(&bytes);
    parse(&text, &shown.to_string()).map_err(|error| Failure::at(&error, error.excerpt()))
}

fn find<'a>(schema: &'a Schema, name: &str) -> Result<&'a Type, Failure> {
    schema.type_named(name).ok_or_else(|| {
        let closest = schema
            .types()
            .iter()
            .max_by(|a, b| strsim::jaro(a.name(), name).total_cmp(&strsim::jaro(b.name(), name)));
        let failure = Failure::new(format!("the schema has no type {name}"));
        match closest {
            Some(of) => failure.advise(format!(
                "did you mean {}? `fulmar sproto dump` lists all",
                of.name()
            )),
            None => failure,
        }
    })
}

fn input_name(codec: &Codec) -> String {
    codec
        .input
        .as_ref()
        .map_or("standard input".to_owned(), |file| file.display().to_string())
}

/// The whole input: no message, and no JSON of one, is larger than this.
const MAX_INPUT_BYTES: u64 = 16 * MAX_MESSAGE_BYTES as u64;

fn read(input: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let result = match input {
        Some(file) => {
            fs::File::open(file).and_then(|file| file.take(MAX_INPUT_BYTES).read_to_end(&mut bytes))
        }
        None => io::stdin().lock().take(MAX_INPUT_BYTES).read_to_end(&mut bytes),
    };
    match result {
        Ok(_) => Ok(bytes),
        Err(error) => {
            let name = input.map_or("standard input".to_owned(), |file| file.display().to_string());
            Err(Failure::new(format!("cannot read {name}: {error}")))
        }
    }
}

fn write(output: Option<&Path>, bytes: &[u8]) -> Result<ExitCode, Failure> {
    let result = match output {
        Some(file) => fs::write(file, bytes),
        None => io::stdout().lock().write_all(bytes),
    };
    match result {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            let name = output.map_or("standard output".to_owned(), |file| file.display().to_string());
            Err(Failure::new(format!("cannot write {name}: {error}")))
        }
    }
}
