package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

// What cannot be erased is told in one line, and nothing is written.
func TestErase_BadInput(t *testing.T) {
	b := poolBucket(t)
	b.control(control.TopicCreate{ID: topic.ID{9}, Name: "__consumer_offsets", Internal: true, Journals: []topic.JournalID{journalOf(1)}})
	for _, journal := range []int{2, 3} {
		s := b.state()
		r := control.JournalSealed{Journal: journalOf(journal)}
		for _, a := range s.PartitionsOf(journalOf(journal)) {
			r.Parts = append(r.Parts, control.Reassigned{Partition: a.Partition, OldEpoch: a.Epoch, ToJournal: journalOf(1)})
		}
		b.seal(journalOf(journal), 0)
		if journal == 2 {
			wantStatus(t, odradek(t, "erase", "--topic", "shoes", "--key", "k", "--bucket", b.url), exitUsage, "3 agents share this bucket")
		}
		b.control(r)
	}
	numbers := b.state().Next()
	for _, c := range []struct {
		status int
		says   string
		args   []string
	}{
		{exitUsage, "--topic: name the topic", []string{"--key", "k"}},
		{exitUsage, "one of --key, --key-file and --offsets", []string{"--topic", "shoes"}},
		{exitUsage, "one of --key, --key-file and --offsets", []string{"--topic", "shoes", "--key", "k", "--offsets", "1-2", "--partition", "0"}},
		{exitUsage, "say of which --partition", []string{"--topic", "shoes", "--offsets", "1-2"}},
		{exitUsage, "is empty", []string{"--topic", "shoes", "--partition", "0", "--offsets", "3-2"}},
		{exitUsage, "is not FIRST-LAST", []string{"--topic", "shoes", "--partition", "0", "--offsets", "x"}},
		{exitUsage, "is not FIRST-LAST", []string{"--topic", "shoes", "--partition", "0", "--offsets", "-3"}},
		{exitUsage, "-2 is no partition", []string{"--topic", "shoes", "--partition", "-2", "--key", "k"}},
		{exitUsage, "less than a second", []string{"--topic", "shoes", "--key", "k", "--gc-grace", "1ms"}},
		{exitError, "no topic boots", []string{"--topic", "boots", "--key", "k"}},
		{exitError, "is internal", []string{"--topic", "__consumer_offsets", "--key", "k"}},
		{exitError, "has the partitions 0 to 2, not 3", []string{"--topic", "shoes", "--key", "k", "--partition", "3"}},
		{exitError, "partition 0 has nothing, its end is 0, not all of 0 to 4", []string{"--topic", "shoes", "--partition", "0", "--offsets", "0-4"}},
		{exitError, "no such file", []string{"--topic", "shoes", "--key-file", filepath.Join(t.TempDir(), "key")}},
	} {
		wantStatus(t, odradek(t, append([]string{"erase", "--bucket", b.url}, c.args...)...), c.status, c.says)
	}
	if got := odradek(t, "erase", "--topic", "shoes", "--key", "k", "--bucket", b.url); got.status != exitOK || !strings.Contains(got.err, "nothing is done") {
		t.Errorf("status %d, %s%s", got.status, got.out, got.err)
	}
	if after := b.state().Next(); after != numbers {
		t.Errorf("the control log has %d numbers, had %d", after, numbers)
	}
}

// wantStatus expects a status, and one line of an error behind what was told before.
func wantStatus(t *testing.T, got outcome, status int, says string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(got.err), "\n")
	if last := lines[len(lines)-1]; got.status != status || !strings.HasPrefix(last, "odradek: ") || !strings.Contains(last, says) || strings.Count(got.err, "odradek: ") != 1 {
		t.Errorf("status %d, want %d: %s", got.status, status, got.err)
	}
}

// filesWith lists the files of a directory that hold a text.
func filesWith(t *testing.T, dir string, text []byte) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, text) {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// One process, with the agent stopped: the agent has the directory for itself.
func TestErase_InADirectory(t *testing.T) {
	dir := t.TempDir()
	bucket := filepath.Join(dir, "bucket")
	p := startAgent(t, dir)
	c, err := kgo.NewClient(kgo.SeedBrokers(p.address), kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	values := map[string][]byte{"alice": make([]byte, 300), "bob": make([]byte, 300)}
	for _, v := range values {
		rand.Read(v)
	}
	for range 5 {
		for name, v := range values {
			if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "people", Key: []byte(name), Value: v}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	args := []string{"erase", "--topic", "people", "--key-file", filepath.Join(dir, "key"), "--bucket", "file://" + bucket, "--gc-grace", "1s"}
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("alice"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, odradek(t, args...), exitError, "stop that agent first")
	got := odradek(t, append(args, "--dry-run")...)
	if got.status != exitOK || !strings.Contains(got.err, "5 records would be erased of 1 partition") || !strings.HasSuffix(squeezed(got.out), " 0 4\n") {
		t.Errorf("status %d, %s%s", got.status, got.out, got.err)
	}
	p.kill()
	if files := filesWith(t, bucket, values["alice"]); len(files) != 5 {
		t.Errorf("%v hold it", files)
	}
	got = odradek(t, args...)
	var r compaction.Receipt
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.status != exitOK || r.Records != 5 || r.KeySHA256 != compaction.HashKey([]byte("alice")) || len(r.Deleted) < 6 {
		t.Fatalf("status %d, %v: %s%s", got.status, err, got.out, got.err)
	}
	for _, text := range [][]byte{values["alice"], []byte("alice")} {
		if files := filesWith(t, bucket, text); len(files) > 0 {
			t.Errorf("%v hold %.5q still", files, text)
		}
	}
	if files := filesWith(t, bucket, values["bob"]); len(files) != 1 {
		t.Errorf("%v hold what was not erased", files)
	}
	verified(t, "file://"+bucket)
	p = startAgent(t, dir)
	d, err := kgo.NewClient(kgo.SeedBrokers(p.address), kgo.ConsumeTopics("people"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for n := 0; n < 5; {
		d.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) {
			if n++; string(r.Key) != "bob" {
				t.Errorf("record of %s at %d", r.Key, r.Offset)
			}
		})
	}
}
