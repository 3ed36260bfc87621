package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/odradek/odradek/test/chaos/history"
)

// p0 is the partition of most stories.
var p0 = history.Partition{Topic: "orders"}

// story is a history in the making. A call takes a millisecond, and one begins where the last one ended.
type story struct {
	in  Input
	now time.Duration
}

// newStory is ten records of the idempotent producer a and the acks=1 producer b in turn, acked, read by a consumer, a
// group and agents x and y, ends told after each ack, and all of it in the bucket and in Redis: nothing is wrong with it.
func newStory() *story {
	s := &story{in: Input{
		Final:  map[string]map[history.Partition][]history.Record{"x": {}, "y": {}},
		Stored: map[history.Partition]int64{p0: 10}, Index: &Index{Ends: 5}, Windows: 5,
	}}
	var log []history.Record
	for i := range int64(10) {
		client, acks := "a", -1
		if i%2 == 1 {
			client, acks = "b", 1
		}
		rec := history.Record{Offset: i, Value: value(client, i/2), Epoch: 0}
		log = append(log, rec)
		s.add(history.Event{Kind: history.Produced, Client: client, Offset: i, Value: rec.Value, Acks: acks, Outcome: history.OK})
		s.add(history.Event{Kind: history.Ended, Client: "probe", Offset: i + 1, Outcome: history.OK})
		s.add(history.Event{Kind: history.Read, Client: "c", Records: []history.Record{rec}})
		s.add(history.Event{Kind: history.Read, Client: "g1", Group: "g", Records: []history.Record{rec}})
		s.add(history.Event{Kind: history.Committed, Client: "g1", Group: "g", Offset: i + 1, Outcome: history.OK})
		s.add(history.Event{Kind: history.Looked, Client: "probe", Group: "g", Offset: i + 1, Outcome: history.OK})
		s.add(history.Event{Kind: history.Shown, Client: "probe", Agent: "x", Offset: i + 1, From: i})
	}
	s.in.Final["x"][p0], s.in.Final["y"][p0] = log, append([]history.Record(nil), log...)
	s.in.Bucket = map[history.Partition][]history.Record{p0: append([]history.Record(nil), log...)}
	return s
}

func value(client string, n int64) string {
	return history.Value{Client: client, Partition: p0, Number: n}.String()
}

// add appends an event to the story, of p0 unless it says otherwise.
func (s *story) add(e history.Event) {
	e.Start, e.End = s.now+1, s.now+time.Millisecond
	s.now = e.End
	if e.Topic == "" {
		e.Partition = p0
	}
	s.in.Events = append(s.in.Events, e)
}

// change alters the events of a kind.
func (s *story) change(kind history.Kind, f func(e *history.Event)) {
	for i := range s.in.Events {
		if s.in.Events[i].Kind == kind {
			f(&s.in.Events[i])
		}
	}
}

// put makes both agents serve another record at an offset.
func (s *story) put(offset int64, value string) {
	for _, listing := range s.in.Final {
		listing[p0][offset].Value = value
	}
}

// cut makes both agents and the bucket end at an offset, and takes away what was seen above it.
func (s *story) cut(end int64) {
	for _, listing := range s.in.Final {
		listing[p0] = listing[p0][:end]
	}
	s.in.Bucket[p0] = s.in.Bucket[p0][:end]
	s.in.Stored[p0] = end
	var kept []history.Event
	for _, e := range s.in.Events {
		if e.Kind == history.Produced || e.Kind == history.Read && e.Records[0].Offset < end || e.Offset <= end && e.Kind != history.Read {
			kept = append(kept, e)
		}
	}
	s.in.Events = kept
}

// rules gives the rules that a judgement found broken, each once.
func rules(r Result) string {
	var out []string
	seen := make(map[string]bool)
	for _, v := range r.Violations {
		if !seen[v.Rule] {
			seen[v.Rule] = true
			out = append(out, v.Rule)
		}
	}
	return strings.Join(out, ", ")
}

