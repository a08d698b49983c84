// Control groups: limits are made by weft outside; a container's processes put themselves into them before they become its
// program, so that none of them is ever outside.
#include "pod_settings.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct group {
    char container[128];
    int file;
    struct group *next;
};

static struct group *groups;

// Version 1 has `tasks` beside `cgroup.procs`: a process of one thread that writes itself there does not wait until no process
// of the machine is being made or is ending, which takes some 10 ms (measured on Linux 6.18).
static int open_group(const char *file) {
    static const char last[] = "cgroup.procs";
    char tasks[PATH_MAX];
    size_t length = strlen(file), end = sizeof last - 1;
    if (length > end && length < sizeof tasks && strcmp(file + length - end, last) == 0) {
        memcpy(tasks, file, length - end);
        memcpy(tasks + length - end, "tasks", sizeof "tasks");
        int found = open(tasks, O_WRONLY | O_CLOEXEC);
        if (found >= 0) return found;
    }
    return open(file, O_WRONLY | O_CLOEXEC);
}

int pod_open_groups(struct row settings) {
    const char *value;
    for (const char *cursor = NULL; (value = row_next(settings, "group", &cursor)) != NULL;) {
        const char *path = strchr(value, '\n');
        struct group *group = calloc(1, sizeof *group);
        if (group == NULL) return fail("out of memory");
        if (path == NULL || (size_t)(path - value) >= sizeof group->container) return fail("setting group is malformed");
        memcpy(group->container, value, (size_t)(path - value));
        group->file = open_group(path + 1);
        if (group->file < 0) return fail("cannot open the control group %s: %m", path + 1);
        group->next = groups;
        groups = group;
    }
    return 0;
}

int pod_join_groups(const char *container) {
    for (struct group *group = groups; group != NULL; group = group->next) {
        if (strcmp(group->container, container) != 0) continue;
        if (write(group->file, "0", 1) != 1) return fail("cannot join the container's control group: %m");
    }
    return 0;
}
