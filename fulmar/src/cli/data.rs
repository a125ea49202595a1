//! `fulmar data`: builds images of shared tables from Lua and JSON, prints them, compares two.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use fulmar_lualib::data;
use fulmar_sharedata::{Damaged, Image, KeyRef, Store, Table, Value};

use super::report::{Failure, Paint, finish};

/// What to do with shared tables. A file is Lua that returns a table or sets globals (.lua), JSON, where null is no entry (.json), or an
/// image.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an image, a file that programs read in place.
    Build {
        /// What to read.
        file: PathBuf,
        /// The image; FILE with the ending .fulmar by default.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Print tables as trees, with the bytes that each part takes.
    Show {
        /// What to read.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// How many levels to print.
        #[arg(long, default_value_t = 3)]
        depth: usize,
        /// How many entries of a table to print.
        #[arg(long, default_value_t = 20)]
        entries: usize,
    },
    /// Say what differs between two tables.
    Diff {
        /// The old one.
        old: PathBuf,
        /// The new one.
        new: PathBuf,
    },
}

pub(crate) fn data(command: &Command) -> Result<ExitCode, Failure> {
    let store = Store::new();
    let mut out = io::BufWriter::new(io::stdout().lock());
    match command {
        Command::Build { file, output } => {
            let output = output.clone().unwrap_or_else(|| file.with_extension("fulmar"));
            if output == *file {
                return Err(Failure::new(format!("{} would replace itself", file.display()))
                    .advise("give another name with --output"));
            }
            let image = load(&store, file)?;
            image
                .save(&output)
                .map_err(|error| Failure::new(format!("{}: {error}", output.display())))?;
            let bytes = fs::metadata(&output).map_or(0, |file| file.len());
            finish(writeln!(out, "{}: {}", output.display(), size(bytes)))?;
        }
        Command::Show {
            files,
            depth,
            entries,
        } => {
            let paint = Paint::of(&io::stdout());
            for file in files {
                let image = load(&store, file)?;
                let mut print = Print {
                    out: &mut out,
                    paint,
                    depth: *depth,
                    entries: *entries,
                };
                print.root(file, &image)?;
            }
        }
        Command::Diff { old, new } => {
            let paint = Paint::of(&io::stdout());
            let (old_image, new_image) = (load(&store, old)?, load(&store, new)?);
            let (old, new) = (whole(&old_image)?, whole(&new_image)?);
            let mut changes = 0;
            differences(&mut out, paint, "", old, new, &mut changes)?;
            let (fresh, shared) = new_image.sizes_beside(&old_image).map_err(damaged)?;
            finish(writeln!(
                out,
                "{changes} changes; {} new, {} shared",
                size(fresh),
                size(shared)
            ))?;
        }
    }
    finish(out.flush())?;
    Ok(ExitCode::SUCCESS)
}

/// The image of a file, by its ending.
fn load(store: &Store, file: &Path) -> Result<Image, Failure> {
    let shown = file.display();
    let read = || fs::read(file).map_err(|error| Failure::new(format!("cannot read {shown}: {error}")));
    let ending = file.extension().unwrap_or_default();
    if ending == "lua" {
        data::image_of_lua(store, &read()?, &shown.to_string()).map_err(|error| Failure::new(&error))
    } else if ending == "json" {
        let value: serde_json::Value = serde_json::from_slice(&read()?)
            .map_err(|error| Failure::new(format!("{shown} is no JSON: {error}")))?;
        store
            .build(&value)
            .map_err(|error| Failure::new(format!("{shown}: {error}")))
    } else {
        store.map(file).map_err(|error| {
            Failure::new(format!("{shown}: {error}"))
                .advise("a source ends in .lua or .json; make an image of it with `fulmar data build`")
        })
    }
}

fn damaged(error: Damaged) -> Failure {
    Failure::new(error).advise("build the image again from its source")
}

fn whole(image: &Image) -> Result<Table<'_>, Failure> {
    image.table().map_err(damaged)
}

