// TLS on bad lines and with hostile clients: bytes one by one, cut streams, files that are wrong.
#include "tls_world.h"

#include <netinet/tcp.h>
#include <pthread.h>

#include "ghatrace/base/memory.h"

// --- a line between client and server --------------------------------------------------------------

struct relay {
    struct tls_world *world;
    int listener;
    int cut; // readable: both ends are to be closed
    pthread_t thread;
};

static bool pass_one_byte(int from, int to)
{
    char byte;

    return recv(from, &byte, 1, 0) == 1 && send(to, &byte, 1, MSG_NOSIGNAL) == 1;
}

static void *run_relay(void *context)
{
    struct relay *relay = context;
    int client = accept(relay->listener, NULL, NULL), server = world_dial(relay->world), on = 1;
    struct pollfd fds[] = {{client, POLLIN, 0}, {server, POLLIN, 0}, {relay->cut, POLLIN, 0}};

    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (;;) {
        assert_true(poll(fds, 3, -1) > 0);
        if (fds[2].revents != 0 || (fds[0].revents != 0 && !pass_one_byte(client, server)) ||
            (fds[1].revents != 0 && !pass_one_byte(server, client)))
            break;
    }
    shutdown(client, SHUT_RDWR);
    shutdown(server, SHUT_RDWR);
    close(client);
    close(server);
    return NULL;
}

static void relay_start(struct relay *relay, struct tls_world *world, int cut)
{
    struct net_address own = world->address;

    *relay = (struct relay){.world = world, .cut = cut};
    relay->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ((struct sockaddr_in *)&own.storage)->sin_port = 0;
    assert_int_equal(bind(relay->listener, (struct sockaddr *)&own.storage, own.len), 0);
    assert_int_equal(listen(relay->listener, 1), 0);
    assert_int_equal(getsockname(relay->listener, (struct sockaddr *)&own.storage, &own.len), 0);
    assert_int_equal(pthread_create(&relay->thread, NULL, run_relay, relay), 0);
}

static void relay_connect(const struct relay *relay, struct tls_world *world, struct net_tls *tls)
{
    struct net_address line = {.len = sizeof line.storage};

    assert_int_equal(getsockname(relay->listener, (struct sockaddr *)&line.storage, &line.len), 0);
    assert_int_equal(world_try_connect(world, tls, &line), ERROR_NONE);
    net_tls_unref(tls);
}

static void bytes_may_come_one_by_one(void **state)
{
    struct tls_world world;
    struct relay relay;
    int cut[2];
    char data[3000];

    (void)state;
    assert_int_equal(pipe(cut), 0);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = pattern_at(i);
    world_set_up(&world, server_tls("chained", NULL));
    world.server.echoes = true;
    world.client.stop_at = sizeof data;
    relay_start(&relay, &world, cut[0]);
    relay_connect(&relay, &world, client_tls("ca.pem", "client"));
    for (size_t i = 0; i < sizeof data; i += 100)
        assert_int_equal(net_connection_write(world.client.connection, data + i, 100), ERROR_NONE);
    while (world.client.taken.len < sizeof data)
        net_loop_run(world.loop);
    assert_memory_equal(world.client.taken.data, data, sizeof data);
    peer_release(&world.client);
    assert_int_equal(pthread_join(relay.thread, NULL), 0);
    close(relay.listener);
    close(cut[0]);
    close(cut[1]);
    world_tear_down(&world);
}

// RFC 8446 6.1: an end without close_notify may be somebody else's doing.
static void a_stream_that_is_cut_off_has_not_ended(void **state)
{
    struct tls_world world;
    struct relay relay;
    int cut[2];

    (void)state;
    assert_int_equal(pipe(cut), 0);
    world_set_up(&world, server_tls("server", NULL));
    world.server.echoes = true;
    world.client.stop_at = 5;
    relay_start(&relay, &world, cut[0]);
    relay_connect(&relay, &world, client_tls("ca.pem", "client"));
    assert_int_equal(net_connection_write(world.client.connection, "hello", 5), ERROR_NONE);
    net_loop_run(world.loop);
    assert_int_equal(world.client.taken.len, 5);
    assert_int_equal(write(cut[1], "!", 1), 1);
    while (world.client.closes == 0 || world.server.closes == 0)
        net_loop_run(world.loop);
    assert_int_equal(world.client.ends, 0);
    assert_int_equal(world.client.reason, NET_CLOSED_BY_ERROR);
    assert_non_null(strstr(world.client.error.message, "cut off"));
    assert_int_equal(world.server.ends, 0);
    assert_int_equal(world.server.reason, NET_CLOSED_BY_ERROR);
    assert_int_equal(pthread_join(relay.thread, NULL), 0);
    close(relay.listener);
    close(cut[0]);
    close(cut[1]);
    world_tear_down(&world);
}

// --- untrusted clients --------------------------------------------------------------------------------------

