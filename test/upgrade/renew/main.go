package main

import (
	"context"
	"errors"
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

	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore/local"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/test/upgrade/fixture"
)

// patience is how long anything may take.
const patience = 90 * time.Second

// reads is how many objects are read at a time.
const reads = 8

// flags make small objects, and all kinds of them soon.
var flags = []string{
	"--wal-size", "16MiB", "--flush-size", "1MiB", "--flush-interval", "5ms", "--checkpoint-slots", "64", "--compaction-interval", "1s", "--gc-grace", "1s",
	"--zone", "z", "--lease", "2s", "--memory", "256MiB", "--set", "offsets.topic.num.partitions=3", "--set", "group.initial.rebalance.delay.ms=0",
}

// ages are settings without which a fixture would lose what it holds once it is old.
var ages = map[string]string{"retention.ms": "-1", "message.timestamp.after.max.ms": "9223372036854775807"}

// maker makes one fixture.
type maker struct {
	t      *harness.Program
	ctx    context.Context
	dir    string
	redis  *servers.RedisServer
	agents []*harness.Agent
	client *kgo.Client // acks=all, partitions by hand, not idempotent
	admin  *kadm.Client
	m      fixture.Manifest
	n      int // of records that were made
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./test/upgrade/renew ARCHIVE")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := harness.NewProgram(ctx, "renew")
	defer t.Close()
	m := &maker{t: t, ctx: ctx, dir: harness.TempDir(t), redis: servers.OwnRedis(t)}
	m.m = fixture.Manifest{
		Agents: []string{"a", "b"}, Records: map[string][]fixture.Record{}, Tables: map[string]map[string]string{"table": {}},
		Groups: map[string]map[string]int64{"readers": {}, "simple": {}}, Sequenced: "sequenced",
	}
	m.run(os.Args[1])
}

func (m *maker) check(what string, err error) {
	if err != nil {
		m.t.Fatalf("%s: %v", what, err)
	}
}

func (m *maker) path(name string) string { return filepath.Join(m.dir, name) }

func (m *maker) bucket() string { return "file://" + m.path(fixture.Bucket) }

// command runs one of the binary's.
func (m *maker) command(args ...string) string {
	out, status := harness.Run(m.t, nil, append(args, "--bucket", m.bucket())...)
	if status != 0 {
		m.t.Fatalf("odradek %s: status %d\n%s", strings.Join(args, " "), status, out)
	}
	return out
}

// beside is command for those that tell agents through Redis.
func (m *maker) beside(args ...string) string {
	return m.command(append(args, "--redis", m.redis.URL())...)
}

func (m *maker) run(archive string) {
	out, _ := harness.Run(m.t, nil, "version")
	m.m.Build = strings.TrimSpace(out)
	for _, name := range m.m.Agents {
		m.agents = append(m.agents, harness.Start(m.t, harness.Options{
			Bucket: m.bucket(), Redis: m.redis.URL(), DataDir: m.path(filepath.Join(fixture.Agents, name)), Flags: flags,
			Env: []string{"HOSTNAME=agent"},
		}))
	}
	seeds := kgo.SeedBrokers(m.agents[0].Addr, m.agents[1].Addr)
	var err error
	m.client, err = kgo.NewClient(seeds, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite(),
		kgo.MaxProduceRequestsInflightPerBroker(1), kgo.MetadataMinAge(100*time.Millisecond), kgo.RetryTimeout(patience), kgo.AlwaysRetryEOF())
	m.check("client", err)
	defer m.client.Close()
	m.admin = kadm.NewClient(m.client)

	m.topics()
	m.sequenced()
	m.records("orders", 3, 20)
	m.table(4)
	m.group()
	m.moves()
	m.records("orders", 3, 20)
	m.table(4)
	m.dead()
	m.deletions()
	m.settle()
	m.snapshots()
	m.era()
	m.records("orders", 3, 10)
	m.group()
	m.commitSimple()
	m.sequenced()
	m.released()
	m.tail()

	m.m.Versions, err = fixture.Scan(m.ctx, m.path(fixture.Bucket), m.path(fixture.Agents), m.redis.Addr)
	m.check("versions", err)
	dump, err := os.ReadFile(filepath.Join(m.redis.Dir(), "dump.rdb"))
	m.check("dump of Redis", err)
	m.check("dump of Redis", os.WriteFile(m.path(fixture.Dump), dump, 0o644))
	m.command("verify")
	m.check("pack", fixture.Pack(m.dir, archive, m.m))
	info, err := os.Stat(archive)
	m.check("pack", err)
	m.t.Logf("%s: %d bytes, %d records, %d of them not in the bucket, %d kinds of formats", archive, info.Size(), m.n, m.m.Unflushed, len(m.m.Versions))
}

