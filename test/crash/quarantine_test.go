//go:build linux

package crash

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// Another agent takes over while the first is dead: what only the first one's WAL holds is kept for people, and the log
// goes on without it.
func TestQuarantine_JournalSealedByAnotherAgent(t *testing.T) {
	t.Parallel()
	m, r := servers.SharedMinIO(t), servers.OwnRedis(t)
	p := startProxy(t, m.Endpoint[len("http://"):])
	behind := *m
	behind.Endpoint = "http://" + p.addr
	a := harness.Start(t, harness.Options{Bucket: behind.URL("q"), Redis: r.URL(), Env: m.Env(), Flags: []string{"--wal-size", "64MiB"}})
	createTopic(t, a.Addr, loadTopic, partitions)
	one := newLedger()
	work := startLoad(t, one, loadConfig{addr: a.Addr, producers: 1, once: true, opts: ackOne["plain"].opts})
	work.progress(100, 30*time.Second)
	p.cutOff()
	work.progress(200, 30*time.Second)
	a.Kill()
	work.abandon()

	b := harness.Start(t, harness.Options{Bucket: m.URL("q"), Redis: r.URL(), Env: m.Env()})
	two := newLedger()
	work = startLoad(t, two, loadConfig{addr: b.Addr, producers: 1})
	work.progress(200, 30*time.Second)
	work.finish(30 * time.Second)
	b.Stop()

	p.mend()
	a.Restart()
	if n := a.Metric("odradek_agent_wal_quarantined_total"); n != 1 {
		t.Errorf("odradek_agent_wal_quarantined_total is %v, want 1", n)
	}
	files, err := filepath.Glob(filepath.Join(a.DataDir, "quarantine", "*", "*.wal"))
	if err != nil || len(files) == 0 {
		t.Errorf("no file of the WAL in quarantine: %v", err)
	}
	if rings, _ := os.ReadDir(filepath.Join(a.DataDir, "wal")); len(rings) != 1 {
		t.Errorf("%d rings beside the quarantine, want that of the open journal", len(rings))
	}
	lines := a.LogLines("wal quarantined")
	if len(lines) != 1 {
		t.Errorf("%d lines in the log name the quarantine, want 1", len(lines))
	}
	a.WaitLog("journal taken over", 40*time.Second) // the other one's, which had nobody to hand over to
	log := readAll(t, a.Addr, loadTopic)
	for at, want := range two.acked {
		if got := log[at]; got == nil || difference(got, want) != "" {
			t.Errorf("record %s, acked by the agent that took over, is not at %v", want.Key, at)
		}
	}
	a.Restart() // a quarantined WAL stays one
	if n := a.Metric("odradek_agent_wal_quarantined_total"); n != 0 {
		t.Errorf("the next start quarantined %v WALs, want none", n)
	}
	if again, _ := filepath.Glob(filepath.Join(a.DataDir, "quarantine", "*", "*.wal")); len(again) != len(files) {
		t.Errorf("%d files in quarantine after another start, before it were %d", len(again), len(files))
	}
	after := newLedger()
	work = startLoad(t, after, loadConfig{addr: a.Addr, producers: 2, opts: []kgo.Opt{kgo.ClientID("after")}})
	work.progress(50, 30*time.Second)
	work.finish(30 * time.Second)
}
