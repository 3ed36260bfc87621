package upgrade

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/odradek/odradek/test/harness"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum puts the CRC32C of b[from:at] at at.
func sum(b []byte, from, at int) {
	binary.BigEndian.PutUint32(b[at:], crc32.Checksum(b[from:at], castagnoli))
}

// The places below are those of docs/format.
const (
	slotTrailer = 48
	tail        = 24
)

// closeSlot makes the checksum of a slot's object right.
func closeSlot(b []byte) { sum(b, 0, len(b)-4) }

// inControl changes the batch of control records, and makes both checksums right.
func inControl(change func(batch []byte)) func([]byte) {
	return func(b []byte) {
		batch := b[:len(b)-slotTrailer]
		change(batch)
		sum(batch, 0, len(batch)-4)
		closeSlot(b)
	}
}

// records calls fn with each record of a batch of control records.
func records(batch []byte, fn func(typ uint16, record []byte)) {
	for b := batch[12 : len(batch)-4]; len(b) >= 8; {
		n := 8 + int(binary.BigEndian.Uint32(b[4:]))
		fn(binary.BigEndian.Uint16(b), b[:n])
		b = b[n:]
	}
}

// newerTail raises the version in the tail of a segment or a compacted object, and makes its checksum right.
func newerTail(b []byte) {
	t := b[len(b)-tail:]
	footer := int(binary.BigEndian.Uint32(t[8:]))
	binary.BigEndian.PutUint32(t[12:], 2)
	sum(b, len(b)-tail-footer, len(b)-8)
}

// holds says whether an object's batch of control records has one of a type.
func holds(b []byte, typ uint16) (found bool) {
	records(b[:len(b)-slotTrailer], func(t uint16, _ []byte) { found = found || t == typ })
	return found
}

// Each kind of object, one version newer, is refused in one line that names it, its version and what this build reads. Nothing
// that lies there is changed by that.
func TestNewer_IsRefusedInOneLine(t *testing.T) {
	t.Parallel()
	config := func(b []byte) bool { return holds(b, 3) }
	data := func(b []byte) bool { return b[len(b)-slotTrailer+8] == 1 }
	any := func([]byte) bool { return true }
	for _, test := range []struct {
		name   string
		files  string              // a pattern below the fixture's directory
		which  func(b []byte) bool // nil: the last file alone
		change func(b []byte)
		agent  string // in the line with which an agent ends; empty: it starts all the same
		verify string // in a finding
	}{
		{"trailer of a control number", "bucket/control/*", nil, func(b []byte) {
			copy(b[len(b)-slotTrailer:], "ODRSLOT2")
			closeSlot(b)
		}, "trailer of version 2, this build reads 1", "trailer of version 2, this build reads 1"},
		{"control batch", "bucket/control/*", nil, inControl(func(b []byte) { copy(b, "ODRCTRL2") }),
			"batch of version 2, this build reads 1", "batch of version 2, this build reads 1"},
		{"record", "bucket/control/*", nil, inControl(func(b []byte) { b[12+3] = 2 }),
			"version 2, this build reads 1", "version 2, this build reads 1"},
		{"type of record", "bucket/control/*", nil, inControl(func(b []byte) { b[12], b[12+1] = 0, 250 }),
			"record unknown to this build: type 250", "record unknown to this build: type 250"},
		{"settings of the cluster", "bucket/control/*", config, inControl(func(b []byte) {
			records(b, func(typ uint16, r []byte) {
				if typ == 3 {
					r[3] = 2
				}
			})
		}), "", "type 3 (CLUSTER_CONFIG) version 2, this build reads 1"}, // a start begins from a checkpoint behind it
		{"format of the cluster", "bucket/control/*0", func(b []byte) bool { return holds(b, 1) }, inControl(func(b []byte) {
			records(b, func(_ uint16, r []byte) { r[len(r)-1] = 2 })
		}), "cluster of format 2, this build reads up to 1", "cluster of format 2, this build reads up to 1"},
		{"segments", "bucket/journal/*/*/*", data, func(b []byte) {
			newerTail(b[:len(b)-slotTrailer])
			closeSlot(b)
		}, "segment version unknown: 2, this build reads 1", "segment version unknown: 2, this build reads 1"},
		{"compacted objects", "bucket/compacted/*/*", any, newerTail, "", "segment version unknown: 2, this build reads 1"},
		{"checkpoints", "bucket/checkpoint/*", any, func(b []byte) {
			b[8] = 2
			sum(b, 0, len(b)-4)
		}, "checkpoint version unknown: 2, this build reads 1", "checkpoint version unknown: 2, this build reads 1"},
		{"write-ahead log", "agents/a/wal/*/*.wal", any, func(b []byte) {
			b[11] = 2
			sum(b, 0, 60)
		}, "write-ahead log version unknown: 2, this build reads 1", ""},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			f := unpack(t)
			paths, err := filepath.Glob(f.path(test.files))
			if err != nil {
				t.Fatal(err)
			}
			which := test.which
			if which == nil {
				paths = paths[len(paths)-1:]
				which = func([]byte) bool { return true }
			}
			changed := 0
			for _, path := range paths {
				b, err := os.ReadFile(path)
				if err != nil {
					continue // a directory
				}
				if !which(b) {
					continue
				}
				test.change(b)
				if err := os.WriteFile(path, b, 0o644); err != nil {
					t.Fatal(err)
				}
				changed++
			}
			if changed == 0 {
				t.Fatalf("nothing at %s is to be changed", test.files)
			}
			before := f.files()
			out, status := harness.Run(t, nil, "verify", "--bucket", f.bucket())
			if wrong := (test.verify != "") != (status == 1); wrong || !oneLine(out, "finding: ", test.verify) {
				t.Errorf("odradek verify: status %d, want a finding that says %q:\n%s", status, test.verify, out)
			}
			if test.agent != "" {
				o := f.options(0)
				o.NoWait = true
				a := harness.Start(t, o)
				a.WaitExit(patience)
				if status := a.ExitStatus(); status != 1 || !oneLine(a.Log(), "odradek: ", test.agent) {
					t.Errorf("agent: status %d, want 1 and a line that says %q:\n%s", status, test.agent, a.Tail())
				}
			}
			after := f.files()
			maps.DeleteFunc(after, func(name string, _ [32]byte) bool { _, old := before[name]; return !old })
			if diff := cmp.Diff(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))); diff != "" {
				t.Errorf("files that went (-before +after):\n%s", diff)
			}
			for name, sum := range before {
				if after[name] != sum {
					t.Errorf("%s was changed", name)
				}
			}
		})
	}
}

