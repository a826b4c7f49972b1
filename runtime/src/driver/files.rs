//! The table of the ring's files: who has which place.
//!
//! An entry that names a file by its place spares the kernel the look-up of a descriptor, and counting who uses the file. The
//! table owns the open file as a descriptor does, so a file is taken out before its descriptor is closed or handed out, by a
//! call that has done it when it returns ([`fd::place`](crate::fd)).

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};

use io_uring::opcode;

use crate::driver::Driver;
use crate::driver::slots::CANCEL;
use crate::fd::MOST_PLACES;
use crate::kernel::file::may_be_registered;
use crate::kernel::{Kernel, Sqe};
use crate::sys::uring::NO_FILE;

/// The places of one driver.
#[derive(Debug)]
pub(super) struct Files {
    /// So many places at most; 0 where the kernel knows no such table.
    most: Cell<u16>,
    /// None yet; made when the first file is read often.
    table: RefCell<Option<Table>>,
}

#[derive(Debug)]
struct Table {
    places: u16,
    /// Places from here on have never been used.
    fresh: u16,
    /// Places that were used, and are free again.
    vacant: Vec<u16>,
}

impl Table {
    /// How many places have a file.
    fn occupied(&self) -> usize {
        usize::from(self.fresh) - self.vacant.len()
    }
}

impl Files {
    pub(super) fn new(kernel: &Kernel, most: u16) -> Self {
        let most = if kernel.registers_files() { most.min(MOST_PLACES) } else { 0 };
        Self { most: Cell::new(most), table: RefCell::new(None) }
    }

    /// Ends the kernel's side: no place means anything from here on.
    pub(super) fn close(&self, kernel: &mut Kernel) {
        self.most.set(0);
        if self.table.take().is_some() {
            kernel.unregister_files();
        }
    }
}

impl Driver {
    /// Gives a file that is read often a place in the ring's table, if it may have one and one is free.
    pub(crate) fn register_file(&self, file: BorrowedFd<'_>) -> Option<u16> {
        if self.files.most.get() == 0 || !may_be_registered(file) {
            return None;
        }
        let Ok(place) = self.reserve_place() else {
            // Such a table is not to be had here.
            self.files.most.set(0);
            return None;
        };
        let Some(place) = place else {
            self.counters.files_without_place.add(1);
            return None;
        };
        if self.update_place(place, Some(file.as_raw_fd())).is_err() {
            self.vacate_place(place);
            return None;
        }
        Some(place)
    }

    /// Takes a file out of the table. When this returns the table does not keep it open any more.
    pub(crate) fn unregister_file(&self, place: u16) {
        if self.files.table.borrow().is_none() {
            // It went with the table.
            return;
        }
        match self.update_place(place, None) {
            Ok(()) => self.vacate_place(place),
            // Calls of that kind have been forbidden meanwhile. An entry does the same, a little later; as nobody tells when,
            // the place is not used again.
            Err(_) if !self.is_closed() => {
                let entry = opcode::FilesUpdate::new(NOTHING.as_ptr(), 1).offset(i32::from(place)).build();
                self.push(Sqe::from(entry).keyed(CANCEL).silent());
                self.settle();
            }
            Err(_) => {}
        }
    }

    /// How many files have a place.
    pub(crate) fn registered_files(&self) -> usize {
        self.files.table.borrow().as_ref().map_or(0, Table::occupied)
    }

    /// A place that is free, if there is one.
    fn reserve_place(&self) -> io::Result<Option<u16>> {
        let mut table = self.files.table.borrow_mut();
        let table = match table.as_mut() {
            Some(table) => table,
            None => table.insert(self.make_table()?),
        };
        Ok(table.vacant.pop().or_else(|| {
            let is_there = table.fresh < table.places;
            table.fresh += u16::from(is_there);
            is_there.then(|| table.fresh - 1)
        }))
    }

    /// As many places as there may be descriptors, where that is less than we want.
    fn make_table(&self) -> io::Result<Table> {
        let mut kernel = self.kernel.borrow_mut();
        let kernel = kernel.as_mut().ok_or_else(super::gone)?;
        let mut places = self.files.most.get();
        loop {
            match kernel.register_files(places) {
                Ok(()) => return Ok(Table { places, fresh: 0, vacant: Vec::new() }),
                Err(error) if error.raw_os_error() == Some(libc::EMFILE) && places > 1 => places /= 2,
                Err(error) => return Err(error),
            }
        }
    }

    fn vacate_place(&self, place: u16) {
        if let Some(table) = self.files.table.borrow_mut().as_mut() {
            table.vacant.push(place);
        }
    }

    fn update_place(&self, place: u16, file: Option<RawFd>) -> io::Result<()> {
        let mut kernel = self.kernel.borrow_mut();
        kernel.as_mut().ok_or_else(super::gone)?.update_file(place, file)
    }
}

/// What is put into a place to empty it. The kernel reads it when the entry is submitted.
static NOTHING: [RawFd; 1] = [NO_FILE];
