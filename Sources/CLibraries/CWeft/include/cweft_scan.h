/// Byte scans that the compiler turns into vector instructions.
#ifndef WEFT_SCAN_H
#define WEFT_SCAN_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/// Index of the first `byte` in `length` bytes at `start`, or -1.
static inline long cweft_find(const void *start, size_t length, unsigned char byte) {
    const char *hit = (const char *)memchr(start, byte, length);
    return hit == NULL ? -1 : (long)(hit - (const char *)start);
}

/// tchar of RFC 9110 section 5.6.2.
static const unsigned char cweft_token_bytes[256] = {
    0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,
    0,1,0,1,1,1,1,1,0,0,1,1,0,1,1,0,1,1,1,1,1,1,1,1,1,1,0,0,0,0,0,0,
    0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,0,0,0,1,1,
    1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,0,1,0,1,0,
    0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,
    0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,
    0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,
    0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0};

/// unreserved, pct-encoded and sub-delims of RFC 3986 section 3.2.2, without the comma (lists of hosts are refused).
static const unsigned char cweft_host_bytes[256] = {
    0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,
    0,1,0,0,1,1,1,1,1,1,1,1,0,1,1,0,1,1,1,1,1,1,1,1,1,1,0,1,0,1,0,0,
    0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,0,0,0,0,1,
    0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,0,0,0,1,0,
    0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,
    0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,
    0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,
    0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0};

/// How many leading bytes are token characters.
static inline size_t cweft_scan_token(const void *start, size_t length) {
    const unsigned char *bytes = (const unsigned char *)start;
    size_t index = 0;
#ifdef __SSE2__
    // Letters, digits and hyphens sixteen at a time; the table decides about the byte at which that ends.
    const __m128i space = _mm_set1_epi8(0x20);
    const __m128i a = _mm_set1_epi8((char)('a' - 128)), z = _mm_set1_epi8((char)(26 - 128));
    const __m128i zero = _mm_set1_epi8((char)('0' - 128)), ten = _mm_set1_epi8((char)(10 - 128));
    const __m128i hyphen = _mm_set1_epi8('-');
    while (index + 16 <= length) {
        __m128i block = _mm_loadu_si128((const __m128i *)(bytes + index));
        // Shifted so that the range begins at the least signed number: one comparison is enough.
        __m128i letter = _mm_cmplt_epi8(_mm_sub_epi8(_mm_or_si128(block, space), a), z);
        __m128i digit = _mm_cmplt_epi8(_mm_sub_epi8(block, zero), ten);
        __m128i good = _mm_or_si128(_mm_or_si128(letter, digit), _mm_cmpeq_epi8(block, hyphen));
        unsigned bad = (unsigned)_mm_movemask_epi8(good) ^ 0xffffu;
        if (bad == 0) {
            index += 16;
            continue;
        }
        index += (size_t)__builtin_ctz(bad);
        if (!cweft_token_bytes[bytes[index]]) return index;
        index++;
    }
#endif
    while (index < length && cweft_token_bytes[bytes[index]]) index++;
    return index;
}

/// How many leading bytes may stand in a host name.
static inline size_t cweft_scan_host(const void *start, size_t length) {
    const unsigned char *bytes = (const unsigned char *)start;
    size_t index = 0;
    while (index < length && cweft_host_bytes[bytes[index]]) index++;
    return index;
}

/// How many leading bytes may stand in a field value: tab, space, visible and above 0x7f (RFC 9110 section 5.5).
static inline size_t cweft_scan_value(const void *start, size_t length) {
    const unsigned char *bytes = (const unsigned char *)start;
    size_t index = 0;
#ifdef __SSE2__
    const __m128i bias = _mm_set1_epi8((char)0x80), limit = _mm_set1_epi8((char)(0x20 ^ 0x80));
    const __m128i tab = _mm_set1_epi8(9), del = _mm_set1_epi8(0x7f);
    while (index + 16 <= length) {
        __m128i block = _mm_loadu_si128((const __m128i *)(bytes + index));
        __m128i low = _mm_cmplt_epi8(_mm_xor_si128(block, bias), limit);
        __m128i bad = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(block, tab), low), _mm_cmpeq_epi8(block, del));
        int mask = _mm_movemask_epi8(bad);
        if (mask) return index + (size_t)__builtin_ctz((unsigned)mask);
        index += 16;
    }
#endif
    while (index < length && ((bytes[index] >= 0x20 && bytes[index] != 0x7f) || bytes[index] == 9)) index++;
    return index;
}

/// How many leading bytes are visible ASCII, as in a request target.
static inline size_t cweft_scan_visible(const void *start, size_t length) {
    const unsigned char *bytes = (const unsigned char *)start;
    size_t index = 0;
    while (index < length && bytes[index] > 0x20 && bytes[index] < 0x7f) index++;
    return index;
}

/// Whether `length` bytes equal `lower` when ASCII letters are read in lower case. `lower` holds lower case only.
static inline int cweft_equals_lower(const void *start, const void *lower, size_t length) {
    const unsigned char *bytes = (const unsigned char *)start, *wanted = (const unsigned char *)lower;
    size_t index = 0;
    if (length >= 8) {
        // Eight at a time; the last eight may overlap those before.
        for (;; index += 8) {
            if (index + 8 > length) {
                if (index == length) return 1;
                index = length - 8;
            }
            uint64_t block, other;
            memcpy(&block, bytes + index, 8);
            memcpy(&other, wanted + index, 8);
            const uint64_t ones = 0x0101010101010101u, low = block & (0x7f * ones);
            uint64_t upper = (low + (0x80 - 'A') * ones) & ~(low + (0x7f - 'Z') * ones) & ~block & (0x80 * ones);
            if ((block | (upper >> 2)) != other) return 0;
            if (index + 8 == length) return 1;
        }
    }
    for (; index < length; index++) {
        unsigned char byte = bytes[index];
        if (byte >= 'A' && byte <= 'Z') byte |= 0x20;
        if (byte != wanted[index]) return 0;
    }
    return 1;
}

/// Index of the last `byte` in `length` bytes at `start`, or -1.
static inline long cweft_find_last(const void *start, size_t length, unsigned char byte) {
    const char *hit = (const char *)memrchr(start, byte, length);
    return hit == NULL ? -1 : (long)(hit - (const char *)start);
}

/// Whether `length` bytes are the same.
static inline int cweft_same(const void *left, const void *right, size_t length) {
    return memcmp(left, right, length) == 0;
}

/// Whether `length` bytes are the same when ASCII letters of both are read in lower case.
static inline int cweft_equals_ignoring_case(const void *left, const void *right, size_t length) {
    const unsigned char *a = (const unsigned char *)left, *b = (const unsigned char *)right;
    for (size_t index = 0; index < length; index++) {
        unsigned char x = a[index], y = b[index];
        if (x >= 'A' && x <= 'Z') x |= 0x20;
        if (y >= 'A' && y <= 'Z') y |= 0x20;
        if (x != y) return 0;
    }
    return 1;
}

#endif
