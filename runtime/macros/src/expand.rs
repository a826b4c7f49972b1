//! From the two token streams of an attribute to the code that replaces them.
//!
//! The user's function is kept whole, as an `async fn` inside a plain one of the same name:
//!
//! ```text
//! #[doc = ".."]                                 // the user's attributes and visibility go outside
//! pub fn serve() -> io::Result<()> {
//!     async fn serve() -> io::Result<()> { .. } // the user's tokens, with their spans
//!     ::quoit::__private::main(None, serve())
//! }
//! ```
//!
//! An `async` block with the body would do, but it has no return type: `?` and coercions in the body would have to
//! guess it, and a wrong type would be reported at the attribute instead of at the line that is wrong.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Path, parse_quote};

use crate::function::{self, Function};
use crate::options::{Attribute, Errors, Kernel, Options};

/// The expansion of `#[quoit::main]`.
pub(crate) fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Attribute::Main, arguments, item)
}

/// The expansion of `#[quoit::test]`.
pub(crate) fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Attribute::Test, arguments, item)
}

fn expand(attribute: Attribute, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = Options::parse(attribute, arguments, &mut errors);
    options.refuse_unsupported(attribute, &mut errors);
    let function = match function::parse(attribute, item.clone()) {
        Ok(function) => function,
        Err(error) => {
            // What is not a function cannot be made one: it goes out as it is, so that the names in it stay known.
            errors.push(error);
            let errors = errors.to_compile_errors();
            return quote!(#errors #item);
        }
    };
    function.refuse_unsupported(attribute, &mut errors);
    let errors = errors.to_compile_errors();
    if !errors.is_empty() {
        let function = placeholder(&function);
        return quote!(#errors #function);
    }
    let quoit = options.quoit.clone().unwrap_or_else(|| parse_quote!(::quoit));
    let call = match attribute {
        Attribute::Main => call_main(&quoit, &function, &options),
        Attribute::Test => call_test(&quoit, &function, &options),
    };
    let test = (attribute == Attribute::Test).then(|| quote!(#[::core::prelude::v1::test]));
    let Function { attributes, visibility, signature, body } = &function;
    let name = &signature.ident;
    // A simulated test reports its own failure, along with the seed.
    let output = (!options.is_simulated()).then_some(&signature.output);
    quote! {
        #test
        #(#attributes)*
        #visibility fn #name() #output {
            #[allow(clippy::unused_async, reason = "the attribute asks for `async`, whether or not the body awaits")]
            #signature #body
            #call
        }
    }
}

/// What stands for a refused function: its name exists, so nothing but the refusal itself is reported.
///
/// It is without the user's attributes (which may be what is wrong), parameters and body, and never runs.
fn placeholder(function: &Function) -> TokenStream {
    let (visibility, name) = (&function.visibility, &function.signature.ident);
    quote!(#[allow(dead_code, reason = "its attribute was refused")] #visibility fn #name() {})
}

fn call_main(quoit: &Path, function: &Function, options: &Options) -> TokenStream {
    let name = &function.signature.ident;
    let kernel = kernel(options);
    match &options.threads {
        Some(threads) => quote!(#quoit::__private::main_on_threads(#threads, #kernel, #name())),
        None => quote!(#quoit::__private::main(#kernel, #name())),
    }
}

fn call_test(quoit: &Path, function: &Function, options: &Options) -> TokenStream {
    let name = &function.signature.ident;
    let run = if options.is_simulated() { quote!(simulate) } else { quote!(test) };
    let kernel = kernel(options);
    let seed = optional(options.seed.map(|(seed, _)| seed));
    let seeds = optional(options.seeds.map(|(seeds, _)| seeds));
    if let Some(threads) = &options.threads {
        return quote!(#quoit::__private::test_on_threads(#threads, #kernel, #name()));
    }
    quote! {
        #quoit::__private::#run(
            #quoit::__private::TestOptions { kernel: #kernel, seed: #seed, seeds: #seeds },
            #name,
        )
    }
}

/// The name of the kernel that was asked for.
fn kernel(options: &Options) -> TokenStream {
    optional(options.kernel.map(|(kernel, _)| Kernel::name(kernel)))
}

/// An `Option` as an expression of the generated code.
fn optional(value: Option<impl quote::ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

#[cfg(test)]
mod tests;
