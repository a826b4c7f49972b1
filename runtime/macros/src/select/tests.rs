//! What is refused, with which words, and where the error points. `tests/select` of the facade runs expansions.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::Pat;
use syn::parse::Parser;

use super::{expand, pattern};

/// The error of `select! { branches }`: its message, and the source that it points at.
#[track_caller]
fn error(branches: &str) -> (String, String) {
    let input: TokenStream = format!("quoit {{ {branches} }}").parse().expect("a test's source is made of tokens");
    let item: syn::ItemMacro = syn::parse2(expand(input)).expect("it is an error");
    let message: syn::LitStr = item.mac.parse_body().expect("compile_error! takes a string");
    let start = item.mac.path.segments.first().expect("it has a path").ident.span();
    (message.value(), start.join(message.span()).and_then(|span: Span| span.source_text()).unwrap_or_default())
}

#[track_caller]
fn assert_blames(branches: &str, part_of_message: &str, place: &str) {
    let (message, blamed) = error(branches);
    assert!(message.contains(part_of_message), "{message:?} does not contain {part_of_message:?}");
    assert_eq!(blamed, place, "{message:?} points elsewhere");
}

#[test]
fn what_is_missing_is_named_where_it_is_missing() {
    assert!(error("").0.contains("needs a branch"));
    assert!(error("biased;").0.contains("needs a branch"));
    assert!(error("else => {}").0.contains("needs a branch"));
    assert_blames("async { 1 } => {}", "expected", "async");
    // An arrow is two tokens, of which the first is shown.
    assert_blames("x => {}", "`pattern = future => handler`", "=");
    assert_blames("x + y = f => {}", "`pattern = future => handler`", "+");
    assert_blames("x = f, y = g => {}", "expected `=>` and a handler", ",");
    assert_blames("x = f =>, y = g => {}", "expected a handler", ",");
    assert_blames("x = f => 1 y = g => {}", "expected a comma", "y");
    assert_blames("x = f => match x {} y = g => {}", "expected a comma", "y");
    assert!(error("x = f").0.contains("expected `=>` and a handler"));
    assert!(error("x = f =>").0.contains("expected a handler"));
}

#[test]
fn what_stands_in_the_wrong_place_is_told_where_it_belongs() {
    assert_blames("x = f if ready => {}", "behind a comma", "if");
    assert_blames("x = f => {} biased;", "before the branches", "biased");
    assert_blames("else => 1, x = f => 2", "`else` is the last branch", "x");
    assert_blames("x = f => {} else => 1, else => 2", "`else` is the last branch", "else");
}

#[test]
fn the_sixty_fifth_branch_is_refused() {
    let branch = |index: usize| format!("x{index} = f => {{}} ");
    assert_blames(&(0..65).map(branch).collect::<String>(), "at most 64", "x64");
    assert!(!expand(quote!(quoit { x = f => {} })).to_string().contains("compile_error"));
}

#[test]
fn without_the_path_of_quoit_nothing_is_expanded() {
    assert!(expand(quote!(x = f)).to_string().contains("compile_error"));
    assert!(expand(TokenStream::new()).to_string().contains("compile_error"));
}

/// What is matched with what, to ask whether a value `v` matches.
fn asked(pattern: TokenStream) -> String {
    let pattern = Pat::parse_multi_with_leading_vert.parse2(pattern).expect("a pattern");
    let (head, test) = pattern::test(quote!(v), &pattern);
    quote!(match #head { #test }).to_string()
}

#[test]
fn a_pattern_with_bindings_is_asked_by_reference_without_mut_ref_and_references() {
    for (written, expected) in [
        (quote!(x), quote!(x)),
        (quote!(mut x), quote!(x)),
        (quote!(ref mut x), quote!(x)),
        (quote!(&x), quote!(x)),
        (quote!(Some(&mut (ref x, _)) | None), quote!(Some((x, _)) | None)),
        (quote!(X @ Some(y @ 1..=3)), quote!(Some(1..=3))),
        (quote!(Point { mut x, y: &(0 | 1), .. }), quote!(Point { x, y: (0 | 1), .. })),
        (quote!([mut first, rest @ ..]), quote!([first, ..])),
        (quote!(matches_this!(mut x)), quote!(matches_this!(mut x))),
    ] {
        assert_eq!(asked(written), quote!(match &v { #expected }).to_string());
    }
}

#[test]
fn a_pattern_without_bindings_is_asked_as_it_stands() {
    for pattern in [
        quote!(_),
        quote!(()),
        quote!("text"),
        quote!(&"text"),
        quote!(NONE | a::B | 1..=2),
        quote!(Ok(None)),
        quote!(Some(&(1, ..))),
        quote!([Point { x: 1, .. }, const { 1 + 1 }]),
    ] {
        assert_eq!(asked(pattern.clone()), quote!(match v { #pattern }).to_string());
    }
}
