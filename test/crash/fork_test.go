//go:build linux

package crash

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// sweeping makes checkpoints, compacts, trims and deletes as often as may be.
var sweeping = append([]string{
	"--set", "group.initial.rebalance.delay.ms=0", "--lease", "1500ms", "--compaction-slots", "64", "--gc-grace", "1s",
}, cleaningOften...)

// have gives what was acked up to now, and what was sent.
func (l *ledger) have() (acked map[place]*kgo.Record, sent map[string]*kgo.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.acked), maps.Clone(l.sent)
}

// broken runs a command and kills it at any moment of its work.
func (p *pool) broken(args ...string) {
	p.t.Helper()
	c := harness.Command(p.t, p.options.Env, p.on(args)...)
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	time.Sleep(between(10*time.Millisecond, 400*time.Millisecond))
	_ = c.Process.Kill()
	_ = c.Wait()
}

// on adds where the pool lives to a command's arguments.
func (p *pool) on(args []string) []string {
	return append(args, "--bucket", p.options.Bucket, "--redis", p.options.Redis)
}

// command runs a command until it succeeds, or says that what it is to do is done.
func (p *pool) command(done string, args ...string) {
	p.t.Helper()
	eventually(p.t, 30*time.Second, func() error {
		out, status := harness.Run(p.t, p.options.Env, p.on(args)...)
		if status == 0 || done != "" && strings.Contains(out, done) {
			return nil
		}
		return fmt.Errorf("odradek %s: status %d: %s", strings.Join(args, " "), status, out)
	})
}

// serves waits until all partitions of the load topic have an owner.
func (p *pool) serves(limit time.Duration) {
	p.t.Helper()
	eventually(p.t, limit, func() error {
		listed, err := adminOf(p.t, p.addr()).ListEndOffsets(p.t.Context(), loadTopic)
		return errors.Join(err, listed.Error())
	})
}

// commit commits an offset of every partition of the load topic for a group.
func (p *pool) commit(group string, at int64) {
	p.t.Helper()
	offsets := make(kadm.Offsets)
	for i := range int32(partitions) {
		offsets.AddOffset(loadTopic, i, at+int64(i), -1)
	}
	eventually(p.t, 30*time.Second, func() error { return adminOf(p.t, p.addr()).CommitAllOffsets(p.t.Context(), group, offsets) })
}

// committed wants what commit committed.
func (p *pool) committed(group string, at int64) {
	p.t.Helper()
	eventually(p.t, 30*time.Second, func() error {
		got, err := adminOf(p.t, p.addr()).FetchOffsets(p.t.Context(), group)
		if err != nil {
			return err
		}
		for i := range int32(partitions) {
			if o, ok := got.Lookup(loadTopic, i); !ok || o.At != at+int64(i) {
				return fmt.Errorf("%s committed %+v of partition %d, want %d", group, o, i, at+int64(i))
			}
		}
		return nil
	})
}

// swept waits until agents deleted some objects that nothing needs any more.
func (p *pool) swept(n float64, limit time.Duration) {
	p.t.Helper()
	eventually(p.t, limit, func() error {
		sum := 0.0
		for _, a := range p.running() {
			sum += a.Metric("odradek_garbage_objects_total")
		}
		if sum < n {
			return fmt.Errorf("%v objects were deleted, want %v", sum, n)
		}
		return nil
	})
}

// A snapshot and a fork are made while producers write, agents die and the commands themselves are killed; the snapshot is deleted
// while the fork starts. Both clusters go on, compact and delete: each has what was acked before, and nothing of the
// other's; the fork comes back with an empty Redis and empty disks.
func TestFork_BothClustersGoOnWhileAgentsDie(t *testing.T) {
	t.Parallel()
	s, r := servers.SharedMinIO(t), servers.OwnRedis(t)
	p := &pool{t: t, options: harness.Options{Bucket: s.URL("records"), Redis: r.URL(), Env: s.Env(), Flags: append([]string{"--gc-age", "1m"}, sweeping...)}}
	p.start()
	p.start()
	createTopic(t, p.addr(), loadTopic, partitions)
	p.work = startLoad(t, newLedger(), loadConfig{addr: p.addr(), producers: 4, opts: []kgo.Opt{kgo.SeedBrokers(p.addrs()...)}})
	p.work.progress(1500, 60*time.Second)
	p.commit("readers", 10)
	eventually(t, 90*time.Second, func() error { // a fork keeps the control log from its checkpoints on
		if at := p.agents[0].Metric("odradek_checkpoint_control"); at < 40 {
			return fmt.Errorf("the newest checkpoint stands at %v", at)
		}
		return nil
	})

	acked, _ := p.work.have()
	dying := p.agents[1]
	var killing sync.WaitGroup
	killing.Go(func() {
		time.Sleep(between(0, 500*time.Millisecond))
		dying.Kill()
	})
	p.broken("snapshot", "create", "before")
	killing.Wait()
	p.command("snapshot exists", "snapshot", "create", "before")
	_, sent := p.work.have()
	dying.Restart()
	p.work.progress(300, 60*time.Second)

	p.broken("fork", "create", s.URL("fork"), "--snapshot", "before")
	p.command("", "fork", "create", s.URL("fork"), "--snapshot", "before")
	fork := &pool{t: t, options: p.options}
	fork.options.Bucket = s.URL("fork")
	var deleting sync.WaitGroup
	deleting.Go(func() {
		time.Sleep(between(0, 2*time.Second))
		harness.Run(t, p.options.Env, p.on([]string{"snapshot", "delete", "before"})...)
	})
	fork.start()
	fork.start()
	deleting.Wait()
	p.command("no such snapshot", "snapshot", "delete", "before")
	fork.serves(60 * time.Second)
	fork.committed("readers", 10)

	book := newLedger()
	book.acked, book.sent = acked, sent
	fork.work = startLoad(t, book, loadConfig{addr: fork.addr(), producers: 3, first: 100, opts: []kgo.Opt{kgo.SeedBrokers(fork.addrs()...)}})
	fork.work.progress(500, 60*time.Second)
	fork.commit("readers", 20)
	fork.agents[0].Kill()
	p.agents[0].Kill()
	fork.work.progress(500, 60*time.Second)
	p.work.progress(500, 60*time.Second)
	fork.agents[0].Restart()
	p.agents[0].Restart()
	p.swept(50, 2*time.Minute) // of what the fork does not need any more, or never did
	fork.swept(50, 2*time.Minute)
	forgets(t, s, "records") // what the fork begins with stays

	for _, cluster := range []*pool{p, fork} {
		cluster.work.finish(60 * time.Second)
		for _, a := range cluster.running() {
			cluster.work.check(t, a.Addr) // what was never sent to this cluster is none of its records
		}
	}
	p.committed("readers", 10)
	fork.committed("readers", 20)
	for _, a := range append(p.running(), fork.running()...) {
		a.Stop()
	}
	verify(t, p.options.Bucket, p.options.Env)
	verify(t, fork.options.Bucket, fork.options.Env)

	again := &pool{t: t, options: fork.options}
	again.options.Redis = servers.OwnRedis(t).URL()
	again.start()
	again.serves(60 * time.Second)
	fork.work.check(t, again.addr())
	again.committed("readers", 20)
	again.agents[0].Stop()
	verify(t, fork.options.Bucket, fork.options.Env)
}
