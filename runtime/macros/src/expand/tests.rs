//! What goes in and what comes out, as tokens. `tests/expansion.rs` compiles and runs expansions.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::{Parse, Parser};

use super::{main, test};

/// The messages of the `compile_error!`s in `tokens`, in order.
fn messages(tokens: TokenStream) -> Vec<String> {
    errors(tokens).into_iter().map(|(message, _)| message).collect()
}

/// The messages of the `compile_error!`s in `tokens`, with the text of the source that each points at.
fn errors(tokens: TokenStream) -> Vec<(String, String)> {
    let file: syn::File = syn::parse2(tokens).expect("an expansion parses as items");
    let macros = file.items.into_iter().filter_map(|item| match item {
        syn::Item::Macro(item) if item.mac.path.segments.last().unwrap().ident == "compile_error" => Some(item.mac),
        _ => None,
    });
    let error = |error: syn::Macro| {
        let message: syn::LitStr = error.parse_body().expect("compile_error! takes a string");
        // `to_compile_error` puts the first token of the blamed source on the path, the last one on the arguments.
        let start = error.path.segments.first().unwrap().ident.span();
        let end = message.span();
        (message.value(), start.join(end).and_then(|span: Span| span.source_text()).unwrap_or_default())
    };
    macros.map(error).collect()
}

/// Tokens that know their place in a source, unlike those of `quote!`.
fn source(text: &str) -> TokenStream {
    text.parse().expect("a test's source is made of tokens")
}

/// The one error of `#[quoit::main(arguments)] item`: its message and the source that it points at.
fn main_error(arguments: &str, item: &str) -> (String, String) {
    only(errors(main(source(arguments), source(item))))
}

/// The one error of `#[quoit::test(arguments)] item`: its message and the source that it points at.
fn test_error(arguments: &str, item: &str) -> (String, String) {
    only(errors(test(source(arguments), source(item))))
}

fn only(mut errors: Vec<(String, String)>) -> (String, String) {
    assert_eq!(errors.len(), 1, "expected one error: {errors:?}");
    errors.remove(0)
}

#[track_caller]
fn assert_blames((message, blamed): (String, String), part_of_message: &str, place: &str) {
    assert!(message.contains(part_of_message), "{message:?} does not contain {part_of_message:?}");
    assert_eq!(blamed, place, "{message:?} points elsewhere");
}

const ITEM: &str = "async fn f() {}";

#[test]
fn main_keeps_attributes_visibility_return_type_and_body() {
    let item = quote! {
        /// Serves.
        #[inline]
        pub(crate) async fn serve() -> std::io::Result<()> {
            #![allow(unused)]
            listen().await?;
            Ok(())
        }
    };
    let expected = quote! {
        /// Serves.
        #[inline]
        pub(crate) fn serve() -> std::io::Result<()> {
            #[allow(clippy::unused_async, reason = "the attribute asks for `async`, whether or not the body awaits")]
            async fn serve() -> std::io::Result<()> {
                #![allow(unused)]
                listen().await?;
                Ok(())
            }
            ::quoit::__private::main(::core::option::Option::None, serve())
        }
    };
    assert_eq!(main(TokenStream::new(), item).to_string(), expected.to_string());
}

#[test]
fn test_adds_the_test_attribute_and_keeps_the_others() {
    let item = quote! {
        #[ignore = "slow"]
        #[should_panic(expected = "no")]
        async fn it_works() { panic!("no") }
    };
    let expected = quote! {
        #[::core::prelude::v1::test]
        #[ignore = "slow"]
        #[should_panic(expected = "no")]
        fn it_works() {
            #[allow(clippy::unused_async, reason = "the attribute asks for `async`, whether or not the body awaits")]
            async fn it_works() { panic!("no") }
            ::quoit::__private::test(
                ::quoit::__private::TestOptions {
                    kernel: ::core::option::Option::Some("uring"),
                    seed: ::core::option::Option::None,
                    seeds: ::core::option::Option::None
                },
                it_works,
            )
        }
    };
    assert_eq!(test(quote!(kernel = "uring"), item).to_string(), expected.to_string());
}

#[test]
fn crate_option_moves_every_path() {
    let item = quote!(
        async fn f() {}
    );
    let main = main(quote!(crate = "::my::quoit"), item.clone()).to_string();
    assert!(
        main.contains(&quote!(::my::quoit::__private::main(::core::option::Option::None, f())).to_string()),
        "{main}"
    );
    let test = test(quote!(crate = "crate::reexport"), item).to_string();
    assert!(test.contains(&quote!(crate::reexport::__private::test).to_string()), "{test}");
    assert!(test.contains(&quote!(crate::reexport::__private::TestOptions).to_string()), "{test}");
    assert!(!test.contains(":: quoit"), "{test}");
}

