//! Trace tags: following one request through services, in the log.

use std::ffi::CStr;

use fulmar_engine::{Body, Handle, MessageType};
use mlua::ffi::{self, lua_State};

use super::delivery::DeliveryBody;
use super::send::{Destination, send_body};
use super::{Tag, TaskId};
use crate::stack::{self, native};
use crate::vm::Vm;

pub(super) const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[(c"trace", trace)];

pub(super) const PUBLIC: &[(&CStr, ffi::lua_CFunction)] = &[
    (c"trace", start_trace),
    (c"tracetag", tracetag),
    (c"tracelog", trace),
];

/// The beginning of every trace line.
pub(super) fn line(vm: &Vm, tag: &str, event: &str) -> String {
    format!("<TRACE {tag}> {} {event}", vm.context.engine().hpc_ns())
}

/// Logs an event of a task that is being traced.
pub(super) fn event(vm: &Vm, id: TaskId, event: &str) {
    if let Tag::On(tag) = &vm.tasks.list[id as usize].tag {
        vm.context.log(line(vm, tag, event));
    }
}

/// Logs an event of the running task with the place in the program.
///
/// # Safety
/// `state` is the running thread.
pub(super) unsafe fn log_with_stack(state: *mut lua_State, event: &str, levels: i32) {
    // SAFETY: `lua_getinfo` neither raises nor leaves anything for these options. Stack: unchanged.
    unsafe {
        let vm = Vm::of(state);
        let Some(Tag::On(tag)) = (*vm).tasks.running().map(|task| task.tag.clone()) else {
            return;
        };
        let text = line(&*vm, &tag, event) + &places(state, 1, levels);
        (*vm).context.log(&text);
    }
}

/// ` : source:line` for up to three stack levels that have line information.
unsafe fn places(state: *mut lua_State, first: i32, levels: i32) -> String {
    let mut text = String::new();
    // SAFETY: as for `log_with_stack`.
    unsafe {
        let mut info: ffi::lua_Debug = std::mem::zeroed();
        let mut found = 0;
        let mut level = first;
        while found < levels.min(3) && ffi::lua_getstack(state, level, &mut info) != 0 {
            ffi::lua_getinfo(state, c"Sl".as_ptr(), &mut info);
            if info.currentline > 0 {
                let source = std::slice::from_raw_parts(info.source.cast(), info.srclen);
                let separator = if found == 0 { " :" } else { "" };
                text += &format!(
                    "{separator} {}:{}",
                    String::from_utf8_lossy(source),
                    info.currentline
                );
                found += 1;
            }
            level += 1;
        }
    }
    text
}

/// Sends a tag ahead of a request.
pub(super) fn send_tag(vm: &mut Vm, to: &Destination, tag: &str) {
    if let Ok(mut block) = vm.context.loan(tag.len()) {
        block.copy_from_slice(tag.as_bytes());
        send_body(vm, to, None, MessageType::TRACE, 0, Body::Block(block));
    }
}

/// The delivery is a tag: it is for the next request from the same source.
///
/// # Safety
/// No Lua code runs in here.
pub(super) unsafe fn arrive(vm: *mut Vm) {
    // SAFETY: by the caller.
    let vm = unsafe { &mut *vm };
    if let Some(delivery) = vm.tasks.delivery.take()
        && let DeliveryBody::Message(message) = &delivery.body
        && let fulmar_engine::Payload::Bytes(bytes) = message.payload()
        && !bytes.is_empty()
        && bytes.len() <= MAX_TAG_BYTES
        && vm.tasks.arriving_tags.len() < MAX_ARRIVING
    {
        let tag = String::from_utf8_lossy(bytes).into_owned().into_boxed_str();
        vm.tasks.arriving_tags.insert(delivery.head.source.bits(), tag);
    }
}

/// A tag is an address and a number; anything far longer is not one of ours.
const MAX_TAG_BYTES: usize = 1024;
/// Tags whose request never came must not pile up.
const MAX_ARRIVING: usize = 65536;

