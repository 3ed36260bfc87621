package compaction

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// Where the bucket keeps what was erased, and what is being. Receipts are never deleted.
const (
	ErasedPrefix  = LedgerPrefix + "erased-"
	ErasingPrefix = LedgerPrefix + "erasing-"
)

// Receipt says what was erased, and what this program cannot reach. A key is told by its SHA-256 only.
type Receipt struct {
	ClusterID  string             `json:"cluster_id"`
	Topic      string             `json:"topic"`
	TopicID    string             `json:"topic_id"`
	KeySHA256  string             `json:"key_sha256,omitempty"` // of the key, if records of a key were asked for
	Asked      string             `json:"offsets,omitempty"`    // or partition and offsets
	Begun      time.Time          `json:"begun"`
	Ended      *time.Time         `json:"ended,omitempty"`
	Records    int64              `json:"records"`
	Partitions []ReceiptPartition `json:"partitions"`
	Deleted    []Holder           `json:"deleted"`   // objects that held them
	Rewritten  []Holder           `json:"rewritten"` // objects that were made of those, without them
	Grace      string             `json:"grace,omitempty"`
	NotReached []string           `json:"not_reached,omitempty"`
}

// ReceiptPartition is what was erased of a partition.
type ReceiptPartition struct {
	Partition int32         `json:"partition"`
	Records   int64         `json:"records"`
	Offsets   []ReceiptSpan `json:"offsets"`
}

// ReceiptSpan is offsets, both included; as text FIRST-LAST, or one number.
type ReceiptSpan struct{ First, Last topic.Offset }

// MarshalText implements encoding.TextMarshaler.
func (s ReceiptSpan) MarshalText() ([]byte, error) {
	if s.First == s.Last {
		return fmt.Append(nil, s.First), nil
	}
	return fmt.Appendf(nil, "%d-%d", s.First, s.Last), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *ReceiptSpan) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSpan(string(b))
	return err
}

// ParseSpan reads FIRST-LAST, or one number. Error: ErrOffsets.
func ParseSpan(text string) (ReceiptSpan, error) {
	first, last, ok := strings.Cut(text, "-")
	if !ok {
		last = first
	}
	from, bad := strconv.ParseInt(first, 10, 64)
	to, worse := strconv.ParseInt(last, 10, 64)
	switch {
	case bad != nil || worse != nil || to == math.MaxInt64:
		return ReceiptSpan{}, fmt.Errorf("%w: %q is not FIRST-LAST", ErrOffsets, text)
	case to < from:
		return ReceiptSpan{}, fmt.Errorf("%w: %q is empty, the last offset is included", ErrOffsets, text)
	}
	return ReceiptSpan{topic.Offset(from), topic.Offset(to)}, nil
}

// HashKey gives the SHA-256 that stands for a record's key.
func HashKey(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:])
}

// Take fills in what an Eraser knows.
func (r *Receipt) Take(e *Eraser) {
	r.Records, r.Partitions = 0, nil
	for _, p := range e.Parts() {
		out := ReceiptPartition{Partition: p.Partition.Index, Records: p.Records}
		for _, s := range p.Offsets {
			out.Offsets = append(out.Offsets, ReceiptSpan{s.From, s.To - 1})
		}
		r.Records += p.Records
		r.Partitions = append(r.Partitions, out)
	}
	r.Deleted, r.Rewritten = e.Holders()
}

// Give tells an Eraser what an earlier attempt knew.
func (r *Receipt) Give(e *Eraser, id topic.ID) {
	for _, p := range r.Partitions {
		part := ErasePart{Partition: topic.Partition{Topic: id, Index: p.Partition}, Records: p.Records}
		for _, s := range p.Offsets {
			part.Offsets = append(part.Offsets, Span{s.First, s.Last + 1})
		}
		if len(part.Offsets) > 0 {
			e.Add(part)
		}
	}
	e.Held(r.Deleted, r.Rewritten)
}

// same says whether two receipts are about the same.
func (r *Receipt) same(o Receipt) bool {
	return r.TopicID == o.TopicID && r.KeySHA256 == o.KeySHA256 && r.Asked == o.Asked
}

