package upgrade

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/upgrade/fixture"
)

// What the first release left behind is served whole: what was in the bucket, what was only in write-ahead logs, what groups
// committed, what producers were told. The cluster goes on, and nothing is written into it that the first release cannot read.
func TestFirst_EveryLaterBuildServesIt(t *testing.T) {
	t.Parallel()
	f := unpack(t)
	f.verify()
	r := f.loaded()
	f.indexReads(r.Addr, r.URL())
	var agents []*harness.Agent
	for i := range f.Agents {
		o := f.options(i)
		o.Redis, o.NoWait = r.URL(), true
		o.Flags = append(o.Flags, "--checkpoint-slots", "64", "--flush-interval", "5ms", "--compaction-interval", "1s", "--gc-grace", "2s")
		agents = append(agents, harness.Start(t, o))
	}
	for _, a := range agents {
		a.WaitReady()
		if left, _ := filepath.Glob(a.DataDir + "/quarantine/*"); len(left) > 0 {
			t.Errorf("in quarantine: %v", left)
		}
	}
	addr := agents[0].Addr
	f.readsEverything(addr)
	f.knowsProducers(addr)
	f.groupsContinue(addr)
	f.goesOn(addr, agents)
	for _, a := range agents {
		f.readsEverything(a.Addr)
		a.Stop()
	}
	f.verify("--redis", r.URL())
	f.writesNothingNewer(r.Addr)
}

// indexReads gives the dump the identity that Redis has now, as if it were the one that the dump was made of, and has the
// index proved against the bucket: only the identity is not the one that the control log names.
func (f *first) indexReads(addr, url string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer c.Close()
	info := c.Info(ctx, "server", "replication").Val()
	field := func(name string) string {
		found := regexp.MustCompile(`(?m)^` + name + `:(\w+)`).FindStringSubmatch(info)
		if found == nil {
			f.t.Fatalf("INFO says nothing of %s:\n%s", name, info)
		}
		return found[1]
	}
	keys := c.Keys(ctx, "*:open").Val()
	if len(keys) != 1 {
		f.t.Fatalf("keys of open eras: %v", keys)
	}
	before := c.Get(ctx, keys[0]).Val()
	era, _, _ := strings.Cut(before, " ")
	if err := c.Set(ctx, keys[0], fmt.Sprintf("%s %s %s", era, field("run_id"), field("master_replid")), 0).Err(); err != nil {
		f.t.Fatal(err)
	}
	out, status := harness.Run(f.t, nil, "verify", "--bucket", f.bucket(), "--redis", url)
	var findings []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "finding: ") {
			findings = append(findings, line)
		}
	}
	if status != 1 || len(findings) != 1 || !strings.Contains(findings[0], field("run_id")) {
		f.t.Errorf("odradek verify --redis: status %d, findings %q, want one, of the identity %s\n%s", status, findings, field("run_id"), out)
	}
	if err := c.Set(ctx, keys[0], before, 0).Err(); err != nil {
		f.t.Fatal(err)
	}
}

// readsEverything compares all records of the manifest with what an agent serves; more may follow them.
func (f *first) readsEverything(addr string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	got := make(map[string][]fixture.Record)
	topics := []string{"table"}
	left := 0
	for at, want := range f.Records {
		name, _, _ := strings.Cut(at, "/")
		topics = append(topics, name)
		left += len(want)
	}
	tables := make(map[string]string)
	c := client(f.t, addr, kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
	tails := ends(ctx, f.t, addr, "table")
	for left > 0 || len(tails) > 0 {
		fetched := c.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			f.t.Fatalf("%d records are missing: %v", left, err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			at := fmt.Sprintf("%s/%d", r.Topic, r.Partition)
			if r.Topic == "table" {
				tables[string(r.Key)] = string(r.Value)
				if r.Value == nil {
					delete(tables, string(r.Key))
				}
				if r.Offset+1 >= tails[at] {
					delete(tails, at)
				}
				return
			}
			if len(got[at]) == len(f.Records[at]) {
				return
			}
			x := fixture.Record{Offset: r.Offset, Key: string(r.Key), Value: string(r.Value), Written: r.Timestamp.UnixMilli()}
			if len(r.Headers) > 0 {
				x.Header = string(r.Headers[0].Value)
			}
			got[at] = append(got[at], x)
			left--
		})
	}
	if diff := cmp.Diff(f.Records, got); diff != "" {
		f.t.Errorf("records of %s (-manifest +served):\n%s", addr, diff)
	}
	if diff := cmp.Diff(f.Tables["table"], tables); diff != "" {
		f.t.Errorf("newest values of the compacted topic (-manifest +served):\n%s", diff)
	}
}

