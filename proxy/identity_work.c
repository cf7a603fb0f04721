#include "proxy/identity_work.h"

void identity_works_find(const struct child *child, struct identity_works *works)
{
	*works = (struct identity_works){
		.ticket = ticket_work(child),
		.tokens = tokens_work(child),
		.minter = minter_work(child),
		.bearer = bearer_work(child),
		.signer = signer_work(child),
	};
}
