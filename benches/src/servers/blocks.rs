//! The file whose blocks are read, and what all servers that read it have in common.
//!
//! Such a server has no clients. A line on its standard input tells how many blocks to read and how many at a time, and its
//! answer how many it has read and how long that took. Each block tells its number in each of its sectors, so that it can be
//! seen at little cost that the right one was read; before anything is measured all bytes are compared.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, ErrorKind};
use std::path::PathBuf;
use std::time::Instant;

use crate::servers::announce;

pub(crate) const BYTES: usize = 4 << 10;

/// What a server is to read.
#[derive(Clone, Copy)]
pub(super) struct Job {
    /// How many blocks at a time: so many workers share the work.
    pub(super) depth: usize,
    reads: u64,
    are_all_bytes_compared: bool,
}

/// A block, by its number.
#[derive(Clone, Copy)]
pub(super) struct Block(u64);

/// Writes the file, unless it is there.
pub(crate) fn write() -> io::Result<()> {
    let path = path()?;
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() == COUNT * BYTES as u64) {
        // Into the page cache.
        return fs::read(path).map(drop);
    }
    let bytes: Vec<u8> = (0..COUNT).flat_map(|number| Block(number).bytes()).collect();
    fs::write(path, bytes)
}

pub(super) fn open() -> io::Result<File> {
    File::open(path()?)
}

/// Beside this program, where no memory plays a disk.
pub(super) fn path() -> io::Result<PathBuf> {
    Ok(env::current_exe()?.with_extension("blocks"))
}

/// Does what the lines on the standard input tell.
pub(super) fn serve(mut run: impl FnMut(Job) -> io::Result<()>) -> io::Result<()> {
    // Nobody connects to it.
    announce(([0, 0, 0, 0], 0).into())?;
    for line in io::stdin().lock().lines() {
        let job = Job::parse(&line?).ok_or(ErrorKind::InvalidInput)?;
        let start = Instant::now();
        match run(job) {
            Ok(()) => println!("{} {}", job.reads_of_each() * job.depth as u64, start.elapsed().as_nanos()),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}

impl Job {
    fn parse(line: &str) -> Option<Job> {
        let mut words = line.split(' ');
        let (depth, reads) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Job { depth, reads, are_all_bytes_compared: words.next()? == "bytes" })
    }

    /// The blocks that a worker is to read, which are anywhere.
    pub(super) fn blocks(self, worker: usize) -> impl Iterator<Item = Block> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(worker as u64 + 1);
        (0..self.reads_of_each()).map(move |_| {
            // Xorshift.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            Block(state % COUNT)
        })
    }

    /// Whether these are the bytes of this block.
    pub(super) fn check(self, block: Block, bytes: &[u8]) -> io::Result<()> {
        let is_right = if self.are_all_bytes_compared {
            bytes == block.bytes()
        } else {
            let stamp = block.stamp();
            bytes.len() == BYTES && bytes.chunks_exact(SECTOR_BYTES).all(|sector| sector[..stamp.len()] == stamp)
        };
        if is_right { Ok(()) } else { Err(io::Error::new(ErrorKind::InvalidData, "a block was read wrong")) }
    }

    fn reads_of_each(self) -> u64 {
        self.reads.div_ceil(self.depth as u64)
    }
}

impl Block {
    pub(super) fn offset(self) -> u64 {
        self.0 * BYTES as u64
    }

    fn stamp(self) -> [u8; 8] {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()
    }

    fn bytes(self) -> Vec<u8> {
        let sector = self.stamp().into_iter().chain((self.0 as u8..=u8::MAX).cycle());
        let sector: Vec<u8> = sector.take(SECTOR_BYTES).collect();
        sector.repeat(BYTES / SECTOR_BYTES)
    }
}

/// 32 MiB: more than the processor's caches have for one core, less than anyone's page cache.
const COUNT: u64 = 8 << 10;
const SECTOR_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_block_or_a_changed_byte_is_found() {
        let fast = Job::parse("64 6400 stamps").expect("a job");
        let slow = Job::parse("1 7 bytes").expect("a job");
        for number in 0..COUNT {
            let block = Block(number);
            assert_eq!(block.bytes().len(), BYTES);
            assert!(fast.check(block, &block.bytes()).is_ok() && slow.check(block, &block.bytes()).is_ok());
            assert!(fast.check(block, &Block(number + 1).bytes()).is_err());
        }
        let mut bytes = Block(5).bytes();
        bytes[BYTES - 1] ^= 1;
        assert!(slow.check(Block(5), &bytes).is_err());
        assert!(fast.check(Block(5), &bytes[..BYTES - 1]).is_err());
    }

    #[test]
    fn workers_share_the_reads_and_read_different_blocks() {
        let job = Job::parse("64 6401 stamps").expect("a job");
        let of_worker = |worker| job.blocks(worker).map(|block| block.0).collect::<Vec<_>>();
        assert_eq!(of_worker(0).len(), 101);
        assert_ne!(of_worker(0), of_worker(1));
        assert!(of_worker(63).iter().all(|block| *block < COUNT));
        assert!(Job::parse("64 many stamps").is_none());
    }
}
