//! `select!`.

/// Waits for several futures at once, and goes on with the one that is ready first. The others are dropped.
///
/// ```text
/// quoit::select! {
///     biased;                                   // optional: from top to bottom, not from a random branch on
///     pattern = future => expression,
///     pattern = future, if guard => { block }
///     else => expression,                       // optional
/// }
/// ```
///
/// It reads like tokio's:
///
/// 1. All guards are evaluated, then all expressions for futures, also those of branches whose guard is false. They are
///    anything that is `IntoFuture`, by value or as `&mut future`. There is nothing to fuse, and nothing to pin.
/// 2. The futures whose guard is true are polled in turn, beginning with a random one, so that a branch which is always
///    ready does not starve the others. With `biased;` they are polled from top to bottom, each time.
/// 3. The first one that is ready *and whose output matches its pattern* is taken. One whose output does not match is
///    disabled: the others go on.
/// 4. All futures are dropped. Then the handler runs, in the place of the macro: it may `.await`, `return`, `break`,
///    `continue` and use `?`, may use what the futures had borrowed, and its value is the value of the macro.
/// 5. Where all branches are disabled, by their guards or because nothing matched, `else` runs.
///
/// There may be 64 branches. A loop around a `select!` that is always ready does not keep its thread from the other tasks:
/// each poll takes one operation from the task's [budget](crate::task::poll_budget).
///
/// # Cancel safety
///
/// The futures of the branches that were not taken are dropped: what that loses is what dropping them loses. Those of quoit
/// lose nothing; where another one would, keep it outside of the loop and pass `&mut future`. But do not poll it again once
/// it was ready: disable its branch with a guard.
///
/// # Panics
///
/// Where all branches are disabled and there is no `else`.
///
/// # Examples
///
/// Whichever comes first:
///
/// ```
/// use std::pin::pin;
/// use std::time::Duration;
///
/// use quoit::sync::mpsc;
/// use quoit::time::sleep;
///
/// #[quoit::main]
/// async fn main() {
///     let (sender, mut receiver) = mpsc::channel(4);
///     quoit::spawn(async move {
///         for number in [1, 2, 3] {
///             sender.send(number).await.expect("the receiver lives");
///         }
///     });
///
///     // One deadline for the whole loop: the future stays, and is polled by reference.
///     let mut deadline = pin!(sleep(Duration::from_secs(60)));
///     let mut sum = 0;
///     loop {
///         quoit::select! {
///             () = &mut deadline => panic!("too late"),
///             received = receiver.recv() => match received {
///                 Some(number) => sum += number,
///                 None => break,
///             },
///         }
///     }
///     assert_eq!(sum, 6);
/// }
/// ```
///
/// A branch is `pattern = future => handler`:
///
/// ```compile_fail
/// # async fn wrong() {
/// quoit::select! { async { 1 } => {} }
/// # }
/// ```
#[macro_export]
macro_rules! select {
    ($($branches:tt)*) => {
        $crate::__private::select! { $crate { $($branches)* } }
    };
}
