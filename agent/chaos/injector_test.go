package chaos

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/checkpoint"
	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/metadata/embedded"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/wal"
)

// dead is what die panics with here: the process goes on, the call does not.
type dead struct{}

// newInjector gives an injector whose end of the process is a panic.
func newInjector(t *testing.T) *Injector {
	t.Helper()
	i, err := New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	i.die = func() { panic(dead{}) }
	return i
}

// dies reports whether a call ends the process.
func dies(call func()) (died bool) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case dead:
			died = true
		default:
			panic(r)
		}
	}()
	call()
	return false
}

// put creates an object whose payload a store takes for a slot of a log.
func put(t *testing.T, s objectstore.Store, key string, kind slotlog.Kind, payload []byte) {
	t.Helper()
	if err := s.Create(t.Context(), key, slotlog.Freeze(kind, payload).Body); err != nil {
		t.Fatal(err)
	}
}

func encode(t *testing.T, records ...control.Record) []byte {
	t.Helper()
	b, err := control.Encode(records)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStore_EndsBeforeOrAfterTheObjectIsThere(t *testing.T) {
	journal := topic.JournalID{1}
	for what, object := range map[string]struct {
		key     string
		kind    slotlog.Kind
		payload []byte
	}{
		Slot: {slotlog.JournalKey(journal, 3), slotlog.Data, []byte("no footer")},
		Seal: {slotlog.JournalKey(journal, 4), slotlog.Seal, nil},
		Era:  {slotlog.ControlKey(5), slotlog.Data, encode(t, control.Era{Number: 1, RunID: "r", ReplicationID: "x"})},
	} {
		for point, stored := range map[string]bool{Before(what): false, After(what): true} {
			t.Run(point, func(t *testing.T) {
				i, bucket := newInjector(t), memory.New()
				if err := i.Arm(point, 1); err != nil {
					t.Fatal(err)
				}
				if !dies(func() { put(t, i.Store(bucket), object.key, object.kind, object.payload) }) {
					t.Fatal("the process goes on")
				}
				if _, err := bucket.Head(t.Context(), object.key); (err == nil) != stored {
					t.Fatalf("the object: %v; want it there: %v", err, stored)
				}
			})
		}
	}
}

func TestStore_NamesRecordsOfTheControlLog(t *testing.T) {
	i := newInjector(t)
	s := i.Store(memory.New())
	put(t, s, slotlog.ControlKey(1), slotlog.Data, encode(t, control.TopicDelete{ID: topic.ID{1}}, control.TopicDelete{ID: topic.ID{2}}))
	put(t, s, slotlog.ControlKey(2), slotlog.Data, encode(t, control.ProducerIDs{}))
	want := map[string]int{Before(Topic): 1, After(Topic): 1}
	if diff := cmp.Diff(want, i.report().Passed); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

// What is internal is told from outside: a log that is read from a checkpoint on does not name the topic again.
func TestStore_NamesSlotsWithInternalRecords(t *testing.T) {
	groups := topic.ID{9}
	for _, told := range []bool{false, true} {
		i := newInjector(t)
		if told {
			i.Internal(func(id topic.ID) bool { return id == groups })
		}
		s := i.Store(memory.New())
		for n, id := range []topic.ID{{1}, groups} {
			batch := recordbatch.Build(recordbatch.Draft{Records: []recordbatch.Record{{Value: []byte("v")}}})
			o, err := segment.Build(segment.Footer{Journal: topic.JournalID{1}, Slot: topic.Slot(n)},
				[]segment.Run{{Partition: topic.Partition{Topic: id}, Next: 1, Batches: [][]byte{batch}}}, segment.None)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Create(t.Context(), slotlog.JournalKey(topic.JournalID{1}, topic.Slot(n)), slotlog.Freeze(slotlog.Data, o.Parts...).Body); err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]int{Before(Slot): 2, After(Slot): 2}
		if told {
			want[Before(GroupCommit)], want[After(GroupCommit)] = 1, 1
		}
		if diff := cmp.Diff(want, i.report().Passed); diff != "" {
			t.Errorf("told %v: -want +got:\n%s", told, diff)
		}
	}
}

func TestStore_NamesWhatCompactionDoes(t *testing.T) {
	i := newInjector(t)
	s := i.Store(memory.New())
	object := topic.Object{Planned: 3, ID: topic.ObjectID{1}}
	cleaned := topic.Run{Object: object, Next: 1, Level: 2, Cleaned: 1}
	for n, records := range map[topic.Slot][]control.Record{
		1: {control.Manifest{Output: object, Size: 1, Parts: []control.ManifestPart{{To: 1, Run: &topic.Run{Object: object, Next: 1, Level: 1}}}}},
		2: {control.Manifest{Output: object, Size: 1, Parts: []control.ManifestPart{{To: 1, Run: &cleaned}}}},
		3: {control.Trim{Slot: 1}, control.Trim{Slot: 2}}, 4: {control.Sweep{Before: 1}},
		5: {control.Checkpoint{Control: 1}}, 6: {control.Verified{Control: 1}},
	} {
		put(t, s, slotlog.ControlKey(n), slotlog.Data, encode(t, records...))
	}
	name := checkpoint.Name{Control: 1, ID: control.CheckpointID{1}}
	for _, key := range []string{object.Key(), compaction.LedgerPrefix + "1", name.Key(), checkpoint.PartKey(1, checkpoint.PartID{1})} {
		if err := s.Create(t.Context(), key, objectstore.NewBody([]byte("x"))); err != nil {
			t.Fatal(err)
		}
	}
	large, err := objectstore.Uploads(s)
	if err != nil {
		t.Fatal(err)
	}
	u, err := large.Upload(t.Context(), topic.Object{Planned: 3, ID: topic.ObjectID{2}}.Key())
	if err == nil {
		err = u.Append(t.Context(), objectstore.NewBody([]byte("x")))
	}
	if err == nil {
		err = u.Complete(t.Context())
	}
	for _, key := range []string{object.Key(), slotlog.ControlKey(3)} {
		if derr := s.Delete(t.Context(), key); err == nil {
			err = derr
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]int)
	for _, point := range Compaction() {
		want[point] = 1
	}
	want[Before(Compacted)], want[After(Compacted)] = 2, 2
	if diff := cmp.Diff(want, i.report().Passed); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

func TestHold_TheNextOneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newInjector(t)
		if err := i.Hold(Before(Manifest), 20*time.Second); err != nil {
			t.Fatal(err)
		}
		for n, want := range []time.Duration{20 * time.Second, 0} {
			began := time.Now()
			i.pass(Before(Manifest))
			if took := time.Since(began); took != want {
				t.Errorf("pass %d took %v, want %v", n+1, took, want)
			}
		}
		if i.Hold("before lunch", time.Second) == nil || i.Hold(Before(Manifest), 0) == nil || i.Hold(Before(Manifest), time.Hour) == nil {
			t.Error("an order that cannot be followed was taken")
		}
		if err := i.Hold(After(Trim), time.Second); err != nil {
			t.Fatal(err)
		}
		i.Disarm()
		began := time.Now()
		if i.pass(After(Trim)); time.Since(began) > 0 {
			t.Error("disarmed, and waited")
		}
	})
}

