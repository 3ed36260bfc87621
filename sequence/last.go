package sequence

import "github.com/odradek/odradek/topic"

// Last gives the newest producer epoch of a producer id and the offset of the last record written under it, with data=false
// if there is none but a transaction marker. ok is false for a producer that is not known.
func (s *State) Last(id int64) (at topic.Offset, epoch int16, data, ok bool) {
	p, ok := s.producers[id]
	switch {
	case !ok:
		return 0, 0, false, false
	case p.n == 0:
		return 0, p.epoch, false, true
	}
	return p.batches[p.n-1].next - 1, p.epoch, true, true
}
