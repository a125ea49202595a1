//! The text commands that a service gives to the engine: `command("TIMEOUT", "100")`.
//!
//! Parameters and results are text, in whatever encoding, and `None` is "no result". An address is `:hex` or `.name`; anything else is logged
//! and counts as not found. Unknown commands give no result.
//!
//! | command | parameter | result |
//! |---|---|---|
//! | `TIMEOUT` | delay in cs | session whose response comes when it is over |
//! | `REG` | nothing, or `.name` | own address; or the name, if it was free |
//! | `QUERY` | `.name` | address |
//! | `NAME` | `.name :hex` | the name, if it was free |
//! | `EXIT`, `KILL`, `ABORT` | nothing, address, nothing | |
//! | `LAUNCH` | `module args` | address, eight upper-case digits |
//! | `GETENV`, `SETENV` | key, `key value` | value, nothing |
//! | `STARTTIME` | | Unix seconds |
//! | `MONITOR` | nothing, or address | address of the exit monitor |
//! | `STAT` | `mqlen`, `endless`, `cpu`, `time`, `message` | a number, or empty text for other names |
//! | `LOGON`, `LOGOFF` | address | |
//! | `SIGNAL` | address, number | |

use crate::{Context, Handle, LaunchError, SendFailure, message_log};

/// Carries out `name` with `param` for the service of `cx`.
pub(crate) fn run(cx: &Context, name: &str, param: &[u8]) -> Option<Vec<u8>> {
    match name {
        "EXIT" => cx.exit(),
        "KILL" => _ = resolve(cx, param).map(|handle| cx.kill(handle)),
        "SETENV" => setenv(cx, param),
        "ABORT" => cx.engine().abort(),
        "LOGON" => _ = resolve(cx, param).map(|handle| message_log::log_on(cx, handle)),
        "LOGOFF" => _ = resolve(cx, param).map(|handle| message_log::log_off(cx, handle)),
        "SIGNAL" => signal(cx, param),
        _ => return answer(cx, name, param),
    }
    None
}

/// The commands that have a result.
fn answer(cx: &Context, name: &str, param: &[u8]) -> Option<Vec<u8>> {
    match name {
        "TIMEOUT" => timeout(cx, param),
        "REG" => reg(cx, param),
        "QUERY" => cx.engine().names().query(param.strip_prefix(b".")?).map(address),
        "NAME" => set_name(cx, param),
        "LAUNCH" => launch(cx, param),
        "GETENV" => cx.engine().env().get_bytes(param),
        "STARTTIME" => Some(cx.engine().clock().start_time().to_string().into_bytes()),
        "MONITOR" => monitor(cx, param),
        "STAT" => Some(stat(cx, param).into_bytes()),
        _ => None,
    }
}

fn timeout(cx: &Context, param: &[u8]) -> Option<Vec<u8>> {
    let session = cx.new_session();
    if let Err(error) = cx.timeout(integer(param), session)
        && error.reason == SendFailure::Exhausted
    {
        cx.log(format!("error: Can't start a timer: {error}"));
        return None;
    }
    Some(session.to_string().into_bytes())
}

fn reg(cx: &Context, param: &[u8]) -> Option<Vec<u8>> {
    if param.is_empty() {
        return Some(address(cx.handle()));
    }
    let Some(name) = param.strip_prefix(b".") else {
        cx.log([b"error: Can't register global name ", param, b" in C"].concat());
        return None;
    };
    cx.engine()
        .register_name(name, cx.handle())
        .then(|| name.to_owned())
}

fn set_name(cx: &Context, param: &[u8]) -> Option<Vec<u8>> {
    let mut words = param
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let (name, target) = (words.next()?, words.next()?);
    let handle = Handle::parse(target).filter(|handle| !handle.is_system())?;
    let Some(name) = name.strip_prefix(b".") else {
        cx.log([b"error: Can't set global name ", name, b" in C"].concat());
        return None;
    };
    cx.engine().register_name(name, handle).then(|| name.to_owned())
}

fn launch(cx: &Context, param: &[u8]) -> Option<Vec<u8>> {
    let Ok(param) = std::str::from_utf8(param) else {
        cx.log([b"error: launch FAILED: not UTF-8: ", param].concat());
        return None;
    };
    let (module, rest) = param.split_once([' ', '\t', '\r', '\n']).unwrap_or((param, ""));
    let args = rest.split(['\r', '\n']).next().unwrap_or_default();
    match cx.engine().launch(module, args) {
        Ok(handle) => Some(format!(":{:08X}", handle.bits()).into_bytes()),
        // What a service does in its start is logged by the engine.
        Err(LaunchError::Refused(_) | LaunchError::Panicked) => None,
        Err(error) => {
            cx.log(format!("error: launch {module} FAILED: {error}"));
            None
        }
    }
}

