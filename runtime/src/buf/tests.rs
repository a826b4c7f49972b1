//! Slices and fills against a plain model: an array of optional bytes with a length.

use bytes::BytesMut;
use proptest::collection::vec as vec_of;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};

use super::{Filler, IoBuf, IoBufMut, Scatter, Slice, fill, scatter, spare, spare_vectored};

/// What a buffer is, said plainly.
#[derive(Debug, Clone)]
struct Model {
    /// The bytes that are there.
    bytes: Vec<u8>,
    /// How many there may be.
    capacity: usize,
}

impl Model {
    /// The window of these bounds, cut to `limit`.
    fn window(begin: usize, end: usize, limit: usize) -> std::ops::Range<usize> {
        begin..end.min(limit).max(begin)
    }

    /// Writes at an index up to an end, and returns how many bytes had room.
    fn write(&mut self, at: usize, end: usize, bytes: &[u8]) -> usize {
        let room = end.min(self.capacity).saturating_sub(at);
        let count = room.min(bytes.len());
        for (offset, &byte) in bytes[..count].iter().enumerate() {
            match self.bytes.get_mut(at + offset) {
                Some(place) => *place = byte,
                None => self.bytes.push(byte),
            }
        }
        count
    }
}

/// A capacity, the bytes that are there, a window that begins within them, and what is to be read, in steps.
fn cases() -> impl Strategy<Value = (Model, usize, usize, Vec<Vec<u8>>)> {
    let model = (vec_of(any::<u8>(), 0..20), 0..20_usize)
        .prop_map(|(bytes, spare)| Model { capacity: bytes.len() + spare, bytes });
    (model, any::<proptest::sample::Index>(), 0..60_usize, vec_of(vec_of(any::<u8>(), 0..10), 0..6)).prop_map(
        |(model, begin, width, steps)| {
            let begin = begin.index(model.bytes.len() + 1);
            (model, begin, begin + width, steps)
        },
    )
}

/// A `Vec` with exactly the model's capacity, with a canary behind the length.
fn vec_like(model: &Model) -> Vec<u8> {
    let mut vec = vec![CANARY; model.capacity];
    vec.truncate(0);
    vec.extend_from_slice(&model.bytes);
    assert_eq!(vec.capacity(), model.capacity);
    vec
}

/// Reads the steps into a window of the buffer, and tells what came of it.
fn read_into_window<B: IoBufMut>(buf: B, begin: usize, end: usize, steps: &[Vec<u8>]) -> (B, Vec<usize>) {
    let mut slice: Slice<B> = buf.slice(begin..end);
    let mut filler = Filler::new(&slice);
    let counts = steps.iter().map(|step| filler.fill(&mut slice, step)).collect();
    (slice.into_inner(), counts)
}

proptest! {
    #[test]
    fn a_slice_shows_what_the_model_shows((model, begin, end, _) in cases()) {
        let slice = vec_like(&model).slice(begin..end);
        let read = Model::window(begin, end, model.bytes.len());
        prop_assert_eq!(slice.as_bytes(), &model.bytes[read]);
        prop_assert_eq!(spare(&slice), Model::window(begin, end, model.capacity).len());
        let inner = slice.into_inner();
        prop_assert_eq!(inner.as_slice(), &model.bytes[..]);
    }

    #[test]
    fn reads_into_a_window_do_what_the_model_does((model, begin, end, steps) in cases()) {
        let mut expected = model.clone();
        let mut at = begin;
        let mut counts = Vec::new();
        for step in &steps {
            counts.push(expected.write(at, end, step));
            at += counts[counts.len() - 1];
        }
        let (vec, told) = read_into_window(vec_like(&model), begin, end, &steps);
        prop_assert_eq!((&vec, &told), (&expected.bytes, &counts));
        prop_assert_eq!(vec.capacity(), model.capacity);

        // The same through a slice of a slice, whose outer window is the wider one.
        let nested = vec_like(&model).slice(begin..).slice(0..end - begin);
        let (nested, told) = read_into_window(nested, 0, usize::MAX, &steps);
        prop_assert_eq!((nested.into_inner().into_inner(), told), (expected.bytes, counts));
    }

    #[test]
    fn reads_into_whole_buffers_do_what_the_model_does((model, _, _, steps) in cases()) {
        let (mut growing, mut fixed) = (model.clone(), Model { bytes: vec![0; model.capacity], ..model });
        let (mut vec, mut boxed) = (vec_like(&model), vec![0_u8; model.capacity].into_boxed_slice());
        let mut bytes = BytesMut::from(&model.bytes[..]);
        bytes.reserve(model.capacity - model.bytes.len());
        let mut fillers = (Filler::new(&vec), Filler::new(&boxed));
        let (mut total, mut overwritten) = (0, 0);
        for step in &steps {
            let count = growing.write(growing.bytes.len(), usize::MAX, step);
            prop_assert_eq!(fillers.0.fill(&mut vec, step), count);
            total += count;
            let count = fixed.write(overwritten, usize::MAX, step);
            prop_assert_eq!(fillers.1.fill(&mut boxed, step), count);
            overwritten += count;
            // `BytesMut` may have got more room than it was asked for; a fresh fill goes on all the same.
            let room = spare(&bytes);
            prop_assert_eq!(fill(&mut bytes, step), step.len().min(room));
        }
        prop_assert_eq!((fillers.0.filled(), fillers.1.filled()), (total, overwritten));
        prop_assert_eq!((&vec, &*boxed), (&growing.bytes, &fixed.bytes[..]));
        prop_assert_eq!(&bytes[..vec.len()], &vec[..]);
    }

    #[test]
    fn scattering_in_steps_is_scattering_at_once(
        sizes in vec_of(0..8_usize, 0..6),
        steps in vec_of(vec_of(any::<u8>(), 0..10), 0..6),
    ) {
        let all = steps.concat();
        let boxes = || sizes.iter().map(|&size| vec![0_u8; size].into_boxed_slice()).collect::<Vec<_>>();
        let (mut in_steps, mut at_once) = (boxes(), boxes());
        let room: usize = sizes.iter().sum();
        prop_assert_eq!(spare_vectored(&mut at_once), room);
        let mut scattered = Scatter::new();
        for step in &steps {
            prop_assert_eq!(scattered.spare(&mut in_steps), room - scattered.filled());
            scattered.fill(&mut in_steps, step);
        }
        prop_assert_eq!(scatter(&mut at_once, &all), scattered.filled());
        prop_assert_eq!(scattered.filled(), all.len().min(room));
        prop_assert_eq!(&in_steps, &at_once);
        let mut expected = all;
        expected.resize(room, 0);
        prop_assert_eq!(at_once.concat(), expected);
    }
}

/// What lies behind a buffer's length before a read.
const CANARY: u8 = 0xEE;
