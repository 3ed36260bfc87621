package traces

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans is a collector of OpenTelemetry, as far as it takes traces.
type spans struct {
	url string

	mu       sync.Mutex // guards all below
	all      []*otlp.Span
	services map[string]bool
}

func collect(t *testing.T) *spans {
	t.Helper()
	s := &spans{services: make(map[string]bool)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.take(&request)
		answer, err := proto.Marshal(&collector.ExportTraceServiceResponse{})
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
		if _, err := w.Write(answer); err != nil {
			t.Error(err)
		}
	}))
	s.url = server.URL
	t.Cleanup(server.Close)
	return s
}

func (s *spans) take(request *collector.ExportTraceServiceRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range request.ResourceSpans {
		s.services[text(r.Resource.Attributes, "service.name")] = true
		for _, scope := range r.ScopeSpans {
			s.all = append(s.all, scope.Spans...)
		}
	}
}

// find gives the spans of a name for which holds says yes.
func (s *spans) find(name string, holds func(*otlp.Span) bool) []*otlp.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*otlp.Span
	for _, span := range s.all {
		if span.Name == name && holds(span) {
			found = append(found, span)
		}
	}
	return found
}

// one is find for what there must be exactly one of.
func (s *spans) one(t *testing.T, name string, holds func(*otlp.Span) bool) *otlp.Span {
	t.Helper()
	found := s.find(name, holds)
	if len(found) != 1 {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, span := range s.all {
			t.Logf("%x %x below %x: %s %v", span.TraceId, span.SpanId, span.ParentSpanId, span.Name, span.Attributes)
		}
		t.Fatalf("%d spans %q, want one", len(found), name)
	}
	return found[0]
}

// text gives what an attribute says, "" if there is none.
func text(attributes []*common.KeyValue, key string) string {
	for _, a := range attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// number is text for a number; -1 if there is none.
func number(attributes []*common.KeyValue, key string) int64 {
	for _, a := range attributes {
		if a.Key == key {
			return a.Value.GetIntValue()
		}
	}
	return -1
}

func id(b []byte) string { return hex.EncodeToString(b) }

// below says whether a span's parent is another one.
func below(parent *otlp.Span) func(*otlp.Span) bool {
	return func(s *otlp.Span) bool {
		return id(s.ParentSpanId) == id(parent.SpanId) && id(s.TraceId) == id(parent.TraceId)
	}
}

// linked says whether a span has a link to another one.
func linked(from, to *otlp.Span) bool {
	for _, l := range from.Links {
		if id(l.SpanId) == id(to.SpanId) && id(l.TraceId) == id(to.TraceId) {
			return true
		}
	}
	return false
}

// happened counts a span's events of a name.
func happened(s *otlp.Span, event string) int {
	n := 0
	for _, e := range s.Events {
		if e.Name == event {
			n++
		}
	}
	return n
}
