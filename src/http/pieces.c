// Responses whose bodies are made in pieces: framing, compression, and whose turn it is.
#include <assert.h>

#include "conn.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/http/gzip.h"
#include "ghatrace/http/write.h"

struct http_pieces {
    struct http_producer producer;
    struct gzip_stream *gzip; // NULL: not compressed
    struct buffer head;       // sent with the first bytes of the body
    bool is_begun;            // it was sent
    bool is_chunked;          // else the body ends with the connection
    bool keep_alive;
};

// --- whose turn it is -----------------------------------------------------------------------------
// One piece in each turn of the loop, after the first of each response: what else the loop does waits for one at most,
// however many clients read.

static void make_due(struct http_conn *conn)
{
    struct http_server *host = conn->host;

    assert(conn->state == HTTP_CONN_PRODUCING && !conn->is_due);
    if (TAILQ_EMPTY(&host->due))
        net_timer_set(host->next_piece, 0);
    TAILQ_INSERT_TAIL(&host->due, conn, due);
    conn->is_due = true;
}

static void stop_being_due(struct http_conn *conn)
{
    if (!conn->is_due)
        return;
    TAILQ_REMOVE(&conn->host->due, conn, due);
    conn->is_due = false;
}

// --- life cycle -----------------------------------------------------------------------------------

// The buffers are shared, and only filled inside a turn.
static void release_buffers(struct http_server *host)
{
    buffer_release(&host->piece);
    buffer_release(&host->packed);
    buffer_release(&host->framed);
}

static void free_pieces(struct http_pieces *pieces)
{
    gzip_stream_destroy(pieces->gzip);
    buffer_release(&pieces->head);
    memory_free(pieces);
}

static struct http_pieces *create_pieces(const struct http_producer *producer)
{
    struct http_pieces *pieces = memory_allocate_array(1, sizeof *pieces);

    if (pieces == NULL)
        return NULL;
    pieces->producer = *producer;
    buffer_init(&pieces->head, HTTP_HEAD_BYTES_MAX);
    if (producer->is_gzip)
        pieces->gzip = gzip_stream_create();
    if (!producer->is_gzip || pieces->gzip != NULL)
        return pieces;
    free_pieces(pieces);
    return NULL;
}

void http_pieces_end(struct http_conn *conn)
{
    struct http_pieces *pieces = conn->pieces;
    struct http_server *host = conn->host;

    conn->pieces = NULL;
    stop_being_due(conn);
    pieces->producer.on_end(pieces->producer.context);
    free_pieces(pieces);
    assert(host->producing > 0);
    if (--host->producing == 0)
        release_buffers(host);
}

// --- a piece --------------------------------------------------------------------------------------

static enum error_code frame_part(const struct http_pieces *pieces, struct slice part, bool is_last,
                                  struct buffer *out)
{
    if (!pieces->is_chunked)
        return buffer_append_slice(out, part);
    enum error_code code = http_write_chunk(out, part);
    return code == ERROR_NONE && is_last ? http_write_last_chunk(out) : code;
}

// Makes the bytes to send of what was produced; none if the compression holds all of it back.
static enum error_code frame_piece(struct http_pieces *pieces, struct http_server *host,
                                   bool is_last)
{
    struct slice part = buffer_slice(&host->piece);
    enum error_code code = ERROR_NONE;

    buffer_clear(&host->framed);
    if (pieces->gzip != NULL) {
        buffer_clear(&host->packed);
        code = gzip_stream_add(pieces->gzip, part, is_last, &host->packed);
        part = buffer_slice(&host->packed);
    }
    if (code != ERROR_NONE || (part.len == 0 && !is_last))
        return code;
    code = buffer_append_slice(&host->framed, buffer_slice(&pieces->head));
    return code == ERROR_NONE ? frame_part(pieces, part, is_last, &host->framed) : code;
}

static void respond_unavailable(struct http_conn *conn, const char *message)
{
    struct http_response response;

    http_conn_set_error_response(conn, 503, message, &response);
    http_conn_respond(conn, &response);
}