fn setenv(cx: &Context, param: &[u8]) {
    if let Some((key, value)) = split_at_space(param)
        && !cx.engine().env().set(key, value)
    {
        cx.log([b"error: Can't change environment ", key, b", it is set already"].concat());
    }
}

fn monitor(cx: &Context, param: &[u8]) -> Option<Vec<u8>> {
    if param.is_empty() {
        return cx.engine().exit_monitor().map(address);
    }
    cx.engine().set_exit_monitor(resolve(cx, param));
    None
}

fn stat(cx: &Context, param: &[u8]) -> String {
    match param {
        b"mqlen" => cx.mailbox_len().to_string(),
        b"endless" => u8::from(cx.take_endless()).to_string(),
        b"cpu" => seconds(cx.stats().cpu_ns),
        b"time" if cx.engine().profile() => seconds(cx.stats().turn_ns),
        b"time" => "0".to_owned(),
        b"message" => cx.stats().messages.to_string(),
        _ => String::new(),
    }
}

fn signal(cx: &Context, param: &[u8]) {
    let (target, number) = split_at_space(param).unwrap_or((param, b""));
    if let Some(handle) = resolve(cx, target) {
        cx.signal(handle, integer_of_any_base(number));
    }
}

/// What stands before the first space, and what behind it.
fn split_at_space(param: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = param.iter().position(|byte| *byte == b' ')?;
    Some((&param[..space], &param[space + 1..]))
}

/// The service that `text` names: `:hex`, or `.name` of this node.
fn resolve(cx: &Context, text: &[u8]) -> Option<Handle> {
    match text {
        [b':', ..] => Handle::parse(text).filter(|handle| !handle.is_system()),
        [b'.', name @ ..] => cx.engine().names().query(name),
        _ => {
            cx.log([b"error: Can't convert ", text, b" to handle"].concat());
            None
        }
    }
}

/// `:hex` with no more digits than needed.
fn address(handle: Handle) -> Vec<u8> {
    format!(":{:x}", handle.bits()).into_bytes()
}

/// The decimal number at the beginning of `text`, as C reads it: 0 when there is none, the nearest one when it does not fit.
fn integer(text: &[u8]) -> i32 {
    number(text, false)
}

/// As [`integer`], and `0x` begins a hexadecimal number, `0` an octal one.
fn integer_of_any_base(text: &[u8]) -> i32 {
    number(text, true)
}

fn number(text: &[u8], any_base: bool) -> i32 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        _ => (false, text),
    };
    let (radix, digits) = match digits {
        [b'0', b'x' | b'X', digits @ ..] if any_base => (16, digits),
        [b'0', ..] if any_base => (8, digits),
        _ => (10, digits),
    };
    let magnitude = digits
        .iter()
        .map_while(|digit| char::from(*digit).to_digit(radix))
        .fold(0i64, |value, digit| {
            value
                .saturating_mul(i64::from(radix))
                .saturating_add(i64::from(digit))
        });
    let value = if negative { -magnitude } else { magnitude };
    value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// Nanoseconds as seconds with six decimals.
fn seconds(ns: u64) -> String {
    format!("{:.6}", ns as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_c() {
        let cases = [
            ("12", 12),
            (" -4x", -4),
            ("+7 8", 7),
            ("", 0),
            ("abc", 0),
            ("0x10", 0),
            ("010", 10),
            ("--1", 0),
        ];
        for (text, value) in cases {
            assert_eq!(integer(text.as_bytes()), value, "{text:?}");
        }
        assert_eq!(integer(b"99999999999999999999999"), i32::MAX);
        assert_eq!(integer(b"-99999999999999999999999"), i32::MIN);
        let cases = [
            ("0x10", 16),
            ("-0X1f", -31),
            ("010", 8),
            ("0", 0),
            ("9", 9),
            (" 2", 2),
            ("0x", 0),
            ("é", 0),
        ];
        for (text, value) in cases {
            assert_eq!(integer_of_any_base(text.as_bytes()), value, "{text:?}");
        }
    }
}
