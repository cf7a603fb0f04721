#include "proxy/room.h"

#include "proxy/exchange.h"

void room_answer(struct exchange *exchange)
{
	exchange_refuse(exchange, REFUSAL_INTERNAL, "nobody answers in this room");
}
