#include "proxy/identity_work.h"

void identity_works_find(const struct child *child, struct identity_works *works)
{
	*works = (struct identity_works){.minter = minter_work(child)};
}
