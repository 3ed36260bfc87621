package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/faulty"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

var (
	oldJournal = topic.JournalID{7}
	somewhere  = topic.Partition{Topic: topic.ID{1}}
)

// countedReads counts the ranges read.
type countedReads struct {
	objectstore.Store
	reads chan struct{}
}

func (c countedReads) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	c.reads <- struct{}{}
	return c.Store.GetRange(ctx, key, offset, length)
}

// writeJournal makes n slots of one idempotent batch each, with a summary where one is due; change may edit it.
func writeJournal(t *testing.T, store objectstore.Store, n topic.Slot, change func(topic.Slot, *segment.Summary) *segment.Summary) {
	t.Helper()
	var recent []segment.SlotExtents
	for slot := range n {
		base := topic.Offset(slot)
		f := segment.Footer{
			Journal: oldJournal, Slot: slot, CreatedMs: int64(slot),
			Producers: []sequence.Delta{{Partition: somewhere, ProducerID: 5, FirstSequence: int32(slot), Base: base, Next: base + 1, Timestamp: 1}},
			LogStarts: []segment.LogStart{{Partition: somewhere, Start: base}},
		}
		due := slot%segment.SummaryEvery == segment.SummaryEvery-1
		if due {
			f.Summary = &segment.Summary{Recent: recent}
			if change != nil {
				f.Summary = change(slot, f.Summary)
			}
		}
		o, err := segment.Build(f, []segment.Run{{
			Partition: somewhere, Base: base, Next: base + 1,
			Batches: [][]byte{recordbatch.Build(recordbatch.Draft{Base: base, Records: []recordbatch.Record{{Timestamp: 1, Value: []byte("v")}}})},
		}}, segment.None)
		if err != nil {
			t.Fatal(err)
		}
		body := slotlog.Freeze(slotlog.Data, o.Parts...).Body
		if err := store.Create(t.Context(), slotlog.JournalKey(oldJournal, slot), body); err != nil {
			t.Fatal(err)
		}
		if recent = append(recent, o.Footer.Repeated()); due {
			recent = nil
		}
	}
}

// Reading summaries and reading every footer give the same, whatever part of a journal is asked for.
func TestSlots_SummariesSayWhatFootersSay(t *testing.T) {
	const end = 200
	for name, c := range map[string]struct {
		change func(topic.Slot, *segment.Summary) *segment.Summary
		reads  int // for all of [0, end)
	}{
		"summaries":                {nil, 3 + end - 192},
		"one repeats nothing":      {func(s topic.Slot, m *segment.Summary) *segment.Summary { return edit(s == 127, m, 0) }, 3 + 63 + end - 192},
		"one is not whole":         {func(s topic.Slot, m *segment.Summary) *segment.Summary { return edit(s == 63, m, 62) }, 3 + 63 + end - 192},
		"one is missing":           {func(s topic.Slot, m *segment.Summary) *segment.Summary { return without(s == 63, m) }, 3 + 63 + end - 192},
		"there are none: all read": {func(_ topic.Slot, m *segment.Summary) *segment.Summary { return without(true, m) }, end},
	} {
		t.Run(name, func(t *testing.T) {
			store := countedReads{memory.New(), make(chan struct{}, 10*end)}
			writeJournal(t, store, end, c.change)
			e := &Engine{store: store}
			var want []segment.SlotExtents
			for slot := range topic.Slot(end) {
				f, err := readFooter(t.Context(), store, oldJournal, slot)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, f.Repeated())
			}
			for _, r := range []stretch{{0, end}, {0, 63}, {0, 64}, {1, 64}, {63, 64}, {64, 65}, {62, 130}, {130, 192}, {199, 200}, {5, 5}} {
				for len(store.reads) > 0 {
					<-store.reads
				}
				got := want[:0:0]
				err := e.slots(t.Context(), oldJournal, r.from, r.to, func(s segment.SlotExtents) error {
					got = append(got, s)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want[r.from:r.to:r.to], got); diff != "" {
					t.Errorf("[%d,%d): %s", r.from, r.to, diff)
				}
				if r == (stretch{0, end}) && len(store.reads) != c.reads {
					t.Errorf("%d reads, want %d", len(store.reads), c.reads)
				}
			}
		})
	}
}

func edit(yes bool, s *segment.Summary, keep int) *segment.Summary {
	if yes {
		return &segment.Summary{Recent: s.Recent[:keep]}
	}
	return s
}

func without(yes bool, s *segment.Summary) *segment.Summary {
	if yes {
		return nil
	}
	return s
}

func TestSlots_StopAtTheFirstError(t *testing.T) {
	store := memory.New()
	writeJournal(t, store, 70, nil)
	e := &Engine{store: store}
	enough := errors.New("enough")
	told := 0
	err := e.slots(t.Context(), oldJournal, 0, 70, func(segment.SlotExtents) error {
		if told++; told == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || told != 3 {
		t.Errorf("told %d, %v", told, err)
	}
	if err := e.slots(t.Context(), oldJournal, 60, 80, func(segment.SlotExtents) error { return nil }); !errors.Is(err, slotlog.ErrHole) {
		t.Errorf("behind the end: %v", err)
	}
}

// A footer that comes cut short or with a byte changed is read again; one that is damaged in the bucket is an error.
func TestReadFooter_DamagedOnItsWayIsReadAgain(t *testing.T) {
	whole := memory.New()
	writeJournal(t, whole, 1, nil)
	want, err := readFooter(t.Context(), whole, oldJournal, 0)
	if err != nil {
		t.Fatal(err)
	}
	object, err := whole.Get(t.Context(), slotlog.JournalKey(oldJournal, 0))
	if err != nil {
		t.Fatal(err)
	}
	harmless := 0
	for at := range len(object) {
		mangles := map[string]func([]byte) []byte{"flipped": faulty.FlipBit(at), "cut short": faulty.Truncate(at)}
		if at == 0 {
			mangles["called a seal"] = sealedTrailer
		}
		for name, mangle := range mangles {
			synctest.Test(t, func(t *testing.T) {
				store := faulty.New(whole, faulty.NthOf(objectstore.KindGetRange, 1, faulty.Fault{Mangle: mangle}))
				got, err := readFooter(t.Context(), store, oldJournal, 0)
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Fatalf("%s at %d: %v, %s", name, at, err, diff)
				}
				if len(store.Calls()) == 1 {
					harmless++ // no byte of the footer
				}
			})
		}
	}
	if harmless >= len(object) {
		t.Errorf("%d of %d times nothing was asked for again", harmless, 2*len(object)+1)
	}
	synctest.Test(t, func(t *testing.T) {
		bad := faulty.New(whole, func(faulty.Call) faulty.Fault { return faulty.Fault{Mangle: faulty.FlipBit(-slotlog.TrailerSize - 1)} })
		if _, err := readFooter(t.Context(), bad, oldJournal, 0); err == nil || len(bad.Calls()) != footerTries {
			t.Errorf("always damaged: %v after %d reads", err, len(bad.Calls()))
		}
	})
}