/// The tag under which a request runs. `traced` is the protocol's own setting.
pub(super) fn tag_for_request(vm: &mut Vm, source: Handle, traced: Option<bool>) -> Tag {
    let arrived = match vm.tasks.arriving_tags.is_empty() {
        true => None,
        false => vm.tasks.arriving_tags.remove(&source.bits()),
    };
    match (traced, arrived) {
        (Some(false), _) => Tag::Off,
        (_, Some(tag)) => {
            vm.context.log(line(vm, &tag, "request"));
            Tag::On(tag)
        }
        (Some(true), None) => {
            let tag = fresh_tag(vm);
            vm.context.log(line(vm, &tag, "trace"));
            Tag::On(tag)
        }
        (None, None) => Tag::None,
    }
}

fn fresh_tag(vm: &mut Vm) -> Box<str> {
    vm.tasks.traces += 1;
    format!("{}-{}", vm.context.handle(), vm.tasks.traces).into_boxed_str()
}

native! {
    /// `start_trace(info)` is `skynet.trace`.
    fn start_trace(state) {
        // SAFETY: the argument is read before anything is owned. Stack: unchanged.
        unsafe {
            ffi::luaL_optlstring(state, 1, std::ptr::null(), std::ptr::null_mut());
            let vm = Vm::of(state);
            let info = stack::text_at(state, 1);
            let Some(tag) = (*vm).tasks.running().map(|task| task.tag.clone()) else { return Ok(0) };
            let current = match &tag {
                Tag::None => "nil".to_owned(),
                Tag::Off => "false".to_owned(),
                Tag::On(tag) => tag.to_string(),
            };
            (*vm).context.log(format!("TRACE {current}"));
            if tag == Tag::Off {
                return Ok(0);
            }
            let tag = fresh_tag(&mut *vm);
            let event = info.map_or("trace".to_owned(), |info| format!("trace {info}"));
            (*vm).context.log(line(&*vm, &tag, &event));
            if let Some(task) = (*vm).tasks.running() {
                task.tag = Tag::On(tag);
            }
            Ok(0)
        }
    }
}

native! {
    /// `tracetag() -> string | false | nil`
    fn tracetag(state) {
        // SAFETY: the tag stays in the task while Lua copies it. Stack: one result.
        unsafe {
            let tasks = &raw mut (*Vm::of(state)).tasks;
            let id = (*tasks).current;
            match (&*tasks).list.get(id as usize).map(|task| &raw const task.tag) {
                Some(tag) => match &*tag {
                    Tag::On(tag) => stack::push_bytes(state, tag.as_bytes()),
                    Tag::Off => ffi::lua_pushboolean(state, 0),
                    Tag::None => ffi::lua_pushnil(state),
                },
                None => ffi::lua_pushnil(state),
            }
            Ok(1)
        }
    }
}

native! {
    /// `trace(tag, text [, thread] [, level])`: writes one trace line.
    fn trace(state) {
        // SAFETY: arguments are checked before anything is owned. Stack: unchanged.
        unsafe {
            ffi::luaL_checklstring(state, 1, std::ptr::null_mut());
            ffi::luaL_checklstring(state, 2, std::ptr::null_mut());
            let top = ffi::lua_gettop(state);
            let (thread, level) = match ffi::lua_type(state, 3) {
                ffi::LUA_TTHREAD => (ffi::lua_tothread(state, 3), ffi::luaL_optinteger(state, 4, 1)),
                _ => (state, ffi::luaL_optinteger(state, 3, 1)),
            };
            let tag = stack::text_at(state, 1).unwrap_or_default();
            let vm = Vm::of(state);
            let mut text = line(&*vm, &tag, &stack::text_at(state, 2).unwrap_or_default());
            if top > 2 {
                text += &places(thread, level as i32, 3);
            }
            (*vm).context.log(&text);
            Ok(0)
        }
    }
}
