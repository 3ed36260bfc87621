package api

import (
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchResponse is a Fetch response whose records stay where they are: it is encoded around them, into one buffer for
// all that is not records and the record slices between its pieces. A test compares it with kmsg's encoding.
type fetchResponse struct {
	*kmsg.FetchResponse // header fields only: its Topics and Brokers stay empty
	answers             []fetched
	agents              []Agent // those that hints name
}

// appendBuffers encodes the response of r.Version behind head.
func (r *fetchResponse) appendBuffers(head []byte) net.Buffers {
	w := fetchWriter{b: head, version: r.Version, compact: r.IsFlexible()}
	w.b = appendInt32(w.b, r.ThrottleMillis)
	if r.Version >= 7 {
		w.b = appendInt16(w.b, r.ErrorCode)
		w.b = appendInt32(w.b, r.SessionID)
	}
	runs := topicRuns(r.answers)
	w.b = appendLen(w.b, len(runs), w.compact)
	for _, run := range runs {
		w.topic(run)
	}
	if w.compact {
		w.agents(r.agents)
	}
	return w.buffers()
}

// topicRuns cuts answers where the topic changes.
func topicRuns(answers []fetched) [][]fetched {
	var runs [][]fetched
	for from, i := 0, 1; i <= len(answers); i++ {
		if i == len(answers) || answers[i].key.id != answers[from].key.id || answers[i].key.name != answers[from].key.name {
			runs = append(runs, answers[from:i])
			from = i
		}
	}
	return runs
}

// fetchWriter gathers what is not records in b and remembers where records belong.
type fetchWriter struct {
	b       []byte
	version int16
	compact bool
	cuts    []cut
}

// cut is records that belong at position at of b.
type cut struct {
	at      int
	records [][]byte
}

func (w *fetchWriter) topic(run []fetched) {
	if w.version >= 13 {
		w.b = append(w.b, run[0].key.id[:]...)
	} else {
		w.b = appendString(w.b, run[0].key.name, w.compact)
	}
	w.b = appendLen(w.b, len(run), w.compact)
	for i := range run {
		w.partition(&run[i])
	}
	if w.compact {
		w.b = append(w.b, 0)
	}
}

func (w *fetchWriter) partition(a *fetched) {
	w.b = appendInt32(w.b, a.key.index)
	w.b = appendInt16(w.b, a.code)
	w.b = appendInt64(w.b, a.highWatermark)
	w.b = appendInt64(w.b, a.lastStable)
	if w.version >= 5 {
		w.b = appendInt64(w.b, a.logStart)
	}
	w.b = appendLen(w.b, 0, w.compact) // aborted transactions
	if w.version >= 11 {
		preferred := a.preferred
		if preferred == 0 {
			preferred = -1
		}
		w.b = appendInt32(w.b, preferred)
	}
	w.b = appendLen(w.b, a.size, w.compact)
	if a.size > 0 {
		w.cuts = append(w.cuts, cut{at: len(w.b), records: a.records})
	}
	if !w.compact {
		return
	}
	if !a.hinted {
		w.b = append(w.b, 0)
		return
	}
	w.b = append(w.b, 1, 1, 9) // one tag: number 1, current leader, of 9 bytes
	w.b = appendInt32(w.b, a.leader.NodeID)
	w.b = appendInt32(w.b, int32(a.leader.Epoch))
	w.b = append(w.b, 0)
}

// agents writes the tag of node endpoints (version 16 on), the last of the response.
func (w *fetchWriter) agents(agents []Agent) {
	if len(agents) == 0 || w.version < 16 {
		w.b = append(w.b, 0)
		return
	}
	list := appendLen(nil, len(agents), true)
	for _, a := range agents {
		list = appendInt32(list, a.NodeID)
		list = appendString(list, a.Host, true)
		list = appendInt32(list, a.Port)
		if a.Zone == "" {
			list = append(list, 0)
		} else {
			list = appendString(list, a.Zone, true)
		}
		list = append(list, 0)
	}
	w.b = append(w.b, 1, 0) // one tag: number 0
	w.b = appendLen(w.b, len(list)-1, true)
	w.b = append(w.b, list...)
}

// buffers puts the records between the pieces of b.
func (w *fetchWriter) buffers() net.Buffers {
	n := 1
	for _, c := range w.cuts {
		n += 1 + len(c.records)
	}
	out := make(net.Buffers, 0, n)
	from := 0
	for _, c := range w.cuts {
		out = append(out, w.b[from:c.at])
		out = append(out, c.records...)
		from = c.at
	}
	return append(out, w.b[from:])
}
