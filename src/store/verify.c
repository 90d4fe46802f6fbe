// A look at the file before LMDB maps it. LMDB trusts what it finds: a page cut off is a SIGBUS, a damaged one
// a wild read. Here pages are read, not mapped, and checked for the shape that LMDB 0.9 gives them
// (lmdb.h, "MDB_DATA_VERSION 1"; its mdb.c: MDB_meta, MDB_page, MDB_node).
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ghatrace/base/memory.h"
#include "lmdb.h"

#define META_MAGIC 0xBEEFC0DEu
#define META_VERSION 1
#define META_BYTES 152
#define PAGE_HEADER 16
#define PAGE_MAX 65536
#define NODE_HEADER 8
#define TREE_DEPTH_MAX 32 // LMDB's own limit (CURSOR_STACK)
// Pages looked at: half a GiB of them takes a second or so from a slow disk, and is more than a store
// that works as it should ever holds. What lies beyond is met by the guard of the map.
#define PAGES_MAX 131072

enum { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum { NODE_BIG = 1, NODE_TREE = 2 };
#define NO_PAGE UINT64_MAX

struct tree {
    uint64_t root;
    unsigned depth;
};

struct checker {
    const char *path;
    int fd;
    uint64_t file_bytes;
    size_t page_bytes;
    uint64_t last_page; // of the newest meta page
    uint64_t transaction;
    struct tree trees[2]; // free pages, and the main one
    size_t pages_left;
    struct error *error;
};

static uint64_t get(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0; // the file is in the machine's own order, as LMDB writes it
    memcpy(&value, bytes, size);
    return value;
}

static enum error_code say_damaged(const struct checker *checker, uint64_t page, const char *how)
{
    return error_set(checker->error, ERROR_CORRUPT,
                     "%s is damaged: page %llu %s; restore it, or move the folder away to start "
                     "afresh",
                     checker->path, (unsigned long long)page, how);
}

static enum error_code read_at(struct checker *checker, uint64_t page, uint8_t *bytes, size_t size)
{
    ssize_t len = pread(checker->fd, bytes, size, (off_t)(page * checker->page_bytes));
    if (len < 0)
        return error_set(checker->error, ERROR_IO, "read %s: %s", checker->path, strerror(errno));
    return (size_t)len == size ? ERROR_NONE : say_damaged(checker, page, "is cut off");
}

static struct tree read_tree(const uint8_t *record)
{
    return (struct tree){.root = get(record + 40, 8), .depth = (unsigned)get(record + 6, 2)};
}

// One of the two meta pages; the newer one counts.
static enum error_code read_meta(struct checker *checker, uint64_t number)
{
    uint8_t page[META_BYTES];
    enum error_code code = read_at(checker, number, page, sizeof page);
    if (code != ERROR_NONE)
        return code;
    const uint8_t *meta = page + PAGE_HEADER;
    if ((get(page + 10, 2) & PAGE_META) == 0 || get(meta, 4) != META_MAGIC)
        return error_set(checker->error, ERROR_CORRUPT,
                         "%s is not an LMDB file (or its beginning is damaged): choose another "
                         "--db, or move it away to start afresh",
                         checker->path);
    if (get(meta + 4, 4) != META_VERSION)
        return error_set(checker->error, ERROR_VERSION, "%s has an LMDB format that is not ours",
                         checker->path);
    uint64_t transaction = get(meta + 128, 8);
    if (number == 0)
        checker->page_bytes = get(meta + 24, 4);
    size_t size = checker->page_bytes;
    if (size < 512 || size > PAGE_MAX || (size & (size - 1)) != 0)
        return say_damaged(checker, number, "tells of an impossible size of pages");
    if (number == 0 || transaction > checker->transaction) {
        checker->transaction = transaction;
        checker->last_page = get(meta + 120, 8);
        checker->trees[0] = read_tree(meta + 24);
        checker->trees[1] = read_tree(meta + 72);
    }
    return ERROR_NONE;
}

static enum error_code check_tree(struct checker *checker, struct tree tree, bool has_trees);
static enum error_code check_page(struct checker *checker, uint64_t number, unsigned depth,
                                  bool has_trees);

// Data that has pages of its own.
static enum error_code check_overflow(struct checker *checker, uint64_t number, uint64_t size)
{
    uint8_t header[PAGE_HEADER];
    if (number > checker->last_page)
        return say_damaged(checker, number, "lies behind the last one");
    enum error_code code = read_at(checker, number, header, sizeof header);
    if (code != ERROR_NONE)
        return code;
    uint64_t pages = get(header + 12, 4);
    if (get(header, 8) != number || (get(header + 10, 2) & PAGE_OVERFLOW) == 0)
        return say_damaged(checker, number, "is not what it should be");
    if (pages > checker->last_page - number + 1 || size + PAGE_HEADER > pages * checker->page_bytes)
        return say_damaged(checker, number, "is too short");
    if ((number + pages) * checker->page_bytes > checker->file_bytes)
        return say_damaged(checker, number, "is cut off");
    return ERROR_NONE;
}

static enum error_code check_leaf_node(struct checker *checker, uint64_t number,
                                       const uint8_t *node, size_t room, bool has_trees)
{
    uint64_t size = get(node, 2) | get(node + 2, 2) << 16;
    uint64_t flags = get(node + 4, 2);
    uint64_t key_len = get(node + 6, 2);
    const uint8_t *data = node + NODE_HEADER + key_len;
    uint64_t held = (flags & NODE_BIG) != 0 ? 8 : size;
    if (NODE_HEADER + key_len + held > room)
        return say_damaged(checker, number, "holds an entry that leaves it");
    if ((flags & NODE_BIG) != 0)
        return check_overflow(checker, get(data, 8), size);
    if (has_trees && (flags & NODE_TREE) != 0 && size == 48)
        return check_tree(checker, read_tree(data), false);
    return ERROR_NONE;
}

static enum error_code check_nodes(struct checker *checker, uint64_t number, const uint8_t *page,
                                   unsigned depth, bool has_trees)
{
    bool is_leaf = (get(page + 10, 2) & PAGE_LEAF) != 0;
    uint64_t lower = get(page + 12, 2);
    uint64_t upper = get(page + 14, 2);
    if (lower < PAGE_HEADER || lower > upper || upper > checker->page_bytes || lower % 2 != 0)
        return say_damaged(checker, number, "has impossible bounds");
    enum error_code code = ERROR_NONE;
    for (size_t at = PAGE_HEADER; at < lower && code == ERROR_NONE; at += 2) {
        uint64_t offset = get(page + at, 2);
        if (offset < upper || offset + NODE_HEADER > checker->page_bytes)
            return say_damaged(checker, number, "holds an entry that leaves it");
        const uint8_t *node = page + offset;
        size_t room = checker->page_bytes - offset;
        if (is_leaf)
            code = check_leaf_node(checker, number, node, room, has_trees);
        else if (NODE_HEADER + get(node + 6, 2) > room)
            code = say_damaged(checker, number, "holds a key that leaves it");
        else
            code =
                check_page(checker, get(node, 2) | get(node + 2, 2) << 16 | get(node + 4, 2) << 32,
                           depth - 1, has_trees);
    }
    return code;
}

static enum error_code check_page(struct checker *checker, uint64_t number, unsigned depth,
                                  bool has_trees)
{
    if (checker->pages_left == 0)
        return ERROR_NONE;
    checker->pages_left--;
    if (number < 2 || number > checker->last_page)
        return say_damaged(checker, number, "is pointed at and cannot be");
    uint8_t *page = memory_allocate(checker->page_bytes);
    if (page == NULL)
        return error_set(checker->error, ERROR_MEMORY, "check %s: out of memory", checker->path);
    enum error_code code = read_at(checker, number, page, checker->page_bytes);
    uint64_t kind = depth == 1 ? PAGE_LEAF : PAGE_BRANCH;
    if (code == ERROR_NONE && (get(page, 8) != number || (get(page + 10, 2) & 0xf) != kind))
        code = say_damaged(checker, number, "is not what it should be");
    if (code == ERROR_NONE)
        code = check_nodes(checker, number, page, depth, has_trees);
    memory_free(page);
    return code;
}

static enum error_code check_tree(struct checker *checker, struct tree tree, bool has_trees)
{
    if (tree.root == NO_PAGE)
        return ERROR_NONE;
    if (tree.depth == 0 || tree.depth > TREE_DEPTH_MAX)
        return say_damaged(checker, tree.root, "is the root of an impossible tree");
    return check_page(checker, tree.root, tree.depth, has_trees);
}

static enum error_code check_file(struct checker *checker)
{
    checker->page_bytes = META_BYTES; // until the first one tells
    enum error_code code = read_meta(checker, 0);
    if (code == ERROR_NONE)
        code = read_meta(checker, 1);
    if (code != ERROR_NONE)
        return code;
    // Its length proves nothing: pages at the end that were given back at once are never written.
    code = check_tree(checker, checker->trees[0], false);
    return code == ERROR_NONE ? check_tree(checker, checker->trees[1], true) : code;
}

enum error_code store_verify_file(const char *path, struct error *error)
{
    struct stat status;
    struct checker checker = {.path = path, .pages_left = PAGES_MAX, .error = error};
    checker.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (checker.fd < 0 && errno == ENOENT)
        return ERROR_NONE;
    if (checker.fd < 0)
        return error_set(error, ERROR_IO, "open %s: %s", path, strerror(errno));
    enum error_code code = ERROR_NONE;
    if (fstat(checker.fd, &status) != 0)
        code = error_set(error, ERROR_IO, "look at %s: %s", path, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        code = error_set(error, ERROR_IO, "%s is not a file: choose another --db", path);
    else if (status.st_size > 0) { // an empty one is what LMDB makes first
        checker.file_bytes = (uint64_t)status.st_size;
        code = check_file(&checker);
    }
    (void)close(checker.fd); // only read from; LMDB has not opened it yet
    return code;
}
