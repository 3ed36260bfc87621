//go:build linux

package crash

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/wal"
)

// leftWAL opens the data directory of a dead agent and gives the ring that its journal left, with its entries.
func leftWAL(t *testing.T, a *harness.Agent) (path string, entries []wal.Entry) {
	t.Helper()
	d, err := wal.OpenDirectory(a.DataDir, wal.OSDisk{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	rings, err := d.Recover()
	if err != nil || len(rings) != 1 {
		t.Fatalf("%d rings left: %v", len(rings), err)
	}
	for e, err := range rings[0].Entries() {
		if err != nil {
			t.Fatal(err)
		}
		e.Payload = append([]byte(nil), e.Payload...)
		entries = append(entries, e)
	}
	return rings[0].Path, entries
}

// change edits the bytes of a file in place.
func change(t *testing.T, path string, offset int64, edit func(b []byte), size int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, size)
	if _, err := f.ReadAt(b, offset); err != nil {
		t.Fatal(err)
	}
	edit(b)
	if _, err := f.WriteAt(b, offset); err != nil {
		t.Fatal(err)
	}
}

// A crash in the middle of a write leaves half an entry behind the last whole one. Nobody was acked for it.
func TestDamage_TornTail(t *testing.T) {
	t.Parallel()
	l, a, p := killedInOutage(t, ackOne["plain"], (*proxy).cutOff)
	path, entries := leftWAL(t, a)
	last := entries[len(entries)-1]
	file := filepath.Join(path, last.File)
	size := int(last.End - last.Start)
	var whole []byte
	change(t, file, last.Offset, func(b []byte) { whole = append(whole, b...) }, size)
	change(t, file, last.Offset+int64(size), func(b []byte) { copy(b, whole[:size/2]) }, size)
	p.mend()
	a.Restart()
	l.check(t, a.Addr)
	if n := a.Metric("odradek_agent_wal_quarantined_total"); n != 0 {
		t.Errorf("%v WALs quarantined for a torn tail", n)
	}
}

// The last entry itself is cut, as by a disk that lied: all before it is there, and the agent serves.
func TestDamage_LastEntryCut(t *testing.T) {
	t.Parallel()
	l, a, p := killedInOutage(t, ackOne["plain"], (*proxy).cutOff)
	path, entries := leftWAL(t, a)
	last := entries[len(entries)-1]
	half := int(last.End-last.Start) / 2
	change(t, filepath.Join(path, last.File), last.Offset+int64(half), func(b []byte) { clear(b) }, half)
	p.mend()
	a.Restart()
	missing := l.missing(t, a, entries)
	if want := records(t, last); missing > want {
		t.Errorf("%d acked records are missing, the last entry held %d", missing, want)
	}
}

// A byte that was durable has changed: what lies before it is replayed, the rest is kept for people, and the log holds
// nothing wrong.
func TestDamage_FlippedByteInTheMiddle(t *testing.T) {
	t.Parallel()
	l, a, p := killedInOutage(t, ackOne["plain"], (*proxy).cutOff)
	path, entries := leftWAL(t, a)
	middle := entries[len(entries)/2]
	change(t, filepath.Join(path, middle.File), middle.Offset+int64(middle.End-middle.Start)/2, func(b []byte) { b[0] ^= 0x40 }, 1)
	p.mend()
	a.Restart()
	if n := a.Metric("odradek_agent_wal_quarantined_total"); n != 1 {
		t.Errorf("odradek_agent_wal_quarantined_total is %v, want 1", n)
	}
	if len(a.LogLines("wal quarantined")) != 1 {
		t.Error("the quarantine is not in the log")
	}
	if kept, _ := filepath.Glob(filepath.Join(a.DataDir, "quarantine", "*", "*.wal")); len(kept) == 0 {
		t.Error("nothing in quarantine")
	}
	before := 0
	for _, e := range entries[:len(entries)/2] {
		before += records(t, e)
	}
	missing := l.missing(t, a, entries)
	if missing == 0 {
		t.Error("nothing is missing: the flipped byte was not noticed")
	}
	total := 0
	for _, e := range entries {
		total += records(t, e)
	}
	if missing > total-before {
		t.Errorf("%d acked records are missing, only %d of %d were not before the damage", missing, total-before, total)
	}
	work := startLoad(t, newLedger(), loadConfig{addr: a.Addr, producers: 1, first: 20})
	work.progress(50, 30*time.Second)
	work.finish(30 * time.Second)
}

// records counts those of an entry.
func records(t *testing.T, e wal.Entry) int {
	t.Helper()
	l, err := ingest.ReadLogged(append([]byte(nil), e.Payload...))
	if err != nil {
		t.Fatal(err)
	}
	return int(l.Next - l.Base)
}

// missing counts the acked records that are not in the log, and fails if anything that is there is wrong.
func (l *ledger) missing(t *testing.T, a *harness.Agent, entries []wal.Entry) int {
	t.Helper()
	log := readAll(t, a.Addr, loadTopic)
	missing := 0
	for at, want := range l.acked {
		got := log[at]
		if got == nil {
			missing++
		} else if diff := difference(got, want); diff != "" {
			t.Errorf("at %v: %s", at, diff)
		}
	}
	c := new(complaints)
	ordered(log, c)
	if len(c.lines) > 0 {
		t.Error(c)
	}
	t.Logf("%d acked, %d in the log, %d missing; the WAL had %d entries", len(l.acked), len(log), missing, len(entries))
	return missing
}
