/// Byte scans that the compiler turns into vector instructions.
#ifndef WEFT_SCAN_H
#define WEFT_SCAN_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stddef.h>
#include <string.h>

/// Index of the first `byte` in `length` bytes at `start`, or -1.
static inline long cweft_find(const void *start, size_t length, unsigned char byte) {
    const char *hit = (const char *)memchr(start, byte, length);
    return hit == NULL ? -1 : (long)(hit - (const char *)start);
}

#endif
