# voicecredits: build, test, install. `make help` lists the targets.

LUA_VERSION = 5.4
PREFIX      = /usr/local
DESTDIR     =

# What the commands below need on Debian, in one place; elsewhere the README lists it. RUN is for building and the demo,
# TEST for the suite and the checks, LUAS for the suite on every other Lua, SITE for the benchmark, BENCH for its contenders
# (one that is not installed is shown as such).
DEBIAN_RUN  = lua5.4 liblua5.4-dev libcurl4-openssl-dev lua-cjson lua-argparse lua-term lua-http
DEBIAN_TEST = lua-busted lua-check luarocks cppcheck locales openssl lua-copas lua-luv lua-socket neovim nginx libnginx-mod-http-lua \
              lua-resty-core lua-resty-lrucache luajit2 libluajit2-5.1-dev
DEBIAN_FUZZ = clang libclang-rt-dev llvm
DEBIAN_LUAS = lua5.1 liblua5.1-0-dev lua5.2 liblua5.2-dev lua5.3 liblua5.3-dev
DEBIAN_SITE = openssl ca-certificates curl
DEBIAN_BENCH = lua5.1 lua5.2 lua-curl lua-http lua-socket lua-sec python3-aiohttp nodejs

DEBIAN_SANITIZE = clang libclang-rt-dev llvm valgrind

# ---- which Lua ----

ifeq ($(LUA_VERSION),jit)
LUA        = luajit
LUA_INCDIR = $(firstword $(wildcard /usr/include/luajit-2.1 /usr/local/include/luajit-2.1))
LUA_ABI    = 5.1
else
LUA        = lua$(LUA_VERSION)
LUA_INCDIR = $(firstword $(wildcard /usr/include/lua$(LUA_VERSION) /usr/local/include/lua$(LUA_VERSION) /usr/local/include))
LUA_ABI    = $(LUA_VERSION)
endif

# ---- the C module ----

