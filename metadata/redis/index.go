package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// outcomes are the words that index.lua answers with.
var outcomes = map[string]metadata.Outcome{
	"indexed":  metadata.Indexed,
	"repeated": metadata.Repeated,
	"behind":   metadata.Behind,
	"closed":   metadata.Closed,
	"conflict": metadata.Conflict,
}

// Index implements metadata.Index: one script per segment, all in one round trip. A script behind one that did not index
// its slot finds its own slot out of order and changes nothing.
func (s *Store) Index(ctx context.Context, pin metadata.Pin, control topic.Slot, segments []metadata.Segment) ([]metadata.Outcome, error) {
	if len(segments) == 0 {
		return nil, nil
	}
	calls := make([]call, len(segments))
	for i, segment := range segments {
		if err := segment.Validate(); err != nil {
			return nil, err
		}
		calls[i] = s.indexCall(pin, control, segment)
	}
	replies, err := s.runAll(ctx, indexScript, pin, calls)
	if err != nil {
		return nil, err
	}
	var done []metadata.Outcome
	for _, reply := range replies {
		var word string
		if len(reply) > 0 {
			word, _ = reply[0].(string)
		}
		outcome, ok := outcomes[word]
		if !ok {
			_, err := verdict(indexScript, reply)
			return nil, err
		}
		done = append(done, outcome)
		if outcome != metadata.Indexed && outcome != metadata.Repeated {
			break
		}
	}
	return done, nil
}

func (s *Store) indexCall(pin metadata.Pin, control topic.Slot, segment metadata.Segment) call {
	n := len(segment.Extents)
	args := make([]any, 8, 8+3*n+2*len(segment.LogStarts))
	args[0] = segment.Journal.String()
	args[1] = slotText(segment.Slot)
	args[2] = slotText(segment.Slot + 1)
	args[3] = slotText(control)
	args[4] = appendEntry(make([]byte, 0, 16+32*n), segment)
	args[5] = s.keys.bell()
	args[6] = kindsText(metadata.KindIndex)
	args[7] = strconv.Itoa(n)
	for _, x := range segment.Extents {
		args = append(args, x.Partition.String())
	}
	for _, x := range segment.Extents {
		args = append(args, offsetText(x.Base))
	}
	for _, x := range segment.Extents {
		args = append(args, offsetText(x.Next))
	}
	for _, start := range segment.LogStarts {
		args = append(args, start.Partition.String(), offsetText(start.Start))
	}
	e := pin.Era
	return call{[]string{s.keys.journals(e), s.keys.ends(e), s.keys.starts(e), s.keys.log(e, segment.Journal)}, args}
}

// Segments implements metadata.Index with one script, so that all journals are read at one moment.
func (s *Store) Segments(ctx context.Context, pin metadata.Pin, from []metadata.Cursor, limit int) ([]metadata.Segment, error) {
	c := call{keys: []string{s.keys.journals(pin.Era)}, args: []any{limit}}
	for _, cursor := range from {
		c.keys = append(c.keys, s.keys.log(pin.Era, cursor.Journal))
		c.args = append(c.args, cursor.Journal.String(), slotText(cursor.From))
	}
	reply, err := s.run(ctx, segmentsScript, pin, c)
	if err != nil {
		return nil, err
	}
	if len(reply) != len(from) {
		return nil, fmt.Errorf("redis segments: %d lists for %d journals", len(reply), len(from))
	}
	var found []metadata.Segment
	for i, cursor := range from {
		for _, entry := range list(reply[i]) {
			segment, err := readEntry(cursor.Journal, []byte(text(entry)))
			if err != nil {
				return nil, fmt.Errorf("redis segments: %w", err)
			}
			found = append(found, segment)
		}
	}
	return found, nil
}

// endsAtOnce bounds one script's arguments, since Lua unpacks at most about 8,000.
const endsAtOnce = 2000

