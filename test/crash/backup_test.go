//go:build linux

package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// copyBucket copies all objects of one bucket to another one of the same server, in no order.
func copyBucket(t *testing.T, from, to *servers.S3Server) (objects int) {
	t.Helper()
	c, err := minio.New(strings.TrimPrefix(from.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(from.AccessKey, from.SecretKey, ""), Region: from.Region,
	})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for o := range c.ListObjects(t.Context(), from.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		keys = append(keys, o.Key)
	}
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, key := range keys {
		_, err := c.CopyObject(t.Context(), minio.CopyDestOptions{Bucket: to.Bucket, Object: key}, minio.CopySrcOptions{Bucket: from.Bucket, Object: key})
		if err != nil {
			t.Fatalf("copy %s: %v", key, err)
		}
	}
	return len(keys)
}

// A copy of the bucket that was made while no agent ran is the cluster: a new pool, with an empty Redis and empty disks, has all that
// acks=all acknowledged, settings, groups and offsets, and goes on. The agents of the first one were killed.
func TestBackup_TheBucketAloneIsTheCluster(t *testing.T) {
	t.Parallel()
	first, second := servers.SharedMinIO(t), servers.SharedMinIO(t)
	p := &pool{t: t, options: harness.Options{
		Bucket: first.URL("records"), Redis: servers.OwnRedis(t).URL(), Env: first.Env(),
		Flags: []string{"--set", "group.initial.rebalance.delay.ms=0", "--checkpoint-slots", "64", "--flush-interval", "20ms", "--compaction-interval", "1s",
			"--lease", "1500ms"},
	}}
	p.start()
	p.start()
	createTopic(t, p.addr(), loadTopic, partitions)
	kept := "123456789"
	admin := adminOf(t, p.addr())
	changed, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &kept}}, loadTopic)
	if err != nil || changed[0].Err != nil {
		t.Fatal(err, changed)
	}
	p.work = startLoad(t, newLedger(), loadConfig{addr: p.addr(), producers: 4, opts: []kgo.Opt{kgo.SeedBrokers(p.addrs()...)}})
	p.work.progress(1500, 60*time.Second)
	offsets := make(kadm.Offsets)
	for i := range int32(partitions) {
		offsets.AddOffset(loadTopic, i, int64(10+i), -1)
	}
	eventually(t, 30*time.Second, func() error { return adminOf(t, p.addr()).CommitAllOffsets(t.Context(), "readers", offsets) })
	for _, a := range p.agents {
		a.Kill()
	}
	p.work.abandon()

	t.Logf("%d objects copied", copyBucket(t, first, second))
	verify(t, second.URL("records"), second.Env())

	restored := &pool{t: t, options: p.options}
	restored.options.Bucket, restored.options.Redis = second.URL("records"), servers.OwnRedis(t).URL()
	restored.start()
	restored.start()
	for _, a := range restored.agents {
		eventually(t, 60*time.Second, func() error { // the journals of those that are gone stand still for two leases first
			listed, err := adminOf(t, a.Addr).ListEndOffsets(t.Context(), loadTopic)
			return errors.Join(err, listed.Error())
		})
		p.work.check(t, a.Addr)
	}
	configs, err := adminOf(t, restored.addr()).DescribeTopicConfigs(t.Context(), loadTopic)
	if err != nil {
		t.Fatal(err)
	}
	described, err := configs.On(loadTopic, nil)
	if err != nil || described.Err != nil {
		t.Fatal(err, described.Err)
	}
	found := false
	for _, c := range described.Configs {
		found = found || c.Key == "retention.ms" && c.MaybeValue() == kept
	}
	if !found {
		t.Errorf("settings of the topic are %+v, want retention.ms=%s", described.Configs, kept)
	}
	eventually(t, 30*time.Second, func() error {
		committed, err := adminOf(t, restored.addr()).FetchOffsets(t.Context(), "readers")
		if err != nil {
			return err
		}
		for i := range int32(partitions) {
			if at, ok := committed.Lookup(loadTopic, i); !ok || at.At != int64(10+i) {
				return fmt.Errorf("the group committed %+v of partition %d, want %d", at, i, 10+i)
			}
		}
		return nil
	})
	// What was sent and never answered may be there as well; so producers of other numbers go on.
	p.work.mu.Lock()
	p.work.failed = nil // what was given up when the agents were killed
	p.work.mu.Unlock()
	restored.work = startLoad(t, p.work.ledger, loadConfig{addr: restored.addr(), producers: 2, first: 100})
	restored.work.progress(300, 60*time.Second)
	restored.work.finish(60 * time.Second)
	restored.work.check(t, restored.addr())
	for _, a := range restored.agents {
		a.Stop()
	}
	verify(t, restored.options.Bucket, restored.options.Env)
}
