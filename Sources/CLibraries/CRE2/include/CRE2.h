// A small C face of RE2 (Debian's libre2): patterns that match in linear time, whatever the input.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cre2_pattern cre2_pattern;

// Compiles a pattern; NULL with the reason in `error` (ended by NUL, cut to `room`) when it is none, or needs more than
// `memory` bytes. A compiled pattern is constant: any thread may match with it.
cre2_pattern *cre2_compile(const char *text, size_t length, int64_t memory, char *error, size_t room);
void cre2_free(cre2_pattern *pattern);

// The number of instructions that the pattern became.
int cre2_size(const cre2_pattern *pattern);

// Whether the pattern matches the whole text.
bool cre2_matches(const cre2_pattern *pattern, const void *text, size_t length);

// Finds the first match at or behind `from`; false when there is none, else its place.
bool cre2_find(const cre2_pattern *pattern, const void *text, size_t length, size_t from, ptrdiff_t *begin, ptrdiff_t *end);

// Whether `substitution` may stand in cre2_replace: every \0 ... \9 names a group that there is, else the reason is in `error`.
bool cre2_may_substitute(const cre2_pattern *pattern, const char *substitution, size_t length, char *error, size_t room);

// Writes `text` to `place` with every match replaced; how many bytes, or -1 when they are more than `room`.
ptrdiff_t cre2_replace(const cre2_pattern *pattern, const void *text, size_t length, const void *substitution,
                       size_t substitution_length, void *place, size_t room);

#ifdef __cplusplus
}
#endif
