#include "CRE2.h"

#include <re2/re2.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

struct cre2_pattern {
    re2::RE2 expression;
};

namespace {

const int kGroups = 10;

void tell(const std::string &reason, char *error, size_t room) {
    if (room == 0) return;
    const size_t count = std::min(reason.size(), room - 1);
    memcpy(error, reason.data(), count);
    error[count] = 0;
}

// Text of a bounded length that notes when something did not fit.
struct Sink {
    char *place;
    size_t room;
    size_t count = 0;
    bool overflowed = false;

    void put(const char *bytes, size_t length) {
        if (overflowed || length > room - count) {
            overflowed = true;
            return;
        }
        memcpy(place + count, bytes, length);
        count += length;
    }
};

void substitute(Sink &sink, re2::StringPiece substitution, const re2::StringPiece *groups, int count) {
    for (size_t index = 0; index < substitution.size(); index++) {
        const char letter = substitution[index];
        if (letter != '\\' || index + 1 >= substitution.size()) {
            sink.put(&letter, 1);
            continue;
        }
        const char next = substitution[++index];
        if (next == '\\') {
            sink.put(&next, 1);
        } else if (next >= '0' && next <= '9' && next - '0' < count && groups[next - '0'].data() != nullptr) {
            sink.put(groups[next - '0'].data(), groups[next - '0'].size());
        }
    }
}

}  // namespace

extern "C" {

cre2_pattern *cre2_compile(const char *text, size_t length, int64_t memory, char *error, size_t room) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(memory);
    auto *pattern = new (std::nothrow) cre2_pattern{re2::RE2(re2::StringPiece(text, length), options)};
    if (pattern == nullptr) {
        tell("out of memory", error, room);
        return nullptr;
    }
    if (!pattern->expression.ok()) {
        tell(pattern->expression.error(), error, room);
        delete pattern;
        return nullptr;
    }
    return pattern;
}

void cre2_free(cre2_pattern *pattern) { delete pattern; }

int cre2_size(const cre2_pattern *pattern) { return pattern->expression.ProgramSize(); }

bool cre2_matches(const cre2_pattern *pattern, const void *text, size_t length) {
    const re2::StringPiece piece(length == 0 ? "" : static_cast<const char *>(text), length);
    return pattern->expression.Match(piece, 0, length, re2::RE2::ANCHOR_BOTH, nullptr, 0);
}

bool cre2_find(const cre2_pattern *pattern, const void *text, size_t length, size_t from, ptrdiff_t *begin,
               ptrdiff_t *end) {
    const re2::StringPiece piece(length == 0 ? "" : static_cast<const char *>(text), length);
    re2::StringPiece found;
    if (from > length || !pattern->expression.Match(piece, from, length, re2::RE2::UNANCHORED, &found, 1)) return false;
    *begin = found.data() - piece.data();
    *end = *begin + static_cast<ptrdiff_t>(found.size());
    return true;
}

bool cre2_may_substitute(const cre2_pattern *pattern, const char *substitution, size_t length, char *error,
                         size_t room) {
    std::string reason;
    const re2::StringPiece piece(substitution, length);
    if (pattern->expression.CheckRewriteString(piece, &reason)) return true;
    tell(reason, error, room);
    return false;
}

ptrdiff_t cre2_replace(const cre2_pattern *pattern, const void *text, size_t length, const void *substitution,
                       size_t substitution_length, void *place, size_t room) {
    const re2::StringPiece subject(length == 0 ? "" : static_cast<const char *>(text), length);
    const re2::StringPiece replacement(static_cast<const char *>(substitution), substitution_length);
    re2::StringPiece groups[kGroups];
    const int wanted = std::min(kGroups, 1 + pattern->expression.NumberOfCapturingGroups());
    Sink sink{static_cast<char *>(place), room};
    const char *const base = subject.data();
    size_t from = 0;
    const char *last_end = nullptr;
    while (from <= length && !sink.overflowed) {
        if (!pattern->expression.Match(subject, from, length, re2::RE2::UNANCHORED, groups, wanted)) break;
        const size_t start = groups[0].data() - base;
        sink.put(base + from, start - from);
        if (groups[0].data() == last_end && groups[0].empty()) {
            // No empty match where the last one ended: go on behind one whole character.
            size_t next = start;
            if (next == length) {
                from = length + 1;
                break;
            }
            do next++;
            while (next < length && (base[next] & 0xC0) == 0x80);
            sink.put(base + start, next - start);
            from = next;
            last_end = nullptr;
            continue;
        }
        substitute(sink, replacement, groups, wanted);
        from = start + groups[0].size();
        last_end = base + from;
    }
    if (from < length) sink.put(base + from, length - from);
    return sink.overflowed ? -1 : static_cast<ptrdiff_t>(sink.count);
}

}  // extern "C"