// create makes a topic.
func (m *maker) create(name string, partitions int32, config map[string]string) {
	with := make(map[string]*string)
	for k, v := range config {
		with[k] = &v
	}
	_, err := m.admin.CreateTopic(m.ctx, partitions, 1, with, name)
	m.check("create topic "+name, err)
}

func (m *maker) topics() {
	m.create("orders", 3, ages)
	m.create("sequenced", 1, ages)
	m.create("gone", 1, ages)
	m.create("grown", 1, ages)
	m.create("table", 2, map[string]string{
		"cleanup.policy": "compact", "delete.retention.ms": "1", "min.cleanable.dirty.ratio": "0.01",
	})
	_, err := m.admin.CreatePartitions(m.ctx, 1, "grown")
	m.check("add a partition", err)
	set := func(name, value string) []kadm.AlterConfig {
		return []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}
	}
	changed, err := m.admin.AlterTopicConfigs(m.ctx, set("max.message.bytes", "900000"), "orders")
	m.check("set a topic's config", errors.Join(err, changed[0].Err))
	changed, err = m.admin.AlterBrokerConfigs(m.ctx, set("log.retention.ms", "-1"))
	m.check("set the cluster's config", errors.Join(err, changed[0].Err))
	m.produce(m.client, "gone", 0, 5)
	m.produce(m.client, "grown", 0, 5)
	m.produce(m.client, "grown", 1, 5)
}

// produce writes records one after the other, so that each has a slot of its own, and notes them.
func (m *maker) produce(by *kgo.Client, topic string, partition int32, count int) {
	for range count {
		m.n++
		r := &kgo.Record{
			Topic: topic, Partition: partition, Key: fmt.Appendf(nil, "key %d", m.n), Value: fmt.Appendf(nil, "%s %d: %s", topic, m.n, strings.Repeat("thread ", m.n%9)),
			Timestamp: time.UnixMilli(time.Now().UnixMilli()),
		}
		if m.n%2 == 0 {
			r.Headers = []kgo.RecordHeader{{Key: "header", Value: fmt.Appendf(nil, "of %d", m.n)}}
		}
		if topic == "sequenced" { // its producer is forgotten a day after the newest of its records
			r.Timestamp = time.Date(2099, 1, 1, 0, 0, m.n, 0, time.UTC)
		}
		m.check("produce to "+topic, by.ProduceSync(m.ctx, r).FirstErr())
		m.note(r)
	}
}

// note takes a record into the manifest that was acknowledged.
func (m *maker) note(r *kgo.Record) {
	if r.Topic == "gone" {
		return
	}
	x := fixture.Record{Offset: r.Offset, Key: string(r.Key), Value: string(r.Value), Written: r.Timestamp.UnixMilli()}
	if len(r.Headers) > 0 {
		x.Header = string(r.Headers[0].Value)
	}
	at := fmt.Sprintf("%s/%d", r.Topic, r.Partition)
	m.m.Records[at] = append(m.m.Records[at], x)
}

func (m *maker) records(topic string, partitions int32, each int) {
	for p := range partitions {
		m.produce(m.client, topic, p, each)
	}
}

// sequenced writes batches of an idempotent producer, in all codecs.
func (m *maker) sequenced() {
	for _, codec := range []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(), kgo.GzipCompression(),
	} {
		by, err := kgo.NewClient(kgo.SeedBrokers(m.agents[0].Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec))
		m.check("client", err)
		m.produce(by, "sequenced", 0, 3)
		by.Close()
	}
}

