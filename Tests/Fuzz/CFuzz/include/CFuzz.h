/// The entry points of the fuzz programs: the package manager wants one by each program's name.
#ifndef WEFT_CFUZZ_H
#define WEFT_CFUZZ_H
#endif
