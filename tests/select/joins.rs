//! `join!` and `try_join!` are futures-util's, under our name.

use std::future::ready;

use crate::Probe;

#[quoit::test]
async fn join_waits_for_all_and_try_join_for_the_first_error() {
    let (one, other) = (Probe::default(), Probe::default());
    assert_eq!(quoit::join!(one.ready_at(3, 1), other.ready_at(1, "two"), ready(())), (1, "two", ()));
    assert_eq!((one.counts(), other.counts()), ((3, 1), (1, 1)));

    let both: Result<(u8, u8), ()> = quoit::try_join!(ready(Ok(1)), ready(Ok(2)));
    assert_eq!(both, Ok((1, 2)));
    let left = Probe::default();
    let error = quoit::try_join!(left.ready_at(u32::MAX, Ok::<(), &str>(())), ready(Err::<(), _>("no")));
    assert_eq!((error, left.counts()), (Err("no"), (1, 1)));
}
