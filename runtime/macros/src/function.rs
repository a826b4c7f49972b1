//! The function under the attribute: read as far as needed, and refused if an async entry point cannot have its shape.

use proc_macro2::{Delimiter, Group, TokenStream};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Signature, Visibility};

use crate::options::{Attribute, Errors};

/// A function whose body stays a bunch of tokens.
///
/// The body is not parsed: it goes out as it came in, with every span. So the compiler reports what is wrong in it as
/// if the attribute were not there, knows syntax that is younger than our parser, and an editor can complete half a
/// line.
pub(crate) struct Function {
    /// All attributes but the one that is being expanded. Inner ones (`#![..]`) are still in the body.
    pub(crate) attributes: Vec<syn::Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    /// The body, with its braces.
    pub(crate) body: Group,
}

impl Function {
    /// Reports each part of the function that `attribute` cannot work with, at that part.
    pub(crate) fn refuse_unsupported(&self, attribute: Attribute, errors: &mut Errors) {
        let signature = &self.signature;
        let name = attribute.name();
        let mut refuse = |at: &dyn ToTokens, why: &str| {
            errors.push(syn::Error::new_spanned(at, format!("{name} {why}")));
        };
        if signature.asyncness.is_none() {
            refuse(&signature.fn_token, "goes on an `async fn`: write `async` before `fn`");
        }
        if let Some(constness) = &signature.constness {
            refuse(constness, "does not go on a `const fn`");
        }
        if let Some(unsafety) = &signature.unsafety {
            refuse(unsafety, "does not go on an `unsafe fn`: nobody could uphold what it asks for");
        }
        if let Some(abi) = &signature.abi {
            refuse(abi, "does not go on an `extern fn`");
        }
        if !signature.generics.params.is_empty() {
            refuse(&signature.generics, "does not go on a generic function: nobody names its parameters");
        }
        if let Some(clause) = &signature.generics.where_clause {
            refuse(clause, "does not go on a function with a `where` clause");
        }
        if !signature.inputs.is_empty() {
            refuse(&signature.inputs, "does not go on a function with arguments: nobody passes them");
        }
        if let Some(variadic) = &signature.variadic {
            refuse(variadic, "does not go on a function with arguments: nobody passes them");
        }
        if attribute == Attribute::Test {
            for other in self.attributes.iter().filter(|attribute| is_test(attribute)) {
                refuse(&other.path(), "adds `#[test]` itself: with another one the test would run twice");
            }
        }
    }
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Function> {
        let attributes = input.call(syn::Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let signature: Signature = input.parse()?;
        let body: Group = input.parse().map_err(|error| {
            syn::Error::new(error.span(), format!("`{}` needs a body: `{{ .. }}`", signature.ident))
        })?;
        if body.delimiter() != Delimiter::Brace {
            return Err(syn::Error::new(body.span(), "expected the body of the function: `{ .. }`"));
        }
        Ok(Function { attributes, visibility, signature, body })
    }
}

/// Parses the item under `attribute`, with an error that says what was expected instead of how the parser came to fail.
pub(crate) fn parse(attribute: Attribute, item: TokenStream) -> syn::Result<Function> {
    let function = syn::parse2(item.clone());
    function.map_err(|error: syn::Error| {
        let name = attribute.name();
        let is_function = item.clone().into_iter().any(|token| token.to_string() == "fn");
        // The error inside a function knows best what is missing; outside of one, it would talk about keywords.
        let error = if is_function { error } else { syn::Error::new(item.span(), "this is not a function") };
        let mut named = syn::Error::new(error.span(), format!("{name} goes on an `async fn`: {error}"));
        // `combine` would double the message; only further errors of the parser are added.
        named.extend(error.into_iter().skip(1));
        named
    })
}

/// Whether this is a test attribute of whichever crate: `#[test]`, `#[tokio::test]`, `#[core::prelude::v1::test]`.
fn is_test(attribute: &syn::Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|segment| segment.ident == "test")
}
