package sequence

import (
	"slices"
	"testing"

	"github.com/odradek/odradek/topic"
)

func TestProducers_ById(t *testing.T) {
	var s State
	if got := s.Producers(); len(got) != 0 {
		t.Errorf("nobody wrote: %v", got)
	}
	at := topic.Offset(0)
	write := func(id int64, epoch int16, first int32, n topic.Offset) {
		s.Apply(Delta{ProducerID: id, ProducerEpoch: epoch, FirstSequence: first, Base: at, Next: at + n, Timestamp: int64(at) + 1000})
		at += n
	}
	write(9, 0, 0, 5)
	write(4, 1, 3, 2)
	write(9, 0, 5, 10)
	write(7, 2, NoSequence, 1)
	want := []Producer{
		{ID: 4, Epoch: 1, LastSequence: 4, LastTimestamp: 1005},
		{ID: 7, Epoch: 2, LastSequence: NoSequence, LastTimestamp: 1017},
		{ID: 9, LastSequence: 14, LastTimestamp: 1007},
	}
	if got := s.Producers(); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
