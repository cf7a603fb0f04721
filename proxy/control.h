/*
 * The protocol of the control socket, as both sides know it: the client sends one line, gets one
 * line of JSON, and the connection ends. The line is one word ("status"), or a JSON object whose
 * member "request" is that word and whose other members are its arguments. The answer is
 * {"ok":true,…} or {"ok":false,"error":"…"}. "trace" and "upstream-test" are answered by
 * {"ok":true,…} and one line for each event that follows, the last of them {"event":"over",…}. Who may open the socket (root and the group of
 * easproxyd) may ask for everything.
 */
#ifndef PROXY_CONTROL_H
#define PROXY_CONTROL_H

enum {
	CONTROL_REQUEST_MAX = 64 * 1024, /* with its line feed */
	CONTROL_ANSWER_MAX = 4 * 1024 * 1024,
	CONTROL_STREAM_MAX = 4 * 1024 * 1024, /* that waits for one who reads a stream */
	CONTROL_CLIENTS_MAX = 16,
	CONTROL_TIME_MS = 10 * 1000,         /* for a request to come and an answer to be taken */
	CONTROL_RELOAD_TIME_MS = 120 * 1000, /* for a reload to be done */
};

#endif
