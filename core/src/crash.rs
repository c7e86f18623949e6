//! Crash reports: a process that dies inside a plugin says which plugin, component and entry, and at which line.
//!
//! The handlers run on a stack of their own and call only what a signal handler may: no allocation, no lock of ours. The
//! source line is found by another process, since reading debug information takes both. Afterwards the signal takes
//! its usual course, so that exit status and core dump are what they would have been.

#![allow(unsafe_code)] // signal handlers

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    io::{IoSlice, IsTerminal as _},
    mem, ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
};

use trainer_loader::{Visit, visit};

/// The signals of a crash, and the places of their former actions in [`Installed`].
const SIGNALS: [(c_int, &[u8]); 5] = [
    (libc::SIGSEGV, b"SIGSEGV"),
    (libc::SIGBUS, b"SIGBUS"),
    (libc::SIGILL, b"SIGILL"),
    (libc::SIGFPE, b"SIGFPE"),
    (libc::SIGABRT, b"SIGABRT"),
];

/// Bytes of the main thread's stack for handlers; the standard library gives the other threads theirs.
const STACK: usize = 64 << 10;

/// Return addresses that are looked at, and those inside the plugin that are looked up.
const FRAMES: usize = 64;
const LOOKED_UP: usize = 8;

/// Bytes from the stack pointer within which a bad address means that the stack has overflowed.
const OVERFLOW_REACH: usize = 64 << 10;

/// What the handlers need and must not make themselves.
struct Installed {
    former: [libc::sigaction; SIGNALS.len()],
    probe: Option<CString>,
    line_start: &'static [u8],
}

static INSTALLED: OnceLock<Installed> = OnceLock::new();

/// Whether the trainer is at work, so that the process must not end by itself.
static AT_WORK: AtomicBool = AtomicBool::new(false);

/// What the report of an exit begins with that is of no known plugin.
pub const EXIT: &str = "error: exit was called";

/// The thread that reports, the first to crash; 0 while none does.
static REPORTER: AtomicI32 = AtomicI32::new(0);

/// The trainer's work, which ends where this is dropped. An end of the process before that is not its own.
pub struct Work(());

impl Drop for Work {
    fn drop(&mut self) {
        AT_WORK.store(false, Ordering::Relaxed);
    }
}

/// Ends the process on the trainer's own account.
pub fn end(code: i32) -> ! {
    AT_WORK.store(false, Ordering::Relaxed);
    std::process::exit(code)
}

/// Makes this process report crashes inside plugins, and exits before its work is done; once, on the main thread, before
/// any plugin is loaded.
#[must_use]
pub fn install() -> Work {
    handle_signals();
    AT_WORK.store(true, Ordering::Relaxed);
    Work(())
}

fn handle_signals() {
    // SAFETY: a valid action of all zeros, replaced below for each signal.
    let mut installed = Installed { former: unsafe { mem::zeroed() }, probe: probe(), line_start: b"" };
    if std::io::stderr().is_terminal() {
        installed.line_start = b"\n"; // a progress bar stands there
    }
    let stack = Box::leak(vec![0u8; STACK].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK };
    // SAFETY: the stack lives for the process. The first call of backtrace loads its library, which allocates, so it
    // is made here.
    unsafe {
        libc::sigaltstack(&raw const stack, ptr::null_mut());
        libc::backtrace([ptr::null_mut(); 1].as_mut_ptr(), 1);
    }
    for ((signal, _), former) in SIGNALS.iter().zip(&mut installed.former) {
        // SAFETY: asks for the present action.
        unsafe { libc::sigaction(*signal, ptr::null(), former) };
    }
    if INSTALLED.set(installed).is_err() {
        return;
    }
    // SAFETY: a valid action of all zeros; both functions have the signatures that are asked for.
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = on_signal as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        SIGNALS.iter().for_each(|(signal, _)| _ = libc::sigaddset(&raw mut action.sa_mask, *signal));
        for (signal, _) in SIGNALS {
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
        libc::atexit(on_exit);
    }
}

/// The program that finds source lines, which lies beside this one.
fn probe() -> Option<CString> {
    let probe = std::env::current_exe().ok()?.with_file_name("trainer-probe");
    CString::new(probe.into_os_string().into_encoded_bytes()).ok()
}

extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let place = SIGNALS.iter().position(|known| known.0 == signal);
    let (Some(place), Some(installed)) = (place, INSTALLED.get()) else { return };
    let Some(visit) = visit() else { return pass_on(&installed.former[place], signal, info, context) };
    // SAFETY: asks the system for this thread's number.
    let thread = unsafe { libc::syscall(libc::SYS_gettid) as c_int };
    if REPORTER.compare_exchange(0, thread, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        loop {
            // SAFETY: waits; another thread crashed first, and its report ends the process, this thread included.
            unsafe { libc::pause() };
        }
    }
    // SAFETY: the system filled both in for this signal.
    let (address, (pc, sp)) = unsafe { ((*info).si_addr() as usize, registers(context)) };
    tell(installed, &visit, place, address, sp);
    locate(installed, &visit, pc);
    // SAFETY: the signal is blocked while this runs, so it strikes on return, in the frame that crashed.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// `error: plugin FILE (COMPONENT) crashed in ENTRY with SIGNAL at address 0x…`.
fn tell(installed: &Installed, visit: &Visit, place: usize, address: usize, sp: usize) {
    let (signal, name) = SIGNALS[place];
    let mut hex = [0; HEX];
    let has_overflowed = signal == libc::SIGSEGV && address.abs_diff(sp) < OVERFLOW_REACH;
    let parts = match signal {
        libc::SIGABRT => [b"".as_slice(), b"", b""],
        _ if has_overflowed => [b" at address ", to_hex(address, &mut hex), b": its stack has overflowed"],
        _ => [b" at address ", to_hex(address, &mut hex), b""],
    };
    let [file, component, entry] = names(visit);
    write(&[
        installed.line_start,
        b"error: plugin ",
        file,
        b" (",
        component,
        b") crashed in `",
        entry,
        b"` with ",
        name,
        parts[0],
        parts[1],
        parts[2],
        b"\n",
    ]);
}

fn names(visit: &Visit) -> [&'static [u8]; 3] {
    let guest = visit.guest;
    [guest.file.as_os_str().as_encoded_bytes(), guest.component.as_bytes(), visit.entry.as_bytes()]
}

/// Has the plugin's frames looked up in its debug information, by another process that prints the first with a line.
fn locate(installed: &Installed, visit: &Visit, pc: usize) {
    let Some(probe) = &installed.probe else { return };
    let mut frames = [ptr::null_mut(); FRAMES];
    // SAFETY: the array has that many places; backtrace was called before, so nothing is loaded now.
    let count = unsafe { libc::backtrace(frames.as_mut_ptr(), FRAMES as c_int) }.max(0) as usize;
    // A return address may belong to the next line; the call is before it.
    let returns = frames[..count].iter().map(|frame| (*frame as usize).saturating_sub(1));
    let mut file = ptr::null();
    let mut texts = [[0; HEX + 1]; LOOKED_UP];
    let mut used = 0;
    for place in std::iter::once(pc).chain(returns) {
        let Some((path, offset)) = inside(visit, place) else { continue };
        if used == LOOKED_UP {
            break;
        }
        file = path;
        to_c_hex(offset, &mut texts[used]);
        used += 1;
    }
    if used == 0 {
        return;
    }
    let mut words = [ptr::null(); LOOKED_UP + 4];
    words[0] = probe.as_ptr();
    words[1] = c"--locate".as_ptr();
    words[2] = file;
    for (word, text) in words[3..].iter_mut().zip(&texts[..used]) {
        *word = text.as_ptr().cast();
    }
    spawn(probe, &words);
}

/// The plugin's file as the system loaded it and the offset in it, if `place` is in that file.
fn inside(visit: &Visit, place: usize) -> Option<(*const c_char, usize)> {
    // SAFETY: plain data of the system, filled in if the answer is not 0; names of loaded files are never freed.
    let (file, base) = unsafe {
        let mut found: libc::Dl_info = mem::zeroed();
        if libc::dladdr(place as *const c_void, &raw mut found) == 0 || found.dli_fname.is_null() {
            return None;
        }
        (found.dli_fname, found.dli_fbase as usize)
    };
    // SAFETY: a C text of the system.
    let name = unsafe { CStr::from_ptr(file) }.to_bytes();
    (name == visit.guest.loaded.as_os_str().as_encoded_bytes()).then_some((file, place - base))
}

