//! What a person reads: failures with their place and what to do next. Colours on a terminal, none elsewhere.

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal, Write};

use fulmar_lualib::config::{ConfigError, Position, SettingsError};

/// Prints what a command has to say.
pub(crate) fn show(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    finish(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What became of printing. Whoever has closed our output has read enough.
pub(crate) fn finish(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(format!("cannot write: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Why a command ends with status 1.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    /// The line of a file that it is about, numbered.
    line: Option<String>,
    causes: Vec<String>,
    advice: Option<String>,
}

impl Failure {
    pub(crate) fn new(what: impl fmt::Display) -> Self {
        Self {
            what: what.to_string(),
            line: None,
            causes: Vec::new(),
            advice: None,
        }
    }

    /// An error at a place, and the lines that show it.
    pub(crate) fn at(error: &dyn Error, lines: String) -> Self {
        Self {
            line: Some(lines),
            ..Self::new(error)
        }
    }

    /// An error with the reasons behind it.
    pub(crate) fn of(error: &dyn Error) -> Self {
        let mut failure = Self::new(error);
        let mut cause = error.source();
        while let Some(error) = cause {
            failure.causes.push(error.to_string());
            cause = error.source();
        }
        failure
    }

    /// Adds what to do about it.
    #[must_use]
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    pub(crate) fn print(&self) {
        // Standard error is all there is to complain on.
        let _ = self.write(&mut io::stderr().lock(), Paint::of(&io::stderr()));
    }

    fn write(&self, out: &mut impl Write, paint: Paint) -> io::Result<()> {
        writeln!(out, "{} {}", paint.red("error:"), self.what)?;
        if let Some(line) = &self.line {
            writeln!(out, "{line}")?;
        }
        for cause in &self.causes {
            writeln!(out, "  {} {cause}", paint.cyan("because:"))?;
        }
        match &self.advice {
            Some(advice) => writeln!(out, "  {} {advice}", paint.cyan("help:")),
            None => Ok(()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self {
            what: error.to_string(),
            line: error.position().and_then(numbered),
            causes: Vec::new(),
            advice: Some(error.advice()),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::new(&error).advise(error.advice())
    }
}

fn numbered(at: &Position) -> Option<String> {
    let (line, text) = (at.line?, at.text.as_ref()?);
    Some(format!("{line:>6} | {text}"))
}

/// Wraps words in terminal colours, or leaves them as they are.
#[derive(Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// Colours for `stream` when it is a terminal and nobody asked for plain text (`NO_COLOR`, a dumb terminal).
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            on: stream.is_terminal() && !plain,
        }
    }

    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    pub(crate) fn red(self, words: &str) -> String {
        self.wrap("1;31", words)
    }

    pub(crate) fn yellow(self, words: &str) -> String {
        self.wrap("1;33", words)
    }

    pub(crate) fn green(self, words: &str) -> String {
        self.wrap("1;32", words)
    }

    pub(crate) fn cyan(self, words: &str) -> String {
        self.wrap("36", words)
    }

    fn wrap(self, code: &str, words: &str) -> String {
        if self.on {
            format!("\x1b[{code}m{words}\x1b[0m")
        } else {
            words.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(failure: &Failure, on: bool) -> String {
        let mut out = Vec::new();
        failure.write(&mut out, Paint { on }).expect("writing to memory");
        String::from_utf8(out).expect("only text was written")
    }

    #[test]
    fn a_failure_shows_its_line_and_what_to_do() {
        let at = Position {
            path: "c".into(),
            line: Some(3),
            text: Some("thread = = 1".into()),
        };
        let failure = Failure {
            what: "c:3: no".into(),
            line: numbered(&at),
            causes: vec!["the engine said so".into()],
            advice: Some("mend it".into()),
        };
        assert_eq!(
            printed(&failure, false),
            "error: c:3: no\n     3 | thread = = 1\n  because: the engine said so\n  help: mend it\n"
        );
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let failure = Failure::new("no").advise("mend it");
        assert!(printed(&failure, true).contains("\x1b["));
        assert!(!printed(&failure, false).contains('\x1b'));
    }
}
