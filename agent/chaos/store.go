package chaos

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// Store stands before a bucket.
func (i *Injector) Store(s objectstore.Store) objectstore.Store { return &store{s, i} }

type store struct {
	objectstore.Store
	i *Injector
}

// TellsAttempts implements objectstore.Attempting.
func (s *store) TellsAttempts() bool { return objectstore.TellsAttempts(s.Store) }

// Create implements objectstore.Store.
func (s *store) Create(ctx context.Context, key string, body objectstore.Body) error {
	what := upkeep(key)
	if what == nil {
		what = s.i.recognize(key, bytes.Join(body.Parts, nil))
	}
	return s.i.around(what, func() error { return s.Store.Create(ctx, key, body) })
}

// Delete implements objectstore.Store.
func (s *store) Delete(ctx context.Context, key string) error {
	what := Delete
	if strings.HasPrefix(key, slotlog.ControlPrefix) {
		what = Forget
	}
	return s.i.around([]string{what}, func() error { return s.Store.Delete(ctx, key) })
}

// upkeep names the objects that only compaction makes, by their keys.
func upkeep(key string) []string {
	switch {
	case strings.HasPrefix(key, topic.CompactedPrefix):
		return []string{Compacted}
	case strings.HasPrefix(key, compaction.LedgerPrefix):
		return []string{Ledger}
	case strings.HasPrefix(key, checkpoint.PartPrefix):
		return []string{Part}
	case strings.HasPrefix(key, checkpoint.Prefix):
		return []string{Head}
	}
	return nil
}

// recognize names what an object is, none if it is nothing of a slotted log.
func (i *Injector) recognize(key string, object []byte) []string {
	e, err := slotlog.Open(object)
	switch {
	case err != nil:
		return nil
	case strings.HasPrefix(key, slotlog.ControlPrefix):
		return i.controlRecords(e.Payload)
	case e.Kind == slotlog.Seal:
		return []string{Seal}
	case strings.HasPrefix(key, slotlog.JournalsPrefix):
		return i.slot(e.Payload)
	}
	return nil
}

// controlRecords names the records of a control number that are arrows of the protocol, each once.
func (i *Injector) controlRecords(payload []byte) []string {
	records, err := control.Decode(payload)
	if err != nil {
		return nil
	}
	var out []string
	for _, r := range records {
		var what string
		switch r := r.(type) {
		case control.JournalOpen:
			what = JournalOpen
		case control.JournalSealed:
			what = JournalSealed
		case control.Assign:
			what = Assign
		case control.Era:
			what = Era
		case control.TopicCreate, control.PartitionsAdd, control.TopicDelete:
			what = Topic
		default:
			what = upkeepRecord(r)
		}
		if what != "" && (len(out) == 0 || out[len(out)-1] != what) {
			out = append(out, what)
		}
	}
	return out
}

// upkeepRecord names a record that compaction appends.
func upkeepRecord(r control.Record) string {
	switch r := r.(type) {
	case control.Manifest:
		for _, p := range r.Parts {
			if p.Run != nil && p.Run.Cleaned > 0 {
				return Clean
			}
		}
		return Manifest
	case control.Trim:
		return Trim
	case control.Sweep:
		return Sweep
	case control.Checkpoint:
		return Checkpoint
	case control.Verified:
		return Verified
	}
	return ""
}

// slot names what a slot of data holds.
func (i *Injector) slot(payload []byte) []string {
	out := []string{Slot}
	footer, err := segment.ReadFooter(payload, int64(len(payload)))
	if err != nil {
		return out
	}
	if len(footer.Releases) > 0 {
		out = append(out, Release)
	}
	i.mu.Lock()
	internal := i.internal
	i.mu.Unlock()
	for _, e := range footer.Extents {
		if internal != nil && internal(e.Partition.Topic) {
			return append(out, GroupCommit)
		}
	}
	return out
}

// Date implements objectstore.Dated.
func (s *store) Date(ctx context.Context) (time.Time, error) { return objectstore.Date(ctx, s.Store) }
