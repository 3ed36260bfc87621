//go:build linux

package crash

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// outage is how long the bucket is away.
func outage() time.Duration { return either(6*time.Second, 20*time.Second) }

// cuttable starts MinIO behind a proxy, and gives the options of an agent that stores there.
func cuttable(t *testing.T) (*proxy, harness.Options) {
	t.Helper()
	m := *servers.SharedMinIO(t)
	p := startProxy(t, strings.TrimPrefix(m.Endpoint, "http://"))
	p.direct = m.URL("cut")
	m.Endpoint = "http://" + p.addr
	return p, harness.Options{Bucket: m.URL("cut"), Env: m.Env(), Flags: []string{"--wal-size", "64MiB"}}
}

// cuts are the two ways in which a bucket goes away.
var cuts = map[string]func(*proxy){"refused": (*proxy).cutOff, "blackhole": (*proxy).blackhole}

// ackOne are the producers of acks=1.
var ackOne = map[string]loadConfig{
	"plain":      {producers: 1, once: true, opts: []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck())}},
	"idempotent": {producers: 1, opts: []kgo.Opt{acksOneOnTheWire()}},
}

func TestOutage_AcksOneOutlivesIt(t *testing.T) {
	t.Parallel()
	for kind, cfg := range ackOne {
		for way, cut := range cuts {
			t.Run(kind+"/"+way, func(t *testing.T) {
				t.Parallel()
				l, a, p := killedInOutage(t, cfg, cut)
				p.mend()
				a.Restart()
				log := l.check(t, a.Addr)
				if a.Metric("odradek_agent_wal_replayed_entries_total") == 0 {
					t.Errorf("nothing was replayed, yet all %d records are there", len(log))
				}
			})
		}
	}
}

// Without replay the same test must fail, or it proves nothing.
func TestOutage_WithoutTheWALRecordsAreMissing(t *testing.T) {
	t.Parallel()
	l, a, p := killedInOutage(t, ackOne["plain"], (*proxy).cutOff)
	if err := os.RemoveAll(filepath.Join(a.DataDir, "wal")); err != nil {
		t.Fatal(err)
	}
	p.mend()
	a.Restart()
	missing := 0
	log := readAll(t, a.Addr, l.topics()...)
	for at := range l.acked {
		if log[at] == nil {
			missing++
		}
	}
	if missing == 0 {
		t.Fatalf("all %d acked records are there without a WAL: the bucket cannot have been away", l.count())
	}
	t.Logf("without the WAL %d of %d acked records are missing", missing, l.count())
}

// killedInOutage has a producer of acks=1 go on while the bucket is away, and kills the agent in the middle of that.
func killedInOutage(t *testing.T, cfg loadConfig, cut func(*proxy)) (*ledger, *harness.Agent, *proxy) {
	t.Helper()
	p, o := cuttable(t)
	a := harness.Start(t, o)
	createTopic(t, a.Addr, loadTopic, partitions)
	l := newLedger()
	cfg.addr = a.Addr
	work := startLoad(t, l, cfg)
	work.progress(100, 30*time.Second)
	cut(p)
	began := time.Now()
	work.progress(100, 30*time.Second) // the WAL is what acks these
	time.Sleep(outage() - time.Since(began))
	work.progress(20, 30*time.Second)
	a.Kill()
	work.abandon()
	return l, a, p
}
