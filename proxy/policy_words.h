/*
 * The words of conditions that mean bits: commands, classes, what a request does, protocol versions. For
 * proxy/policy*.c and easproxyctl.
 */
#ifndef PROXY_POLICY_WORDS_H
#define PROXY_POLICY_WORDS_H

#include <stdint.h>

#include "config/error.h"
#include "config/model.h"
#include "proxy/eas.h"

/* Bits of a mask of commands: 1 << enum eas_command, and these. */
enum { POLICY_OPTIONS = EAS_COMMAND_COUNT, POLICY_AUTODISCOVER, POLICY_COMMAND_COUNT };

static const uint32_t policy_all_commands = (UINT32_C(1) << POLICY_COMMAND_COUNT) - 1;

/* What a command does whatever its body says: enum policy_act. */
extern const uint16_t policy_acts_of_command[POLICY_COMMAND_COUNT];

/* Commands that do one of these, or can by what their body says; that name folders; that carry mail. */
uint32_t policy_commands_doing(uint32_t acts);
uint32_t policy_commands_with_classes(void);
uint32_t policy_commands_with_mail(void);

/* Bits of a mask of versions: 1 << policy_version_index(). */
enum { POLICY_VERSION_COUNT = 8 };

/* 0 for what was not said, and for a version that is none of MS-ASHTTP. */
unsigned int policy_version_index(unsigned int version);

/* "16.1", or "" for 0. */
const char *policy_version_text(unsigned int version);

/* 161 from "16.1"; 0 for a text that is no version. */
unsigned int policy_version_read(const char *text);

/* Each reads one entry, "!" in front left to the caller, into the bits that it means. -1 with err
 * filled. */
int policy_command_bits(const char *word, uint32_t *bits, struct error *err);
int policy_class_bits(const char *word, uint32_t *bits, struct error *err);
int policy_act_bits(const char *word, uint32_t *bits, struct error *err);
int policy_version_bits(const char *word, uint32_t *bits, struct error *err);

typedef int policy_bits_reader(const char *word, uint32_t *bits, struct error *err);

/* A list of words, "!" excluding, as the mask of what is accepted; all where it is empty. The first
 * wrong word ends it: -1 with err filled and *wrong set. */
int policy_words_mask(const struct config_words *words, policy_bits_reader *read, uint32_t all,
	uint32_t *mask, const struct config_word **wrong, struct error *err);

/* The words of a mask's bits, with blanks between them. */
void policy_class_words(uint32_t classes, char *text, size_t size);
void policy_act_words(uint32_t acts, char *text, size_t size);

#endif
