//go:build linux

package crash

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// poolPartitions is how many partitions the topic has that a pool's balance is seen by.
const poolPartitions = 24

// pool is several agents on one bucket and one Redis, with producers and a group at work.
type pool struct {
	t       *testing.T
	options harness.Options
	redis   *servers.RedisServer
	agents  []*harness.Agent
	work    *load
	along   *watcher
}

// startPool starts n agents on a directory bucket.
func startPool(t *testing.T, n int, flags ...string) *pool {
	t.Helper()
	r := servers.OwnRedis(t)
	p := &pool{t: t, redis: r, options: harness.Options{
		Bucket: "file://" + harness.TempDir(t), Redis: r.URL(),
		Flags: append([]string{"--set", "group.initial.rebalance.delay.ms=0"}, flags...),
	}}
	for range n {
		p.start()
	}
	createTopic(t, p.agents[0].Addr, loadTopic, partitions)
	createTopic(t, p.agents[0].Addr, "wide", poolPartitions)
	p.balanced(60 * time.Second)
	p.work = startLoad(t, newLedger(), loadConfig{addr: p.addr(), producers: 4, opts: []kgo.Opt{kgo.SeedBrokers(p.addrs()...)}})
	p.along = startWatcher(t, p.addr(), "along")
	p.along.client.UpdateSeedBrokers(p.addrs()...)
	p.work.progress(200, 30*time.Second)
	p.along.progress(2, 30*time.Second)
	return p
}

// start starts one more agent.
func (p *pool) start() *harness.Agent {
	p.t.Helper()
	a := harness.Start(p.t, p.options)
	p.agents = append(p.agents, a)
	return a
}

// running lists the agents that have a process.
func (p *pool) running() []*harness.Agent {
	var out []*harness.Agent
	for _, a := range p.agents {
		if a.Running() {
			out = append(out, a)
		}
	}
	return out
}

func (p *pool) addr() string { return p.running()[0].Addr }

func (p *pool) addrs() []string {
	var out []string
	for _, a := range p.running() {
		out = append(out, a.Addr)
	}
	return out
}

// owners says who leads how many partitions of the wide topic, by address, as one agent has it.
func (p *pool) owners(addr string) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Second)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	m, err := kadm.NewClient(c).Metadata(ctx, "wide")
	if err != nil {
		return nil, err
	}
	where := make(map[int32]string)
	for _, b := range m.Brokers {
		where[b.NodeID] = fmt.Sprintf("%s:%d", b.Host, b.Port)
	}
	out := make(map[string]int)
	for _, d := range m.Topics["wide"].Partitions {
		out[where[d.Leader]]++
	}
	return out, nil
}

// balanced waits until every running agent says that each of them owns its share, within a fifth, and nobody else any.
func (p *pool) balanced(limit time.Duration) {
	p.t.Helper()
	running := p.running()
	share := float64(poolPartitions) / float64(len(running))
	eventually(p.t, limit, func() error {
		for _, asked := range running {
			owners, err := p.owners(asked.Addr)
			if err != nil {
				return err
			}
			for _, a := range running {
				if n := float64(owners[a.Addr]); n < share*0.8-1 || n > share*1.2+1 {
					return fmt.Errorf("%s says that %v own the partitions, want %.1f each", asked.Addr, owners, share)
				}
			}
			if len(owners) != len(running) {
				return fmt.Errorf("%s says that %v own the partitions, of %d agents", asked.Addr, owners, len(running))
			}
		}
		return nil
	})
}

// goesOn wants that producers and the group make progress.
func (p *pool) goesOn(limit time.Duration) {
	p.t.Helper()
	p.work.progress(300, limit)
	p.along.progress(2, limit)
}

// finish ends the load and wants every acked record once, in order, from every agent that runs, and a clean log.
func (p *pool) finish() {
	p.t.Helper()
	p.work.finish(60 * time.Second)
	var log map[place]*kgo.Record
	for _, a := range p.running() {
		log = p.work.check(p.t, a.Addr)
	}
	eventually(p.t, 60*time.Second, func() error {
		if have := p.along.count(); have < len(log) {
			return fmt.Errorf("the group read %d records, want %d", have, len(log))
		}
		return nil
	})
	p.along.finish()
	p.along.checkSeen(log)
	p.along.checkCommitted(p.addr())
	for _, a := range p.running() {
		a.Kill()
	}
	verify(p.t, p.options.Bucket, nil)
}

// logged counts lines in the logs of all agents.
func (p *pool) logged(text string) int {
	n := 0
	for _, a := range p.agents {
		n += strings.Count(a.Log(), text)
	}
	return n
}

