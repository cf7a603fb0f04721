/*
 * The typed view of a body, filled while it passes: what the log line, the timers, the policy and
 * the device registry need to know of a request or an answer, without a tree and without content.
 * The facts are plain fields; their few texts lie in one small arena, bounded and trimmed at the
 * body's end. What only the reading needs is let go of there too, so that a sleeping Ping keeps
 * less than 1 kB. All that is kept is what the peer said: nothing of it is verified. For workers.
 */
#ifndef PROXY_EAS_BODY_H
#define PROXY_EAS_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/refusal.h"
#include "config/span.h"
#include "proxy/eas.h"
#include "proxy/zero_run.h"
#include "wbxml/reader.h"

enum {
	EAS_COLLECTIONS_NAMED = 8, /* further ones are counted; eas_body.unnamed_classes */
	EAS_ATTACHMENTS_NAMED = 8,
	EAS_RECIPIENTS_NAMED = 16,
	EAS_COLLECTION_NAME_MAX = 64,
	EAS_BODY_TEXT_MAX = 320,   /* of one text; a longer one is cut, and texts_are_cut says so */
	EAS_BODY_TEXTS_MAX = 2048, /* all of them, with their ends */
};

enum eas_class {
	EAS_CLASS_UNSAID, /* the phone did not say: the folder's type tells */
	EAS_CLASS_EMAIL,
	EAS_CLASS_CALENDAR,
	EAS_CLASS_CONTACTS,
	EAS_CLASS_TASKS,
	EAS_CLASS_NOTES,
	EAS_CLASS_SMS,
	EAS_CLASS_OTHER
};

/* Where a Search, Find or ItemOperations looks; bits of eas_body.stores. */
enum eas_store {
	EAS_STORE_MAILBOX = 1,
	EAS_STORE_GAL = 2,
	EAS_STORE_DOCUMENT_LIBRARY = 4, /* also any LinkId, and a Search for a UNC path or a URL */
	EAS_STORE_OTHER = 8             /* a name that MS-ASCMD does not know */
};

enum eas_wipe { EAS_WIPE_NONE, EAS_WIPE_ALL, EAS_WIPE_ACCOUNT };

/* What a Settings request is about, beside DeviceInformation; bits of eas_body.settings. */
enum eas_setting {
	EAS_SETTING_OOF = 1,
	EAS_SETTING_DEVICE_PASSWORD = 2,
	EAS_SETTING_USER_INFORMATION = 4,
	EAS_SETTING_OOF_SET = 8 /* beside EAS_SETTING_OOF: it is not only asked for */
};

/* What a phone says of itself in Settings or Provision (MS-ASCMD 2.2.3.44). */
enum eas_info {
	EAS_INFO_MODEL,
	EAS_INFO_IMEI, /* whole: masked by who shows it */
	EAS_INFO_FRIENDLY_NAME,
	EAS_INFO_OS,
	EAS_INFO_OS_LANGUAGE,
	EAS_INFO_PHONE_NUMBER,
	EAS_INFO_USER_AGENT,
	EAS_INFO_OPERATOR,
	EAS_INFO_COUNT
};

struct eas_collection {
	uint32_t window; /* WindowSize; 0: not said */
	uint16_t status; /* of an answer; 0: not said */
	uint8_t class;   /* enum eas_class; the first one that is said */
	/* Places in the arena; eas_body_collection_id(), eas_body_sync_key(). */
	uint16_t id, sync_key;
};

struct eas_attachment {
	uint32_t size; /* bytes, of MIME parts without their encoding; 0: not known */
	/* Places in the arena; eas_body_text(). 0: not said. */
	uint16_t name, type, reference;
};

struct eas_body {
	uint16_t root;          /* enum wbxml_tag_id; 0 before the root, and in a MIME body */
	bool is_whole;          /* decoded to its end without a fault */
	bool texts_are_cut;     /* a text was longer than is kept, or they filled the arena */
	uint32_t status;        /* the global Status of an answer (commands.tsv); 0: none seen */
	uint32_t heartbeat_s;   /* Ping and Sync HeartbeatInterval, or Wait times 60; 0: none */
	bool heartbeat_is_wait; /* it was said in minutes */
	/* Collections of a Sync, a GetItemEstimate or a Ping; folders that other commands act on. */
	uint32_t collection_count;
	struct eas_collection collections[EAS_COLLECTIONS_NAMED];
	uint32_t unnamed_classes; /* of those beyond: 1 << what eas_body_terms.folder_class said */
	uint32_t classes; /* 1 << enum eas_class, of every class said anywhere; 0: none was */

	/* Items: below Commands and Responses of a Sync, or what another command does to one. */
	uint32_t adds, changes, deletes, fetches;
	bool has_more;       /* MoreAvailable */
	bool is_partial;     /* Partial in a Sync: what is left out is as the last time */
	bool sends_mail;     /* SendMail, SmartReply, SmartForward, or email2:Send in a Sync */
	bool empties_folder; /* ItemOperations EmptyFolderContents */
	uint32_t results;    /* Result of a Search or Find, Response of a MoveItems and the like */
	uint32_t failures;   /* Status below the global one that say no success */
	uint16_t item_failure; /* the first of those; 0: none */

	uint16_t folder_key; /* the SyncKey of FolderSync and its kin; eas_body_text() */
	uint8_t settings;    /* enum eas_setting, of a Settings request */

