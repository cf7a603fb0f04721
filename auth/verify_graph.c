#include "auth/verify_graph.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum {
	NODE_MAX = AUTHORITY_MAX + SEARCH_SENT_MAX + 1,
	WORD_COUNT = (NODE_MAX + 63) / 64,
	PATH_LENGTH_MAX = 12,
	/* Pairs of authorities whose names fit: the operator's own, so only runaways are stopped. */
	STORE_SIGNATURE_MAX = 4096,
};

/* A certificate. */
struct node {
	X509 *certificate;
	bool is_root, is_sent, is_current;
	bool is_vouched;              /* there is a path from a root to it */
	uint64_t issuers[WORD_COUNT]; /* bit n: node n has signed it */
};

struct verify_graph {
	size_t count;
	struct node nodes[NODE_MAX];
};

/* How a search stands: a path under way, and for each of its nodes which issuer comes next. */
struct verify_search {
	struct verify_graph graph;
	size_t leaf; /* its node, the last one */
	unsigned int signatures_left, steps_left, paths_left;
	bool wants_expired; /* the second round: paths with at least one authority that is not valid now */
	size_t depth, depth_max;
	size_t path[PATH_LENGTH_MAX];
	size_t next[PATH_LENGTH_MAX]; /* see issuer_at() */
};

static bool is_issuer(const struct node *issuer, const struct node *subject, unsigned int *budget)
{
	EVP_PKEY *key;
	int code;

	if (subject->is_root || issuer == subject)
		return false;
	code = X509_check_issued(issuer->certificate, subject->certificate);
	if (code != X509_V_OK || X509_check_ca(issuer->certificate) == 0 || *budget == 0)
		return false;
	key = X509_get0_pubkey(issuer->certificate);
	if (key == NULL)
		return false;
	--*budget;
	return X509_verify(subject->certificate, key) == 1;
}

/* Looks whom a node vouches for among those from first on, and puts into queue who had no path to a root
 * before. */
static void vouch(struct verify_graph *graph, size_t number, size_t first, size_t *queue,
	size_t *queue_len, unsigned int *budget)
{
	const struct node *issuer = &graph->nodes[number];

	for (size_t i = first; i < graph->count; i++) {
		struct node *subject = &graph->nodes[i];

		if (!is_issuer(issuer, subject, budget))
			continue;
		subject->issuers[number / 64] |= UINT64_C(1) << (number % 64);
		if (!subject->is_vouched) {
			subject->is_vouched = true;
			queue[(*queue_len)++] = i;
		}
	}
}

/* Everybody below the nodes that are vouched for already. These have been compared with the nodes
 * before first; whoever joins them now has to be compared with all. */
static void vouch_all(struct verify_graph *graph, size_t first, unsigned int *budget)
{
	size_t queue[NODE_MAX];
	size_t queue_len = 0;
	bool was_vouched[NODE_MAX];

	for (size_t i = 0; i < graph->count; i++)
		was_vouched[i] = graph->nodes[i].is_vouched;
	for (size_t i = 0; i < graph->count; i++)
		if (was_vouched[i])
			vouch(graph, i, first, queue, &queue_len, budget);
	for (size_t done = 0; done < queue_len; done++)
		vouch(graph, queue[done], 0, queue, &queue_len, budget);
	ERR_clear_error();
}

struct verify_graph *verify_graph_new(const struct trust_store *store)
{
	struct verify_graph *graph = calloc(1, sizeof(*graph));
	unsigned int budget = STORE_SIGNATURE_MAX;

	if (graph == NULL)
		return NULL;
	for (size_t i = 0; i < store->count && graph->count < AUTHORITY_MAX; i++) {
		const struct authority *authority = &store->authorities[i];

		if (authority->is_crl_signer)
			continue;
		graph->nodes[graph->count++] = (struct node){
			.certificate = authority->certificate,
			.is_root = authority->is_root,
			.is_vouched = authority->is_root,
		};
	}
	vouch_all(graph, 0, &budget);
	return graph;
}

void verify_graph_free(struct verify_graph *graph)
{
	free(graph);
}

static size_t node_of(const struct verify_graph *graph, const X509 *certificate)
{
	size_t number = 0;

	while (number < graph->count && graph->nodes[number].certificate != certificate)
		number++;
	return number;
}

bool verify_graph_knows(const struct verify_graph *graph, const X509 *subject, const X509 *issuer)
{
	size_t below = node_of(graph, subject);
	size_t above = node_of(graph, issuer);

	return below < graph->count && above < graph->count &&
	       (graph->nodes[below].issuers[above / 64] >> (above % 64) & 1) != 0;
}

static bool has_certificate(const struct verify_graph *graph, X509 *certificate)
{
	for (size_t i = 0; i < graph->count; i++)
		if (X509_cmp(graph->nodes[i].certificate, certificate) == 0)
			return true;
	return false;
}

