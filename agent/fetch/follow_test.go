package fetch

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/topic"
)

func follow(offset topic.Offset) Part {
	return Part{Partition: orders, Offset: offset, MaxBytes: 1 << 20, Follow: true}
}

func TestRead_AnOffsetAboveWhatAFollowerKnowsIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Config{})
		b.write(t, false, segment.None, in{orders, []string{"0", "1"}}, in{payments, []string{"p"}})
		r := Request{MaxWait: time.Minute, MinBytes: 1, MaxBytes: 1 << 20,
			Parts: []Part{{Partition: payments, MaxBytes: 1 << 20}, follow(3)}}
		done := make(chan []Result, 1)
		began := time.Now()
		go func() { done <- b.Read(t.Context(), r) }()
		time.Sleep(time.Second)
		select {
		case <-done:
			t.Fatal("answered with what another part holds")
		default:
		}
		b.write(t, false, segment.None, in{orders, []string{"2"}})
		rs := <-done
		if time.Since(began) > 2*time.Second || rs[0].Err != nil || len(joined(rs[0])) == 0 {
			t.Errorf("after %v: %+v", time.Since(began), rs[0])
		}
		if rs[1].Err != nil || rs[1].HighWatermark != 3 || len(rs[1].Records) != 0 {
			t.Errorf("the followed part at its offset: %+v", rs[1])
		}
	})
}

func TestRead_AFollowerNeverSaysOutOfRange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Config{})
		b.write(t, false, segment.None, in{orders, []string{"0", "1"}})
		for offset, wait := range map[topic.Offset]time.Duration{-1: 0, 3: time.Second} {
			began := time.Now()
			r := b.Read(t.Context(), Request{MaxWait: time.Second, MinBytes: 1, MaxBytes: 100, Parts: []Part{follow(offset)}})[0]
			if !errors.Is(r.Err, ErrNotKnown) || errors.Is(r.Err, ErrOutOfRange) || time.Since(began) != wait {
				t.Errorf("offset %d: %v after %v, want ErrNotKnown after %v", offset, r.Err, time.Since(began), wait)
			}
		}
	})
}

func TestRead_StopEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Config{})
		b.write(t, false, segment.None, in{orders, []string{"0"}})
		stop := make(chan struct{})
		began := time.Now()
		time.AfterFunc(time.Second, func() { close(stop) })
		r := b.Read(t.Context(), Request{MaxWait: time.Hour, MinBytes: 1 << 10, MaxBytes: 1 << 20, Stop: stop,
			Parts: []Part{{Partition: orders, MaxBytes: 1 << 20}}})[0]
		if r.Err != nil || len(joined(r)) == 0 || time.Since(began) != time.Second {
			t.Errorf("%+v after %v, want what is there after a second", r, time.Since(began))
		}
	})
}

func TestSize_IsWhatTheBucketHolds(t *testing.T) {
	b := newBench(Config{})
	if got := b.Size(orders); got != 0 {
		t.Errorf("nothing written: %d bytes", got)
	}
	b.write(t, true, segment.None, in{orders, []string{value(0, 1000)}}, in{payments, []string{value(0, 5000)}})
	one := b.Size(orders)
	if one < 1000 || one > 1500 {
		t.Errorf("%d bytes for one record of 1000", one)
	}
	for i := range 20 {
		b.write(t, false, segment.None, in{orders, []string{value(i, 1000)}})
	}
	if got := b.Size(orders); got != 21*one {
		t.Errorf("%d bytes, want %d", got, 21*one)
	}
}
