#include "CFaultyDisk.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512, LONGEST = 512 };

// A write or, with `bytes` NULL, a cut to a length, that no sync has followed yet.
struct change {
    struct change *next;
    long long place;
    int count;
    char *bytes;
};

// What is known of one file: its synced content and what was done since.
struct image {
    struct image *next;
    char name[LONGEST];
    char *bytes;
    long long size;
    struct change *first, **last;
};

struct plan {
    struct plan *next;
    char folder[LONGEST];
    enum faulty_disk_fault fault;
    unsigned rarity, seed;
    long count;
    struct image *images;
};

struct file {
    sqlite3_file base;
    struct plan *plan;
    struct image *image;
    sqlite3_file *real;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct plan *plans;
static sqlite3_vfs *real_vfs;
static sqlite3_vfs layer;

static struct plan *find_plan(const char *path) {
    for (struct plan *plan = plans; plan; plan = plan->next) {
        size_t length = strlen(plan->folder);
        if (!strncmp(path, plan->folder, length) && path[length] == '/' && !strchr(path + length + 1, '/')) return plan;
    }
    return NULL;
}

static void apply(struct image *image, long long place, int count, const char *bytes) {
    long long end = bytes ? place + count : place;
    if (!bytes || end > image->size) {
        char *grown = realloc(image->bytes, end > 0 ? (size_t)end : 1);
        if (!grown) abort();
        if (end > image->size) memset(grown + image->size, 0, (size_t)(end - image->size));
        image->bytes = grown;
        image->size = end;
    }
    if (bytes) memcpy(image->bytes + place, bytes, (size_t)count);
}

static void drop_changes(struct image *image) {
    for (struct change *change = image->first, *next; change; change = next) {
        next = change->next;
        free(change->bytes);
        free(change);
    }
    image->first = NULL;
    image->last = &image->first;
}

static void note(struct image *image, long long place, int count, const void *bytes) {
    struct change *change = calloc(1, sizeof *change);
    if (!change) abort();
    change->place = place;
    change->count = count;
    if (bytes) {
        change->bytes = malloc((size_t)count);
        if (!change->bytes) abort();
        memcpy(change->bytes, bytes, (size_t)count);
    }
    *image->last = change;
    image->last = &change->next;
}

// Whether this operation is to fail.
static int fails(struct plan *plan) {
    if (plan->fault == FAULTY_DISK_NONE || rand_r(&plan->seed) % plan->rarity) return 0;
    plan->count++;
    return 1;
}

// The layer's functions: those of the real file, with a look before.

static struct file *of(sqlite3_file *file) { return (struct file *)file; }
static const sqlite3_io_methods *below(sqlite3_file *file) { return of(file)->real->pMethods; }

static int file_close(sqlite3_file *file) { return below(file)->xClose(of(file)->real); }
static int file_read(sqlite3_file *file, void *bytes, int count, sqlite3_int64 place) {
    return below(file)->xRead(of(file)->real, bytes, count, place);
}

static int file_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 place) {
    struct file *own = of(file);
    if (!own->plan) return below(file)->xWrite(own->real, bytes, count, place);
    pthread_mutex_lock(&lock);
    int code = SQLITE_OK;
    if (fails(own->plan)) {
        code = own->plan->fault == FAULTY_DISK_ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        if (own->plan->fault == FAULTY_DISK_SHORT && count > 1) {
            below(file)->xWrite(own->real, bytes, count / 2, place);
            note(own->image, place, count / 2, bytes);
        }
    } else {
        code = below(file)->xWrite(own->real, bytes, count, place);
        if (code == SQLITE_OK) note(own->image, place, count, bytes);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
    struct file *own = of(file);
    int code = below(file)->xTruncate(own->real, size);
    if (!own->plan || code != SQLITE_OK) return code;
    pthread_mutex_lock(&lock);
    note(own->image, size, 0, NULL);
    pthread_mutex_unlock(&lock);
    return code;
}

static int file_sync(sqlite3_file *file, int flags) {
    struct file *own = of(file);
    // The real disk is not under test, and its syncs take time.
    if (!own->plan) return below(file)->xSync(own->real, flags);
    pthread_mutex_lock(&lock);
    int code = SQLITE_OK;
    if (own->plan->fault != FAULTY_DISK_ENOSPC && fails(own->plan)) {
        code = SQLITE_IOERR_FSYNC;
    } else {
        for (struct change *change = own->image->first; change; change = change->next)
            apply(own->image, change->place, change->count, change->bytes);
        drop_changes(own->image);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size) { return below(file)->xFileSize(of(file)->real, size); }
static int file_lock(sqlite3_file *file, int level) { return below(file)->xLock(of(file)->real, level); }
static int file_unlock(sqlite3_file *file, int level) { return below(file)->xUnlock(of(file)->real, level); }
static int file_reserved(sqlite3_file *file, int *is) { return below(file)->xCheckReservedLock(of(file)->real, is); }
static int file_control(sqlite3_file *file, int what, void *argument) {
    return below(file)->xFileControl(of(file)->real, what, argument);
}
static int file_sector(sqlite3_file *file) { return below(file)->xSectorSize(of(file)->real); }
static int file_traits(sqlite3_file *file) { return below(file)->xDeviceCharacteristics(of(file)->real); }

// Version 1: no shared memory, no mapping; the store needs neither.
static const sqlite3_io_methods methods = {
    1, file_close, file_read, file_write, file_truncate, file_sync, file_size, file_lock, file_unlock, file_reserved,
    file_control, file_sector, file_traits, 0, 0, 0, 0, 0, 0,
};

static void load(struct image *image, sqlite3_file *real) {
    sqlite3_int64 size = 0;
    if (real->pMethods->xFileSize(real, &size) != SQLITE_OK || size == 0) return;
    apply(image, size, 0, NULL);
    real->pMethods->xRead(real, image->bytes, (int)size, 0);
}

static int layer_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *given) {
    (void)vfs;
    struct file *own = of(file);
    own->real = (sqlite3_file *)(own + 1);
    own->base.pMethods = NULL;
    int code = real_vfs->xOpen(real_vfs, name, own->real, flags, given);
    if (!own->real->pMethods) return code;
    own->base.pMethods = &methods;
    own->plan = NULL;
    if (!name) return code;
    pthread_mutex_lock(&lock);
    own->plan = find_plan(name);
    if (own->plan) {
        const char *last = strrchr(name, '/') + 1;
        struct image *image = own->plan->images;
        while (image && strcmp(image->name, last)) image = image->next;
        if (!image) {
            image = calloc(1, sizeof *image);
            if (!image) abort();
            snprintf(image->name, sizeof image->name, "%s", last);
            image->last = &image->first;
            image->next = own->plan->images;
            own->plan->images = image;
            load(image, own->real);
        }
        own->image = image;
    }
    pthread_mutex_unlock(&lock);
    return code;
}

static int layer_delete(sqlite3_vfs *vfs, const char *name, int is_synced) {
    (void)vfs;
    pthread_mutex_lock(&lock);
    struct plan *plan = find_plan(name);
    if (plan) {
        for (struct image *image = plan->images; image; image = image->next) {
            if (strcmp(image->name, strrchr(name, '/') + 1)) continue;
            drop_changes(image);
            apply(image, 0, 0, NULL);
        }
    }
    pthread_mutex_unlock(&lock);
    return real_vfs->xDelete(real_vfs, name, is_synced);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void install(void) {
    real_vfs = sqlite3_vfs_find(NULL);
    layer = *real_vfs;
    layer.zName = "faulty";
    layer.pNext = NULL;
    layer.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
    layer.xOpen = layer_open;
    layer.xDelete = layer_delete;
    sqlite3_vfs_register(&layer, 1);
}

void faulty_disk_install(void) { pthread_once(&once, install); }

void faulty_disk_plan(const char *folder, enum faulty_disk_fault fault, unsigned rarity, unsigned seed) {
    pthread_mutex_lock(&lock);
    struct plan *plan = plans;
    while (plan && strcmp(plan->folder, folder)) plan = plan->next;
    if (!plan) {
        plan = calloc(1, sizeof *plan);
        if (!plan) abort();
        snprintf(plan->folder, sizeof plan->folder, "%s", folder);
        plan->next = plans;
        plans = plan;
    }
    plan->fault = fault;
    plan->rarity = rarity ? rarity : 1;
    plan->seed = seed;
    pthread_mutex_unlock(&lock);
}

long faulty_disk_count(const char *folder) {
    pthread_mutex_lock(&lock);
    long count = 0;
    for (struct plan *plan = plans; plan; plan = plan->next)
        if (!strcmp(plan->folder, folder)) count = plan->count;
    pthread_mutex_unlock(&lock);
    return count;
}

static int put(const char *folder, struct image *image) {
    char path[2 * LONGEST];
    snprintf(path, sizeof path, "%s/%s", folder, image->name);
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (descriptor < 0) return errno;
    long long done = 0;
    while (done < image->size) {
        ssize_t step = write(descriptor, image->bytes + done, (size_t)(image->size - done));
        if (step <= 0) break;
        done += step;
    }
    close(descriptor);
    return done == image->size ? 0 : EIO;
}

int faulty_disk_power_cut(const char *folder, const char *target, unsigned seed) {
    int code = 0;
    pthread_mutex_lock(&lock);
    for (struct plan *plan = plans; plan; plan = plan->next) {
        if (strcmp(plan->folder, folder)) continue;
        for (struct image *image = plan->images; image && !code; image = image->next) {
            struct image torn = *image;
            torn.bytes = NULL;
            torn.size = 0;
            torn.first = NULL;
            if (image->size) apply(&torn, 0, (int)image->size, image->bytes);
            // All, some or nothing of what was not synced; a sector is written whole or not at all.
            unsigned share = rand_r(&seed) % 4;
            for (struct change *change = image->first; change; change = change->next) {
                if (!change->bytes) {
                    if (share) apply(&torn, change->place, 0, NULL);
                    continue;
                }
                for (int done = 0; done < change->count;) {
                    long long place = change->place + done;
                    int step = SECTOR - (int)(place % SECTOR);
                    if (step > change->count - done) step = change->count - done;
                    if (share == 3 || (share && rand_r(&seed) % 2)) apply(&torn, place, step, change->bytes + done);
                    done += step;
                }
            }
            if (torn.size) code = put(target, &torn);
            free(torn.bytes);
        }
    }
    pthread_mutex_unlock(&lock);
    return code;
}

void faulty_disk_forget(const char *folder) {
    pthread_mutex_lock(&lock);
    for (struct plan **link = &plans; *link; link = &(*link)->next) {
        struct plan *plan = *link;
        if (strcmp(plan->folder, folder)) continue;
        *link = plan->next;
        for (struct image *image = plan->images, *next; image; image = next) {
            next = image->next;
            drop_changes(image);
            free(image->bytes);
            free(image);
        }
        free(plan);
        break;
    }
    pthread_mutex_unlock(&lock);
}
