package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/chaos/link"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

const (
	balanceTime = 90 * time.Second       // until partitions are spread evenly; the machine may be busy
	balancePoll = 200 * time.Millisecond // between two looks at who owns what
	askTime     = 10 * time.Second       // of one question to an agent
	benchTopic  = "bench"
)

// fleetFlags are those of every figure that needs a pool.
type fleetFlags struct {
	set        *flag.FlagSet
	store      string
	lease      time.Duration
	partitions int
	every      time.Duration
	minAge     time.Duration
	keep       string
	more       string
}

func newFleetFlags(name string, partitions int, every time.Duration) *fleetFlags {
	f := &fleetFlags{set: flag.NewFlagSet(name, flag.ExitOnError)}
	f.set.StringVar(&f.store, "store", "file", "file: a directory as bucket; minio: a MinIO")
	f.set.DurationVar(&f.lease, "lease", 5*time.Second, "of the agents")
	f.set.IntVar(&f.partitions, "partitions", partitions, "of the topic that is written to")
	f.set.DurationVar(&f.every, "every", every, "a record goes to each partition this often")
	f.set.DurationVar(&f.minAge, "min-age", 100*time.Millisecond,
		"the clients ask for metadata this often at most: 100ms is what Java and librdkafka do, 5s what franz-go does unless told")
	f.set.StringVar(&f.keep, "keep", "", "`DIRECTORY` that takes the agents' logs")
	f.set.StringVar(&f.more, "agent", "", "more flags of the agents, with blanks in between")
	return f
}

// fleet is a pool of agents as processes on one bucket and one Redis. It belongs to the goroutine of its figure.
type fleet struct {
	flags   *fleetFlags
	ctx     context.Context
	t       *harness.Program
	options harness.Options
	redis   *servers.RedisServer
	bucket  *link.HTTP // before MinIO; nil with a directory
	agents  []*harness.Agent
	codes   *codes
}

// startFleet starts servers and n agents, and a topic whose partitions are spread over all of them. The caller closes it.
func startFleet(f *fleetFlags, n int, agentFlags ...string) (*fleet, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	t := harness.NewProgram(ctx, "bench")
	t.Cleanup(stop)
	fl := &fleet{flags: f, ctx: ctx, t: t, codes: newCodes()}
	fl.redis = servers.OwnRedis(t)
	fl.options = harness.Options{
		Redis: fl.redis.URL(),
		Flags: append([]string{"--lease", f.lease.String(), "--wal-size", "64MiB", "--memory", "512MiB", "--set", "group.initial.rebalance.delay.ms=0"}, agentFlags...),
	}
	fl.options.Flags = append(fl.options.Flags, strings.Fields(f.more)...)
	if err := fl.openBucket(); err != nil {
		return fl, err
	}
	for range n {
		fl.add()
	}
	if err := createTopic(fl.agents[0].Addr, benchTopic, int32(f.partitions)); err != nil {
		return fl, err
	}
	_, err := fl.balanced()
	return fl, err
}

func (fl *fleet) openBucket() error {
	switch fl.flags.store {
	case "file":
		fl.options.Bucket = "file://" + harness.TempDir(fl.t)
	case "minio":
		s := servers.OwnMinIO(fl.t)
		var err error
		if fl.bucket, err = link.ListenHTTP(strings.TrimPrefix(s.Endpoint, "http://")); err != nil {
			return err
		}
		fl.t.Cleanup(fl.bucket.Close)
		s.Endpoint = "http://" + fl.bucket.Addr
		fl.options.Bucket = s.URL("bench")
		fl.options.Env = s.Env()
	default:
		if !strings.HasPrefix(fl.flags.store, "s3://") {
			return fmt.Errorf("no store %q: file or minio", fl.flags.store)
		}
		fl.options.Bucket = fl.flags.store
		fl.options.Env = []string{"AWS_ACCESS_KEY_ID=k", "AWS_SECRET_ACCESS_KEY=secretsecret"}
	}
	return nil
}

// close ends everything that was started.
func (fl *fleet) close() { fl.t.Close() }

// add starts one more agent and waits until it is ready.
func (fl *fleet) add() *harness.Agent {
	o := fl.options
	if fl.flags.keep != "" {
		o.Log = filepath.Join(fl.flags.keep, fmt.Sprintf("a%d.log", len(fl.agents)+1))
	}
	a := harness.Start(fl.t, o)
	fl.agents = append(fl.agents, a)
	return a
}

