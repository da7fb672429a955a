# SPDX-License-Identifier: GPL-3.0-or-later
#
#   make                            build/mosaicfs
#   make check                      all tests that need neither root nor FUSE
#   make fuzz T=60 [FUZZ=index]     each fuzzer, or one, for T seconds; RUNS=N: N inputs
#   make crash N=100000             so many power cuts; SEED= begins elsewhere, or shows one state again;
#                                   LAYOUT=jpeg: on archives of that layout only
#   make crash-bugs                 the bugs that are seeded to see that a power cut finds them
#   make calls                      every call fails once, with every error
#   make perf-check                 instructions and system calls of requests against recorded ones
#   make install DESTDIR= prefix=   program and man pages; PREFIX= does as well
#   make SANITIZE=address,undefined build-address-undefined/mosaicfs; likewise SANITIZE=thread
#   make CC=clang WERROR=1          what CI does

CC ?= gcc
CFLAGS ?= -O2 -g
# In capitals, too, as other projects spell them.
prefix ?= $(or $(PREFIX),/usr/local)
bindir ?= $(or $(BINDIR),$(prefix)/bin)
mandir ?= $(or $(MANDIR),$(prefix)/share/man)
INSTALL ?= install
PKG_CONFIG ?= pkg-config

comma := ,
ifdef SANITIZE
BUILD ?= build-$(subst $(comma),-,$(SANITIZE))
sanitize := -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all \
	-DSANITIZED
endif
BUILD ?= build

version := $(shell sed -n 's/^\#define VERSION "\(.*\)"/\1/p' src/cli/version.h)

warnings := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wformat=2 -Wundef -Wvla -Wno-unused-parameter
ifdef WERROR
warnings += -Werror
endif
ifneq (,$(findstring clang,$(CC)))
warnings += -Wthread-safety
endif

fuse_cflags := $(shell $(PKG_CONFIG) --cflags fuse3 2>/dev/null)
fuse_libs := $(shell $(PKG_CONFIG) --libs fuse3 2>/dev/null)
crypto_cflags := $(shell $(PKG_CONFIG) --cflags libcrypto 2>/dev/null)
crypto_libs := $(shell $(PKG_CONFIG) --libs libcrypto 2>/dev/null)
# Optional: without jansson --json says that it is missing.
ifeq (0,$(shell $(PKG_CONFIG) --exists jansson; echo $$?))
jansson_cflags := $(shell $(PKG_CONFIG) --cflags jansson) -DHAVE_JANSSON=1
jansson_libs := $(shell $(PKG_CONFIG) --libs jansson)
endif
# Optional: without libplist sparse bundles of macOS are refused.
ifeq (0,$(shell $(PKG_CONFIG) --exists libplist-2.0; echo $$?))
plist_cflags := $(shell $(PKG_CONFIG) --cflags libplist-2.0) -DHAVE_LIBPLIST=1
ifeq (0,$(shell $(PKG_CONFIG) --exists 'libplist-2.0 >= 2.3'; echo $$?))
plist_cflags += -DHAVE_PLIST_MEM_FREE=1
endif
plist_libs := $(shell $(PKG_CONFIG) --libs libplist-2.0)
endif
# Optional: without libjpeg damage within a cover goes unseen.
ifeq (0,$(shell $(PKG_CONFIG) --exists libjpeg; echo $$?))
jpeg_cflags := $(shell $(PKG_CONFIG) --cflags libjpeg) -DHAVE_LIBJPEG=1
jpeg_libs := $(shell $(PKG_CONFIG) --libs libjpeg)
endif

all_cflags := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Isrc -pthread -fvisibility=hidden \
	$(fuse_cflags) $(crypto_cflags) $(jansson_cflags) $(plist_cflags) $(jpeg_cflags) $(warnings) \
	$(sanitize) $(CFLAGS)
all_libs := $(fuse_libs) $(crypto_libs) $(jansson_libs) $(plist_libs) $(jpeg_libs)

