package trace

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// written is a Recorder that writes what it is told.
type written struct {
	name string
	log  *[]string
}

func (w *written) say(format string, args ...any) {
	*w.log = append(*w.log, w.name+" "+fmt.Sprintf(format, args...))
}

func (w *written) Begin(name string, kind Kind, _ time.Time) Recorder {
	w.say("begins %s of kind %d", name, kind)
	return &written{name, w.log}
}

func (w *written) Join(name string, _ time.Time, spans []Span) Recorder {
	w.say("begins %s, joined to %d", name, len(spans))
	return &written{name, w.log}
}

func (w *written) Set(a Attr)        { w.say("has %s=%s%d", a.Key, a.Text, a.Number) }
func (w *written) Event(name string) { w.say("event %s", name) }
func (w *written) Link(to Recorder)  { w.say("links %s", to.(*written).name) }
func (w *written) End(err error)     { w.say("ends %v", err) }

// What is told of a span reaches its recorder, and the span of a context is that of the innermost Start.
func TestSpan_TellsItsRecorder(t *testing.T) {
	var log []string
	root := Of(&written{"root", &log})
	ctx, child := Start(With(t.Context(), root), "child", Client)
	if From(ctx) != child || From(t.Context()).On() || !child.On() {
		t.Error("a context gives another span than was put in")
	}
	child.Text("key", "k")
	child.Number("bytes", 7)
	child.Event("sent")
	slot := Joined("slot", time.Now(), []Span{root, child})
	child.Link(slot)
	child.Link(Span{})
	child.End(errors.New("away"))
	want := []string{
		"root begins child of kind 2", "child has key=k0", "child has bytes=7", "child event sent", "root begins slot, joined to 2",
		"child links slot", "child ends away",
	}
	if fmt.Sprint(log) != fmt.Sprint(want) {
		t.Errorf("recorded %q,\nwant     %q", log, want)
	}
}

// Where no span is, nothing is allocated and the context stays what it is.
func TestSpan_OffCostsNothing(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "other")
	text := fmt.Sprint("client ", time.Now())
	allocated := testing.AllocsPerRun(100, func() {
		inner, s := Start(ctx, "child", Client)
		if inner != ctx || s.On() {
			t.Error("a span out of nothing")
		}
		s.Text("client", text)
		s.Number("bytes", int64(len(text)))
		s.Event("sent")
		s.Link(s)
		Joined("slot", time.Time{}, nil).End(nil)
		s.End(nil)
	})
	if allocated != 0 {
		t.Errorf("%v allocations with traces off", allocated)
	}
}
