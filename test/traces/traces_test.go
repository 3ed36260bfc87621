package traces

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// A produce and a fetch, seen from the client's frame to the bucket.
func TestTraces_FromFrameToBucket(t *testing.T) {
	minio, c := servers.MinIO(t), collect(t)
	a := harness.Start(t, harness.Options{
		Bucket: minio.URL("traces"), Env: append(minio.Env(), "OTEL_SERVICE_NAME=seen"),
		Flags: []string{"--traces", "otlp", "--traces-endpoint", c.url, "--traces-ratio", "1"},
	})
	produce(t, a, "all", kgo.RequiredAcks(kgo.AllISRAcks()))
	produce(t, a, "one", kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	a.Stop() // sends what is left
	key := checkProduce(t, c, "all")
	root := c.one(t, "Produce", by("one"))
	c.one(t, "append", below(root))
	c.one(t, "wal fsync", below(root))
	if n := len(c.find("wait for slot", below(root))); n != 0 {
		t.Errorf("acks=1 waited for %d slots", n)
	}

	a.Restart() // what it has in memory is gone
	consume(t, a)
	a.Stop()
	checkFetch(t, c, key)
	if len(c.services) != 1 || !c.services["seen"] {
		t.Errorf("services are %v", c.services)
	}
}

// checkProduce looks at the spans of a client's only Produce, and gives the key of the object that it came to.
func checkProduce(t *testing.T, c *spans, client string) (key string) {
	t.Helper()
	root := c.one(t, "Produce", by(client))
	if len(root.ParentSpanId) != 0 || root.Kind != otlp.Span_SPAN_KIND_SERVER || number(root.Attributes, "odradek.api.version") < 3 ||
		!strings.HasPrefix(text(root.Attributes, "client.address"), "127.0.0.1:") {
		t.Errorf("the root is %v", root)
	}
	admitted := c.one(t, "append", below(root))
	if number(admitted.Attributes, "odradek.partitions") != 1 || number(admitted.Attributes, "odradek.bytes") < 60 {
		t.Errorf("append is %v", admitted)
	}
	wait := c.one(t, "wait for slot", below(root))
	// A slot holds what many bring: it is a trace of its own, and links say whose.
	slot := c.one(t, "slot", func(s *otlp.Span) bool { return linked(s, admitted) })
	if len(slot.ParentSpanId) != 0 || id(slot.TraceId) == id(root.TraceId) || !linked(wait, slot) {
		t.Errorf("slot is %v,\nthe wait for it %v", slot, wait)
	}
	upload := c.one(t, "upload", below(slot))
	put := c.one(t, "bucket create", below(upload))
	key = text(put.Attributes, "odradek.key")
	if put.Kind != otlp.Span_SPAN_KIND_CLIENT || happened(put, "request sent") != 1 || !strings.HasPrefix(key, "journal/") ||
		text(put.Attributes, "odradek.outcome") != "ok" || text(put.Attributes, "odradek.reason") != "produce" {
		t.Errorf("the PUT is %v", put)
	}
	// acks=all is answered when the slot counts (P4), not before.
	if !(put.EndTimeUnixNano <= slot.EndTimeUnixNano && slot.EndTimeUnixNano <= wait.EndTimeUnixNano && wait.EndTimeUnixNano <= root.EndTimeUnixNano) {
		t.Errorf("the PUT ended at %d, the slot at %d, the wait at %d, the request at %d",
			put.EndTimeUnixNano, slot.EndTimeUnixNano, wait.EndTimeUnixNano, root.EndTimeUnixNano)
	}
	return key
}

// checkFetch looks at the spans of the reader's Fetch that read an object.
func checkFetch(t *testing.T, c *spans, key string) {
	t.Helper()
	get := c.one(t, "bucket get_range", func(s *otlp.Span) bool {
		return text(s.Attributes, "odradek.key") == key && text(s.Attributes, "odradek.reason") == "fetch"
	})
	if happened(get, "request sent") != 1 || number(get.Attributes, "odradek.bytes") < 60 {
		t.Errorf("the GET is %v", get)
	}
	extent := c.one(t, "extent", func(s *otlp.Span) bool { return below(s)(get) })
	if text(extent.Attributes, "odradek.from") != "bucket" {
		t.Errorf("the extent is %v", extent)
	}
	read := c.one(t, "read", func(s *otlp.Span) bool { return below(s)(extent) })
	index := c.one(t, "index", below(read))
	if number(index.Attributes, "odradek.extents") < 1 || number(read.Attributes, "odradek.offset") != 0 {
		t.Errorf("read is %v, index %v", read, index)
	}
	root := c.one(t, "Fetch", func(s *otlp.Span) bool { return below(s)(read) })
	if len(root.ParentSpanId) != 0 || text(root.Attributes, "messaging.client.id") != "reader" {
		t.Errorf("the root is %v", root)
	}
}

// Without the setting nothing is recorded, whatever OpenTelemetry's variables say.
func TestTraces_AreOffUnlessAskedFor(t *testing.T) {
	c := collect(t)
	a := harness.Start(t, harness.Options{Env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.url, "OTEL_TRACES_EXPORTER=otlp"}})
	produce(t, a, "all")
	a.Stop()
	if len(c.all) != 0 {
		t.Errorf("%d spans came", len(c.all))
	}
}

// A collector that is away costs its spans and nothing else.
func TestTraces_CollectorAway(t *testing.T) {
	a := harness.Start(t, harness.Options{
		Env:   []string{"OTEL_EXPORTER_OTLP_TIMEOUT=1000"},
		Flags: []string{"--traces", "otlp", "--traces-endpoint", "http://" + harness.FreeAddr(t), "--traces-ratio", "1"},
	})
	produce(t, a, "all")
	a.Wait(20*time.Second, "spans that failed", func() bool {
		return a.Metric("odradek_otlp_spans_total", `outcome="failed"`) > 0
	})
	produce(t, a, "all")
	if n := len(a.LogLines("traces are not taken")); n != 1 {
		t.Errorf("said %d times in the log", n)
	}
	a.Stop()
}

func by(client string) func(*otlp.Span) bool {
	return func(s *otlp.Span) bool { return text(s.Attributes, "messaging.client.id") == client }
}

// produce sends one record in one request.
func produce(t *testing.T, a *harness.Agent, id string, more ...kgo.Opt) {
	t.Helper()
	client, err := kgo.NewClient(append(more, kgo.SeedBrokers(a.Addr), kgo.AllowAutoTopicCreation(), kgo.ClientID(id))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "seen-" + id, Value: []byte("value")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// consume reads that record.
func consume(t *testing.T, a *harness.Agent) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(a.Addr), kgo.ConsumeTopics("seen-all"), kgo.ClientID("reader"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for read := 0; read == 0; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		read += fetches.NumRecords()
	}
}
