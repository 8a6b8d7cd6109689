/* Fails the N-th call that changes files below a folder: loaded before libc (LD_PRELOAD), asked by tests/soak/faulty.py.

   Counted are write, pwrite, writev, fsync, fdatasync, ftruncate, rename, unlink, mkdir, and open where it creates.
   Each of them can be written down (fault_trace) with what the program says in between (fault_mark). Besides: a folder that answers nothing but EIO (fault_dead), and a clock that is set (fault_clock). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MOST_FILES 4096
#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static char folder[4096];
static atomic_long calls, fail_at, failed;
static int fail_with, stays, is_short;
static char ours[MOST_FILES];
static char last[32];
static char dead[4096];
static atomic_long clock_offset;

/* Have every open and read below a folder fail; "" ends that. */
void fault_dead(const char *below) { strncpy(dead, below, sizeof dead - 1); }
/* Set the clock of the day so many seconds ahead, or back. */
void fault_clock(long seconds) { atomic_store(&clock_offset, seconds); }

/* Begin to count; at call `at` fail with `error`, or write half of it; `persist`: so does every later one. */
void fault_begin(const char *below, long at, int error, int half, int persist) {
    strncpy(folder, below, sizeof folder - 1);
    atomic_store(&calls, 0); atomic_store(&failed, 0); atomic_store(&fail_at, at);
    fail_with = error; is_short = half; stays = persist;
}
long fault_calls(void) { return atomic_load(&calls); }
long fault_failed(void) { return atomic_load(&failed); }
const char *fault_last(void) { return last; }

static int trace = -1;
static void note(char kind, const char *path, const char *to) {
    static ssize_t (*real)(int, const void *, size_t);
    char line[3 * PATH_MAX];
    int size;
    if (trace < 0) return;
    if (!real) real = dlsym(RTLD_NEXT, "write");
    size = snprintf(line, sizeof line, "%c\t%s\t%s\n", kind, path, to);
    if (real(trace, line, size) != size) abort();
}
static void note_file(char kind, int file) {
    char full[PATH_MAX], link[64]; ssize_t size;
    if (trace < 0) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    size = readlink(link, full, sizeof full - 1);
    if (size < 0) return;
    full[size] = 0;
    note(kind, full, "");
}
static void note_at(char kind, int base, const char *path, const char *to) {
    char full[2 * PATH_MAX], top[PATH_MAX], link[64]; ssize_t size;
    if (trace < 0) return;
    if (path[0] == '/' || base == AT_FDCWD) { note(kind, path, to); return; }
    snprintf(link, sizeof link, "/proc/self/fd/%d", base);
    size = readlink(link, top, sizeof top - 1);
    if (size < 0) return;
    top[size] = 0;
    snprintf(full, sizeof full, "%s/%s", top, path);
    note(kind, full, to);
}
/* Write down what happens below the folder of fault_begin; what the program says goes in between. */
void fault_trace(const char *into) { int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    trace = real(into, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600); }
void fault_mark(const char *what) { note('M', what, ""); }

static int hit(const char *what) {
    long call, at = atomic_load(&fail_at);
    if (!folder[0]) return 0;
    call = atomic_fetch_add(&calls, 1) + 1;
    if (!at || call < at || (call > at && !stays)) return 0;
    if (call == at) strncpy(last, what, sizeof last - 1);
    atomic_fetch_add(&failed, 1);
    errno = fail_with;
    return 1;
}
static int within(const char *top, int base, const char *path) {
    char full[8192], link[64]; ssize_t size;
    if (!top[0] || !path) return 0;
    if (path[0] == '/') return !strncmp(path, top, strlen(top));
    if (base == AT_FDCWD) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", base);
    size = readlink(link, full, sizeof full - 1);
    if (size < 0) return 0;
    full[size] = 0;
    return !strncmp(full, top, strlen(top));
}
static int below(int base, const char *path) { return within(folder, base, path); }
static int is_dead(int base, const char *path) {
    if (!within(dead, base, path)) return 0;
    errno = EIO;
    return 1;
}
static int is_ours(int file) { return file >= 0 && file < MOST_FILES && ours[file]; }
static int opened(int file, int base, const char *path) {
    if (file >= 0 && file < MOST_FILES) ours[file] = below(base, path);
    return file;
}
#define OPEN(name) int name(const char *path, int flags, ...) { \
    va_list more; mode_t mode; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); \
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #name); \
    if (is_dead(AT_FDCWD, path)) return -1; \
    if ((flags & O_CREAT) && below(AT_FDCWD, path) && hit("open")) return -1; \
    if ((flags & O_CREAT) && below(AT_FDCWD, path) && access(path, F_OK)) note_at('C', AT_FDCWD, path, ""); \
    return opened(real(path, flags, mode), AT_FDCWD, path); }