/// Bytes as a person reads them.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// A key as it is, or in quotes when it could be taken for something else: a number, two keys, nothing.
fn name(key: KeyRef<'_>) -> String {
    let KeyRef::Text(text) = key else {
        return key.to_string();
    };
    let text = String::from_utf8_lossy(text);
    let is_plain = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    if text.starts_with(|first: char| !first.is_numeric() && first != '-') && text.chars().all(is_plain) {
        text.into_owned()
    } else {
        format!("{text:?}")
    }
}

/// A scalar, or what a table is.
fn short(value: Value<'_>) -> String {
    match value {
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Integer(integer) => integer.to_string(),
        Value::Float(float) => format!("{float:?}"),
        Value::Text(text) => {
            let text = String::from_utf8_lossy(text);
            let shown: String = text.chars().take(60).collect();
            let dots = if shown.len() < text.len() { "..." } else { "" };
            format!("{shown:?}{dots}")
        }
        Value::Object(_) => "an object".to_owned(),
        Value::Table(table) => format!("{{{} entries}}", table.places().unwrap_or(0)),
    }
}

struct Print<'o, W: io::Write> {
    out: &'o mut W,
    paint: Paint,
    depth: usize,
    entries: usize,
}

impl<W: io::Write> Print<'_, W> {
    fn root(&mut self, file: &Path, image: &Image) -> Result<(), Failure> {
        let table = whole(image)?;
        let bytes = table.bytes().map_err(damaged)?;
        let places = table.places().map_err(damaged)?;
        finish(writeln!(
            self.out,
            "{}: {places} entries, {}",
            file.display(),
            self.paint.cyan(&size(bytes))
        ))?;
        self.table(table, 1)
    }

    fn table(&mut self, table: Table<'_>, level: usize) -> Result<(), Failure> {
        let indent = "  ".repeat(level);
        if level > self.depth {
            return Ok(());
        }
        for (shown, entry) in table.entries().enumerate() {
            if shown == self.entries {
                let rest = table.places().map_err(damaged)?.saturating_sub(shown as u64);
                return finish(writeln!(self.out, "{indent}... {rest} more"));
            }
            let (key, value) = entry.map_err(damaged)?;
            let key = name(key);
            match value {
                Value::Table(inner) => {
                    let bytes = size(inner.bytes().map_err(damaged)?);
                    finish(writeln!(
                        self.out,
                        "{indent}{key}  {}  {}",
                        short(value),
                        self.paint.cyan(&bytes)
                    ))?;
                    self.table(inner, level + 1)?;
                }
                _ => finish(writeln!(self.out, "{indent}{key}  {}", short(value)))?,
            }
        }
        Ok(())
    }
}

/// Prints each place that differs: `-` what was there, `+` what is.
fn differences(
    out: &mut impl io::Write,
    paint: Paint,
    path: &str,
    old: Table<'_>,
    new: Table<'_>,
    changes: &mut u64,
) -> Result<(), Failure> {
    let mut nested = Vec::new();
    new.each_change(old, |key, before, now| {
        let key = name(key);
        if let (Some(Value::Table(before)), Some(Value::Table(now))) = (before, now) {
            nested.push((format!("{path}.{key}"), before, now));
            return Ok::<(), Trouble>(());
        }
        *changes += 1;
        if let Some(before) = before {
            writeln!(
                out,
                "{}",
                paint.red(&format!("- {path}.{key}  {}", short(before)))
            )?;
        }
        if let Some(now) = now {
            writeln!(out, "{}", paint.green(&format!("+ {path}.{key}  {}", short(now))))?;
        }
        Ok(())
    })
    .or_else(|trouble| match trouble {
        Trouble::Damaged(error) => Err(damaged(error)),
        Trouble::Io(error) => finish(Err(error)),
    })?;
    for (path, before, now) in nested {
        differences(out, paint, &path, before, now, changes)?;
    }
    Ok(())
}

/// What ends a comparison.
enum Trouble {
    Damaged(Damaged),
    Io(io::Error),
}

impl From<Damaged> for Trouble {
    fn from(error: Damaged) -> Self {
        Trouble::Damaged(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Io(error)
    }
}