func TestArm_CountsPasses(t *testing.T) {
	i := newInjector(t)
	if err := i.Arm(Before(Seal), 3); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		if died := dies(func() { i.pass(Before(Seal)) }); died != (n == 2) {
			t.Fatalf("pass %d: died %v", n+1, died)
		}
	}
	if err := i.Arm(Before(Seal), 1); err != nil {
		t.Fatal(err)
	}
	i.Disarm()
	if dies(func() { i.pass(Before(Seal)) }) {
		t.Fatal("disarmed, and died")
	}
	if i.Arm("before lunch", 1) == nil || i.Arm(Before(Seal), 0) == nil {
		t.Fatal("an order that cannot be followed was taken")
	}
}

func TestMetadata_EndsAroundACall(t *testing.T) {
	i := newInjector(t)
	inner := embedded.Open()
	defer inner.Close()
	s := i.Metadata(inner)
	run, repl, err := s.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pin := metadata.Pin{Era: 1, RunID: run, ReplicationID: repl}
	if err := i.Arm(After(Begin), 1); err != nil {
		t.Fatal(err)
	}
	if !dies(func() { s.Begin(t.Context(), pin) }) {
		t.Fatal("the process goes on")
	}
	if err := i.Arm(Before(Register), 1); err != nil {
		t.Fatal(err)
	}
	if !dies(func() { s.Register(t.Context(), pin, topic.JournalID{1}, "") }) {
		t.Fatal("the process goes on")
	}
	if counters, err := s.Counters(t.Context(), pin); err != nil || len(counters) != 0 {
		t.Fatalf("counters %v, %v: the call was made", counters, err)
	}
}

