//go:build linux

package crash

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/redis"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/topic"
)

// checkIndex waits until the index in Redis says of the load topic what the log says.
func checkIndex(t *testing.T, addr string, r *servers.RedisServer, log map[place]*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	store, err := redis.Open(ctx, redis.Config{URL: r.URL(), Cluster: "odradek"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	topics, err := adminOf(t, addr).ListTopics(ctx, loadTopic)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]topic.Offset, partitions)
	for at := range log {
		want[at.partition] = max(want[at.partition], topic.Offset(at.offset)+1)
	}
	eventually(t, 20*time.Second, func() error {
		ends, err := indexEnds(ctx, store, topic.ID(topics[loadTopic].ID))
		for p := 0; err == nil && p < len(ends); p++ {
			if ends[p].Next != want[p] {
				err = fmt.Errorf("partition %d ends at %d in Redis, at %d in the log", p, ends[p].Next, want[p])
			}
		}
		return err
	})
}

func indexEnds(ctx context.Context, store metadata.Store, id topic.ID) ([]metadata.End, error) {
	runID, replicationID, err := store.Identity(ctx)
	if err != nil {
		return nil, err
	}
	status, err := store.Current(ctx, 0)
	if err != nil {
		return nil, err
	}
	var all []topic.Partition
	for i := range int32(partitions) {
		all = append(all, topic.Partition{Topic: id, Index: i})
	}
	return store.Ends(ctx, metadata.Pin{Era: status.OpenEra, RunID: runID, ReplicationID: replicationID}, all)
}
