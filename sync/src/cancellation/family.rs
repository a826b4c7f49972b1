//! The tree of tokens.
//!
//! All that descend from one token are a *family* and share one lock around the tree's links: making a child, leaving and
//! cancelling take it, waiting and asking do not. A member that leaves hands its children to its parent. A cancel takes the
//! whole branch out of the tree: what is cancelled has no links, and what is made below it is cancelled from the start.

use std::task::{Context, Poll};

use crate::audience::{Audience, leave_seat, poll_seat};
use crate::shim::{Arc, AtomicUsize, Lock, Ordering};
use crate::waiters::Key;
use crate::wake::WakeBatch;

/// One token, whatever its number of clones.
pub(super) struct Member {
    family: Arc<Lock<Tree>>,
    /// Its place in the tree. Stale once it is cancelled.
    place: usize,
    flag: Arc<Flag>,
}

impl Member {
    /// Founds a family.
    pub(super) fn first() -> Self {
        let flag = Arc::new(Flag::new(false));
        let mut tree = Tree::new();
        let place = tree.insert(flag.clone(), None);
        Self { family: Arc::new(Lock::new(tree)), place, flag }
    }

    pub(super) fn child(&self) -> Self {
        let mut tree = self.family.lock();
        let cancelled = self.flag.is_set();
        let flag = Arc::new(Flag::new(cancelled));
        // The place of who is born cancelled is never looked at.
        let place = if cancelled { usize::MAX } else { tree.insert(flag.clone(), Some(self.place)) };
        Self { family: self.family.clone(), place, flag }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.flag.is_set()
    }

    pub(super) fn cancel(&self) {
        let branch = {
            let mut tree = self.family.lock();
            // Who set it before has set it in the whole branch, now that the lock is free.
            if self.flag.is_set() { Vec::new() } else { tree.cut(self.place) }
        };
        let mut wakes = WakeBatch::new();
        for flag in &branch {
            flag.audience.lock().call(&mut wakes);
        }
        wakes.wake_all();
    }

    pub(super) fn poll_cancelled(&self, seat: &mut Option<Key>, context: &Context<'_>) -> Poll<()> {
        if self.flag.is_set() {
            return Poll::Ready(());
        }
        // The flag is set before its audience is called: what is not seen here calls us.
        poll_seat(&self.flag.audience, |audience| audience, seat, context, |_| self.flag.is_set().then_some(()))
    }

    pub(super) fn leave(&self, seat: &mut Option<Key>) {
        leave_seat(&self.flag.audience, |audience| audience, seat);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut tree = self.family.lock();
        if !self.flag.is_set() {
            tree.leave(self.place);
        }
    }
}

/// What a token's clones, its waiters and the tree share.
struct Flag {
    /// One once cancelled. Set under the family's lock only, read without it.
    cancelled: AtomicUsize,
    /// Who waits for it.
    audience: Lock<Audience>,
}

impl Flag {
    fn new(cancelled: bool) -> Self {
        Self { cancelled: AtomicUsize::new(usize::from(cancelled)), audience: Lock::new(Audience::new()) }
    }

    fn is_set(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst) != 0
    }

    fn set(&self) {
        self.cancelled.store(1, Ordering::SeqCst);
    }
}

/// The members that are not cancelled.
struct Tree {
    /// None where a place is free.
    places: Vec<Option<Node>>,
    /// The free places.
    free: Vec<usize>,
}

struct Node {
    flag: Arc<Flag>,
    /// None for the founder, and for those whose last ancestor left.
    parent: Option<usize>,
    /// The child that came last; the others follow by `next`.
    child: Option<usize>,
    /// The sibling that came later. Siblings are linked only below a parent.
    previous: Option<usize>,
    /// The sibling that came earlier.
    next: Option<usize>,
}

impl Tree {
    const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    fn insert(&mut self, flag: Arc<Flag>, parent: Option<usize>) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(Node { flag, parent: None, child: None, previous: None, next: None });
        if let Some(parent) = parent {
            self.adopt(parent, place);
        }
        place
    }

    /// Takes the branch out of the tree and sets its flags. Returns them, to call their audiences without the lock.
    #[must_use = "they wait to be called"]
    fn cut(&mut self, root: usize) -> Vec<Arc<Flag>> {
        self.unlink(root);
        let mut flags = Vec::new();
        let mut places = vec![root];
        while let Some(place) = places.pop() {
            let node = self.remove(place);
            node.flag.set();
            flags.push(node.flag);
            let mut next = node.child;
            while let Some(child) = next {
                places.push(child);
                next = self.at(child).next;
            }
        }
        flags
    }

    /// Takes one member out. Its children become its parent's.
    fn leave(&mut self, place: usize) {
        self.unlink(place);
        let node = self.remove(place);
        let mut next = node.child;
        while let Some(child) = next {
            let orphan = self.at(child);
            next = orphan.next.take();
            orphan.previous = None;
            orphan.parent = None;
            if let Some(parent) = node.parent {
                self.adopt(parent, child);
            }
        }
    }

    /// Links one without siblings below its parent.
    fn adopt(&mut self, parent: usize, child: usize) {
        let next = self.at(parent).child.replace(child);
        if let Some(next) = next {
            self.at(next).previous = Some(child);
        }
        let node = self.at(child);
        node.parent = Some(parent);
        node.next = next;
    }

    /// Closes the gap among its siblings. What it says of its parent stays.
    fn unlink(&mut self, place: usize) {
        let node = self.at(place);
        let (parent, previous, next) = (node.parent, node.previous.take(), node.next.take());
        if let Some(next) = next {
            self.at(next).previous = previous;
        }
        match (previous, parent) {
            (Some(previous), _) => self.at(previous).next = next,
            (None, Some(parent)) => self.at(parent).child = next,
            (None, None) => {}
        }
    }

    fn remove(&mut self, place: usize) -> Node {
        self.free.push(place);
        self.places[place].take().expect("a member that is not cancelled has a place")
    }

    fn at(&mut self, place: usize) -> &mut Node {
        self.places[place].as_mut().expect("a member that is not cancelled has a place")
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Member;

    #[test]
    fn members_that_leave_leave_no_trace() {
        let root = Member::first();
        for _ in 0..1000 {
            let child = root.child();
            let grandchild = child.child();
            drop(child);
            drop(grandchild);
        }
        let tree = root.family.lock();
        assert_eq!((tree.places.len(), tree.free.len()), (3, 2));
        assert!(tree.places[0].as_ref().is_some_and(|node| node.child.is_none()));
    }

    #[test]
    fn cancelled_branches_leave_no_trace() {
        let root = Member::first();
        for _ in 0..1000 {
            let child = root.child();
            let below = [child.child(), child.child()];
            child.cancel();
            assert!(below.iter().all(|member| member.is_cancelled() && member.child().is_cancelled()));
        }
        let tree = root.family.lock();
        assert_eq!((tree.places.len(), tree.free.len()), (4, 3));
        assert!(tree.places[0].as_ref().is_some_and(|node| node.child.is_none()));
    }

    #[test]
    fn line_whose_parents_leave_does_not_grow() {
        let mut last = Member::first();
        for _ in 0..1000 {
            last = last.child();
        }
        assert_eq!(last.family.lock().places.len(), 2);
    }
}
