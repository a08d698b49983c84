#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <sqlite3.h>

/// From now on closing the connection leaves the write-ahead log as it is. (`sqlite3_db_config` takes any number of
/// arguments, which Swift cannot call.)
static inline int csqlite_keep_log_on_close(sqlite3 *database) {
    return sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
}
