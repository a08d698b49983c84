/// What the running pod init holds: its clients, its containers, the commands inside them, and the loop's watches.
#ifndef WEFT_POD_SERVE_H
#define WEFT_POD_SERVE_H
#include "pod_settings.h"

/// A line-wise writer of one container's log. Every stream of the container ends here.
struct log {
    int file;               // -1: none could be opened
    long size;
    int64_t dropped;        // lines that no disk took
    char path[256];         // below the pod's directory
};

/// One of a container's two output pipes, with the line that has not ended yet.
struct stream {
    int fd;                 // -1: closed
    const char *name;       // "stdout", "stderr"
    char *line;
    size_t length;
};

enum state { state_starting, state_running, state_exited, state_failed };

struct container {
    char name[128];
    long attempt;
    pid_t pid;
    enum state state;
    int code, signal;
    int64_t started, finished;
    unsigned long mounts;   // inode of its mount namespace: the mark by which all its processes are known
    int space;              // open while it runs: the kernel gives a free number to the next namespace at once
    int errors;             // the pipe on which a start that fails says why
    int by_runtime;         // an OCI runtime starts it: its process is known only when it runs
    int wanted_signal;      // came before that
    int64_t begun;          // when its start was asked for; steady clock
    char token[32];
    struct log log;
    struct stream streams[2];
    int input;              // where its standard input, or its terminal, is written to; -1: nowhere
    int is_terminal;
    int closes_input;       // when the first who was attached to it goes
};

/// A command that runs inside a container: a probe or a hook.
struct command {
    pid_t pid;
    int output, errors, client;
    int64_t deadline;       // steady clock
    int timed_out, exited, status;
    char token[32];
    char why[512];
    size_t why_length;
    struct text collected;
};

enum { client_limit = 32, container_limit = 64, command_limit = 64, message_limit = 8 << 20 };

/// A control connection: a length of 4 bytes (native endian), then a row, both ways.
struct client {
    int fd;                 // -1: free
    uint32_t serial;        // tells a reused place from the connection that asked
    struct text input;
};

extern struct container *containers[container_limit];
extern struct command *commands[command_limit];

/// Kinds of things that the loop watches; the low bits of an epoll datum.
enum kind {
    kind_control, kind_broker, kind_peer, kind_client, kind_signals, kind_stream, kind_start, kind_command, kind_session
};

/// Watches `fd` for reading. `slot` and `part` come back with the event.
int watch(int fd, enum kind kind, unsigned slot, unsigned part);

void say(struct client *client, struct text *text);
/// Sends a row to every client.
void announce(struct text *text);
/// Answers one request; `error` NULL means success.
void answer(struct client *client, const char *token, const char *error);

/// Starts the process of a container; the outcome follows as an event. NULL or why not.
const char *container_start(struct row request, const char *token);
void container_start_event(unsigned slot);
void container_stream_event(unsigned slot, unsigned part);
void container_ended(struct container *container, int status);
struct container *container_named(const char *name);
/// Takes the end of a process that is nobody's: it may be a container's whose runtime has not said so yet.
void container_orphan_ended(pid_t pid, int status);
/// Sends a signal to every process of the container. Returns how many there were.
int container_kill_all(struct container *container, int signal);
/// Appends the container's state to a row.
void container_describe(struct container *container, struct text *text, const char *prefix);

/// Starts a command inside a container. NULL or why not.
const char *command_start(struct row request, unsigned client_slot, const char *token);
void command_event(unsigned slot, unsigned part);
void command_ended(struct command *command, int status);
/// Kills commands whose time is over; returns milliseconds to the next deadline, -1 without one.
int command_deadlines(void);
struct client *client_at(unsigned slot);

/// Keeps how a container's program was started, for the commands that follow (`pod_exec.c`).
void session_remember(struct row request);
/// Starts a command whose caller speaks to it; its streams go out with the answer. NULL or why not.
const char *session_start(struct row request, unsigned client_slot, const char *token);
void session_event(unsigned slot);
/// Takes the end of a process; 0 when it is no such command.
int session_ended(pid_t pid, int status);
/// Ends the commands of a connection that was closed: SIGHUP, and SIGKILL 2 s later.
void session_client_gone(unsigned client_slot);
/// As `command_deadlines`.
int session_deadlines(void);

/// Opens what a container reads, as its start says; `inner` is the container's end, where there is one. 0 or -1.
int input_open(struct container *container, struct row request, int *inner);
void input_close(struct container *container);
/// Attaches a caller to a container that runs; its streams go out with the answer. NULL or why not.
const char *attach(struct row request, unsigned client_slot, const char *token);
/// Gives those who are attached what the container wrote to a stream.
void attach_pass_on(struct container *container, int part, const char *bytes, size_t length);
/// The container has ended, and all that it wrote is passed on.
void attach_ended(struct container *container);
void attach_client_gone(unsigned client_slot);

/// A terminal of the size that a request says: gives our end, and the program's in `inner`; -1 without one.
int terminal_open(struct row request, int *inner);
/// Answers a request with up to three descriptors; those below 0 are left out. 0 or -1.
int descriptors_hand_out(struct client *client, const char *token, const int *outer);

void log_open(struct log *log, const char *path);
void log_close(struct log *log);
/// Marks a log as complete (read-only) and closes it: its readers need not wait for more.
void log_complete(struct log *log);
/// Reads what is there. Returns 0 when the stream has ended.
int stream_read(struct container *container, int part);
/// Writes out an unfinished line and closes the stream.
void stream_end(struct stream *stream, struct log *log);

/// Sends a signal to a process that `launch` made; SIGKILL ends all that it started, too.
int pod_signal(pid_t pid, int signal);

/// Pods without namespaces. The signal that has a supervisor end its program and all that this has started.
int plain_end_signal(void);
/// Child side: runs the program of a request under a supervisor. Never returns.
void plain_run(struct row request, int errors, pid_t pod_init) __attribute__((noreturn));
/// Ends everything that the pod has started; returns when it is gone.
void plain_end(void);
/// Adds `listen=ADDRESS PORT` for each TCP socket on which a process of the pod listens.
void plain_listeners(struct text *text);

/// Child side: where the pod has a single id, makes that id `user` and `group`, in a user namespace of the container's own.
/// 0 or -1 (`fail`).
int pod_take_identity(long user, long group);

/// Child side: refuses system calls as the request's `seccomp` says: `off`, `strict`, or else the dangerous ones. The last
/// step before the program. 0 or -1 (`fail`).
int pod_refuse_calls(struct row request);

/// Child side: from a forked pod init to the program. Never returns; says why on `errors`.
void run_program(struct row request, int errors) __attribute__((noreturn));

#endif
