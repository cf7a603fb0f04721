/*
 * The places of eas_schema.table as a state machine: from a place and the tag of a child to the
 * child's place, in a few instructions for the many tags that lead nowhere. Read-only tables, made
 * at build time. Private to proxy/eas_body*.c and eas_structure.c.
 */
#ifndef PROXY_EAS_SCHEMA_H
#define PROXY_EAS_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "wbxml/codepages.h"

/* What the element of a place means; eas_body_note.c acts on it. */
enum eas_what {
	EAS_WHAT_NOTHING,
	EAS_WHAT_STATUS,
	EAS_WHAT_ITEM_STATUS,
	EAS_WHAT_MOVE_STATUS, /* of MoveItems, where 3 is success */
	EAS_WHAT_HEARTBEAT,
	EAS_WHAT_WAIT,
	EAS_WHAT_PARTIAL,
	EAS_WHAT_COLLECTION,
	EAS_WHAT_COLLECTION_ID,
	EAS_WHAT_COLLECTION_STATUS,
	EAS_WHAT_CHANGED_FOLDER, /* in a Ping's answer: the id is the Folder's own text */
	EAS_WHAT_FOLDER,         /* the id of a folder that is acted on */
	EAS_WHAT_CLASS,
	EAS_WHAT_SYNC_KEY,
	EAS_WHAT_FOLDER_KEY,
	EAS_WHAT_WINDOW,
	EAS_WHAT_HAS_MORE,
	EAS_WHAT_ADD,
	EAS_WHAT_CHANGE,
	EAS_WHAT_DELETE,
	EAS_WHAT_FETCH,
	EAS_WHAT_RESULT,
	EAS_WHAT_EMPTIES_FOLDER,
	EAS_WHAT_SENDS_MAIL,
	EAS_WHAT_MIME,
	EAS_WHAT_ADDRESSES,
	EAS_WHAT_ATTACHMENT,
	EAS_WHAT_ATTACHMENT_NAME,
	EAS_WHAT_ATTACHMENT_TYPE,
	EAS_WHAT_ATTACHMENT_SIZE,
	EAS_WHAT_ATTACHMENT_REFERENCE,
	EAS_WHAT_ATTACHMENT_CONTENT,
	EAS_WHAT_REFERENCE,       /* of an attachment that is fetched */
	EAS_WHAT_REFERENCE_NAMED, /* of one that is not */
	EAS_WHAT_PART,
	EAS_WHAT_STORE,
	EAS_WHAT_STORE_MAILBOX,
	EAS_WHAT_STORE_GAL,
	EAS_WHAT_QUERY_TEXT,
	EAS_WHAT_DOCUMENT_LINK,
	EAS_WHAT_HAS_POLICIES,
	EAS_WHAT_POLICY_KEY,
	EAS_WHAT_POLICY_STATUS,
	EAS_WHAT_WIPE_ALL,
	EAS_WHAT_WIPE_ACCOUNT,
	EAS_WHAT_WIPE_STATUS,
	EAS_WHAT_DEVICE_INFO,
	EAS_WHAT_SETS_OOF,
	EAS_WHAT_CHANGES_OOF,
	EAS_WHAT_SETS_DEVICE_PASSWORD,
	EAS_WHAT_ASKS_USER_INFORMATION,
	EAS_WHAT_INFO_MODEL, /* these in the order of enum eas_info */
	EAS_WHAT_INFO_IMEI,
	EAS_WHAT_INFO_FRIENDLY_NAME,
	EAS_WHAT_INFO_OS,
	EAS_WHAT_INFO_OS_LANGUAGE,
	EAS_WHAT_INFO_PHONE_NUMBER,
	EAS_WHAT_INFO_USER_AGENT,
	EAS_WHAT_INFO_OPERATOR
};

enum eas_holds { EAS_HOLDS_ANY, EAS_HOLDS_ELEMENTS, EAS_HOLDS_TEXT, EAS_HOLDS_NUMBER };

enum {
	EAS_PLACE_NONE = 0, /* nothing below is of interest */
	EAS_PLACE_REQUEST = 1,
	EAS_PLACE_ANSWER = 2, /* the documents themselves, around their roots */
	EAS_PLACE_NO_BIT = 255,
	EAS_PLACE_DEPTH_MAX = 12
};

struct eas_place {
	uint8_t what;     /* enum eas_what */
	uint8_t holds;    /* enum eas_holds; for requests */
	uint8_t text_max; /* bytes; 0: not bounded */
	uint8_t since;    /* the first version that has it here; 0: as the tag's */
	uint8_t bit; /* among the children of its parent that are judged, or EAS_PLACE_NO_BIT */
	bool is_single : 1;  /* at most once in its parent */
	bool is_counted : 1; /* towards the command's limit of elements */
	uint8_t demand_count;
	uint8_t demand_first; /* in eas_demands */
};

enum eas_demand_kind { EAS_DEMAND_ALL, EAS_DEMAND_ANY, EAS_DEMAND_NOT_BOTH };

/* What must hold of an element's children when it ends. */
struct eas_demand {
	uint8_t kind;
	uint16_t mask;    /* of the children's bits */
	uint8_t since;    /* from this version on; 0: always */
	uint8_t before;   /* up to below this version; 0: always */
	uint8_t status;   /* to be answered when it does not hold; 0: the command's own */
	const char *text; /* what is wrong then: "Collection without SyncKey" */
};

struct eas_edge {
	uint16_t parent, place;
};

extern const struct eas_demand eas_demands[];
extern const struct eas_place eas_places[];

/* For requests and for answers, by page and token: where the tag's list begins in eas_edges. */
extern const uint16_t eas_edge_first[2][WBXML_PAGE_COUNT][64];

/* Lists end with parent 0, and the place that the tag has under any parent. */
extern const struct eas_edge eas_edges[];

/* The place of a child; EAS_PLACE_NONE where neither it nor what is below it is of interest. */
static inline uint16_t eas_place_below(uint16_t parent, uint16_t tag, bool is_answer)
{
	const struct eas_edge *edge = &eas_edges[eas_edge_first[is_answer][tag >> 8][tag & 0x3F]];

	while (edge->parent != 0 && edge->parent != parent)
		edge++;
	return edge->place;
}

#endif
