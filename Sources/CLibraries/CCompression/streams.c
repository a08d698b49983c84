#include "CCompression.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

struct wcomp_stream {
    enum wcomp_coding coding;
    int compresses;
    int is_done;
    /// gzip: a member ended and no further one has begun.
    int is_between;
    union {
        z_stream zlib;
        BrotliEncoderState *brotli_encoder;
        BrotliDecoderState *brotli_decoder;
        ZSTD_CCtx *zstd_encoder;
        ZSTD_DCtx *zstd_decoder;
    } state;
};

static struct wcomp_stream *made(enum wcomp_coding coding, int compresses)
{
    struct wcomp_stream *stream = calloc(1, sizeof *stream);
    if (stream) {
        stream->coding = coding;
        stream->compresses = compresses;
    }
    return stream;
}

static int open_brotli_encoder(struct wcomp_stream *stream, const struct wcomp_settings *settings)
{
    BrotliEncoderState *state = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    if (!state)
        return 0;
    stream->state.brotli_encoder = state;
    return BrotliEncoderSetParameter(state, BROTLI_PARAM_QUALITY, (uint32_t)settings->level) &&
           BrotliEncoderSetParameter(state, BROTLI_PARAM_MODE, (uint32_t)settings->mode) &&
           BrotliEncoderSetParameter(state, BROTLI_PARAM_LGWIN, (uint32_t)settings->window_bits) &&
           BrotliEncoderSetParameter(state, BROTLI_PARAM_LGBLOCK, (uint32_t)settings->block_bits) &&
           BrotliEncoderSetParameter(state, BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING,
                                     settings->skips_context_modeling ? 1 : 0);
}

static int open_zstd_encoder(struct wcomp_stream *stream, const struct wcomp_settings *settings)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (!context)
        return 0;
    stream->state.zstd_encoder = context;
    if (ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, settings->level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, settings->adds_checksum ? 1 : 0)))
        return 0;
    if (settings->strategy > 0 && ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_strategy, settings->strategy)))
        return 0;
    return settings->window_bits == 0 ||
           !ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, settings->window_bits));
}

struct wcomp_stream *wcomp_compressor(const struct wcomp_settings *settings)
{
    struct wcomp_stream *stream = made(settings->coding, 1);
    int is_open = 0;
    if (!stream)
        return NULL;
    switch (settings->coding) {
    case wcomp_gzip:
        is_open = deflateInit2(&stream->state.zlib, settings->level, Z_DEFLATED, settings->window_bits + 16,
                               settings->memory_level, settings->strategy) == Z_OK;
        break;
    case wcomp_brotli: is_open = open_brotli_encoder(stream, settings); break;
    case wcomp_zstd: is_open = open_zstd_encoder(stream, settings); break;
    }
    if (is_open)
        return stream;
    wcomp_free(stream);
    return NULL;
}

struct wcomp_stream *wcomp_decompressor(const struct wcomp_settings *settings)
{
    struct wcomp_stream *stream = made(settings->coding, 0);
    int is_open = 0;
    if (!stream)
        return NULL;
    switch (settings->coding) {
    case wcomp_gzip:
        is_open = inflateInit2(&stream->state.zlib, settings->window_bits + 16) == Z_OK;
        break;
    case wcomp_brotli:
        stream->state.brotli_decoder = BrotliDecoderCreateInstance(NULL, NULL, NULL);
        is_open = stream->state.brotli_decoder != NULL;
        break;
    case wcomp_zstd:
        stream->state.zstd_decoder = ZSTD_createDCtx();
        is_open = stream->state.zstd_decoder != NULL &&
                  !ZSTD_isError(
                      ZSTD_DCtx_setParameter(stream->state.zstd_decoder, ZSTD_d_windowLogMax, settings->window_bits));
        break;
    }
    if (is_open)
        return stream;
    wcomp_free(stream);
    return NULL;
}

static uInt bounded(size_t count) { return count > UINT_MAX ? UINT_MAX : (uInt)count; }

static enum wcomp_result step_zlib(struct wcomp_stream *stream, const void *input, size_t count, size_t *taken,
                                   void *output, size_t room, size_t *made_count, enum wcomp_turn turn)
{
    z_stream *zlib = &stream->state.zlib;
    uInt given = bounded(count), space = bounded(room);
    int code;
    // A further member of the same file (RFC 1952 section 2.2).
    if (stream->is_between) {
        if (count == 0)
            return turn == wcomp_end ? wcomp_done : wcomp_hungry;
        if (inflateReset(zlib) != Z_OK)
            return wcomp_failed;
        stream->is_between = 0;
    }
    zlib->next_in = (Bytef *)(uintptr_t)input;
    zlib->avail_in = given;
    zlib->next_out = output;
    zlib->avail_out = space;
    if (stream->compresses)
        code = deflate(zlib, turn == wcomp_end ? Z_FINISH : turn == wcomp_flush ? Z_SYNC_FLUSH : Z_NO_FLUSH);
    else
        code = inflate(zlib, Z_NO_FLUSH);
    *taken = given - zlib->avail_in;
    *made_count = space - zlib->avail_out;
    if (code == Z_STREAM_END) {
        if (!stream->compresses) {
            stream->is_between = 1;
            return zlib->avail_in > 0 ? wcomp_full : turn == wcomp_end ? wcomp_done : wcomp_hungry;
        }
        return wcomp_done;
    }
    // Z_BUF_ERROR: nothing could be done, which is no fault of the stream.
    if (code != Z_OK && code != Z_BUF_ERROR)
        return wcomp_failed;
    return zlib->avail_out == 0 || zlib->avail_in > 0 ? wcomp_full : wcomp_hungry;
}

