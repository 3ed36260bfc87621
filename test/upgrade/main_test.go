package upgrade

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/test/upgrade/fixture"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// patience is how long anything may take; the machine may be busy.
const patience = time.Minute

// first is an unpacked copy of the first release's fixture.
type first struct {
	fixture.Manifest
	t   *testing.T
	dir string
}

func unpack(t *testing.T) *first {
	t.Helper()
	f := &first{t: t, dir: harness.TempDir(t)}
	var err error
	if f.Manifest, err = fixture.Unpack("testdata/first.tar.gz", f.dir); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *first) path(name string) string { return filepath.Join(f.dir, name) }

func (f *first) bucket() string { return "file://" + f.path(fixture.Bucket) }

// loaded starts a Redis with what was in the fixture's.
func (f *first) loaded() *servers.RedisServer {
	f.t.Helper()
	return servers.OwnRedis(f.t, "--dir", f.dir, "--dbfilename", fixture.Dump)
}

// options are those of the i-th agent. What is old in the fixture stays, whatever the day.
func (f *first) options(i int) harness.Options {
	return harness.Options{
		Bucket: f.bucket(), DataDir: f.path(filepath.Join(fixture.Agents, f.Agents[i])),
		Flags: []string{"--set", "offsets.retention.minutes=2147483647", "--set", "group.initial.rebalance.delay.ms=0"},
	}
}

// verify wants `odradek verify` to find nothing.
func (f *first) verify(args ...string) {
	f.t.Helper()
	if out, status := harness.Run(f.t, nil, append([]string{"verify", "--bucket", f.bucket()}, args...)...); status != 0 {
		f.t.Errorf("odradek verify: status %d\n%s", status, out)
	}
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.RetryTimeout(patience), kgo.RequestRetries(1000), kgo.AlwaysRetryEOF(),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseAllowingRebalance)
	return c
}

// ends asks for the ends of all partitions of topics.
func ends(ctx context.Context, t *testing.T, addr string, topics ...string) map[string]int64 {
	t.Helper()
	listed, err := kadm.NewClient(client(t, addr)).ListEndOffsets(ctx, topics...)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]int64)
	listed.Each(func(o kadm.ListedOffset) { out[fmt.Sprintf("%s/%d", o.Topic, o.Partition)] = o.Offset })
	return out
}

// eventually waits until holds says nothing more, and fails with the last it said.
func eventually(t *testing.T, holds func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", patience, err)
		}
	}
}