// table overwrites keys, and deletes some.
func (m *maker) table(rounds int) {
	want := m.m.Tables["table"]
	set := func(key, value string, p int32) {
		r := &kgo.Record{Topic: "table", Partition: p, Key: []byte(key)}
		if want[key] = value; value != "" {
			r.Value = []byte(value)
		} else {
			delete(want, key)
		}
		m.check("produce to table", m.client.ProduceSync(m.ctx, r).FirstErr())
	}
	for range rounds {
		for p := range int32(2) {
			m.n++
			once := fmt.Sprintf("once %d", m.n)
			set(once, "here", p)
			set(once, "", p)
			for k := range 8 {
				set(fmt.Sprintf("key %d/%d", p, k), fmt.Sprintf("value %d", m.n), p)
			}
		}
	}
}

// group reads what is there as a group does, and commits.
func (m *maker) group() {
	by, err := kgo.NewClient(kgo.SeedBrokers(m.agents[0].Addr), kgo.ConsumerGroup("readers"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	m.check("client", err)
	defer by.Close()
	left := 0 // partitions that were not read to their end
	ends := make(map[int32]int64)
	for p := range int32(3) {
		at := fmt.Sprintf("orders/%d", p)
		all := m.m.Records[at]
		ends[p] = all[len(all)-1].Offset + 1
		m.m.Groups["readers"][at] = ends[p]
		left++
	}
	ctx, cancel := context.WithTimeout(m.ctx, patience)
	defer cancel()
	for left > 0 {
		fetched := by.PollFetches(ctx)
		m.check("consume", fetched.Err())
		fetched.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 == ends[r.Partition] {
				left--
			}
		})
	}
	m.check("commit", by.CommitUncommittedOffsets(ctx))
	m.check("leave", by.LeaveGroupContext(ctx))
}

func (m *maker) commitSimple() {
	offsets := make(kadm.Offsets)
	offsets.AddOffset("grown", 1, 2, -1)
	m.m.Groups["simple"]["grown/1"] = 2
	m.check("commit", m.admin.CommitAllOffsets(m.ctx, "simple", offsets))
}

// moves drains an agent, and moves a partition by hand.
func (m *maker) moves() {
	m.beside("cluster", "drain", "2")
	m.waitFor("node 2 drained", func() bool { return len(m.owners()) == 1 })
	m.beside("cluster", "drain", "2", "--off")
	m.waitFor("node 2 owns again", func() bool { return len(m.owners()) == 2 })
	from := m.owner("orders", 0)
	m.beside("cluster", "move", "orders", "0", fmt.Sprint(3-from))
}

// owners says which nodes own partitions.
func (m *maker) owners() map[int32]bool {
	metadata, err := m.admin.Metadata(m.ctx)
	m.check("metadata", err)
	nodes := make(map[int32]bool)
	metadata.Topics.EachPartition(func(p kadm.PartitionDetail) { nodes[p.Leader] = true })
	return nodes
}

func (m *maker) owner(topic string, p int32) int32 {
	metadata, err := m.admin.Metadata(m.ctx, topic)
	m.check("metadata", err)
	return metadata.Topics[topic].Partitions[p].Leader
}

