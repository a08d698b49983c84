/// One face for the streams of zlib (gzip), brotli and zstd: bytes in, bytes out, a piece at a time, into memory of the caller.
#ifndef WEFT_CCOMPRESSION_H
#define WEFT_CCOMPRESSION_H

#include <stddef.h>
#include <stdint.h>

struct wcomp_stream;

enum wcomp_coding { wcomp_gzip, wcomp_brotli, wcomp_zstd };

/// What a call is about beside its bytes.
enum wcomp_turn {
    wcomp_more,
    /// All that was taken comes out, so that the reader may use it.
    wcomp_flush,
    wcomp_end
};

enum wcomp_result {
    /// All input was taken, and what could come out came.
    wcomp_hungry = 0,
    /// There is no room left, and there may be more to come.
    wcomp_full = 1,
    /// The stream is at its end.
    wcomp_done = 2,
    /// The bytes are none of this coding, or memory was short; the stream is of no further use.
    wcomp_failed = 3
};

struct wcomp_settings {
    enum wcomp_coding coding;
    int level;
    int strategy;
    int window_bits;
    /// gzip.
    int memory_level;
    /// brotli.
    int mode;
    int block_bits;
    int skips_context_modeling;
    /// zstd.
    int adds_checksum;
};

/// NULL when memory is short.
struct wcomp_stream *wcomp_compressor(const struct wcomp_settings *settings);
/// Of the settings only `coding` and `window_bits` count. A stream that asks for a larger window fails.
struct wcomp_stream *wcomp_decompressor(const struct wcomp_settings *settings);

/// Takes from `input` and puts into `output` what it can; `taken` and `made` get how much.
enum wcomp_result wcomp_step(struct wcomp_stream *stream, const void *input, size_t count, size_t *taken, void *output,
                             size_t room, size_t *made, enum wcomp_turn turn);

void wcomp_free(struct wcomp_stream *stream);

#endif
