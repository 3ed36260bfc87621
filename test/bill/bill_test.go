package bill

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/objectstore/meter"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// Every call of a store, through both clients, to both servers: what the meter says left is what arrived, and so are the
// bytes. Some are refused once, and the client sends them again by itself.
func TestBill_EveryCallIsBilledAsItArrives(t *testing.T) {
	for _, s := range []struct {
		name   string
		server func(testing.TB) *servers.S3Server
	}{{"minio", servers.MinIO}, {"versitygw", servers.VersityGW}} {
		for _, client := range []string{"s3", "minio"} {
			t.Run(client+" client to "+s.name, func(t *testing.T) {
				server := s.server(t)
				server.Setenv(t)
				p := newProxy(t, server)
				p.refuse = func(kind objectstore.Kind, n int64) bool {
					return n%3 == 2 && (kind == objectstore.KindGet || kind == objectstore.KindGetRange || kind == objectstore.KindHead ||
						kind == objectstore.KindList || kind == objectstore.KindDelete)
				}
				at := p.endpoint(server).URL("bill")
				if client == "minio" {
					at = p.endpoint(server).MinioURL("bill")
				}
				store, _, err := bucket.Open(t.Context(), at)
				if err != nil {
					t.Fatal(err)
				}
				m, err := meter.New(store, prometheus.NewRegistry(), meter.AWSExpress)
				if err != nil {
					t.Fatal(err)
				}
				everyCall(t, m)
				want, wantBytes, _ := p.counted()
				price := 0.0
				for _, kind := range objectstore.Kinds {
					requests, moved := m.AllBilled(kind)
					if requests != want[kind] || moved != wantBytes[kind] {
						t.Errorf("%s: billed %d requests of %d bytes, %d of %d arrived", kind, requests, moved, want[kind], wantBytes[kind])
					}
					if want[kind] == 0 {
						t.Errorf("%s: none arrived", kind)
					}
					price += meter.AWSExpress.Of(kind, want[kind], wantBytes[kind])
				}
				if calls := m.AllRequests(objectstore.KindGet); want[objectstore.KindGet] <= calls {
					t.Errorf("%d calls of get came to %d requests: the client repeated none", calls, want[objectstore.KindGet])
				}
				if got := m.Dollars(); price == 0 || math.Abs(got-price) > 1e-12 {
					t.Errorf("the bill is %v dollars, what arrived costs %v", got, price)
				}
			})
		}
	}
}

// everyCall makes every call that a store has, with every kind of answer.
func everyCall(t *testing.T, m *meter.Store) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	body := bytes.Repeat([]byte("odradek"), 3000)
	for i := range 7 {
		must(m.Create(ctx, fmt.Sprintf("bill/%d", i), objectstore.NewBody(body)))
	}
	if err := m.Create(ctx, "bill/0", objectstore.NewBody(body)); err == nil {
		t.Error("created twice")
	}
	for i := range 7 {
		_, err := m.Get(ctx, fmt.Sprintf("bill/%d", i))
		must(err)
		_, err = m.GetRange(ctx, fmt.Sprintf("bill/%d", i), 100, 1000)
		must(err)
		_, err = m.Head(ctx, fmt.Sprintf("bill/%d", i))
		must(err)
	}
	if _, err := m.Get(ctx, "bill/none"); err == nil {
		t.Error("read what is not there")
	}
	for range 3 {
		must(m.List(ctx, "bill/", func(objectstore.Info) error { return nil }))
	}
	for i := range 5 {
		must(m.Delete(ctx, fmt.Sprintf("bill/%d", i)))
	}
	part := bytes.Repeat([]byte("x"), objectstore.MinPart)
	u, err := m.Upload(ctx, "large/one")
	must(err)
	must(u.Append(ctx, objectstore.NewBody(part)))
	must(u.Append(ctx, objectstore.NewBody([]byte("rest"))))
	must(u.Complete(ctx))
	u, err = m.Upload(ctx, "large/two")
	must(err)
	must(u.Append(ctx, objectstore.NewBody(part)))
	must(u.Abort(ctx))
	_, err = m.Upload(ctx, "large/three")
	must(err)
	_, err = m.AbortStale(ctx, "large/", time.Now().Add(time.Hour))
	must(err)
}

// Agents under load, with a compactor: what the metrics of one say, by kind, is what a proxy before the store saw, though
// the store refuses reads that the client repeats and is slow with PUTs that are hedged.
func TestBill_AgentUnderLoad(t *testing.T) {
	for _, s := range []struct {
		name   string
		server func(testing.TB) *servers.S3Server
		url    func(*servers.S3Server) string
	}{
		{"s3 client to MinIO", servers.MinIO, func(s *servers.S3Server) string { return s.URL("load") }},
		{"minio client to versitygw", servers.VersityGW, func(s *servers.S3Server) string { return s.MinioURL("load") }},
	} {
		t.Run(s.name, func(t *testing.T) {
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
				Bucket: s.url(p.endpoint(server)), Env: server.Env(),
				Flags: []string{
					"--prices", "aws-standard", "--flush-interval", "20ms", "--checkpoint-slots", "256", "--checkpoint-interval", "10s",
					"--compaction-size", "1MiB", "--compaction-slots", "32", "--compaction-interval", "1s", "--gc-grace", "1m",
				},
			})
			load(t, a)
			compare(t, a, p)
		})
	}
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
	const enough = 150 // slots; a trickle comes after them, so that the compactor has not always a checkpoint to make
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

// compare waits for a moment in which nothing moves and compares every kind.
func compare(t *testing.T, a *harness.Agent, p *proxy) {
	t.Helper()
	var wrong []string
	for range 200 {
		time.Sleep(77 * time.Millisecond) // the compactor never rests for long
		before, beforeBytes, moved := p.counted()
		billed, dollars := bill(t, a)
		wrong = nil
		for _, kind := range objectstore.Kinds {
			if billed[kind] != float64(before[kind]) {
				wrong = append(wrong, fmt.Sprintf("%s: %v requests billed, %d arrived", kind, billed[kind], before[kind]))
			}
		}
		if _, _, after := p.counted(); after != moved {
			continue
		}
		price := 0.0
		for _, kind := range objectstore.Kinds {
			price += meter.AWSStandard.Of(kind, before[kind], beforeBytes[kind])
		}
		if math.Abs(dollars-price) > price*1e-6 {
			wrong = append(wrong, fmt.Sprintf("%v dollars billed, what arrived costs %v", dollars, price))
		}
		if len(wrong) > 0 { // perhaps one was on its way
			continue
		}
		for _, kind := range []objectstore.Kind{
			objectstore.KindCreate, objectstore.KindGet, objectstore.KindGetRange, objectstore.KindHead, objectstore.KindList, objectstore.KindDelete,
		} {
			if before[kind] == 0 {
				t.Errorf("%s: none arrived", kind)
			}
		}
		if calls := a.Metric("odradek_objectstore_requests_total", `kind="get"`) + a.Metric("odradek_objectstore_requests_total", `kind="get_range"`); calls >= float64(before[objectstore.KindGet]+before[objectstore.KindGetRange]) {
			t.Errorf("%v calls of get were %d requests: none was repeated", calls, before[objectstore.KindGet]+before[objectstore.KindGetRange])
		}
		t.Logf("requests %v, %.6f dollars", before, dollars)
		return
	}
	t.Errorf("the meter and the proxy differ: %v\n%s", wrong, a.Tail())
}