static void what_is_not_tls_is_closed_and_not_passed_to_the_owner(void **state)
{
    static const char *const texts[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\xff\xff garbage garbage garbage",
        "\x80\x2e\x01\x00\x02 sslv2 long ago and far away", "\x16\x03\x03\x00\x04\x01\x00\x00\x00",
        "SSH-2.0-OpenSSH_9.2p1\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct tls_world world;
        char rest[256];
        world_set_up(&world, server_tls("server", NULL));
        int fd = world_dial(&world);
        size_t len = i == 3 ? 9 : strlen(texts[i]);
        assert_int_equal(send(fd, texts[i], len, MSG_NOSIGNAL), (int)len);
        shutdown(fd, SHUT_WR);
        peer_run_until_closed(&world.server);
        assert_int_equal(world.server.taken.len, 0);
        assert_int_equal(world.server.ends, 0);
        assert_int_equal(world.server.reason, NET_CLOSED_BY_ERROR);
        while (recv(fd, rest, sizeof rest, 0) > 0) // an alert, perhaps
            ;
        close(fd);
        world_tear_down(&world);
    }
}

static void a_handshake_has_a_deadline(void **state)
{
    const struct net_handshake_limits limits = {
        .time = 20 * NS_PER_MS, .at_a_time = 10, .patience = NS_PER_SECOND};
    struct tls_world world;
    char byte;

    (void)state;
    world_set_up(&world, server_tls("server", NULL));
    net_listener_limit_handshakes(world.listener, &limits);
    int fd = world_dial(&world);
    assert_int_equal(send(fd, "\x16\x03\x01", 3, MSG_NOSIGNAL), 3);
    peer_run_until_closed(&world.server);
    assert_int_equal(world.server.reason, NET_CLOSED_BY_TIMEOUT);
    assert_string_equal(world.server.error.message, "tls handshake: timed out");
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
    world_tear_down(&world);
}

static void silent_handshakes_make_room_for_others(void **state)
{
    const struct net_handshake_limits limits = {
        .time = NS_PER_HOUR, .at_a_time = 8, .patience = 20 * NS_PER_MS};
    struct tls_world world;
    int silent[20];

    (void)state;
    world_set_up(&world, server_tls("server", NULL));
    net_listener_limit_handshakes(world.listener, &limits);
    for (size_t i = 0; i < 20; i++)
        silent[i] = world_dial(&world);
    run_for(world.loop, NS_PER_MS);
    assert_in_range(world.accepts, 1, 8);
    world.client.stop_at = 5;
    world_connect(&world, client_tls("ca.pem", "client"));
    while (!world_is_connected(&world)) {
        run_for(world.loop, NS_PER_MS);
        assert_true(net_listener_connections(world.listener) <= 9); // one may wait for the reaper
    }
    for (size_t i = 0; i < 20; i++)
        close(silent[i]);
    peer_release(&world.client);
    while (net_listener_connections(world.listener) > 0)
        run_for(world.loop, NS_PER_MS);
    world_tear_down(&world);
}

static void a_listener_may_go_while_handshakes_are_under_way(void **state)
{
    struct tls_world world;

    (void)state;
    world_set_up(&world, server_tls("server", NULL));
    int fd = world_dial(&world);
    run_for(world.loop, 5 * NS_PER_MS);
    assert_int_equal(world.accepts, 1);
    net_listener_destroy(world.listener);
    world.listener = NULL;
    close(fd);
    peer_run_until_closed(&world.server);
    world_tear_down(&world);
}

// Whatever is refused when: the connection works, or it is closed, and nothing leaks.
static void memory_may_be_refused_at_any_step(void **state)
{
    bool is_over = false;

    (void)state;
    for (long skip = 0; !is_over; skip++) {
        struct tls_world world;
        struct error error;
        world_set_up(&world, server_tls("server", NULL));
        struct net_tls *tls = client_tls("ca.pem", "client");
        world.server.stop_at = 2; // the test itself must not want memory
        assert_int_equal(buffer_reserve(&world.server.taken, 64), ERROR_NONE);
        struct net_timer *tick;
        assert_int_equal(net_timer_create(world.loop, stop_loop, world.loop, &tick, &error),
                         ERROR_NONE);
        memory_fail_after(skip);
        enum error_code code = world_try_connect(&world, tls, &world.address);
        if (code == ERROR_NONE) {
            if (net_connection_write(world.client.connection, "hi", 2) != ERROR_NONE)
                net_connection_close(world.client.connection);
            while (world.client.closes == 0 && world.server.taken.len < 2) {
                net_timer_set(tick, NS_PER_MS);
                net_loop_run(world.loop);
            }
        } else {
            assert_int_equal(code, ERROR_MEMORY);
        }
        is_over = memory_count_allocations() <= skip;
        assert_true(!is_over || world.server.taken.len == 2);
        memory_fail_after(-1);
        net_timer_destroy(tick);
        net_tls_unref(tls);
        world_tear_down(&world);
        assert_true(skip < 1000);
    }
}

