package topic

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// CompactedPrefix starts the key of every compacted object.
const CompactedPrefix = "compacted/"

// ObjectID is 128 random bits drawn when a compacted object is begun.
type ObjectID [16]byte

// String gives 32 hexadecimal digits.
func (id ObjectID) String() string { return hex.EncodeToString(id[:]) }

// Object names a compacted object: the control number it was planned at, which is the newest one that its planner had
// applied, and a random id. The number is in the key so that what was planned too long ago can be told without
// reading it (G5).
type Object struct {
	Planned Slot
	ID      ObjectID
}

// Key is where the object is: compacted/<first byte of the id>/<planned, 16 digits>-<id, 32 digits>, all hexadecimal.
// The first byte spreads the keys over the store's partitions.
func (o Object) Key() string {
	return fmt.Sprintf("%s%x/%016x-%x", CompactedPrefix, o.ID[:1], uint64(o.Planned), o.ID[:])
}

func (o Object) String() string { return o.Key() }

// IsZero reports whether o names no object.
func (o Object) IsZero() bool { return o == Object{} }

// Compare orders objects by the number they were planned at, then by id.
func (o Object) Compare(p Object) int {
	return cmp.Or(cmp.Compare(o.Planned, p.Planned), bytes.Compare(o.ID[:], p.ID[:]))
}

// ParseObjectKey reads what Key wrote.
func ParseObjectKey(key string) (Object, error) {
	var o Object
	rest, _ := strings.CutPrefix(key, CompactedPrefix)
	_, name, _ := strings.Cut(rest, "/")
	digits, id, _ := strings.Cut(name, "-")
	planned, err := strconv.ParseUint(digits, 16, 64)
	b, bad := hex.DecodeString(id)
	if err == nil && bad == nil && len(b) == len(o.ID) {
		o.Planned = Slot(planned)
		copy(o.ID[:], b)
	}
	if err != nil || bad != nil || o.Key() != key {
		return Object{}, fmt.Errorf("key %q is not a compacted object's", key)
	}
	return o, nil
}

// Run is one partition's part of a compacted object: extents that follow each other, and behind them their table.
// Runs are small values that may be compared; a partition's runs are told by control state.
type Run struct {
	Object       Object
	Base, Next   Offset // [Base, Next), not empty; key compaction may leave holes inside
	Level        uint8  // 1: made from slots; 2: from runs, at rest; at most MaxLevel
	Cleaned      Offset // records below were looked at by key compaction, which leaves holes below only; 0: it never was here
	Erased       uint64 // records that were erased, wherever they lay: from Cleaned on at most so many are missing
	Position     uint32 // of its first extent in the object
	Length       uint32 // of all its extents as stored; 0: none is left
	Table        uint32 // length of its table, which follows the extents
	CRC32C       uint32 // of the table
	RawLength    uint64 // of all its extents, unpacked
	MaxTimestamp int64  // the greatest of its records, ms since 1970; -1 if none has one
}

// MaxLevel is the highest level that a run may have: formats have 6 bits for it.
const MaxLevel = 63

// Size tells how many bytes of the object are the run's.
func (r Run) Size() int64 { return int64(r.Length) + int64(r.Table) }

func (r Run) String() string {
	cleaned := ""
	if r.Cleaned > 0 {
		cleaned = fmt.Sprintf(" cleaned up to %d", r.Cleaned)
	}
	if r.Erased > 0 {
		cleaned += fmt.Sprintf(" with %d erased", r.Erased)
	}
	return fmt.Sprintf("[%d,%d) level %d%s at [%d,%d) of %s", r.Base, r.Next, r.Level, cleaned, r.Position,
		int64(r.Position)+r.Size(), r.Object)
}
