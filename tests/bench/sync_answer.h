/*
 * A Sync answer as a phone gets it after a while away: messages with a preview and an attachment each,
 * made by our own writer. For the bench programs that read one.
 */
#ifndef BENCH_SYNC_ANSWER_H
#define BENCH_SYNC_ANSWER_H

#include <stddef.h>

#include "wbxml/buffer.h"

/* At least size_min bytes of it; its buffer is the caller's to free. */
struct wbxml_buffer sync_answer_make(size_t size_min);

#endif
