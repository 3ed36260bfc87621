package sequence

import "testing"

func TestLast_IsTheEndOfTheNewestEpoch(t *testing.T) {
	var s State
	if _, _, _, ok := s.Last(7); ok {
		t.Error("knows a producer that never wrote")
	}
	s.Apply(Delta{ProducerID: 7, ProducerEpoch: 1, FirstSequence: 0, Base: 10, Next: 15})
	s.Apply(Delta{ProducerID: 7, ProducerEpoch: 1, FirstSequence: 5, Base: 20, Next: 21})
	if at, epoch, data, ok := s.Last(7); at != 20 || epoch != 1 || !data || !ok {
		t.Errorf("offset %d, epoch %d, data %t, %t", at, epoch, data, ok)
	}
	s.Apply(Delta{ProducerID: 7, ProducerEpoch: 2, FirstSequence: NoSequence, Base: 30, Next: 31})
	if _, epoch, data, ok := s.Last(7); epoch != 2 || data || !ok {
		t.Errorf("behind a marker: epoch %d, data %t, %t", epoch, data, ok)
	}
}
