package retention

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/odradek/odradek/topic"
)

// What goes is compared with what Kafka would delete of segments of these sizes and newest timestamps.
func TestLook_DropsUnitsAsKafkaDropsSegments(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	unit := func(next topic.Offset, bytes, newest int64) Unit {
		return Unit{Next: next, Bytes: bytes, MaxTimestamp: newest}
	}
	for _, c := range []struct {
		name   string
		policy Policy
		now    time.Time
		units  []Unit
		want   topic.Offset // 0: nothing goes
		bytes  int64
		aged   int64
	}{
		{"nothing there", Policy{0, 0}, now, nil, 0, 0, 0},
		{"for ever", Policy{-1, -1}, now, []Unit{unit(5, 10, 0)}, 0, 0, 0},
		{"older goes, exactly as old stays", Policy{1000, -1}, now, []Unit{unit(5, 10, 998_999), unit(9, 20, 999_000), unit(12, 1, 0)}, 5, 10, 10},
		{"a younger one keeps what follows", Policy{1000, -1}, now, []Unit{unit(5, 10, 999_500), unit(9, 20, 1)}, 0, 0, 0},
		{"the newest goes too", Policy{1000, -1}, now, []Unit{unit(5, 10, 1), unit(9, 20, 2)}, 9, 30, 30},
		{"at once", Policy{0, -1}, now, []Unit{unit(5, 10, 999_999), unit(6, 1, 1_000_000)}, 5, 10, 10},
		{"no time is known", Policy{1000, -1}, time.Time{}, []Unit{unit(5, 10, 1)}, 0, 0, 0},
		{"for longer than there is", Policy{1<<63 - 1, -1}, now, []Unit{unit(5, 10, 1)}, 0, 0, 0},
		{"from the future", Policy{1000, -1}, now, []Unit{unit(5, 10, 1<<63-1), unit(6, 1, 1)}, 0, 0, 0},
		{"as much as stays without it", Policy{-1, 30}, now, []Unit{unit(5, 10, 1), unit(9, 10, 1), unit(12, 20, 1)}, 5, 10, 0},
		{"less stays without it", Policy{-1, 31}, now, []Unit{unit(5, 10, 1), unit(9, 10, 1), unit(12, 20, 1)}, 0, 0, 0},
		{"the newest stays by size", Policy{-1, 1}, now, []Unit{unit(5, 10, 1), unit(9, 10, 1)}, 5, 10, 0},
		{"not one byte", Policy{-1, 0}, now, []Unit{unit(5, 10, 1), unit(9, 10, 1)}, 9, 20, 0},
		{"by size without a time", Policy{1000, 10}, time.Time{}, []Unit{unit(5, 10, 1), unit(9, 10, 1)}, 5, 10, 0},
		{"by age, then by size", Policy{1000, 20}, now, []Unit{unit(1, 10, 1), unit(2, 10, 999_500), unit(3, 20, 999_600)}, 2, 20, 10},
		{"by age further than by size", Policy{1000, 30}, now, []Unit{unit(1, 10, 1), unit(2, 10, 2), unit(3, 20, 999_600)}, 2, 20, 20},
		{"an empty run", Policy{-1, 20}, now, []Unit{unit(1, 0, 1), unit(2, 10, 2), unit(3, 20, 3)}, 2, 10, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := New(nil, nil, Config{})
			p := Partition{Policy: c.policy}
			got, err := e.look(t.Context(), p, c.now, false, slices.Values(c.units))
			if err != nil || got.to != c.want || got.bytes != c.bytes || got.aged != c.aged {
				t.Errorf("up to %d, %d bytes, %d by age, %v; want %d, %d, %d", got.to, got.bytes, got.aged, err, c.want, c.bytes, c.aged)
			}
		})
	}
}

func TestLook_AUnitWithoutTimeIsAsOldAsItsObject(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	w := &world{written: map[string]time.Time{"old": time.UnixMilli(900_000), "new": time.UnixMilli(999_999)}}
	e := New(w, nil, Config{})
	units := []Unit{{Next: 1, Bytes: 1, MaxTimestamp: -1, Key: "old"}, {Next: 2, Bytes: 1, MaxTimestamp: -1, Key: "new"}, {Next: 3, Bytes: 1, MaxTimestamp: -1, Key: "gone"}}
	got, err := e.look(t.Context(), Partition{Policy: Policy{Ms: 1000, Bytes: -1}}, now, false, slices.Values(units))
	if err != nil || got.to != 1 {
		t.Errorf("up to %d, %v; want 1", got.to, err)
	}
	if _, err := e.look(t.Context(), Partition{Policy: Policy{Ms: 1000, Bytes: -1}}, now, false, slices.Values(units[2:])); err == nil {
		t.Error("a unit whose object cannot be asked has an age")
	}
}

func TestAgreed_NeedsTwoClocksAndTakesTheEarliest(t *testing.T) {
	at := func(seconds int) func(context.Context) (time.Time, error) {
		return func(context.Context) (time.Time, error) { return time.Unix(int64(1000+seconds), 0), nil }
	}
	silent := func(ctx context.Context) (time.Time, error) { return time.Time{}, context.DeadlineExceeded }
	for _, c := range []struct {
		name string
		now  []func(context.Context) (time.Time, error)
		want int // seconds; -1: none
	}{
		{"alone", []func(context.Context) (time.Time, error){at(5)}, -1},
		{"two", []func(context.Context) (time.Time, error){at(65), at(5)}, 5},
		{"too far apart", []func(context.Context) (time.Time, error){at(66), at(5)}, -1},
		{"the local one is an hour ahead", []func(context.Context) (time.Time, error){at(3600), at(10), at(9)}, 9},
		{"one does not answer", []func(context.Context) (time.Time, error){at(7), silent, at(8)}, 7},
		{"two do not answer", []func(context.Context) (time.Time, error){at(7), silent, silent}, -1},
		{"three that disagree", []func(context.Context) (time.Time, error){at(0), at(100), at(200)}, -1},
		{"a chain", []func(context.Context) (time.Time, error){at(100), at(0), at(50)}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ws []Witness
			for _, now := range c.now {
				ws = append(ws, Witness{"clock", now})
			}
			got, err := agreed(ask(t.Context(), ws))
			if c.want < 0 && (err == nil || !got.IsZero()) || c.want >= 0 && (err != nil || got.Unix() != int64(1000+c.want)) {
				t.Errorf("%v, %v; want %d", got, err, c.want)
			}
		})
	}
}