// knowsProducers sends the newest batch of the idempotent producer again, and wants the answer that it had.
func (f *first) knowsProducers(addr string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	c := client(f.t, addr, kgo.MaxVersions(kversion.V2_8_0())) // topics by name
	all := f.Records[f.Sequenced+"/0"]
	last := all[len(all)-1].Offset
	leader := func() *kgo.Broker {
		metadata, err := kadm.NewClient(c).Metadata(ctx, f.Sequenced)
		if err != nil {
			f.t.Fatal(err)
		}
		return c.Broker(int(metadata.Topics[f.Sequenced].Partitions[0].Leader))
	}
	fetch := kmsg.NewPtrFetchRequest()
	fetch.ReplicaID, fetch.MaxWaitMillis, fetch.MaxBytes, fetch.SessionEpoch = -1, 100, 1<<20, -1
	from := kmsg.NewFetchRequestTopic()
	from.Topic = f.Sequenced
	part := kmsg.NewFetchRequestTopicPartition()
	part.FetchOffset, part.PartitionMaxBytes, part.CurrentLeaderEpoch = last, 1<<20, -1
	from.Partitions = append(from.Partitions, part)
	fetch.Topics = append(fetch.Topics, from)
	fetched, err := fetch.RequestWith(ctx, leader())
	if err != nil || len(fetched.Topics) != 1 || fetched.Topics[0].Partitions[0].ErrorCode != 0 {
		f.t.Fatalf("fetch: %v %+v", err, fetched)
	}
	batch := fetched.Topics[0].Partitions[0].RecordBatches
	head, err := recordbatch.Read(batch)
	if err != nil || head.ProducerID < 0 {
		f.t.Fatalf("the newest batch of %s has producer %d: %v", f.Sequenced, head.ProducerID, err)
	}
	batch = batch[:head.Size]
	clear(batch[:8]) // a producer counts from 0; neither this nor the epoch behind it is under the batch's checksum
	produce := kmsg.NewPtrProduceRequest()
	produce.Acks, produce.TimeoutMillis = -1, 10_000
	to := kmsg.NewProduceRequestTopic()
	to.Topic = f.Sequenced
	again := kmsg.NewProduceRequestTopicPartition()
	again.Records = batch
	to.Partitions = append(to.Partitions, again)
	produce.Topics = append(produce.Topics, to)
	eventually(f.t, func() error {
		resp, err := produce.RequestWith(ctx, leader())
		if err != nil {
			return err
		}
		told := resp.Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(told.ErrorCode); kerr.IsRetriable(err) {
			return err
		}
		if told.ErrorCode != 0 || told.BaseOffset != int64(head.BaseOffset) {
			f.t.Fatalf("the batch at %d, sent again: offset %d, %v", head.BaseOffset, told.BaseOffset, kerr.ErrorForCode(told.ErrorCode))
		}
		return nil
	})
	if end := ends(ctx, f.t, addr, f.Sequenced)[f.Sequenced+"/0"]; end != last+1 {
		f.t.Errorf("%s ends at %d after a batch came again, before at %d", f.Sequenced, end, last+1)
	}
}

