//! What stands in the parentheses of `#[quoit::main(..)]` and `#[quoit::test(..)]`.
//!
//! Reading happens in two steps. [`Options::parse`] knows the whole language: each option, the type of its value, and
//! which macro takes it. [`Options::refuse_unsupported`] knows how much of it the runtime can do today; a later version
//! lifts a refusal there and nowhere else.
//!
//! Neither step stops at the first error: [`Errors`] gathers them, so that one build shows them all.

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, ExprUnary, Ident, Lit, LitInt, Path, Token, UnOp};

/// Which of the two attributes is being expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Main,
    Test,
}

/// The options that were given and were well-formed.
#[derive(Default)]
pub(crate) struct Options {
    /// `threads = ..`; never the literal 0.
    pub(crate) threads: Option<Expr>,
    /// `kernel = ".."`, with the place of the literal.
    pub(crate) kernel: Option<(Kernel, Span)>,
    /// `seed = ..`, with the place of the option's name.
    pub(crate) seed: Option<(u64, Span)>,
    /// `seeds = ..`, with the place of the option's name; never 0.
    pub(crate) seeds: Option<(u64, Span)>,
    /// `crate = ".."`: where the generated code finds quoit.
    pub(crate) quoit: Option<Path>,
}

/// A value of the option `kernel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    Uring,
    Epoll,
    Sim,
}

/// Errors found so far; they become one `compile_error!` each.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Attribute {
    /// The attribute as the user wrote it, for error messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Attribute::Main => "#[quoit::main]",
            Attribute::Test => "#[quoit::test]",
        }
    }

    /// The options that this attribute takes, in the order in which error messages list them.
    fn known(self) -> &'static [&'static str] {
        match self {
            Attribute::Main => &["threads", "kernel", "crate"],
            Attribute::Test => &["threads", "kernel", "seed", "seeds", "crate"],
        }
    }
}

impl Kernel {
    /// The kernel as it is written in the option and handed to the runtime.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kernel::Uring => "uring",
            Kernel::Epoll => "epoll",
            Kernel::Sim => "sim",
        }
    }

    fn from_name(name: &str) -> Option<Kernel> {
        [Kernel::Uring, Kernel::Epoll, Kernel::Sim].into_iter().find(|kernel| kernel.name() == name)
    }
}

impl Options {
    /// Reads the arguments of `attribute`. What is wrong goes to `errors`; what is right is returned all the same.
    pub(crate) fn parse(attribute: Attribute, arguments: TokenStream, errors: &mut Errors) -> Options {
        let mut options = Options::default();
        let parser = |input: ParseStream<'_>| -> syn::Result<()> {
            let mut seen: Vec<String> = Vec::new();
            while !input.is_empty() {
                // `crate` is a keyword, so any identifier will do here.
                let name = input.call(Ident::parse_any)?;
                let value = parse_value(&name, input)?;
                let known = attribute.known().contains(&name.to_string().as_str());
                if !known {
                    errors.push(unknown(attribute, &name));
                } else if seen.contains(&name.to_string()) {
                    errors.push(syn::Error::new(name.span(), format!("the option `{name}` is given twice")));
                } else {
                    seen.push(name.to_string());
                    options.set(&name, value).unwrap_or_else(|error| errors.push(error));
                }
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        };
        // An error that ends the parsing (a missing comma or value) joins those gathered before it.
        let parsed = parser.parse2(arguments);
        parsed.unwrap_or_else(|error| errors.push(error));
        options
    }

    /// Refuses what is well-formed but makes no sense together, or is not there yet.
    pub(crate) fn refuse_unsupported(&self, attribute: Attribute, errors: &mut Errors) {
        if let (Some(threads), Some((Kernel::Sim, _))) = (&self.threads, self.kernel) {
            let text =
                "`threads` needs a real kernel: a simulated world is one thread's, with `quoit::sim::host` for others";
            errors.push(syn::Error::new(threads.span(), text));
        }
        if let (Some(_), Some((_, span))) = (self.seed, self.seeds) {
            errors.push(syn::Error::new(span, "`seed` (run this one) and `seeds` (run so many) exclude each other"));
        }
        if let (Attribute::Main, Some((Kernel::Sim, span))) = (attribute, self.kernel) {
            let text =
                "a program runs simulated by `quoit::sim::run`, which takes the seed; kernel = \"sim\" is for tests";
            errors.push(syn::Error::new(span, text));
        }
        for (name, option) in [("seed", self.seed), ("seeds", self.seeds)] {
            if let (Some((_, span)), false) = (option, self.is_simulated()) {
                let text = format!("`{name}` is for the simulated kernel: kernel = \"sim\"");
                errors.push(syn::Error::new(span, text));
            }
        }
    }

