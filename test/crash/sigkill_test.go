//go:build linux

package crash

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

const kills = 5

func TestSigkill_DirectoryBucketLosesNothing(t *testing.T) {
	t.Parallel()
	killUnderLoad(t, harness.Options{})
}

func TestSigkill_MinIOAndRedisLoseNothing(t *testing.T) {
	t.Parallel()
	m, r := servers.SharedMinIO(t), servers.OwnRedis(t)
	killUnderLoad(t, harness.Options{Bucket: m.URL("kill"), Redis: r.URL(), Env: m.Env()})
}

// killUnderLoad has eight producers and a consumer at work while the agent is killed at random moments, some of which
// come before it serves again.
func killUnderLoad(t *testing.T, o harness.Options) {
	o.Flags = append(o.Flags, "--set", "group.initial.rebalance.delay.ms=0")
	a := harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, partitions)
	l := newLedger()
	work := startLoad(t, l, loadConfig{addr: a.Addr})
	along := startWatcher(t, a.Addr, "along")
	work.progress(100, 30*time.Second)
	along.progress(1, 30*time.Second)
	life := either(15*time.Second, time.Minute) / (kills + 1)
	for i := range kills {
		time.Sleep(between(life/4, life))
		a.Kill()
		verify(t, a.Bucket, o.Env)
		a.Launch()
		if i%2 == 1 { // once more, in the middle of its start
			time.Sleep(between(0, 300*time.Millisecond))
			a.Restart()
		}
		a.WaitReady()
		along.checkCommitted(a.Addr)
		work.progress(20, 30*time.Second)
		along.progress(1, 30*time.Second)
	}
	time.Sleep(life / 2)
	work.finish(30 * time.Second)
	log := l.check(t, a.Addr)
	eventually(t, 30*time.Second, func() error {
		if have := along.count(); have < len(log) {
			return fmt.Errorf("the group read %d records, want %d", have, len(log))
		}
		return nil
	})
	along.finish()
	along.checkSeen(log)
	along.checkCommitted(a.Addr)
	a.Stop()
	verify(t, a.Bucket, o.Env)
	a.Restart()
	l.check(t, a.Addr)
}

// An agent that dies while it makes its cluster, or at any later moment of its first start, starts well the next time.
func TestSigkill_InTheFirstMoments(t *testing.T) {
	t.Parallel()
	m := servers.SharedMinIO(t)
	for i := range 12 {
		o := harness.Options{NoWait: true}
		if i%3 == 2 {
			o.Bucket, o.Env = m.URL(fmt.Sprintf("first%d", i)), m.Env()
		}
		a := harness.Start(t, o)
		time.Sleep(between(0, 250*time.Millisecond))
		a.Kill()
		a.Launch()
		time.Sleep(between(0, 250*time.Millisecond))
		a.Restart()
		createTopic(t, a.Addr, loadTopic, partitions)
		work := startLoad(t, newLedger(), loadConfig{addr: a.Addr, producers: 1})
		work.progress(20, 20*time.Second)
		work.finish(20 * time.Second)
		work.check(t, a.Addr)
		a.Kill()
		verify(t, a.Bucket, o.Env)
	}
}

// Times of the broker's clock are those that were acked, also after a replay.
func TestSigkill_LogAppendTimeStays(t *testing.T) {
	t.Parallel()
	p, o := cuttable(t)
	a := harness.Start(t, o)
	kind := "LogAppendTime"
	if _, err := adminOf(t, a.Addr).CreateTopic(t.Context(), 1, 1, map[string]*string{"message.timestamp.type": &kind}, "stamped"); err != nil {
		t.Fatal(err)
	}
	// franz-go hides the time that a producer is told, so the requests are made by hand.
	c := clientOf(t, a.Addr, kgo.MaxVersions(kversion.V3_0_0()), kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	stamps := make(map[int64]int64) // by offset
	produce := func(n int) {
		for range n {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Records = recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{{Timestamp: 1000, Value: []byte("x")}}})
			topic := kmsg.NewProduceRequestTopic()
			topic.Topic, topic.Partitions = "stamped", []kmsg.ProduceRequestTopicPartition{p}
			req := kmsg.NewPtrProduceRequest()
			req.TimeoutMillis, req.Topics = 5000, []kmsg.ProduceRequestTopic{topic}
			resp, err := req.RequestWith(t.Context(), c.SeedBrokers()[0])
			if err != nil || resp.Topics[0].Partitions[0].ErrorCode != 0 {
				t.Fatalf("produce: %v %+v", err, resp)
			}
			told := resp.Topics[0].Partitions[0]
			stamps[told.BaseOffset] = told.LogAppendTime
		}
	}
	produce(3)
	p.cutOff()
	produce(5)
	a.Kill()
	p.mend()
	a.Restart()
	log := readAll(t, a.Addr, "stamped")
	if len(log) != len(stamps) {
		t.Fatalf("%d records, %d acked", len(log), len(stamps))
	}
	for at, r := range log {
		if got := r.Timestamp.UnixMilli(); got != stamps[at.offset] || got < 1e12 {
			t.Errorf("offset %d has time %d, acked %d", at.offset, got, stamps[at.offset])
		}
	}
}
