#include "proxy/room.h"

#include "proxy/exchange.h"
#include "proxy/room_autodiscover.h"

void room_answer(struct exchange *exchange)
{
	switch (exchange->room) {
	case ROOM_AUTODISCOVER: room_autodiscover_answer(exchange); return;
	default: exchange_refuse(exchange, REFUSAL_INTERNAL, "nobody answers in this room");
	}
}