#[test]
fn supported_options_and_a_trailing_comma_are_accepted() {
    for arguments in ["threads = 1", "threads = 1usize", "kernel = \"uring\",", "crate = \"quoit\", threads = 1,"] {
        assert_eq!(messages(main(source(arguments), source(ITEM))), Vec::<String>::new(), "{arguments}");
    }
}

#[test]
fn body_of_unknown_syntax_goes_through_untouched() {
    let item = "async fn f() { let x = brand new @ syntax; x. }";
    let expansion = main(TokenStream::new(), source(item)).to_string();
    assert!(expansion.contains(&source("let x = brand new @ syntax; x.").to_string()), "{expansion}");
}

#[test]
fn unknown_option_is_refused_with_the_known_ones() {
    let error = main_error("flavor = \"current_thread\"", ITEM);
    assert_blames(error, "unknown option `flavor`: #[quoit::main] knows `threads`, `kernel`, `crate`", "flavor");
    let error = test_error("thread = 1", ITEM);
    assert_blames(
        error,
        "unknown option `thread`: #[quoit::test] knows `threads`, `kernel`, `seed`, `seeds`, `crate`",
        "thread",
    );
    assert_blames(main_error("seed = 7", ITEM), "unknown option `seed`", "seed");
}

#[test]
fn option_given_twice_is_refused_at_the_second() {
    let arguments = "kernel = \"uring\", kernel = \"uring\"";
    assert_blames(main_error(arguments, ITEM), "the option `kernel` is given twice", "kernel");
    // The second is refused even with another value, and the first is the one that counts.
    let arguments = "kernel = \"uring\", kernel = \"sim\"";
    assert_blames(test_error(arguments, ITEM), "the option `kernel` is given twice", "kernel");
    let arguments = "crate = \"a\", crate = 7";
    let twice = main(source(arguments), source(ITEM)).into_iter().next().expect("there is an error");
    assert_eq!(twice.span().start().column, arguments.rfind("crate").expect("it is there twice"));
}

#[test]
fn option_without_a_value_is_refused_at_its_name() {
    for arguments in ["threads", "threads =", "threads, kernel = \"uring\"", "threads(4)"] {
        assert_blames(main_error(arguments, ITEM), "the option `threads` needs a value: `threads = ..`", "threads");
    }
}

#[test]
fn missing_comma_and_nameless_values_are_refused() {
    assert_blames(main_error("threads = 1 kernel = \"uring\"", ITEM), "expected `,`", "kernel");
    assert_blames(main_error("4", ITEM), "expected ident", "4");
    assert_blames(main_error("\"uring\"", ITEM), "expected ident", "\"uring\"");
}

#[test]
fn value_of_the_wrong_type_is_refused_at_the_value() {
    for value in ["\"4\"", "0", "-1", "1.5", "true", "4u8"] {
        let error = main_error(&format!("threads = {value}"), ITEM);
        assert_blames(error, "`threads` takes a number of threads, an integer of at least 1", value);
    }
    for value in ["uring", "\"io_uring\"", "1", "\"\""] {
        let error = main_error(&format!("kernel = {value}"), ITEM);
        assert_blames(error, "`kernel` takes \"uring\", \"epoll\" or \"sim\", in quotes", value);
    }
    for value in ["\"7\"", "-7", "7.0", "SEED"] {
        assert_blames(test_error(&format!("seed = {value}"), ITEM), "`seed` takes an integer", value);
    }
    for value in ["18446744073709551616", "7i32"] {
        assert_blames(test_error(&format!("seed = {value}"), ITEM), "integer that fits in a u64", value);
    }
    assert_blames(test_error("seeds = 0", ITEM), "`seeds = 0` would test nothing", "0");
    for value in ["::my::quoit", "7", "\"\"", "\"my quoit\"", "\"my::<u8>::quoit\""] {
        assert_blames(
            main_error(&format!("crate = {value}"), ITEM),
            "`crate` takes the path to quoit in quotes",
            value,
        );
    }
}

#[test]
fn threads_are_handed_on_as_they_are_written() {
    for value in ["2", "4usize", "COUNT", "available()", "1 + 0"] {
        let arguments = source(&format!("threads = {value}"));
        let expansion = main(arguments.clone(), source(ITEM)).to_string();
        let call = format!("main_on_threads ({} , :: core :: option :: Option :: None , f ())", source(value));
        assert!(expansion.contains(&call), "{expansion}");
        let expansion = test(arguments, source(ITEM)).to_string();
        assert!(expansion.contains("__private :: test_on_threads"), "{expansion}");
    }
}

#[test]
fn threads_of_a_simulated_world_are_refused() {
    for errors in [main, test].map(|expand| messages(expand(source("threads = 2, kernel = \"sim\""), source(ITEM)))) {
        assert!(errors.iter().any(|error| error.contains("`threads` needs a real kernel")), "{errors:?}");
    }
}

