// The labels that a job requests, as one text.
#include "ghatrace/trace/labels.h"

#include <stdint.h>
#include <stdlib.h>

#include "ghatrace/base/glob.h"
#include "ghatrace/base/utf8.h"

#define FEW_LABELS 16 // sorted without an allocation; jobs have one to five

static char lower_label_char(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_escaped(char c)
{
    return c == ',' || c == '\\';
}

// --- order -------------------------------------------------------------------------------------------
//
// Labels are ordered by their escaped texts, so that a text can be sorted again without unescaping its labels.

static int compare_characters(char a, char b)
{
    int first_a = (uint8_t)(is_escaped(a) ? '\\' : a);
    int first_b = (uint8_t)(is_escaped(b) ? '\\' : b);
    return first_a != first_b ? first_a - first_b : (uint8_t)a - (uint8_t)b;
}

static int compare(struct slice a, struct slice b, bool is_folded)
{
    size_t common = a.len < b.len ? a.len : b.len;
    for (size_t i = 0; i < common; i++) {
        char x = is_folded ? lower_label_char(a.data[i]) : a.data[i];
        char y = is_folded ? lower_label_char(b.data[i]) : b.data[i];
        if (x != y)
            return compare_characters(x, y);
    }
    return (a.len > b.len) - (a.len < b.len);
}

static int compare_as_spelled(const void *left, const void *right)
{
    return compare(*(const struct slice *)left, *(const struct slice *)right, false);
}

// Spellings of one label are adjacent, the first by bytes in front.
static int compare_by_identity(const void *left, const void *right)
{
    const struct slice *a = left, *b = right;
    int order = compare(*a, *b, true);
    return order != 0 ? order : compare(*a, *b, false);
}

static int compare_bytes(const void *left, const void *right)
{
    return slice_compare(*(const struct slice *)left, *(const struct slice *)right);
}

static void sort(struct slice *labels, size_t count, int (*order)(const void *, const void *))
{
    if (count > FEW_LABELS) {
        qsort(labels, count, sizeof *labels, order);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        struct slice label = labels[i];
        size_t at = i;
        for (; at > 0 && order(&labels[at - 1], &label) > 0; at--)
            labels[at] = labels[at - 1];
        labels[at] = label;
    }
}

// --- joining -----------------------------------------------------------------------------------------

static size_t escaped_length(struct slice label)
{
    size_t len = label.len;
    for (size_t i = 0; i < label.len; i++)
        len += is_escaped(label.data[i]) ? 1 : 0;
    return len;
}

// The longest prefix of the label that fits into `room` bytes when escaped, truncated at a character boundary.
static struct slice cut_label(struct slice label, size_t room)
{
    size_t len = 0, used = 0;
    while (len < label.len) {
        used += is_escaped(label.data[len]) ? 2 : 1;
        if (used > room)
            return utf8_cut(label, len);
        len++;
    }
    return label;
}

static bool is_among(struct slice label, const struct slice *labels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equals_ignoring_case(labels[i], label))
            return true;
    return false;
}

// Moves the labels that fit to the front, without duplicates, and returns how many. `labels` are in the order of
// identity, which does not depend on case, so neither does the selection.
static size_t keep_fitting_labels(struct slice *labels, size_t count)
{
    size_t kept = 0, len = 0;
    for (size_t i = 0; i < count; i++) {
        size_t comma = kept > 0 ? 1 : 0;
        size_t wanted = comma + escaped_length(labels[i]);
        if (kept > 0 && slice_equals_ignoring_case(labels[i], labels[kept - 1]))
            continue;
        if (len + wanted > LABELS_TEXT_MAX) {
            struct slice part = cut_label(
                labels[i], LABELS_TEXT_MAX > len + comma ? LABELS_TEXT_MAX - len - comma : 0);
            if (part.len > 0 && !is_among(part, labels, kept))
                labels[kept++] = part;
            return kept;
        }
        labels[kept++] = labels[i];
        len += wanted;
    }
    return kept;
}

static size_t write_joined(const struct slice *labels, size_t count, char text[LABELS_TEXT_MAX])
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            text[len++] = ',';
        for (size_t at = 0; at < labels[i].len; at++) {
            if (is_escaped(labels[i].data[at]))
                text[len++] = '\\';
            text[len++] = labels[i].data[at];
        }
    }
    return len;
}