func (m *maker) waitFor(what string, holds func() bool) {
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) || m.ctx.Err() != nil {
			m.t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// dead kills an agent, whose journal the other one seals, and starts it again.
func (m *maker) dead() {
	m.agents[1].Kill()
	m.waitFor("node 2 taken over", func() bool { return len(m.owners()) == 1 })
	m.produce(m.client, "orders", 0, 3)
	m.agents[1].Restart()
	m.waitFor("node 2 owns again", func() bool { return len(m.owners()) == 2 })
}

// deletions deletes a topic, and records of another one.
func (m *maker) deletions() {
	_, err := m.admin.DeleteTopics(m.ctx, "gone")
	m.check("delete topic", err)
	offsets := make(kadm.Offsets)
	offsets.AddOffset("orders", 1, 7, -1)
	deleted, err := m.admin.DeleteRecords(m.ctx, offsets)
	m.check("delete records", errors.Join(err, deleted.Error()))
	m.m.Records["orders/1"] = m.m.Records["orders/1"][7:]
}

// settle writes until everything that looks after old objects has been at work.
func (m *maker) settle() {
	due := []control.Type{control.TypeVerified, control.TypeManifest, control.TypeTrim}
	planted := false
	m.waitFor("checkpoints, manifests, TRIMs and a SWEEP", func() bool {
		m.table(1)
		time.Sleep(time.Second)
		seen := m.recordsOf()
		if seen[control.TypeManifest] > 0 && !planted {
			planted = true
			m.orphan()
		}
		for _, typ := range due {
			if seen[typ] < 2 || seen[control.TypeSweep] == 0 {
				return false
			}
		}
		cleaned := 0.0
		for _, a := range m.agents {
			cleaned += a.Metric("odradek_compaction_jobs_total", `kind="keys"`)
		}
		return cleaned > 0
	})
}

// orphan puts an object there that no manifest names, as an agent that died leaves it: a SWEEP comes for it.
func (m *maker) orphan() {
	all, err := filepath.Glob(m.path(fixture.Bucket + "/compacted/*/*"))
	m.check("list compacted objects", err)
	if len(all) == 0 {
		m.t.Fatalf("a manifest, and no compacted object")
	}
	b, err := os.ReadFile(all[0])
	m.check("read a compacted object", err)
	planned, _, _ := strings.Cut(filepath.Base(all[0]), "-")
	dir := m.path(fixture.Bucket + "/compacted/0d")
	m.check("make an orphan", errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, planned+"-0d"+strings.Repeat("0", 30)), b, 0o644)))
}

// recordsOf counts the control records by type.
func (m *maker) recordsOf() map[control.Type]int {
	store, err := local.OpenToRead(m.path(fixture.Bucket))
	m.check("open the bucket", err)
	s, _, err := verify.Beginning(m.ctx, store, reads)
	m.check("read the control log", err)
	seen := make(map[control.Type]int)
	err = verify.EachControl(m.ctx, store, s, reads, func(n verify.Number) error {
		for _, r := range n.Records {
			seen[r.Type()]++
		}
		return nil
	})
	m.check("read the control log", err)
	return seen
}

// snapshots makes one that stays and one that goes.
func (m *maker) snapshots() {
	m.beside("snapshot", "create", "kept")
	m.beside("snapshot", "create", "dropped")
	m.beside("snapshot", "delete", "dropped")
}

// era has Redis forget everything.
func (m *maker) era() {
	c := redis.NewClient(&redis.Options{Addr: m.redis.Addr})
	defer c.Close()
	before := 0
	for _, a := range m.agents {
		before += strings.Count(a.Log(), "era open")
	}
	m.check("flush Redis", c.FlushAll(m.ctx).Err())
	m.waitFor("a new era", func() bool {
		now := 0
		for _, a := range m.agents {
			now += strings.Count(a.Log(), "era open")
		}
		return now > before
	})
}

// released moves a partition once more, so that a RELEASE with a producer's state lies in a slot.
func (m *maker) released() {
	m.beside("cluster", "move", "sequenced", "0", fmt.Sprint(3-m.owner("sequenced", 0)))
	m.produce(m.client, "orders", 2, 1)
}

// tail leaves records in the write-ahead logs that the bucket does not have: their acks are those of acks=1.
func (m *maker) tail() {
	c := redis.NewClient(&redis.Options{Addr: m.redis.Addr})
	defer c.Close()
	by, err := kgo.NewClient(kgo.SeedBrokers(m.agents[0].Addr, m.agents[1].Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite(),
		kgo.RequiredAcks(kgo.LeaderAck()))
	m.check("client", err)
	defer by.Close()
	time.Sleep(2 * time.Second) // copies are written behind, at most a second
	m.check("dump Redis", c.Save(m.ctx).Err())
	// A file where the journals' directory was: every slot fails.
	journals := m.path(fixture.Bucket + "/journal")
	m.check("bucket away", errors.Join(os.Rename(journals, journals+".away"), os.WriteFile(journals, nil, 0o644)))
	before := m.n
	for p := range int32(3) {
		m.produce(by, "orders", p, 4)
	}
	m.m.Unflushed = m.n - before
	for _, a := range m.agents {
		a.Kill()
	}
	m.check("bucket back", errors.Join(os.Remove(journals), os.Rename(journals+".away", journals)))
}
