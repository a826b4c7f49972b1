//! quoit