// Before the first byte an error can be sent; after it, the body ends without its last chunk.
static void fail_response(struct http_conn *conn, const struct error *error)
{
    if (conn->pieces->is_begun) {
        log_warn("response cut short", LOG_REASON(error));
        http_conn_close(conn);
        return;
    }
    respond_unavailable(conn, error->message);
}

static void wait_for_client(struct http_conn *conn)
{
    net_connection_notify_sent(conn->connection);
    http_server_retry_eviction(conn->host);
}

static void send_framed(struct http_conn *conn, bool is_last)
{
    const struct buffer *framed = &conn->host->framed;
    bool keep_alive = conn->pieces->keep_alive && !conn->host->is_stopping;

    if (framed->len > 0) {
        conn->pieces->is_begun = true;
        buffer_release(&conn->pieces->head);
    }
    // Out of memory, or the client has disconnected: the connection can only be closed.
    if (net_connection_write(conn->connection, framed->data, framed->len) != ERROR_NONE)
        http_conn_close(conn);
    else if (is_last)
        http_conn_end_response(conn, keep_alive);
    else if (framed->len > 0)
        wait_for_client(conn);
    else
        make_due(conn);
}

static void send_piece(struct http_conn *conn)
{
    struct http_server *host = conn->host;
    struct http_pieces *pieces = conn->pieces;
    struct error error = {.code = ERROR_NONE};
    bool is_last = false;

    buffer_clear(&host->piece);
    enum error_code code =
        pieces->producer.produce(pieces->producer.context, &host->piece, &is_last, &error);
    if (code == ERROR_NONE) {
        code = frame_piece(pieces, host, is_last);
        error_set(&error, code, "%s", error_code_text(code));
    }
    if (code == ERROR_NONE)
        send_framed(conn, is_last);
    else
        fail_response(conn, &error);
}

void http_server_send_next_piece(void *context)
{
    struct http_server *host = context;
    struct http_conn *conn = TAILQ_FIRST(&host->due);

    if (conn == NULL)
        return;
    stop_being_due(conn);
    if (!TAILQ_EMPTY(&host->due))
        net_timer_set(host->next_piece, 0);
    send_piece(conn);
}

void http_conn_continue_pieces(struct http_conn *conn)
{
    make_due(conn);
}

// --- the response ---------------------------------------------------------------------------------

// `pieces` is not NULL.
static enum error_code write_head(const struct http_conn *conn,
                                  const struct http_response *response, struct http_pieces *pieces)
{
    pieces->is_chunked = conn->parser.message.minor_version > 0;
    pieces->keep_alive = pieces->is_chunked && http_conn_may_read_next(conn);
    return http_response_write_head(response, timestamp_now(), pieces->keep_alive,
                                    pieces->is_chunked ? HTTP_LENGTH_CHUNKED : HTTP_LENGTH_UNKNOWN,
                                    &pieces->head);
}

static void send_head_alone(struct http_conn *conn, struct http_pieces *pieces)
{
    bool keep_alive = pieces->keep_alive;
    enum error_code code =
        net_connection_write(conn->connection, pieces->head.data, pieces->head.len);

    if (code == ERROR_NONE)
        http_conn_end_response(conn, keep_alive);
    else
        http_conn_close(conn);
}

void http_conn_respond_in_pieces(struct http_conn *conn, const struct http_response *response,
                                 const struct http_producer *producer)
{
    bool is_head = slice_equals(conn->parser.message.method, SLICE("HEAD"));
    struct http_pieces *pieces = http_conn_is_over(conn) ? NULL : create_pieces(producer);

    if (pieces != NULL && write_head(conn, response, pieces) == ERROR_NONE && !is_head) {
        conn->pieces = pieces;
        conn->host->producing++;
        http_conn_move(conn, HTTP_CONN_PRODUCING);
        net_connection_set_deadline(conn->connection, conn->host->output_deadline);
        send_piece(conn); // so that requests do not come in faster than they are answered
        return;
    }
    if (pieces != NULL && pieces->head.len > 0)
        send_head_alone(conn, pieces);
    else if (!http_conn_is_over(conn))
        respond_unavailable(conn, "out of memory");
    if (pieces != NULL)
        free_pieces(pieces);
    producer->on_end(producer->context);
}
