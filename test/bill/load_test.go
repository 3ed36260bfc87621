package bill

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/meter"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// Agents under load, with a compactor: what the metrics of one say, by kind, is what a proxy before the store saw, though
// the store refuses reads that the client repeats and is slow with PUTs that are hedged.
func TestBill_AgentUnderLoad(t *testing.T) {
	for _, s := range []struct {
		name   string
		server func(testing.TB) *servers.S3Server
		url    func(s *servers.S3Server, place string) string
	}{
		{"s3 client to MinIO", servers.MinIO, (*servers.S3Server).URL},
		{"minio client to versitygw", servers.VersityGW, (*servers.S3Server).MinioURL},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			server := s.server(t)
			p := newProxy(t, server)
			p.refuse = func(kind objectstore.Kind, n int64) bool {
				return n%11 == 7 && (kind == objectstore.KindGet || kind == objectstore.KindGetRange)
			}
			p.slow = func(kind objectstore.Kind, n int64) time.Duration {
				if kind == objectstore.KindCreate && n%60 == 59 {
					return 1500 * time.Millisecond
				}
				return 0
			}
			a := harness.Start(t, harness.Options{
				Bucket: s.url(p.endpoint(server), "load"), Env: server.Env(),
				Flags: []string{
					"--prices", "aws-standard", "--flush-interval", "20ms", "--checkpoint-slots", "64", "--checkpoint-interval", "10s",
					"--compaction-size", "1MiB", "--compaction-slots", "32", "--compaction-interval", "1s", "--gc-grace", "10s",
				},
			})
			load(t, a)
			fork(t, server, p, s.url(server, "load"), s.url(server, forkPlace))
			compare(t, a, p)
		})
	}
}

// forkPlace is where a fork of the cluster lives.
const forkPlace = "forked"

// fork starts a fork of what there is, by commands that are on nobody's bill, and waits until the agent has asked for something
// of its: that is on the agent's.
func fork(t *testing.T, server *servers.S3Server, p *proxy, url, place string) {
	t.Helper()
	for _, args := range [][]string{
		{"snapshot", "create", "before", "--bucket", url}, {"fork", "create", place, "--snapshot", "before", "--bucket", url},
	} {
		if out, status := harness.Run(t, server.Env(), args...); status != 0 {
			t.Fatalf("odradek %s: %s", strings.Join(args, " "), out)
		}
	}
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		p.mu.Lock()
		asked := p.forks
		p.mu.Unlock()
		if asked > 0 {
			return
		}
	}
	t.Error("nothing of the fork was asked for")
}

// load produces and consumes until the agent has compacted and deleted.
func load(t *testing.T, a *harness.Agent) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(a.Addr), kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("one", "two"),
		kgo.ConsumerGroup("readers"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	value := make([]byte, 4096)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	const enough = 100 // slots; a trickle comes after them, so that the compactor has not always a checkpoint to make
	for n := 0; n%20 != 0 || a.Metric("odradek_meter_requests_total", `reason="compaction"`) == 0; n++ {
		if n > enough {
			time.Sleep(200 * time.Millisecond)
		}
		for i := range 10 {
			client.Produce(ctx, &kgo.Record{Topic: []string{"one", "two"}[i%2], Value: value}, nil)
		}
		if err := client.Flush(ctx); err != nil {
			t.Fatalf("%v\n%s\n%s", err, a.Tail(), a.Get("/metrics"))
		}
		polled, end := context.WithTimeout(ctx, 20*time.Millisecond)
		client.PollFetches(polled)
		end()
	}
}

var billedLine = regexp.MustCompile(`(?m)^odradek_meter_(requests|dollars)_total\{kind="(\w+)",reason="\w+"\} (\S+)$`)

// bill reads what an agent says at one moment.
func bill(t *testing.T, a *harness.Agent) (requests map[objectstore.Kind]float64, dollars float64) {
	t.Helper()
	requests = make(map[objectstore.Kind]float64)
	for _, m := range billedLine.FindAllStringSubmatch(a.Get("/metrics"), -1) {
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		if m[1] == "dollars" {
			dollars += value
		} else {
			requests[objectstore.Kind(m[2])] += value
		}
	}
	return requests, dollars
}

// compare holds all requests back once they have arrived, so that soon nothing moves, and compares every kind.
func compare(t *testing.T, a *harness.Agent, p *proxy) {
	t.Helper()
	var wrong []string
	for range 10 {
		var arrived map[objectstore.Kind]int64
		if arrived, wrong = standstill(t, a, p); len(wrong) > 0 { // perhaps one was on its way
			time.Sleep(time.Second)
			continue
		}
		for _, kind := range []objectstore.Kind{
			objectstore.KindCreate, objectstore.KindGet, objectstore.KindGetRange, objectstore.KindHead, objectstore.KindList, objectstore.KindDelete,
		} {
			if arrived[kind] == 0 {
				t.Errorf("%s: none arrived", kind)
			}
		}
		calls := a.Metric("odradek_objectstore_requests_total", `kind="get"`) + a.Metric("odradek_objectstore_requests_total", `kind="get_range"`)
		if gets := arrived[objectstore.KindGet] + arrived[objectstore.KindGetRange]; calls >= float64(gets) {
			t.Errorf("%v calls of get were %d requests: none was repeated", calls, gets)
		}
		puts := a.Metric("odradek_meter_requests_total", `kind="create"`, `reason="produce"`)
		if slots := a.Metric("odradek_ingest_slots_counted_total"); puts <= slots {
			t.Errorf("%v PUTs for %v slots: none was hedged", puts, slots)
		}
		t.Logf("requests %v", arrived)
		return
	}
	t.Errorf("the meter and the proxy differ: %v\n%s", wrong, a.Tail())
}

// standstill lets nothing be answered while it looks, and says in what the agent's bill differs from what arrived.
func standstill(t *testing.T, a *harness.Agent, p *proxy) (arrived map[objectstore.Kind]int64, wrong []string) {
	t.Helper()
	p.held.Lock()
	defer p.held.Unlock()
	time.Sleep(500 * time.Millisecond) // until all that is asked for has arrived
	arrived, bytes, moved := p.counted()
	billed, dollars := bill(t, a)
	if _, _, after := p.counted(); after != moved {
		return arrived, []string{"something moved, perhaps for the sake of metrics, which ask the bucket for nothing"}
	}
	price := 0.0
	for _, kind := range objectstore.Kinds {
		if billed[kind] != float64(arrived[kind]) {
			wrong = append(wrong, fmt.Sprintf("%s: %v requests billed, %d arrived", kind, billed[kind], arrived[kind]))
		}
		price += meter.AWSStandard.Of(kind, arrived[kind], bytes[kind])
	}
	if math.Abs(dollars-price) > price*1e-6 {
		wrong = append(wrong, fmt.Sprintf("%v dollars billed, what arrived costs %v", dollars, price))
	}
	return arrived, wrong
}
