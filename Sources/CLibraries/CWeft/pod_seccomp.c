// System calls that a container is refused. Root of a pod is root of the host by number, so what the kernel guards by that
// number or not at all (key rings, the kernel's log) is closed to every container. `strict` is what Kubernetes calls
// RuntimeDefault: it closes what only helps to break out, such as new namespaces and mounts.
#include "include/cweft_pod.h"
#include "pod_serve.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef OWN_ARCHITECTURE

/// A system call and its name, under which OCI runtimes know it.
struct call {
    unsigned number;
    const char *name;
};

#define CALL(name) {SYS_##name, #name}

/// Refused to every container, whatever it may do otherwise.
static const struct call dangerous[] = {
    CALL(add_key), CALL(keyctl), CALL(request_key), CALL(bpf), CALL(kexec_load), CALL(init_module), CALL(finit_module),
    CALL(delete_module), CALL(perf_event_open), CALL(open_by_handle_at), CALL(reboot), CALL(swapon), CALL(swapoff), CALL(acct),
    CALL(syslog), CALL(settimeofday), CALL(clock_settime), CALL(nfsservctl), CALL(quotactl),
#ifdef SYS_kexec_file_load
    CALL(kexec_file_load),
#endif
#ifdef SYS_iopl
    CALL(iopl), CALL(ioperm),
#endif
};

/// Refused too under RuntimeDefault.
static const struct call seldom_needed[] = {
    CALL(mount), CALL(umount2), CALL(pivot_root), CALL(unshare), CALL(setns), CALL(userfaultfd), CALL(move_mount), CALL(open_tree),
    CALL(fsopen), CALL(fsconfig), CALL(fsmount), CALL(fspick), CALL(io_uring_setup), CALL(io_uring_enter), CALL(io_uring_register),
#ifdef SYS_mount_setattr
    CALL(mount_setattr),
#endif
};

#ifdef __x86_64__
/// The dangerous ones as 32-bit programs call them: add_key, request_key, keyctl, bpf, kexec_load, init_module,
/// finit_module, delete_module, perf_event_open, open_by_handle_at, reboot, swapon, swapoff, acct, syslog, settimeofday,
/// clock_settime, quotactl, iopl, ioperm.
static const unsigned dangerous_i386[] = {
    286, 287, 288, 357, 283, 128, 350, 129, 336, 342, 88, 87, 115, 51, 103, 79, 264, 131, 110, 101,
};
#endif

/// Room for both tables and the few fixed steps; a jump of classic BPF reaches 255 steps.
enum { program_limit = 200 };

struct program {
    struct sock_filter steps[program_limit];
    unsigned short count;
};

static void add(struct program *program, unsigned short code, unsigned char yes, unsigned char no, unsigned value) {
    if (program->count < program_limit) program->steps[program->count++] = (struct sock_filter){code, yes, no, value};
}

static void load(struct program *program, size_t offset) {
    add(program, BPF_LD | BPF_W | BPF_ABS, 0, 0, (unsigned)offset);
}

static void give(struct program *program, unsigned verdict) { add(program, BPF_RET | BPF_K, 0, 0, verdict); }

static void refuse(struct program *program, unsigned number) {
    add(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number);
    give(program, SECCOMP_RET_ERRNO | EPERM);
}

#define COUNT(table) (sizeof table / sizeof *table)

/// No namespace but threads and processes: `clone` with a flag for one, and `clone3`, whose flags lie in memory.
static void refuse_namespaces(struct program *program) {
    add(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_clone3);
    give(program, SECCOMP_RET_ERRNO | ENOSYS);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 4, SYS_clone);
    load(program, offsetof(struct seccomp_data, args[0]));
    add(
        program, BPF_JMP | BPF_JSET | BPF_K, 0, 1,
        CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP
    );
    give(program, SECCOMP_RET_ERRNO | EPERM);
    give(program, SECCOMP_RET_ALLOW);
}

static void write_program(struct program *program, int strict) {
    load(program, offsetof(struct seccomp_data, arch));
#ifdef __x86_64__
    struct program foreign = {.count = 0};
    load(&foreign, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < COUNT(dangerous_i386); i++) refuse(&foreign, dangerous_i386[i]);
    give(&foreign, SECCOMP_RET_ALLOW);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, AUDIT_ARCH_I386);
    // Over the way around the 32-bit table, which follows when it is needed.
    add(program, BPF_JMP | BPF_JA, 0, 0, 1);
    add(program, BPF_JMP | BPF_JA, 0, 0, foreign.count);
    for (unsigned short i = 0; i < foreign.count; i++) program->steps[program->count++] = foreign.steps[i];
#endif
    load(program, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
    // The x32 numbers of the same calls.
    add(program, BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0x40000000);
    give(program, SECCOMP_RET_ERRNO | ENOSYS);
#endif
    for (size_t i = 0; i < COUNT(dangerous); i++) refuse(program, dangerous[i].number);
    if (strict) {
        for (size_t i = 0; i < COUNT(seldom_needed); i++) refuse(program, seldom_needed[i].number);
        refuse_namespaces(program);
    }
    give(program, SECCOMP_RET_ALLOW);
}

int pod_refuse_calls(struct row request) {
    const char *profile = row_get(request, "seccomp");
    if (profile != NULL && strcmp(profile, "off") == 0) return 0;
    struct program program = {.count = 0};
    write_program(&program, profile != NULL && strcmp(profile, "strict") == 0);
    if (program.count >= program_limit) return fail("the system call filter is too long");
    struct sock_fprog filter = {.len = program.count, .filter = program.steps};
    // A kernel without seccomp runs the program all the same: the filter is one wall of several.
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) != 0 && errno != EINVAL && errno != ENOSYS)
        return fail("cannot filter system calls: %m");
    return 0;
}

const char *cweft_refused_call(int strict, size_t index) {
    if (index < COUNT(dangerous)) return dangerous[index].name;
    index -= COUNT(dangerous);
    return strict && index < COUNT(seldom_needed) ? seldom_needed[index].name : NULL;
}

#else

const char *cweft_refused_call(int strict, size_t index) {
    (void)strict;
    (void)index;
    return NULL;
}

int pod_refuse_calls(struct row request) {
    (void)request;
    return 0;
}

#endif
