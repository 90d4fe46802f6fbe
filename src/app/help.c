// Help texts, made from the tables that the program itself goes by.
#include <stdio.h>
#include <string.h>

#include "ghatrace/app/command.h"

static void print_flag(const char *name, const char *values, const char *help, const char *preset)
{
    printf("  --%s%s%s\n        %s", name, values != NULL ? " " : "", values != NULL ? values : "",
           help);
    if (preset != NULL)
        printf(" [%s]", preset);
    printf("\n");
}

static void print_setting(const struct option *option)
{
    char name[64];
    bool is_switch = option->type == OPTION_SWITCH;
    (void)snprintf(name, sizeof name, "%s%s", is_switch ? "[no-]" : "", option->name);
    print_flag(name, is_switch ? NULL : option->values, option->help,
               option->preset != NULL ? option->preset : option->unpreset);
}

void help_print_command(const struct command *command)
{
    printf("usage: ghatrace %s%s%s%s\n\n%s\n", command->name,
           command->flag_count > 0 || command->settings != 0 ? " [FLAG...]" : "",
           command->operands[0] != '\0' ? " " : "", command->operands, command->summary);
    if (command->details != NULL)
        printf("\n%s", command->details);
    if (command->flag_count > 0)
        printf("\nFlags:\n");
    for (size_t i = 0; i < command->flag_count; i++)
        print_flag(command->flags[i].name, command->flags[i].values, command->flags[i].help, NULL);
    if (command->settings == 0)
        return;
    printf(
        "\nSettings, each a flag, a line `some-thing = value` in the --config file, or a variable\n"
        "GHATRACE_SOME_THING; a flag beats the environment, which beats the file:\n");
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        if ((command->settings & OPTION_BIT(i)) != 0)
            print_setting(&options[i]);
    }
}

void help_print_program(const struct command *const *commands, size_t count)
{
    printf("usage: ghatrace COMMAND [FLAG...] [ARGUMENT...]\n\n"
           "Turns GitHub Actions webhooks into OpenTelemetry traces.\n\nCommands:\n");
    for (size_t i = 0; i < count; i++) {
        char call[64];
        (void)snprintf(call, sizeof call, "%s %s", commands[i]->name, commands[i]->operands);
        printf("  %-32s %s\n", call, commands[i]->summary);
    }
    printf("\nghatrace help COMMAND tells more; ghatrace version tells the version.\n");
}
