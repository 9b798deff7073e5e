#!/usr/bin/env bash
# Plays the scenes of the README with real parts: each prints its command and its
# real output. Everything lives in one temporary folder and ends with the script.
set -euo pipefail
cd "$(dirname "$0")/.."
dunlin=$PWD/dunlin
work=$(mktemp -d)
export DUNLIN_ADDR=
pids=()

cleanup() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  # What a device runs outlives its agent by design: end this demo's host too.
  local p
  for p in /proc/[0-9]*; do
    if { tr '\0' ' ' <"$p/cmdline"; } 2>/dev/null | grep -qF "host -dir $work/"; then kill -9 "${p#/proc/}" 2>/dev/null || true; fi
  done
  rm -rf "$work"
}
trap cleanup EXIT

scene() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
show() { printf '$ dunlin %s\n' "$*"; "$dunlin" "$@"; }
fail() { echo "demo: $*" >&2; tail -n 20 "$work"/*.log >&2 || true; exit 1; }
# until_ok SECONDS COMMAND...: waits until the command succeeds, bounded.
until_ok() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || fail "waited in vain for: $*"; sleep 0.1; done
}
# has PATTERN COMMAND...: whether the command's output has the pattern.
has() { local p=$1; shift; "$@" 2>/dev/null | grep -qE -- "$p"; }

GOOS=wasip1 GOARCH=wasm go build -trimpath -o "$work/hello.wasm" ./examples/hello
cp examples/hello/app.hcl "$work/app.hcl"

scene "1. One process is a whole region: dunlin agent -dev"
"$dunlin" agent -dev >"$work/dev.out" 2>"$work/dev.log" & pids+=($!)
until_ok 60 grep -q 'HTTP API' "$work/dev.out"
export DUNLIN_ADDR; DUNLIN_ADDR=$(awk '/HTTP API/ {print $3}' "$work/dev.out")
until_ok 60 has online "$dunlin" node status
echo '$ dunlin agent -dev'; sed -n 1,4p "$work/dev.out"
show node status

scene "2. A Wasm module is pushed, placed and runs; its log is read"
cat "$work/app.hcl"
show run "$work/app.hcl"
until_ok 60 has hello "$dunlin" logs hello
show logs -n 3 hello

scene "3. Every no is explained: dunlin plan"
sed -e 's/memory = 32/memory = 999999/' "$work/app.hcl" >"$work/big.hcl"
show plan "$work/big.hcl" || [ $? -eq 3 ] || fail "plan did not say that it does not fit"
show status
kill "${pids[0]}"; wait "${pids[0]}" || true; pids=()

scene "4. Pull the plug: a server and a device, and the server goes away"
http=127.0.0.1:$((21000 + RANDOM % 9000)) quic=127.0.0.1:$((12000 + RANDOM % 9000)) local=127.0.0.1:$((30000 + RANDOM % 2700)) # below those that the kernel hands out
cat >"$work/server.hcl" <<HCL
name     = "region-1"
data_dir = "$work/server"
server {
  enabled = true
}
HCL
server() { "$dunlin" agent -config "$work/server.hcl" -http $http -quic $quic >>"$work/server.log" 2>&1 & pids+=($!); server_pid=$!; }
device() { "$dunlin" agent -config "$work/device/agent.hcl" >>"$work/device.log" 2>&1 & pids+=($!); device_pid=$!; }
stop() { kill "$1"; wait "$1" 2>/dev/null || true; }
export DUNLIN_ADDR=http://$http
server
until_ok 60 "$dunlin" node status
invite=$("$dunlin" node invite -name kiosk-7 2>/dev/null)
printf '$ dunlin node invite\n%.60s…\n' "$invite"
"$dunlin" join "${invite#dunlin join }" -data-dir "$work/device" -http $local -no-start
device
until_ok 60 has online "$dunlin" node status
show run "$work/app.hcl"
until_ok 60 has hello "$dunlin" logs hello
started() { "$dunlin" agent status -http $local -json | grep -E 'StartedAt|Restarts' ; }
before=$(started)
echo; echo "# the server is stopped, then the device's agent, and the agent started again: no server in sight"
stop $server_pid; stop $device_pid; device
until_ok 60 has running "$dunlin" agent status -http $local
show agent status -http $local
[ "$before" = "$(started)" ] || fail "the task was restarted while the server was away"
echo; echo "# the server comes back"
server
until_ok 60 has online "$dunlin" node status
show status hello
[ "$before" = "$(started)" ] || fail "the task was restarted when the link came back"
echo "same task as before: started once, restarted never"

scene "5. Cut the link, change a job, reboot the agent, mend the link"
sed -e 's/job "hello"/job "steady"/' "$work/app.hcl" >"$work/steady.hcl"
"$dunlin" run "$work/steady.hcl" >/dev/null
until_ok 60 has steady "$dunlin" logs steady
# on_device JOB: when its task on the device began.
on_device() { "$dunlin" agent status -http $local -json | awk -v job="$1" '/"Name"/ {name = $0} /"StartedAt"/ && name ~ job {print; exit}'; }
before=$(on_device steady)
echo "# the link is cut: the server goes on, where the device cannot reach it"
stop $server_pid; there=$quic; quic=127.0.0.1:$((12000 + RANDOM % 9000)); server
until_ok 60 "$dunlin" node status
sed -e 's/memory = 32/memory = 48/' "$work/app.hcl" >"$work/changed.hcl"
show run -detach "$work/changed.hcl"
echo "# and the device is rebooted meanwhile"
stop $device_pid; device
until_ok 60 has running "$dunlin" agent status -http $local
show agent status -http $local
echo; echo "# the link is mended"
stop $server_pid; quic=$there; server
until_ok 60 has 'hello.*complete' "$dunlin" alloc status
show alloc status
[ "$before" = "$(on_device steady)" ] || fail "a job that nobody changed was restarted"
echo "steady stayed: the same process all along; hello went to its new version"
show node traffic kiosk-7
show stop steady
show stop hello
until_ok 60 has 'complete|lost' "$dunlin" alloc status
printf '\ndemo done\n'
