// A file system in memory that loses what was not synced when it is killed, as a disk does at a power cut.
//
//     lossy BACKING MOUNTPOINT SEED
//
// BACKING, a folder of its own, holds what is on the disk: what was synced, and by chance parts of the rest, in
// sectors of 512 bytes, and entries of folders that were not synced. `kill -9` is the power cut; a new one continues
// with what BACKING has. It serves one call after the other. It is only as complete as a store needs: files and
// folders; what is removed or renamed is so at once.
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512
#define NODES_MAX 64
#define FILE_MAX ((size_t)256 << 20)

struct node {
    char path[200];
    bool is_used, is_folder;
    bool is_listed; // its entry is on the disk
    int number;     // of its file in BACKING
    int backing;    // descriptor of that
    uint8_t *bytes; // as programs see it
    size_t size;
    bool *is_dirty; // by sector: not on the disk
};

static struct node nodes[NODES_MAX];
static int next_number = 1, backing_folder;
static uint64_t seed;
static unsigned chance; // in percent, that something is on the disk before it is synced

// --- what is on the disk ----------------------------------------------------------------------------------------

static bool by_chance(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (seed * UINT64_C(2685821657736338717) >> 33) % 100 < chance;
}

// The power cut may come at any instant: the list is replaced as a whole.
static void store_list(void)
{
    FILE *file =
        fdopen(openat(backing_folder, "list.new", O_WRONLY | O_CREAT | O_TRUNC, 0600), "w");
    if (file == NULL)
        abort();
    for (size_t i = 0; i < NODES_MAX; i++)
        if (nodes[i].is_used && nodes[i].is_listed)
            fprintf(file, "%d %d %s\n", nodes[i].number, nodes[i].is_folder, nodes[i].path);
    if (fclose(file) != 0 || renameat(backing_folder, "list.new", backing_folder, "list") != 0)
        abort();
}

static void store_sector(struct node *node, size_t sector)
{
    size_t at = sector * SECTOR, len = node->size - at < SECTOR ? node->size - at : SECTOR;
    if (at >= node->size)
        return;
    if (pwrite(node->backing, node->bytes + at, len, (off_t)at) != (ssize_t)len)
        abort();
    node->is_dirty[sector] = false;
}

static void store_file(struct node *node)
{
    for (size_t i = 0; i * SECTOR < node->size; i++)
        if (node->is_dirty[i])
            store_sector(node, i);
    if (ftruncate(node->backing, (off_t)node->size) != 0)
        abort();
}

// --- nodes --------------------------------------------------------------------------------------------------------

static struct node *find(const char *path)
{
    for (size_t i = 0; i < NODES_MAX; i++)
        if (nodes[i].is_used && strcmp(nodes[i].path, path) == 0)
            return &nodes[i];
    return NULL;
}

static struct node *add(const char *path, bool is_folder, int number)
{
    char name[32];
    size_t i = 0;
    while (i < NODES_MAX && nodes[i].is_used)
        i++;
    if (i == NODES_MAX || strlen(path) >= sizeof nodes[i].path)
        return NULL;
    struct node *node = &nodes[i];
    *node = (struct node){.is_used = true, .is_folder = is_folder, .number = number, .backing = -1};
    (void)snprintf(node->path, sizeof node->path, "%s", path);
    next_number = number >= next_number ? number + 1 : next_number;
    if (is_folder)
        return node;
    (void)snprintf(name, sizeof name, "%d", number);
    node->backing = openat(backing_folder, name, O_RDWR | O_CREAT, 0600);
    node->bytes = calloc(1, FILE_MAX); // pages that are not written take no memory
    node->is_dirty = calloc(FILE_MAX / SECTOR, sizeof(bool));
    if (node->backing < 0 || node->bytes == NULL || node->is_dirty == NULL)
        abort();
    return node;
}

static void drop(struct node *node)
{
    if (node->backing >= 0)
        (void)close(node->backing);
    free(node->bytes);
    free(node->is_dirty);
    *node = (struct node){.is_used = false};
}

// True for /a/b if the folder is /a, or for /a if it is "/".
static bool is_in(const struct node *node, const char *folder)
{
    const char *slash = strrchr(node->path, '/');
    size_t len = slash == node->path ? 1 : (size_t)(slash - node->path);
    return strcmp(node->path, "/") != 0 && strlen(folder) == len &&
           strncmp(node->path, folder, len) == 0;
}

static void load(void)
{
    char path[200];
    int number, is_folder;
    int fd = openat(backing_folder, "list", O_RDONLY);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    while (file != NULL && fscanf(file, "%d %d %199s\n", &number, &is_folder, path) == 3) {
        struct node *node = add(path, is_folder != 0, number);
        struct stat status;
        if (node == NULL)
            abort();
        node->is_listed = true;
        if (is_folder)
            continue;
        if (fstat(node->backing, &status) != 0 ||
            pread(node->backing, node->bytes, FILE_MAX, 0) != status.st_size)
            abort();
        node->size = (size_t)status.st_size;
    }
    if (file != NULL)
        (void)fclose(file);
    if (find("/") == NULL)
        add("/", true, 0)->is_listed = true;
}

// --- the calls ----------------------------------------------------------------------------------------------------

static int op_getattr(const char *path, struct stat *status, struct fuse_file_info *info)
{
    const struct node *node = find(path);
    (void)info;
    if (node == NULL)
        return -ENOENT;
    *status = (struct stat){.st_mode = node->is_folder ? S_IFDIR | 0700 : S_IFREG | 0600,
                            .st_nlink = node->is_folder ? 2 : 1,
                            .st_size = (off_t)node->size,
                            .st_blksize = 4096,
                            .st_blocks = (blkcnt_t)(node->size / SECTOR)};
    return 0;
}

