package segment

import "hash/crc32"

// joinCRC gives the CRC32C of a row of bytes from the CRCs of its two parts and the length of the second, without
// looking at the bytes. It multiplies the first CRC, taken as a polynomial over GF(2), by x^(8*length) modulo the
// Castagnoli polynomial, and adds the second. It takes as long as a CRC over some KiB.
func joinCRC(first, second uint32, length int64) uint32 {
	if first == 0 {
		return second
	}
	for k, n := 3, uint64(length); n > 0; k, n = k+1, n>>1 {
		if n&1 == 1 {
			first = timesModP(first, powers[k])
		}
	}
	return first ^ second
}

// powers[k] is x^(2^k) modulo the polynomial; enough for any int64 length.
var powers = func() (p [67]uint32) {
	p[0] = 1 << 30 // x: the highest bit is the coefficient of x^0
	for k := 1; k < len(p); k++ {
		p[k] = timesModP(p[k-1], p[k-1])
	}
	return p
}()

func timesModP(a, b uint32) uint32 {
	var product uint32
	for ; a != 0; a <<= 1 {
		product ^= b & -(a >> 31)
		b = b>>1 ^ crc32.Castagnoli&-(b&1)
	}
	return product
}
