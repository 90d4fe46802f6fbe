// What a disk may hold of one file after a power cut: what was synced, and any part of what was written since, in sectors
// of 512 bytes, each of them whole, in any of the versions that it had since.
#ifndef GHATRACE_TESTS_CRASH_DISK_H
#define GHATRACE_TESTS_CRASH_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR_SIZE 512
#define DISK_SIZES_MAX 64

// A sector as it was after one write.
struct disk_version {
    size_t sector;
    size_t write; // the number of the write
    uint8_t bytes[SECTOR_SIZE];
};

struct disk {
    uint8_t *cache; // as the program sees the file
    size_t cache_size;
    uint8_t
        *synced; // as it is on disk for certain; as large as the cache, zeros behind `synced_size`
    size_t synced_size;
    size_t room;
    struct disk_version *versions; // not synced, in the order of their writes
    size_t version_count, version_room;
    size_t writes;                // since the file was made
    size_t sizes[DISK_SIZES_MAX]; // not synced, in their order; at most the last of them are kept
    size_t size_count;
};

void disk_init(struct disk *disk);
void disk_release(struct disk *disk);
// A write without sync.
void disk_write(struct disk *disk, const void *bytes, size_t size, size_t offset);
// The file becomes longer.
void disk_grow(struct disk *disk, size_t size);
// The newest `keep` writes stay unsynced; all before them are on disk from now on, and the size that they made.
void disk_sync(struct disk *disk, size_t keep);
// The last write alone is on disk from now on, and a size that it fits in.
void disk_sync_last(struct disk *disk);

// The file with those versions that are chosen. `size`: of the file; sectors beyond it are lost. Returns an image of
// `size` bytes in `image`, which has room for `room` bytes.
void disk_image(const struct disk *disk, const bool *chosen, size_t size, uint8_t *image);
// The size that the file has at least with these versions.
size_t disk_least_size(const struct disk *disk, const bool *chosen);

#endif
