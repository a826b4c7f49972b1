//! What becomes of a machine whose power fails, and of a ring that is closed.

use crate::kernel::sim::files::{FileId, Kind};
use crate::kernel::sim::ring::RingId;
use crate::kernel::sim::state::{Event, HostId, State};
use crate::kernel::sim::tcp::{EndId, Tcp};
use crate::kernel::sim::udp::Udp;

impl State {
    /// A machine is gone at once. Its peers see resets, as where a program is killed, or silence, as where the power fails.
    pub(super) fn crash(&mut self, host: HostId) {
        let is_silent = self.rng.once_in(2);
        self.note(host, "crash", 0, i64::from(is_silent));
        let ends: Vec<EndId> = self.ends.iter().filter(|(_, end)| end.host == host).map(|(id, _)| *id).collect();
        for end in ends {
            if !is_silent {
                self.abort_end(end);
            }
            self.ends.remove(&end);
        }
        self.hosts[host].is_down = true;
        // The descriptors stay until the program's destructors have closed them, but nothing is behind them any more.
        let files: Vec<FileId> = self.files.iter().filter(|(_, file)| file.host == host).map(|(id, _)| *id).collect();
        for id in files {
            match self.files.get_mut(&id).map(|file| &mut file.kind) {
                Some(Kind::Tcp(tcp)) => *tcp = Tcp::Fresh { local: None },
                Some(Kind::Udp(udp)) => *udp = Udp::default(),
                Some(Kind::Disk(_)) | None => {}
            }
        }
        self.crash_disk(host);
        for ring in 0..self.rings.len() {
            if self.rings[ring].host == host {
                self.rings[ring].is_doomed = true;
                self.notify_at_once(ring);
            }
        }
    }

    fn notify_at_once(&mut self, ring: RingId) {
        for event in self.withdraw(|event| matches!(event, Event::Notify(notification) if notification.ring == ring)) {
            if let Event::Notify(notification) = event {
                self.notify(&notification);
            }
        }
    }

    /// A ring is closed: its operations are over, and its memory is the program's again.
    pub(super) fn close_ring(&mut self, ring: RingId) {
        let operations = std::mem::take(&mut self.rings[ring].operations);
        for file in operations.iter().filter_map(|operation| operation.file) {
            self.end_use(file);
        }
        let _ = self.withdraw(|event| match event {
            Event::Notify(notification) => notification.ring == ring,
            Event::Attempt { ring: of, .. } => *of == ring,
            _ => false,
        });
        let closed = &mut self.rings[ring];
        closed.groups.clear();
        closed.staged.clear();
        closed.completions.clear();
        closed.overflow.clear();
    }
}