func TestCheck_AcceptsWhatIsRight(t *testing.T) {
	late := func(e *history.Event) { e.Outcome, e.End = history.Unknown, history.Never }
	for name, change := range map[string]func(s *story){
		"all well": func(*story) {},
		"an append that nobody was told of": func(s *story) {
			s.change(history.Produced, func(e *history.Event) {
				if e.Offset == 4 {
					late(e)
				}
			})
		},
		"a record that was given up and is not there": func(s *story) {
			s.add(history.Event{Kind: history.Produced, Client: "a", Value: value("a", 90), Acks: -1, Outcome: history.Unknown})
		},
		"acks=1, doubled": func(s *story) { s.append(value("b", 4)) },
		"acks=1, lost with a takeover": func(s *story) {
			s.cut(9)
			s.in.Takeovers = []Takeover{{p0, 1, 9}}
		},
		"acks=1, by an owner that has not heard of its takeover": func(s *story) {
			s.cut(9)
			s.in.Takeovers = []Takeover{{p0, 1, 9}}
			s.in.Events = append([]history.Event{{Kind: history.Led, Partition: p0, Epoch: 1, Agent: "y"}}, s.in.Events...)
		},
		"another life shows a lower watermark": func(s *story) {
			s.add(history.Event{Kind: history.Shown, Agent: "x", Life: 1, Offset: 5, From: 5})
		},
		"another agent lags": func(s *story) {
			s.add(history.Event{Kind: history.Shown, Agent: "y", Offset: 5, From: 5})
		},
		"an end asked before and answered after": func(s *story) {
			s.add(history.Event{Kind: history.Ended, Client: "slow", Offset: 3, Outcome: history.OK})
			s.in.Events[len(s.in.Events)-1].Start = s.in.Events[14].Start // while the third record was acked
		},
		"an old commit of unknown outcome": func(s *story) {
			s.in.Events = append([]history.Event{{
				Kind: history.Committed, Group: "g", Partition: p0, Offset: 7, Outcome: history.Unknown, Start: 0, End: 1,
			}}, s.in.Events...)
			s.add(history.Event{Kind: history.Looked, Group: "g", Offset: 7, Outcome: history.OK})
		},
		"out of range above what is known": func(s *story) {
			s.add(history.Event{Kind: history.OutOfRange, Client: "c", From: 11})
		},
		"a topic that was deleted": func(s *story) {
			p := history.Partition{Topic: "tmp"}
			v := history.Value{Client: "a", Partition: p, Number: 1}.String()
			s.add(history.Event{Kind: history.Produced, Client: "a", Partition: p, Value: v, Acks: -1, Outcome: history.OK})
			s.add(history.Event{Kind: history.Deleted, Partition: p, Outcome: history.OK})
			s.add(history.Event{Kind: history.Ended, Partition: p, Outcome: history.OK})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			change(s)
			r := Check(s.in)
			if !r.Clean() {
				t.Fatalf("rejected: %v", r.Violations)
			}
			if r.Acked < 9 || r.Read < 18 || r.Windows != 5 {
				t.Fatalf("%d acked, %d read, %d windows: the checker did not look", r.Acked, r.Read, r.Windows)
			}
		})
	}
}

// append makes both agents and the bucket hold one more record.
func (s *story) append(value string) {
	for _, listing := range []map[history.Partition][]history.Record{s.in.Final["x"], s.in.Final["y"], s.in.Bucket} {
		listing[p0] = append(listing[p0], history.Record{Offset: int64(len(listing[p0])), Value: value})
	}
	s.in.Stored[p0]++
}

