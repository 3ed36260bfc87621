//go:build linux

package crash

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// cleaningOften makes checkpoints and compacts as often as may be.
var cleaningOften = append([]string{"--compaction-interval", "1s"}, often...)

// tables is what a compacted topic and the offsets of a group must be.
type tables struct {
	t         *testing.T
	newest    map[string]string // by key; none: the newest is a tombstone
	ends      [2]int64
	committed int64
}

// write overwrites all of ten keys in turn, one record a slot, deletes two that came only once, and commits offsets.
func (w *tables) write(addr string, rounds int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	c := clientOf(w.t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	set := func(key, value string, p int) {
		r := &kgo.Record{Topic: "table", Partition: int32(p), Key: []byte(key)}
		if value != "" {
			r.Value = []byte(value)
		}
		if err := c.ProduceSync(ctx, r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
		w.newest[key], w.ends[p] = value, r.Offset+1
		if value == "" {
			delete(w.newest, key)
		}
	}
	for range rounds {
		for p := range 2 {
			once := fmt.Sprintf("once-%d", w.ends[p])
			set(once, "here", p)
			set(once, "", p)
			for k := range 10 {
				set(fmt.Sprintf("key-%d-%d", p, k), fmt.Sprintf("value %d", w.ends[p]), p)
			}
		}
		w.committed++
		offsets := make(kadm.Offsets)
		offsets.AddOffset("table", 0, w.committed, -1)
		if err := adminOf(w.t, addr).CommitAllOffsets(ctx, "readers", offsets); err != nil {
			w.t.Fatal(err)
		}
	}
}

// check reads the topic from its beginning, and what the group committed. It gives the number of records.
func (w *tables) check(addr string) (records int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	spansAre(w.t, addr, map[string]span{"table/0": {0, w.ends[0]}, "table/1": {0, w.ends[1]}}, "table")
	c := clientOf(w.t, addr, kgo.ConsumeTopics("table"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	got := make(map[string]string)
	for at := [2]int64{}; at != w.ends; { // the last record of each partition is the newest of its key
		fetched := c.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			w.t.Fatalf("read up to %v of %v: %v", at, w.ends, err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			if r.Offset < at[r.Partition] {
				w.t.Errorf("offset %d of partition %d behind %d", r.Offset, r.Partition, at[r.Partition]-1)
			}
			at[r.Partition] = r.Offset + 1
			got[string(r.Key)] = string(r.Value)
			if r.Value == nil {
				delete(got, string(r.Key))
			}
			records++
		})
	}
	if !maps.Equal(got, w.newest) {
		w.t.Errorf("newest records are %v, want %v", got, w.newest)
	}
	offsets, err := adminOf(w.t, addr).FetchOffsets(ctx, "readers")
	if at, ok := offsets.Lookup("table", 0); err != nil || !ok || at.At != w.committed {
		w.t.Errorf("the group committed %v, want %d: %v", at, w.committed, err)
	}
	return records
}

// cleaned writes until an agent has cleaned so often by key, and the topic and the offsets topic have lost records.
func (w *tables) cleaned(a *harness.Agent, jobs float64) {
	w.t.Helper()
	done := func() float64 { return a.Metric("odradek_compaction_jobs_total", `kind="keys"`) }
	for range 6 {
		w.write(a.Addr, 4)
		for range 250 { // while checkpoints are due all the time there is none
			if done() >= jobs {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	w.t.Fatalf("%g jobs by key, want %g\n%s", done(), jobs, a.Tail())
}

// Compacted topics lose what is superseded and nothing else: through SIGKILL, without what Redis knew, and at another owner,
// which goes on where the first one was.
func TestKeys_TheNewestOfEachKeyStays(t *testing.T) {
	t.Parallel()
	r := servers.OwnRedis(t)
	o := harness.Options{Bucket: "file://" + harness.TempDir(t), Redis: r.URL(), Flags: cleaningOften}
	a := harness.Start(t, o)
	compact, soon, low := "compact", "1", "0.01"
	createTopicWith(t, a.Addr, "table", map[string]*string{"cleanup.policy": &compact, "delete.retention.ms": &soon, "min.cleanable.dirty.ratio": &low})
	w := &tables{t: t, newest: make(map[string]string)}
	w.cleaned(a, 1)
	a.Kill()
	flush(t, r)
	a.Restart()
	w.check(a.Addr)
	w.cleaned(a, 1)
	records := w.check(a.Addr)
	if all := int(w.ends[0] + w.ends[1]); records > all/2 {
		t.Errorf("%d of %d records are left", records, all)
	}
	verify(t, o.Bucket, nil)

	b := harness.Start(t, o)
	a.Kill()
	w.cleaned(b, 1)
	w.check(b.Addr)
	b.Kill()
	flush(t, r)
	b.Restart()
	w.check(b.Addr)
	b.Stop()
	verify(t, o.Bucket, nil)
}
