package alerts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/test/chaos/link"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/topic"
)

func TestMain(m *testing.M) {
	harness.BuildToBreak() // clocks, disks and crashes at named points
	os.Exit(harness.Main(m))
}

// conditions says by which agent each alert fires, "" for one that is not of an instance, and what runs it into that.
var conditions = map[string]struct {
	instance string
	cause    func(*world)
}{
	"OdradekNotReady":           {"bucketless", nil}, // its bucket was never there
	"OdradekBucketErrors":       {"cutoff", (*world).cutBucket},
	"OdradekStuck":              {"cutoff", (*world).cutBucket},
	"OdradekWALFilling":         {"cutoff", (*world).cutBucket},
	"OdradekAckSlow":            {"slow", (*world).slowBucket},
	"OdradekRedisAway":          {"redisless", (*world).cutRedis},
	"OdradekIndexBehind":        {"redisless", (*world).cutRedis},
	"OdradekCostHigh":           {"", (*world).cutRedis}, // the same agent has prices of its own
	"OdradekWALClosed":          {"diskless", (*world).failDisk},
	"OdradekClocksDisagree":     {"early", (*world).shiftOneClock},
	"OdradekRetentionStopped":   {"ahead", (*world).shiftAllClocks},
	"OdradekConsumerLag":        {"", (*world).leaveGroupBehind},
	"OdradekCheckpointsBehind":  {"", (*world).appendControlRecords},
	"OdradekCompactionFailing":  {"damaged", (*world).damageSlots},
	"OdradekCheckpointDamaged":  {"damaged", (*world).damageCheckpoints},
	"OdradekJournalsReopened":   {"damaged", (*world).damageCheckpoints},
	"OdradekTakeover":           {"second", (*world).killFirst},
	"OdradekAgentDown":          {"first", (*world).killFirst},
	"OdradekWALQuarantined":     {"first", (*world).killFirst},
	"OdradekIndexContradiction": {"second", (*world).forgeSlot},
}

// world is the agents of the test, by name.
type world struct {
	t      *testing.T
	agents map[string]*harness.Agent
	bucket *link.HTTP // before that of cutoff
	far    *link.HTTP // before that of slow
	redis  *link.TCP  // before that of redisless
	watch  *watch
}

func TestAlerts_FireForRealAgents(t *testing.T) {
	began := time.Now()
	w := newWorld(t)
	var want []string
	for _, name := range ruleNames(t) {
		c, ok := conditions[name]
		if !ok {
			t.Errorf("%s: nothing here runs an agent into its condition", name)
			continue
		}
		want = append(want, strings.TrimSpace(name+" "+c.instance))
	}
	if len(conditions) != len(ruleNames(t)) {
		t.Errorf("%d conditions, %d alerts in %s", len(conditions), len(ruleNames(t)), rulesFile)
	}
	w.cutBucket()
	w.slowBucket()
	w.cutRedis()
	w.failDisk()
	w.shiftOneClock()
	w.shiftAllClocks()
	w.leaveGroupBehind()
	w.killFirst()
	w.appendControlRecords()
	w.damageSlots()
	w.damageCheckpoints()
	w.forgeSlot()
	w.watch.await(time.Minute, want...)
	fired := w.watch.fired()
	for alert := range fired {
		if strings.HasSuffix(alert, " well") {
			t.Errorf("%s, though nothing is wrong with it", alert)
		}
	}
	t.Logf("%d alerts fired in %v: %v", len(want), time.Since(began).Round(time.Second), want)
}