    /// The simulated kernel was asked for.
    pub(crate) fn is_simulated(&self) -> bool {
        matches!(self.kernel, Some((Kernel::Sim, _)))
    }

    /// Stores one option whose name is known to the attribute.
    fn set(&mut self, name: &Ident, value: Expr) -> syn::Result<()> {
        match name.to_string().as_str() {
            "threads" => self.threads = Some(threads(value)?),
            "kernel" => self.kernel = Some(kernel(&value)?),
            "seed" => self.seed = Some((integer(name, &value)?, name.span())),
            "seeds" => self.seeds = Some((at_least_one(name, &value)?, name.span())),
            "crate" => self.quoit = Some(path(&value)?),
            other => unreachable!("`{other}` is listed as known, but nothing stores it"),
        }
        Ok(())
    }
}

impl Errors {
    /// Adds an error to those that will be reported.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            none => *none = Some(error),
        }
    }

    /// One `compile_error!` an error; nothing if there was none.
    pub(crate) fn to_compile_errors(&self) -> TokenStream {
        self.0.as_ref().map(syn::Error::to_compile_error).unwrap_or_default()
    }
}

/// Parses `= value`; the error for an option without a value points at the option.
fn parse_value(name: &Ident, input: ParseStream<'_>) -> syn::Result<Expr> {
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(name.span(), format!("the option `{name}` needs a value: `{name} = ..`")));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(syn::Error::new(name.span(), format!("the option `{name}` needs a value: `{name} = ..`")));
    }
    input.parse()
}

fn unknown(attribute: Attribute, name: &Ident) -> syn::Error {
    let known: Vec<String> = attribute.known().iter().map(|known| format!("`{known}`")).collect();
    let attribute = attribute.name();
    syn::Error::new(name.span(), format!("unknown option `{name}`: {attribute} knows {}", known.join(", ")))
}

/// Any expression may be a number of threads, but a literal must be a positive integer.
fn threads(value: Expr) -> syn::Result<Expr> {
    let what = "`threads` takes a number of threads, an integer of at least 1";
    match literal(&value) {
        Some(Lit::Int(count)) if parse_integer(count, "usize").is_ok_and(|count| count >= 1) => Ok(value),
        Some(_) => Err(syn::Error::new(value.span(), what)),
        None if is_negative(&value) => Err(syn::Error::new(value.span(), what)),
        None => Ok(value),
    }
}

fn kernel(value: &Expr) -> syn::Result<(Kernel, Span)> {
    let kernel = match literal(value) {
        Some(Lit::Str(name)) => Kernel::from_name(&name.value()),
        _ => None,
    };
    match kernel {
        Some(kernel) => Ok((kernel, value.span())),
        None => Err(syn::Error::new(value.span(), "`kernel` takes \"uring\", \"epoll\" or \"sim\", in quotes")),
    }
}

fn integer(name: &Ident, value: &Expr) -> syn::Result<u64> {
    let Some(Lit::Int(literal)) = literal(value) else {
        return Err(syn::Error::new(value.span(), format!("`{name}` takes an integer, for example `{name} = 7`")));
    };
    parse_integer(literal, "u64").map_err(|error| {
        syn::Error::new(literal.span(), format!("`{name}` takes an integer that fits in a u64: {error}"))
    })
}

fn at_least_one(name: &Ident, value: &Expr) -> syn::Result<u64> {
    match integer(name, value)? {
        0 => Err(syn::Error::new(value.span(), format!("`{name} = 0` would test nothing: it takes at least 1"))),
        count => Ok(count),
    }
}

/// A path as `use` takes it (no generic arguments), in quotes.
fn path(value: &Expr) -> syn::Result<Path> {
    let what = "`crate` takes the path to quoit in quotes, for example `crate = \"::my::quoit\"`";
    let Some(Lit::Str(path)) = literal(value) else {
        return Err(syn::Error::new(value.span(), what));
    };
    path.parse_with(Path::parse_mod_style).map_err(|_| syn::Error::new(path.span(), what))
}

/// The literal that `value` consists of. Groups are what a `macro_rules!` variable leaves around its value.
fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => Some(lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

/// An integer without a suffix, or with that of the type it is read as.
fn parse_integer(literal: &LitInt, suffix: &str) -> syn::Result<u64> {
    if !literal.suffix().is_empty() && literal.suffix() != suffix {
        return Err(syn::Error::new(literal.span(), format!("the suffix `{}` is not `{suffix}`", literal.suffix())));
    }
    literal.base10_parse()
}

fn is_negative(value: &Expr) -> bool {
    matches!(value, Expr::Unary(ExprUnary { op: UnOp::Neg(_), .. }))
}
