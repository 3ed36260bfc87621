package redis_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/topic"
)

const page = "../../docs/format/redis.md"

// Every key that a busy cluster leaves in Redis has a row in the format page, of the type said there.
func TestDocs_ListEveryKey(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	server, cluster := servers.SharedRedis(t), rand.Text()
	s, a, ctx := openCluster(t, server, cluster), admin(t, server), t.Context()
	pin := openEra(t, s, 1)
	segment := slot(0)
	segment.LogStarts = []metadata.LogStart{{Partition: events, Start: 1}}
	mustIndex(t, s, pin, segment)
	for _, err := range []error{
		s.Register(ctx, pin, journalA, "a:9092"),
		s.Put(ctx, pin, []metadata.Copy{{Kind: metadata.CopyGroup, Partition: events, Key: "g"}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, err := a.Keys(ctx, "{"+cluster+"}:*").Result()
	if err != nil || len(keys) < 10 {
		t.Fatalf("keys %q, %v", keys, err)
	}
	rename := strings.NewReplacer("{"+cluster+"}:1:", "{c}:<g>:", "{"+cluster+"}", "{c}", journalA.String(), "<journal>", events.String(), "<partition>")
	for _, key := range keys {
		kind := a.Type(ctx, key).Val()
		name := strings.Replace(rename.Replace(key), "copies:1:", "copies:<kind>:", 1)
		if row := "| `" + name + "` | " + kind + " |"; !strings.Contains(string(text), row) {
			t.Errorf("%s has no row that starts %s", page, row)
		}
	}
}

// Every script says what it takes, returns and costs.
func TestScripts_SayKeysArgumentsReturnsAndCost(t *testing.T) {
	files, err := filepath.Glob("scripts/*.lua")
	if err != nil || len(files) < 20 {
		t.Fatalf("scripts %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var head strings.Builder
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "--") {
				break
			}
			head.WriteString(line)
		}
		for _, word := range []string{"KEYS", "ARGV", "returns", "cost"} {
			if word == "returns" && strings.HasSuffix(file, "pin.lua") {
				continue // a head, no script of its own
			}
			if !strings.Contains(head.String(), word) {
				t.Errorf("%s: its head does not say %s", file, word)
			}
		}
	}
}

// 10 comes after 9, for control numbers, slots, offsets and eras.
func TestApply_NumbersAreOrderedAsNumbersNotAsText(t *testing.T) {
	s := open(t, servers.SharedRedis(t))
	pin := openEra(t, s, 9)
	for n := topic.Slot(2); n <= 12; n++ {
		if applied, err := s.Apply(t.Context(), pin, n, [][]metadata.Effect{nil}); err != nil || applied != n {
			t.Fatalf("apply %d: %d, %v", n, applied, err)
		}
		mustIndex(t, s, pin, slot(n-2))
	}
	ten := openEra(t, s, 10)
	mustIndex(t, s, ten, slot(0))
}