// newWorld starts the agents, and Prometheus once they serve.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, agents: make(map[string]*harness.Agent)}
	minio, shared, own := servers.MinIO(t), servers.OwnRedis(t), servers.OwnRedis(t)
	listen := func(l *link.HTTP, err error) *link.HTTP {
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		return l
	}
	w.bucket = listen(link.ListenHTTP(strings.TrimPrefix(minio.Endpoint, "http://")))
	w.far = listen(link.ListenHTTP(strings.TrimPrefix(minio.Endpoint, "http://")))
	redis, err := link.Listen(own.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(redis.Close)
	w.redis = redis
	behind := func(addr, prefix string) string {
		through := *minio
		through.Endpoint = "http://" + addr
		return through.URL(prefix)
	}
	prices := filepath.Join(harness.TempDir(t), "prices.yml")
	if err := os.WriteFile(prices, []byte("name: dear\nput: 1000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	pool, bad := "file://"+harness.TempDir(t), "file://"+harness.TempDir(t)
	often := []string{"--set", "log.retention.check.interval.ms=200"}
	for name, o := range map[string]harness.Options{
		"well":       {},
		"bucketless": {Bucket: behind(harness.FreeAddr(t), "none"), Env: minio.Env(), NoWait: true},
		"cutoff":     {Bucket: behind(w.bucket.Addr, "cut"), Env: minio.Env(), Flags: []string{"--wal-size", "16MiB", "--flush-size", "1MiB"}},
		"slow":       {Bucket: behind(w.far.Addr, "slow"), Env: minio.Env()},
		"redisless":  {Redis: "redis://" + redis.Addr, Flags: []string{"--flush-interval", "5ms", "--prices", prices}},
		"diskless":   {},
		"early":      {Flags: often},
		"ahead":      {Bucket: "memory://", Flags: often},
		"busy":       {Flags: []string{"--roles", "broker"}},
		"spare":      {Redis: shared.URL(), Bucket: bad, Flags: []string{"--cluster", "damaged", "--node-id", "2", "--roles", "broker"}},
		"damaged": {Redis: shared.URL(), Bucket: bad, Flags: []string{
			"--cluster", "damaged", "--node-id", "1", "--flush-interval", "5ms", "--checkpoint-slots", "64", "--compaction-slots", "4096",
			"--compaction-size", "4GiB", "--compaction-interval", "168h",
		}},
		"first":  {Redis: shared.URL(), Bucket: pool, Flags: []string{"--lease", "1s"}},
		"second": {Redis: shared.URL(), Bucket: pool, Flags: []string{"--lease", "1s"}},
	} {
		w.agents[name] = harness.New(t, o)
		if name != "spare" { // it comes when somebody has to take over
			w.agents[name].Launch()
		}
	}
	targets := make(map[string]string)
	for name, a := range w.agents {
		if name == "spare" {
			continue
		}
		if name != "bucketless" {
			a.WaitReady()
		}
		targets[name] = a.HTTP
	}
	w.watch = observe(t, targets)
	w.wait(time.Minute, "a first scrape of everything", func() bool {
		answer, err := http.Get("http://" + w.watch.addr + "/api/v1/query?query=sum(up)")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		b := make([]byte, 1000)
		n, _ := answer.Body.Read(b)
		return strings.Contains(string(b[:n]), fmt.Sprintf("%q", fmt.Sprint(len(targets))))
	})
	return w
}

func (w *world) wait(limit time.Duration, what string, holds func() bool) {
	w.t.Helper()
	w.agents["well"].Wait(limit, what, holds)
}

// chaos orders a fault from an agent.
func (w *world) chaos(agent, order string) {
	w.t.Helper()
	answer, err := http.Post("http://"+w.agents[agent].HTTP+"/chaos/"+order, "", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		w.t.Fatalf("%s, told to %s: %s", agent, order, answer.Status)
	}
}

func (w *world) client(agent string, more ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	c, err := kgo.NewClient(append(more, kgo.SeedBrokers(w.agents[agent].Addr), kgo.AllowAutoTopicCreation(),
		kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

func (w *world) context() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	w.t.Cleanup(cancel)
	return ctx
}

// try does something again until it succeeds: a pool that has just begun may ask a client for patience. It says what it took.
func (w *world) try(what string, do func(context.Context) error) {
	w.t.Helper()
	ctx := w.context()
	for n := 1; ; n++ {
		err := do(ctx)
		if err == nil {
			return
		}
		w.t.Logf("%s, attempt %d: %v", what, n, err)
		select {
		case <-ctx.Done():
			w.t.Fatalf("%s: %v", what, err)
		case <-time.After(time.Second):
		}
	}
}

func (w *world) createTopic(c *kgo.Client, name string, partitions int32, configs map[string]*string) {
	w.t.Helper()
	w.try("create topic "+name, func(ctx context.Context) error {
		_, err := kadm.NewClient(c).CreateTopic(ctx, partitions, 1, configs, name)
		if errors.Is(err, kerr.TopicAlreadyExists) { // by an attempt that was told an error
			return nil
		}
		return err
	})
}

// send sends records, one request each.
func (w *world) send(c *kgo.Client, records ...*kgo.Record) {
	w.t.Helper()
	ctx := w.context()
	for _, r := range records {
		if err := c.ProduceSync(ctx, r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// trickle sends a record again and again until the test ends, whatever comes of it.
func (w *world) trickle(c *kgo.Client, every time.Duration) {
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			c.Produce(ctx, &kgo.Record{Topic: "trickle", Value: []byte("v")}, func(*kgo.Record, error) {})
			select {
			case <-ctx.Done():
			case <-time.After(every):
			}
		}
	}()
	w.t.Cleanup(func() { cancel(); <-done })
}

func record(name string, bytes int) *kgo.Record {
	r := &kgo.Record{Topic: name, Value: make([]byte, bytes)}
	rand.Read(r.Value)
	return r
}

// cutBucket takes an agent's bucket away while acks=1 fills its WAL.
func (w *world) cutBucket() {
	c := w.client("cutoff", kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.ProducerBatchMaxBytes(1<<20))
	w.send(c, record("t", 10))
	w.bucket.Cut()
	ctx := w.context()
	for range 15 { // the last wait for room
		c.Produce(ctx, record("t", 1<<20-1000), func(*kgo.Record, error) {})
	}
}

// slowBucket makes each PUT of an agent take seconds.
func (w *world) slowBucket() {
	c := w.client("slow")
	w.send(c, record("trickle", 10))
	w.far.Delay(1200 * time.Millisecond)
	w.trickle(c, 50*time.Millisecond)
}

// cutRedis takes an agent's Redis away while it writes many slots, which it pays dearly.
func (w *world) cutRedis() {
	c := w.client("redisless", kgo.ProducerLinger(0))
	w.send(c, record("trickle", 10))
	w.redis.Cut()
	w.trickle(c, 10*time.Millisecond)
}

// failDisk has the disk of an agent's WAL fail.
func (w *world) failDisk() {
	w.chaos("diskless", "disk?fault=sync-eio")
	w.send(w.client("diskless", kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()), record("t", 10))
}

// shiftOneClock makes an agent's clock differ from that of its bucket, which is a directory.
func (w *world) shiftOneClock() {
	w.send(w.client("early"), record("t", 10))
	w.chaos("early", "clock?by=1h")
}

// shiftAllClocks makes an agent's clock jump, and that of its bucket, which is its memory: all would be old.
func (w *world) shiftAllClocks() {
	c := w.client("ahead")
	minutes := "600000"
	w.createTopic(c, "kept", 1, map[string]*string{"retention.ms": &minutes})
	w.send(c, record("kept", 10), record("kept", 10))
	passes := func() float64 { return w.agents["ahead"].Metric("odradek_retention_passes_total") }
	before := passes()
	w.wait(time.Minute, "two looks for old records", func() bool { return passes() >= before+2 })
	w.chaos("ahead", "clock?by=1h")
}

// leaveGroupBehind has a group that has not read a record of an hour ago.
func (w *world) leaveGroupBehind() {
	c := w.client("well")               // it is: the group is not
	w.createTopic(c, "lagging", 1, nil) // of several partitions the client may choose another than the group commits
	old := record("lagging", 10)
	old.Timestamp = time.Now().Add(-time.Hour)
	w.send(c, old)
	var offsets kadm.Offsets
	offsets.AddOffset("lagging", 0, 0, -1)
	w.try("commit an offset", func(ctx context.Context) error {
		return kadm.NewClient(c).CommitAllOffsets(ctx, "behind", offsets)
	})
	w.wait(time.Minute, "a lag of an hour", func() bool { return w.agents["well"].Metric("odradek_group_lag_seconds") > 3000 })
}

// appendControlRecords has an agent start with more control records than are left without a checkpoint. They change nothing: who
// decides so many one after the other takes minutes.
func (w *world) appendControlRecords() {
	a := w.agents["busy"]
	a.Kill()
	dir := filepath.Join(strings.TrimPrefix(a.Bucket, "file://"), filepath.Dir(slotlog.ControlKey(0)))
	there, err := os.ReadDir(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	payload, err := control.Encode([]control.Record{control.TopicConfig{Topic: topic.ID{1}, Set: topic.Config{"retention.ms": "1"}}})
	if err != nil {
		w.t.Fatal(err)
	}
	for n := range 5100 {
		body, err := io.ReadAll(slotlog.Freeze(slotlog.Data, payload).Body.Reader())
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "..", slotlog.ControlKey(topic.Slot(len(there)+n))), body, 0o644)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	a.Restart()
}

// damageSlots changes bytes of an agent's segments in its bucket, and then lets it compact them.
func (w *world) damageSlots() {
	a := w.agents["damaged"]
	c := w.client("damaged", kgo.ProducerLinger(0))
	for range 150 {
		w.send(c, record("t", 10))
	}
	w.wait(time.Minute, "a checkpoint that was verified", func() bool { return a.Metric("odradek_checkpoint_control") > 0 })
	damage(w.t, filepath.Join(strings.TrimPrefix(a.Bucket, "file://"), "journal"), 40)
	a.Restart("--compaction-slots", "2", "--compaction-interval", "1s")
	w.wait(time.Minute, "a job that met damage", func() bool { return a.Metric("odradek_compaction_jobs_damaged_total") > 0 })
}

// damageCheckpoints changes bytes of an agent's checkpoints, and has it begin again from them, twice.
func (w *world) damageCheckpoints() {
	a := w.agents["damaged"]
	w.agents["spare"].Restart()
	damage(w.t, filepath.Join(strings.TrimPrefix(a.Bucket, "file://"), "checkpoint"), 40)
	for n := range 2 {
		a.WaitReady()
		if out, status := harness.Run(w.t, nil, "cluster", "takeover", "1", "--bucket", a.Bucket); status != 0 {
			w.t.Fatal(out)
		}
		w.wait(time.Minute, "a new journal", func() bool { return a.Metric("odradek_agent_journals_reopened_total") > float64(n) })
	}
}

// damage turns a bit of each file below a directory.
func damage(t *testing.T, dir string, at int64) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || int64(len(b)) <= at {
			return err
		}
		b[at] ^= 1
		n++
		return os.WriteFile(path, b, 0o644)
	})
	if err != nil || n == 0 {
		t.Fatalf("%d files damaged in %s: %v", n, dir, err)
	}
}

// killFirst ends an agent before what acks=1 acknowledged left its WAL, lets the other take over, and starts it again.
func (w *world) killFirst() {
	a := w.agents["first"]
	w.createTopic(w.client("second"), "shared", 8, nil)
	c := w.client("first", kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for p := range int32(8) {
		r := record("shared", 10)
		r.Partition = p
		w.send(c, r)
	}
	w.chaos("first", "crash?at="+"before%20slot")
	ctx := w.context()
	for p := range int32(8) {
		r := record("shared", 10)
		r.Partition = p
		c.Produce(ctx, r, func(*kgo.Record, error) {})
	}
	a.WaitExit(time.Minute)
	w.watch.await(time.Minute, "OdradekAgentDown first", "OdradekTakeover second")
	a.Restart()
}
