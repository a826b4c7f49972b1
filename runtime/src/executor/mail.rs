//! What other threads ask of the executor: its own side of the inbox.

use crate::executor::Executor;
use crate::executor::remote::{FIRST_TASK, MESSAGES, Message, ROOT};

impl Executor {
    /// Whether other threads have asked for something that was not done yet.
    pub(crate) fn has_mail(&self) -> bool {
        self.remote.is_pending() || self.mail_count.get() > 0
    }

    /// Does what other threads have asked for, in bounded measure.
    pub(crate) fn open_mail(&self) {
        let mut look = false;
        self.remote.drain(|index| {
            self.counters.remote_wakes.add(1);
            match index {
                ROOT => self.root_woken.set(true),
                MESSAGES => look = true,
                FIRST_TASK.. => self.wake_index(index),
            }
        });
        if look {
            let messages = self.remote.take_messages();
            let mut mail = self.mail.borrow_mut();
            mail.extend(messages);
            self.mail_count.set(mail.len());
        }
        let mut begun = 0;
        for _ in 0..MOST_MESSAGES {
            let Some(message) = self.mail.borrow_mut().pop_front() else { break };
            self.mail_count.set(self.mail_count.get() - 1);
            match message {
                Message::Abort { index, id } => self.abort(index, id),
                Message::Begin(work) => {
                    work.begin();
                    begun += 1;
                }
            }
        }
        if begun > 0 {
            self.published.set(self.tasks());
            self.remote.publish(self.tasks(), begun);
        }
    }

    /// Tells other threads how many tasks there are.
    pub(crate) fn publish(&self) {
        let tasks = self.tasks();
        if self.published.replace(tasks) != tasks {
            self.remote.publish(tasks, 0);
        }
    }
}

/// Messages that one turn reads.
const MOST_MESSAGES: usize = 1024;
