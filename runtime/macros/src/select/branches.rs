//! What stands in the braces of `select!`, read with errors that tell what is missing.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::ParseStream;
use syn::{Expr, Pat, Token, token};

/// The whole input.
pub(crate) struct Branches {
    /// It begins with `biased;`.
    pub(crate) is_biased: bool,
    /// One to 64 branches.
    pub(crate) list: Vec<Branch>,
    /// The handler of `else`.
    pub(crate) otherwise: Option<TokenStream>,
}

/// `pattern = future, if guard => handler`
pub(crate) struct Branch {
    pub(crate) pattern: Pat,
    pub(crate) future: Expr,
    pub(crate) guard: Option<Expr>,
    /// One expression, or a block as it was written.
    pub(crate) handler: TokenStream,
}

impl Branches {
    pub(crate) fn parse(input: ParseStream<'_>) -> syn::Result<Branches> {
        let mut branches = Branches { is_biased: parse_biased(input)?, list: Vec::new(), otherwise: None };
        while !input.is_empty() {
            if branches.otherwise.is_some() {
                return Err(input.error("`else` is the last branch"));
            }
            if input.peek(Token![else]) {
                input.parse::<Token![else]>()?;
                branches.otherwise = Some(parse_handler(input)?);
                continue;
            }
            let branch = Branch::parse(input)?;
            if branches.list.len() == MOST_BRANCHES {
                return Err(syn::Error::new_spanned(&branch.pattern, "`select!` takes at most 64 branches"));
            }
            branches.list.push(branch);
        }
        if branches.list.is_empty() {
            return Err(syn::Error::new(Span::call_site(), "`select!` needs a branch: `pattern = future => handler`"));
        }
        Ok(branches)
    }
}

impl Branch {
    fn parse(input: ParseStream<'_>) -> syn::Result<Branch> {
        if is_biased(input) {
            return Err(input.error("`biased;` stands before the branches"));
        }
        let pattern = Pat::parse_multi_with_leading_vert(input)?;
        if !input.peek(Token![=]) || input.peek(Token![=>]) {
            return Err(input.error("expected `=` and a future: a branch is `pattern = future => handler`"));
        }
        input.parse::<Token![=]>()?;
        let future = input.parse()?;
        let guard = parse_guard(input)?;
        let handler = parse_handler(input)?;
        Ok(Branch { pattern, future, guard, handler })
    }
}

fn is_biased(input: ParseStream<'_>) -> bool {
    input.peek(syn::Ident)
        && input.peek2(Token![;])
        && input.fork().parse().is_ok_and(|name: syn::Ident| name == "biased")
}

fn parse_biased(input: ParseStream<'_>) -> syn::Result<bool> {
    let is_biased = is_biased(input);
    if is_biased {
        input.parse::<syn::Ident>()?;
        input.parse::<Token![;]>()?;
    }
    Ok(is_biased)
}

fn parse_guard(input: ParseStream<'_>) -> syn::Result<Option<Expr>> {
    if input.peek(Token![if]) {
        return Err(input.error("a guard stands behind a comma: `pattern = future, if guard => handler`"));
    }
    if !input.peek(Token![,]) || !input.peek2(Token![if]) {
        return Ok(None);
    }
    input.parse::<Token![,]>()?;
    input.parse::<Token![if]>()?;
    input.parse().map(Some)
}

/// `=> { .. }`, with or without a comma, or `=> expression,`. A block is not looked into.
fn parse_handler(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    if !input.peek(Token![=>]) {
        return Err(input.error("expected `=>` and a handler"));
    }
    input.parse::<Token![=>]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(input.error("expected a handler: an expression, or a block"));
    }
    if input.peek(token::Brace) {
        let block: TokenTree = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        return Ok(block.into());
    }
    let handler: Expr = input.parse()?;
    if !input.is_empty() {
        if !input.peek(Token![,]) {
            return Err(input.error("expected a comma: only a handler in braces goes without one"));
        }
        input.parse::<Token![,]>()?;
    }
    Ok(handler.into_token_stream())
}

/// A bit of a word for each.
const MOST_BRANCHES: usize = 64;