#[test]
fn the_kernel_that_is_named_is_handed_on_everywhere() {
    for arguments in ["kernel = \"epoll\"", "kernel = \"epoll\", threads = 2"] {
        for expand in [main, test] {
            let expansion = expand(source(arguments), source(ITEM)).to_string();
            assert!(expansion.contains("Option :: Some (\"epoll\")"), "{arguments}: {expansion}");
        }
    }
}

#[test]
fn seeds_without_the_simulated_kernel_are_refused() {
    assert_blames(test_error("seed = 0x7", ITEM), "`seed` is for the simulated kernel", "seed");
    assert_blames(
        test_error("seeds = 100u64, kernel = \"uring\"", ITEM),
        "`seeds` is for the simulated kernel",
        "seeds",
    );
    let both = messages(test(source("seed = 7, seeds = 100"), source(ITEM)));
    assert_eq!(both.len(), 3, "{both:?}");
    assert!(both[0].contains("exclude each other"), "{both:?}");
}

#[test]
fn the_simulated_kernel_is_for_tests() {
    assert_blames(main_error("kernel = \"sim\"", ITEM), "a program runs simulated by `quoit::sim::run`", "\"sim\"");
    for arguments in ["kernel = \"sim\"", "kernel = \"sim\", seed = 7", "seeds = 100, kernel = \"sim\""] {
        assert_eq!(messages(test(source(arguments), source(ITEM))), Vec::<String>::new(), "{arguments}");
    }
}

#[test]
fn a_simulated_test_reports_by_itself_what_its_body_returns() {
    let item = quote!(
        async fn f() -> Result<(), String> {}
    );
    let expected = quote! {
        #[::core::prelude::v1::test]
        fn f() {
            #[allow(clippy::unused_async, reason = "the attribute asks for `async`, whether or not the body awaits")]
            async fn f() -> Result<(), String> {}
            ::quoit::__private::simulate(
                ::quoit::__private::TestOptions {
                    kernel: ::core::option::Option::Some("sim"),
                    seed: ::core::option::Option::Some(7u64),
                    seeds: ::core::option::Option::None
                },
                f,
            )
        }
    };
    assert_eq!(test(quote!(kernel = "sim", seed = 7), item).to_string(), expected.to_string());
}

#[test]
fn function_that_is_not_async_is_refused() {
    assert_blames(main_error("", "fn f() {}"), "#[quoit::main] goes on an `async fn`", "fn");
    assert_blames(test_error("", "pub fn f() {}"), "#[quoit::test] goes on an `async fn`", "fn");
}

#[test]
fn function_with_another_shape_is_refused_at_that_shape() {
    let cases = [
        ("async fn f(a: u8, b: u8) {}", "function with arguments", "a: u8, b: u8"),
        ("async fn f(&self) {}", "function with arguments", "&self"),
        ("async fn f<T: Copy>() {}", "generic function", "<T: Copy>"),
        ("async fn f<'a>() {}", "generic function", "<'a>"),
        ("async fn f() where u8: Copy {}", "`where` clause", "where u8: Copy"),
        ("async unsafe fn f() {}", "`unsafe fn`", "unsafe"),
        ("async extern \"C\" fn f() {}", "`extern fn`", "extern \"C\""),
        ("const async fn f() {}", "`const fn`", "const"),
    ];
    for (item, part, place) in cases {
        assert_blames(main_error("", item), part, place);
        assert_blames(test_error("", item), part, place);
    }
}

#[test]
fn second_test_attribute_is_refused_at_its_path() {
    for attribute in ["test", "tokio::test", "::core::prelude::v1::test", "quoit::test"] {
        let error = test_error("", &format!("#[{attribute}] async fn f() {{}}"));
        assert_blames(error, "the test would run twice", attribute);
    }
    let item = "#[test_log] #[cfg(test)] async fn f() {}";
    assert_eq!(messages(test(TokenStream::new(), source(item))), Vec::<String>::new());
}

#[test]
fn item_that_is_no_function_is_refused_and_kept() {
    for item in ["struct S;", "mod m {}", "static A: u8 = 1;"] {
        let expansion = main(TokenStream::new(), source(item));
        assert!(expansion.to_string().ends_with(&source(item).to_string()), "{expansion}");
        assert_eq!(messages(expansion), ["#[quoit::main] goes on an `async fn`: this is not a function"]);
    }
    let missing = main(TokenStream::new(), source("async fn f();"));
    assert!(missing.to_string().contains("`f` needs a body"), "{missing}");
}

#[test]
fn all_errors_are_reported_at_once_and_the_name_stays() {
    let expansion = main(source("treads = 4, kernel = 7, threads = 0"), source("pub fn f(a: u8) {}"));
    assert_eq!(messages(expansion.clone()).len(), 5);
    let functions = syn::File::parse.parse2(expansion).unwrap().items.into_iter();
    let names: Vec<String> = functions
        .filter_map(|item| match item {
            syn::Item::Fn(function) => Some(function.sig.ident.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["f"]);
}
