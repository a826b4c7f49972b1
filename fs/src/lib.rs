//! The names of files and directories, changed through the runtime's ring.
//!
//! The functions are those of [`std::fs`], and so are their errors. The kernel performs them on threads of its own, so they
//! hold up nobody; they are not faster than std's.
//!
//! # Cancel safety
//!
//! A change that has been polled is made, whether or not its future lives on: it is done or it fails, and it is never half
//! done. Only a future that was never polled has changed nothing.

#![forbid(unsafe_code)]

use std::io;
use std::path::Path;

use quoit_runtime::op::{ChangeNames, submit};

/// Removes a name of a file. The file itself goes with its last name, when it is closed everywhere.
///
/// # Cancel safety
///
/// As [everything here](crate#cancel-safety).
///
/// # Errors
///
/// Those of [`unlink(2)`](https://man7.org/linux/man-pages/man2/unlink.2.html): `NotFound`, `IsADirectory`. `InvalidInput`
/// for a path with a zero byte in it.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// # quoit_runtime::block_on(async {
/// let path = std::env::temp_dir().join(format!("quoit-remove-{}", std::process::id()));
/// std::fs::write(&path, "short-lived")?;
/// quoit_fs::remove_file(&path).await?;
/// assert!(!path.exists());
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    submit(ChangeNames::remove_file(path.as_ref())?).await
}

/// Removes an empty directory.
///
/// # Cancel safety
///
/// As [everything here](crate#cancel-safety).
///
/// # Errors
///
/// Those of [`rmdir(2)`](https://man7.org/linux/man-pages/man2/rmdir.2.html): `DirectoryNotEmpty`, `NotFound`,
/// `NotADirectory`. `InvalidInput` for a path with a zero byte in it.
///
/// # Panics
///
/// Outside a runtime.
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    submit(ChangeNames::remove_directory(path.as_ref())?).await
}

/// Makes a directory, with all permissions that the process's mask leaves.
///
/// # Cancel safety
///
/// As [everything here](crate#cancel-safety).
///
/// # Errors
///
/// Those of [`mkdir(2)`](https://man7.org/linux/man-pages/man2/mkdir.2.html): `AlreadyExists`, `NotFound` where the one
/// around it is missing. `InvalidInput` for a path with a zero byte in it.
///
/// # Panics
///
/// Outside a runtime.
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    submit(ChangeNames::make_directory(path.as_ref(), 0o777)?).await
}

/// Moves a name. What had the new name before loses it, in one step.
///
/// # Cancel safety
///
/// As [everything here](crate#cancel-safety).
///
/// # Errors
///
/// Those of [`rename(2)`](https://man7.org/linux/man-pages/man2/rename.2.html): `NotFound`, `CrossesDevices`.
/// `InvalidInput` for a path with a zero byte in it.
///
/// # Panics
///
/// Outside a runtime.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    submit(ChangeNames::rename(from.as_ref(), to.as_ref())?).await
}

/// Gives a file another name, `link`. A symbolic link is linked itself, and not what it names.
///
/// # Cancel safety
///
/// As [everything here](crate#cancel-safety).
///
/// # Errors
///
/// Those of [`link(2)`](https://man7.org/linux/man-pages/man2/link.2.html): `AlreadyExists`, `NotFound`, `CrossesDevices`.
/// `InvalidInput` for a path with a zero byte in it.
///
/// # Panics
///
/// Outside a runtime.
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    submit(ChangeNames::hard_link(original.as_ref(), link.as_ref())?).await
}

/// Makes a symbolic link, `link`, that says `original`, which need not exist.
///
/// # Cancel safety
///
/// As [everything here](crate#cancel-safety).
///
/// # Errors
///
/// Those of [`symlink(2)`](https://man7.org/linux/man-pages/man2/symlink.2.html): `AlreadyExists`. `InvalidInput` for a path
/// with a zero byte in it.
///
/// # Panics
///
/// Outside a runtime.
pub async fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    submit(ChangeNames::symlink(original.as_ref(), link.as_ref())?).await
}