sources := $(wildcard src/*/*.c)
objects := $(sources:%.c=$(BUILD)/%.o)
program := $(filter-out $(BUILD)/src/cli/main.o,$(objects))
# What another front end links: drives, and all below them.
library := $(filter $(foreach d,$(shell sed '/^\#/d; /^front$$/,$$d' src/layers),$(BUILD)/src/$d/%),$(objects))

unit := $(patsubst test/unit/%.c,$(BUILD)/test/unit/%,$(wildcard test/unit/test_*.c))
model := $(patsubst test/model/%.c,$(BUILD)/test/model/%,$(wildcard test/model/*.c))
# Each fuzzer fed from its corpus, with any compiler; below, by libFuzzer.
fuzz_names := $(patsubst test/fuzz/%.c,%,$(filter-out test/fuzz/replay.c,$(wildcard test/fuzz/*.c)))
replays := $(fuzz_names:%=$(BUILD)/test/fuzz/replay-%)
preloads := $(BUILD)/test/e2e/escape.so $(BUILD)/test/vm/sabotage.so
sys := $(patsubst %,$(BUILD)/test/%,$(foreach d,crash calls,$(if $(wildcard test/$d/*.c),$d/$d)))
helpers := $(patsubst test/e2e/%.c,$(BUILD)/test/e2e/%,$(wildcard test/e2e/*.c))
helpers += $(patsubst test/vm/%.c,$(BUILD)/test/vm/%,$(wildcard test/vm/*.c))
helpers += $(patsubst test/bench/%.c,$(BUILD)/test/bench/%,$(wildcard test/bench/*.c))
helpers := $(filter-out $(preloads:.so=),$(helpers)) $(preloads)
perf := $(BUILD)/test/perf/requests
link := $(BUILD)/test/link/plugin

.PHONY: all tests calls check crash crash-bugs fuzz fuzzers lint perf-check install uninstall clean
.DELETE_ON_ERROR:

all: $(BUILD)/mosaicfs

tests: all $(unit) $(model) $(sys) $(replays) $(helpers) $(perf) $(link)

# Without root and without FUSE, in under a minute. It ends with its count, also when nothing
# could be built.
check:
	@$(MAKE) --no-print-directory tests || { echo '0 passed, 1 failed, 0 skipped'; exit 1; }
	@BUILD=$(BUILD) test/run-local

T ?= 60
FUZZ ?= $(fuzz_names)

# The whole tree once more, so that libFuzzer sees which branches an input takes.
fuzz:
	$(MAKE) CC=clang SANITIZE=fuzzer-no-link,address,undefined BUILD=build-fuzz fuzzers
	T=$(T) RUNS=$(RUNS) test/fuzz/run build-fuzz $(FUZZ)

fuzzers: $(FUZZ:%=$(BUILD)/test/fuzz/fuzz-%)

# SEED is a number, or the name of a state as it was told: 7-152-torn-81. BUG goes with the latter.
crash: $(BUILD)/test/crash/crash
	$< --states $(or $(N),100000) $(if $(findstring -,$(SEED)),--state,$(if $(SEED),--seed)) $(SEED) \
		$(if $(BUG),--bug $(BUG)) $(if $(LAYOUT),--layout $(LAYOUT))

calls: $(BUILD)/test/calls/calls
	$<

crash-bugs: $(BUILD)/test/crash/crash
	$< --bugs $(if $(SEED),--seed $(SEED))

perf-check: $(perf)
	BUILD=$(BUILD) scripts/dev/perf-check

$(BUILD)/mosaicfs: $(BUILD)/src/cli/main.o $(BUILD)/program.a
	$(CC) $(all_cflags) $(LDFLAGS) -o $@ $^ $(all_libs)

$(BUILD)/program.a: $(program)
$(BUILD)/libmosaicfs.a: $(library)
$(BUILD)/%.a:
	rm -f $@
	$(AR) rcs $@ $^

# Without libfuse and jansson: nothing of the library knows them.
$(BUILD)/test/link/%: $(BUILD)/test/link/%.o $(BUILD)/libmosaicfs.a
	$(CC) $(all_cflags) $(LDFLAGS) -rdynamic -o $@ $^ $(crypto_libs) $(plist_libs) $(jpeg_libs)

$(BUILD)/test/unit/%: $(BUILD)/test/unit/%.o $(BUILD)/program.a
	$(CC) $(all_cflags) $(LDFLAGS) $(unit_ldflags) -o $@ $^ $(all_libs) -lcmocka

# The stores share one suite.
$(BUILD)/test/unit/test_store_%: $(BUILD)/test/unit/test_store_%.o $(BUILD)/test/unit/conformance.o \
		$(BUILD)/program.a
	$(CC) $(all_cflags) $(LDFLAGS) -o $@ $^ $(all_libs) -lcmocka

$(BUILD)/test/model/%: $(BUILD)/test/model/%.o $(BUILD)/program.a
	$(CC) $(all_cflags) $(LDFLAGS) $(model_ldflags) -o $@ $^ $(all_libs)

$(BUILD)/test/fuzz/replay-%: $(BUILD)/test/fuzz/%.o $(BUILD)/test/fuzz/replay.o \
		$(BUILD)/program.a
	$(CC) $(all_cflags) $(LDFLAGS) $(fuzz_ldflags) -o $@ $^ $(all_libs)

$(BUILD)/test/fuzz/fuzz-%: $(BUILD)/test/fuzz/%.o $(BUILD)/program.a
	$(CC) $(all_cflags) -fsanitize=fuzzer $(LDFLAGS) $(fuzz_ldflags) -o $@ $^ $(all_libs)

$(BUILD)/test/e2e/%: $(BUILD)/test/e2e/%.o $(BUILD)/program.a
	$(CC) $(all_cflags) $(LDFLAGS) -o $@ $^ $(all_libs)

$(BUILD)/test/bench/rings: all_libs += $(shell $(PKG_CONFIG) --libs liburing 2>/dev/null)
$(BUILD)/test/bench/%: $(BUILD)/test/bench/%.o $(BUILD)/program.a
	$(CC) $(all_cflags) $(LDFLAGS) -o $@ $^ $(all_libs)

$(BUILD)/test/perf/%: $(BUILD)/test/perf/%.o $(BUILD)/program.a
	$(CC) $(all_cflags) $(LDFLAGS) -Wl,--wrap=syscall,--wrap=hash_check -o $@ $^ $(all_libs)

# Counts are compared for the same flags only.
$(BUILD)/test/perf/requests.o: private CPPFLAGS += -DBUILT_WITH='"$(strip $(CFLAGS))"'

$(BUILD)/test/vm/%: $(BUILD)/test/vm/%.o
	$(CC) $(all_cflags) $(LDFLAGS) -o $@ $^

# Libraries for LD_PRELOAD.
$(preloads): $(BUILD)/%.so: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(all_cflags) $(CPPFLAGS) -fPIC -shared -fvisibility=default $(LDFLAGS) -o $@ $<

# test/NAME/*.c is one program, NAME, which sees every file system call of the program.
sys_wraps := $(foreach call,$(shell sed '/^\#/d' test/sys/wrapped),-Wl,--wrap=$(call),--wrap=$(call)64)
# What the program says is kept, not printed.
said_wraps := -Wl,--wrap=log_error,--wrap=log_warn,--wrap=log_note,--wrap=log_debug
define sys_program
$(BUILD)/test/$1/$1: $(patsubst %.c,$(BUILD)/%.o,$(wildcard test/$1/*.c test/sys/*.c)) \
		$(BUILD)/program.a
	$$(CC) $$(all_cflags) $$(LDFLAGS) $$(sys_wraps) $$(said_wraps) $$($1_ldflags) -o $$@ $$^ $$(all_libs)
endef
crash_ldflags := -Wl,--wrap=parallel_each
# Mistakes are seeded between the modules of the program.
calls_ldflags := $(foreach fn,io_pwrite io_pread io_fdatasync io_sync_dir io_open io_replace \
	io_move_new tilefile_create tilefile_punch changes_note changes_read flush_wait snapshots_carry usleep,-Wl,--wrap=$(fn))
$(foreach program,$(notdir $(sys)),$(eval $(call sys_program,$(program))))

# base/io.c under failing system calls: the linker gives the test the calls.
$(BUILD)/test/unit/test_io: unit_ldflags := \
	-Wl,--wrap=pread,--wrap=pread64,--wrap=pwrite,--wrap=pwrite64,--wrap=write \
	-Wl,--wrap=fsync,--wrap=fdatasync,--wrap=renameat,--wrap=usleep
# Likewise the directory store and the lock, with other threads and hosts in between.
$(BUILD)/test/unit/test_dir_races: unit_ldflags := \
	-Wl,--wrap=fstat,--wrap=fstat64,--wrap=fdatasync,--wrap=fallocate,--wrap=fallocate64 \
	-Wl,--wrap=ftruncate,--wrap=ftruncate64,--wrap=unlinkat
$(BUILD)/test/unit/test_blank: unit_ldflags := \
	-Wl,--wrap=lseek,--wrap=lseek64,--wrap=fallocate,--wrap=fallocate64,--wrap=fs_known
$(BUILD)/test/unit/test_compact: unit_ldflags := \
	-Wl,--wrap=fallocate,--wrap=fallocate64,--wrap=fs_known
$(BUILD)/test/unit/test_permission: unit_ldflags := \
	-Wl,--wrap=io_open,--wrap=io_pwrite,--wrap=fdcache_forget
$(BUILD)/test/unit/test_dir_sync: unit_ldflags := \
	-Wl,--wrap=fsync,--wrap=syncfs,--wrap=fstat,--wrap=fstat64,--wrap=statx
$(BUILD)/test/unit/test_changes_sync: unit_ldflags := -Wl,--wrap=fdatasync,--wrap=fsync
$(BUILD)/test/unit/test_changes: unit_ldflags := \
	-Wl,--wrap=fdatasync,--wrap=fstat,--wrap=fstat64,--wrap=pthread_cond_wait
$(BUILD)/test/unit/test_changes_others: unit_ldflags := \
	-Wl,--wrap=fstat,--wrap=fstat64,--wrap=fstatat,--wrap=fstatat64,--wrap=log_warn \
	-Wl,--wrap=clock_gettime
$(BUILD)/test/unit/test_bundle_archive: unit_ldflags := -Wl,--wrap=changes_noted
$(BUILD)/test/unit/test_scan: unit_ldflags := \
	-Wl,--wrap=io_open,--wrap=readdir,--wrap=readdir64
$(BUILD)/test/unit/test_owner: unit_ldflags := \
	-Wl,--wrap=mkdirat,--wrap=gethostname,--wrap=fopen,--wrap=fopen64
$(BUILD)/test/unit/test_io_move: unit_ldflags := -Wl,--wrap=renameat2,--wrap=linkat
$(BUILD)/test/unit/test_drive: unit_ldflags := \
	-Wl,--wrap=flock,--wrap=renameat2,--wrap=fs_local
$(BUILD)/test/unit/test_copy: unit_ldflags := \
	-Wl,--wrap=lseek,--wrap=lseek64,--wrap=fs_known
# Random requests where the file system below lags behind.
$(BUILD)/test/model/vanish: model_ldflags := -Wl,--wrap=tileset_has,--wrap=log_error
$(BUILD)/test/model/grow: model_ldflags := -Wl,--wrap=store_resize_tile
$(BUILD)/test/model/snapshot: model_ldflags := \
	-Wl,--wrap=snapshots_hold,--wrap=store_snapshot_hold,--wrap=store_snapshot_tile
$(BUILD)/test/model/compact: model_ldflags := \
	-Wl,--wrap=image_compact,--wrap=image_read,--wrap=store_read,--wrap=store_note
$(BUILD)/test/model/evict: model_ldflags := \
	-Wl,--wrap=fstat,--wrap=fstat64,--wrap=lseek,--wrap=lseek64,--wrap=fs_known
# All calls are counted.
$(BUILD)/test/unit/test_cost: unit_ldflags := $(sys_wraps)
$(BUILD)/test/unit/test_cost: $(BUILD)/test/sys/sys.o
$(BUILD)/test/fuzz/replay-changes $(BUILD)/test/fuzz/fuzz-changes \
$(BUILD)/test/fuzz/replay-manifest_file $(BUILD)/test/fuzz/fuzz-manifest_file: fuzz_ldflags := \
	-Wl,--wrap=io_open_file,--wrap=io_pread

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(all_cflags) $(CPPFLAGS) -MMD -MP -c -o $@ $<

# Changes when the compiler or its flags do, and everything is built anew. All objects wait for
# it: what is missing is said once, and nothing is compiled.
with_tests := $(if $(or $(filter tests check calls crash crash-bugs perf-check,$(MAKECMDGOALS)), \
	$(findstring /test/,$(MAKECMDGOALS))),tests)
$(BUILD)/flags: FORCE
	@CC='$(CC)' PKG_CONFIG='$(PKG_CONFIG)' SANITIZE='$(SANITIZE)' scripts/dev/check-needs $(with_tests)
	@mkdir -p $(@D)
	@echo '$(CC) $(all_cflags) $(CPPFLAGS) $(LDFLAGS) $(all_libs)' | cmp -s - $@ || \
		echo '$(CC) $(all_cflags) $(CPPFLAGS) $(LDFLAGS) $(all_libs)' >$@
FORCE:

install: all
	$(INSTALL) -d $(DESTDIR)$(bindir) $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(mandir)/man5
	$(INSTALL) -m 755 $(BUILD)/mosaicfs $(DESTDIR)$(bindir)/mosaicfs
	$(INSTALL) -m 644 man/mosaicfs.1 $(DESTDIR)$(mandir)/man1/mosaicfs.1
	$(INSTALL) -m 644 man/mosaicfs-format.5 $(DESTDIR)$(mandir)/man5/mosaicfs-format.5

uninstall:
	rm -f $(DESTDIR)$(bindir)/mosaicfs $(DESTDIR)$(mandir)/man1/mosaicfs.1 \
		$(DESTDIR)$(mandir)/man5/mosaicfs-format.5

clean:
	rm -rf build build-*

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
