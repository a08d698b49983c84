/// Files by the directory that they lie in: what glibc's own Swift module has no room for. All return 0 or an errno.
#ifndef WEFT_FILES_H
#define WEFT_FILES_H
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Sets an extended attribute of an entry of a directory; a link itself, not what it names.
int cweft_set_attribute(int directory, const char *name, const char *attribute, const void *value, size_t size);

/// Reads an extended attribute of an entry; `*size` is the room, then how much there is.
int cweft_get_attribute(int directory, const char *name, const char *attribute, void *value, size_t *size);

/// The names of an entry's extended attributes, each ended by NUL.
int cweft_list_attributes(int directory, const char *name, char *names, size_t *size);

/// Makes a device, or with `major` and `minor` 0 and a character device what overlayfs takes for a whiteout.
int cweft_make_node(int directory, const char *name, uint32_t mode, uint32_t major, uint32_t minor);

/// Removes an entry of a directory with all that is in it; follows no links.
int cweft_remove_entry(int directory, const char *name);

/// Writes all that waits for the file system of `fd` to its disk.
int cweft_sync(int fd);

/// The numbers of a device file.
void cweft_device_numbers(uint64_t device, uint32_t *major, uint32_t *minor);

#endif
