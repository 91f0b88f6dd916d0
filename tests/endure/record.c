/* Writes down what a program does to files below RECORD_ROOT, in order, into RECORD_LOG. Preloaded by power.rs, which replays it.
 *
 * A record: op, inode, offset, three lengths (path, second path, data), then these. Numbers are 64 bits, of this machine. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE, TRUNCATE, SYNC, SYNC_FOLDER, RENAME, UNLINK, MKDIR, LINK };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -2;

#define NEXT(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

static int below_root(const char *path) {
    const char *root = getenv("RECORD_ROOT");
    size_t length = root ? strlen(root) : 0;
    return length && !strncmp(path, root, length) && (path[length] == '/' || !path[length]);
}

static void put(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length) {
        ssize_t done = syscall(SYS_write, log_fd, at, length);
        if (done <= 0) return;
        at += done;
        length -= (size_t)done;
    }
}

static void record(uint64_t op, uint64_t inode, uint64_t offset, const char *path, const char *second, const void *data, uint64_t length) {
    uint64_t head[6] = {op, inode, offset, strlen(path), strlen(second), length};
    pthread_mutex_lock(&lock);
    if (log_fd == -2) {
        const char *name = getenv("RECORD_LOG");
        log_fd = name ? (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : -1;
    }
    if (log_fd >= 0) {
        put(head, sizeof head);
        put(path, head[3]);
        put(second, head[4]);
        put(data, length);
    }
    pthread_mutex_unlock(&lock);
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return below_root(path);
}

/* The path that a call with a folder's descriptor means. */
static int full(int folder, const char *name, char *path) {
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return below_root(path);
    }
    char base[PATH_MAX];
    if (folder == AT_FDCWD ? !getcwd(base, sizeof base) : !path_of(folder, base)) return 0;
    snprintf(path, PATH_MAX, "%.2000s/%.2000s", base, name);
    return below_root(path);
}

static uint64_t inode_of(int fd) {
    struct stat about;
    return fstat(fd, &about) ? 0 : (uint64_t)about.st_ino;
}

static void opened(int fd, int flags) {
    char path[PATH_MAX];
    if (fd >= 0 && (flags & O_ACCMODE) != O_RDONLY && path_of(fd, path))
        record(OPEN, inode_of(fd), (flags & O_TRUNC) != 0, path, "", "", 0);
}

static mode_t mode_of(int flags, va_list rest) { return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; }

#define OPENER(name)                                                                                                   \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        int fd = NEXT(name)(path, flags, mode_of(flags, rest));                                                        \
        va_end(rest);                                                                                                  \
        opened(fd, flags);                                                                                             \
        return fd;                                                                                                     \
    }
OPENER(open)
OPENER(open64)

#define OPENER_AT(name)                                                                                                \
    int name(int folder, const char *path, int flags, ...) {                                                           \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        int fd = NEXT(name)(folder, path, flags, mode_of(flags, rest));                                                \
        va_end(rest);                                                                                                  \
        opened(fd, flags);                                                                                             \
        return fd;                                                                                                     \
    }
OPENER_AT(openat)
OPENER_AT(openat64)

static void wrote(int fd, off_t at, const void *data, ssize_t done) {
    char path[PATH_MAX];
    if (done > 0 && path_of(fd, path)) record(WRITE, inode_of(fd), (uint64_t)at, "", "", data, (uint64_t)done);
}

/* Where the next write goes: to the end of a file that is opened for appending. */
static off_t place(int fd) {
    struct stat about;
    if (fcntl(fd, F_GETFL) & O_APPEND) return fstat(fd, &about) ? 0 : about.st_size;
    return lseek(fd, 0, SEEK_CUR);
}

ssize_t write(int fd, const void *data, size_t length) {
    off_t at = place(fd);
    ssize_t done = NEXT(write)(fd, data, length);
    wrote(fd, at, data, done);
    return done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    off_t at = place(fd);
    ssize_t done = NEXT(writev)(fd, parts, count), left = done;
    for (int i = 0; i < count && left > 0; i++) {
        ssize_t here = (ssize_t)parts[i].iov_len < left ? (ssize_t)parts[i].iov_len : left;
        wrote(fd, at, parts[i].iov_base, here);
        at += here;
        left -= here;
    }
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off_t at) {
    ssize_t done = NEXT(pwrite64)(fd, data, length, at);
    wrote(fd, at, data, done);
    return done;
}

static int cut(int fd, off_t length, int done) {
    char path[PATH_MAX];
    if (!done && path_of(fd, path)) record(TRUNCATE, inode_of(fd), (uint64_t)length, "", "", "", 0);
    return done;
}
int ftruncate(int fd, off_t length) { return cut(fd, length, NEXT(ftruncate)(fd, length)); }
int ftruncate64(int fd, off_t length) { return cut(fd, length, NEXT(ftruncate64)(fd, length)); }

static int synced(int fd, int done) {
    char path[PATH_MAX];
    struct stat about;
    if (!done && path_of(fd, path) && !fstat(fd, &about))
        record(S_ISDIR(about.st_mode) ? SYNC_FOLDER : SYNC, (uint64_t)about.st_ino, 0, path, "", "", 0);
    return done;
}
int fsync(int fd) { return synced(fd, NEXT(fsync)(fd)); }
int fdatasync(int fd) { return synced(fd, NEXT(fdatasync)(fd)); }

static void named(uint64_t op, int folder, const char *name, const char *second, int done) {
    char path[PATH_MAX], other[PATH_MAX] = "";
    if (done) return;
    if (second) full(AT_FDCWD, second, other);
    if (full(folder, name, path) || other[0]) record(op, 0, 0, path, other, "", 0);
}

int rename(const char *from, const char *to) {
    int done = NEXT(rename)(from, to);
    named(RENAME, AT_FDCWD, from, to, done);
    return done;
}
int unlink(const char *path) {
    int done = NEXT(unlink)(path);
    named(UNLINK, AT_FDCWD, path, NULL, done);
    return done;
}
int rmdir(const char *path) {
    int done = NEXT(rmdir)(path);
    named(UNLINK, AT_FDCWD, path, NULL, done);
    return done;
}
int unlinkat(int folder, const char *path, int flags) {
    char name[PATH_MAX];
    int below = full(folder, path, name);
    int done = NEXT(unlinkat)(folder, path, flags);
    if (below) named(UNLINK, AT_FDCWD, name, NULL, done);
    return done;
}
int mkdir(const char *path, mode_t mode) {
    int done = NEXT(mkdir)(path, mode);
    named(MKDIR, AT_FDCWD, path, NULL, done);
    return done;
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    int done = NEXT(linkat)(a, from, b, to, flags);
    named(LINK, a, from, to, done);
    return done;
}
int link(const char *from, const char *to) {
    int done = NEXT(link)(from, to);
    named(LINK, AT_FDCWD, from, to, done);
    return done;
}
