//! What the log says of a message whose handling failed.

use fulmar_engine::{Handle, Message};

use crate::seri;
use crate::vm::Vm;

/// What the log says of a message whose handling failed.
#[derive(Clone, Copy)]
pub(super) struct Culprit {
    session: i32,
    source: Handle,
    len: usize,
}

impl Culprit {
    /// No message: code outside of a turn.
    pub(super) const NOBODY: Culprit = Culprit {
        session: 0,
        source: Handle::SYSTEM,
        len: 0,
    };

    #[inline]
    pub(super) fn of(message: &Message) -> Culprit {
        let len = match message.block() {
            Some(block) if block.has_attachments() => seri::flat_len(block, block.attachments()),
            _ => message.len(),
        };
        Culprit {
            session: message.session(),
            source: message.source(),
            len,
        }
    }

    /// Logs the errors of a turn as skynet's message function does.
    ///
    /// # Safety
    /// `vm` is live; no Lua code runs in here.
    #[inline]
    pub(super) unsafe fn log_errors(self, vm: *mut Vm) {
        // SAFETY: by the caller.
        let vm = unsafe { &mut *vm };
        if !vm.tasks.errors.is_empty() {
            self.log_all(vm);
        }
    }

    #[cold]
    fn log_all(self, vm: &mut Vm) {
        let mut errors = std::mem::take(&mut vm.tasks.errors);
        let all = errors.len();
        errors.retain(|text| text != NOT_ENOUGH_MEMORY);
        if errors.len() < all {
            self.log_out_of_memory(vm);
        }
        if !errors.is_empty() {
            self.log(vm, &errors.join(&b'\n'));
        }
    }

    pub(super) fn log(self, vm: &Vm, text: &[u8]) {
        let Culprit { session, source, len } = self;
        let (source, me) = (source.bits(), vm.context.handle().bits());
        let head = format!("lua call [{source:x} to :{me:x} : {session} msgsz = {len}] error : \x1b[31m");
        vm.context.log([head.as_bytes(), text, b"\x1b[0m"].concat());
    }

    pub(super) fn log_out_of_memory(self, vm: &Vm) {
        let Culprit { session, source, .. } = self;
        let (source, me) = (source.bits(), vm.context.handle().bits());
        vm.context
            .log(format!("lua memory error : [{source:x} to :{me:x} : {session}]"));
    }
}

/// The text of what fails before it has a thread, or without room for the traceback that texts end with.
pub(super) const NOT_ENOUGH_MEMORY: &[u8] = b"not enough memory";
