package check

import (
	"strings"
	"testing"
	"time"

	"github.com/odradek/odradek/test/chaos/history"
)

// fades is newStory of topics that lose records: "old" by age, "much" by size, "cut" by an admin, "keys" by key. Each has ten
// records, a second apart, of which the first four are gone, of "keys" those with a newer one of their key; agents x and y
// serve the rest.
func fades() *story {
	s := newStory()
	s.in.Begin = make(map[history.Partition]int64)
	s.in.Fading = map[string]history.Fading{
		"old": {Partitions: 1, Age: time.Second}, "much": {Partitions: 1, Bytes: 600}, "cut": {Partitions: 1, Cut: true},
		"keys": {Partitions: 1, ByKey: true},
	}
	for _, topic := range []string{"old", "much", "cut", "keys"} {
		p := history.Partition{Topic: topic}
		s.told("starts", topic, 0)
		var log []history.Record
		newest := make(map[string]int64)
		for i := range int64(10) {
			rec := history.Record{Offset: i, Value: history.Value{Client: "a", Partition: p, Number: i}.String()}
			newest[history.Key(rec.Value)] = i
			log = append(log, rec)
			s.add(history.Event{Kind: history.Produced, Client: "a", Partition: p, Offset: i, Value: rec.Value, Acks: -1, Outcome: history.OK})
			s.now += time.Second
		}
		s.in.Stored[p] = 10
		var kept []history.Record
		switch topic {
		case "keys":
			for _, rec := range log {
				if newest[history.Key(rec.Value)] == rec.Offset {
					kept = append(kept, rec)
				}
			}
		default:
			if topic == "cut" {
				s.add(history.Event{Kind: history.Cut, Client: "admin", Partition: p, From: 4, Offset: 4, Outcome: history.OK})
			}
			s.told("starts", topic, 4)
			s.in.Begin[p], kept = 4, log[4:]
		}
		s.in.Final["x"][p], s.in.Final["y"][p] = kept, append([]history.Record(nil), kept...)
		s.in.Bucket[p] = append([]history.Record(nil), kept...)
	}
	return s
}

// told adds that somebody was told where a topic begins.
func (s *story) told(who, topic string, offset int64) {
	s.add(history.Event{Kind: history.Started, Client: who, Partition: history.Partition{Topic: topic}, Offset: offset, Outcome: history.OK})
}

// lose takes the records at places [from, to) out of what both agents serve.
func (s *story) lose(topic string, from, to int) {
	p := history.Partition{Topic: topic}
	for _, agent := range []string{"x", "y"} {
		all := s.in.Final[agent][p]
		s.in.Final[agent][p] = append(append([]history.Record(nil), all[:from]...), all[to:]...)
	}
}

func TestCheck_RecordsFade(t *testing.T) {
	r := Check(fades().in)
	if !r.Clean() {
		t.Fatalf("%v", r.Violations)
	}
	if len(fades().in.Final["x"][history.Partition{Topic: "keys"}]) == 10 {
		t.Fatal("no key was written twice")
	}
	if want := 12 + 10 - len(fades().in.Final["x"][history.Partition{Topic: "keys"}]); r.Faded != want {
		t.Errorf("%d records faded, want %d", r.Faded, want)
	}
}

