// A TLS server and a TLS client on one loop, each with a scripted owner.
#ifndef TEST_NET_TLS_WORLD_H
#define TEST_NET_TLS_WORLD_H

#include "peer.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../src/net/tls_private.h"
#include "ghatrace/net/tls.h"
#include "support/temp_folder.h"

static struct temp_folder certificates;

static inline int make_certificates(void **state)
{
    char command[TEMP_FOLDER_PATH_SIZE + 64];

    (void)state;
    if (!temp_folder_create(&certificates))
        return -1;
    snprintf(command, sizeof command, "tests/support/make_certificates '%s'", certificates.path);
    return system(command);
}

static inline int remove_certificates(void **state)
{
    (void)state;
    return temp_folder_remove(&certificates) ? 0 : -1;
}

// One of the last few paths asked for.
static inline const char *certificate_path(const char *name)
{
    static char paths[8][TEMP_FOLDER_PATH_SIZE];
    static size_t next;
    char *path = paths[next++ % 8];

    if (name == NULL)
        return NULL;
    assert_true(temp_folder_path(&certificates, name, path));
    return path;
}

// "server" means server.pem and server.key. `ca`: NULL for none.
static inline struct net_tls *server_tls(const char *name, const char *client_ca)
{
    char pem[64], key[64];
    struct net_tls *tls;
    struct error error;

    snprintf(pem, sizeof pem, "%s.pem", name);
    snprintf(key, sizeof key, "%s.key", name);
    const struct net_tls_server_options options = {.certificate_file = certificate_path(pem),
                                                   .key_file = certificate_path(key),
                                                   .client_ca_file = certificate_path(client_ca)};
    if (net_tls_create_servers(&options, &tls, 1, &error) != ERROR_NONE)
        fail_msg("%s", error.message);
    return tls;
}

// A context that shows the certificate `name` and trusts `ca`, turned into a client's.
static inline struct net_tls *client_tls(const char *ca, const char *name)
{
    struct net_tls *tls = server_tls(name, ca);

    mbedtls_ssl_conf_endpoint(&tls->config, MBEDTLS_SSL_IS_CLIENT);
    return tls;
}

struct tls_world {
    struct net_loop *loop;
    struct net_listener *listener;
    struct net_address address;
    struct peer server; // of the connection accepted last
    struct peer client;
    int accepts;
};

static inline bool world_on_accept(void *context, struct net_connection *connection,
                                   const struct net_handler **handler, void **connection_context)
{
    struct tls_world *world = context;

    world->accepts++;
    world->server.connection = connection;
    world->server.closes = 0;
    *handler = &peer_handler;
    *connection_context = &world->server;
    return true;
}

// Takes `tls` over.
static inline void world_set_up(struct tls_world *world, struct net_tls *tls)
{
    static const struct net_accept_handler accept = {.on_accept = world_on_accept};
    const struct net_listener_options options = {
        .max_connections = 1000, .handler = &accept, .context = world};
    struct net_address any;
    struct error error;

    *world = (struct tls_world){0};
    assert_int_equal(net_loop_create(&world->loop, &error), ERROR_NONE);
    peer_init(&world->server, world->loop);
    peer_init(&world->client, world->loop);
    assert_int_equal(net_address_parse(SLICE("127.0.0.1:0"), &any, &error), ERROR_NONE);
    assert_int_equal(net_listener_create(world->loop, &any, &options, &world->listener, &error),
                     ERROR_NONE);
    world->address = *net_listener_address(world->listener);
    net_listener_use_tls(world->listener, tls);
    net_tls_unref(tls);
}

static inline int dial(const struct net_address *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address->storage, address->len), 0);
    return fd;
}

// A bare blocking socket to the server.
static inline int world_dial(const struct tls_world *world)
{
    return dial(&world->address);
}

// The client of the world: a connection of the room itself, with mbedTLS as a client. ERROR_MEMORY: none was made.
static inline enum error_code world_try_connect(struct tls_world *world, struct net_tls *tls,
                                                const struct net_address *address)
{
    struct net_connection *connection;
    struct error error;
    int fd = dial(address);

    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    enum error_code code = connection_create(world->loop, fd, address, &connection, &error);
    if (code != ERROR_NONE)
        return code;
    connection->handler = &peer_handler;
    connection->context = &world->client;
    world->client.connection = connection;
    code = connection_secure(connection, tls, &error);
    if (code == ERROR_NONE) {
        struct tls_session *session = connection->transport_state;
        assert_int_equal(mbedtls_ssl_set_hostname(&session->ssl, "localhost"), 0);
        connection_start_handshake(connection, HANDSHAKE_TIME);
    }
    if (code != ERROR_NONE)
        connection_close(connection, NET_CLOSED_BY_ERROR, code, "");
    else if (connection->state == CONNECTION_HANDSHAKING)
        event_active(connection->writable, EV_WRITE, 1); // a client sends first
    return ERROR_NONE;
}

// Takes `tls` over.
static inline void world_connect(struct tls_world *world, struct net_tls *tls)
{
    assert_int_equal(world_try_connect(world, tls, &world->address), ERROR_NONE);
    net_tls_unref(tls);
}

static inline bool world_is_connected(const struct tls_world *world)
{
    return world->client.connection != NULL && world->client.connection->state == CONNECTION_OPEN;
}

static inline void world_tear_down(struct tls_world *world)
{
    peer_release(&world->client);
    peer_release(&world->server);
    net_listener_destroy(world->listener);
    net_loop_destroy(world->loop);
}

#endif
