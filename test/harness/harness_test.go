package harness

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestAgent_LivesDiesAndComesBack(t *testing.T) {
	a := Start(t, Options{})
	client, err := kgo.NewClient(kgo.SeedBrokers(a.Addr), kgo.DefaultProduceTopic("greetings"), kgo.AllowAutoTopicCreation())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := client.ProduceSync(ctx, kgo.StringRecord("hello")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if n := a.Metric("odradek_ingest_slots_counted_total"); n < 1 {
		t.Fatalf("%v slots counted after an ack, want at least 1", n)
	}
	a.Kill()
	if a.Running() || a.Ready() {
		t.Fatal("a killed agent lives")
	}
	a.Restart("--log-level", "debug")
	if took := a.Stop(); took > 10*time.Second {
		t.Fatalf("stopping took %v", took)
	}
	if n := len(a.LogLines("agent starts")); n != 1 {
		t.Fatalf("%d starts in the log of one life", n)
	}
	if n := strings.Count(a.Log(), "agent starts"); n != 2 {
		t.Fatalf("%d starts in the log of two lives", n)
	}
}

func TestRun_GivesOutputAndStatus(t *testing.T) {
	out, status := Run(t, nil, "version")
	if status != 0 || !strings.Contains(out, "odradek") {
		t.Fatalf("odradek version: status %d, %q", status, out)
	}
	if _, status := Run(t, nil, "agent", "--no-such-flag"); status != 2 {
		t.Fatalf("unknown flag: status %d, want 2", status)
	}
}
