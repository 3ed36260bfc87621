//go:build linux

package crash

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
)

// often makes checkpoints as often as they may be.
var often = []string{"--checkpoint-slots", "64", "--flush-interval", "5ms"}

// metric reads one number of an agent's /metrics, all that begin with a name added up.
func metric(t *testing.T, a *harness.Agent, name string) float64 {
	t.Helper()
	r, err := http.Get("http://" + a.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	sum, found := 0.0, false
	var text strings.Builder
	buf := make([]byte, 1<<16)
	for {
		n, err := r.Body.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			break
		}
	}
	for _, line := range strings.Split(text.String(), "\n") {
		if strings.HasPrefix(line, name) {
			var v float64
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err == nil {
				sum, found = sum+v, true
			}
		}
	}
	if !found {
		t.Fatalf("no metric %s in\n%s", name, text.String())
	}
	return sum
}

// fill makes slots that count, one batch each, and gives their number.
func fill(t *testing.T, addr, topic string, slots int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c := clientOf(t, addr, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	for i := range slots {
		if err := c.ProduceSync(ctx, kgo.StringRecord(fmt.Sprintf("%s %d", topic, i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkpointed waits until the newest checkpoint leaves few slots to be read, and gives its control number.
func checkpointed(t *testing.T, a *harness.Agent) float64 {
	t.Helper()
	eventually(t, time.Minute, func() error {
		if n := metric(t, a, "odradek_checkpoint_slots_since"); n >= 64 {
			return fmt.Errorf("%v slots since the newest checkpoint", n)
		}
		return nil
	})
	return metric(t, a, "odradek_checkpoint_control")
}

func gets(t *testing.T, a *harness.Agent) float64 {
	t.Helper()
	return metric(t, a, `odradek_objectstore_requests_total{kind="get`)
}

// An agent that starts reads what came since the newest checkpoint, and knows all that was before.
func TestCheckpoint_StartReadsWhatCameSince(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, harness.Options{Flags: often})
	createTopic(t, a.Addr, "t", 3)
	const slots = 1500
	fill(t, a.Addr, "t", slots)
	checkpointed(t, a)
	dir := filepath.Join(strings.TrimPrefix(a.Bucket, "file://"), "checkpoint")
	a.Restart()
	with := gets(t, a)
	a.Kill()
	aside := dir + "-aside"
	if err := os.Rename(dir, aside); err != nil {
		t.Fatal(err)
	}
	a.Restart("--roles", "broker")
	without := gets(t, a)
	t.Logf("%v GETs with a checkpoint, %v without", with, without)
	if with >= without {
		t.Errorf("%v GETs with a checkpoint, %v without", with, without)
	}
	a.Kill()
	if err := os.Rename(aside, dir); err != nil {
		t.Fatal(err)
	}
	a.Restart()
	if n := len(readAll(t, a.Addr, "t")); n != slots {
		t.Errorf("%d records, want %d", n, slots)
	}
	a.Stop()
	verify(t, a.Bucket, nil)
}

