package wal

// space is the arithmetic of the ring: where the next entry goes, which sequences still hold what is not
// released, and how much room is left. It does no I/O and is guarded by the WAL's mutex.
type space struct {
	fileBytes int64
	limit     int // files that the ring may use now

	sequence uint64   // the file that entries go to; starts at 0
	offset   int64    // where the next entry starts in it
	end      Position // end of the last entry; zero before the first
	released Position // released <= end
	closed   []closedFile
}

// closedFile is a sequence that takes no more entries and is not wholly released.
type closedFile struct {
	sequence uint64
	end      Position // end of its last entry
}

func newSpace(fileBytes int64, files int) space {
	return space{fileBytes: fileBytes, limit: files, offset: fileHeaderBytes}
}

// low returns the lowest sequence that holds, or takes, what is not released.
func (s *space) low() uint64 {
	if len(s.closed) > 0 {
		return s.closed[0].sequence
	}
	return s.sequence
}

// inUse returns the number of files from low on.
func (s *space) inUse() int { return int(s.sequence-s.low()) + 1 }

// free returns the number of files that may be begun.
func (s *space) free() int { return max(0, s.limit-s.inUse()) }

// rest returns the bytes left in the file begun.
func (s *space) rest() int64 { return s.fileBytes - s.offset }

// holds reports whether n entries of size bytes together can be placed, in any order, and each of them in one
// file. Placing an entry takes less than twice its size, because the rest of a file is given up only to an
// entry that is larger; so twice the sum suffices, and for a single entry it is known exactly.
func (s *space) holds(n int, size int64) bool {
	if n == 1 {
		return s.rest() >= size || s.free() > 0
	}
	return 2*size <= s.rest()+int64(s.free())*(s.fileBytes-fileHeaderBytes)
}

// place takes the room for an entry of size bytes and returns where it starts and where the one before ended.
// It begins the next file if need be, even beyond the limit: holds is asked before.
func (s *space) place(size int64) (start, previous Position) {
	if s.rest() < size {
		if s.end > s.released {
			s.closed = append(s.closed, closedFile{s.sequence, s.end})
		}
		s.sequence++
		s.offset = fileHeaderBytes
	}
	previous = s.end
	start = Position(s.sequence)*Position(s.fileBytes) + Position(s.offset)
	s.offset += size
	s.end = start + Position(size)
	return start, previous
}

// release moves released to pos and reports whether that changed anything.
func (s *space) release(pos Position) bool {
	pos = min(pos, s.end)
	if pos <= s.released {
		return false
	}
	s.released = pos
	n := 0
	for n < len(s.closed) && s.closed[n].end <= pos {
		n++
	}
	s.closed = append(s.closed[:0], s.closed[n:]...)
	return true
}
