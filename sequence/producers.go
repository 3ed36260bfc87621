package sequence

// Producer is one producer of a partition, for people who look.
type Producer struct {
	ID            int64
	Epoch         int16 // the newest
	LastSequence  int32 // or NoSequence
	LastTimestamp int64 // of its newest batch, ms since 1970
}

// Producers lists all producers by id.
func (s *State) Producers() []Producer {
	list := make([]Producer, 0, len(s.producers))
	for _, id := range s.ids() {
		p := s.producers[id]
		one := Producer{ID: id, Epoch: p.epoch, LastSequence: NoSequence, LastTimestamp: p.seen}
		if p.n > 0 {
			one.LastSequence = p.batches[p.n-1].last
		}
		list = append(list, one)
	}
	return list
}
