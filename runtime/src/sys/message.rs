//! Messages with more than bytes: their header, and the control data beside them.
//!
//! # Safety
//!
//! The one unsafe act makes a structure of zeroes, which is a valid one. Control data is read and written as plain bytes.
#![allow(unsafe_code, reason = "libc's header has padding, and no constructor")]

use std::os::fd::RawFd;

/// A header that names nothing.
pub(crate) fn empty_header() -> libc::msghdr {
    // SAFETY: all zeroes are a valid, empty `msghdr`.
    unsafe { std::mem::zeroed() }
}

/// One item of control data, see [`cmsg(3)`](https://man7.org/linux/man-pages/man3/cmsg.3.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Control<'a> {
    pub(crate) level: i32,
    pub(crate) kind: i32,
    pub(crate) data: &'a [u8],
}

/// The items that the kernel has written. Bytes that are none end them.
pub(crate) fn controls(mut bytes: &[u8]) -> impl Iterator<Item = Control<'_>> {
    std::iter::from_fn(move || {
        let (len, rest) = bytes.split_first_chunk()?;
        let len = usize::from_ne_bytes(*len);
        let (level, rest) = rest.split_first_chunk()?;
        let kind = rest.first_chunk()?;
        let data = bytes.get(HEADER_BYTES..len)?;
        // The last one need not be filled up.
        bytes = bytes.get(len.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some(Control { level: i32::from_ne_bytes(*level), kind: i32::from_ne_bytes(*kind), data })
    })
}

impl Control<'_> {
    /// The numbers of the descriptors in it, if it is made of descriptors.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let is_rights = self.level == libc::SOL_SOCKET && self.kind == libc::SCM_RIGHTS;
        let data = if is_rights { self.data } else { &[] };
        data.chunks_exact(size_of::<RawFd>()).filter_map(|number| number.try_into().ok()).map(RawFd::from_ne_bytes)
    }

    /// The size of the datagrams that were put together, if it tells that (`UDP_GRO`).
    pub(crate) fn segment_bytes(&self) -> Option<u16> {
        if (self.level, self.kind) != (libc::SOL_UDP, libc::UDP_GRO) {
            return None;
        }
        i32::from_ne_bytes(*self.data.first_chunk()?).try_into().ok()
    }
}

/// Control data that passes descriptors along.
pub(crate) fn rights(descriptors: impl ExactSizeIterator<Item = RawFd>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(control_space(descriptors.len() * size_of::<RawFd>()));
    bytes.extend((HEADER_BYTES + descriptors.len() * size_of::<RawFd>()).to_ne_bytes());
    bytes.extend(libc::SOL_SOCKET.to_ne_bytes());
    bytes.extend(libc::SCM_RIGHTS.to_ne_bytes());
    descriptors.for_each(|number| bytes.extend(number.to_ne_bytes()));
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    bytes
}

/// How much room one item with so many bytes of data takes.
pub(crate) const fn control_space(data: usize) -> usize {
    HEADER_BYTES + data.next_multiple_of(ALIGNMENT)
}

/// Items begin at multiples of this.
const ALIGNMENT: usize = size_of::<usize>();
/// The length (a word), the level and the type.
const HEADER_BYTES: usize = size_of::<usize>() + 2 * size_of::<i32>();

#[cfg(test)]
mod tests {
    use quoit_testkit::Rng;

    use super::*;

    fn item(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER_BYTES + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0xEE);
        bytes
    }

    #[test]
    fn descriptors_and_segments_are_found_among_other_items() {
        let mut bytes = item(libc::SOL_IP, 8, &[1, 2, 3]);
        bytes.extend(item(libc::SOL_UDP, libc::UDP_GRO, &1_200_i32.to_ne_bytes()));
        bytes.extend(rights([7, 8, 9].into_iter()));
        let segments: Vec<_> = controls(&bytes).filter_map(|control| control.segment_bytes()).collect();
        let numbers: Vec<_> = controls(&bytes).flat_map(|control| control.descriptors().collect::<Vec<_>>()).collect();
        assert_eq!((controls(&bytes).count(), segments, numbers), (3, vec![1_200], vec![7, 8, 9]));
    }

    #[test]
    fn what_is_written_has_the_space_that_is_told() {
        for count in 0..8 {
            assert_eq!(rights(0..count).len(), control_space(count as usize * 4));
        }
    }

    #[test]
    fn control_data_of_any_bytes_is_read_without_leaving_them() {
        let mut rng = Rng::new(0xC7A1);
        for _case in 0..20_000 {
            let mut bytes = rights(0..rng.below(5) as i32);
            bytes.extend(item(libc::SOL_UDP, libc::UDP_GRO, &[1, 0, 0, 0][..rng.below(5) as usize]));
            bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
            for _change in 0..rng.below(4) {
                let at = rng.below(bytes.len().max(1) as u64) as usize;
                let value = [0, 1, 0x7f, 0x80, 0xff, rng.below(256) as u8][rng.below(6) as usize];
                bytes.get_mut(at).into_iter().for_each(|byte| *byte = value);
            }
            let data: usize = controls(&bytes).map(|control| HEADER_BYTES + control.data.len()).sum();
            assert!(data <= bytes.len());
            let numbers = controls(&bytes).flat_map(|control| control.descriptors().collect::<Vec<_>>()).count();
            assert!(numbers * 4 <= bytes.len());
            let _ = controls(&bytes).filter_map(|control| control.segment_bytes()).count();
        }
    }
}
