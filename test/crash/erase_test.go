//go:build linux

package crash

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/compaction"
	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/objectstore/bucket"
	"github.com/odradek/odradek/test/harness"
	"github.com/odradek/odradek/test/servers"
)

// person writes records of one key to a topic, whose values nobody can pack, so that they are found in objects as they are.
type person struct {
	name  string
	value []byte
}

func newPerson(name string) person {
	p := person{name, make([]byte, 300)}
	rand.Read(p.value)
	return p
}

// objectsWith lists the objects that hold a text.
func objectsWith(t *testing.T, url string, text []byte) (keys []string) {
	t.Helper()
	store, _, err := bucket.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	err = store.List(t.Context(), "", func(o objectstore.Info) error {
		b, err := store.Get(t.Context(), o.Key)
		if err == nil && bytes.Contains(b, text) {
			keys = append(keys, o.Key)
		}
		return nil // it was deleted meanwhile
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// keysOf reads a topic to its end, over what is missing, and counts records by key.
func keysOf(t *testing.T, addr, name string) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ends := endsOf(ctx, t, adminOf(t, addr), []string{name})
	c := clientOf(t, addr, kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	counts := make(map[string]int)
	for at := range ends {
		if ends[at] == 0 {
			delete(ends, at)
		}
	}
	for len(ends) > 0 {
		fetched := c.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%s is not read to its end: %v", name, ends)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			counts[string(r.Key)]++
			for at, end := range ends { // the last record of each partition is there
				if at.partition == r.Partition && r.Offset == end-1 {
					delete(ends, at)
				}
			}
		})
	}
	return counts
}

// A person's records go from all objects while agents serve, compact and clean by key, however often the command is killed.
func TestErase_NothingIsLeftInTheBucket(t *testing.T) {
	t.Parallel()
	s := servers.MinIO(t)
	url, env := s.MinioURL("erase"), s.Env()
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		os.Setenv(name, value) // for objectsWith; all tests of this package share the server
	}
	r := servers.OwnRedis(t)
	o := harness.Options{Bucket: url, Redis: r.URL(), Env: env, Flags: append([]string{"--compression", "none"}, cleaningOften...)}
	a, b := harness.Start(t, o), harness.Start(t, o)
	compact, soon, low := "compact", "1", "0.01"
	createTopicWith(t, a.Addr, "table", map[string]*string{"cleanup.policy": &compact, "delete.retention.ms": &soon, "min.cleanable.dirty.ratio": &low})
	createTopic(t, a.Addr, "people", 3)

	alice, bob := newPerson("alice"), newPerson("bob")
	c := clientOf(t, a.Addr, kgo.SeedBrokers(b.Addr), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	write := func(ctx context.Context, who ...person) (err error) {
		var all []*kgo.Record
		for _, p := range who {
			for _, topic := range []string{"people", "table"} {
				all = append(all, &kgo.Record{Topic: topic, Key: []byte(p.name), Value: p.value})
			}
		}
		return c.ProduceSync(ctx, all...).FirstErr()
	}
	for range 60 {
		if err := write(t.Context(), alice, bob, newPerson("carol")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan int)
	go func() {
		n := 0
		for ctx.Err() == nil {
			if write(ctx, bob, newPerson(fmt.Sprintf("other-%d", n%10))) == nil {
				n++
			}
			time.Sleep(10 * time.Millisecond)
		}
		written <- n
	}()
	if keys := objectsWith(t, url, alice.value); len(keys) == 0 {
		t.Fatal("no object holds what was written")
	}
	for topic, kills := range map[string][]time.Duration{"people": {200 * time.Millisecond, 3 * time.Second}, "table": {8 * time.Second}} {
		args := []string{"erase", "--topic", topic, "--key", alice.name, "--bucket", url, "--redis", r.URL(), "--gc-grace", "5s", "--patience", "3s"}
		for _, after := range kills {
			cmd := harness.Command(t, env, args...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(after)
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		cmd := harness.Command(t, env, append(args, "--timeout", "4m")...)
		var told bytes.Buffer
		cmd.Stderr = &told
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, told.String())
		}
		if bytes.Contains(told.Bytes(), []byte(alice.name)) || bytes.Contains(out, []byte(alice.name)) {
			t.Errorf("the key is told:\n%s\n%s", told.String(), out)
		}
		var receipt compaction.Receipt
		if len(out) > 0 { // else an attempt that was killed late had come to its end
			if err := json.Unmarshal(out, &receipt); err != nil || receipt.Ended == nil || receipt.KeySHA256 != compaction.HashKey([]byte(alice.name)) ||
				topic == "people" && receipt.Records != 60 || len(receipt.Deleted) == 0 || len(receipt.NotReached) == 0 {
				t.Errorf("%v: %s", err, out)
			}
		}
	}
	stop()
	n := <-written
	for _, text := range [][]byte{alice.value, []byte(alice.name)} {
		if keys := objectsWith(t, url, text); len(keys) > 0 {
			t.Errorf("%v hold %q still", keys, text[:5])
		}
	}
	if keys := objectsWith(t, url, bob.value); len(keys) == 0 {
		t.Error("what was not erased is not found either")
	}
	left := keysOf(t, b.Addr, "people")
	if left[alice.name] > 0 || keysOf(t, a.Addr, "table")[alice.name] > 0 {
		t.Error("erased records are read still")
	}
	total := 0
	for _, count := range left {
		total += count
	}
	if want := 60*2 + 2*n; total < want || total > want+2 || left[bob.name] < 60+n { // one of them was under way
		t.Errorf("%d records of people are left, want %d", total, want)
	}
	a.Kill()
	a.Restart() // from a checkpoint
	if again := keysOf(t, a.Addr, "people"); !maps.Equal(again, left) {
		t.Errorf("%v are read after a restart, were %v", again, left)
	}
	a.Stop()
	b.Stop()
	verify(t, url, env)
}
