package trace

import (
	"context"
	"time"
)

// Kind says who waits for whom in a span.
type Kind uint8

// Kinds of spans.
const (
	Internal Kind = iota // a part of what this agent does
	Server               // a client waits for it
	Client               // this agent waits for another machine
)

// MaxLinks is how many spans are joined at most.
const MaxLinks = 128

// Attr is one thing that a span says: a text, or a number where the text is empty.
type Attr struct {
	Key    string
	Text   string
	Number int64
}

// Recorder records one span. Safe for concurrent use.
type Recorder interface {
	// Begin begins a span below this one.
	Begin(name string, kind Kind, at time.Time) Recorder
	// Join begins a trace of its own that is linked to spans. The receiver is one of them.
	Join(name string, at time.Time, spans []Span) Recorder
	Set(Attr)
	Event(name string)
	// Link links this span to another one.
	Link(to Recorder)
	// End ends it; err, if there is one, is why it failed.
	End(err error)
}

// Tracer begins traces: of each request, or of some.
type Tracer interface {
	// Begin begins the span of a request, or gives the zero Span if it is not one of those that are recorded.
	Begin(name string, at time.Time) Span
}

// Span is a span under way, or nothing: all methods of the zero Span do nothing. Safe for concurrent use.
type Span struct{ recorder Recorder }

// Of makes the Span that r records.
func Of(r Recorder) Span { return Span{r} }

// On says whether anything is recorded.
func (s Span) On() bool { return s.recorder != nil }

// Recorder is what records the span; nil if nothing does.
func (s Span) Recorder() Recorder { return s.recorder }

// Child begins a span below this one.
func (s Span) Child(name string, kind Kind) Span {
	if s.recorder == nil {
		return s
	}
	return Span{s.recorder.Begin(name, kind, time.Now())}
}

// Text notes a text, unless it is empty.
func (s Span) Text(key, value string) {
	if s.recorder != nil && value != "" {
		s.recorder.Set(Attr{Key: key, Text: value})
	}
}

// Number notes a number.
func (s Span) Number(key string, value int64) {
	if s.recorder != nil {
		s.recorder.Set(Attr{Key: key, Number: value})
	}
}

// Event notes that something happened now.
func (s Span) Event(name string) {
	if s.recorder != nil {
		s.recorder.Event(name)
	}
}

// Link links the span to another one.
func (s Span) Link(to Span) {
	if s.recorder != nil && to.recorder != nil {
		s.recorder.Link(to.recorder)
	}
}

// End ends the span. An error says that what it stands for failed.
func (s Span) End(err error) {
	if s.recorder != nil {
		s.recorder.End(err)
	}
}

// Joined begins a trace of its own that is linked to spans; nothing if there are none.
func Joined(name string, at time.Time, spans []Span) Span {
	if len(spans) == 0 {
		return Span{}
	}
	return Span{spans[0].recorder.Join(name, at, spans)}
}

type spanKey struct{}

// With puts a span into a context. The zero Span leaves it as it is.
func With(ctx context.Context, s Span) context.Context {
	if s.recorder == nil {
		return ctx
	}
	return context.WithValue(ctx, spanKey{}, s)
}

// From gives the span of a context, or the zero Span.
func From(ctx context.Context) Span {
	s, _ := ctx.Value(spanKey{}).(Span)
	return s
}

// Start begins a span below that of ctx and puts it into the context that it returns.
func Start(ctx context.Context, name string, kind Kind) (context.Context, Span) {
	s := From(ctx).Child(name, kind)
	return With(ctx, s), s
}
