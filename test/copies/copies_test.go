package copies

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/agent/group/offsetsrecord"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/redis"
	"github.com/odradek/odradek/sequence"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/topic"
)

const (
	orders = "orders"
	soon   = 15 * time.Second // the machine may be busy; what is promised is a second, and a recovery after a loss
)

// cluster is an agent with its Redis and its clients.
type cluster struct {
	*testing.T
	agent *harness.Agent
	redis *servers.RedisServer
	store *redis.Store // our own look at it
	admin *kadm.Client
}

func start(t *testing.T) *cluster {
	r := servers.OwnRedis(t)
	c := &cluster{T: t, redis: r, agent: harness.Start(t, harness.Options{
		Redis: r.URL(), Flags: []string{"--set", "group.initial.rebalance.delay.ms=0", "--set", "offsets.topic.num.partitions=3"},
	})}
	var err error
	if c.store, err = redis.Open(t.Context(), redis.Config{URL: r.URL(), Cluster: "odradek"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.store.Close() })
	c.admin = kadm.NewClient(c.client())
	if _, err := c.admin.CreateTopic(t.Context(), 2, 1, nil, orders); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) client(opts ...kgo.Opt) *kgo.Client {
	c.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.agent.Addr), kgo.MetadataMinAge(100 * time.Millisecond), kgo.RetryTimeout(time.Minute),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }), kgo.RequestRetries(1000),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)...)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(client.CloseAllowingRebalance)
	return client
}

// produce writes n records to partition 0.
func (c *cluster) produce(by *kgo.Client, n int) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), soon)
	defer cancel()
	for i := range n {
		if err := by.ProduceSync(ctx, &kgo.Record{Topic: orders, Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			c.Fatalf("produce: %v", err)
		}
	}
}

// commit commits an offset for partition 0 as somebody who manages partitions itself.
func (c *cluster) commit(group string, at int64) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), soon)
	defer cancel()
	o := kadm.Offsets{}
	o.AddOffset(orders, 0, at, -1)
	if err := c.admin.CommitAllOffsets(ctx, group, o); err != nil {
		c.Fatalf("commit %d for %s: %v", at, group, err)
	}
}

func (c *cluster) committed(group string) int64 {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	o, err := c.admin.FetchOffsets(ctx, group)
	if err != nil {
		c.Fatal(err)
	}
	at, ok := o.Lookup(orders, 0)
	if !ok {
		return -1
	}
	return at.At
}

// pin is the era that is open in Redis.
func (c *cluster) pin() (metadata.Pin, error) {
	s, err := c.store.Current(c.Context(), 0)
	if err == nil && (!s.OpenPinned || s.OpenEra == 0) {
		err = metadata.ErrNotOpen
	}
	return metadata.Pin{Era: s.OpenEra, RunID: s.RunID, ReplicationID: s.ReplicationID}, err
}

// partitions lists those of a topic.
func (c *cluster) partitions(name string) []topic.Partition {
	c.Helper()
	topics, err := c.admin.ListTopicsWithInternal(c.Context(), name)
	if err != nil || topics[name].Err != nil {
		c.Fatalf("topic %s: %v %v", name, err, topics[name].Err)
	}
	var all []topic.Partition
	for i := range int32(len(topics[name].Partitions)) {
		all = append(all, topic.Partition{Topic: topic.ID(topics[name].ID), Index: i})
	}
	return all
}

// said is what groups and offsets are, in words: by what they are about.
type said map[string]string

func (s said) take(key, value []byte) error {
	r, err := offsetsrecord.Decode(key, value)
	switch {
	case err != nil:
		return err
	case r.Group != nil && r.Group.Value != nil:
		s["group "+r.Group.Group] = fmt.Sprintf("%+v", *r.Group.Value)
	case r.Group != nil:
		delete(s, "group "+r.Group.Group)
	case r.Commit.Value != nil:
		s[fmt.Sprintf("offset %s %s/%d", r.Commit.Group, r.Commit.Topic, r.Commit.Partition)] = fmt.Sprintf("%+v", *r.Commit.Value)
	default:
		delete(s, fmt.Sprintf("offset %s %s/%d", r.Commit.Group, r.Commit.Topic, r.Commit.Partition))
	}
	return nil
}

// inLog is what the offsets topic says, read as a client does.
func (c *cluster) inLog() said {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	ends, err := c.admin.ListEndOffsets(ctx, topic.ConsumerOffsets)
	if err != nil {
		c.Fatal(err)
	}
	want := int64(0)
	ends.Each(func(o kadm.ListedOffset) { want += o.Offset })
	reader := c.client(kgo.ConsumeTopics(topic.ConsumerOffsets), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer reader.Close()
	all := said{}
	for want > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			c.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			want--
			if err := all.take(r.Key, r.Value); err != nil {
				c.Fatal(err)
			}
		})
	}
	return all
}

