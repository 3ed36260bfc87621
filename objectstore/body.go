package objectstore

import (
	"errors"
	"hash/crc32"
	"io"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func updateCRC32C(crc uint32, p []byte) uint32 { return crc32.Update(crc, castagnoli, p) }

// bodyReader reads a Body's slices in order. Not for concurrent use.
type bodyReader struct {
	body Body
	part int   // index into body.Parts
	in   int   // offset inside that part
	pos  int64 // offset inside the whole body
}

func (r *bodyReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && r.part < len(r.body.Parts) {
		c := copy(p[n:], r.body.Parts[r.part][r.in:])
		n += c
		r.in += c
		r.pos += int64(c)
		if r.in == len(r.body.Parts[r.part]) {
			r.part, r.in = r.part+1, 0
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r *bodyReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.body.Size
	}
	if offset < 0 || offset > r.body.Size {
		return 0, errors.New("seek outside the body")
	}
	r.pos, r.part, r.in = offset, 0, 0
	for offset > 0 && r.part < len(r.body.Parts) {
		l := int64(len(r.body.Parts[r.part]))
		if offset < l {
			r.in = int(offset)
			break
		}
		offset -= l
		r.part++
	}
	return r.pos, nil
}
