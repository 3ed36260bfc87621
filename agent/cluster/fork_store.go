package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

var (
	// ErrEnded says that the cluster was deleted: an END is the last record of its control log.
	ErrEnded = errors.New("the cluster was deleted")
	// ErrInherited says that an object is an ancestor's, which a fork neither creates nor deletes (G8).
	ErrInherited = errors.New("object of the cluster that this one is a fork of")
)

// OpenPlace opens another place of the same bucket.
type OpenPlace func(ctx context.Context, place string) (objectstore.Store, error)

// Heir is the store of a cluster that may be a fork: what the fork has of its ancestors is read at their places, under the
// keys that it has there, and everything else is its own. So a fork's control log, its journals and its objects look as if
// they had always been its own, and whoever works with them need not know. It lists its own objects only. For a cluster that
// is no fork it is the store below. Safe for concurrent use; Learn comes first.
type Heir struct {
	store objectstore.Store
	open  OpenPlace
	line  atomic.Pointer[lineage]
}

// lineage is what a fork's control/0 says, and the stores that it names.
type lineage struct {
	forked    control.Forked
	ancestors []objectstore.Store
}

var (
	_ objectstore.Uploader = (*Heir)(nil)
	_ objectstore.Dated    = (*Heir)(nil)

	_ objectstore.Attempting = (*Heir)(nil) // or what clients repeat would not be on the bill
)

// NewHeir wraps the store of a cluster.
func NewHeir(store objectstore.Store, open OpenPlace) *Heir { return &Heir{store: store, open: open} }

// Learn reads control/0, which never changes once it is there. ErrEnded: it is the tombstone of a fork that was never born.
func (h *Heir) Learn(ctx context.Context) error { return h.LearnBy(ctx, h.store) }

// LearnBy is Learn that reads through a store that stands above this one, such as one that counts.
func (h *Heir) LearnBy(ctx context.Context, store objectstore.Store) error {
	forked, _, err := readBirth(ctx, store)
	if err != nil || forked == nil {
		return err
	}
	line := &lineage{forked: *forked}
	for _, a := range forked.Ancestors {
		store, err := h.open(ctx, a.Place)
		if err != nil {
			return fmt.Errorf("open %s, which this cluster is a fork of: %w", a.Place, err)
		}
		line.ancestors = append(line.ancestors, store)
	}
	h.line.Store(line)
	return nil
}

// readBirth reads what a place's own control/0 holds: FORKED, or nothing of a fork. there says that there is one.
func readBirth(ctx context.Context, store objectstore.Store) (forked *control.Forked, there bool, err error) {
	payload, err := slotlog.ReadControl(ctx, store, 0)
	if errors.Is(err, slotlog.ErrHole) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	records, err := control.Decode(payload)
	if err != nil {
		return nil, true, fmt.Errorf("control 0: %w", err)
	}
	switch r := records[0].(type) {
	case control.Forked:
		return &r, true, nil
	case control.End:
		return nil, true, fmt.Errorf("control 0 is the tombstone of a fork that was never born: %w", ErrEnded)
	}
	return nil, true, nil
}

// Forked gives the record that the cluster began with as a fork. A nil Heir is that of a cluster that is none.
func (h *Heir) Forked() (control.Forked, bool) {
	if h == nil {
		return control.Forked{}, false
	}
	if line := h.line.Load(); line != nil {
		return line.forked, true
	}
	return control.Forked{}, false
}

// Base names the checkpoint that a fork's log can be read from before it has one of its own; zero if there is none.
func (h *Heir) Base() control.BaseCheckpoint {
	f, _ := h.Forked()
	return f.Moment.Base
}

// IndexName is the name under which a cluster's index lives in Redis: a fork never shares its parent's, whatever name it is
// given.
func (h *Heir) IndexName(cluster string) string {
	if f, ok := h.Forked(); ok {
		return cluster + "-fork-" + f.Fork.String()[:12]
	}
	return cluster
}

// at says where the object of a key is, and under which key. inherited: it is an ancestor's.
func (h *Heir) at(key string) (store objectstore.Store, there string, inherited bool) {
	line := h.line.Load()
	if line == nil {
		return h.store, key, false
	}
	switch {
	case strings.HasPrefix(key, slotlog.ControlPrefix):
		n, err := slotlog.ParseControlKey(key)
		if err != nil {
			return h.store, key, false
		}
		i, ok := line.ancestorOf(n)
		switch born := line.forked.Moment.Number + 1; {
		case !ok && n == born:
			return h.store, slotlog.ControlKey(0), false
		case !ok:
			return h.store, key, false
		}
		if i > 0 && n == line.forked.Ancestors[i-1].Last+1 { // where that ancestor began as a fork itself
			key = slotlog.ControlKey(0)
		}
		return line.ancestors[i], key, true
	case strings.HasPrefix(key, slotlog.JournalsPrefix):
		if id, slot, err := slotlog.ParseJournalKey(key); err == nil {
			if i, ok := line.ancestorOfSlot(id, slot); ok {
				return line.ancestors[i], key, true
			}
		}
	case strings.HasPrefix(key, checkpoint.Prefix), strings.HasPrefix(key, topic.CompactedPrefix):
		if n, ok := plannedAt(key); ok {
			if i, ok := line.ancestorOf(n); ok {
				return line.ancestors[i], key, true
			}
		}
	}
	return h.store, key, false
}

