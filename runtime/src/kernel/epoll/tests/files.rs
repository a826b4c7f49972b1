//! Reads, writes, and what else goes to threads.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use io_uring::{opcode, types};

use super::scene::{BAD, Scenario, Scene, compare, fd};

/// A directory of the scene's own, which goes with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("quoit-files-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, content: &[u8]) -> File {
        let path = self.0.join("file");
        fs::write(&path, content).unwrap();
        fs::OpenOptions::new().read(true).write(true).open(path).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A path for an entry.
fn path(scene: &mut Scene, directory: &Directory, name: &str) -> *const libc::c_char {
    scene.keep(CString::new(directory.0.join(name).as_os_str().as_bytes()).unwrap()).as_ptr()
}

#[test]
fn reads_and_writes_of_files_answer_alike() {
    let scenarios: &[(&str, Scenario)] = &[
        ("reads at places, past the end, and of nothing", |scene| {
            let directory = Directory::new();
            let file = directory.file(&(0..=255).collect::<Vec<u8>>());
            for (key, offset, room) in
                [(1, 0, 16), (2, 250, 16), (3, 256, 16), (4, 9999, 16), (5, 0, 0), (6, u64::MAX, 8)]
            {
                let (memory, bytes) = scene.bytes(&vec![0; room]);
                scene.push(key, opcode::Read::new(fd(&file), memory, bytes).offset(offset).build());
                scene.until(key, 1);
                scene.note_bytes(10 + key, memory, room);
            }
        }),
        ("writes, synced, and read again", |scene| {
            let directory = Directory::new();
            let file = directory.file(b"");
            let (memory, bytes) = scene.bytes(&[7; 5000]);
            scene.push(1, opcode::Write::new(fd(&file), memory, bytes).offset(100).build());
            scene.until(1, 1);
            scene.push(2, opcode::Fsync::new(fd(&file)).build());
            scene.until(2, 1);
            scene.push(3, opcode::Fsync::new(fd(&file)).flags(types::FsyncFlags::DATASYNC).build());
            scene.until(3, 1);
            scene.note(9, fs::read(directory.0.join("file")).unwrap().len() as i32);
        }),
        ("several parts", |scene| {
            let directory = Directory::new();
            let file = directory.file(b"");
            let (one, other) = (scene.bytes(&[1; 10]).0, scene.bytes(&[2; 20]).0);
            let parts =
                [(one, 10), (other, 20)].map(|(start, bytes)| libc::iovec { iov_base: start.cast(), iov_len: bytes });
            let parts: *const libc::iovec = scene.keep(parts).as_ptr();
            scene.push(1, opcode::Writev::new(fd(&file), parts, 2).build());
            scene.until(1, 1);
            scene.push(2, opcode::Readv::new(fd(&file), parts, 2).offset(5).build());
            scene.until(2, 1);
            scene.note_bytes(9, one, 10);
            scene.note_bytes(9, other, 20);
        }),
        ("what may not be read or written, or is nothing", |scene| {
            let directory = Directory::new();
            drop(directory.file(b"content"));
            let read = File::open(directory.0.join("file")).unwrap();
            let write = fs::OpenOptions::new().write(true).open(directory.0.join("file")).unwrap();
            let (memory, bytes) = scene.bytes(&[0; 8]);
            scene.push(1, opcode::Write::new(fd(&read), memory, bytes).build());
            scene.push(2, opcode::Read::new(fd(&write), memory, bytes).build());
            scene.push(3, opcode::Read::new(BAD, memory, bytes).build());
            let directory = File::open(&directory.0).unwrap();
            scene.push(4, opcode::Read::new(fd(&directory), memory, bytes).build());
            (1..=4).for_each(|key| scene.until(key, 1));
        }),
    ];
    compare(scenarios);
}

