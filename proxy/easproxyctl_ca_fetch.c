#include "proxy/easproxyctl_ca_fetch.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/revocation_fetch.h"
#include "auth/revocation_local.h"
#include "auth/trust_terms.h"
#include "config/clock.h"

static void on_done(void *context, const struct revocation_response *response)
{
	struct ca_fetched *fetched = context;
	struct span body = response->body;

	if (response->failure != NULL) {
		snprintf(fetched->failure, sizeof(fetched->failure), "%s", response->failure);
		return;
	}
	fetched->data = malloc(body.len + 1);
	if (fetched->data == NULL) {
		snprintf(fetched->failure, sizeof(fetched->failure), "out of memory");
		return;
	}
	if (body.len > 0)
		memcpy(fetched->data, body.data, body.len);
	fetched->len = body.len;
}

/* The loop ends by itself when nothing is waited for any more. */
static int fetch_by_loop(const char *url, const struct ca_bounds *bounds,
	struct ca_fetched *fetched, struct error *err)
{
	const struct revocation_request request = {.url = url,
		.size_limit = bounds->size_limit,
		.time_limit_ms = bounds->time_limit_ms};
	struct event_base *base = event_base_new();
	struct revocation_fetcher *fetcher = NULL;
	int result = -1;

	if (base == NULL)
		error_set(err, "out of memory");
	else
		fetcher = revocation_fetcher_new(base, bounds->proxy, on_done, err);
	if (fetcher != NULL)
		result = revocation_fetcher_start(fetcher, &request, fetched, err);
	while (result == 0 && fetched->data == NULL && fetched->failure[0] == '\0')
		if (event_base_loop(base, EVLOOP_ONCE) != 0)
			result = error_set(err, "there was no answer");
	if (fetcher != NULL)
		revocation_fetcher_free(fetcher);
	if (base != NULL)
		event_base_free(base);
	return result;
}

void ca_fetch(const char *url, const struct ca_bounds *bounds, struct ca_fetched *fetched)
{
	const char *path = revocation_file_path(url);
	int64_t start = clock_ms();
	struct error err = {""};
	int result;

	*fetched = (struct ca_fetched){.data = NULL};
	if (path != NULL)
		result = revocation_file_read(
			path, bounds->size_limit, &fetched->data, &fetched->len, &err);
	else
		result = fetch_by_loop(url, bounds, fetched, &err);
	if (result == -1)
		snprintf(fetched->failure, sizeof(fetched->failure), "%s", err.text);
	fetched->time_ms = (uint32_t)(clock_ms() - start);
}

void ca_fetched_clear(struct ca_fetched *fetched)
{
	free(fetched->data);
	fetched->data = NULL;
}

static void ignore_fault(void *context, const char *text)
{
	(void)context;
	(void)text;
}

void ca_bounds_find(const char *config_path, struct ca_bounds *bounds)
{
	struct config *config =
		config_path != NULL ? config_load(config_path, NULL, ignore_fault, NULL) : NULL;
	uint64_t time_ms = 0;

	*bounds = (struct ca_bounds){.proxy = ""};
	option_read_number(
		trust_size_option(), trust_size_option()->fallback, &bounds->size_limit, NULL);
	option_read_number(trust_time_option(), trust_time_option()->fallback, &time_ms, NULL);
	bounds->time_limit_ms = (uint32_t)time_ms;
	if (config != NULL) {
		bounds->size_limit = config->revocation.size_limit;
		bounds->time_limit_ms = config->revocation.time_limit_ms;
		snprintf(bounds->proxy, sizeof(bounds->proxy), "%s", config->revocation.proxy);
	}
	config_free(config);
}
