package cluster

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

// lying is a metadata store that tells of slots above 0, in one era, what the bucket does not hold.
type lying struct {
	metadata.Store
	era atomic.Uint64
	how string
}

func (l *lying) Segments(ctx context.Context, pin metadata.Pin, from []metadata.Cursor, limit int) ([]metadata.Segment, error) {
	segments, err := l.Store.Segments(ctx, pin, from, limit)
	if l.era.Load() != pin.Era {
		return segments, err
	}
	if l.how == "unreadable" {
		return nil, metadata.ErrUnreadable
	}
	segments = slices.Clone(segments)
	for i := range segments {
		if l.how == "ahead" && segments[i].Slot > 0 {
			segments[i].Slot += 100
		}
		segments[i].Extents = slices.Clone(segments[i].Extents)
		for n := range segments[i].Extents {
			if x := &segments[i].Extents[n]; x.Base > 0 && l.how != "ahead" {
				x.Base--
			}
		}
	}
	return segments, err
}

// An index copy that is not what the bucket holds, or that cannot be read, is built anew, and what it tells is not shown (I6).
func TestMirror_CopyThatIsNotWhatTheBucketHoldsIsBuiltAnew(t *testing.T) {
	for _, how := range []string{"of other offsets", "unreadable", "ahead"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { buildsAnew(t, how) })
		})
	}
}

func buildsAnew(t *testing.T, how string) {
	store, meta := memory.New(), &lying{Store: embedded.Open(), how: how}
	a := join(t, store, meta)
	b := join(t, store, meta)
	for _, o := range []*owner{a, b} {
		o.running(t, o.Follow)
		o.running(t, o.Index)
	}
	time.Sleep(time.Minute)
	p := a.topicAt(t, "t", 1)[0]
	a.write(t, store, p)
	time.Sleep(time.Second)
	if err := b.SyncIndex(t.Context(), time.Now()); err != nil || b.sees(p) != 1 {
		t.Fatalf("sees %d, %v", b.sees(p), err)
	}
	before, _ := b.State().NewestEra()
	meta.era.Store(uint64(before.Number))
	a.write(t, store, p)
	time.Sleep(time.Second)
	if err := b.SyncIndex(t.Context(), time.Now()); !errors.Is(err, errRebuild) {
		t.Errorf("a copy that lies: %v, want errRebuild", err)
	}
	time.Sleep(time.Minute)
	if now, _ := b.State().NewestEra(); now.Number != before.Number+1 || b.Era() != uint64(now.Number) {
		t.Errorf("era %d follows %d, keeps %d", now.Number, before.Number, b.Era())
	}
	if err := b.SyncIndex(t.Context(), time.Now()); err != nil || b.sees(p) != 2 {
		t.Errorf("then sees %d, %v; want 2", b.sees(p), err)
	}
	if err := b.Sound(); err != nil {
		t.Errorf("what is in memory was right: %v", err)
	}
}

// An index in memory that is not what counts ends the agent's journal: nothing is decided by it, and the next one reads the
// bucket (I5, I7).
func TestContradiction_EndsTheJournal(t *testing.T) {
	wrong := segment.Extent{Base: 0, Next: 5}
	for name, meet := range map[string]func(t *testing.T, a, b *owner, p topic.Partition) error{
		"by the index copy": func(t *testing.T, a, b *owner, p topic.Partition) error {
			pin := openEra(t, a.meta, a, b)
			a.publish(t, pin, a.slot)
			return b.SyncIndex(t.Context(), time.Now())
		},
		"by the footers of a sealed journal": func(t *testing.T, a, b *owner, p topic.Partition) error {
			b.topicAt(t, "u", 1) // b has something of its own
			_, err := b.readToSeal(t.Context(), a.Journal(), a.slot)
			return err
		},
		"by the footers of an open journal": func(t *testing.T, a, b *owner, p topic.Partition) error {
			a.give(t, b.store.(*memory.Store), b, p)
			now, _ := b.State().Owner(p)
			f := b.following(a.Journal())
			return b.readOpen(t.Context(), f, now, b.State().Next())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, meta := memory.New(), embedded.Open()
				a := join(t, store, meta)
				b := join(t, store, meta)
				p := a.topicAt(t, "t", 1)[0]
				a.write(t, store, p)
				if err := b.CatchUp(t.Context()); err != nil {
					t.Fatal(err)
				}
				_, ended := b.running(t, b.Follow)
				wrong.Partition = p
				if err := b.log.Add(topic.JournalID{9}, segment.SlotExtents{Extents: []segment.Extent{wrong}}); err != nil {
					t.Fatal(err)
				}
				if err := meet(t, a, b, p); !errors.Is(err, index.ErrOverlap) {
					t.Errorf("met: %v, want ErrOverlap", err)
				}
				if err := b.Sound(); !errors.Is(err, ErrContradiction) {
					t.Errorf("sound: %v, want ErrContradiction", err)
				}
				synctest.Wait()
				select {
				case err := <-ended:
					if !errors.Is(err, ErrContradiction) {
						t.Errorf("follow ended: %v", err)
					}
				default:
					t.Error("the agent goes on")
				}
			})
		})
	}
}
