package slotlog

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/objectstore/memory"
	"github.com/odradek/odradek/topic"
	"github.com/odradek/odradek/trace"
)

// noted is a trace.Recorder that keeps what happened in it and below it.
type noted struct {
	name string
	all  *notes
}

type notes struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (n *notes) add(line string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, line)
}

func (n noted) Begin(name string, _ trace.Kind, _ time.Time) trace.Recorder {
	return noted{name, n.all}
}
func (n noted) Join(string, time.Time, []trace.Span) trace.Recorder { return n }
func (n noted) Set(trace.Attr)                                      {}
func (n noted) Event(name string)                                   { n.all.add(n.name + ": " + name) }
func (n noted) Link(trace.Recorder)                                 {}
func (n noted) End(err error) {
	if err != nil {
		n.all.add(n.name + " failed")
		return
	}
	n.all.add(n.name + " ended")
}

// The span of an upload says that the same bytes were sent again, and ends when the slot has landed.
func TestLand_SpanTellsOfRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := new(notes)
		w := NewWriter(&signatures{Store: memory.New(), until: time.Now().Add(30 * time.Millisecond)}, testJournal, 1)
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- w.Run(ctx, func(topic.Slot) {}) }()
		slot, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		body := Freeze(Data, []byte("x"))
		body.Span = trace.Of(noted{"slot", all})
		w.Land(slot, body)
		if err := w.Drained(t.Context()); err != nil {
			t.Fatal(err)
		}
		cancel()
		<-over
		if len(all.lines) < 2 || all.lines[0] != "upload: sent again" || slices.Index(all.lines, "upload ended") != len(all.lines)-1 {
			t.Errorf("the span says %q", all.lines)
		}
	})
}