bool labels_join(const struct slice *labels, size_t count, struct arena *arena,
                 struct slice *joined)
{
    struct slice few[FEW_LABELS];
    struct slice *sorted = few;
    char text[LABELS_TEXT_MAX];
    size_t used = 0;
    *joined = SLICE_EMPTY;
    if (count == 1 && escaped_length(labels[0]) == labels[0].len) {
        *joined = utf8_cut(labels[0], LABELS_TEXT_MAX);
        return true;
    }
    if (count > FEW_LABELS)
        sorted = arena_allocate_array(arena, count, sizeof *sorted);
    if (sorted == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (labels[i].len > 0)
            sorted[used++] = labels[i];
    sort(sorted, used, compare_by_identity);
    used = keep_fitting_labels(sorted, used);
    sort(sorted, used, compare_as_spelled);
    size_t len = write_joined(sorted, used, text);
    return len == 0 || arena_copy_slice(arena, (struct slice){text, len}, joined);
}

// --- identity ----------------------------------------------------------------------------------------

static bool is_folded(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (lower_label_char(text.data[i]) != text.data[i])
            return false;
    return true;
}

// The escaped labels of a text.
static size_t find_labels(struct slice text, struct slice labels[LABELS_TEXT_MAX])
{
    size_t count = 0, start = 0;
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && text.data[i] == '\\') {
            i++;
        } else if (i == text.len || text.data[i] == ',') {
            labels[count++] = (struct slice){text.data + start, i - start};
            start = i + 1;
        }
    }
    return count;
}

// Lower-case text is sorted already.
struct slice labels_identity(struct slice joined, char room[LABELS_TEXT_MAX])
{
    struct slice labels[LABELS_TEXT_MAX + 1];
    char folded[LABELS_TEXT_MAX];
    size_t len = 0;
    joined = utf8_cut(joined, LABELS_TEXT_MAX);
    if (is_folded(joined))
        return joined;
    for (size_t i = 0; i < joined.len; i++)
        folded[i] = lower_label_char(joined.data[i]);
    size_t count = find_labels((struct slice){folded, joined.len}, labels);
    sort(labels, count, compare_bytes);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            room[len++] = ',';
        memcpy(room + len, labels[i].data, labels[i].len);
        len += labels[i].len;
    }
    return (struct slice){room, len};
}

bool labels_are_same(struct slice joined, struct slice other_joined)
{
    char room[LABELS_TEXT_MAX], other_room[LABELS_TEXT_MAX];
    return slice_equals(labels_identity(joined, room), labels_identity(other_joined, other_room));
}

// --- splitting ---------------------------------------------------------------------------------------

bool labels_next(struct slice *rest, char *room, struct slice *label)
{
    size_t at = 0, len = 0;
    if (rest->len == 0)
        return false;
    while (at < rest->len && rest->data[at] != ',') {
        if (rest->data[at] == '\\' && at + 1 < rest->len && is_escaped(rest->data[at + 1]))
            at++;
        room[len++] = rest->data[at++];
    }
    at += at < rest->len ? 1 : 0;
    *label = (struct slice){room, len};
    *rest = (struct slice){rest->data + at, rest->len - at};
    return true;
}

bool labels_split(struct slice joined, struct arena *arena, struct slice **labels, size_t *count)
{
    struct slice rest = joined;
    struct slice label;
    size_t most = 1;
    for (size_t i = 0; i < joined.len; i++)
        most += joined.data[i] == ',' ? 1 : 0;
    char *room = arena_allocate(arena, joined.len + 1);
    *labels = arena_allocate_array(arena, most, sizeof **labels);
    *count = 0;
    if (room == NULL || *labels == NULL)
        return false;
    while (labels_next(&rest, room, &label)) {
        (*labels)[(*count)++] = label;
        room += label.len;
    }
    return true;
}

// --- globs on labels and groups ----------------------------------------------------------------------

static bool matches_any(struct slice glob, const struct slice *labels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (glob_matches(glob, labels[i]))
            return true;
    return false;
}

bool runner_globs_select(const struct runner_globs *globs, const struct slice *labels,
                         size_t label_count, struct slice group)
{
    for (size_t i = globs->count; i-- > 0;) {
        struct slice glob = globs->items[i];
        bool is_exclusion = slice_starts_with(glob, SLICE("!"));
        if (is_exclusion)
            glob = slice_skip(glob, 1);
        if (matches_any(glob, labels, label_count) || glob_matches(glob, group))
            return !is_exclusion;
    }
    return false;
}