// inRedis is what the copies say.
func (c *cluster) inRedis() (said, error) {
	pin, err := c.pin()
	if err != nil {
		return nil, err
	}
	all := said{}
	for _, p := range c.partitions(topic.ConsumerOffsets) {
		groups, err := c.store.All(c.Context(), pin, metadata.CopyGroup, p)
		if err != nil {
			return nil, err
		}
		offsets, err := c.store.All(c.Context(), pin, metadata.CopyOffset, p)
		if err != nil {
			return nil, err
		}
		for _, x := range slices.Concat(groups, offsets) {
			key := []byte(x.Key)
			if x.Kind == metadata.CopyGroup {
				key, _ = offsetsrecord.Encode(offsetsrecord.Record{Group: &offsetsrecord.GroupMetadata{Group: x.Key}})
			}
			if err := all.take(key, x.Value); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// wantCopies waits until the copies say what the log says, and gives it.
func (c *cluster) wantCopies(of ...string) said {
	c.Helper()
	want := c.inLog()
	for _, about := range of {
		if want[about] == "" {
			c.Fatalf("the log says nothing of %s: %v", about, slices.Sorted(maps.Keys(want)))
		}
	}
	var got said
	var err error
	for deadline := time.Now().Add(soon); ; time.Sleep(20 * time.Millisecond) {
		if got, err = c.inRedis(); err == nil && cmp.Equal(want, got) {
			return got
		}
		if time.Now().After(deadline) {
			c.Fatalf("copies after %v: error %v (-log +copies):\n%s", soon, err, cmp.Diff(want, got))
		}
	}
}

// wantProducer waits until the copy of the producer state of partition 0 stands at its end.
func (c *cluster) wantProducer(end int) {
	c.Helper()
	p := c.partitions(orders)[0]
	for deadline := time.Now().Add(soon); ; time.Sleep(20 * time.Millisecond) {
		copies, err := c.producerCopy(p)
		if err == nil && len(copies) == 1 && copies[0].Position == topic.Offset(end) {
			state, err := sequence.Restore(copies[0].Value)
			if err != nil || state.Len() != 1 {
				c.Fatalf("state of %d producers, error %v; want one", state.Len(), err)
			}
			return
		}
		if time.Now().After(deadline) {
			c.Fatalf("copies of producer state after %v: %v, error %v; want one at %d", soon, copies, err, end)
		}
	}
}

func (c *cluster) producerCopy(p topic.Partition) ([]metadata.Copy, error) {
	pin, err := c.pin()
	if err != nil {
		return nil, err
	}
	return c.store.Get(c.Context(), pin, metadata.CopyProducer, p, []string{""})
}

// redisSays sends Redis a command.
func (c *cluster) redisSays(command, want string) {
	c.Helper()
	conn, err := net.Dial("tcp", c.redis.Addr)
	if err != nil {
		c.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
		c.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
		c.Fatalf("%s: %q %v", command, line, err)
	}
}

// join makes a member of a group that has consumed something.
func (c *cluster) join(group string) *kgo.Client {
	c.Helper()
	member := c.client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(orders), kgo.DisableAutoCommit())
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	defer cancel()
	if err := member.PollFetches(ctx).Err(); err != nil {
		c.Fatal(err)
	}
	if err := member.CommitUncommittedOffsets(ctx); err != nil {
		c.Fatal(err)
	}
	return member
}

func TestCopies_SayWhatTheLogSays(t *testing.T) {
	c := start(t)
	producer := c.client()
	c.produce(producer, 20)
	member := c.join("readers")
	c.commit("jobs", 7)
	c.commit("gone", 3)
	said := c.wantCopies("group readers", "offset readers orders/0", "offset jobs orders/0", "offset gone orders/0")
	if !strings.Contains(said["group readers"], "Generation:1") || strings.Count(said["group readers"], "InstanceID:") != 1 {
		t.Errorf("copy of the group is %s, want one member at generation 1", said["group readers"])
	}
	c.wantProducer(20)

	if _, err := c.admin.DeleteGroups(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	c.commit("jobs", 8)
	c.produce(producer, 1)
	said = c.wantCopies("group readers", "offset jobs orders/0")
	if _, there := said["offset gone orders/0"]; there {
		t.Error("an offset of a deleted group is still there")
	}
	c.wantProducer(21)

	c.redisSays("FLUSHALL", "+OK") // Redis forgets everything: a new era has it all again
	c.wantCopies("group readers", "offset jobs orders/0")
	c.wantProducer(21)
	member.Close() // leaves
	c.wantCopies("offset readers orders/0")
	if n := c.agent.Metric("odradek_copies_written_total"); n < 8 {
		t.Errorf("%v copies counted as written", n)
	}
}

func TestCopies_NobodyWaitsForThem(t *testing.T) {
	c := start(t)
	producer := c.client()
	c.produce(producer, 5)
	c.commit("jobs", 1)
	c.wantCopies("offset jobs orders/0")

	c.redisSays("CLIENT PAUSE 6000 ALL", "+OK") // it hangs
	began := time.Now()
	for i := range int64(10) {
		c.produce(producer, 1)
		c.commit("jobs", 10+i)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ten records and ten commits took %v while Redis hung", took)
	}
	c.wantProducer(15)
	c.wantCopies("offset jobs orders/0")

	c.redis.Kill()
	for i := range int64(10) {
		c.produce(producer, 1)
		c.commit("jobs", 20+i)
	}
	if at := c.committed("jobs"); at != 29 {
		t.Errorf("committed is %d without Redis, want 29", at)
	}
	c.redis.Restart()
	c.wantCopies("offset jobs orders/0")
	c.wantProducer(25)
}

func TestCopies_AreReadAtTheStart(t *testing.T) {
	c := start(t)
	for i := range int64(30) {
		c.commit("jobs", i)
	}
	c.wantCopies("offset jobs orders/0")
	c.agent.Restart()
	if at := c.committed("jobs"); at != 29 {
		t.Errorf("committed is %d after a restart, want 29", at)
	}
	if lines := c.agent.LogLines("from=30 records=0"); len(lines) != 1 {
		t.Errorf("the copies were not read at the start:\n%s", strings.Join(c.agent.LogLines("groups loaded"), "\n"))
	}
	c.commit("jobs", 30)
	c.wantCopies("offset jobs orders/0")

	c.agent.Kill()
	c.redisSays("FLUSHALL", "+OK")
	c.agent.Restart()
	if at := c.committed("jobs"); at != 30 {
		t.Errorf("committed is %d after a restart without copies, want 30", at)
	}
	c.wantCopies("offset jobs orders/0")
}
