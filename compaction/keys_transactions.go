package compaction

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

// AbortedTransaction is a transaction whose records nobody shall see: those of its producer from First up to its marker,
// which may have been dropped since.
type AbortedTransaction struct {
	Producer      int64
	First, Marker topic.Offset
}

// transactions follows the transactions of a partition along its batches in offset order. It says which batches belong
// to an aborted one, and of which transaction there is nothing left but its marker.
type transactions struct {
	aborted   []AbortedTransaction // that have not begun yet, by offset
	aborting  map[int64]aborting   // by producer: that have begun
	committed map[int64]struct{}   // producers of which a batch of one that is not aborted was met
}

type aborting struct {
	marker topic.Offset
	met    bool // a batch of it was met
}

func newTransactions(aborted []AbortedTransaction) *transactions {
	sorted := slices.SortedFunc(slices.Values(aborted), func(a, b AbortedTransaction) int { return cmp.Compare(a.First, b.First) })
	return &transactions{aborted: sorted, aborting: make(map[int64]aborting), committed: make(map[int64]struct{})}
}

// begin takes in the aborted transactions that begin up to offset at. One whose marker was dropped ends where the next of
// its producer begins.
func (t *transactions) begin(at topic.Offset) {
	for len(t.aborted) > 0 && t.aborted[0].First <= at {
		t.aborting[t.aborted[0].Producer] = aborting{marker: t.aborted[0].Marker}
		t.aborted = t.aborted[1:]
	}
}

// data takes in a batch of records and says whether it belongs to an aborted transaction.
func (t *transactions) data(info recordbatch.Info) bool {
	t.begin(info.Next() - 1)
	if !info.IsTransactional() {
		return false
	}
	if a, ok := t.aborting[info.ProducerID]; ok && info.BaseOffset < a.marker {
		t.aborting[info.ProducerID] = aborting{marker: a.marker, met: true}
		return true
	}
	delete(t.aborting, info.ProducerID)
	t.committed[info.ProducerID] = struct{}{}
	return false
}

// marker takes in a control batch and says whether nothing but the marker is left of its transaction. Of control records
// other than transaction markers it never says so, and of an emptied control batch always.
func (t *transactions) marker(info recordbatch.Info, key []byte) bool {
	t.begin(info.Next() - 1)
	if info.Count == 0 {
		return true
	}
	switch markerType(key) {
	case markerAbort:
		met := t.aborting[info.ProducerID].met
		delete(t.aborting, info.ProducerID)
		return !met
	case markerCommit:
		_, met := t.committed[info.ProducerID]
		delete(t.committed, info.ProducerID)
		return !met
	}
	return false
}

// Types of control records: the second field of their key, behind its version.
const (
	markerAbort  = 0
	markerCommit = 1
	markerOther  = -1
)

func markerType(key []byte) int16 {
	if len(key) < 4 {
		return markerOther
	}
	return int16(binary.BigEndian.Uint16(key[2:]))
}
