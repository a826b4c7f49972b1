//! A pattern that only asks: it matches what the user's pattern matches, but moves nothing.
//!
//! The output of a future must be kept until it is known whether it matches. A pattern that binds nothing moves nothing, so
//! it is asked as it stands. One with bindings is matched by reference, and what a pattern may not say under a reference
//! (`mut`, `ref`, `&`) is left out: the compiler fills it in.
//!
//! Whether a name is a binding or a constant, no macro can know. A name that begins with a capital counts as a constant; if
//! it is a binding after all, the compiler refuses to move what it binds, or copies it.

use quote::{ToTokens, quote};
use syn::Pat;

/// The head of a `match` that asks whether a value matches, and the pattern of its arm.
pub(crate) fn test(value: impl ToTokens, pattern: &Pat) -> (proc_macro2::TokenStream, Pat) {
    let head = if binds(pattern) { quote!(&#value) } else { quote!(#value) };
    let mut test = pattern.clone();
    if binds(pattern) {
        clean(&mut test);
    }
    (head, test)
}

/// Whether the pattern may bind something.
fn binds(pattern: &Pat) -> bool {
    match pattern {
        Pat::Ident(name) => {
            let is_constant = name.by_ref.is_none() && name.mutability.is_none() && name.subpat.is_none();
            !is_constant || !name.ident.to_string().starts_with(char::is_uppercase)
        }
        Pat::Reference(reference) => binds(&reference.pat),
        Pat::Or(or) => or.cases.iter().any(binds),
        Pat::Paren(paren) => binds(&paren.pat),
        Pat::Slice(slice) => slice.elems.iter().any(binds),
        Pat::Struct(structure) => structure.fields.iter().any(|field| binds(&field.pat)),
        Pat::Tuple(tuple) => tuple.elems.iter().any(binds),
        Pat::TupleStruct(structure) => structure.elems.iter().any(binds),
        Pat::Const(_) | Pat::Lit(_) | Pat::Path(_) | Pat::Range(_) | Pat::Rest(_) | Pat::Wild(_) => false,
        // Macros, and what is younger than our parser.
        _ => true,
    }
}

/// Leaves out what may not stand under a reference.
fn clean(pattern: &mut Pat) {
    match pattern {
        Pat::Ident(name) => {
            name.by_ref = None;
            name.mutability = None;
            if let Some((_, inner)) = &mut name.subpat {
                clean(inner);
                let inner = (**inner).clone();
                *pattern = inner;
            }
        }
        Pat::Reference(reference) => {
            clean(&mut reference.pat);
            let inner = (*reference.pat).clone();
            *pattern = inner;
        }
        Pat::Or(or) => or.cases.iter_mut().for_each(clean),
        Pat::Paren(paren) => clean(&mut paren.pat),
        Pat::Slice(slice) => slice.elems.iter_mut().for_each(clean),
        Pat::Struct(structure) => structure.fields.iter_mut().for_each(|field| clean(&mut field.pat)),
        Pat::Tuple(tuple) => tuple.elems.iter_mut().for_each(clean),
        Pat::TupleStruct(structure) => structure.elems.iter_mut().for_each(clean),
        // They bind nothing, or hide it from us.
        _ => {}
    }
}
