package agent

import (
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/metadata/faulty"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "simulate this seed alone")
	simSeeds = flag.Uint64("sim.seeds", 6, "how many seeds, from sim.seed or 1 on")
	simTell  = flag.Bool("sim.tell", false, "tell what happens, with the agents' own log")
	simCalls = flag.Bool("sim.calls", false, "tell every call to the stores: where two runs of a seed part")
	simJSON  = flag.Bool("sim.json", false, "print a line of JSON for each seed, for test/sim")
	simDisks = flag.String("sim.disks", "", "directory for the agents' disks; a temporary one if empty")
)

// A pool of agents on one bucket and one metadata store, all of which fail as the seed says, while clients produce, read
// and commit. docs/simulation.md tells what is made to fail and what must hold.
func TestSim_AckedRecordsAreThereOnce(t *testing.T) {
	if *simTell {
		slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
		defer slog.SetDefault(slog.New(slog.DiscardHandler))
	}
	first, count := uint64(1), *simSeeds
	if *simSeed != 0 {
		first = *simSeed
		if !*simJSON {
			count = 1
		}
	}
	for seed := first; seed < first+count; seed++ {
		if *simJSON {
			runtime.GC()                 // during a seed there is none: what the one before left is room for this one
			time.Sleep(time.Millisecond) // finalizers run now: in between they would come before whoever is next
		}
		fine := t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed) })
		if !fine && !*simJSON {
			t.Fatalf("again: go test ./agent -run Sim -sim.seed=%d -sim.tell", seed)
		}
	}
}

// simulate runs one seed in a bubble of its own.
func simulate(t *testing.T, seed uint64) {
	defer drawFrom(seed)()
	disks := *simDisks
	if disks == "" {
		disks = t.TempDir()
	}
	dir, err := os.MkdirTemp(disks, "sim-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	var told simOutcome
	defer func() { // a seed that fails ends this test
		told.Seconds = time.Since(began).Seconds()
		line, err := json.Marshal(told)
		switch {
		case err != nil:
			t.Error(err)
		case *simJSON:
			fmt.Printf("SIM %s\n", line)
		default:
			t.Logf("seed %d: %s", seed, told)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, seed, dir)
		p.live()
		told = p.told()
	})
}

// drawFrom makes ids and nonces a function of the seed until it is undone.
func drawFrom(seed uint64) (undo func()) {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	before := cryptorand.Reader
	cryptorand.Reader = &simRandom{r: rand.NewChaCha8(key)}
	return func() { cryptorand.Reader = before }
}

type simRandom struct {
	mu sync.Mutex // guards r
	r  io.Reader
}

func (l *simRandom) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}

// What a pool is made of.
const (
	simTopic      = "t"
	simPartitions = 6
	simRecords    = 1000 // acked at least
	simFewest     = 3    // faults that happen at least,
	simMostDrawn  = 30   // and so many are drawn at most until as many have
	simSettle     = 3 * time.Minute
	simPace       = 1200 * time.Millisecond // at most between what a producer sends
	simHurry      = 60 * time.Millisecond   // the same, when all faults are over and records are missing
)

// pool is the world of one seed: what is shared, who lives, what the clients know.
type simPool struct {
	t      *testing.T
	seed   uint64
	rand   *rand.Rand // of the story's thread only
	dir    string
	began  time.Time
	bucket *simBucket
	world  *faulty.World
	lease  time.Duration
	rests  bool // checkpoints and compaction come seldom
	plan   []*simFault
	topic  topic.ID
	aging  topic.ID // whose records are dropped by age

	control *simControl
	footers *simFooters

	ctx     context.Context // of clients
	book    *simBook
	hurried atomic.Bool // producers hurry: nothing goes wrong any more
	near    atomic.Bool // calls take no time to speak of: clients are done, what is there is read

	mu        sync.Mutex    // guards all below
	log       []string      // what happened, in order
	processes []*simProcess // all that ever were
	disks     int
	kinds     map[string]int // faults by kind
	fenced    int
}

func newPool(t *testing.T, seed uint64, dir string) *simPool {
	p := &simPool{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 11)), dir: dir, began: time.Now(), bucket: newSimBucket(),
		world: faulty.NewWorld(), control: newSimControl(), footers: &simFooters{slots: make(map[topic.JournalID][]segment.SlotExtents)},
		kinds: make(map[string]int),
	}
	p.lease = []time.Duration{time.Second, time.Second, 2 * time.Second, 2 * time.Second, 5 * time.Second}[p.rand.IntN(5)]
	p.rests = p.rand.IntN(2) == 0
	p.book = newBook(p)
	return p
}

// draws gives a source of chance of its own to whoever runs beside others.
func (p *simPool) draws(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name)
	return rand.New(rand.NewPCG(p.seed, h.Sum64()))
}