// groupsContinue wants the offsets that were committed, and a group that reads what came behind them.
func (f *first) groupsContinue(addr string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	admin := kadm.NewClient(client(f.t, addr))
	for group, want := range f.Groups {
		var fetched kadm.OffsetResponses
		eventually(f.t, func() (err error) { // a coordinator may just have been moved
			fetched, err = admin.FetchOffsets(ctx, group)
			return err
		})
		got := make(map[string]int64)
		fetched.Each(func(o kadm.OffsetResponse) { got[fmt.Sprintf("%s/%d", o.Topic, o.Partition)] = o.At })
		if !maps.Equal(got, want) {
			f.t.Errorf("group %s committed %v, want %v", group, got, want)
		}
	}
	want, got := make(map[string]int64), make(map[string]int64) // the first record that is read
	left := 0
	for at, offset := range f.Groups["readers"] {
		all := f.Records[at]
		if end := all[len(all)-1].Offset + 1; end > offset {
			want[at] = offset
			left += int(end - offset)
		}
	}
	by := client(f.t, addr, kgo.ConsumerGroup("readers"), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit())
	for left > 0 {
		fetched := by.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			f.t.Fatalf("the group misses %d records: %v", left, err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			at := fmt.Sprintf("%s/%d", r.Topic, r.Partition)
			if _, seen := got[at]; !seen {
				got[at] = r.Offset
			}
			left--
		})
	}
	if len(want) == 0 || !maps.Equal(got, want) {
		f.t.Errorf("the group goes on at %v, want %v", got, want)
	}
	if err := errors.Join(by.CommitUncommittedOffsets(ctx), by.LeaveGroupContext(ctx)); err != nil {
		f.t.Error(err)
	}
}

// goesOn produces, idempotently, until the cluster made a checkpoint and compacted.
func (f *first) goesOn(addr string, agents []*harness.Agent) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), 2*patience)
	defer cancel()
	by := client(f.t, addr)
	before := ends(ctx, f.t, addr, "orders")
	sent := make(map[string]int64)
	for n := 0; ; n++ {
		r := &kgo.Record{Topic: "orders", Partition: int32(n % 3), Value: fmt.Appendf(nil, "after %d", n)}
		if err := by.ProduceSync(ctx, r).FirstErr(); err != nil {
			f.t.Fatal(err)
		}
		at := fmt.Sprintf("orders/%d", r.Partition)
		if want := before[at] + sent[at]; r.Offset != want {
			f.t.Fatalf("a record of %s has offset %d, want %d", at, r.Offset, want)
		}
		sent[at]++
		if n%20 != 19 {
			continue
		}
		made, done := 0.0, 0.0
		for _, a := range agents {
			made += a.Metric("odradek_checkpoint_built_total")
			done += a.Metric("odradek_compaction_jobs_total")
		}
		if made > 0 && done > 0 {
			return
		}
	}
}

// row is one of the table of versions in docs/upgrade.md.
var row = regexp.MustCompile("(?m)^\\| `([^`]+)` +\\| (\\d+) +\\| (\\d+) +\\|")

// writesNothingNewer wants that what the cluster holds now is of versions that the first release reads, and that the page
// names each of them: this is what lets the release before be started again.
func (f *first) writesNothingNewer(redisAddr string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	found, err := fixture.Scan(ctx, f.path(fixture.Bucket), f.path(fixture.Agents), redisAddr)
	if err != nil {
		f.t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/upgrade.md")
	if err != nil {
		f.t.Fatal(err)
	}
	named := make(map[string]bool)
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		named[m[1]+" "+m[2]] = true
	}
	versions := func(kind string) []int {
		if have, ok := f.Versions[kind]; ok {
			return have
		}
		return []int{1} // of what the fixture has none the first release reads version 1
	}
	for kind, all := range found {
		for _, v := range all {
			if !slices.Contains(versions(kind), v) {
				f.t.Errorf("%s of version %d was written into a cluster of the first release, which reads %v", kind, v, versions(kind))
			}
			if name := group(kind); !named[name+" "+strconv.Itoa(v)] {
				f.t.Errorf("docs/upgrade.md has no row for `%s` %d", name, v)
			}
		}
	}
	for kind := range f.Versions {
		if len(found[kind]) == 0 && !strings.HasPrefix(kind, "redis") {
			f.t.Errorf("no %s was found, the first release left one", kind)
		}
	}
	if len(found) < 40 {
		f.t.Errorf("only %d kinds of formats were found: %v", len(found), found)
	}
}

// group gives the row of a kind: records of the control log share one, and so do keys of Redis.
func group(kind string) string {
	for _, many := range []string{"control record", "redis key"} {
		if strings.HasPrefix(kind, many) {
			return many
		}
	}
	return kind
}
