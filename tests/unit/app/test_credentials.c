// systemd's copies of secrets: a reload that reads the same copies again is detected.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "../../../src/app/systemd.h"
#include "configuring.h"
#include "support/temp_folder.h"

#define PATHS 3

struct passed {
    struct temp_folder folder;
    char paths[PATHS][TEMP_FOLDER_PATH_SIZE];
    struct config config;
    struct credentials credentials;
    char text[CREDENTIALS_TEXT_SIZE];
};

static const char *const names[PATHS] = {"secret", "token", "key"};

static void passed_init(struct passed *p)
{
    *p = (struct passed){.text = ""};
    assert_true(temp_folder_create(&p->folder));
    for (size_t i = 0; i < PATHS; i++) {
        assert_true(temp_folder_write(&p->folder, names[i], "x\n", 2));
        assert_true(temp_folder_path(&p->folder, names[i], p->paths[i]));
    }
    p->config = (struct config){.credentials_directory = p->folder.path,
                                .webhook_secret_file = p->paths[0],
                                .admin_token_file = p->paths[1],
                                .ingress.tls.key_file = p->paths[2],
                                .ingress.tls.certificate_file = "/etc/hostname",
                                .config = p->paths[0]};
    credentials_record(&p->credentials, &p->config);
}

static void passed_release(struct passed *p)
{
    assert_true(temp_folder_remove(&p->folder));
}

// As systemd does: a new file replaces the old one.
static void replace(struct passed *p, size_t i)
{
    char fresh[TEMP_FOLDER_PATH_SIZE];
    assert_true(temp_folder_write(&p->folder, "fresh", "x\n", 2));
    assert_true(temp_folder_path(&p->folder, "fresh", fresh));
    assert_int_equal(rename(fresh, p->paths[i]), 0);
}

static void files_that_a_reload_does_not_renew_are_named(void **state)
{
    (void)state;
    struct passed p;
    passed_init(&p);
    assert_int_equal(credentials_unchanged(&p.credentials, p.text), 3);
    assert_string_equal(p.text, "webhook-secret-file, tls-key, admin-token-file");
    replace(&p, 0);
    assert_int_equal(credentials_unchanged(&p.credentials, p.text), 2);
    assert_string_equal(p.text, "tls-key, admin-token-file");
    assert_int_equal(unlink(p.paths[1]), 0); // reported by the code that reads it
    replace(&p, 2);
    assert_int_equal(credentials_unchanged(&p.credentials, p.text), 0);
    assert_string_equal(p.text, "");
    passed_release(&p);
}

static void without_systemd_no_file_is_a_copy(void **state)
{
    (void)state;
    struct passed p;
    passed_init(&p);
    p.config.credentials_directory = NULL;
    credentials_record(&p.credentials, &p.config);
    assert_int_equal(credentials_unchanged(&p.credentials, p.text), 0);
    passed_release(&p);
}

static void files_beside_the_folder_are_read_where_they_are(void **state)
{
    (void)state;
    struct passed p;
    char shorter[TEMP_FOLDER_PATH_SIZE], slashed[TEMP_FOLDER_PATH_SIZE + 2];
    passed_init(&p);
    (void)snprintf(shorter, sizeof shorter, "%.*s", (int)strlen(p.folder.path) - 1, p.folder.path);
    p.config.credentials_directory = shorter;
    credentials_record(&p.credentials, &p.config);
    assert_int_equal(credentials_unchanged(&p.credentials, p.text), 0);
    (void)snprintf(slashed, sizeof slashed, "%s//", p.folder.path);
    p.config.credentials_directory = slashed;
    p.config.ingress.tls.key_file = p.paths[2];
    credentials_record(&p.credentials, &p.config);
    assert_int_equal(credentials_unchanged(&p.credentials, p.text), 3);
    passed_release(&p);
}

static void every_setting_that_names_a_file_has_room(void **state)
{
    (void)state;
    size_t count = 0, len = 0;
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        if (options[i].values == NULL || strcmp(options[i].values, "FILE") != 0)
            continue;
        count++;
        len += strlen(options[i].name) + 2;
    }
    assert_true(count > 0 && count <= CREDENTIALS_MAX);
    assert_true(len < CREDENTIALS_TEXT_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_a_reload_does_not_renew_are_named),
        cmocka_unit_test(without_systemd_no_file_is_a_copy),
        cmocka_unit_test(files_beside_the_folder_are_read_where_they_are),
        cmocka_unit_test(every_setting_that_names_a_file_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
