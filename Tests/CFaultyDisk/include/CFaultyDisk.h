// A disk below SQLite that fails and loses power when a test says so: a layer (VFS) over the real one, which leaves every file
// alone but those in folders named by a plan. Safe from any thread.
#pragma once

enum faulty_disk_fault {
    FAULTY_DISK_NONE,
    FAULTY_DISK_EIO,     // a write or a sync fails
    FAULTY_DISK_ENOSPC,  // a write finds no room
    FAULTY_DISK_SHORT,   // a write stops half-way, and fails
};

// Puts the layer under every database that is opened from now on.
void faulty_disk_install(void);

// From now on every `rarity`-th write or sync, by chance, in a folder (without a slash at its end) fails.
void faulty_disk_plan(const char *folder, enum faulty_disk_fault fault, unsigned rarity, unsigned seed);

// How many faults have happened in a folder.
long faulty_disk_count(const char *folder);

// What would be on the disk if the power failed now, written to another folder: everything that was synced, and by chance some
// of what was written since, in pieces of a sector. 0, or an errno.
int faulty_disk_power_cut(const char *folder, const char *target, unsigned seed);

// Forgets a folder and what was remembered for it.
void faulty_disk_forget(const char *folder);
