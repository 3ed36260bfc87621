package ingest

import "github.com/odradek/odradek/topic"

// ProducerState encodes the producer state of a partition after everything that counts, and gives the offset where that
// ends. It is not ok for a partition that is not owned.
func (j *Journal) ProducerState(p topic.Partition) (state []byte, counted topic.Offset, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.partitions[p]
	if s == nil {
		return nil, 0, false
	}
	return s.producers.AppendSnapshot(nil), s.counted, true
}

// Producing lists the partitions that have producers.
func (j *Journal) Producing() []topic.Partition {
	j.mu.Lock()
	defer j.mu.Unlock()
	var with []topic.Partition
	for p, s := range j.partitions {
		if s.producers.Len() > 0 {
			with = append(with, p)
		}
	}
	return with
}