static bool is_valid_at(X509 *certificate, int64_t now)
{
	time_t when = (time_t)now;

	return X509_cmp_time(X509_get0_notBefore(certificate), &when) < 0 &&
	       X509_cmp_time(X509_get0_notAfter(certificate), &when) > 0;
}

static void add_sent(struct verify_search *search, X509 *leaf, const STACK_OF(X509) * sent)
{
	struct verify_graph *graph = &search->graph;
	int count = sent != NULL ? sk_X509_num(sent) : 0;

	for (int i = 0; i < count && i < SEARCH_SENT_MAX; i++) {
		X509 *certificate = sk_X509_value(sent, i);

		if (X509_cmp(certificate, leaf) != 0 && !has_certificate(graph, certificate))
			graph->nodes[graph->count++] =
				(struct node){.certificate = certificate, .is_sent = true};
	}
	search->leaf = graph->count;
	graph->nodes[graph->count++] = (struct node){.certificate = leaf, .is_sent = true};
}

static void begin_round(struct verify_search *search)
{
	search->depth = 1;
	search->path[0] = search->leaf;
	search->next[0] = 0;
}

struct verify_search *verify_search_new(const struct verify_graph *graph, X509 *leaf,
	const STACK_OF(X509) * sent, int depth, int64_t now)
{
	struct verify_search *search = calloc(1, sizeof(*search));
	size_t first = graph->count;

	if (search == NULL)
		return NULL;
	search->graph = *graph;
	search->signatures_left = SEARCH_SIGNATURE_MAX;
	search->steps_left = SEARCH_STEP_MAX;
	search->paths_left = SEARCH_PATH_MAX;
	search->depth_max = (size_t)depth + 2; /* the leaf and the root */
	if (search->depth_max > PATH_LENGTH_MAX)
		search->depth_max = PATH_LENGTH_MAX;
	add_sent(search, leaf, sent);
	for (size_t i = 0; i < search->graph.count; i++)
		search->graph.nodes[i].is_current =
			is_valid_at(search->graph.nodes[i].certificate, now);
	vouch_all(&search->graph, first, &search->signatures_left);
	begin_round(search);
	return search;
}

void verify_search_free(struct verify_search *search)
{
	free(search);
}

static bool is_on_path(const struct verify_search *search, size_t number)
{
	for (size_t i = 0; i < search->depth; i++)
		if (search->path[i] == number)
			return true;
	return false;
}

/* The issuers of a node in the order in which they are tried: three times through all nodes, first for
 * roots, then for the store's others, then for what the phone sent. NODE_MAX: not one in this place. */
static size_t issuer_at(const struct verify_search *search, size_t subject, size_t place)
{
	size_t number = place % search->graph.count;
	const struct node *node = &search->graph.nodes[number];
	size_t turn = node->is_root ? 0 : node->is_sent ? 2 : 1;

	if (place / search->graph.count != turn || is_on_path(search, number) ||
		(search->graph.nodes[subject].issuers[number / 64] >> (number % 64) & 1) == 0)
		return NODE_MAX;
	return !search->wants_expired && !node->is_current ? (size_t)NODE_MAX : number;
}

static bool path_is_current(const struct verify_search *search)
{
	for (size_t i = 1; i < search->depth; i++)
		if (!search->graph.nodes[search->path[i]].is_current)
			return false;
	return true;
}

/* Goes on from the path under way to the next one that ends in a root. */
static bool step_to_root(struct verify_search *search)
{
	while (search->depth > 0) {
		size_t top = search->depth - 1;
		size_t number = search->path[top];
		bool is_end =
			search->graph.nodes[number].is_root || search->depth == search->depth_max;

		if (is_end || search->next[top] == 3 * search->graph.count) {
			search->depth--;
			continue;
		}
		number = issuer_at(search, number, search->next[top]++);
		if (number == NODE_MAX)
			continue;
		if (search->steps_left-- == 0) {
			search->steps_left = 0;
			return false;
		}
		search->path[search->depth] = number;
		search->next[search->depth++] = 0;
		if (search->graph.nodes[number].is_root)
			return true;
	}
	return false;
}

static bool find_path(struct verify_search *search)
{
	for (;;) {
		while (step_to_root(search))
			if (!search->wants_expired || !path_is_current(search))
				return true;
		if (search->wants_expired || search->steps_left == 0)
			return false;
		search->wants_expired = true;
		begin_round(search);
	}
}

bool verify_search_next(struct verify_search *search, STACK_OF(X509) * path, bool *is_current)
{
	sk_X509_zero(path);
	if (search->paths_left == 0 || !find_path(search))
		return false;
	search->paths_left--;
	*is_current = path_is_current(search);
	for (size_t i = 0; i < search->depth; i++)
		if (sk_X509_push(path, search->graph.nodes[search->path[i]].certificate) <= 0)
			return false;
	return true;
}

unsigned int verify_search_signatures(const struct verify_search *search)
{
	return SEARCH_SIGNATURE_MAX - search->signatures_left;
}