// Partitions go by the weights of the agents, and one that weighs nothing has none until it is the last.
func TestPool_SharesGoByWeight(t *testing.T) {
	t.Parallel()
	r := servers.OwnRedis(t)
	p := &pool{t: t, redis: r, options: harness.Options{Bucket: "file://" + harness.TempDir(t), Redis: r.URL()}}
	for i, weight := range []string{"100", "50", "0"} {
		p.options.Flags = []string{"--weight", weight, "--zone", fmt.Sprintf("z%d", i)}
		p.start()
		if i == 0 {
			createTopic(t, p.addr(), "wide", poolPartitions)
		}
	}
	owned := func(limit time.Duration, want ...int) {
		t.Helper()
		eventually(t, limit, func() error {
			for _, asked := range p.running() {
				owners, err := p.owners(asked.Addr)
				if err != nil {
					return err
				}
				for i, n := range want {
					if owners[p.agents[i].Addr] != n {
						return fmt.Errorf("%s says that %v own the partitions, want %v of %v", asked.Addr, owners, want, p.agents)
					}
				}
			}
			return nil
		})
	}
	owned(30*time.Second, 16, 8, 0)
	p.agents[1].Stop()
	owned(10*time.Second, 24, 0, 0)
	p.agents[0].Stop()
	owned(10*time.Second, 0, 0, 24)
}

// An agent that is killed is missed for a lease and a little; what it owned goes on at the others.
func TestPool_KilledAgentIsTakenOver(t *testing.T) {
	t.Parallel()
	p := startPool(t, 3, "--lease", "1500ms")
	p.agents[1].Kill()
	p.balanced(30 * time.Second)
	p.goesOn(30 * time.Second)
	p.agents[1].Restart()
	p.balanced(60 * time.Second)
	p.goesOn(30 * time.Second)
	p.finish()
}

// An agent that is stopped hands over before it ends, and one that comes takes its share.
func TestPool_StoppedAgentHandsOver(t *testing.T) {
	t.Parallel()
	p := startPool(t, 3)
	for i := range p.agents {
		took := p.agents[i].Stop()
		t.Logf("agent %d stopped in %v", i, took)
		p.balanced(10 * time.Second) // no lease to wait for
		p.goesOn(30 * time.Second)
		p.agents[i].Restart()
		p.balanced(30 * time.Second)
	}
	p.goesOn(30 * time.Second)
	p.finish()
}

// An owner that is paused for longer than a lease meets the seal: nothing that it acked is lost, nothing comes twice.
func TestPool_PausedOwnerIsFenced(t *testing.T) {
	t.Parallel()
	p := startPool(t, 3, "--lease", "1500ms")
	for i := range p.agents {
		p.agents[i].Signal(syscall.SIGSTOP)
		time.Sleep(4 * time.Second)
		p.agents[i].Signal(syscall.SIGCONT)
		p.goesOn(60 * time.Second)
		p.balanced(60 * time.Second)
	}
	p.finish()
	if n := p.logged("journal is over"); n < 2 {
		t.Errorf("%d journals were fenced, want most of 3", n)
	}
}

// A Redis that forgets everything gets a new era, and nobody notices.
func TestPool_RedisForgets(t *testing.T) {
	t.Parallel()
	p := startPool(t, 3)
	for range 2 {
		before := p.logged("era open")
		flush(t, p.redis)
		p.goesOn(30 * time.Second)
		eventually(t, 60*time.Second, func() error {
			if p.logged("era open") == before {
				return fmt.Errorf("no era was opened")
			}
			return nil
		})
	}
	p.balanced(30 * time.Second)
	p.goesOn(30 * time.Second)
	if n := p.logged("journal is over"); n > 0 {
		t.Errorf("%d journals were sealed although every agent lived", n)
	}
	p.finish()
}

// Without Redis the living owners go on, groups and offsets too, and nobody is taken for dead; afterwards a killed agent
// is.
func TestPool_RedisAway(t *testing.T) {
	t.Parallel()
	p := startPool(t, 3, "--lease", "1500ms")
	before, err := p.owners(p.addr())
	if err != nil {
		t.Fatal(err)
	}
	p.redis.Kill()
	time.Sleep(6 * time.Second) // four leases
	p.goesOn(30 * time.Second)
	if now, err := p.owners(p.addr()); err != nil || !maps.Equal(now, before) {
		t.Errorf("partitions moved without Redis: %v, before %v, %v", now, before, err)
	}
	p.redis.Restart()
	p.goesOn(30 * time.Second)
	p.agents[2].Kill()
	p.balanced(60 * time.Second)
	p.goesOn(30 * time.Second)
	p.finish()
}
