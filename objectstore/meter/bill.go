package meter

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/objectstore"
	"github.com/odradek/odradek/trace"
)

// Line is a line of the bill: what was asked for, and for what.
type Line struct {
	Kind   objectstore.Kind
	Reason objectstore.Reason
}

// bill adds up what a bucket's owner pays for. Safe for concurrent use.
type bill struct {
	prices   Prices
	lines    map[Line]*line // complete and read-only after newBill
	requests *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	dollars  *prometheus.CounterVec
}

// line is one line's counts. Its metrics begin with its first request, so that what never happens is no series.
type line struct {
	requests atomic.Int64
	bytes    atomic.Int64
	begin    sync.Once
	shown    struct{ requests, bytes, dollars prometheus.Counter } // written by begin
}

func newBill(prices Prices) *bill {
	vec := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "odradek", Subsystem: "meter", Name: name, Help: help},
			[]string{"kind", "reason"})
	}
	b := &bill{
		prices: prices, lines: make(map[Line]*line),
		requests: vec("requests_total", "Requests that left for the bucket by kind and by what they were for; a repeated one "+
			"and a hedge count as requests of their own, as they are billed."),
		bytes: vec("bytes_total", "Bytes of objects sent and received by these requests."),
		dollars: vec("dollars_total", "What these requests cost by the table of prices (--prices), in dollars; storage is not "+
			"in it."),
	}
	for _, kind := range objectstore.Kinds {
		for _, reason := range objectstore.Reasons {
			b.lines[Line{kind, reason}] = new(line)
		}
	}
	return b
}

func (b *bill) collectors() []prometheus.Collector {
	table := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "odradek", Subsystem: "meter", Name: "prices_info", Help: "1; the label says by which table requests are priced.",
		ConstLabels: prometheus.Labels{"table": b.prices.Name},
	})
	table.Set(1)
	return []prometheus.Collector{b.requests, b.bytes, b.dollars, table}
}

func (b *bill) add(of Line, requests, bytes int64) {
	l := b.lines[of]
	if l == nil { // a kind or reason that is none of the lists'
		l = b.lines[Line{of.Kind, objectstore.ReasonOther}]
	}
	l.begin.Do(func() {
		kind, reason := string(of.Kind), string(of.Reason)
		l.shown.requests = b.requests.WithLabelValues(kind, reason)
		l.shown.bytes = b.bytes.WithLabelValues(kind, reason)
		l.shown.dollars = b.dollars.WithLabelValues(kind, reason)
	})
	l.requests.Add(requests)
	l.bytes.Add(bytes)
	l.shown.requests.Add(float64(requests))
	l.shown.bytes.Add(float64(bytes))
	l.shown.dollars.Add(b.prices.Of(of.Kind, requests, bytes))
}

// attempts tells a bill of the requests of one call.
type attempts struct {
	bill   *bill
	reason objectstore.Reason
	span   trace.Span // of the call
}

// Sent implements objectstore.Attempts.
func (a attempts) Sent(kind objectstore.Kind, bytes int64) {
	a.bill.add(Line{kind, a.reason}, 1, bytes)
	a.span.Event("request sent")
}

// Received implements objectstore.Attempts.
func (a attempts) Received(kind objectstore.Kind, bytes int64) {
	a.bill.add(Line{kind, a.reason}, 0, bytes)
}
