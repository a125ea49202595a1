//! `fulmar.core`: what services can ask of this engine beyond skynet's API. Here: where a service runs, and how much may
//! wait for it.

use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::Arc;

use fulmar_engine::{MailboxLimit, Placement, Policy, ServiceOptions};
use mlua::ffi::{self, lua_State};

use crate::snlua::LuaService;
use crate::stack::{self, native};
use crate::vm::Vm;

const FUNCTIONS: &[(&CStr, ffi::lua_CFunction)] = &[(c"launch", launch), (c"check", check)];

/// Opens the module.
pub(crate) unsafe extern "C-unwind" fn open(state: *mut lua_State) -> c_int {
    // SAFETY: nothing is owned. Stack: one result.
    unsafe {
        ffi::lua_createtable(state, 0, FUNCTIONS.len() as c_int);
        stack::register(state, FUNCTIONS);
        1
    }
}

native! {
    /// `launch(options, name, ...) -> handle | nil, reason`: starts a Lua service without waiting for it.
    fn launch(state) {
        // SAFETY: everything that may raise comes before anything is owned, but for the text of a refusal, which moves into
        // the service's memory first. Stack: at most two results.
        unsafe {
            let (placement, mailbox) = options(state)?;
            let words = ffi::lua_gettop(state);
            for index in 2..=words {
                ffi::luaL_checklstring(state, index, ptr::null_mut());
            }
            let word = |index| std::str::from_utf8(stack::bytes_at(state, index).unwrap_or_default());
            let Ok(line) = (2..=words).map(word).collect::<Result<Vec<&str>, _>>() else {
                return Err("the arguments of a service are UTF-8".into());
            };
            if line.is_empty() {
                return Err("the name of a service is missing".into());
            }
            let vm = Vm::of(state);
            let service = LuaService::new(Arc::clone(&(*vm).node));
            let options = ServiceOptions { placement, mailbox, ..ServiceOptions::named("snlua").args(line.join(" ")) };
            drop(line);
            match (*vm).context.engine().spawn(service, options) {
                Ok(handle) => {
                    ffi::lua_pushinteger(state, handle.bits().into());
                    Ok(1)
                }
                Err(reason) => {
                    let reason = reason.to_string();
                    ffi::lua_pushnil(state);
                    stack::push_text(state, reason);
                    Ok(2)
                }
            }
        }
    }
}

native! {
    /// `check(options)`: raises what `launch` would say of them.
    fn check(state) {
        // SAFETY: as for `launch`.
        unsafe { options(state).map(|_| 0) }
    }
}

/// What each option is.
const OPTIONS: &[(&[u8], c_int, &str)] = &[
    (b"worker", ffi::LUA_TNUMBER, WORKERS),
    (b"thread", ffi::LUA_TBOOLEAN, "thread is true or false"),
    (b"mailbox", ffi::LUA_TNUMBER, CAPACITIES),
    (b"policy", ffi::LUA_TSTRING, POLICIES),
];
const WORKERS: &str = "worker is a number from 1 on";
const CAPACITIES: &str = "mailbox is the number of messages that may wait, from 1 on";
const POLICIES: &str = "policy is \"reject\", \"drop_oldest\" or \"drop_newest\"";

/// The options at index 1.
unsafe fn options(state: *mut lua_State) -> Result<(Placement, Option<MailboxLimit>), stack::Failure> {
    // SAFETY: nothing is owned when Lua raises. Stack: unchanged, but for a failure.
    unsafe {
        if ffi::lua_type(state, 1) != ffi::LUA_TTABLE {
            let found = stack::type_name(state, 1);
            return Err(
                format!("the options of a service are a table, as in {{ worker = 1 }}: got {found}").into(),
            );
        }
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, 1) != 0 {
            let known = stack::bytes_at(state, -2)
                .filter(|_| ffi::lua_type(state, -2) == ffi::LUA_TSTRING)
                .and_then(|name| OPTIONS.iter().find(|(known, ..)| *known == name));
            match known {
                None => {
                    let name =
                        stack::text_at(state, -2).unwrap_or_else(|| stack::type_name(state, -2).to_string());
                    return Err(
                        format!("a service has no option {name}: worker, thread, mailbox, policy").into(),
                    );
                }
                Some((_, kind, what)) if ffi::lua_type(state, -1) != *kind => return Err((*what).into()),
                Some(_) => ffi::lua_pop(state, 1),
            }
        }
        Ok((placement(state)?, mailbox(state)?))
    }
}

/// Pushes an option, and gives its type. Raw: the launcher gets a copy without a metatable.
unsafe fn get(state: *mut lua_State, name: &str) -> c_int {
    // SAFETY: as for `options`. Stack: one value more.
    unsafe {
        stack::push_bytes(state, name.as_bytes());
        ffi::lua_rawget(state, 1)
    }
}

/// `worker = n` (counted from 1) or `thread = true`.
unsafe fn placement(state: *mut lua_State) -> Result<Placement, stack::Failure> {
    // SAFETY: nothing is owned when a metamethod raises. Stack: unchanged.
    unsafe {
        get(state, "thread");
        let own = ffi::lua_toboolean(state, -1) != 0;
        let kind = get(state, "worker");
        let worker = ffi::lua_tointegerx(state, -1, ptr::null_mut());
        ffi::lua_pop(state, 2);
        match (own, kind) {
            (true, ffi::LUA_TNIL) => Ok(Placement::OwnThread),
            (true, _) => Err("a service has a worker or a thread of its own, not both".into()),
            (false, ffi::LUA_TNIL) => Ok(Placement::Any),
            (false, _) => match usize::try_from(worker) {
                Ok(worker @ 1..) => Ok(Placement::Worker(worker - 1)),
                _ => Err(WORKERS.into()),
            },
        }
    }
}

/// `mailbox = capacity` with `policy = "reject" | "drop_oldest" | "drop_newest"`.
unsafe fn mailbox(state: *mut lua_State) -> Result<Option<MailboxLimit>, stack::Failure> {
    // SAFETY: as for `placement`.
    unsafe {
        let kind = get(state, "mailbox");
        let capacity = ffi::lua_tointegerx(state, -1, ptr::null_mut());
        get(state, "policy");
        let has_policy = ffi::lua_type(state, -1) != ffi::LUA_TNIL;
        let policy = match stack::bytes_at(state, -1) {
            None if !has_policy => Some(Policy::Reject),
            Some(b"reject") => Some(Policy::Reject),
            Some(b"drop_oldest") => Some(Policy::DropOldest),
            Some(b"drop_newest") => Some(Policy::DropNewest),
            _ => None,
        };
        ffi::lua_pop(state, 2);
        let Some(policy) = policy else {
            return Err(POLICIES.into());
        };
        match (kind, usize::try_from(capacity)) {
            (ffi::LUA_TNIL, _) if has_policy => Err("a policy is for a mailbox with a limit".into()),
            (ffi::LUA_TNIL, _) => Ok(None),
            (_, Ok(capacity @ 1..)) => Ok(Some(MailboxLimit { capacity, policy })),
            _ => Err(CAPACITIES.into()),
        }
    }
}
