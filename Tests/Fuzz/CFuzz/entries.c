#include "CFuzz.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);
int LLVMFuzzerRunDriver(int *count, char ***words, int (*run)(const uint8_t *, size_t));

#define ENTRY(name) \
    int name##_main(int count, char **words); \
    int name##_main(int count, char **words) { return LLVMFuzzerRunDriver(&count, &words, LLVMFuzzerTestOneInput); }

ENTRY(FuzzHTTP1)
ENTRY(FuzzText)
ENTRY(FuzzProtobuf)
ENTRY(FuzzDNS)
ENTRY(FuzzWebSocket)
ENTRY(FuzzHTTP2)
ENTRY(FuzzTLS)
ENTRY(FuzzEdge)
ENTRY(FuzzCEL)
ENTRY(FuzzImages)