// Erasure is one that is under way, as the bucket has it: notes of what is known, each with all that the one before it had,
// and at last the receipt. So whoever is told the same again goes on, also after what is to be erased is not found any more.
type Erasure struct {
	store objectstore.Store
	name  string // a control number and an id
	notes []string
}

// Resume finds the erasure that says the same as r and has no receipt yet, and reads into r what is known of it. Without one it
// begins another, of which nothing is in the bucket before Note. others is how many that say something else have no receipt.
func Resume(ctx context.Context, store objectstore.Store, planned topic.Slot, r *Receipt) (x *Erasure, resumed bool, others int, err error) {
	notes := make(map[string][]string)
	err = store.List(ctx, ErasingPrefix, func(o objectstore.Info) error {
		name, _, ok := cutLast(strings.TrimPrefix(o.Key, ErasingPrefix), "-")
		if ok {
			notes[name] = append(notes[name], o.Key)
		}
		return nil
	})
	if err != nil {
		return nil, false, 0, fmt.Errorf("list %s: %w", ErasingPrefix, err)
	}
	var found *Receipt
	for name, keys := range notes {
		var have Receipt
		b, err := store.Get(ctx, keys[len(keys)-1])
		if err == nil {
			err = json.Unmarshal(b, &have)
		}
		if errors.Is(err, objectstore.ErrNotFound) {
			continue // it came to its end
		}
		if err != nil {
			return nil, false, 0, fmt.Errorf("%s: %w", keys[len(keys)-1], err)
		}
		_, err = store.Head(ctx, ErasedPrefix+name)
		switch {
		case err == nil: // whoever wrote the receipt did not come to tidy up
			if err := forget(ctx, store, keys); err != nil {
				return nil, false, 0, err
			}
			continue
		case !errors.Is(err, objectstore.ErrNotFound):
			return nil, false, 0, fmt.Errorf("head %s: %w", ErasedPrefix+name, err)
		}
		if !r.same(have) {
			others++
		} else if found == nil || have.Begun.Before(found.Begun) {
			found, x = &have, &Erasure{store, name, keys}
		}
	}
	if found != nil {
		*r = *found
		return x, true, others, nil
	}
	var id [16]byte
	rand.Read(id[:])
	return &Erasure{store: store, name: fmt.Sprintf("%016x-%x", uint64(planned), id)}, false, others, nil
}

// cutLast cuts around the last sep.
func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Note writes what is known by now.
func (x *Erasure) Note(ctx context.Context, r Receipt) error {
	n := 0
	if len(x.notes) > 0 {
		_, last, _ := cutLast(x.notes[len(x.notes)-1], "-")
		if _, err := fmt.Sscanf(last, "%08x", &n); err != nil {
			return fmt.Errorf("%s: %w", x.notes[len(x.notes)-1], err)
		}
		n++
	}
	for ; ; n++ {
		key := fmt.Sprintf("%s%s-%08x", ErasingPrefix, x.name, n)
		err := x.create(ctx, key, r)
		if errors.Is(err, objectstore.ErrExists) { // another process is at it, too
			continue
		}
		if err == nil {
			x.notes = append(x.notes, key)
		}
		return err
	}
}

// Finish writes the receipt and forgets the notes. It gives the receipt's key.
func (x *Erasure) Finish(ctx context.Context, r Receipt) (key string, err error) {
	key = ErasedPrefix + x.name
	if err := x.create(ctx, key, r); err != nil && !errors.Is(err, objectstore.ErrExists) {
		return key, err
	}
	return key, forget(ctx, x.store, x.notes)
}

func (x *Erasure) create(ctx context.Context, key string, r Receipt) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := x.store.Create(ctx, key, objectstore.NewBody(append(b, '\n'))); err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	return nil
}

// forget deletes notes, the newest last: until then they can be gone on from.
func forget(ctx context.Context, store objectstore.Store, keys []string) error {
	for _, key := range slices.Sorted(slices.Values(keys)) {
		if err := store.Delete(ctx, key); err != nil {
			return fmt.Errorf("delete %s: %w", key, err)
		}
	}
	return nil
}