#define OPENAT(name) int name(int base, const char *path, int flags, ...) { \
    va_list more; mode_t mode; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); \
    int (*real)(int, const char *, int, ...) = dlsym(RTLD_NEXT, #name); \
    if (is_dead(base, path)) return -1; \
    if ((flags & O_CREAT) && below(base, path) && hit("open")) return -1; \
    if ((flags & O_CREAT) && below(base, path) && faccessat(base, path, F_OK, 0)) note_at('C', base, path, ""); \
    return opened(real(base, path, flags, mode), base, path); }
OPEN(open) OPEN(open64) OPENAT(openat) OPENAT(openat64)

int close(int file) { REAL(close); if (file >= 0 && file < MOST_FILES) ours[file] = 0; return real(file); }

#define WRITES(name, arguments, call, half_call) ssize_t name arguments { REAL(name); \
    if (is_ours(file) && hit("write")) { if (is_short && size > 1) return half_call; return -1; } \
    if (is_ours(file)) note_file('W', file); \
    return call; }
WRITES(write, (int file, const void *data, size_t size), real(file, data, size), real(file, data, size / 2))
WRITES(pwrite, (int file, const void *data, size_t size, off_t at), real(file, data, size, at), real(file, data, size / 2, at))
WRITES(pwrite64, (int file, const void *data, size_t size, off64_t at), real(file, data, size, at), real(file, data, size / 2, at))
ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(writev);
    if (is_ours(file)) note_file('W', file);
    return is_ours(file) && hit("write") ? -1 : real(file, parts, count);
}

#define ON_FILE(name, kind, arguments, call) int name arguments { REAL(name); \
    if (is_ours(file) && hit(#name)) return -1; \
    int done = call; \
    if (is_ours(file)) note_file(kind, file); \
    return done; }
ON_FILE(fsync, 'S', (int file), real(file))
ON_FILE(fdatasync, 'S', (int file), real(file))
ON_FILE(ftruncate, 'W', (int file, off_t size), real(file, size))
ON_FILE(ftruncate64, 'W', (int file, off64_t size), real(file, size))

#define ON_PATH(name, kind, base, arguments, call, to) int name arguments { REAL(name); \
    if (below(base, path) && hit(#name)) return -1; \
    int done = call; \
    if (!done && below(base, path)) note_at(kind, base, path, to); \
    return done; }
ON_PATH(rename, 'R', AT_FDCWD, (const char *path, const char *to), real(path, to), to)
ON_PATH(renameat, 'R', from, (int from, const char *path, int base, const char *to), real(from, path, base, to), to)
ON_PATH(unlink, 'U', AT_FDCWD, (const char *path), real(path), "")
ON_PATH(unlinkat, 'U', base, (int base, const char *path, int flags), real(base, path, flags), "")
ON_PATH(mkdir, 'C', AT_FDCWD, (const char *path, mode_t mode), real(path, mode), "")

int clock_gettime(clockid_t which, struct timespec *now) {
    REAL(clock_gettime);
    int done = real(which, now);
    if (!done && which == CLOCK_REALTIME) now->tv_sec += atomic_load(&clock_offset);
    return done;
}
time_t time(time_t *into) {
    REAL(time);
    time_t now = real(NULL) + atomic_load(&clock_offset);
    if (into) *into = now;
    return now;
}
