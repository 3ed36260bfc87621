package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/index"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/test/chaos/history"
	"github.com/odradek/odradek/topic"
)

const (
	offlineReads = 16
	offlineRaw   = 64 << 20 // of one batch, unpacked
)

// offline reads records out of a bucket without an agent: what the control log names, in compacted objects and in slots.
type offline struct {
	store objectstore.Store
	state *control.State
	parts map[topic.Partition]history.Partition // that are read
	out   map[history.Partition][]history.Record
}

// readBucket gives all records of topics that lie at begin or above, by offset. What lies there twice is given twice.
func readBucket(ctx context.Context, store objectstore.Store, s *control.State, topics map[string]int32, begin map[history.Partition]int64) (map[history.Partition][]history.Record, error) {
	o := offline{store, s, make(map[topic.Partition]history.Partition), make(map[history.Partition][]history.Record)}
	for t := range s.Topics() {
		if _, wanted := topics[t.Name]; !wanted {
			continue
		}
		for i := range t.Partitions() {
			p, at := topic.Partition{Topic: t.ID, Index: i}, history.Partition{Topic: t.Name, Index: i}
			o.parts[p], o.out[at] = at, nil
			for _, r := range s.Compaction(p).Runs {
				if err := o.run(ctx, p, r); err != nil {
					return nil, fmt.Errorf("%s: %w", r.Object.Key(), err)
				}
			}
		}
	}
	for j := range s.Journals() {
		if err := o.journal(ctx, j); err != nil {
			return nil, fmt.Errorf("journal %s: %w", j.ID, err)
		}
	}
	for at, records := range o.out {
		records = slices.DeleteFunc(records, func(r history.Record) bool { return r.Offset < begin[at] })
		slices.SortStableFunc(records, func(x, y history.Record) int { return cmp.Compare(x.Offset, y.Offset) })
		o.out[at] = records
	}
	return o.out, nil
}

// run reads a run of a compacted object.
func (o *offline) run(ctx context.Context, p topic.Partition, r topic.Run) error {
	if r.Length == 0 {
		return nil
	}
	table, err := o.store.GetRange(ctx, r.Object.Key(), int64(r.Position)+int64(r.Length), int64(r.Table))
	if err != nil {
		return err
	}
	extents, err := segment.ReadRunTable(p, r, table)
	if err != nil {
		return err
	}
	for _, x := range extents {
		if err := o.extent(ctx, r.Object.Key(), index.NewRunEntry(r.Object, x).Extent(p)); err != nil {
			return err
		}
	}
	return nil
}

// journal reads what of a journal's slots is in no run.
func (o *offline) journal(ctx context.Context, j *control.Journal) error {
	to := topic.Slot(math.MaxUint64)
	if j.Sealed {
		to = j.SealSlot
	}
	return verify.EachTail(ctx, o.store, j.ID, j.Trim, to, offlineReads, func(t verify.Tail) (bool, error) {
		if t.Footer == nil {
			return false, nil
		}
		for _, x := range t.Footer.Extents {
			if _, wanted := o.parts[x.Partition]; !wanted || x.Next <= o.state.Compaction(x.Partition).End {
				continue
			}
			if err := o.extent(ctx, slotlog.JournalKey(j.ID, t.Slot), x); err != nil {
				return false, fmt.Errorf("slot %d: %w", t.Slot, err)
			}
		}
		return true, nil
	})
}

func (o *offline) extent(ctx context.Context, key string, x segment.Extent) error {
	stored, err := o.store.GetRange(ctx, key, int64(x.Position), int64(x.Length))
	if err != nil {
		return err
	}
	raw, err := segment.ReadExtent(x, stored)
	if err != nil {
		return err
	}
	at := o.parts[x.Partition]
	return recordbatch.EachStored(raw, offlineRaw, func(batch []byte, info recordbatch.Info) error {
		for r, err := range recordbatch.Records(batch, offlineRaw) {
			if err != nil {
				return err
			}
			o.out[at] = append(o.out[at], history.Record{
				Offset: int64(r.Offset), Value: history.FromRecord(r.Key, r.Value), Epoch: int32(info.LeaderEpoch),
			})
		}
		return nil
	})
}
