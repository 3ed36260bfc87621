package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/local"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/wal"
)

var (
	inspected = topic.JournalID{0xab, 0xcd}
	shoes     = topic.ID{0x50}
)

// smallBucket makes a bucket of one sealed journal with one slot, and gives its directory and URL.
func smallBucket(t *testing.T) (dir, url string) {
	t.Helper()
	dir = t.TempDir()
	store, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for n, records := range [][]control.Record{
		{control.Genesis{ClusterID: "c", Format: control.FormatLevel}},
		{control.JournalOpen{ID: inspected, NodeID: 1, K: 4, Build: "b", Format: control.FormatLevel}},
		{control.TopicCreate{ID: shoes, Name: "shoes", Journals: []topic.JournalID{inspected}}, control.TopicDelete{ID: topic.ID{9}}},
	} {
		payload, err := control.Encode(records)
		if err == nil {
			err = slotlog.Decide(t.Context(), store, topic.Slot(n), payload)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b := recordbatch.Build(recordbatch.Draft{Producer: &recordbatch.Producer{ID: 7, Epoch: 2, Sequence: 3}, Records: []recordbatch.Record{
		{Timestamp: 1_700_000_000_000, Value: []byte(strings.Repeat("again and ", 100))}, {Timestamp: 1_700_000_000_001, Value: []byte("x")},
	}})
	f := segment.Footer{Journal: inspected, CreatedMs: 1_700_000_000_500}
	o, err := segment.Build(f, []segment.Run{{Partition: topic.Partition{Topic: shoes}, Next: 2, Batches: [][]byte{b}}}, segment.S2)
	if err != nil {
		t.Fatal(err)
	}
	for slot, body := range []slotlog.Frozen{slotlog.Freeze(slotlog.Data, o.Parts...), slotlog.Freeze(slotlog.Seal, []byte("by a test"))} {
		if err := store.Create(t.Context(), slotlog.JournalKey(inspected, topic.Slot(slot)), body.Body); err != nil {
			t.Fatal(err)
		}
	}
	return dir, "file://" + dir
}

// squeezed makes runs of blanks one, so that a table is compared by its words.
func squeezed(s string) string { return regexp.MustCompile(` +`).ReplaceAllString(s, " ") }

// wantLines expects success and these lines among the output's.
func wantLines(t *testing.T, got outcome, lines ...string) {
	t.Helper()
	if got.status != exitOK || got.err != "" {
		t.Errorf("status %d: %s", got.status, got.err)
	}
	out := "\n" + squeezed(got.out)
	for _, l := range lines {
		if !strings.Contains(out, "\n"+l) {
			t.Errorf("no line %q in:%s", l, out)
		}
	}
}

func TestInspectControl_PrintsEachRecordAndWhyItIsVoid(t *testing.T) {
	_, url := smallBucket(t)
	got := odradek(t, "inspect", "control", "--bucket", url)
	wantLines(t, got, `0 GENESIS cluster "c" format 1`, "1 JOURNAL_OPEN "+inspected.String(), `2 TOPIC_CREATE "shoes"`, "2 TOPIC_DELETE topic "+topic.ID{9}.String()+" void: no topic")
	if n := strings.Count(got.out, "\n"); n != 4 {
		t.Errorf("%d lines", n)
	}
	got = odradek(t, "inspect", "control", "--bucket", url, "--from", "1", "--to", "2")
	if !strings.HasPrefix(got.out, "1 JOURNAL_OPEN ") || strings.Count(got.out, "\n") != 1 {
		t.Errorf("got %s", got.out)
	}
	got = odradek(t, "inspect", "control", "--bucket", url, "--json", "--from", "2")
	var lines []controlLine
	if err := json.Unmarshal([]byte(got.out), &lines); err != nil || len(lines) != 2 || lines[0].Void || !lines[1].Void || lines[1].Type != "TOPIC_DELETE" {
		t.Errorf("got %+v, %v", lines, err)
	}
}

func TestInspectControl_PrintsUpToWhatCannotBeRead(t *testing.T) {
	dir, url := smallBucket(t)
	flip(t, filepath.Join(dir, slotlog.ControlKey(2)), 3)
	got := odradek(t, "inspect", "control", "--bucket", url)
	if got.status != exitError || strings.Count(got.out, "\n") != 2 || !strings.Contains(got.err, slotlog.ControlKey(2)+": corrupt slot object: crc") {
		t.Errorf("got %+v", got)
	}
}

func flip(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 4
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestInspectJournal_ListsJournalsAndSlots(t *testing.T) {
	_, url := smallBucket(t)
	wantLines(t, odradek(t, "inspect", "journal", "--bucket", url), inspected.String()+" 1 open 1 4 1 2 ")
	for _, name := range []string{inspected.String(), "abcd", "AB"} {
		wantLines(t, odradek(t, "inspect", "journal", name, "--bucket", url),
			"0 data ", "1 seal 57 B 0 0 0 - by a test")
	}
	got := odradek(t, "inspect", "journal", "ab", "--bucket", url, "--json", "--to", "1")
	var lines []slotLine
	err := json.Unmarshal([]byte(got.out), &lines)
	if err != nil || len(lines) != 1 || lines[0].Extents != 1 || lines[0].Records != 2 || lines[0].Created != "2023-11-14T22:13:20.500Z" {
		t.Errorf("got %+v, %v", lines, err)
	}
	if got := odradek(t, "inspect", "journal", "ef", "--bucket", url); got.status != exitError || !strings.Contains(got.err, "no journal ef") {
		t.Errorf("got %+v", got)
	}
}

func TestInspectSegment_DrawsTheObject(t *testing.T) {
	dir, url := smallBucket(t)
	key := slotlog.JournalKey(inspected, 0)
	for _, args := range [][]string{{key}, {"abcd", "0"}} {
		got := odradek(t, append([]string{"inspect", "segment", "--bucket", url, "--records"}, args...)...)
		wantLines(t, got, key+": data, ", "0 8 header", "8 32 table shoes/0 [0, 2)", "40 ", "shoes/0 [0, 2) 0 ")
		for _, words := range []string{"block shoes/0 [0, 2) s2 0.", " slot trailer", " footer", "none 7 epoch 2 sequence 3 2023-11-14T22:13:20.001Z"} {
			if !strings.Contains(squeezed(got.out), words) {
				t.Errorf("no %q in:\n%s", words, got.out)
			}
		}
	}
	wantLines(t, odradek(t, "inspect", "segment", "ab", "1", "--bucket", url), slotlog.JournalKey(inspected, 1)+": seal, 57 B, by a test")

	got := odradek(t, "inspect", "segment", "ab", "0", "--bucket", url, "--json", "--records")
	var v segmentView
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || len(v.Batches) != 1 || v.Batches[0].Producer != 7 {
		t.Fatalf("got %+v, %v", v, err)
	}
	at := int64(0)
	for _, p := range v.Parts { // nothing of the object is left out
		if p.Offset != at {
			t.Errorf("%s at %d, want %d", p.What, p.Offset, at)
		}
		at += p.Size
	}
	if at != v.Bytes {
		t.Errorf("parts end at %d of %d", at, v.Bytes)
	}

	flip(t, filepath.Join(dir, key), 50)
	got = odradek(t, "inspect", "segment", key, "--bucket", url)
	if got.status != exitError || !strings.Contains(got.err, "block 0") || !strings.Contains(squeezed(got.out), "8 32 table shoes/0") {
		t.Errorf("a flipped byte: got %+v", got)
	}
	if got := odradek(t, "inspect", "segment", "ab", "2", "--bucket", url); got.status != exitError || !strings.Contains(got.err, "not found") {
		t.Errorf("a slot that is not there: got %+v", got)
	}
}

func TestInspectSegment_DrawsACompactedObject(t *testing.T) {
	dir, url := smallBucket(t)
	o := topic.Object{Planned: 3, ID: topic.ObjectID{0xc0, 1}}
	write := func(emit func([]byte) error) error {
		w := segment.NewObjectWriter(o, emit, segment.None)
		batch := recordbatch.Build(recordbatch.Draft{Base: 5, Epoch: 2, Records: []recordbatch.Record{{Value: []byte("boot")}}})
		err := errors.Join(w.Begin(topic.Partition{Topic: shoes}, 4, 1), w.Append(batch))
		_, end := w.End(8)
		_, closed := w.Close()
		return errors.Join(err, end, closed)
	}
	store, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objectstore.CreateLarge(t.Context(), store, o.Key(), write); err != nil {
		t.Fatal(err)
	}
	got := odradek(t, "inspect", "segment", o.Key(), "--bucket", url, "--records")
	wantLines(t, got, o.Key()+": compacted, ", "0 8 header", "8 32 table shoes/0 [4, 8)", "40 72 block shoes/0 [5, 8) none 1.000",
		"112 10 run table shoes/0 [4, 8)", "shoes/0 [5, 6) 2 ")
	flip(t, filepath.Join(dir, o.Key()), 45)
	got = odradek(t, "inspect", "segment", o.Key(), "--bucket", url)
	if got.status != exitError || !strings.Contains(got.err, "block 0") || !strings.Contains(squeezed(got.out), "8 32 table") {
		t.Errorf("a flipped byte: got %+v", got)
	}
	if got := odradek(t, "inspect", "segment", "compacted/00/1", "--bucket", url); got.status != exitUsage {
		t.Errorf("a key that is none: got %+v", got)
	}
}

func TestInspectWAL_PrintsWhatIsNotReleased(t *testing.T) {
	dir := t.TempDir()
	p := startAgent(t, dir)
	produceOneByOne(t, p.address, 5)
	p.kill()
	bucket := "file://" + filepath.Join(dir, "bucket")
	got := odradek(t, "inspect", "wal", dir, "--bucket", bucket)
	wantLines(t, got, "journal ", "POSITION FILE OFFSET BYTES PARTITION EPOCH [BASE, NEXT)")
	var views []walView
	got = odradek(t, "inspect", "wal", dir, "--bucket", bucket, "--json")
	if err := json.Unmarshal([]byte(got.out), &views); err != nil || len(views) != 1 || len(views[0].Entries) == 0 {
		t.Fatalf("got %+v, %v", views, err)
	}
	last := views[0].Entries[len(views[0].Entries)-1]
	if !regexp.MustCompile(`^t\d/\d$`).MatchString(last.Partition) || last.Next != last.Base+1 {
		t.Errorf("last entry %+v", last)
	}

	// A name is only told where the bucket has it.
	got = odradek(t, "inspect", "wal", dir, "--bucket", "file:///nowhere", "--json")
	if err := json.Unmarshal([]byte(got.out), &views); err != nil || strings.HasPrefix(views[0].Entries[0].Partition, "t") {
		t.Errorf("got %+v, %v", views, err)
	}
}

// ring makes a write-ahead log of durable entries, nonsense but for the first, and gives its data directory.
func ring(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	d, err := wal.OpenDirectory(dir, wal.OSDisk{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := d.Open(wal.Config{Identity: wal.Identity(inspected), FileBytes: 8 << 10, MaxBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- w.Run(ctx) }()
	head := make([]byte, 32) // topic id, partition, epoch, base
	copy(head, shoes[:])
	head[31] = 9
	if _, err := w.Append(head, recordbatch.Build(recordbatch.Draft{Base: 9, Records: []recordbatch.Record{{Value: []byte("v")}}})); err != nil {
		t.Fatal(err)
	}
	end, err := w.Append([]byte("nonsense"))
	if err == nil {
		err = w.Synced(t.Context(), end)
	}
	if err == nil { // an entry says up to where those before it were durable
		if end, err = w.Append([]byte("more nonsense")); err == nil {
			err = w.Synced(t.Context(), end)
		}
	}
	stop()
	if err := errors.Join(err, <-ran, w.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestInspectWAL_TellsDamage(t *testing.T) {
	dir := ring(t)
	_, url := smallBucket(t)
	got := odradek(t, "inspect", "wal", dir, "--bucket", url)
	if got.status != exitError || !strings.Contains(got.err, "1 ring of 1 damaged") || !strings.Contains(squeezed(got.out), " shoes/0 0 [9, 10)") ||
		!strings.Contains(got.out, "wal entry of 8 bytes") {
		t.Errorf("an entry that is no batch: got %+v", got)
	}
	var views []walView
	got = odradek(t, "inspect", "wal", dir, "--bucket", url, "--json")
	if err := json.Unmarshal([]byte(got.out), &views); err != nil || len(views[0].Entries) != 3 || views[0].Journal != inspected.String() {
		t.Fatalf("got %+v, %v", views, err)
	}
	first := views[0].Entries[0]
	flip(t, filepath.Join(views[0].Path, first.File), int(first.Offset)+60)
	got = odradek(t, "inspect", "wal", dir, "--bucket", url)
	if got.status != exitError || !strings.Contains(got.out, "damaged: ") || strings.Contains(got.out, "shoes/0") {
		t.Errorf("a flipped byte of what was durable: got %+v", got)
	}
	if got := odradek(t, "inspect", "wal", t.TempDir()); got.status != exitOK || !strings.Contains(got.out, "no write-ahead log") {
		t.Errorf("an empty directory: %+v", got)
	}
}