func TestCheck_RejectsWhatMustNotBe(t *testing.T) {
	for _, test := range []struct {
		name, rule string
		change     func(s *story)
	}{
		{"an acked record is gone from the end", "lost", func(s *story) {
			s.cut(9)
			s.add(history.Event{Kind: history.Produced, Client: "a", Offset: 9, Value: value("a", 5), Acks: -1, Outcome: history.OK})
			s.in.Takeovers = []Takeover{{p0, 1, 9}}
		}},
		{"another record stands where one was acked", "lost", func(s *story) {
			s.add(history.Event{Kind: history.Produced, Client: "a", Value: value("a", 50), Acks: -1, Outcome: history.Unknown})
			s.put(4, value("a", 50))
		}},
		{"acks=1 lost without a takeover", "lost", func(s *story) { s.cut(9) }},
		{"acks=1 lost, the takeover was above it", "lost", func(s *story) {
			s.cut(9)
			s.in.Takeovers = []Takeover{{p0, 1, 10}}
		}},
		{"acks=1 lost, the takeover was known long before it was sent", "lost", func(s *story) {
			s.cut(9)
			s.in.Takeovers = []Takeover{{p0, 1, 0}}
			for i := range s.in.Events {
				s.in.Events[i].Start += zombieTime + 1
				s.in.Events[i].End += zombieTime + 1
			}
			s.in.Events = append([]history.Event{{Kind: history.Led, Partition: p0, Epoch: 1, Agent: "y"}}, s.in.Events...)
		}},
		{"a record of an idempotent producer twice", "doubled", func(s *story) { s.append(value("a", 4)) }},
		{"an offset changes between two consumers", "changed", func(s *story) {
			s.add(history.Event{Kind: history.Read, Client: "d", Agent: "x", Records: []history.Record{{Offset: 2, Value: value("a", 3)}}})
		}},
		{"two agents serve different records", "changed", func(s *story) { s.in.Final["y"][p0][8].Value = value("a", 3) }},
		{"two records of one producer are exchanged", "disorder", func(s *story) {
			s.change(history.Produced, func(e *history.Event) {
				switch e.Offset {
				case 2:
					e.Value = value("a", 2)
				case 4:
					e.Value = value("a", 1)
				}
			})
			s.change(history.Read, func(e *history.Event) {
				switch e.Records[0].Offset {
				case 2:
					e.Records = []history.Record{{Offset: 2, Value: value("a", 2)}}
				case 4:
					e.Records = []history.Record{{Offset: 4, Value: value("a", 1)}}
				}
			})
			s.put(2, value("a", 2))
			s.put(4, value("a", 1))
		}},
		{"a record that nobody sent", "invented", func(s *story) { s.append(value("a", 77)) }},
		{"a record of another partition", "invented", func(s *story) {
			v := history.Value{Client: "a", Partition: history.Partition{Topic: "orders", Index: 1}, Number: 1}.String()
			s.add(history.Event{Kind: history.Produced, Client: "a", Partition: history.Partition{Topic: "orders", Index: 1}, Value: v,
				Acks: -1, Outcome: history.Unknown})
			s.append(v)
		}},
		{"a damaged record", "invented", func(s *story) { s.append(history.FromBody([]byte("x\ny"))) }},
		{"a consumer passes an offset by", "skipped", func(s *story) {
			s.change(history.Read, func(e *history.Event) {
				if e.Client == "c" && e.Records[0].Offset == 5 {
					e.Client = "d"
				}
			})
		}},
		{"a group passes an offset by", "skipped", func(s *story) {
			s.change(history.Read, func(e *history.Event) {
				if e.Group == "g" && e.Records[0].Offset == 5 {
					e.Group, e.Agent = "", "x"
				}
			})
		}},
		{"the end goes back", "end", func(s *story) {
			s.add(history.Event{Kind: history.Ended, Client: "other", Offset: 9, Outcome: history.OK})
		}},
		{"the end is behind an ack", "end", func(s *story) {
			s.append(value("a", 5))
			s.add(history.Event{Kind: history.Produced, Client: "a", Offset: 10, Value: value("a", 5), Acks: -1, Outcome: history.OK})
			s.add(history.Event{Kind: history.Ended, Client: "other", Offset: 10, Outcome: history.OK})
		}},
		{"a committed offset goes back", "committed", func(s *story) {
			s.add(history.Event{Kind: history.Looked, Group: "g", Offset: 6, Outcome: history.OK})
		}},
		{"a committed offset is gone", "committed", func(s *story) {
			s.add(history.Event{Kind: history.Looked, Group: "g", Offset: -1, Outcome: history.OK})
		}},
		{"a committed offset that nobody committed", "committed", func(s *story) {
			s.add(history.Event{Kind: history.Looked, Group: "g", Offset: 12, Outcome: history.OK})
		}},
		{"the high watermark goes back on one agent", "watermark", func(s *story) {
			s.add(history.Event{Kind: history.Shown, Agent: "x", Offset: 9, From: 9})
		}},
		{"the high watermark is below the fetch offset", "watermark", func(s *story) {
			s.add(history.Event{Kind: history.Shown, Agent: "y", Offset: 9, From: 10})
		}},
		{"out of range at an offset that was acked", "out of range", func(s *story) {
			s.add(history.Event{Kind: history.OutOfRange, Client: "c", From: 8})
		}},
		{"out of range at the end", "out of range", func(s *story) {
			s.add(history.Event{Kind: history.OutOfRange, Client: "c", From: 10})
		}},
		{"an agent serves less", "agents", func(s *story) { s.in.Final["y"][p0] = s.in.Final["y"][p0][:7] }},
		{"an agent does not serve a partition", "agents", func(s *story) { delete(s.in.Final["y"], p0) }},
		{"no agent serves a partition", "agents", func(s *story) {
			s.in.Final = map[string]map[history.Partition][]history.Record{"x": {}}
			s.in.Stored = nil
		}},
		{"the log has a hole", "agents", func(s *story) {
			for name, listing := range s.in.Final {
				s.in.Final[name][p0] = append(listing[p0], history.Record{Offset: 11, Value: value("b", 9)})
			}
			s.in.Stored[p0] = 11
			s.add(history.Event{Kind: history.Produced, Client: "b", Value: value("b", 9), Acks: 1, Outcome: history.Unknown})
		}},
		{"nobody was asked", "agents", func(s *story) { s.in = Input{} }},
		{"the bucket holds less", "bucket", func(s *story) { s.in.Stored[p0] = 9 }},
		{"the bucket lacks a record", "bucket", func(s *story) { s.in.Bucket[p0] = slices.Delete(s.in.Bucket[p0], 3, 4) }},
		{"the bucket lacks a partition", "bucket", func(s *story) { delete(s.in.Bucket, p0) }},
		{"the bucket holds another value", "bucket", func(s *story) { s.in.Bucket[p0][3].Value = value("a", 0) }},
		{"the bucket holds another epoch", "bucket", func(s *story) { s.in.Bucket[p0][3].Epoch = 1 }},
		{"the bucket holds a record twice", "bucket", func(s *story) { s.in.Bucket[p0] = append(s.in.Bucket[p0], s.in.Bucket[p0][9]) }},
		{"the bucket holds what nobody serves", "bucket", func(s *story) {
			s.in.Bucket[p0] = append(s.in.Bucket[p0], history.Record{Offset: 10, Value: value("a", 9)})
		}},
		{"the bucket holds a partition that nobody serves", "bucket", func(s *story) {
			s.in.Stored[history.Partition{Topic: "hidden"}] = 1
		}},
		{"verify found something", "bucket", func(s *story) { s.in.Findings = []string{"journal/x: hole"} }},
		{"a record is read before it was sent", "linear", func(s *story) {
			s.in.Windows = 50
			s.change(history.Read, func(e *history.Event) {
				if e.Client == "c" && e.Records[0].Offset == 5 {
					e.Start, e.End = s.in.Events[5*7-1].Start+1, s.in.Events[5*7-1].End-1
				}
			})
		}},
		{"redis holds something else", "redis", func(s *story) {
			s.in.Index.Differs = []string{"index: orders/0 ends at 9, its indexed slots end at 10"}
		}},
		{"redis was compared in part", "redis", func(s *story) { s.in.Index.Ends = 0 }},
		{"an end from the future", "linear", func(s *story) {
			first := s.in.Events[1]
			first.Offset = 3 // two records that were not sent yet
			first.Client = "other"
			first.Start, first.End = first.Start+1, first.End-1
			s.in.Events = []history.Event{s.in.Events[0], first}
			s.in.Events = append(s.in.Events, newStory().in.Events[3*7:]...)
			s.addBack(newStory().in.Events[7], newStory().in.Events[14])
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStory()
			test.change(s)
			r := Check(s.in)
			if !strings.Contains(rules(r), test.rule) {
				t.Fatalf("broken rules: %q, want %q\n%v", rules(r), test.rule, r.Violations)
			}
		})
	}
}

// addBack adds events with the times they have.
func (s *story) addBack(events ...history.Event) { s.in.Events = append(s.in.Events, events...) }

func TestCheck_TellsOnlySomeOfManyViolations(t *testing.T) {
	s := newStory()
	for i := range 50 {
		s.in.Findings = append(s.in.Findings, fmt.Sprint("finding ", i))
	}
	r := Check(s.in)
	if len(r.Violations) != maxViolations || r.More["bucket"] != 50-maxViolations {
		t.Fatalf("%d told, %d more", len(r.Violations), r.More["bucket"])
	}
}
