package clients

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
)

// groupLibrary starts a member of a group.
type groupLibrary struct {
	library
	config map[string]any
}

var (
	javaMember = groupLibrary{java, settings("partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
		"session.timeout.ms", "6000", "heartbeat.interval.ms", "500")}
	javaRangeMember = groupLibrary{java, settings("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor",
		"session.timeout.ms", "6000", "heartbeat.interval.ms", "500")}
	kafkaPythonMember = groupLibrary{kafkaPython, settings("auto_offset_reset", "earliest", "session_timeout_ms", 6000, "heartbeat_interval_ms", 500)}
	confluentMember   = groupLibrary{confluent, settings("partition.assignment.strategy", "cooperative-sticky", "auto.offset.reset", "earliest",
		"session.timeout.ms", 6000, "heartbeat.interval.ms", 500)}
	confluentRangeMember = groupLibrary{confluent, settings("partition.assignment.strategy", "range", "auto.offset.reset", "earliest",
		"session.timeout.ms", 6000, "heartbeat.interval.ms", 500)}
	kafkaJSMember = groupLibrary{kafkaJS, settings("sessionTimeout", 6000, "rebalanceTimeout", 10000, "heartbeatInterval", 500)}
)

func (g groupLibrary) join(t *testing.T, addr string, b *book) consumer {
	t.Helper()
	probe := g.start(t)
	probe.Send(Job{Op: "group", Bootstrap: addr, Topic: b.topic, Group: b.group, Config: g.config})
	b.follow(probe)
	return probe
}

// sessionTimeout is the shortest that a broker allows by default.
const sessionTimeout = 6 * time.Second

// joiner starts a member of a book's group.
type joiner interface {
	join(t *testing.T, addr string, b *book) consumer
}

func TestGroup_JavaCooperativeSticky(t *testing.T) { comeAndGo(t, javaMember, javaMember, javaMember) }

func TestGroup_KafkaPython(t *testing.T) {
	comeAndGo(t, kafkaPythonMember, kafkaPythonMember, kafkaPythonMember)
}

func TestGroup_ConfluentCooperativeSticky(t *testing.T) {
	comeAndGo(t, confluentMember, confluentMember, confluentMember)
}

func TestGroup_KafkaJS(t *testing.T) { comeAndGo(t, kafkaJSMember, kafkaJSMember, kafkaJSMember) }

func TestGroup_FranzCooperativeSticky(t *testing.T) {
	member := franzMember{kgo.CooperativeStickyBalancer()}
	comeAndGo(t, member, member, member)
}

// Members of three libraries share one group: what one library's leader assigns, the others must read.
func TestGroup_LibrariesMixed(t *testing.T) {
	comeAndGo(t, javaRangeMember, confluentRangeMember, franzMember{kgo.RangeBalancer()})
}

// comeAndGo lets three members join one after the other while records come, the first leave in good order and the
// second die. Every record must be read by exactly one commit.
func comeAndGo(t *testing.T, first, second, third joiner) {
	t.Parallel()
	agent := startAgent(t)
	createTopic(t, agent.Addr, "work", 6, nil)
	b := newBook("work", "workers")
	load := startLoad(t, agent.Addr, b)

	a := first.join(t, agent.Addr, b)
	waitFor(t, agent, "the first member to commit", func() bool { return b.count(a) > 0 })
	two := second.join(t, agent.Addr, b)
	waitFor(t, agent, "the second member to commit", func() bool { return b.count(two) > 0 })
	three := third.join(t, agent.Addr, b)
	waitFor(t, agent, "the third member to commit", func() bool { return b.count(three) > 0 })

	left := b.total()
	a.Terminate()
	waitFor(t, agent, "the two that stay to go on", func() bool { return b.total() > left+200 })

	load.pause()
	waitFor(t, agent, "all records to be committed", b.complete)
	two.Kill() // nothing of it is under way now
	load.resume()
	killed := b.count(three)
	waitFor(t, agent, "the last member to go on", func() bool { return b.count(three) > killed })
	load.stop()
	waitFor(t, agent, "the last member to take all over", b.complete)
	if err := b.check(); err != nil {
		t.Fatal(err)
	}
	if got, want := committed(t, agent.Addr, b.group, b.topic), int64(b.total()); got != want {
		t.Fatalf("the group has committed up to %d in sum, read were %d", got, want)
	}
	if err := b.failure(); err != nil {
		t.Fatal(err)
	}
}

func waitFor(t *testing.T, agent *harness.Agent, what string, holds func() bool) {
	t.Helper()
	agent.Wait(patience, what, holds)
}

// load sends records to all partitions of a book's topic until it is stopped.
type load struct {
	cancel context.CancelFunc
	gate   chan bool // true: go on, false: pause; answered when it is so
	done   chan struct{}
}

func startLoad(t *testing.T, addr string, b *book) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	client := franz(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	l := &load{cancel: cancel, gate: make(chan bool), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		tick := time.NewTicker(40 * time.Millisecond)
		defer tick.Stop()
		running := true
		for {
			select {
			case running = <-l.gate:
			case <-ctx.Done():
				return
			case <-tick.C:
				if !running {
					continue
				}
				records := toFranz(b.topic, messages(12, 6))
				for _, r := range client.ProduceSync(context.Background(), records...) {
					b.acked(r.Record, r.Err)
				}
			}
		}
	}()
	t.Cleanup(l.stop)
	return l
}

// pause returns when everything sent is acked.
func (l *load) pause() { l.gate <- false }

func (l *load) resume() { l.gate <- true }

func (l *load) stop() {
	l.cancel()
	<-l.done
}
