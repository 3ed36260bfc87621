package checkpoint

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/topic"
)

// Prefix starts the key of everything that belongs to checkpoints, PartPrefix that of every part.
const (
	Prefix     = "checkpoint/"
	PartPrefix = Prefix + "part/"
)

// Name names a checkpoint: the control number it stands at, and an id, since two may be made at one number.
type Name struct {
	Control topic.Slot
	ID      control.CheckpointID
}

func (n Name) String() string { return n.Key() }

// Key is where the checkpoint's head is: checkpoint/<control number, 16 digits>-<id, 32 digits>, all hexadecimal.
func (n Name) Key() string { return Prefix + numbered(n.Control, n.ID) }

// PartID names a part: the first 16 bytes of the SHA-256 of its body before packing.
type PartID [16]byte

func (id PartID) String() string { return hex.EncodeToString(id[:]) }

// PartKey is where a part is that was first written for the checkpoint at control number planned:
// checkpoint/part/<planned, 16 digits>-<id, 32 digits>.
func PartKey(planned topic.Slot, id PartID) string { return PartPrefix + numbered(planned, id) }

// TwinKey is where the part is a second time: a part that did not change is named by both checkpoints that are kept, and
// no damage of one object may take both.
func TwinKey(planned topic.Slot, id PartID) string { return PartKey(planned, id) + twinSuffix }

const twinSuffix = "-twin"

func numbered(n topic.Slot, id [16]byte) string { return fmt.Sprintf("%016x-%x", uint64(n), id[:]) }

// ParseKey reads what Key wrote.
func ParseKey(key string) (Name, error) {
	n, id, err := parseNumbered(key, strings.TrimPrefix(key, Prefix))
	name := Name{n, id}
	if err == nil && key != name.Key() {
		err = fmt.Errorf("key %q is not a checkpoint's head", key)
	}
	return name, err
}

// ParsePartKey reads what PartKey or TwinKey wrote.
func ParsePartKey(key string) (planned topic.Slot, id PartID, err error) {
	n, i, err := parseNumbered(key, strings.TrimSuffix(strings.TrimPrefix(key, PartPrefix), twinSuffix))
	if err == nil && key != PartKey(n, i) && key != TwinKey(n, i) {
		err = fmt.Errorf("key %q is not a checkpoint's part", key)
	}
	return n, i, err
}

func parseNumbered(key, rest string) (topic.Slot, [16]byte, error) {
	var id [16]byte
	digits, name, ok := strings.Cut(rest, "-")
	n, err := strconv.ParseUint(digits, 16, 64)
	b, bad := hex.DecodeString(name)
	if !ok || err != nil || bad != nil || len(digits) != 16 || len(b) != len(id) {
		return 0, id, fmt.Errorf("key %q does not end in 16 and 32 hexadecimal digits", key)
	}
	copy(id[:], b)
	return topic.Slot(n), id, nil
}

var errListed = errors.New("all heads are listed")

// Heads lists the heads that the bucket shows, newest first. It is a hint (B2): what is listed may not count, and the
// answer may be old.
func Heads(ctx context.Context, store objectstore.Store) ([]Name, error) {
	var names []Name
	err := store.List(ctx, Prefix, func(o objectstore.Info) error {
		if strings.HasPrefix(o.Key, PartPrefix) {
			return errListed // digits come before letters: no head follows
		}
		if n, err := ParseKey(o.Key); err == nil {
			names = append(names, n)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errListed) {
		return nil, fmt.Errorf("list checkpoints: %w", err)
	}
	slices.SortFunc(names, func(a, b Name) int {
		return cmp.Or(cmp.Compare(b.Control, a.Control), slices.Compare(b.ID[:], a.ID[:]))
	})
	return names, nil
}
