//! What every lock does beside locking, and what every guard does: it stands for its value.

/// A guard reads and prints as its value. The guard keeps the right to it in its field `lock`.
macro_rules! reads {
    ([$($generics:tt)*] $guard:ty => $value:ident) => {
        impl<$($generics)*> std::ops::Deref for $guard {
            type Target = $value;

            #[inline]
            fn deref(&self) -> &$value {
                &self.lock
            }
        }

        impl<$($generics)*> std::fmt::Debug for $guard
        where
            $value: std::fmt::Debug,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&**self, f)
            }
        }

        impl<$($generics)*> std::fmt::Display for $guard
        where
            $value: std::fmt::Display,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&**self, f)
            }
        }
    };
}

/// Beside that it writes.
macro_rules! writes {
    ([$($generics:tt)*] $guard:ty => $value:ident) => {
        crate::guards::reads!([$($generics)*] $guard => $value);

        impl<$($generics)*> std::ops::DerefMut for $guard {
            #[inline]
            fn deref_mut(&mut self) -> &mut $value {
                &mut self.lock
            }
        }
    };
}

/// A lock is made of its value, and shows it if nobody is in the way, which it asks by this method.
macro_rules! holds {
    ($lock:ident, $look:ident) => {
        impl<T: Default> Default for $lock<T> {
            fn default() -> Self {
                Self::new(T::default())
            }
        }

        impl<T> From<T> for $lock<T> {
            fn from(value: T) -> Self {
                Self::new(value)
            }
        }

        impl<T: ?Sized + std::fmt::Debug> std::fmt::Debug for $lock<T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut fields = f.debug_struct(stringify!($lock));
                match self.$look() {
                    Ok(guard) => fields.field("data", &&*guard),
                    Err(_) => fields.field("data", &format_args!("<locked>")),
                };
                fields.finish()
            }
        }
    };
}

pub(crate) use {holds, reads, writes};
