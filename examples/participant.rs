// Copyright (c) 2026 The hv_vss developers
// SPDX-License-Identifier: BSD-2-Clause

//! participant.c in Rust, with nothing but its standard library: appends
//! numbered lines to a file, and while it is at rest the file is complete on the
//! disk and nothing is added to it.
//!
//!     rustc --edition 2021 -l hv_vss participant.rs
//!     ./participant FILE [DEVICE]

use std::ffi::{c_void, CStr, CString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::raw::{c_char, c_int, c_short, c_ulong};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

// As libhv_vss(3) has it.
#[repr(C)]
pub struct Vss {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct Request {
    id: u64,
    left_ms: u64,
    hold_ms: u64,
}

type Callback = extern "C" fn(*mut Vss, *const Request, *mut c_void) -> c_int;

#[repr(C)]
struct Ops {
    check: Option<Callback>,
    prepare: Option<Callback>,
    quiesce: Option<Callback>,
    resume: Option<Callback>,
    cancel: Option<extern "C" fn(*mut Vss, u64, *mut c_void)>,
    link: Option<extern "C" fn(*mut Vss, c_int, *mut c_void)>,
    device: *const c_char,
    hold_max_ms: u64,
}

const YES: c_int = 0;
const NO: c_int = 1;
const APP_LEVEL: c_int = 50;

extern "C" {
    fn hv_vss_open(
        vp: *mut *mut Vss,
        name: *const c_char,
        level: c_int,
        ops: *const Ops,
        ctx: *mut c_void,
    ) -> c_int;
    fn hv_vss_close(v: *mut Vss) -> c_int;
    fn hv_vss_fd(v: *const Vss) -> c_int;
    fn hv_vss_dispatch(v: *mut Vss) -> c_int;
    fn hv_vss_not_now(v: *mut Vss, reason: *const c_char) -> c_int;

    fn poll(fds: *mut PollFd, nfds: c_ulong, timeout: c_int) -> c_int;
    fn signal(sig: c_int, handler: extern "C" fn(c_int)) -> usize;
}

#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

const POLLIN: c_short = 1;
const SIGINT: c_int = 2;
const SIGTERM: c_int = 15;

/// What takes part in backups.
trait Application {
    fn quiesce(&mut self) -> io::Result<()>;
    fn resume(&mut self) -> io::Result<()>;
    fn link(&mut self, error: c_int);
}

/// An application that takes part as long as this lives.  The library has a
/// pointer to it as well, so that nobody else may own it.
struct Participant<A: Application> {
    vss: *mut Vss,
    app: *mut A,
}

/// Calls one method; an error or a panic is a refusal, with its reason.
fn call<A: Application>(
    v: *mut Vss,
    ctx: *mut c_void,
    method: fn(&mut A) -> io::Result<()>,
) -> c_int {
    let app = unsafe { &mut *(ctx as *mut A) };
    let why = match catch_unwind(AssertUnwindSafe(|| method(app))) {
        Ok(Ok(())) => return YES,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it panicked".to_string(),
    };
    match CString::new(why) {
        Ok(reason) => unsafe { hv_vss_not_now(v, reason.as_ptr()) },
        Err(_) => NO,
    }
}

extern "C" fn quiesce<A: Application>(
    v: *mut Vss,
    _: *const Request,
    ctx: *mut c_void,
) -> c_int {
    call::<A>(v, ctx, A::quiesce)
}

extern "C" fn resume<A: Application>(
    v: *mut Vss,
    _: *const Request,
    ctx: *mut c_void,
) -> c_int {
    call::<A>(v, ctx, A::resume)
}

extern "C" fn link<A: Application>(_: *mut Vss, error: c_int, ctx: *mut c_void) {
    unsafe { (*(ctx as *mut A)).link(error) }
}

impl<A: Application> Participant<A> {
    fn open(name: &CStr, device: Option<&CStr>, app: A) -> io::Result<Self> {
        let mut p = Participant {
            vss: ptr::null_mut(),
            app: Box::into_raw(Box::new(app)),
        };
        let ops = Ops {
            check: None,
            prepare: None,
            quiesce: Some(quiesce::<A>),
            resume: Some(resume::<A>),
            cancel: None,
            link: Some(link::<A>),
            device: device.map_or(ptr::null(), CStr::as_ptr),
            hold_max_ms: 0,
        };
        let ctx = p.app as *mut c_void;
        match unsafe { hv_vss_open(&mut p.vss, name.as_ptr(), APP_LEVEL, &ops, ctx) } {
            0 => Ok(p),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Callbacks run within dispatch() and drop() only: nobody else has it now.
    fn app(&mut self) -> &mut A {
        unsafe { &mut *self.app }
    }

    /// Waits this long for something to do, and does it.
    fn dispatch(&mut self, timeout_ms: c_int) {
        let mut pfd = PollFd {
            fd: unsafe { hv_vss_fd(self.vss) },
            events: POLLIN,
            revents: 0,
        };
        unsafe {
            if poll(&mut pfd, 1, timeout_ms) > 0 {
                hv_vss_dispatch(self.vss);
            }
        }
    }
}

impl<A: Application> Drop for Participant<A> {
    fn drop(&mut self) {
        unsafe {
            if !self.vss.is_null() {
                hv_vss_close(self.vss);
            }
            drop(Box::from_raw(self.app));
        }
    }
}

struct Ledger {
    file: File,
    lines: u64,
    at_rest: bool,
}

impl Ledger {
    fn append(&mut self) -> io::Result<()> {
        if self.at_rest {
            return Ok(());
        }
        self.lines += 1;
        self.file.write_all(format!("line {}\n", self.lines).as_bytes())
    }
}

impl Application for Ledger {
    fn quiesce(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        self.at_rest = true;
        println!("at rest with {} lines", self.lines);
        Ok(())
    }

    fn resume(&mut self) -> io::Result<()> {
        self.at_rest = false;
        println!("goes on");
        Ok(())
    }

    fn link(&mut self, error: c_int) {
        match error {
            0 => println!("takes part"),
            _ => println!("{}", io::Error::from_raw_os_error(error)),
        }
    }
}

static ENDED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(_: c_int) {
    ENDED.store(true, Ordering::Relaxed);
}

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    if args.len() < 2 {
        eprintln!("usage: participant FILE [DEVICE]");
        std::process::exit(1);
    }
    let device = match args.get(2) {
        Some(path) => Some(CString::new(path.as_str())?),
        None => None,
    };
    let file = OpenOptions::new().append(true).create(true).open(&args[1])?;
    let name = CString::new("ledger")?;
    let ledger = Ledger {
        file,
        lines: 0,
        at_rest: false,
    };
    unsafe {
        signal(SIGTERM, on_signal);
        signal(SIGINT, on_signal);
    }
    let mut p = Participant::open(&name, device.as_deref(), ledger)?;
    while !ENDED.load(Ordering::Relaxed) {
        p.dispatch(10);
        p.app().append()?;
    }
    Ok(())
}
