package history

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLog_FileHoldsWhatMemoryHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h")
	l, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	p := Partition{"orders", 2}
	l.Add(Event{Kind: Produced, Client: "p1", Start: 1, End: 2, Partition: p, Offset: 7, Value: "x", Acks: -1, Outcome: OK})
	l.Add(Event{Kind: Read, Client: "c1", Start: time.Second, End: Never, Partition: p, Records: []Record{{7, "x", 3}, {8, "y", 3}}})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l.Events(), got); diff != "" {
		t.Fatalf("-memory +file:\n%s", diff)
	}
}

func TestValue_SaysWhoSentItWhereTo(t *testing.T) {
	want := Value{"p1", Partition{"orders", 2}, 41}
	got, err := ParseValue(want.String())
	if err != nil || got != want {
		t.Fatalf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"", "p1|orders|2", "p1|orders|x|1", "p1|orders|1|x"} {
		if _, err := ParseValue(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestBody_DamageIsSeen(t *testing.T) {
	body := Body("p1|orders|2|41")
	if got := FromBody(body); got != "p1|orders|2|41" {
		t.Fatalf("got %q", got)
	}
	for i := range body {
		bad := append([]byte(nil), body...)
		bad[i] ^= 1
		if got := FromBody(bad); got == "p1|orders|2|41" {
			t.Fatalf("a flipped bit in byte %d is not seen", i)
		}
	}
}

func TestRecord_AnotherKeyIsSeen(t *testing.T) {
	const value = "p1|orders|2|41"
	if got := FromRecord([]byte(Key(value)), Body(value)); got != value {
		t.Fatalf("got %q", got)
	}
	for _, key := range []string{"", "k", Key(value) + "0"} {
		if got := FromRecord([]byte(key), Body(value)); got == value {
			t.Errorf("key %q is not seen", key)
		}
	}
}
