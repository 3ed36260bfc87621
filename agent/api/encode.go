package api

import (
	"encoding/binary"
	"math"
)

// The writing of Kafka's plain types, for what is encoded without kmsg.

func appendInt16(b []byte, v int16) []byte { return binary.BigEndian.AppendUint16(b, uint16(v)) }
func appendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }
func appendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

// appendLen writes a length: compact (one more than n, as a varint) or as int32.
func appendLen(b []byte, n int, compact bool) []byte {
	if compact {
		return binary.AppendUvarint(b, uint64(n)+1)
	}
	return appendInt32(b, int32(n))
}

func appendString(b []byte, s string, compact bool) []byte {
	if compact {
		return append(binary.AppendUvarint(b, uint64(len(s))+1), s...)
	}
	return append(appendInt16(b, int16(min(len(s), math.MaxInt16))), s...)
}
