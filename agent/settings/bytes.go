package settings

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size.
type Bytes int64

// Binary units.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
	TiB Bytes = 1 << 40
)

// byteUnits are the units that ParseBytes knows, by their lower-case names.
var byteUnits = map[string]Bytes{
	"": 1, "b": 1,
	"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	"kib": KiB, "mib": MiB, "gib": GiB, "tib": TiB,
}

var errBytes = errors.New("is no size; write bytes or a number with a unit, as 8MiB or 64KB")

// ParseBytes reads a size as people write it: 1048576, 8MiB, 1.5 GiB, 64KB. The case of the unit does not matter.
func ParseBytes(s string) (Bytes, error) {
	s = strings.TrimSpace(s)
	digits := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if digits < 0 {
		digits = len(s)
	}
	unit, ok := byteUnits[strings.ToLower(strings.TrimSpace(s[digits:]))]
	if !ok || digits == 0 {
		return 0, errBytes
	}
	if n, err := strconv.ParseInt(s[:digits], 10, 64); err == nil && n <= math.MaxInt64/int64(unit) {
		return Bytes(n) * unit, nil
	}
	f, err := strconv.ParseFloat(s[:digits], 64)
	if err != nil || f*float64(unit) >= math.MaxInt64 {
		return 0, errBytes
	}
	return Bytes(f * float64(unit)), nil
}

// String gives the size in the largest binary unit that divides it, so that ParseBytes reads back the same.
func (b Bytes) String() string {
	if b == 0 {
		return "0"
	}
	for _, u := range []struct {
		size Bytes
		name string
	}{{TiB, "TiB"}, {GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}} {
		if b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
