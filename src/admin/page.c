// Serves the files of the live page.
#include "page.h"

#include "ghatrace/base/buffer.h"
#include "ghatrace/http/accept.h"

#define WEAK SLICE("W/")

static const struct page_file *find_file(struct slice name)
{
    for (size_t i = 0; i < page_file_count; i++)
        if (slice_equals(name, slice_from_string(page_files[i].name)))
            return &page_files[i];
    return NULL;
}

const struct page_file *page_file_of(struct slice path)
{
    struct slice version = slice_from_string(page_version);
    if (!slice_starts_with(path, SLICE(PAGE_FILES_PREFIX)))
        return NULL;
    struct slice rest = slice_skip(path, sizeof PAGE_FILES_PREFIX - 1);
    if (!slice_starts_with(rest, version))
        return NULL;
    rest = slice_skip(rest, version.len);
    return slice_starts_with(rest, SLICE("/")) ? find_file(slice_skip(rest, 1)) : NULL;
}

bool page_is_known(struct slice if_none_match, struct slice version)
{
    while (if_none_match.len > 0) {
        struct slice tag = http_list_next(&if_none_match);
        if (slice_equals(tag, SLICE("*")))
            return true;
        if (slice_starts_with(tag, WEAK))
            tag = slice_skip(tag, WEAK.len);
        if (tag.len == version.len + 2 && tag.data[0] == '"' && tag.data[tag.len - 1] == '"' &&
            slice_equals((struct slice){tag.data + 1, version.len}, version))
            return true;
    }
    return false;
}

static void send_file(const struct page_file *file, const struct admin_request *request,
                      struct admin_response *reply)
{
    bool is_gzip = http_head_accepts_gzip(request->head);
    struct slice body = is_gzip ? file->compressed : file->body;
    struct buffer out;

    buffer_init(&out, body.len);
    if (buffer_append_slice(&out, body) == ERROR_NONE) {
        if (is_gzip)
            admin_response_set_field(reply, "Content-Encoding", "gzip");
        admin_response_send(reply, 200, file->content_type, &out);
    } else {
        admin_response_error(reply, 503, "out of memory");
    }
    buffer_release(&out);
}

void page_handle_index(void *context, const struct admin_request *request,
                       struct admin_response *reply)
{
    struct slice known = http_head_get(request->head, SLICE("if-none-match"), NULL);

    (void)context;
    admin_response_set_field(reply, "Cache-Control", "no-cache");
    admin_response_set_field(reply, "Vary", "Accept-Encoding");
    admin_response_set_field(reply, "ETag", page_etag);
    if (page_is_known(known, slice_from_string(page_version)))
        admin_response_send(reply, 304, NULL, NULL);
    else
        send_file(find_file(SLICE("index.html")), request, reply);
}

void page_handle_file(void *context, const struct admin_request *request,
                      struct admin_response *reply)
{
    const struct page_file *file = page_file_of(request->path);

    (void)context;
    if (file == NULL) {
        admin_response_error(reply, 404, "not found: the page has changed, load it again");
        return;
    }
    admin_response_set_field(reply, "Cache-Control", "public, max-age=31536000, immutable");
    admin_response_set_field(reply, "Vary", "Accept-Encoding");
    send_file(file, request, reply);
}