// note adds a line to the log of the seed.
func (p *simPool) note(format string, args ...any) {
	line := fmt.Sprintf("%10.6f ", time.Since(p.began).Seconds()) + fmt.Sprintf(format, args...)
	p.mu.Lock()
	p.log = append(p.log, line)
	p.mu.Unlock()
	if *simTell {
		fmt.Fprintln(os.Stderr, "SIM", line)
	}
}

// say tells what is not in the log.
func (p *simPool) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "SIM %14.9f %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// wrong notes what must not be.
func (p *simPool) wrong(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	p.note("WRONG %s", line)
	p.t.Errorf("seed %d at %v: %s", p.seed, time.Since(p.began), line)
}

// live is the story: agents start, clients work, faults come and go, all is mended, everything is checked.
func (p *simPool) live() {
	p.note("seed %d, lease %v, compaction rests: %t", p.seed, p.lease, p.rests)
	agents := 3 + p.rand.IntN(5)/2
	for range agents {
		p.start(p.newDisk())
	}
	defer p.end()
	if !p.prepare() {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	p.ctx = ctx
	clients := p.clients()
	var wg, faults sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() { c.work(ctx) })
	}
	within := 3*time.Second + p.lease + time.Duration(p.rand.IntN(6))*time.Second
	p.draw(within)
	for _, f := range p.plan {
		faults.Go(func() { f.happen(p) })
	}
	faults.Wait()
	for p.begun() < simFewest && len(p.plan) < simMostDrawn { // some found nobody
		p.drawOne(time.Second).happen(p)
	}
	p.calm()
	defer p.tended()()
	p.hurried.Store(true)
	for deadline := time.Now().Add(simSettle); p.book.records() < simRecords && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	wg.Wait()
	if faults, records := p.begun(), p.book.records(); faults < simFewest || records < simRecords {
		p.wrong("the seed proves little: %d faults, %d records acked", faults, records)
	}
	p.settle(clients)
	p.near.Store(true)
	p.check()
}

// pace is how long a producer rests at most.
func (p *simPool) pace() time.Duration {
	if p.hurried.Load() {
		return simHurry
	}
	return simPace
}

// prepare waits for an agent that serves and makes the topics.
func (p *simPool) prepare() bool {
	for deadline := time.Now().Add(simSettle); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		s := p.processes[0].session()
		if s == nil || len(p.serving()) < len(p.processes) {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), simSettle)
		defer cancel()
		id, err := s.cluster.CreateTopic(ctx, cluster.NewTopic{Name: simTopic, Partitions: simPartitions})
		if err == nil {
			p.aging, err = s.cluster.CreateTopic(ctx, cluster.NewTopic{
				Name: simAging, Partitions: simAgingParts, Config: topic.Config{"retention.ms": fmt.Sprint(simAge.Milliseconds())},
			})
		}
		if err == nil {
			err = (&coordinators{s}).create(ctx)
		}
		if err != nil {
			p.wrong("topics not created: %v", err)
			return false
		}
		p.topic = id
		p.note("topics are there, %d agents", len(p.processes))
		return true
	}
	p.wrong("%d of %d agents serve", len(p.serving()), len(p.processes))
	return false
}

func (p *simPool) partition(i int32) topic.Partition {
	return topic.Partition{Topic: p.topic, Index: i}
}

// end kills all agents.
func (p *simPool) end() {
	for _, x := range p.all() {
		x.kill()
	}
	p.note("end")
}

// outcome is what a seed comes to.
type simOutcome struct {
	Seed    uint64         `json:"seed"`
	Log     string         `json:"log"` // digest of the log of events
	Bucket  string         `json:"bucket"`
	Faults  map[string]int `json:"faults"`
	Counts  map[string]int `json:"counts"`
	Wrong   []string       `json:"wrong,omitempty"`
	Seconds float64        `json:"seconds"`
	Fake    float64        `json:"fake_seconds"`
}

func (s simOutcome) String() string {
	return fmt.Sprintf("log %s bucket %s, faults %v, %v, %.1f s in %.2f s", s.Log, s.Bucket, s.Faults, s.Counts, s.Fake, s.Seconds)
}

func (p *simPool) told() simOutcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := simOutcome{
		Seed: p.seed, Log: digest(p.log), Bucket: p.bucketDigest(), Faults: p.kinds, Counts: p.counts(),
		Fake: time.Since(p.began).Seconds(),
	}
	s.Counts["fenced"], s.Counts["acked"], s.Counts["commits"] = p.fenced, p.book.n, p.book.commits
	s.Counts["reads"], s.Counts["reads elsewhere"], s.Counts["lost, acks=1"] = p.book.reads, p.book.others, p.book.lost
	for _, line := range p.log {
		if strings.Contains(line, "WRONG ") {
			s.Wrong = append(s.Wrong, line)
		}
	}
	return s
}

func digest(lines []string) string {
	h := fnv.New64a()
	for _, l := range lines {
		_, _ = io.WriteString(h, l+"\n")
	}
	return fmt.Sprintf("%016x", h.Sum64())
}