func TestCheck_WhatMustNotFade(t *testing.T) {
	old, keys := history.Partition{Topic: "old"}, history.Partition{Topic: "keys"}
	for _, test := range []struct {
		name, rule string
		wrong      func(s *story)
	}{
		{"a record above the log start is gone", "lost", func(s *story) { s.lose("old", 3, 4) }},
		{"the first one above the log start is gone", "lost", func(s *story) { s.lose("cut", 0, 1) }},
		{"the newest of a key is gone", "lost", func(s *story) { n := len(s.in.Final["x"][keys]); s.lose("keys", n-2, n-1) }},
		{"a hole above the log start", "agents", func(s *story) { s.lose("old", 3, 4) }},
		{"one agent lacks the newest of a key", "agents", func(s *story) { s.in.Final["y"][keys] = s.in.Final["y"][keys][1:] }},
		{"one agent lacks what is above the log start", "agents", func(s *story) { s.in.Final["y"][old] = s.in.Final["y"][old][1:] }},
		{"the bucket lacks the newest of a key", "bucket", func(s *story) { s.in.Bucket[keys] = s.in.Bucket[keys][1:] }},
		{"the bucket lacks what is above the log start", "bucket", func(s *story) { s.in.Bucket[old] = s.in.Bucket[old][1:] }},
		{"a log start goes back", "start", func(s *story) { s.told("starts", "old", 3) }},
		{"a log start goes back behind a DeleteRecords", "start", func(s *story) {
			s.add(history.Event{Kind: history.Cut, Partition: history.Partition{Topic: "cut"}, From: 5, Offset: 5, Outcome: history.OK})
			s.told("starts", "cut", 4)
		}},
		{"a young record goes", "early", func(s *story) {
			s.in.Fading["old"] = history.Fading{Partitions: 1, Age: time.Hour}
		}},
		{"more goes than the size asks for", "early", func(s *story) {
			s.in.Fading["much"] = history.Fading{Partitions: 1, Bytes: 10_000}
		}},
		{"more goes than was cut", "early", func(s *story) { s.told("starts", "cut", 6) }},
		{"a topic by key loses its beginning", "early", func(s *story) { s.told("starts", "keys", 2) }},
		{"out of range above the log start", "out of range", func(s *story) {
			s.add(history.Event{Kind: history.OutOfRange, Client: "c", Partition: old, From: 4})
			s.told("starts", "old", 4)
		}},
		{"a consumer passes records by", "skipped", func(s *story) {
			s.add(history.Event{Kind: history.Read, Client: "f", Partition: old, Records: s.in.Final["x"][old][2:4]})
			s.told("starts", "old", 4)
		}},
		{"a consumer goes back", "skipped", func(s *story) {
			s.add(history.Event{Kind: history.Read, Client: "f", Partition: old, Records: s.in.Final["x"][old][:3]})
			s.add(history.Event{Kind: history.Read, Client: "f", Partition: old, Records: s.in.Final["x"][old][1:3]})
		}},
		{"the bucket begins elsewhere", "bucket", func(s *story) { s.in.Begin[old] = 3 }},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			s := fades()
			test.wrong(s)
			r := Check(s.in)
			for _, v := range r.Violations {
				if v.Rule == test.rule {
					return
				}
			}
			t.Errorf("no violation of rule %q, but %v", test.rule, r.Violations)
		})
	}
}

func TestCheck_WhatMayFade(t *testing.T) {
	old := history.Partition{Topic: "old"}
	for name, right := range map[string]func(s *story){
		"out of range below the log start": func(s *story) {
			s.add(history.Event{Kind: history.OutOfRange, Client: "c", Partition: old, From: 3})
			s.told("starts", "old", 4)
		},
		"a consumer that begins at the log start": func(s *story) {
			s.add(history.Event{Kind: history.Read, Client: "f", Partition: old, Records: s.in.Final["x"][old][:2]})
			s.told("starts", "old", 4)
		},
		"DeleteRecords whose answer is lost": func(s *story) {
			s.add(history.Event{Kind: history.Cut, Partition: history.Partition{Topic: "cut"}, From: 6, Outcome: history.Unknown})
			s.told("starts", "cut", 6)
			s.in.Begin[history.Partition{Topic: "cut"}] = 6
			s.lose("cut", 0, 2)
			s.in.Bucket[history.Partition{Topic: "cut"}] = s.in.Final["x"][history.Partition{Topic: "cut"}]
		},
	} {
		s := fades()
		right(s)
		if r := Check(s.in); !r.Clean() {
			t.Errorf("%s: %v", name, r.Violations)
		}
	}
}
