package compaction

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
)

// soon compacts whatever there is. Encoders of zstd have channels and are pooled, which no two bubbles may share.
func soon() Config {
	return Config{
		LeastSlots: 1, LeastRecords: 1,
		Merge:   MergeConfig{Interval: time.Minute, Objects: 3, ObjectBytes: 1 << 20, RestBytes: 1 << 19, Codec: segment.S2},
		Garbage: GarbageConfig{Trim: time.Second, Sweep: 24 * time.Hour},
	}
}

// From slots to runs, to TRIM, to slots that are gone: every byte stays readable.
func TestLife_SlotsBecomeRunsAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStored(t)
		j := w.openJournal()
		one := w.agent(j, w.bucket, soon())
		all := parts(w.createTopic(journalsOf(j, 5)...), 5)
		slots := func() int { _, n := w.size(t, slotlog.JournalsPrefix); return n }
		for range 40 {
			w.put(j, 500, all...)
		}
		w.checkpointed(t, one, one)
		if did, err := one.Compact(t.Context()); did || err != nil {
			t.Fatalf("compacted before it is due: %t, %v", did, err)
		}
		time.Sleep(2 * time.Minute)
		if n := one.compactAll(t); n != 1 {
			t.Fatalf("%d jobs, want 1", n)
		}
		if n := w.readAll(); n.slots != 0 || n.runs != 5 {
			t.Fatalf("read from %v, want 5 extents of runs", n)
		}
		if err := one.Trim(t.Context()); err != nil {
			t.Fatal(err)
		}
		if at, _ := w.state.Journal(j); at.Trim != 0 {
			t.Fatalf("trimmed to %d with one checkpoint", at.Trim)
		}
		w.put(j, 500, all[0])
		w.checkpointed(t, one, one)
		if err := one.Trim(t.Context()); err != nil {
			t.Fatal(err)
		}
		if at, _ := w.state.Journal(j); at.Trim != 40 {
			t.Fatalf("trimmed to %d, want 40: what the second newest checkpoint holds", at.Trim)
		}
		for range 2 { // so that all checkpoints kept know of the TRIM
			before := slots()
			if err := one.Collect(t.Context()); err != nil || slots() != before {
				t.Fatalf("%d of %d slots, %v", slots(), before, err)
			}
			w.put(j, 500, all[0])
			w.put(j, 500, all[0])
			w.checkpointed(t, one, one)
			time.Sleep(2 * time.Hour)
			w.readAll()
		}
		if err := one.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := slots()
		listed := make(map[string]int)
		err := FindGarbage(t.Context(), w.bucket, w.state, func(g Garbage, waits bool) error {
			listed[fmt.Sprintf("%s %t", g.Why, waits)]++
			return nil
		})
		if err != nil || listed["below trim 40 false"] != 40 || listed["of no checkpoint that is kept false"] == 0 || len(listed) != 2 {
			t.Errorf("garbage %v, %v", listed, err)
		}
		time.Sleep(59 * time.Minute)
		if err := one.Collect(t.Context()); err != nil || slots() != before {
			t.Fatalf("%d of %d slots are left before the grace is over, %v", slots(), before, err)
		}
		time.Sleep(2 * time.Minute)
		if err := one.Collect(t.Context()); err != nil || slots() != before-40 {
			t.Fatalf("%d slots are left of %d, %v; want 40 less", slots(), before, err)
		}
		w.readAll()
		if len(w.keys(t, LedgerPrefix)) != 1 {
			t.Errorf("%d ledgers, want 1", len(w.keys(t, LedgerPrefix)))
		}
		if s := one.Stats(); s.Jobs[FromSlots] != 1 || s.GarbageObjects != 40 || s.Trims != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}