static enum wcomp_result step_brotli(struct wcomp_stream *stream, const void *input, size_t count, size_t *taken,
                                     void *output, size_t room, size_t *made_count, enum wcomp_turn turn)
{
    const uint8_t *next = input;
    uint8_t *place = output;
    size_t left = count, space = room;
    if (stream->compresses) {
        BrotliEncoderState *state = stream->state.brotli_encoder;
        BrotliEncoderOperation operation = turn == wcomp_end     ? BROTLI_OPERATION_FINISH
                                           : turn == wcomp_flush ? BROTLI_OPERATION_FLUSH
                                                                 : BROTLI_OPERATION_PROCESS;
        if (!BrotliEncoderCompressStream(state, operation, &left, &next, &space, &place, NULL))
            return wcomp_failed;
        *taken = count - left;
        *made_count = room - space;
        if (BrotliEncoderIsFinished(state))
            return wcomp_done;
        return left > 0 || BrotliEncoderHasMoreOutput(state) ? wcomp_full : wcomp_hungry;
    }
    BrotliDecoderResult result =
        BrotliDecoderDecompressStream(stream->state.brotli_decoder, &left, &next, &space, &place, NULL);
    *taken = count - left;
    *made_count = room - space;
    switch (result) {
    case BROTLI_DECODER_RESULT_SUCCESS: return left > 0 ? wcomp_failed : wcomp_done;
    case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT: return wcomp_hungry;
    case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT: return wcomp_full;
    default: return wcomp_failed;
    }
}

static enum wcomp_result step_zstd(struct wcomp_stream *stream, const void *input, size_t count, size_t *taken,
                                   void *output, size_t room, size_t *made_count, enum wcomp_turn turn)
{
    ZSTD_inBuffer in = {input, count, 0};
    ZSTD_outBuffer out = {output, room, 0};
    size_t rest;
    if (stream->compresses)
        rest = ZSTD_compressStream2(stream->state.zstd_encoder, &out, &in,
                                    turn == wcomp_end     ? ZSTD_e_end
                                    : turn == wcomp_flush ? ZSTD_e_flush
                                                          : ZSTD_e_continue);
    else
        rest = ZSTD_decompressStream(stream->state.zstd_decoder, &out, &in);
    if (ZSTD_isError(rest))
        return wcomp_failed;
    *taken = in.pos;
    *made_count = out.pos;
    if (stream->compresses) {
        if (turn == wcomp_end && rest == 0)
            return wcomp_done;
        return in.pos < count || (turn != wcomp_more && rest > 0) ? wcomp_full : wcomp_hungry;
    }
    // 0: a frame is whole; a further one may follow (RFC 8878 section 3).
    if (in.pos > 0 || out.pos > 0)
        stream->is_between = rest == 0;
    if (in.pos < count || out.pos == room)
        return wcomp_full;
    return stream->is_between && turn == wcomp_end ? wcomp_done : wcomp_hungry;
}

enum wcomp_result wcomp_step(struct wcomp_stream *stream, const void *input, size_t count, size_t *taken, void *output,
                             size_t room, size_t *made_count, enum wcomp_turn turn)
{
    enum wcomp_result result = wcomp_failed;
    *taken = 0;
    *made_count = 0;
    if (stream->is_done)
        return count == 0 ? wcomp_done : wcomp_failed;
    switch (stream->coding) {
    case wcomp_gzip: result = step_zlib(stream, input, count, taken, output, room, made_count, turn); break;
    case wcomp_brotli: result = step_brotli(stream, input, count, taken, output, room, made_count, turn); break;
    case wcomp_zstd: result = step_zstd(stream, input, count, taken, output, room, made_count, turn); break;
    }
    // A flush that is due again would put an empty block: the one before took all.
    stream->is_done = result == wcomp_done && (stream->compresses || stream->coding == wcomp_brotli);
    return result;
}

void wcomp_free(struct wcomp_stream *stream)
{
    if (!stream)
        return;
    switch (stream->coding) {
    case wcomp_gzip:
        if (stream->compresses)
            deflateEnd(&stream->state.zlib);
        else
            inflateEnd(&stream->state.zlib);
        break;
    case wcomp_brotli:
        if (stream->compresses)
            BrotliEncoderDestroyInstance(stream->state.brotli_encoder);
        else
            BrotliDecoderDestroyInstance(stream->state.brotli_decoder);
        break;
    case wcomp_zstd:
        if (stream->compresses)
            ZSTD_freeCCtx(stream->state.zstd_encoder);
        else
            ZSTD_freeDCtx(stream->state.zstd_decoder);
        break;
    }
    free(stream);
}