// ancestorOf says whose a control number is. It is not ok for the fork's own.
func (l *lineage) ancestorOf(n topic.Slot) (int, bool) {
	i, _ := slices.BinarySearchFunc(l.forked.Ancestors, n, func(a control.Ancestor, n topic.Slot) int {
		if a.Last < n {
			return -1
		}
		return 1
	})
	return i, i < len(l.forked.Ancestors)
}

// ancestorOfSlot says where a journal's slot is. It is not ok for a journal of the fork's own, and for what was never part of
// an ancestor's.
func (l *lineage) ancestorOfSlot(id topic.JournalID, slot topic.Slot) (int, bool) {
	at, _ := slices.BinarySearchFunc(l.forked.Journals, id, func(j control.Inherited, id topic.JournalID) int {
		if slices.Compare(j.Journal[:], id[:]) < 0 {
			return -1
		}
		return 1
	})
	for _, j := range l.forked.Journals[at:] {
		if j.Journal != id {
			break
		}
		if slot < j.End {
			return j.Of, true
		}
	}
	return 0, false
}

// plannedAt reads the number that the last part of an object's key begins with.
func plannedAt(key string) (topic.Slot, bool) {
	digits, _, ok := strings.Cut(key[strings.LastIndexByte(key, '/')+1:], "-")
	n, err := strconv.ParseUint(digits, 16, 64)
	return topic.Slot(n), ok && err == nil && len(digits) == 16
}

// Create implements objectstore.Store. What is an ancestor's exists.
func (h *Heir) Create(ctx context.Context, key string, body objectstore.Body) error {
	store, there, inherited := h.at(key)
	if inherited {
		return fmt.Errorf("create %s: %w: %w", key, objectstore.ErrExists, ErrInherited)
	}
	return store.Create(ctx, there, body)
}

// Get implements objectstore.Store.
func (h *Heir) Get(ctx context.Context, key string) ([]byte, error) {
	store, there, _ := h.at(key)
	return store.Get(ctx, there)
}

// GetRange implements objectstore.Store.
func (h *Heir) GetRange(ctx context.Context, key string, offset, length int64) ([]byte, error) {
	store, there, _ := h.at(key)
	return store.GetRange(ctx, there, offset, length)
}

// Head implements objectstore.Store.
func (h *Heir) Head(ctx context.Context, key string) (objectstore.Info, error) {
	store, there, _ := h.at(key)
	info, err := store.Head(ctx, there)
	info.Key = key
	return info, err
}

// List implements objectstore.Store: what is the cluster's own.
func (h *Heir) List(ctx context.Context, prefix string, fn func(objectstore.Info) error) error {
	return h.store.List(ctx, prefix, fn)
}

// Delete implements objectstore.Store.
func (h *Heir) Delete(ctx context.Context, key string) error {
	store, there, inherited := h.at(key)
	if inherited {
		return fmt.Errorf("delete %s: %w", key, ErrInherited)
	}
	return store.Delete(ctx, there)
}

// Upload implements objectstore.Uploader.
func (h *Heir) Upload(ctx context.Context, key string) (objectstore.Upload, error) {
	store, there, inherited := h.at(key)
	if inherited {
		return nil, fmt.Errorf("upload %s: %w", key, ErrInherited)
	}
	u, err := objectstore.Uploads(store)
	if err != nil {
		return nil, err
	}
	return u.Upload(ctx, there)
}

// AbortStale implements objectstore.Uploader.
func (h *Heir) AbortStale(ctx context.Context, prefix string, before time.Time) (int, error) {
	u, err := objectstore.Uploads(h.store)
	if err != nil {
		return 0, err
	}
	return u.AbortStale(ctx, prefix, before)
}

// Date implements objectstore.Dated.
func (h *Heir) Date(ctx context.Context) (time.Time, error) { return objectstore.Date(ctx, h.store) }

// TellsAttempts implements objectstore.Attempting. The stores of ancestors are of the same kind.
func (h *Heir) TellsAttempts() bool { return objectstore.TellsAttempts(h.store) }
