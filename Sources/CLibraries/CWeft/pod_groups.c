// Control groups: limits are made by weft outside; a container's processes put themselves into them before they become its
// program, so that none of them is ever outside.
#include "pod_settings.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct group {
    char container[128];
    int file;
    struct group *next;
};

static struct group *groups;

int pod_open_groups(struct row settings) {
    const char *value;
    for (const char *cursor = NULL; (value = row_next(settings, "group", &cursor)) != NULL;) {
        const char *path = strchr(value, '\n');
        struct group *group = calloc(1, sizeof *group);
        if (group == NULL) return fail("out of memory");
        if (path == NULL || (size_t)(path - value) >= sizeof group->container) return fail("setting group is malformed");
        memcpy(group->container, value, (size_t)(path - value));
        group->file = open(path + 1, O_WRONLY | O_CLOEXEC);
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
