// A file of headers for an export.
#include "header_reader.h"

static void check_header_file(void *context)
{
    const struct header_reader *reader = context;
    export_header_file_look(reader->file, timestamp_monotonic());
}

static void read_header_file_now(void *context)
{
    struct header_reader *reader = context;
    reader->is_read_posted = false;
    if (reader->file != NULL)
        (void)export_header_file_read(reader->file);
}

// After a 401. Deferred, so that the failure is recorded first and new headers end its wait.
static void read_headers_soon(void *context)
{
    struct header_reader *reader = context;
    if (reader->is_read_posted)
        return;
    reader->is_read_posted = true;
    net_loop_post(reader->loop, &reader->read);
}

enum error_code header_reader_open(struct header_reader *reader, const char *path,
                                   struct export_options *export, struct error *error)
{
    *reader = (struct header_reader){.loop = export->loop};
    if (path == NULL)
        return ERROR_NONE;
    enum error_code code =
        export_header_file_open(path, export->headers, export->header_count, &reader->file, error);
    if (code != ERROR_NONE)
        return code;
    export->headers = export_header_file_headers(reader->file, &export->header_count);
    reader->read = (struct net_task){.run = read_header_file_now, .context = reader};
    export->before_request = check_header_file;
    export->before_request_context = reader;
    export->on_unauthorized = read_headers_soon;
    export->on_unauthorized_context = reader;
    return ERROR_NONE;
}

enum error_code header_reader_read(const struct header_reader *reader, struct error *error)
{
    struct export_header_file_status status;
    if (reader->file == NULL || export_header_file_read(reader->file))
        return ERROR_NONE;
    export_header_file_read_status(reader->file, &status);
    return error_set(error, ERROR_USAGE, "%s", status.reason);
}

void header_reader_close(struct header_reader *reader)
{
    export_header_file_close(reader->file);
    reader->file = NULL;
}
