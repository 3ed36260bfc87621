//go:build linux

package crash

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// often makes checkpoints as often as they may be.
var often = []string{"--checkpoint-slots", "64", "--flush-interval", "5ms"}

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
		if n := a.Metric("odradek_checkpoint_slots_since"); n >= 64 {
			return fmt.Errorf("%v slots since the newest checkpoint", n)
		}
		return nil
	})
	return a.Metric("odradek_checkpoint_control")
}

// footers gives how many parts of objects an agent has read: at a start those are footers, most of 64 slots each.
func footers(t *testing.T, a *harness.Agent) float64 {
	t.Helper()
	return a.Metric("odradek_objectstore_requests_total", `kind="get_range"`)
}

// An agent that starts reads what came since the newest checkpoint, and knows all that was before.
func TestCheckpoint_StartReadsWhatCameSince(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, harness.Options{Flags: append([]string{ // nothing is compacted, and so nothing trimmed: it begins without a checkpoint
		"--compaction-slots", "4096", "--compaction-size", "4GiB", "--compaction-interval", "168h",
	}, often...)})
	createTopic(t, a.Addr, "t", 3)
	slots := 1500
	fill(t, a.Addr, "t", slots)
	checkpointed(t, a)
	for since := a.Metric("odradek_checkpoint_slots_since"); since > 8; since = a.Metric("odradek_checkpoint_slots_since") {
		due := 64 - int(since) // the last of them makes a checkpoint due, which has all slots then
		fill(t, a.Addr, "t", due)
		slots += due
		checkpointed(t, a)
	}
	dir := filepath.Join(strings.TrimPrefix(a.Bucket, "file://"), "checkpoint")
	a.Restart("--roles", "broker") // seals the long journal, and looks for its end
	a.Restart("--roles", "broker") // what a start reads, and nothing else
	with := footers(t, a)
	a.Kill()
	aside := dir + "-aside"
	if err := os.Rename(dir, aside); err != nil {
		t.Fatal(err)
	}
	a.Restart()
	without := footers(t, a)
	t.Logf("%v footers read with a checkpoint, %v without", with, without)
	if with >= without {
		t.Errorf("%v footers read with a checkpoint, %v without", with, without)
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

// A Redis that forgot everything is built anew from a checkpoint: what the era was loaded with nobody reads again, and a
// second agent, which followed slot by slot, and a third one that begins afterwards know the same.
func TestCheckpoint_EraIsLoadedFromIt(t *testing.T) {
	t.Parallel()
	r := servers.OwnRedis(t)
	shared := "file://" + harness.TempDir(t)
	o := harness.Options{Redis: r.URL(), Bucket: shared, Flags: often}
	a, b := harness.Start(t, o), harness.Start(t, o)
	createTopic(t, a.Addr, "t", 6)
	const slots = 600
	fill(t, a.Addr, "t", slots)
	at := checkpointed(t, a)
	if at == 0 {
		t.Fatal("no checkpoint was verified")
	}
	flush(t, r)
	eventually(t, time.Minute, func() error {
		out, status := harness.Run(t, nil, "inspect", "control", "--bucket", shared)
		if i := strings.LastIndex(out, " ERA "); status != 0 || !strings.Contains(out[max(0, i):], "ERA 2") {
			return fmt.Errorf("no second era: status %d, %s", status, out[max(0, i):])
		}
		if i := strings.LastIndex(out, " ERA "); strings.Contains(out[i:], "checkpoint 0\n") {
			t.Fatalf("era was not recovered from a checkpoint: %s", out[i:])
		}
		out, status = harness.Run(t, nil, "cluster", "health", "--bucket", shared, "--redis", r.URL())
		if status != 0 {
			return fmt.Errorf("cluster health: %s", out)
		}
		return nil
	})
	fill(t, b.Addr, "t", 50)
	c := harness.Start(t, o)
	for _, x := range []*harness.Agent{a, b, c} {
		if n := len(readAll(t, x.Addr, "t")); n != slots+50 {
			t.Errorf("%d records by way of %s, want %d", n, x.Addr, slots+50)
		}
	}
	out, status := harness.Run(t, nil, "verify", "--bucket", shared, "--redis", r.URL())
	if status != 0 || !strings.Contains(out, "clean") {
		t.Errorf("odradek verify: status %d\n%s", status, out)
	}
}

// An agent is killed again and again while it makes checkpoints, and its newest head is damaged: it begins from the one
// before, or from the beginning, and nothing is lost.
func TestCheckpoint_KilledAndDamaged(t *testing.T) {
	t.Parallel()
	a := harness.Start(t, harness.Options{Flags: often})
	createTopic(t, a.Addr, "t", 3)
	n := 0
	for range 4 {
		fill(t, a.Addr, "t", 150)
		n += 150
		time.Sleep(between(3*time.Second, 8*time.Second)) // a checkpoint is due within 5 s
		a.Restart()
	}
	checkpointed(t, a)
	a.Kill()
	verify(t, a.Bucket, nil)
	heads, err := filepath.Glob(filepath.Join(strings.TrimPrefix(a.Bucket, "file://"), "checkpoint", "0*"))
	if err != nil || len(heads) < 2 {
		t.Fatalf("heads %v, %v", heads, err)
	}
	head, err := os.ReadFile(heads[len(heads)-1])
	if err != nil {
		t.Fatal(err)
	}
	for _, spoil := range []func() error{
		func() error { return os.WriteFile(heads[len(heads)-1], head[:len(head)-1], 0o644) },
		func() error { return os.Remove(heads[len(heads)-1]) },
		func() error { return os.RemoveAll(filepath.Dir(heads[0])) },
	} {
		a.Kill()
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		a.Restart("--roles", "broker")
		if a.Metric("odradek_checkpoint_unfit_total") == 0 {
			t.Error("no unfit checkpoint was counted")
		}
		if have := len(readAll(t, a.Addr, "t")); have != n {
			t.Errorf("%d records, want %d", have, n)
		}
	}
	out, status := harness.Run(t, nil, "verify", "--bucket", a.Bucket)
	if status == 0 || !strings.Contains(out, "checkpoint/") {
		t.Errorf("odradek verify without the objects of a checkpoint: status %d\n%s", status, out)
	}
}
