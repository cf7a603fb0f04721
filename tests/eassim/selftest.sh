#!/bin/sh
# Phones straight against the server, without a proxy between them: all is right when nothing is
# spoilt, and what is spoilt is noticed. Usage: selftest.sh EASSIM
set -eu

eassim=$1
folder=$(mktemp -d)
server=
stop() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	rm -rf "$folder"
}
trap stop EXIT INT TERM

# serve [option...]: starts a server on a free port; $url is where.
serve() {
	: >"$folder/serve.out" # There before the loop below looks for it: the server starts beside us.
	"$eassim" serve --listen 127.0.0.1:0 --require-provision --heartbeat-min 1 --quiet "$@" \
		>"$folder/serve.out" &
	server=$!
	port=
	for _ in $(seq 100); do
		port=$(sed -n 's/.* on port \([0-9]*\) .*/\1/p' "$folder/serve.out")
		[ -z "$port" ] || break
		sleep 0.1
	done
	[ -n "$port" ] || { echo "eassim serve did not say its port within 10 s"; exit 1; }
	url=http://127.0.0.1:$port/Microsoft-Server-ActiveSync
}

# unserve: the server ends with status 0, also under a leak checker.
unserve() {
	kill "$server"
	wait "$server"
	server=
}

run() {
	"$eassim" run --url "$url" --assert-header x-webobjects-remote-user \
		--users alice,bob,carol --domain example.com --heartbeat 2 "$@" >"$folder/run.out" 2>&1
}

right() {
	echo "right: $*"
	run "$@" || { cat "$folder/run.out"; exit 1; }
}

# spoil STATUS FAULT [option...]: the fault is put in, and the run must end with that status.
spoil() {
	wanted=$1
	shift
	echo "spoilt, to end with $wanted: $*"
	python3 - "http://127.0.0.1:$port/eassim/fault" "$1" <<-'END'
		import sys, urllib.request
		def send(method, url):
		    urllib.request.urlopen(urllib.request.Request(url, method=method)).read()
		send("DELETE", sys.argv[1])
		send("POST", sys.argv[1] + "?" + sys.argv[2])
	END
	shift
	status=0
	run --devices 3 --duration 2 --heartbeat 1 --send-rate 0 "$@" || status=$?
	[ "$status" = "$wanted" ] || { echo "exit status $status"; cat "$folder/run.out"; exit 1; }
}

# wrong FAULT [option...]: the run must say "not right".
wrong() { spoil 1 "$@"; }

serve
right --devices 20 --duration 4 --send-rate 5 --strict
right --devices 6 --duration 2 --send-rate 2 --strict --version 12.1 --base64
right --devices 6 --duration 2 --send-rate 2 --strict --version 16.1 --poll sync
right --devices 6 --park 1 --strict
wrong 'kind=wbxml&command=Sync'
wrong 'kind=garbage&command=FolderSync'
wrong 'kind=status&status=400&command=Settings'
# Phones that are told to provision do, and ask the same again; those that are put out stop.
spoil 0 'kind=status&status=449&command=Settings' --strict
spoil 0 'kind=status&status=403&command=Sync' --strict
spoil 0 'kind=status&status=403&command=Sync&count=1000000' --expect blocked
wrong 'kind=status&status=401&command=FolderSync&count=1000000' --expect blocked
spoil 0 'kind=status&status=401&command=FolderSync&count=1000000' --expect password
spoil 0 'kind=status&status=451&command=Ping&count=1000000' --expect moved
wrong 'kind=status&status=449&command=FolderSync&count=1000000'
wrong 'kind=cut&command=Provision' --strict
wrong 'kind=drop&command=Ping' --strict
unserve

serve --chunked
right --devices 6 --duration 2 --strict
unserve

serve --close
right --devices 6 --duration 2
unserve

# A mailbox that the phone does not know for its own.
serve
echo "wrong: another mailbox"
status=0
"$eassim" run --url "$url" --assert-header x-other --users alice --devices 1 --duration 1 \
	>"$folder/run.out" 2>&1 || status=$?
[ "$status" = 1 ] || { cat "$folder/run.out"; exit 1; }
unserve
echo "all as it should be"