// running lists the agents that have a process.
func (fl *fleet) running() []*harness.Agent {
	var out []*harness.Agent
	for _, a := range fl.agents {
		if a.Running() {
			out = append(out, a)
		}
	}
	return out
}

func (fl *fleet) seeds() []string {
	var out []string
	for _, a := range fl.agents {
		out = append(out, a.Addr)
	}
	return out
}

// client makes a client whose answers are counted by their codes.
func (fl *fleet) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(fl.seeds()...), kgo.Dialer(fl.codes.dial), kgo.MetadataMinAge(fl.flags.minAge),
		kgo.RetryTimeout(2 * time.Minute), kgo.RequestRetries(1000), kgo.UnknownTopicRetries(-1),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
	}, opts...)...)
}

// owners gives the address of each partition's owner, as one agent has it.
func (fl *fleet) owners(asked *harness.Agent) (map[int32]string, error) {
	ctx, cancel := context.WithTimeout(fl.ctx, askTime)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(asked.Addr))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	m, err := kadm.NewClient(c).Metadata(ctx, benchTopic)
	if err != nil {
		return nil, err
	}
	where := make(map[int32]string)
	for _, b := range m.Brokers {
		where[b.NodeID] = fmt.Sprintf("%s:%d", b.Host, b.Port)
	}
	out := make(map[int32]string)
	for _, d := range m.Topics[benchTopic].Partitions {
		out[d.Partition] = where[d.Leader]
	}
	return out, nil
}

// spread gives how many partitions the running agent with the fewest and the one with the most have, and how many are
// owned by none that runs.
func (fl *fleet) spread(owners map[int32]string) (least, most, strays int) {
	n := make(map[string]int)
	for _, addr := range owners {
		n[addr]++
	}
	least, strays = len(owners), len(owners)
	for _, a := range fl.running() {
		least, most = min(least, n[a.Addr]), max(most, n[a.Addr])
		strays -= n[a.Addr]
	}
	return least, most, strays
}

// balanced waits until the running agents own the same number of partitions, one more or less, and gives who owns them.
func (fl *fleet) balanced() (map[int32]string, error) {
	var last error
	for began := time.Now(); time.Since(began) < balanceTime && fl.ctx.Err() == nil; time.Sleep(balancePoll) {
		owners, err := fl.owners(fl.running()[0])
		if err != nil {
			last = err
			continue
		}
		least, most, strays := fl.spread(owners)
		if len(owners) == fl.flags.partitions && strays == 0 && most-least <= 1 {
			return owners, nil
		}
		last = fmt.Errorf("of %d partitions agents own %d to %d, %d are nobody's", len(owners), least, most, strays)
	}
	return nil, errors.Join(fl.ctx.Err(), fmt.Errorf("not balanced after %v: %w", balanceTime, last))
}

// ownedBy lists the partitions of an agent.
func ownedBy(owners map[int32]string, addr string) []int32 {
	var out []int32
	for p, a := range owners {
		if a == addr {
			out = append(out, p)
		}
	}
	return out
}

// changed lists the partitions that have another owner.
func changed(before, after map[int32]string) []int32 {
	var out []int32
	for p, a := range after {
		if before[p] != a {
			out = append(out, p)
		}
	}
	return out
}

// flushRedis is FLUSHALL.
func (fl *fleet) flushRedis() error {
	c := redis.NewClient(&redis.Options{Addr: fl.redis.Addr})
	defer c.Close()
	return c.FlushAll(fl.ctx).Err()
}

// sleep waits, less if the program is told to stop.
func (fl *fleet) sleep(d time.Duration) {
	select {
	case <-fl.ctx.Done():
	case <-time.After(d):
	}
}

// nodeID asks an agent who it is.
func (fl *fleet) nodeID(a *harness.Agent) (int32, error) {
	ctx, cancel := context.WithTimeout(fl.ctx, askTime)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(a.Addr))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	brokers, err := kadm.NewClient(c).ListBrokers(ctx)
	for _, b := range brokers {
		if fmt.Sprintf("%s:%d", b.Host, b.Port) == a.Addr {
			return b.NodeID, nil
		}
	}
	return 0, errors.Join(err, fmt.Errorf("%s is no agent of the cluster", a.Addr))
}

// errUnclean says that records are lost, doubled or out of order.
var errUnclean = errors.New("not clean")

// errOr is the first error that is one.
func errOr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
