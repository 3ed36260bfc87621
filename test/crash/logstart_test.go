//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// deleteTo deletes the records of a partition below an offset, and checks where it begins then.
func deleteTo(t *testing.T, addr, name string, partition int32, offset, want int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	to := make(kadm.Offsets)
	to.AddOffset(name, partition, offset, -1)
	got, err := adminOf(t, addr).DeleteRecords(ctx, to)
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := got.Lookup(name, partition); !ok || r.Err != nil || r.LowWatermark != want {
		t.Fatalf("delete below %d: %+v, want the low watermark %d", offset, r, want)
	}
}

// beginsAt waits until the partitions of a topic begin where they should, and checks that a consumer whose position was
// deleted goes on there.
func beginsAt(t *testing.T, addr, name string, want ...int64) {
	t.Helper()
	admin := adminOf(t, addr)
	eventually(t, 30*time.Second, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		starts, err := admin.ListStartOffsets(ctx, name)
		if err == nil {
			err = starts.Error()
		}
		if err != nil {
			return err
		}
		for p, offset := range want {
			if got, _ := starts.Lookup(name, int32(p)); got.Offset != offset {
				t.Fatalf("partition %d begins at %d, want %d", p, got.Offset, offset)
			}
		}
		return nil
	})
	for p, offset := range want {
		c := clientOf(t, addr, kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			name: {int32(p): kgo.NewOffset().At(0)},
		}))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		fetches := c.PollFetches(ctx)
		cancel()
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, kerr.OffsetOutOfRange) {
				t.Fatalf("partition %d: %v", p, e.Err)
			}
		}
		if rs := fetches.Records(); len(rs) == 0 || rs[0].Offset != offset {
			t.Fatalf("partition %d: %d records, want the first at %d", p, len(rs), offset)
		}
	}
}

// A log start that was acked is where it was after a crash, without what Redis knew, at another owner, and after a move.
func TestDeleteRecords_StayDeleted(t *testing.T) {
	t.Parallel()
	r := servers.OwnRedis(t)
	o := harness.Options{Bucket: "file://" + harness.TempDir(t), Redis: r.URL()}
	a := harness.Start(t, o)
	createTopic(t, a.Addr, "t", 4)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c := clientOf(t, a.Addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := range 40 {
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: int32(i % 4), Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	deleteTo(t, a.Addr, "t", 0, 7, 7)
	deleteTo(t, a.Addr, "t", 0, 3, 7)
	deleteTo(t, a.Addr, "t", 1, 9, 9)
	beginsAt(t, a.Addr, "t", 7, 9, 0, 0)

	a.Kill()
	flush(t, r)
	a.Restart()
	beginsAt(t, a.Addr, "t", 7, 9, 0, 0)

	b := harness.Start(t, o)
	eventually(t, time.Minute, func() error { // b has got its share by moves
		meta, err := adminOf(t, a.Addr).Metadata(ctx, "t")
		if err != nil {
			return err
		}
		owners := make(map[int32]int)
		for _, p := range meta.Topics["t"].Partitions {
			owners[p.Leader]++
		}
		if len(owners) != 2 {
			return fmt.Errorf("owners %v", owners)
		}
		return nil
	})
	beginsAt(t, b.Addr, "t", 7, 9, 0, 0)
	for p, to := range []int64{8, 9, 4, 5} {
		deleteTo(t, b.Addr, "t", int32(p), to, to)
	}
	a.Kill()
	beginsAt(t, b.Addr, "t", 8, 9, 4, 5)
	b.Kill()
	b.Restart()
	beginsAt(t, b.Addr, "t", 8, 9, 4, 5)
	b.Stop()
	verify(t, o.Bucket, nil)
}
