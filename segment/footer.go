package segment

import (
	"encoding/binary"
	"fmt"
	"maps"

	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/topic"
)

// A footer, version 1. Numbers are uvarints; signed ones are zigzag varints. A list is a count and that many elements.
// A partition is an index into the list of topics and its own index.
//
//	journal 16 bytes | slot | created signed | topics: list of 16 bytes |
//	extents: list of
//	  location uint8, 0 = inline | partition | epoch | base | next - base | length | raw length |
//	  CRC32C uint32 | max timestamp - created, signed |
//	producers: list of
//	  extent's index | producer id | producer epoch signed | first sequence signed |
//	  base - extent's base | next - base | timestamp - created, signed |
//	log starts: list of (partition | start) |
//	releases: list of (partition | epoch | end | producer state: length, bytes) |
//	open transactions: empty list, reserved | closed transactions: empty list, reserved |
//	summary: 0, or 1 and
//	  ends: list of (partition | epoch | next) |
//	  recent: list of (slot | extents | producers | log starts, each as above)

// footerWriter appends a footer's lists to b and collects the topics that they name.
type footerWriter struct {
	b       []byte
	created int64
	topics  map[topic.ID]uint64
	names   []byte
}

// appendFooter encodes f behind b. Errors: ErrInvalid if f's parts do not belong together.
func appendFooter(b []byte, f *Footer) ([]byte, error) {
	w := footerWriter{created: f.CreatedMs, topics: make(map[topic.ID]uint64)}
	w.extents(f.Extents)
	if err := w.producers(f.Extents, f.Producers); err != nil {
		return nil, err
	}
	w.logStarts(f.LogStarts)
	w.number(uint64(len(f.Releases)))
	for _, r := range f.Releases {
		w.partition(r.Partition)
		w.number(uint64(r.Epoch))
		w.number(uint64(r.End))
		w.number(uint64(len(r.ProducerState)))
		w.b = append(w.b, r.ProducerState...)
	}
	w.b = append(w.b, 0, 0) // open and closed transactions
	if err := w.summary(f.Summary); err != nil {
		return nil, err
	}
	b = append(b, f.Journal[:]...)
	b = binary.AppendUvarint(b, uint64(f.Slot))
	b = binary.AppendVarint(b, f.CreatedMs)
	b = binary.AppendUvarint(b, uint64(len(w.topics)))
	b = append(b, w.names...)
	return append(b, w.b...), nil
}

func (w *footerWriter) number(v uint64) { w.b = binary.AppendUvarint(w.b, v) }
func (w *footerWriter) signed(v int64)  { w.b = binary.AppendVarint(w.b, v) }

func (w *footerWriter) partition(p topic.Partition) {
	n, ok := w.topics[p.Topic]
	if !ok {
		n = uint64(len(w.topics))
		w.topics[p.Topic] = n
		w.names = append(w.names, p.Topic[:]...)
	}
	w.number(n)
	w.number(uint64(p.Index))
}

func (w *footerWriter) extents(list []Extent) {
	w.number(uint64(len(list)))
	for i := range list {
		e := &list[i]
		w.b = append(w.b, 0)
		w.partition(e.Partition)
		w.number(uint64(e.Epoch))
		w.number(uint64(e.Base))
		w.number(uint64(e.Next - e.Base))
		w.number(uint64(e.Length))
		w.number(uint64(e.RawLength))
		w.b = binary.BigEndian.AppendUint32(w.b, e.CRC32C)
		w.signed(e.MaxTimestamp - w.created)
	}
}

// producers names each delta's extent instead of its partition: a delta without records in this very segment cannot be
// written down (I8).
func (w *footerWriter) producers(extents []Extent, deltas []sequence.Delta) error {
	at := make(map[topic.Partition]int, len(extents))
	for i := range extents {
		p := extents[i].Partition
		if _, twice := at[p]; twice {
			return fmt.Errorf("%w: partition %s twice", ErrInvalid, p)
		}
		at[p] = i
	}
	w.number(uint64(len(deltas)))
	for _, d := range deltas {
		i, ok := at[d.Partition]
		if !ok || d.Base < extents[i].Base || d.Next > extents[i].Next || d.Base >= d.Next {
			return fmt.Errorf("%w: producer %d wrote [%d,%d) of %s, which is not in an extent",
				ErrInvalid, d.ProducerID, d.Base, d.Next, d.Partition)
		}
		w.number(uint64(i))
		w.number(uint64(d.ProducerID))
		w.signed(int64(d.ProducerEpoch))
		w.signed(int64(d.FirstSequence))
		w.number(uint64(d.Base - extents[i].Base))
		w.number(uint64(d.Next - d.Base))
		w.signed(d.Timestamp - w.created)
	}
	return nil
}

func (w *footerWriter) logStarts(list []LogStart) {
	w.number(uint64(len(list)))
	for _, l := range list {
		w.partition(l.Partition)
		w.number(uint64(l.Start))
	}
}

// summary writes s, and sets s.Recent to nil if it is left out.
func (w *footerWriter) summary(s *Summary) error {
	if s == nil {
		w.b = append(w.b, 0)
		return nil
	}
	w.b = append(w.b, 1)
	w.number(uint64(len(s.Ends)))
	for _, e := range s.Ends {
		w.partition(e.Partition)
		w.number(uint64(e.Epoch))
		w.number(uint64(e.Next))
	}
	at, topics := len(w.b), len(w.topics)
	if err := w.recent(s.Recent); err != nil {
		return err
	}
	if len(w.b)-at > MaxRecentBytes { // a reader takes the 63 footers one by one
		s.Recent = nil
		w.b = append(w.b[:at], 0)
		w.forget(topics)
	}
	return nil
}

func (w *footerWriter) recent(list []SlotExtents) error {
	w.number(uint64(len(list)))
	for _, r := range list {
		w.number(uint64(r.Slot))
		w.extents(r.Extents)
		if err := w.producers(r.Extents, r.Producers); err != nil {
			return fmt.Errorf("recent slot %d: %w", r.Slot, err)
		}
		w.logStarts(r.LogStarts)
	}
	return nil
}

// forget drops all topics but the first n.
func (w *footerWriter) forget(n int) {
	maps.DeleteFunc(w.topics, func(_ topic.ID, i uint64) bool { return i >= uint64(n) })
	w.names = w.names[:n*len(topic.ID{})]
}
