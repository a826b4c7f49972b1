//! Servers in other languages, which take part where what they need is installed. The sources are in `benches/peers`; those
//! that are to be compiled are compiled at the beginning of a run.

use std::env;
use std::fmt;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A server that is not part of this program.
pub(crate) struct Program {
    /// In `benches/peers`.
    source: &'static str,
    language: Language,
    /// What it needs: a header or a module, and the package of Debian that has it.
    needs: &'static str,
    package: &'static str,
}

enum Language {
    /// The command of the compiler, and what stands after the source.
    Compiled {
        compiler: &'static [&'static str],
        libraries: &'static [&'static str],
    },
    Python,
}

/// Why a program can't be started.
pub(crate) enum NotReady {
    /// Something is not installed.
    Absent(String),
    Failed(io::Error),
}

pub(super) const ASIO: Program = Program {
    source: "asio.cpp",
    language: Language::Compiled { compiler: &["c++", "-O2", "-std=c++17"], libraries: &["-pthread"] },
    needs: "asio.hpp",
    package: "libasio-dev",
};

pub(super) const LIBUV: Program = Program {
    source: "libuv.c",
    language: Language::Compiled { compiler: &["cc", "-O2"], libraries: &["-luv"] },
    needs: "uv.h",
    package: "libuv1-dev",
};

pub(super) const LIBEVENT: Program = Program {
    source: "libevent.c",
    language: Language::Compiled { compiler: &["cc", "-O2"], libraries: &["-levent"] },
    needs: "event2/event.h",
    package: "libevent-dev",
};

pub(super) const ASYNCIO: Program =
    Program { source: "python_asyncio.py", language: Language::Python, needs: "asyncio", package: "python3" };

pub(super) const UVLOOP: Program =
    Program { source: "python_uvloop.py", language: Language::Python, needs: "uvloop", package: "python3-uvloop" };

impl Program {
    pub(super) fn is_interpreted(&self) -> bool {
        matches!(self.language, Language::Python)
    }

    /// Sees to it that it can be started.
    pub(crate) fn prepare(&self) -> Result<(), NotReady> {
        let Language::Compiled { compiler, libraries } = self.language else {
            return self.interpreter().map(drop).ok_or_else(|| self.absent());
        };
        let [compiler, options @ ..] = compiler else { unreachable!("a compiler has a name") };
        let compile = |compiler: &mut Command| {
            let output = compiler.stdin(Stdio::null()).output();
            output.map_err(|error| NotReady::Absent(format!("{}: {error}", compiler.get_program().display())))
        };
        let header = format!("<{}>", self.needs);
        let mut preprocess = Command::new(compiler);
        preprocess.args(options).args(["-E", "-include", &header[1..header.len() - 1]]).arg("/dev/null");
        if !compile(&mut preprocess)?.status.success() {
            return Err(self.absent());
        }
        let mut build = Command::new(compiler);
        let target = self.target().map_err(NotReady::Failed)?;
        build.args(options).arg("-o").arg(target).arg(self.path()).args(libraries);
        let output = compile(&mut build)?;
        if output.status.success() {
            Ok(())
        } else {
            Err(NotReady::Failed(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())))
        }
    }

    /// The package it uses, with its version, where Debian's tools know it.
    pub(crate) fn version(&self) -> Option<String> {
        let output = Command::new("dpkg-query").args(["-W", "-f=${Package} ${Version}", self.package]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Goes on as this program; only if that fails it comes back.
    pub(super) fn become_it(&self) -> io::Result<()> {
        let mut command = match self.language {
            Language::Compiled { .. } => Command::new(self.target()?),
            Language::Python => {
                let mut command = Command::new(self.interpreter().ok_or(io::ErrorKind::NotFound)?);
                command.arg(self.path());
                command
            }
        };
        Err(command.exec())
    }

    fn absent(&self) -> NotReady {
        NotReady::Absent(format!("there is no {}; Debian's {} has it", self.needs, self.package))
    }

    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(self.source)
    }

    /// Where it is compiled to.
    fn target(&self) -> io::Result<PathBuf> {
        let own = env::current_exe()?;
        Ok(own.with_file_name(format!("quoit-benches-{}", self.source.replace('.', "-"))))
    }

    /// The first Python that has the module: the first of the path may be another one than the system's.
    fn interpreter(&self) -> Option<&'static str> {
        ["python3", "/usr/bin/python3"].into_iter().find(|python| {
            let mut import = Command::new(python);
            import.args(["-c", &format!("import {}", self.needs)]).stdin(Stdio::null());
            import.output().is_ok_and(|output| output.status.success())
        })
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotReady::Absent(what) => f.write_str(what),
            NotReady::Failed(error) => error.fmt(f),
        }
    }
}
