package check

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/odradek/odradek/test/chaos/history"
)

// windowCalls is about how many calls a window has.
const windowCalls = 150

// call is what porcupine is given.
type call struct {
	kind   callKind
	offset int64  // of the record, or the end
	value  string // of a record that was read
}

type callKind string

const (
	appended callKind = "append at" // of one record
	read     callKind = "read of"   // of records up to this one
	told     callKind = "end is"
)

// partition is a partition as a client sees it: its state is where it ends. An append happens at one moment and takes the
// next offset; whoever reads is given what is there, which log says; whoever asks for the end is told it.
func partition(from int64, log []history.Record) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return from },
		Step: func(state, input, _ any) (bool, any) {
			end, c := state.(int64), input.(call)
			switch c.kind {
			case appended:
				return c.offset == end, end + 1
			case read:
				return c.offset < end && log[c.offset].Value == c.value, end
			}
			return c.offset == end, end
		},
		DescribeOperation: func(input, _ any) string {
			c := input.(call)
			return fmt.Sprintf("%s %d", c.kind, c.offset)
		},
	}
}

// linear samples windows of partitions and asks whether any order of their calls explains them: rule "linear".
func (b *book) linear() {
	ends, reads := make(map[history.Partition][]history.Event), make(map[history.Partition][]history.Event)
	for _, e := range b.in.Events {
		switch {
		case e.Kind == history.Ended && e.Outcome == history.OK && !b.gone(e):
			ends[e.Partition] = append(ends[e.Partition], e)
		case e.Kind == history.Read && len(e.Records) > 0:
			reads[e.Partition] = append(reads[e.Partition], e)
		}
	}
	var parts []history.Partition
	for _, p := range b.parts {
		if _, fades := b.in.Fading[p.Topic]; len(ends[p]) > 0 && !fades { // else records of the window may be gone
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return
	}
	rng := rand.New(rand.NewPCG(b.in.Seed, 1))
	for range b.in.Windows {
		p := parts[rng.IntN(len(parts))]
		first := rng.IntN(len(ends[p]))
		b.window(p, ends[p][first:], reads[p])
	}
}

// window checks the calls that lie between the first of ends and the last for which there is room. Records below the
// window were known before it began, so that a lower end is an error; all appends of the window are in it, also those
// that nobody was told of, and of the reads those that came to an end in it.
func (b *book) window(p history.Partition, ends, reads []history.Event) {
	known, _ := b.bounds[p].before(ends[0].Start)
	log, from := b.log[p], known.end
	var ops []porcupine.Operation
	to, over := from, ends[0].End
	for i, e := range ends {
		if e.Offset-from > windowCalls || i > windowCalls {
			break
		}
		to, over = max(to, e.Offset), max(over, e.End)
		ops = append(ops, porcupine.Operation{ClientId: len(ops), Input: call{kind: told, offset: e.Offset}, Call: int64(e.Start), Return: int64(e.End)})
	}
	for o := from; o < min(to, int64(len(log))); o++ {
		e, sent := b.sent[log[o].Value]
		if !sent {
			return // rule "invented" says so
		}
		returned := int64(e.End)
		if e.Outcome != history.OK || e.Acks == 1 { // acks=1 is answered before the record is visible
			returned = int64(history.Never)
		}
		ops = append(ops, porcupine.Operation{ClientId: len(ops), Input: call{kind: appended, offset: o}, Call: int64(e.Start), Return: returned})
	}
	for _, e := range reads {
		if e.Start < ends[0].Start || e.End > over {
			continue
		}
		newest := call{kind: read, offset: -1}
		for _, rec := range e.Records {
			if rec.Offset < min(to, int64(len(log))) && rec.Offset > newest.offset {
				newest.offset, newest.value = rec.Offset, rec.Value
			}
		}
		if newest.offset >= from {
			ops = append(ops, porcupine.Operation{ClientId: len(ops), Input: newest, Call: int64(e.Start), Return: int64(e.End)})
		}
	}
	slices.SortStableFunc(ops, func(x, y porcupine.Operation) int { return cmp.Compare(x.Call, y.Call) })
	b.r.Windows++
	switch porcupine.CheckOperationsTimeout(partition(from, log), ops, 5*time.Second) {
	case porcupine.Illegal:
		b.r.violate("linear", "%s/%d from %s to %s, [%d, %d): no order explains %d calls", p.Topic, p.Index, seconds(ends[0].Start),
			seconds(ends[len(ends)-1].End), from, to, len(ops))
	case porcupine.Unknown:
		b.r.Timeouts++
	}
}