// An entry of the index in Redis that is a version newer costs an era and no record: who reads it has the index built again.
func TestNewer_EntryInRedisCostsAnEra(t *testing.T) {
	t.Parallel()
	f := unpack(t)
	r := f.loaded()
	options := func(i int) harness.Options {
		o := f.options(i)
		o.Redis, o.NoWait = r.URL(), true
		return o
	}
	agents := []*harness.Agent{harness.Start(t, options(0)), harness.Start(t, options(1))}
	for _, a := range agents {
		a.WaitReady()
	}
	f.readsEverything(agents[0].Addr)
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	c := redis.NewClient(&redis.Options{Addr: r.Addr})
	defer c.Close()
	open := func() string {
		keys, err := c.Keys(ctx, "*:open").Result()
		if err != nil || len(keys) != 1 {
			t.Fatalf("keys of open eras: %v, %v", keys, err)
		}
		era, err := c.Get(ctx, keys[0]).Result()
		if err != nil {
			t.Fatal(err)
		}
		return era
	}
	before := open()
	raised := 0
	eventually(t, func() error { // agents write slots at their start
		logs, err := c.Keys(ctx, "*:log:*").Result()
		if err != nil {
			return err
		}
		for _, key := range logs {
			entries, err := c.LRange(ctx, key, 0, -1).Result()
			if err != nil {
				return err
			}
			for i, e := range entries {
				if e[0] == 1 {
					if err := c.LSet(ctx, key, int64(i), "\x02"+e[1:]).Err(); err != nil {
						return err
					}
					raised++
				}
			}
		}
		if raised == 0 {
			return errors.New("the index has no entries")
		}
		return nil
	})
	out, status := harness.Run(t, nil, "verify", "--bucket", f.bucket(), "--redis", r.URL())
	if open() == before && (status != 1 || !strings.Contains(out, "version 2, want 1")) { // else an agent had read an entry only now
		t.Errorf("odradek verify --redis: status %d\n%s", status, out)
	}
	o := f.options(0)
	o.DataDir, o.Redis = "", r.URL()
	third := harness.Start(t, o)
	eventually(t, func() error {
		if now := open(); now == before {
			return fmt.Errorf("the era is still %s", now)
		}
		return nil
	})
	for _, a := range append(agents, third) {
		f.readsEverything(a.Addr)
		a.Stop()
	}
	f.verify("--redis", r.URL())
}

// oneLine says whether a line begins and holds what is wanted; nothing is wanted always is.
func oneLine(text, prefix, want string) bool {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) && strings.Contains(line, want) {
			return true
		}
	}
	return want == ""
}

// files gives the digests of all files but locks.
func (f *first) files() map[string][32]byte {
	f.t.Helper()
	all := make(map[string][32]byte)
	err := filepath.WalkDir(f.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.HasSuffix(path, "lock") {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return all
}
