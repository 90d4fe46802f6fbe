// What a disk may hold of one file after a power cut.
#include "crash/disk.h"

#include <stdlib.h>
#include <string.h>

static void *resize(void *block, size_t size)
{
    void *made = realloc(block, size);
    if (made == NULL)
        abort();
    return made;
}

void disk_init(struct disk *disk)
{
    *disk = (struct disk){.room = 0};
}

void disk_release(struct disk *disk)
{
    free(disk->cache);
    free(disk->synced);
    free(disk->versions);
    disk_init(disk);
}

static void make_room(struct disk *disk, size_t size)
{
    size_t room = (size + 0xFFFFF) & ~(size_t)0xFFFFF;
    if (room <= disk->room)
        return;
    disk->cache = resize(disk->cache, room);
    disk->synced = resize(disk->synced, room);
    memset(disk->cache + disk->room, 0, room - disk->room);
    memset(disk->synced + disk->room, 0, room - disk->room);
    disk->room = room;
}

void disk_grow(struct disk *disk, size_t size)
{
    if (size <= disk->cache_size)
        return;
    make_room(disk, size);
    disk->cache_size = size;
    if (disk->size_count == DISK_SIZES_MAX)
        memmove(disk->sizes, disk->sizes + 1, --disk->size_count * sizeof disk->sizes[0]);
    disk->sizes[disk->size_count++] = size;
}

static void add_version(struct disk *disk, size_t sector)
{
    if (disk->version_count == disk->version_room) {
        disk->version_room = disk->version_room * 2 + 64;
        disk->versions = resize(disk->versions, disk->version_room * sizeof disk->versions[0]);
    }
    struct disk_version *version = &disk->versions[disk->version_count++];
    version->sector = sector;
    version->write = disk->writes;
    memcpy(version->bytes, disk->cache + sector * SECTOR_SIZE, SECTOR_SIZE);
}

void disk_write(struct disk *disk, const void *bytes, size_t size, size_t offset)
{
    if (size == 0)
        return;
    disk_grow(disk, offset + size);
    memcpy(disk->cache + offset, bytes, size);
    for (size_t i = offset / SECTOR_SIZE; i <= (offset + size - 1) / SECTOR_SIZE; i++)
        add_version(disk, i);
    disk->writes++;
}

static void apply(uint8_t *image, const struct disk_version *version)
{
    memcpy(image + version->sector * SECTOR_SIZE, version->bytes, SECTOR_SIZE);
}

void disk_sync(struct disk *disk, size_t keep)
{
    size_t left = 0;
    for (size_t i = 0; i < disk->version_count; i++) {
        if (disk->versions[i].write + keep < disk->writes)
            apply(disk->synced, &disk->versions[i]);
        else
            disk->versions[left++] = disk->versions[i];
    }
    disk->version_count = left;
    disk->synced_size = disk->cache_size;
    disk->size_count = 0;
}

static bool is_in_last_write(const struct disk *disk, size_t sector)
{
    for (size_t i = disk->version_count; i > 0; i--) {
        const struct disk_version *version = &disk->versions[i - 1];
        if (version->write + 1 != disk->writes)
            return false;
        if (version->sector == sector)
            return true;
    }
    return false;
}

void disk_sync_last(struct disk *disk)
{
    size_t first = disk->version_count, left = 0;
    while (first > 0 && disk->versions[first - 1].write + 1 == disk->writes) {
        size_t end = (disk->versions[--first].sector + 1) * SECTOR_SIZE;
        apply(disk->synced, &disk->versions[first]);
        if (disk->synced_size < end)
            disk->synced_size = end < disk->cache_size ? end : disk->cache_size;
    }
    // A disk does not go back to an older version of a sector.
    for (size_t i = 0; i < first; i++)
        if (!is_in_last_write(disk, disk->versions[i].sector))
            disk->versions[left++] = disk->versions[i];
    disk->version_count = left;
}

void disk_image(const struct disk *disk, const bool *chosen, size_t size, uint8_t *image)
{
    size_t old = disk->synced_size < size ? disk->synced_size : size;
    memcpy(image, disk->synced, old);
    memset(image + old, 0, size - old);
    for (size_t i = 0; i < disk->version_count; i++) {
        size_t at = disk->versions[i].sector * SECTOR_SIZE;
        if (chosen[i] && at < size)
            memcpy(image + at, disk->versions[i].bytes,
                   size - at < SECTOR_SIZE ? size - at : SECTOR_SIZE);
    }
}

size_t disk_least_size(const struct disk *disk, const bool *chosen)
{
    size_t size = disk->synced_size;
    for (size_t i = 0; i < disk->version_count; i++) {
        size_t end = (disk->versions[i].sector + 1) * SECTOR_SIZE;
        if (chosen[i] && end > size)
            size = end < disk->cache_size ? end : disk->cache_size;
    }
    return size;
}