	/* Provision, and Settings with DeviceInformation. */
	bool has_policies;
	bool device_info_present;
	uint8_t wipe_kind;      /* enum eas_wipe: ordered in an answer, acknowledged in a request */
	uint16_t wipe_status;   /* of an acknowledgement: 1 done, 2 failed; 0: not said */
	uint16_t policy_status; /* Policy/Status; 0: not said */
	uint32_t provision_policy_key;        /* Policy/PolicyKey; 0: none */
	uint16_t device_info[EAS_INFO_COUNT]; /* eas_body_device_info() */

	uint8_t stores; /* enum eas_store */

	/* Both ways: of an answer's items, of a draft, or the parts of a MIME message. */
	uint32_t attachment_count;
	uint64_t largest_attachment;   /* bytes; as said, or as counted in a MIME message */
	uint32_t file_reference_count; /* FileReference elements: fetched, deleted or offered */
	/* Also those that are fetched, which count as references alone. */
	struct eas_attachment attachments[EAS_ATTACHMENTS_NAMED];
	uint8_t attachments_named;

	/* To, Cc, Bcc of what is sent: lower case, without display names. */
	uint32_t recipient_count;
	uint16_t recipients[EAS_RECIPIENTS_NAMED]; /* eas_body_recipient() */
	uint16_t from, reply_to; /* the first address of each, eas_body_text(); 0: none */

	/* What does not fit MS-ASCMD. */
	uint32_t unknown_tags;      /* of known pages, passed by `lenient` */
	uint32_t later_tags;        /* elements of a later version than the request's */
	enum refusal structure;     /* REFUSAL_NONE, or what the structure check says */
	uint8_t structure_status;   /* to be sent from 14.0; 0: the refusal's own */
	const char *structure_text; /* static: what is wrong; NULL: nothing */

	/* Private to eas_body*.c. */
	enum refusal refusal;
	const char *fault_text;
	uint16_t texts_len, texts_capacity;
	char *texts;                /* NUL-terminated, the first of them "" */
	struct eas_body_work *work; /* of the reading; NULL once it is over */
};

enum {
	EAS_BODY_PACKED_MAX =
		sizeof(uint16_t) + ZERO_RUN_MAX(sizeof(struct eas_body)) + EAS_BODY_TEXTS_MAX
};

/* What is known beforehand of a body. */
struct eas_body_terms {
	struct wbxml_limits limits; /* zeros: the defaults */
	enum eas_body_kind kind;    /* EAS_BODY_WBXML, EAS_BODY_MIME or EAS_BODY_MULTIPART */
	enum eas_command command;   /* EAS_NO_COMMAND: any root may come */
	unsigned int version;       /* of the request, as in struct eas_request; 0: any */
	bool is_answer;             /* its structure is not judged: the server is trusted */
	bool judges_nothing;        /* neither is that of this request */
	bool is_strict;             /* activesync/structure = strict */
	bool needs_known_tags;      /* unknown ones are malformed: nobody behind us reads them */
	/* What FolderSync has said of the folder of that id: enum eas_class, UNSAID where nobody knows.
	 * Asked for collections beyond those that are named. NULL: nobody knows of any. */
	unsigned int (*folder_class)(void *context, struct span id);
	void *context;
};

/* NULL when memory runs out. For eas_body_free(). */
struct eas_body *eas_body_new(const struct eas_body_terms *terms);
void eas_body_free(struct eas_body *body); /* NULL: nothing */

/* Takes the next piece. REFUSAL_NONE, WBXML_MALFORMED, WBXML_LIMIT, EAS_STRUCTURE, or INTERNAL when
 * memory runs out; once refused it stays so. */
enum refusal eas_body_feed(struct eas_body *body, struct span piece);

/* The body's end: REFUSAL_NONE when the document was whole. The facts stay, the rest is freed. May
 * be called again. */
enum refusal eas_body_end(struct eas_body *body);

/* Why it was refused, static; NULL: it was not. */
const char *eas_body_fault_text(const struct eas_body *body);

/* The texts are printable UTF-8: control characters and malformed bytes became "?". They live as
 * long as the body, but move with eas_body_feed() and eas_body_end(). "" where there is none, and
 * for an index beyond those that are named. */
const char *eas_body_text(const struct eas_body *body, uint16_t place);
const char *eas_body_collection_id(const struct eas_body *body, size_t index);
const char *eas_body_sync_key(const struct eas_body *body, size_t index);
const char *eas_body_recipient(const struct eas_body *body, size_t index);
const char *eas_body_device_info(const struct eas_body *body, enum eas_info info);

/* adds, changes, deletes and fetches together. */
uint32_t eas_body_items(const struct eas_body *body);

/* Of all that is held for it, in bytes; for tests and for who accounts for memory. */
size_t eas_body_memory(const struct eas_body *body);

/* Packs the facts of a body that is at its end; returns how many bytes, EAS_BODY_PACKED_MAX at most. */
size_t eas_body_pack(const struct eas_body *body, uint8_t *packed);
/* The same facts again, for eas_body_free(). NULL when memory runs out. */
struct eas_body *eas_body_unpack(uint8_t *packed);
/* The same without taking memory, into a struct of the caller's: its texts stay where they are packed, and
 * it is not for eas_body_free(). */
void eas_body_view(uint8_t *packed, struct eas_body *body);

/* How long the answer may take, in seconds, because the phone asked for a long poll: the heartbeat
 * of a Ping or Sync, at most 3540; 0 for all else. Where it was left out because the server knows
 * it from an earlier request (an empty Ping or Sync, a Ping without it, a partial Sync): 3540. */
uint32_t eas_body_poll_time(enum eas_command command, enum eas_body_kind kind,
	const struct eas_body *body /* NULL when kind is EAS_BODY_NONE */);

#endif