/// Runs a program to its end. By the system call alone: fork() would run what libraries want done before it.
fn spawn(program: &CStr, words: &[*const c_char]) {
    // SAFETY: the words end in a null; the child calls nothing but what a signal handler may.
    unsafe {
        let child = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as libc::pid_t;
        if child == 0 {
            libc::execve(program.as_ptr(), words.as_ptr(), [ptr::null(); 1].as_ptr());
            libc::_exit(1);
        }
        if child > 0 {
            libc::waitpid(child, ptr::null_mut(), 0);
        }
    }
}

/// A crash outside plugins goes to whoever was there before: the standard library, which tells of stack overflows.
fn pass_on(former: &libc::sigaction, signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let handler = former.sa_sigaction;
    // SAFETY: a handler is a function of the signature that its flags say, and was installed for this signal.
    unsafe {
        if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        } else if former.sa_flags & libc::SA_SIGINFO == 0 {
            mem::transmute::<usize, extern "C" fn(c_int)>(handler)(signal);
        } else {
            type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
            mem::transmute::<usize, Handler>(handler)(signal, info, context);
        }
    }
}

/// A plugin that ends the process would look like a run that went well.
extern "C" fn on_exit() {
    let Some(installed) = INSTALLED.get() else { return };
    if let Some(visit) = visit() {
        let [file, component, entry] = names(&visit);
        write(&[installed.line_start, b"error: plugin ", file, b" (", component, b") called exit in `", entry]);
        write(&[b"`; it must return an error instead\n"]);
    } else if AT_WORK.load(Ordering::Relaxed) {
        write(&[installed.line_start, EXIT.as_bytes(), b" while the trainer was at work, outside of all calls: by a "]);
        write(&[b"thread of a plugin, most likely, which must not end the process\n"]);
    } else {
        return;
    }
    // SAFETY: ends the process with the code of a failed plugin.
    unsafe { libc::_exit(2) }
}

/// Program counter and stack pointer at the crash.
///
/// # Safety
/// `context` comes with a signal.
unsafe fn registers(context: *mut c_void) -> (usize, usize) {
    // SAFETY: the system passes a ucontext_t to handlers.
    let machine = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    #[cfg(target_arch = "x86_64")]
    let found = (machine.gregs[libc::REG_RIP as usize] as usize, machine.gregs[libc::REG_RSP as usize] as usize);
    #[cfg(target_arch = "aarch64")]
    let found = (machine.pc as usize, machine.sp as usize);
    found
}

/// Writes to standard error in one piece.
fn write(parts: &[&[u8]]) {
    let mut slices = [IoSlice::new(b""); 16];
    for (slice, part) in slices.iter_mut().zip(parts) {
        *slice = IoSlice::new(part);
    }
    // SAFETY: an IoSlice is laid out as an iovec.
    unsafe { libc::writev(2, slices.as_ptr().cast(), parts.len().min(slices.len()) as c_int) };
}

const HEX: usize = 2 + 2 * size_of::<usize>();

/// `number` as `0x…`.
fn to_hex(mut number: usize, buffer: &mut [u8; HEX]) -> &[u8] {
    let mut start = HEX;
    loop {
        start -= 1;
        buffer[start] = b"0123456789abcdef"[number % 16];
        number /= 16;
        if number == 0 {
            break;
        }
    }
    buffer[start - 2..start].copy_from_slice(b"0x");
    &buffer[start - 2..]
}

/// The same as a C text.
fn to_c_hex(number: usize, text: &mut [u8; HEX + 1]) {
    let mut buffer = [0; HEX];
    let hex = to_hex(number, &mut buffer);
    text[..hex.len()].copy_from_slice(hex);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_hexadecimal() {
        let hex = |number| String::from_utf8(to_hex(number, &mut [0; HEX]).to_vec()).unwrap();
        assert_eq!([hex(0), hex(0x10), hex(usize::MAX)], ["0x0", "0x10", &format!("{:#x}", usize::MAX)]);
    }
}