#[test]
fn reads_and_writes_of_pipes_answer_alike() {
    let scenarios: &[(&str, Scenario)] = &[
        ("bytes that are there, bytes that come, the end", |scene| {
            let (read, mut write) = std::io::pipe().unwrap();
            write.write_all(b"first").unwrap();
            for (key, offset) in [(1, 0), (2, u64::MAX), (3, 0)] {
                let (memory, bytes) = scene.bytes(&[0; 8]);
                scene.push(key, opcode::Read::new(fd(&read), memory, bytes).offset(offset).build());
                scene.turn();
                match key {
                    2 => write.write_all(b"second one").unwrap(),
                    3 => {}
                    _ => {}
                }
                scene.until(key, 1);
            }
            drop(write);
            let (memory, bytes) = scene.bytes(&[0; 8]);
            scene.push(4, opcode::Read::new(fd(&read), memory, bytes).build());
            scene.until(4, 1);
        }),
        ("a full pipe", |scene| {
            let (mut read, write) = std::io::pipe().unwrap();
            let (memory, bytes) = scene.bytes(&vec![9; 100_000]);
            scene.push(1, opcode::Write::new(fd(&write), memory, bytes).build());
            scene.until(1, 1);
            scene.push(2, opcode::Write::new(fd(&write), memory, 100).build());
            scene.turn();
            assert_eq!(scene.count(2), 0);
            read.read_exact(&mut vec![0; 65536]).unwrap();
            scene.until(2, 1);
        }),
        ("nobody reads any more", |scene| {
            let (read, write) = std::io::pipe().unwrap();
            drop(read);
            let (memory, bytes) = scene.bytes(&[9; 10]);
            scene.push(1, opcode::Write::new(fd(&write), memory, bytes).build());
            scene.until(1, 1);
        }),
        ("cancelled", |scene| {
            let (read, _write) = std::io::pipe().unwrap();
            let (memory, bytes) = scene.bytes(&[0; 8]);
            scene.push(1, opcode::Read::new(fd(&read), memory, bytes).build());
            scene.turn();
            scene.push(2, opcode::AsyncCancel::new(1).build());
            scene.until(1, 1);
            scene.until(2, 1);
        }),
        ("a socket", |scene| {
            let (ours, mut peer) = UnixStream::pair().unwrap();
            let (memory, bytes) = scene.bytes(&[3; 8]);
            scene.push(1, opcode::Write::new(fd(&ours), memory, bytes).build());
            scene.until(1, 1);
            scene.push(2, opcode::Read::new(fd(&ours), memory, bytes).build());
            scene.turn();
            peer.write_all(b"abc").unwrap();
            scene.until(2, 1);
        }),
        ("from one pipe to another", |scene| {
            let ((from, mut feed), (mut drain, to)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
            feed.write_all(b"through two pipes").unwrap();
            scene.push(1, opcode::Splice::new(fd(&from), -1, fd(&to), -1, 100).build());
            scene.until(1, 1);
            scene.note(9, drain.read(&mut [0; 64]).unwrap() as i32);
        }),
        ("devices", |scene| {
            let (zero, null) =
                (File::open("/dev/zero").unwrap(), fs::OpenOptions::new().write(true).open("/dev/null").unwrap());
            let (memory, bytes) = scene.bytes(&[3; 8]);
            scene.push(1, opcode::Read::new(fd(&zero), memory, bytes).build());
            scene.until(1, 1);
            scene.push(2, opcode::Write::new(fd(&null), memory, bytes).build());
            scene.until(2, 1);
        }),
        ("a picked buffer", |scene| {
            let (read, mut write) = std::io::pipe().unwrap();
            scene.provide(2, 16);
            let entry = opcode::Read::new(fd(&read), std::ptr::null_mut(), 16).buf_group(0).build();
            scene.push(1, entry.flags(io_uring::squeue::Flags::BUFFER_SELECT));
            scene.turn();
            write.write_all(b"picked").unwrap();
            scene.until(1, 1);
        }),
    ];
    compare(scenarios);
}

#[test]
fn files_are_named_and_unnamed_alike() {
    const HERE: types::Fd = types::Fd(libc::AT_FDCWD);
    let scenarios: &[(&str, Scenario)] = &[
        ("opened, and not found", |scene| {
            let directory = Directory::new();
            let (new, missing) = (path(scene, &directory, "new"), path(scene, &directory, "missing"));
            let flags = libc::O_CREAT | libc::O_RDWR | libc::O_CLOEXEC;
            scene.push_maker(1, opcode::OpenAt::new(HERE, new).flags(flags).mode(0o600).build());
            scene.push_maker(2, opcode::OpenAt::new(HERE, missing).flags(libc::O_RDONLY).build());
            scene.until(1, 1);
            scene.until(2, 1);
            let file = scene.made.pop().unwrap();
            scene.push(3, opcode::Fallocate::new(fd(&file), 1000).build());
            scene.until(3, 1);
            scene.push(4, opcode::Ftruncate::new(fd(&file), 10).build());
            scene.until(4, 1);
            scene.note(9, fs::metadata(directory.0.join("new")).unwrap().len() as i32);
        }),
        ("the life of a directory and its files", |scene| {
            let directory = Directory::new();
            drop(directory.file(b"content"));
            let [file, made, moved, linked, pointer] =
                ["file", "made", "made/moved", "linked", "pointer"].map(|name| path(scene, &directory, name));
            let told = scene.bytes(&[0; 256]).0;
            let entries = [
                opcode::MkDirAt::new(HERE, made).mode(0o700).build(),
                opcode::MkDirAt::new(HERE, made).mode(0o700).build(),
                opcode::LinkAt::new(HERE, file, HERE, linked).build(),
                opcode::SymlinkAt::new(HERE, file, pointer).build(),
                opcode::RenameAt::new(HERE, file, HERE, moved).build(),
                opcode::RenameAt::new(HERE, file, HERE, moved).build(),
                opcode::Statx::new(HERE, moved, told.cast()).mask(libc::STATX_SIZE).build(),
                opcode::UnlinkAt::new(HERE, made).flags(libc::AT_REMOVEDIR).build(),
                opcode::UnlinkAt::new(HERE, moved).build(),
                opcode::UnlinkAt::new(HERE, made).flags(libc::AT_REMOVEDIR).build(),
                opcode::UnlinkAt::new(HERE, linked).build(),
                opcode::UnlinkAt::new(HERE, pointer).build(),
            ];
            for (key, entry) in (1..).zip(entries) {
                scene.push(key, entry);
                scene.until(key, 1);
            }
            scene.note(99, fs::read_dir(&directory.0).unwrap().count() as i32);
        }),
    ];
    compare(scenarios);
}
