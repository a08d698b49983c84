// Another user or group inside a pod that has only one id. An ordinary user may map its own id alone, and in the pod that id
// is root. A container that asks for another one gets a user namespace of its own, in which the same id has the number that
// was asked for: programs that refuse to be root run, and own what they write.
#include "pod_serve.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

int pod_take_identity(long user, long group) {
    char map[64];
    if (pod_maps_all_users || (user == (long)geteuid() && group == (long)getegid())) return 0;
    if (pod_is_plain)
        return fail("cannot run as user %ld, group %ld: without isolation an ordinary user has only its own ids", user, group);
    if (user < 0 || group < 0 || user >= 0xffffffffL || group >= 0xffffffffL)
        return fail("user %ld and group %ld are no ids", user, group);
    uid_t own_user = geteuid();
    gid_t own_group = getegid();
    if (unshare(CLONE_NEWUSER) != 0) return fail("cannot run as user %ld, group %ld: no user namespace: %m", user, group);
    snprintf(map, sizeof map, "%ld %u 1\n", user, own_user);
    if (write_file("/proc/self/uid_map", map) != 0) return fail("cannot run as user %ld: its map: %m", user);
    // Denied already in the pod's own user namespace as a rule; then this is no more than a repetition.
    if (write_file("/proc/self/setgroups", "deny") != 0 && errno != EPERM) return fail("cannot give up groups: %m");
    snprintf(map, sizeof map, "%ld %u 1\n", group, own_group);
    if (write_file("/proc/self/gid_map", map) != 0) return fail("cannot run as group %ld: its map: %m", group);
    return 0;
}
