//! The one module that calls the operating system: a sparse file, its mapping, and giving memory back.
//!
//! On Linux the file is a memfd. Elsewhere it is a temporary file that is unlinked at once; it takes room on a disk, and
//! memory is not given back to the system before the process ends.

use std::fs::File;
use std::io;
use std::ptr::NonNull;

use memmap2::{MmapMut, MmapOptions, MmapRaw};

use crate::page::Page;

/// A file that only this process has, and the whole of it mapped.
pub(crate) struct Backing {
    file: File,
    map: MmapRaw,
}

impl Backing {
    /// Reserves `bytes` of address space over a sparse file; nothing is committed.
    pub(crate) fn reserve(bytes: usize) -> io::Result<Backing> {
        let file = memory_file()?;
        file.set_len(bytes as u64)?;
        let map = MmapOptions::new().len(bytes).no_reserve_swap().map_raw(&file)?;
        Ok(Backing { file, map })
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        NonNull::new(self.map.as_mut_ptr()).expect("a mapping is not at address zero")
    }

    /// Gives the memory of a range back to the system; it reads as zeros afterwards.
    pub(crate) fn discard(&self, offset: usize, bytes: usize) -> io::Result<()> {
        punch_hole(&self.file, offset as u64, bytes as u64)
    }

    /// Bytes that the system has put behind the file, in its own pages.
    pub(crate) fn system_bytes(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().map_or(0, |metadata| metadata.blocks() * 512)
    }
}

/// A table of unused pages for the life of the process. Only the part that is used gets memory.
pub(crate) fn page_table(pages: usize) -> io::Result<&'static [Page]> {
    let bytes = pages * size_of::<Page>();
    let map: &'static mut MmapMut = Box::leak(Box::new(
        MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?,
    ));
    let first = map.as_mut_ptr().cast::<Page>();
    // SAFETY: the mapping is `pages` entries long, page-aligned and never unmapped; all zeros is a valid `Page`, whose
    // fields are atomics; nothing else refers to the mapping.
    Ok(unsafe { std::slice::from_raw_parts(first, pages) })
}

#[cfg(target_os = "linux")]
fn memory_file() -> io::Result<File> {
    let descriptor = rustix::fs::memfd_create("fulmar-arena", rustix::fs::MemfdFlags::CLOEXEC)?;
    Ok(File::from(descriptor))
}

#[cfg(not(target_os = "linux"))]
fn memory_file() -> io::Result<File> {
    unlinked_file()
}

#[cfg(any(test, not(target_os = "linux")))]
fn unlinked_file() -> io::Result<File> {
    use crate::sync::plain::{AtomicU32, Ordering};
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    // Relaxed: only uniqueness matters.
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("fulmar-arena-{}-{serial}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(target_os = "linux")]
fn punch_hole(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    Ok(fallocate(
        file,
        FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
        offset,
        bytes,
    )?)
}

#[cfg(not(target_os = "linux"))]
fn punch_hole(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlinked_file_serves_as_backing() {
        let file = unlinked_file().unwrap();
        file.set_len(1 << 20).unwrap();
        let map = MmapOptions::new().len(1 << 20).map_raw(&file).unwrap();
        assert_eq!(map.len(), 1 << 20);
    }

    #[test]
    fn discarded_memory_leaves_the_file_and_reads_as_zeros() {
        let backing = Backing::reserve(1 << 20).unwrap();
        let byte = backing.base().as_ptr();
        // SAFETY: the first byte of a mapping that nobody else uses.
        unsafe { byte.write_volatile(7) };
        assert!(backing.system_bytes() > 0);
        backing.discard(0, 1 << 20).unwrap();
        assert_eq!(backing.system_bytes(), 0);
        // SAFETY: as above.
        assert_eq!(unsafe { byte.read_volatile() }, 0);
    }
}