// Ends implements metadata.Index: one script per 2,000 partitions, in one round trip.
func (s *Store) Ends(ctx context.Context, pin metadata.Pin, partitions []topic.Partition) ([]metadata.End, error) {
	var calls []call
	for at := 0; at < len(partitions); at += endsAtOnce {
		c := call{keys: []string{s.keys.ends(pin.Era), s.keys.starts(pin.Era)}}
		for _, p := range partitions[at:min(at+endsAtOnce, len(partitions))] {
			c.args = append(c.args, p.String())
		}
		calls = append(calls, c)
	}
	if len(calls) == 0 {
		return nil, nil
	}
	replies, err := s.runAll(ctx, endsScript, pin, calls)
	if err != nil {
		return nil, err
	}
	ends := make([]metadata.End, 0, len(partitions))
	for _, whole := range replies {
		reply, err := verdict(endsScript, whole)
		if err != nil {
			return nil, err
		}
		nexts, starts := list(reply[0]), list(reply[1])
		for i, next := range nexts {
			if next == nil {
				ends = append(ends, metadata.End{})
				continue
			}
			ends = append(ends, metadata.End{Known: true, Start: topic.Offset(number(starts[i])), Next: topic.Offset(number(next))})
		}
	}
	return ends, nil
}

// Apply implements metadata.Index.
func (s *Store) Apply(ctx context.Context, pin metadata.Pin, first topic.Slot, effects [][]metadata.Effect) (topic.Slot, error) {
	if len(effects) == 0 {
		return s.Applied(ctx, pin)
	}
	e := pin.Era
	c := call{
		keys: []string{s.keys.journals(e), s.keys.ends(e), s.keys.starts(e), s.keys.all(e)},
		args: []any{before(first), slotText(first + topic.Slot(len(effects)) - 1), s.keys.bell(), kindsText(metadata.KindIndex)},
	}
	for _, of := range effects {
		c.args = s.appendEffects(c.args, e, of)
	}
	reply, err := s.run(ctx, applyScript, pin, c)
	if len(reply) == 0 {
		return 0, err
	}
	if err == nil {
		err = s.forget(ctx, pin, effects)
	}
	return topic.Slot(number(reply[0])), err
}

const (
	forgetAtOnce   = 1000 // entries that one script gives the memory of back: they may have 2,000 extents each
	forgetJournals = 500  // that one script looks at, since Lua unpacks at most about 8,000 arguments
)

// forget gives back the memory of segments that effects dropped, a bounded number of them per script.
func (s *Store) forget(ctx context.Context, pin metadata.Pin, effects [][]metadata.Effect) error {
	var dropped []topic.JournalID
	for _, of := range effects {
		for _, effect := range of {
			if x, ok := effect.(metadata.SegmentsDropped); ok {
				dropped = append(dropped, x.Journal)
			}
		}
	}
	for part := range slices.Chunk(dropped, forgetJournals) {
		for more := true; more; {
			c := call{keys: []string{s.keys.journals(pin.Era)}, args: []any{forgetAtOnce}}
			for _, j := range part {
				c.keys, c.args = append(c.keys, s.keys.log(pin.Era, j)), append(c.args, j.String())
			}
			reply, err := s.run(ctx, forgetScript, pin, c)
			if err != nil {
				return err
			}
			more = text(reply[0]) == "1"
		}
	}
	return nil
}

// before is the number that must be applied before n: there is none before 0, which has no effect and is never awaited.
func before(n topic.Slot) string {
	if n == 0 {
		return "-"
	}
	return slotText(n - 1)
}

// appendEffects appends five arguments per effect, as effects() of pin.lua reads them.
func (s *Store) appendEffects(args []any, era uint64, effects []metadata.Effect) []any {
	for _, effect := range effects {
		switch x := effect.(type) {
		case metadata.JournalOpened:
			args = append(args, "O", x.Journal.String(), slotText(x.First), "", s.keys.log(era, x.Journal))
		case metadata.JournalSealed:
			args = append(args, "S", x.Journal.String(), slotText(x.Seal), "", "")
		case metadata.PartitionAdded:
			args = append(args, "A", x.Partition.String(), offsetText(x.Start), offsetText(x.Next), "")
		case metadata.PartitionDropped:
			args = append(args, "D", x.Partition.String(), "", "", "")
		case metadata.LogStartMoved:
			args = append(args, "L", x.Partition.String(), offsetText(x.Start), "", "")
		case metadata.SegmentsDropped:
			args = append(args, "F", x.Journal.String(), slotText(x.Below), "", "")
		}
	}
	return args
}

// Applied implements metadata.Index.
func (s *Store) Applied(ctx context.Context, pin metadata.Pin) (topic.Slot, error) {
	reply, err := s.run(ctx, appliedScript, pin, call{})
	if err != nil {
		return 0, err
	}
	return topic.Slot(number(reply[0])), nil
}

// list, text and number read parts of a reply; what is missing is empty or 0.
func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func text(v any) string {
	t, _ := v.(string)
	return t
}

func number(v any) uint64 {
	n, _ := strconv.ParseUint(text(v), 10, 64)
	return n
}
