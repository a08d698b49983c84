/// Weft's only C: what Swift cannot import (macros with casts, variadics) or must not do (single-threaded namespace work).
/// One header per topic; this one gathers them.
#ifndef WEFT_CWEFT_H
#define WEFT_CWEFT_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include "cweft_files.h"
#include "cweft_net.h"
#include "cweft_pod.h"
#include "cweft_scan.h"
#include "cweft_system.h"
#include "cweft_terminal.h"

#endif
