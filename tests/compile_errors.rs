//! Programs that must not compile, and the words in which they are refused.
//!
//! `TRYBUILD=overwrite cargo test --test compile_errors` writes the texts anew.

#[test]
fn mistakes_are_explained_where_they_are() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/refused/*.rs");
}