// memoryFile is a file that takes everything.
type memoryFile struct{ syncs, writes int }

func (f *memoryFile) WriteAt([][]byte, int64) error { f.writes++; return nil }
func (f *memoryFile) Sync() error                   { f.syncs++; return nil }
func (f *memoryFile) Close() error                  { return nil }

type memoryDisk struct{ file *memoryFile }

func (d memoryDisk) Create(string, int64) (wal.File, error) { return d.file, nil }
func (d memoryDisk) SyncDir(string) error                   { return nil }

func TestDisk_FailsAsItIsTold(t *testing.T) {
	i, under := newInjector(t), &memoryFile{}
	d := i.Disk(memoryDisk{under})
	f, err := d.Create("x", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		fault               DiskFault
		create, write, sync error
	}{
		{"", nil, nil, nil},
		{FailWrites, nil, syscall.EIO, nil},
		{FailSyncs, nil, nil, syscall.EIO},
		{NoSpace, syscall.ENOSPC, syscall.ENOSPC, nil},
	} {
		i.MendDisk()
		if test.fault != "" {
			if err := i.FailDisk(test.fault, 0); err != nil {
				t.Fatal(err)
			}
		}
		before := *under
		_, cerr := d.Create("y", 1)
		werr, serr := f.WriteAt(nil, 0), f.Sync()
		if !errors.Is(cerr, test.create) || !errors.Is(werr, test.write) || !errors.Is(serr, test.sync) {
			t.Errorf("%q: create %v, write %v, sync %v", test.fault, cerr, werr, serr)
		}
		if (under.writes > before.writes) != (test.write == nil) || (under.syncs > before.syncs) != (test.sync == nil) {
			t.Errorf("%q: what fails reached the disk, or what does not fail did not", test.fault)
		}
	}
	if err := i.FailDisk("melts", 0); err == nil {
		t.Error("an unknown fault was taken")
	}
	if err := i.FailDisk(SlowSync, 30*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := f.Sync(); err != nil || time.Since(began) < 30*time.Millisecond {
		t.Errorf("a slow sync: %v after %v", err, time.Since(began))
	}
	if n := i.report().Faults[faultDisk]; n != 5 {
		t.Errorf("%d disk faults counted, want 5", n)
	}
}

func TestHandler_TakesOrdersAndReports(t *testing.T) {
	i := newInjector(t)
	server := httptest.NewServer(i.Handler())
	defer server.Close()
	post := func(path string) int {
		r, err := http.Post(server.URL+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}
	for path, want := range map[string]int{
		"/chaos/crash?at=" + strings.ReplaceAll(After(Release), " ", "+") + "&pass=2": 204,
		"/chaos/crash?at=nowhere":                400,
		"/chaos/crash?at=before+seal&pass=x":     400,
		"/chaos/hold?at=after+trim&for=20s":      204,
		"/chaos/hold?at=after+trim&for=ever":     400,
		"/chaos/disk?fault=sync-slow&by=50ms":    204,
		"/chaos/disk?fault=sync-slow&by=forever": 400,
		"/chaos/clock?by=never":                  400,
		"/chaos/clock?by=1h":                     400, // this test's binary has an ordinary clock
		"/chaos/clock?by=0s":                     204,
	} {
		if got := post(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	answer, err := http.Get(server.URL + "/chaos/")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var r Report
	if err := json.NewDecoder(answer.Body).Decode(&r); err != nil {
		t.Fatal(err)
	}
	if r.Armed[After(Release)] != 2 || r.Disk != SlowSync || r.Clock != "0s" || r.Shifts {
		t.Fatalf("report %+v", r)
	}
	if post("/chaos/disarm") != 204 || post("/chaos/disk") != 204 {
		t.Fatal("an order was refused")
	}
	if r := i.report(); len(r.Armed) != 0 || r.Disk != "" {
		t.Fatalf("report %+v", r)
	}
}