// --- files -------------------------------------------------------------------------------------------

static void files_that_do_not_fit_are_named(void **state)
{
    static const struct {
        const char *certificate, *key, *authorities, *reason;
    } cases[] = {
        {"absent.pem", "server.key", NULL, "absent.pem: No such file or directory"},
        {"server.pem", "absent.key", NULL, "absent.key: No such file or directory"},
        {"server.pem", "server.key", "absent.pem", "absent.pem: No such file or directory"},
        {"server.key", "server.key", NULL, "server.key: no certificate in PEM"},
        {"server.pem", "server.pem", NULL, "server.pem: no private key in PEM"},
        {"server.pem", "server.key", "server.key", "server.key: no certificate in PEM"},
        {"server.pem", "renewed.key", NULL, "renewed.key: the key does not belong to"},
        {"server.pem", "rsa.key", NULL, "rsa.key: the key does not belong to"},
        {"server.pem", "locked.key", NULL, "locked.key: the key has a password"},
        {"empty", "server.key", NULL, "empty: no certificate in PEM"},
        {"server.pem", "empty", NULL, "empty: no private key in PEM"},
        {".", "server.key", NULL, "Is a directory"},
    };

    (void)state;
    assert_true(temp_folder_write(&certificates, "empty", "", 0));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct net_tls_server_options options = {
            .certificate_file = certificate_path(cases[i].certificate),
            .key_file = certificate_path(cases[i].key),
            .client_ca_file = certificate_path(cases[i].authorities)};
        struct net_tls *tls[2] = {NULL, NULL};
        struct error error;
        assert_int_equal(net_tls_create_servers(&options, tls, 2, &error), ERROR_USAGE);
        if (strstr(error.message, cases[i].reason) == NULL)
            fail_msg("case %zu: %s", i, error.message);
    }
}

static void
a_clients_files_are_read_and_checked_and_ssl_cert_file_replaces_the_systems_bundle(void **state)
{
    struct net_tls_client_options options = {0};
    struct net_tls_client *client;
    struct error error;

    (void)state;
    assert_int_equal(setenv("SSL_CERT_FILE", certificate_path("ca.pem"), 1), 0);
    assert_int_equal(net_tls_client_read(&options, &client, &error), ERROR_NONE);
    assert_string_equal(client->bundle, certificate_path("ca.pem"));
    assert_int_equal(client->authorities.len + client->certificate.len + client->key.len, 0);
    net_tls_client_unref(client);
    assert_int_equal(setenv("SSL_CERT_FILE", certificate_path("absent.pem"), 1), 0);
    assert_int_equal(net_tls_client_read(&options, &client, &error), ERROR_USAGE);
    assert_non_null(strstr(error.message, "absent.pem"));
    assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);

    options.ca_file = certificate_path("ca.pem");
    options.certificate_file = certificate_path("client.pem");
    options.key_file = certificate_path("client.key");
    assert_int_equal(net_tls_client_read(&options, &client, &error), ERROR_NONE);
    assert_null(client->bundle);
    const struct buffer *texts[] = {&client->authorities, &client->certificate, &client->key};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(strlen(texts[i]->data), texts[i]->len);
        assert_non_null(strstr(texts[i]->data, i < 2 ? "BEGIN CERTIFICATE" : "PRIVATE KEY"));
    }
    net_tls_client_ref(client);
    net_tls_client_unref(client);
    net_tls_client_unref(client);
    options.key_file = certificate_path("rsa.key");
    assert_int_equal(net_tls_client_read(&options, &client, &error), ERROR_USAGE);
    assert_non_null(strstr(error.message, "does not belong to"));
    options.key_file = certificate_path("client.key");
    for (long skip = 0; skip < 6; skip++) {
        memory_fail_after(skip);
        enum error_code code = net_tls_client_read(&options, &client, &error);
        memory_fail_after(-1);
        if (code == ERROR_NONE)
            net_tls_client_unref(client);
        else
            assert_int_equal(code, ERROR_MEMORY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_may_come_one_by_one),
        cmocka_unit_test(a_stream_that_is_cut_off_has_not_ended),
        cmocka_unit_test(what_is_not_tls_is_closed_and_not_passed_to_the_owner),
        cmocka_unit_test(a_handshake_has_a_deadline),
        cmocka_unit_test(silent_handshakes_make_room_for_others),
        cmocka_unit_test(a_listener_may_go_while_handshakes_are_under_way),
        cmocka_unit_test(memory_may_be_refused_at_any_step),
        cmocka_unit_test(files_that_do_not_fit_are_named),
        cmocka_unit_test(
            a_clients_files_are_read_and_checked_and_ssl_cert_file_replaces_the_systems_bundle),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
