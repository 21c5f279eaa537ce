#!/bin/sh
# The demo: the sandbox in the background, and the command asking it for the balances of all five accounts.
# Run from the repository's root; LUA names the interpreter.
set -u
LUA=${LUA:-lua5.4}

said=$(mktemp) || exit 1
"$LUA" bin/voicecredits sandbox --port 0 >"$said" 2>&1 &
sandbox=$!

stop() {
  kill "$sandbox" 2>/dev/null
  wait "$sandbox" 2>/dev/null
  rm -f "$said"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Up to 10 seconds, as long as the sandbox lives: its last line is there when all of it is.
tries=0
until grep -q sandbox-slow "$said"; do
  tries=$((tries + 1))
  if [ "$tries" -gt 200 ] || ! kill -0 "$sandbox" 2>/dev/null; then
    echo "demo: the sandbox did not start:" >&2
    cat "$said" >&2
    exit 69
  fi
  sleep 0.05
done

eval "$(grep '^ *export [A-Z_]*=[a-z0-9:/.-]*$' "$said")"

echo "Five accounts, asked over HTTP on this machine; the amounts are those of the providers' own documents:"
echo
"$LUA" bin/voicecredits
