package compaction

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/odradek/odradek/topic"
)

// keyEntrySize is what a key takes in an OffsetMap, as in Apache Kafka's: 16 bytes of hash and an offset.
const keyEntrySize = 24

// OffsetMap knows the newest offset of each key that was put in, in memory that is allocated once. It keeps no keys but
// 128 bits of their SHA-256: two keys that it takes for one cannot be made on purpose, as they could for MD5, and by
// chance are not met (10^9 keys: 1 in 10^21). It belongs to one goroutine, and may be used for one partition after the
// other.
type OffsetMap struct {
	slots []keyEntry
	used  int
	most  int // used <= most, which leaves a tenth free so that searches stay short
}

// keyEntry is empty if next is 0. Entries stand in rows behind the slot that their hash names, those with the way there
// longer before those with a shorter one (Robin Hood hashing), so that a search ends early.
type keyEntry struct {
	high, low uint64
	next      topic.Offset // the offset + 1
}

// NewOffsetMap makes a map that takes bytes of memory, or what two keys need if that is more.
func NewOffsetMap(bytes int) *OffsetMap {
	slots := max(bytes/keyEntrySize, 3)
	return &OffsetMap{slots: make([]keyEntry, slots), most: slots * 9 / 10}
}

// Clear takes all keys out.
func (m *OffsetMap) Clear() {
	clear(m.slots)
	m.used = 0
}

// Len is the number of keys in the map.
func (m *OffsetMap) Len() int { return m.used }

// Cap is how many keys the map can have.
func (m *OffsetMap) Cap() int { return m.most }

// Put notes that key has a record at offset at, if it knows no newer one. It does nothing and gives false if the key is
// new and the map is full.
func (m *OffsetMap) Put(key []byte, at topic.Offset) bool {
	e := hashKey(key)
	e.next = at + 1
	i, way := m.home(e.high), 0
	for {
		s := &m.slots[i]
		if s.next == 0 || m.way(s, i) < way {
			break
		}
		if s.high == e.high && s.low == e.low {
			s.next = max(s.next, e.next)
			return true
		}
		i, way = m.after(i), way+1
	}
	if m.used == m.most {
		return false
	}
	m.used++
	for m.slots[i].next != 0 {
		if w := m.way(&m.slots[i], i); w < way {
			m.slots[i], e, way = e, m.slots[i], w
		}
		i, way = m.after(i), way+1
	}
	m.slots[i] = e
	return true
}

// Newest gives the newest offset of key, ok=false if it was not put in.
func (m *OffsetMap) Newest(key []byte) (at topic.Offset, ok bool) {
	if m.used == 0 {
		return 0, false
	}
	e := hashKey(key)
	for i, way := m.home(e.high), 0; ; i, way = m.after(i), way+1 {
		s := &m.slots[i]
		if s.next == 0 || m.way(s, i) < way {
			return 0, false
		}
		if s.high == e.high && s.low == e.low {
			return s.next - 1, true
		}
	}
}

func hashKey(key []byte) keyEntry {
	sum := sha256.Sum256(key)
	return keyEntry{high: binary.BigEndian.Uint64(sum[:]), low: binary.BigEndian.Uint64(sum[8:])}
}

// home is the slot that a hash names.
func (m *OffsetMap) home(high uint64) int {
	i, _ := bits.Mul64(high, uint64(len(m.slots)))
	return int(i)
}

// way is how far from its home the entry in slot i stands.
func (m *OffsetMap) way(e *keyEntry, i int) int {
	w := i - m.home(e.high)
	if w < 0 {
		w += len(m.slots)
	}
	return w
}

func (m *OffsetMap) after(i int) int {
	if i++; i == len(m.slots) {
		return 0
	}
	return i
}
