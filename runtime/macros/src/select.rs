//! `select!`: from its branches to the code that polls them.
//!
//! ```text
//! {
//!     enum Selected<T0, T1> { Branch0(T0), Branch1(T1), Disabled }
//!     let selected = {
//!         let mut disabled = 0;                       // a bit for each branch that is not polled
//!         if !guard { disabled |= 1 << 0 }            // the guards come before the futures
//!         let future0 = ..; let future1 = ..;
//!         let mut future0 = pin!(future0.into_future());
//!         poll_fn(|context| ..).await                 // polls in turn, from the branch at which it starts
//!     };                                              // here all futures are dropped
//!     match selected { Branch0(pattern) => handler, .. }
//! }
//! ```
//!
//! So a handler stands in the user's own function, under no closure and in no loop of ours: it may `break`, `return`,
//! `.await` and use `?`, and may borrow what the futures had borrowed.

mod branches;
mod pattern;

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{format_ident, quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;

use crate::select::branches::{Branch, Branches};

/// The expansion of `select! { path::to::quoit { branches } }`, which is what the macro of the facade makes of its input.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut path: Vec<TokenTree> = input.into_iter().collect();
    let Some(TokenTree::Group(group)) = path.pop().filter(is_braces) else {
        return syn::Error::new(Span::call_site(), "use the `select!` of quoit").to_compile_error();
    };
    let quoit = path.into_iter().collect();
    match Branches::parse.parse2(group.stream()) {
        Ok(branches) => code(&quoit, &branches),
        Err(error) => error.to_compile_error(),
    }
}

fn is_braces(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn code(quoit: &TokenStream, branches: &Branches) -> TokenStream {
    let names: Vec<Names> = (0..branches.list.len()).map(Names::new).collect();
    let (disabled, is_pending, context) = (local("disabled"), local("is_pending"), local("context"));
    let types = names.iter().map(|names| &names.output);
    let variants = names.iter().map(|Names { variant, output, .. }| quote!(#variant(#output)));
    let guards = branches.list.iter().zip(&names).filter_map(|(branch, Names { bit, .. })| {
        let guard = branch.guard.as_ref()?;
        Some(quote!(if !(#guard) { #disabled |= #bit; }))
    });
    // In two steps, so that temporaries live as long as in a `let` of the user's.
    let futures = branches.list.iter().zip(&names).map(|(branch, Names { future, .. })| {
        let expression = &branch.future;
        quote!(let #future = #expression;)
    });
    let pins = branches.list.iter().zip(&names).map(|(branch, Names { future, .. })| {
        // What is no future is told where it stands.
        let span = branch.future.span().resolved_at(Span::mixed_site());
        let mut operand = future.clone();
        operand.set_span(span);
        let made = quote_spanned!(span=> ::core::future::IntoFuture::into_future(#operand));
        quote!(let mut #future = ::core::pin::pin!(#made);)
    });
    let polls = poll_all(quoit, branches, &names);
    let arms = branches.list.iter().zip(&names).map(|(Branch { pattern, handler, .. }, Names { variant, .. })| {
        quote!(__QuoitSelected::#variant(#pattern) => #handler,)
    });
    let otherwise = match &branches.otherwise {
        Some(handler) => quote!(#handler),
        None => quote!(::core::panic!("all branches of this `select!` are disabled, and it has no `else`")),
    };
    let (selected, output) = (local("selected"), local("output"));
    quote! {{
        enum __QuoitSelected<#(#types),*> { #(#variants,)* Disabled }
        let #selected = {
            let mut #disabled: u64 = 0;
            #(#guards)*
            #(#futures)*
            #(#pins)*
            let #output = ::core::future::poll_fn(|#context: &mut ::core::task::Context<'_>| {
                // A loop whose branches are always ready lets others run now and then.
                if #quoit::__private::poll_budget(#context).is_pending() {
                    return ::core::task::Poll::Pending;
                }
                let mut #is_pending = false;
                #polls
                if #is_pending {
                    ::core::task::Poll::Pending
                } else {
                    ::core::task::Poll::Ready(__QuoitSelected::Disabled)
                }
            }).await;
            #output
        };
        match #selected {
            #(#arms)*
            __QuoitSelected::Disabled => #otherwise,
            #[allow(unreachable_patterns, reason = "where all patterns are irrefutable")]
            _ => ::core::unreachable!("the output has matched its pattern before"),
        }
    }}
}

/// The code that polls each branch once: in their order, or around from one that is drawn.
fn poll_all(quoit: &TokenStream, branches: &Branches, names: &[Names]) -> TokenStream {
    let polls = branches.list.iter().zip(names).map(|(branch, names)| poll_one(branch, names));
    if branches.is_biased || names.len() == 1 {
        return quote!(#(#polls)*);
    }
    let count = names.len() as u32;
    let turns = 0..count;
    let (start, turn) = (local("start"), local("turn"));
    quote! {
        let #start: u32 = #quoit::__private::random_below(#count);
        for #turn in 0..#count {
            match (#start + #turn) % #count {
                #(#turns => { #polls })*
                _ => {}
            }
        }
    }
}

/// The code that polls one branch, unless it is disabled. One that is ready and matches ends the poll; one that does not
/// match is disabled.
fn poll_one(branch: &Branch, Names { variant, future, bit, .. }: &Names) -> TokenStream {
    let (disabled, is_pending, context) = (local("disabled"), local("is_pending"), local("context"));
    let output = local("output");
    let (head, test) = pattern::test(&output, &branch.pattern);
    quote! {
        if #disabled & #bit == 0 {
            match ::core::future::Future::poll(#future.as_mut(), #context) {
                ::core::task::Poll::Ready(#output) => {
                    #disabled |= #bit;
                    #[allow(unused_variables, unused_parens, unreachable_patterns, reason = "it asks whether the pattern matches")]
                    match #head {
                        #test => return ::core::task::Poll::Ready(__QuoitSelected::#variant(#output)),
                        _ => {}
                    }
                }
                ::core::task::Poll::Pending => #is_pending = true,
            }
        }
    }
}

/// What the code of one branch is called by.
struct Names {
    /// The type parameter of its output.
    output: Ident,
    /// The variant that holds its output.
    variant: Ident,
    /// The variable of its future.
    future: Ident,
    /// Its bit among the disabled ones.
    bit: TokenStream,
}

impl Names {
    fn new(index: usize) -> Names {
        Names {
            output: format_ident!("T{index}", span = Span::mixed_site()),
            variant: format_ident!("Branch{index}", span = Span::mixed_site()),
            future: local(&format!("future{index}")),
            bit: {
                let bit = 1_u64 << index;
                quote!(#bit)
            },
        }
    }
}

/// A variable that the user's code neither sees nor shadows.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

#[cfg(test)]
mod tests;
