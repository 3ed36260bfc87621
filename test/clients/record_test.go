package clients

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// Record is a record as every library sees it. Nil bytes are null.
type Record struct {
	ID        int      `json:"id"` // its place in the order of sending
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	Timestamp int64    `json:"timestamp"` // milliseconds
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []Header `json:"headers"`
}

// Header is [name, value] in JSON, the value in base64 or null.
type Header struct {
	Name  string
	Value []byte
}

func (h Header) MarshalJSON() ([]byte, error) { return json.Marshal([]any{h.Name, h.Value}) }

func (h *Header) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &[]any{&h.Name, &h.Value}) }

// messages makes records over some partitions: without and with key, value and headers, empty ones too.
func messages(count int, partitions int32) []Record {
	start := time.Now().Add(-time.Hour).UnixMilli()
	records := make([]Record, count)
	for i := range records {
		r := Record{ID: i, Partition: int32(i) % partitions, Timestamp: start + int64(i)*13, Headers: []Header{}}
		if i%7 != 0 {
			r.Key = fmt.Appendf(nil, "key-%d", i%19)
		}
		r.Value = fmt.Appendf(nil, `{"id":%d,"text":"%0*d","unit":"größe"}`, i, 100+i*37%900, i)
		if i%11 == 10 && r.Key != nil {
			r.Value = nil
		}
		if i%13 == 12 {
			r.Value = []byte{}
		}
		if i%3 == 0 {
			r.Headers = []Header{{"trace", fmt.Appendf(nil, "%08x", i)}, {"kind", []byte("probe")}}
		}
		if len(r.Value) == 0 { // librdkafka leaves a batch as it is if it does not become smaller
			r.Headers = append(r.Headers, Header{"zeros", make([]byte, 100)})
		}
		records[i] = r
	}
	return records
}

// compare wants that what was read is what was acked, record for record, and that both keep the order of sending in
// each partition.
func compare(t testing.TB, acked, read []Record) {
	t.Helper()
	bySending := func(a, b Record) int { return cmp.Compare(a.ID, b.ID) }
	ordered(t, "acked", slices.SortedStableFunc(slices.Values(acked), bySending))
	ordered(t, "read", read)
	if diff := difference(acked, read); diff != "" {
		t.Fatalf("read (+) is not what was acked (-), %d and %d records:\n%s", len(read), len(acked), diff)
	}
}

// difference is empty when two sets of records are the same. cmp goes byte by byte, so it is asked only when they are
// not.
func difference(acked, read []Record) string {
	acked, read = placed(acked), placed(read)
	if reflect.DeepEqual(acked, read) {
		return ""
	}
	return fmt.Sprintf("%.4000s", gocmp.Diff(acked, read))
}

// placed sorts records by partition and offset. What libraries tell differently is made equal: no headers are nil.
func placed(records []Record) []Record {
	records = slices.SortedFunc(slices.Values(records), func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	for i := range records {
		records[i].ID = 0
		if len(records[i].Headers) == 0 {
			records[i].Headers = nil
		}
	}
	return records
}

// ordered wants the offsets of each partition to rise in the order in which the records came.
func ordered(t testing.TB, what string, records []Record) {
	t.Helper()
	next := map[int32]int64{}
	for _, r := range records {
		if r.Offset < next[r.Partition] {
			t.Fatalf("%s: offset %d of partition %d comes after offset %d", what, r.Offset, r.Partition, next[r.Partition]-1)
		}
		next[r.Partition] = r.Offset + 1
	}
}