static int op_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    (void)offset;
    (void)info;
    (void)flags;
    (void)fill(buffer, ".", NULL, 0, 0);
    (void)fill(buffer, "..", NULL, 0, 0);
    for (size_t i = 0; i < NODES_MAX; i++)
        if (nodes[i].is_used && is_in(&nodes[i], path))
            (void)fill(buffer, strrchr(nodes[i].path, '/') + 1, NULL, 0, 0);
    return 0;
}

static int make(const char *path, bool is_folder)
{
    struct node *node = find(path) == NULL ? add(path, is_folder, next_number) : NULL;
    if (node == NULL)
        return find(path) != NULL ? -EEXIST : -ENOSPC;
    node->is_listed = by_chance();
    if (node->is_listed)
        store_list();
    return 0;
}

static int op_mkdir(const char *path, mode_t mode)
{
    (void)mode;
    return make(path, true);
}

// The handle says whether each write by this descriptor is synced.
static int op_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    (void)mode;
    info->fh = (info->flags & (O_DSYNC | O_SYNC)) != 0;
    return make(path, false);
}

static int op_open(const char *path, struct fuse_file_info *info)
{
    info->fh = (info->flags & (O_DSYNC | O_SYNC)) != 0;
    return find(path) != NULL ? 0 : -ENOENT;
}

static int op_unlink(const char *path)
{
    struct node *node = find(path);
    if (node == NULL)
        return -ENOENT;
    drop(node);
    store_list();
    return 0;
}

static int op_rename(const char *from, const char *to, unsigned flags)
{
    struct node *node = find(from), *old = find(to);
    if (node == NULL || flags != 0)
        return node == NULL ? -ENOENT : -EINVAL;
    if (old != NULL)
        drop(old);
    (void)snprintf(node->path, sizeof node->path, "%s", to);
    store_list();
    return 0;
}

static int op_read(const char *path, char *bytes, size_t size, off_t offset,
                   struct fuse_file_info *info)
{
    const struct node *node = find(path);
    (void)info;
    if (node == NULL)
        return -ENOENT;
    if ((size_t)offset >= node->size)
        return 0;
    size = size < node->size - (size_t)offset ? size : node->size - (size_t)offset;
    memcpy(bytes, node->bytes + offset, size);
    return (int)size;
}

static int op_write(const char *path, const char *bytes, size_t size, off_t offset,
                    struct fuse_file_info *info)
{
    struct node *node = find(path);
    size_t end = (size_t)offset + size;
    if (node == NULL || end > FILE_MAX)
        return node == NULL ? -ENOENT : -EFBIG;
    memcpy(node->bytes + offset, bytes, size);
    node->size = end > node->size ? end : node->size;
    for (size_t i = (size_t)offset / SECTOR; size > 0 && i <= (end - 1) / SECTOR; i++) {
        node->is_dirty[i] = true;
        if (info->fh != 0 || by_chance())
            store_sector(node, i);
    }
    return (int)size;
}

static int op_truncate(const char *path, off_t size, struct fuse_file_info *info)
{
    struct node *node = find(path);
    (void)info;
    if (node == NULL || (size_t)size > FILE_MAX)
        return node == NULL ? -ENOENT : -EFBIG;
    if ((size_t)size < node->size)
        memset(node->bytes + size, 0, node->size - (size_t)size);
    node->size = (size_t)size;
    if (by_chance() && ftruncate(node->backing, size) != 0)
        abort();
    return 0;
}

// After each write by a descriptor with O_DSYNC the kernel asks for a sync, without saying of what: what was written is on
// the disk already, and the rest of the file need not be.
static int op_fsync(const char *path, int is_data_only, struct fuse_file_info *info)
{
    struct node *node = find(path);
    (void)is_data_only;
    if (node == NULL)
        return -ENOENT;
    if (info->fh == 0)
        store_file(node);
    return 0;
}

static int op_fsyncdir(const char *path, int is_data_only, struct fuse_file_info *info)
{
    (void)is_data_only;
    (void)info;
    for (size_t i = 0; i < NODES_MAX; i++)
        if (nodes[i].is_used && is_in(&nodes[i], path))
            nodes[i].is_listed = true;
    store_list();
    return 0;
}

static int op_chmod(const char *path, mode_t mode, struct fuse_file_info *info)
{
    (void)mode;
    (void)info;
    return find(path) != NULL ? 0 : -ENOENT;
}

static const struct fuse_operations operations = {
    .getattr = op_getattr,
    .readdir = op_readdir,
    .mkdir = op_mkdir,
    .create = op_create,
    .open = op_open,
    .unlink = op_unlink,
    .rename = op_rename,
    .read = op_read,
    .write = op_write,
    .truncate = op_truncate,
    .fsync = op_fsync,
    .fsyncdir = op_fsyncdir,
    .chmod = op_chmod,
};

int main(int argc, char **argv)
{
    static const unsigned chances[] = {0, 10, 50, 90};
    char single[] = "-s", foreground[] = "-f";
    if (argc != 4 || (backing_folder = open(argv[1], O_RDONLY | O_DIRECTORY)) < 0) {
        fprintf(stderr, "usage: lossy BACKING MOUNTPOINT SEED\n");
        return 2;
    }
    seed = (strtoull(argv[3], NULL, 10) + 1) * UINT64_C(0x9E3779B97F4A7C15);
    chance = chances[strtoull(argv[3], NULL, 10) % 4];
    load();
    char *arguments[] = {argv[0], argv[2], single, foreground, NULL};
    return fuse_main(4, arguments, &operations, NULL);
}
