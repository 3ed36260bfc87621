package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// opened is a directory with one ring, as a test uses it.
type opened struct {
	*WAL
	dir  *Directory
	path string
	stop func() error // ends Run and returns its error
}

var testIdentity = Identity{0xab, 1, 2, 3}

// openTest opens a ring of small files in a new directory. Without run nothing is written.
func openTest(t *testing.T, disk Disk, config Config, run bool) *opened {
	t.Helper()
	o := &opened{path: t.TempDir(), stop: func() error { return nil }}
	var err error
	if o.dir, err = OpenDirectory(o.path, disk); err != nil {
		t.Fatal(err)
	}
	if config.Identity == (Identity{}) {
		config.Identity = testIdentity
	}
	if o.WAL, err = o.dir.Open(config); err != nil {
		t.Fatal(err)
	}
	if run {
		o.run(t)
	}
	t.Cleanup(func() {
		o.stop()
		o.WAL.Close()
		o.dir.Close()
	})
	return o
}

func (o *opened) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	o.stop = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
}

// recovered reads the one ring in a data directory and returns its payloads.
func recovered(t *testing.T, path string) (*Recovered, [][]byte) {
	t.Helper()
	rings, err := Inspect(path)
	if err != nil || len(rings) != 1 {
		t.Fatalf("inspect: %d rings, %v; want 1", len(rings), err)
	}
	return rings[0], payloads(t, rings[0])
}

func payloads(t *testing.T, r *Recovered) [][]byte {
	t.Helper()
	var got [][]byte
	for e, err := range r.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, bytes.Clone(e.Payload))
	}
	return got
}

// sample gives the n-th payload of a test: of any size up to limit, and unlike all others.
func sample(n, limit int) []byte {
	rng := rand.New(rand.NewPCG(uint64(n), 7))
	b := make([]byte, rng.IntN(limit))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return append(b, fmt.Sprintf("#%d", n)...)
}

func mustAppend(t *testing.T, w *WAL, parts ...[]byte) Position {
	t.Helper()
	pos, err := w.Append(parts...)
	if err != nil {
		t.Fatal(err)
	}
	return pos
}

func mustSync(t *testing.T, w *WAL, pos Position) {
	t.Helper()
	if err := w.Synced(t.Context(), pos); err != nil {
		t.Fatal(err)
	}
}

func TestAppend_ComesBackInOrder(t *testing.T) {
	o := openTest(t, OSDisk{}, Config{FileBytes: 64 << 10, MaxBytes: 1 << 20}, true)
	var want [][]byte
	var last Position
	for i := range 200 {
		b := sample(i, 6000)
		cut := len(b) / 3
		last = mustAppend(t, o.WAL, b[:cut], nil, b[cut:])
		want = append(want, b)
	}
	mustSync(t, o.WAL, last)
	r, got := recovered(t, o.path)
	if r.Err != nil || r.Torn || r.Next != last || r.Identity != testIdentity {
		t.Fatalf("recovered %+v, want everything up to %d", r, last)
	}
	if len(got) != len(want) {
		t.Fatalf("got %d entries, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("entry %d differs", i)
		}
	}
}

func TestAppend_EmptyEntryIsAnEntry(t *testing.T) {
	o := openTest(t, OSDisk{}, Config{FileBytes: 8 << 10, MaxBytes: 16 << 10}, true)
	mustAppend(t, o.WAL)
	mustSync(t, o.WAL, mustAppend(t, o.WAL, []byte("x")))
	if _, got := recovered(t, o.path); len(got) != 2 || len(got[0]) != 0 || string(got[1]) != "x" {
		t.Fatalf("got %q", got)
	}
}

func TestAppend_LargerThanAFileIsRefused(t *testing.T) {
	o := openTest(t, OSDisk{}, Config{FileBytes: 8 << 10, MaxBytes: 16 << 10}, false)
	largest := 8<<10 - fileHeaderBytes - entryHeader
	if _, err := o.Append(make([]byte, largest+1)); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("got %v, want ErrTooLarge", err)
	}
	if _, err := o.Reserve(t.Context(), largest+1); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("got %v, want ErrTooLarge", err)
	}
	if _, err := o.Append(make([]byte, largest)); err != nil {
		t.Fatal(err)
	}
}

func TestRing_GoesRoundManyTimesInTheSameFiles(t *testing.T) {
	o := openTest(t, OSDisk{}, Config{FileBytes: 16 << 10, MaxBytes: 64 << 10}, true)
	var kept []Position
	for i := range 2000 {
		room, err := o.Reserve(t.Context(), 3000)
		if err != nil {
			t.Fatal(err)
		}
		pos, err := room.Append(sample(i, 2900))
		if err != nil {
			t.Fatal(err)
		}
		if kept = append(kept, pos); len(kept) > 7 {
			if err := o.Written(t.Context(), kept[0]); err != nil {
				t.Fatal(err)
			}
			o.Release(kept[0])
			kept = kept[1:]
		}
	}
	mustSync(t, o.WAL, kept[6])
	r, got := recovered(t, o.path)
	if r.Err != nil || r.Next != kept[6] || len(got) < 7 || r.Files > 4 {
		t.Fatalf("recovered %d entries up to %d from %d files, %v", len(got), r.Next, r.Files, r.Err)
	}
	for i, b := range got {
		if want := sample(2000-len(got)+i, 2900); !bytes.Equal(b, want) {
			t.Fatalf("entry %d of %d differs", i, len(got))
		}
	}
	if s := o.Stats(); s.Files > 4 || s.Written != kept[6] || s.Synced != kept[6] || s.QueuedBytes != 0 {
		t.Fatalf("stats %+v", s)
	}
}

func TestRun_EndWritesWhatIsQueued(t *testing.T) {
	o := openTest(t, OSDisk{}, Config{FileBytes: 64 << 10, MaxBytes: 1 << 20}, true)
	var last Position
	for i := range 50 {
		last = mustAppend(t, o.WAL, sample(i, 5000))
	}
	if err := o.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Append([]byte("late")); !errors.Is(err, ErrClosed) {
		t.Fatalf("append after the end: %v, want ErrClosed", err)
	}
	if err := o.Written(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if _, got := recovered(t, o.path); len(got) != 50 {
		t.Fatalf("got %d entries, want 50", len(got))
	}
}