BUILD    = build/$(LUA_VERSION)
MODULE   = $(BUILD)/voicecredits/core.so
SOURCES  = $(wildcard src/*.c src/providers/*.c)
OBJECTS  = $(SOURCES:src/%.c=$(BUILD)/object/%.o)
LUAFILES = $(wildcard lua/voicecredits/*.lua)
# For Neovim, which finds it beside the module or as a plugin (make nvim).
NVIMFILES = $(wildcard lua/voicecredits/nvim/*.lua)

CFLAGS   = -O2 -g
WARNINGS = -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Werror
CURL_CFLAGS := $(shell curl-config --cflags 2>/dev/null)
CURL_LIBS   := $(or $(shell curl-config --libs 2>/dev/null),-lcurl)
compile  = $(CC) $(WARNINGS) $(CFLAGS) $(CPPFLAGS) -fPIC -fvisibility=hidden -pthread -I$(LUA_INCDIR) $(CURL_CFLAGS)
ifeq ($(shell uname -s),Darwin)
shared   = -bundle -undefined dynamic_lookup
link     = $(CC) $(LDFLAGS) $(shared)
else
shared   = -shared
link     = $(CC) $(LDFLAGS) $(shared) -pthread -Wl,-z,nodelete
endif

.DEFAULT_GOAL := $(MODULE)

$(MODULE): $(OBJECTS)
	@mkdir -p $(@D)
	$(link) -o $@ $(OBJECTS) $(CURL_LIBS) -lm -ldl

$(BUILD)/object/%.o: src/%.c Makefile | $(BUILD)/headers-found
	@mkdir -p $(@D)
	$(compile) -MMD -MP -c -o $@ $<

# Says in one line what is missing, before the compiler does in a hundred.
$(BUILD)/headers-found:
	@mkdir -p $(@D)
	@for header in lua.h curl/curl.h; do \
	  printf '#include <%s>\n' $$header | $(CC) $(CPPFLAGS) -I$(or $(LUA_INCDIR),.) $(CURL_CFLAGS) -E - >/dev/null 2>&1 || { \
	    echo "make: <$$header> was not found: install it (Debian: 'make dependencies') or set LUA_INCDIR" >&2; exit 1; }; \
	done
	@touch $@

-include $(OBJECTS:.o=.d)

# What the tests need in C.
$(BUILD)/process.so: spec/support/process.c $(MODULE)
	$(compile) -fvisibility=default $(LDFLAGS) $(shared) -o $@ $<

$(BUILD)/state.so $(BUILD)/slow_resolver.so: $(BUILD)/%.so: spec/support/%.c $(MODULE)
	$(compile) -fvisibility=default $(LDFLAGS) $(shared) -o $@ $< -ldl

# ---- what is missing on this machine ----

# Installs the missing ones of these packages, and does nothing at all where none is missing. No service is started.
PACKAGES = $(DEBIAN_RUN) $(DEBIAN_TEST)

.PHONY: dependencies
dependencies:
	@command -v dpkg-query >/dev/null 2>&1 || exit 0; \
	missing=; for package in $(PACKAGES); do \
	  case "$$(dpkg-query -W -f '$${Status}' $$package 2>/dev/null)" in *" installed") ;; *) missing="$$missing $$package" ;; esac; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	echo "installing:$$missing"; \
	root=; [ "$$(id -u)" = 0 ] || root=sudo; \
	$$root apt-get update -qq && \
	$$root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $$missing >/dev/null

# ---- demo, tests, checks ----

# The tests make authorities of their own. Where a machine sets both a file and a directory libcurl reads the file for every
# TLS connection.
unexport SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE

export LUA_PATH  = ./lua/?.lua;./lua/?/init.lua;./?.lua;./?/init.lua;;
export LUA_CPATH = ./$(BUILD)/?.so;;

.PHONY: demo test test-all lint
demo:
	@$(MAKE) --silent dependencies PACKAGES="$(DEBIAN_RUN)"
	@$(MAKE) --silent $(MODULE)
	@LUA=$(LUA) sh examples/demo.sh

test: dependencies
	@$(MAKE) --silent $(MODULE) $(BUILD)/process.so $(BUILD)/slow_resolver.so
	@$(MAKE) --silent LUA_VERSION=jit # for Neovim and nginx
	@LUA=$(LUA) LUA_VERSION=$(LUA_VERSION) LUA_INCDIR=$(LUA_INCDIR) BUILD=$(BUILD) $(LUA) $$(command -v busted) $(SPECS)

# The suite on each of the Luas that Debian has; what is the same on all of them runs once.
LUAS     = 5.1 5.2 5.3 5.4 jit
RUN_ONCE = $(addprefix spec/,$(addsuffix _spec.lua,faults_locale house memory nvim openresty sandbox support))

test-all:
	@$(MAKE) --silent dependencies PACKAGES="$(DEBIAN_RUN) $(DEBIAN_TEST) $(DEBIAN_LUAS)"
	@for version in $(LUAS); do \
	  echo "Lua $$version"; specs=; \
	  [ $$version = 5.4 ] || specs="$(filter-out $(RUN_ONCE),$(wildcard spec/*_spec.lua))"; \
	  $(MAKE) --silent test LUA_VERSION=$$version SPECS="$$specs" || exit 1; \
	done

lint: dependencies
	luacheck --quiet lua plugin spec bin/voicecredits examples bench doc
	cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	  -DLUA_VERSION_NUM=504 src

# The picture in the README, from a real run.
.PHONY: picture
picture: $(MODULE)
	$(LUA) doc/picture.lua > doc/terminal.svg

# ---- memory that runs out ----

# The module once more, so that whatever it takes can be made to fail, and the interpreter that does so, for one Lua that
# tries again when memory is out and one that does not. `make memory` tries every single fault, the suite fewer of them.
MEMORY      = build/memory/$(LUA_VERSION)
MEMORY_LUA  = $(if $(filter jit,$(LUA_VERSION)),luajit-5.1,lua$(LUA_VERSION))
MEMORY_LUAS = 5.4 jit

.PHONY: memory memory-parts
memory: dependencies
	@EVERY_FAULT=yes $(MAKE) --silent test SPECS=spec/memory_spec.lua

memory-parts:
	@for version in $(MEMORY_LUAS); do $(MAKE) --silent LUA_VERSION=$$version memory-part || exit 1; done

.PHONY: memory-part
memory-part:
	@$(MAKE) --silent BUILD=$(MEMORY) CPPFLAGS="$(CPPFLAGS) -DVOICECREDITS_FAULTS" \
	  $(MEMORY)/voicecredits/core.so $(MEMORY)/process.so $(MEMORY)/interpreter

%/interpreter: spec/support/memory.c Makefile
	@mkdir -p $(@D)
	$(CC) $(WARNINGS) $(CFLAGS) -pthread -I$(LUA_INCDIR) $(LDFLAGS) -rdynamic -o $@ $< -l$(MEMORY_LUA) -ldl

# ---- static archive ----

# One archive for hosts that link everything: luaopen_voicecredits holds the Lua files too. Where objcopy exists all but
# the two luaopen functions is made local, so that no name of ours meets one of the host's.
ARCHIVE = $(BUILD)/libvoicecredits.a

.PHONY: static
static: $(ARCHIVE)

$(BUILD)/static/parts.h: src/static/embed.lua $(LUAFILES)
	@mkdir -p $(@D)
	$(LUA) src/static/embed.lua $(filter-out %/types.lua %/nvim.lua %/health.lua %/openresty.lua,$(LUAFILES)) > $@.new
	@mv $@.new $@

$(BUILD)/static/luaopen.o: src/static/luaopen.c $(BUILD)/static/parts.h Makefile | $(BUILD)/headers-found
	$(compile) -I$(@D) -c -o $@ $<

$(ARCHIVE): $(OBJECTS) $(BUILD)/static/luaopen.o
	@rm -f $@
	@if command -v objcopy >/dev/null 2>&1; then \
	  $(CC) -r -nostdlib -o $(BUILD)/static/voicecredits.o $^ && \
	  objcopy --localize-hidden $(BUILD)/static/voicecredits.o && \
	  $(AR) rcs $@ $(BUILD)/static/voicecredits.o; \
	else \
	  $(AR) rcs $@ $^; \
	fi

# ---- Neovim ----

# What a plugin manager runs: the module for LuaJIT, where Neovim finds it beside the plugin's Lua files. Moved into its
# place, not written over: a running Neovim has the old one in its memory.
NVIM_MODULE = lua/voicecredits/core.so

.PHONY: nvim
nvim:
	@$(MAKE) --silent LUA_VERSION=jit build/jit/voicecredits/core.so
	cp build/jit/voicecredits/core.so $(NVIM_MODULE).new
	mv -f $(NVIM_MODULE).new $(NVIM_MODULE)

# ---- guards ----

# Takes the guards of src/ out, one at a time, in a copy of the tree: the test that is named for each must fail. GUARD=word
# for those whose names hold it.
.PHONY: guards
guards: dependencies
	@$(MAKE) --silent $(MODULE)
	@$(LUA) spec/long/guards.lua $(if $(GUARD),"$(GUARD)")

# ---- faults ----

# Every fault of spec/faults.lua, here and in processes with a decimal comma, west and east of UTC.
.PHONY: faults
faults:
	@$(MAKE) --silent test SPECS="spec/faults_spec.lua spec/faults_locale_spec.lua"

# ---- fuzzing ----

# libFuzzer with the address and undefined behaviour sanitizers over `parse` of each provider and what it reads texts with.
# The seed corpus is the fixtures; what a run finds worth keeping stays in build/fuzz/corpus for the next one.
FUZZ_SECONDS = 10
FUZZ_JOBS    = $(shell nproc 2>/dev/null || echo 1)
FUZZ_FOLDER  = build/fuzz
FUZZ_PARSE   = $(patsubst src/providers/%.c,parse_%,$(wildcard src/providers/*.c))
FUZZ_TARGETS = $(FUZZ_PARSE) lenient_json retry_after dates decimals
FUZZ_FLAGS   = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined

.PHONY: fuzz fuzz-targets
fuzz:
	@$(MAKE) --silent dependencies PACKAGES="$(DEBIAN_RUN) $(DEBIAN_FUZZ) locales"
	@$(MAKE) --silent fuzz-targets BUILD=$(FUZZ_FOLDER) CC=clang CFLAGS="$(FUZZ_FLAGS) -fsanitize=fuzzer-no-link"
	@rm -rf $(FUZZ_FOLDER)/seeds && $(LUA) spec/fuzz/seeds.lua $(FUZZ_FOLDER)/seeds
	@cp spec/fuzz/words.dict $(FUZZ_FOLDER)
	@[ -d $(FUZZ_FOLDER)/locale/de_DE.UTF-8 ] || { mkdir -p $(FUZZ_FOLDER)/locale && \
	  localedef -i de_DE -f UTF-8 $(FUZZ_FOLDER)/locale/de_DE.UTF-8; }
	@printf '%s\n' $(FUZZ_TARGETS) | xargs -P $(FUZZ_JOBS) -I '{}' sh spec/fuzz/run.sh $(FUZZ_FOLDER) '{}' $(FUZZ_SECONDS)

fuzz-targets: $(FUZZ_TARGETS:%=$(BUILD)/%)

# -rdynamic: lua-cjson finds its Lua in the program that loads it.
fuzz_link = $(compile) -fsanitize=fuzzer $(LDFLAGS) -rdynamic

fuzz_module = $(OBJECTS) -Wl,--whole-archive -l:liblua$(LUA_VERSION).a -Wl,--no-whole-archive $(CURL_LIBS) -lm -ldl
FUZZ_HEADERS = $(wildcard spec/fuzz/*.h)

$(BUILD)/parse_%: spec/fuzz/parse.c $(FUZZ_HEADERS) $(OBJECTS)
	$(fuzz_link) -DPROVIDER='"$*"' -o $@ $< $(fuzz_module)

$(BUILD)/lenient_json: spec/fuzz/lenient_json.c $(FUZZ_HEADERS) $(OBJECTS)
	$(fuzz_link) -o $@ $< $(fuzz_module)

$(BUILD)/retry_after $(BUILD)/dates $(BUILD)/decimals: $(BUILD)/%: spec/fuzz/%.c $(FUZZ_HEADERS) $(OBJECTS)
	$(fuzz_link) -o $@ $< $(foreach room,retry dates text,$(BUILD)/object/$(room).o) $(CURL_LIBS) -lm

# ---- sanitizers and memcheck ----

# The suite with the C module built for a sanitizer, on an interpreter that has its runtime inside, in the tests' own
# process and in those that it starts. Every process writes its reports to a file of its own; one is a failure.
SANITIZE_asan = address,undefined,float-cast-overflow,float-divide-by-zero -fno-sanitize-recover=all
SANITIZE_tsan = thread
sanitized     = -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZE_$@)

# Neovim and nginx have no runtime inside. AddressSanitizer's is preloaded into them; leaks are not looked for there, where
# nearly all are the host's. ThreadSanitizer's is not: clang's crashes in programs that are not built for it, and with gcc's
# own there are reports of Neovim's threads and one thread more than the tests count.
HOSTS_asan   = nvim nginx
JIT_asan     = build/asan/jit
JIT_tsan     = build/jit
WITHOUT_asan = the command, what make install, make nvim, LuaRocks and examples/embed build; leaks in Neovim and nginx
WITHOUT_tsan = the command, what make install, LuaRocks and examples/embed build; spec/nvim_spec.lua, spec/openresty_spec.lua

# What cannot run at all, by its name: it has another Lua load the module, one that has no runtime inside. And what would
# run without it from end to end, in an interpreter of its own, and what is the fault table once more.
EXCLUDED = a C module for this Lua, where it was built for another
EXCLUDED_SPECS = spec/memory_spec.lua spec/faults_locale_spec.lua

.PHONY: asan tsan memcheck
asan tsan:
	@$(MAKE) --silent dependencies PACKAGES="$(DEBIAN_RUN) $(DEBIAN_TEST) $(DEBIAN_SANITIZE)"
	@$(MAKE) --silent $(MODULE) # for the command, which takes that one from a checkout
	@$(MAKE) --silent LUA_VERSION=jit
	@$(MAKE) --silent BUILD=build/$@ CC=clang CFLAGS="$(sanitized)" \
	  $(addprefix build/$@/,voicecredits/core.so process.so lua $(HOSTS_$@:%=hosts/bin/%))
	@$(MAKE) --silent BUILD=build/$@ build/$@/slow_resolver.so # is loaded into programs that have no runtime inside
	@[ $(JIT_$@) = build/jit ] || \
	  $(MAKE) --silent BUILD=$(JIT_$@) LUA_VERSION=jit CC=clang CFLAGS="$(sanitized)" $(JIT_$@)/voicecredits/core.so
	@rm -rf build/$@/reports; mkdir -p build/$@/reports
	@echo "$@: runs without it: $(WITHOUT_$@)"; echo "$@: does not run: $(EXCLUDED); $(EXCLUDED_SPECS)"
	@lua=$(CURDIR)/build/$@/lua; PATH="$(CURDIR)/build/$@/hosts/bin:$$PATH" JIT_BUILD=$(JIT_$@) LUA_CPATH="./build/$@/?.so;;" \
	LUA=$$lua LUA_VERSION=$(LUA_VERSION) LUA_INCDIR=$(LUA_INCDIR) BUILD=build/$@ \
	  $$lua $$(command -v busted) --filter-out="$(EXCLUDED)" \
	  $(or $(SPECS),$(filter-out $(EXCLUDED_SPECS),$(wildcard spec/*_spec.lua))); status=$$?; \
	for report in build/$@/reports/*; do [ -e "$$report" ] && cat "$$report" && status=1; done; \
	exit $$status

$(BUILD)/lua: spec/support/sanitized_lua.c Makefile
	@mkdir -p $(@D)
	$(CC) $(WARNINGS) $(CFLAGS) -DREPORTS='"$(CURDIR)/$(BUILD)/reports/report"' -I$(LUA_INCDIR) -o $@ $< -llua$(LUA_VERSION)

# A program of the machine's by the same name, with the runtime preloaded. The folder is called bin and has one of its own above
# it, since LuaRocks takes a lua that it finds above a folder of PATH for the one to build for.
$(BUILD)/hosts/bin/%: Makefile
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nexec env LD_PRELOAD=%s ASAN_OPTIONS=log_path=%s:detect_leaks=0 %s "$$@"\n' \
	  "$$($(CC) -print-file-name=libclang_rt.asan-$$(uname -m).so)" "$(CURDIR)/$(BUILD)/reports/$*" "$$(command -v $*)" >$@
	@chmod +x $@

memcheck:
	@$(MAKE) --silent dependencies PACKAGES="$(DEBIAN_RUN) $(DEBIAN_TEST) $(DEBIAN_SANITIZE)"
	@$(MAKE) --silent $(MODULE) $(BUILD)/process.so
	@LUA=$(LUA) valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
	  $(LUA) $$(command -v busted) $(or $(SPECS),spec/parse_spec.lua spec/options_spec.lua)

# ---- how long hosts are held ----

.PHONY: bench-hosts
bench-hosts:
	@$(MAKE) --silent dependencies PACKAGES="$(DEBIAN_RUN) $(DEBIAN_TEST) wrk"
	@$(MAKE) --silent $(MODULE) $(BUILD)/process.so
	@$(MAKE) --silent LUA_VERSION=jit
	@echo "a game loop"; $(LUA) bench/hosts/game.lua
	@echo "Neovim"; $(LUA) bench/hosts/neovim_run.lua 200
	@echo "nginx"; $(LUA) bench/hosts/nginx.lua

# ---- how fast it is ----

BENCH = $(BUILD)/bench

$(BENCH)/measure $(BENCH)/relay: $(BENCH)/%: bench/%.c
	@mkdir -p $(@D)
	$(CC) $(WARNINGS) -O2 -o $@ $<

$(BENCH)/bare: bench/contenders/bare.c
	@mkdir -p $(@D)
	$(CC) $(WARNINGS) -O2 $(CURL_CFLAGS) -o $@ $< $(CURL_LIBS)

$(BUILD)/bench_clock.so: bench/clock.c | $(BUILD)/headers-found
	$(compile) -fvisibility=default $(LDFLAGS) $(shared) -o $@ $<

.PHONY: bench bench-quick bench-deps bench-tools
bench: bench-tools
	@BENCH=$(BENCH) LUA=$(LUA) $(LUA) bench/run.lua

# ---- keys ----

# What becomes of API keys. One test needs a build of the module that watches the memory it gives back.
WATCHED  = $(BUILD)/watched/voicecredits/core.so
wrapped  = malloc calloc realloc strdup free explicit_bzero curl_slist_free_all

.PHONY: keys watched
keys:
	@$(MAKE) --silent test SPECS=spec/keys_spec.lua

watched: $(WATCHED)

$(WATCHED): $(OBJECTS) spec/support/watched.c
	@mkdir -p $(@D)
	$(compile) -c -o $(BUILD)/watched/watched.o spec/support/watched.c
	$(link) -o $@ $(OBJECTS) $(BUILD)/watched/watched.o $(wrapped:%=-Wl,--wrap=%) $(CURL_LIBS) -lm -ldl

# ---- limits and long runs ----

# A check ends in its time in every phase; of ten thousand each comes back once.
.PHONY: limits
limits:
	@$(MAKE) --silent test SPECS=spec/limits_spec.lua

# Not part of the suite; `make soak COUNT=30000` and `make rounds ROUNDS=20` are their short forms.
COUNT  = 1000000
ROUNDS = 1000

.PHONY: soak rounds
soak rounds: dependencies
	@$(MAKE) --silent $(MODULE) $(BUILD)/process.so $(BUILD)/state.so
	@$(if $(filter rounds,$@),GLIBC_TUNABLES=glibc.malloc.tcache_count=0) $(LUA) spec/long/$@.lua $(if $(filter soak,$@),$(COUNT),$(ROUNDS))

bench-quick: bench-tools
	@BENCH=$(BENCH) LUA=$(LUA) QUICK=1 $(LUA) bench/run.lua

bench-deps:
	@$(MAKE) --silent dependencies PACKAGES="$(DEBIAN_RUN) $(DEBIAN_TEST) $(DEBIAN_SITE) $(DEBIAN_BENCH)"

bench-tools:
	@$(MAKE) --silent dependencies PACKAGES="$(DEBIAN_RUN) $(DEBIAN_TEST) $(DEBIAN_SITE)"
	@$(MAKE) --silent $(MODULE) $(BENCH)/measure $(BENCH)/relay $(BENCH)/bare $(BUILD)/bench_clock.so

# ---- installing ----

SHARE = $(DESTDIR)$(PREFIX)/share/lua/$(LUA_ABI)/voicecredits
LIB   = $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_ABI)/voicecredits

.PHONY: install uninstall clean help
install: $(MODULE)
	install -d $(SHARE)/nvim $(LIB) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(LUAFILES) $(SHARE)
	install -m 644 $(NVIMFILES) $(SHARE)/nvim
	install -m 755 $(MODULE) $(LIB)/core.so
	sed '1s|.*|#!/usr/bin/env $(LUA)|' bin/voicecredits > $(DESTDIR)$(PREFIX)/bin/voicecredits
	chmod 755 $(DESTDIR)$(PREFIX)/bin/voicecredits

uninstall:
	rm -rf $(SHARE) $(LIB) $(DESTDIR)$(PREFIX)/bin/voicecredits

clean:
	rm -rf build $(NVIM_MODULE)

help:
	@echo "make               $(MODULE); LUA_VERSION=5.1|5.2|5.3|5.4|5.5|jit, LUA_INCDIR=folder of lua.h"
	@echo "make demo          installs what is missing, builds, checks five accounts in the sandbox"
	@echo "make test          installs what is missing, builds, runs the test suite; SPECS=spec/one_spec.lua"
	@echo "make test-all      the same on Lua 5.1, 5.2, 5.3, 5.4 and LuaJIT"
	@echo "make lint          luacheck and cppcheck"
	@echo "make nvim          builds the module for Neovim, where it finds it: a plugin manager's build command"
	@echo "make static        $(ARCHIVE), for programs that link everything"
	@echo "make install       PREFIX=$(PREFIX) DESTDIR=; make uninstall takes it back"
	@echo "make dependencies  installs the Debian packages that are missing"
	@echo "make clean         removes build/"
	@echo
	@echo "How hard it is to break (doc/reliability.md):"
	@echo "make faults        the fault table, also with a decimal comma and in time zones west and east of UTC"
	@echo "make memory        lets every allocation fail in turn, in Lua and below"
	@echo "make fuzz          libFuzzer over parse, Retry-After, dates and decimals: FUZZ_SECONDS=10 for each, FUZZ_JOBS at a time"
	@echo "make asan          the suite under AddressSanitizer, LeakSanitizer and UBSan; make tsan ThreadSanitizer; make memcheck valgrind"
	@echo "make keys          that no API key is shown, left behind or sent where it does not belong"
	@echo "make limits        a check ends at its timeout in every phase; of 10,000 each comes back once"
	@echo "make soak          COUNT=1000000 checks: memory and descriptors; make rounds: ROUNDS=1000 ends, closes, forks"
	@echo "make guards        takes the guards of src/ out, one at a time: the tests must notice; GUARD=word"
	@echo
	@echo "How fast it is (doc/performance.md, doc/hosts.md):"
	@echo "make bench         beside bare libcurl and six others (make bench-deps installs them); RUNS=5,"
	@echo "                   CASES=\"a b\", ONLY=\"bare voicecredits\"; make bench-quick takes less than a minute"
	@echo "make bench-hosts   how long the module holds a game's frame, Neovim and nginx"
