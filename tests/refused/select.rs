//! What people get wrong about `select!`, and what they are told.

async fn no_arrow() {
    quoit::select! {
        _ = std::future::ready(1)
    }
}

async fn nothing() {
    quoit::select! {}
}

fn main() {}
