package otlp

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/odradek/odradek/trace"
)

// span is a trace.Recorder.
type span struct {
	tracer *Tracer
	span   otel.Span
}

var kinds = map[trace.Kind]otel.SpanKind{
	trace.Internal: otel.SpanKindInternal, trace.Server: otel.SpanKindServer, trace.Client: otel.SpanKindClient,
}

// Begin implements trace.Recorder.
func (s span) Begin(name string, kind trace.Kind, at time.Time) trace.Recorder {
	ctx := otel.ContextWithSpan(context.Background(), s.span)
	_, child := s.tracer.tracer.Start(ctx, name, otel.WithTimestamp(at), otel.WithSpanKind(kinds[kind]))
	return span{s.tracer, child}
}

// Join implements trace.Recorder.
func (s span) Join(name string, at time.Time, spans []trace.Span) trace.Recorder {
	links := make([]otel.Link, 0, len(spans))
	for _, to := range spans {
		if r, ok := to.Recorder().(span); ok {
			links = append(links, otel.Link{SpanContext: r.span.SpanContext()})
		}
	}
	_, joined := s.tracer.tracer.Start(context.Background(), name, otel.WithTimestamp(at), otel.WithLinks(links...))
	return span{s.tracer, joined}
}

// Set implements trace.Recorder.
func (s span) Set(a trace.Attr) {
	if a.Text != "" {
		s.span.SetAttributes(attribute.String(a.Key, a.Text))
		return
	}
	s.span.SetAttributes(attribute.Int64(a.Key, a.Number))
}

// Event implements trace.Recorder.
func (s span) Event(name string) { s.span.AddEvent(name) }

// Link implements trace.Recorder.
func (s span) Link(to trace.Recorder) {
	if r, ok := to.(span); ok {
		s.span.AddLink(otel.Link{SpanContext: r.span.SpanContext()})
	}
}

// End implements trace.Recorder.
func (s span) End(err error) {
	if err != nil {
		s.span.SetStatus(codes.Error, err.Error())
	}
	s.span.End()
}
