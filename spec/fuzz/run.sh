#!/bin/sh
# Runs one fuzz target for a time and says in one line what it did. A finding makes it fail; the input is kept.
# Usage: run.sh FOLDER TARGET SECONDS; FUZZ_SEED in the environment makes it begin as another run with that seed did.
set -u
folder=$1 target=$2 seconds=$3
log=$folder/logs/$target
mkdir -p "$folder/corpus/$target" "$folder/findings" "$folder/logs"

# Leaks are looked for after each run, and at the end of all. With a Lua state, whose garbage would be found, the parse
# targets look by themselves now and then (parse.c).
case $target in parse_* | lenient_json) leaks=0 ;; *) leaks=1 ;; esac

FUZZ_LOCALES=$folder/locale UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=32 \
nice -n 19 "$folder/$target" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=1024 -detect_leaks=$leaks -seed="${FUZZ_SEED:-0}" \
  -dict="$folder/words.dict" -artifact_prefix="$folder/findings/$target-" -print_final_stats=1 \
  "$folder/corpus/$target" "$folder/seeds/$target" >"$log" 2>&1 || {
  tail -n 60 "$log"
  echo "$target: a finding. The whole output is in $log; the input is named above. Again:"
  echo "  LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' FUZZ_LOCALES=$folder/locale $folder/$target INPUT"
  exit 1
}

awk -v target="$target" '
  / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cover = $(i + 1) }
  /number_of_executed_units/ { runs = $2 }
  /new_units_added/ { new = $2 }
  /peak_rss_mb/ { memory = $2 }
  /^Done / { took = $(NF - 1) }
  END { printf "%-16s %10d executions in %d s, no finding; %d edges, %d new inputs, %d MiB\n",
        target, runs, took, cover, new, memory }' "$log"
