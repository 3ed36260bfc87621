package fetch

import (
	"errors"
	"testing"

	"github.com/odradek/odradek/topic"
)

func TestShown_NeverGoesBack(t *testing.T) {
	var s Shown
	always := func(topic.ID) bool { return true }
	for _, step := range []struct {
		partition topic.Partition
		hw        topic.Offset
		want      error
	}{
		{orders, 0, nil}, {orders, 7, nil}, {orders, 6, ErrBehind}, {orders, 7, nil}, {payments, 3, nil}, {orders, 0, ErrBehind},
		{orders, 8, nil}, {orders, 7, ErrBehind}, {payments, 3, nil},
	} {
		if err := s.Raise(step.partition, step.hw, always); !errors.Is(err, step.want) {
			t.Errorf("%s at %d: %v, want %v", step.partition, step.hw, err, step.want)
		}
	}
}

func TestShown_ForgetsDeletedTopics(t *testing.T) {
	var s Shown
	here := func(id topic.ID) bool { return id == topic.ID{1} }
	for i := range 10 * leastShown {
		gone := topic.Partition{Topic: topic.ID{2}, Index: int32(i)}
		if err := s.Raise(gone, 1, here); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := s.Raise(orders, 5, here); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(s.high) > leastShown {
		t.Errorf("%d partitions are kept", len(s.high))
	}
	if err := s.Raise(orders, 4, here); !errors.Is(err, ErrBehind) {
		t.Errorf("a topic that is there was forgotten: %v", err)
	}
}
